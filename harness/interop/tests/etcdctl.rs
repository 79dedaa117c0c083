//! The same commands to both servers, by the tool that people have at hand: the same output, exit code
//! and complaints, but for what names a server or a moment.
//!
//! The commands stand in `transcript.txt`: a line `$ …` is one, lines `< …` below it are its standard
//! input, `#` begins a remark. Both servers start empty, and revisions count alike.

use std::io::Write as _;
use std::process::{Command, Stdio};

use interop::Server;
use regex::Regex;

/// One command.
struct Step {
    arguments: Vec<String>,
    input: String,
}

/// Splits a line as a shell does, as far as quotes go.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = None::<String>;
    let mut quoted = None;
    for c in line.chars() {
        match (quoted, c) {
            (Some(quote), c) if c == quote => quoted = None,
            (None, '\'' | '"') => {
                quoted = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn steps(transcript: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in transcript.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { arguments: words(command), input: String::new() });
        } else if let Some(input) = line.strip_prefix('<') {
            let step = steps.last_mut().expect("input belongs to a command");
            step.input.push_str(input.strip_prefix(' ').unwrap_or(input));
            step.input.push('\n');
        }
    }
    steps
}

/// What etcdctl prints and how it ends, without what names this server or this moment.
fn run(step: &Step, server: &Server) -> String {
    let mut child = Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .arg(format!("--endpoints={}", server.endpoint()))
        .args(&step.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("etcdctl starts");
    // A command that does not read its input ends without it.
    let _ = child.stdin.take().expect("it is piped").write_all(step.input.as_bytes());
    let output = child.wait_with_output().expect("etcdctl ends");
    let text = format!(
        "{}{}exit {:?}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        output.status.code()
    );
    mask(&text)
}

/// A server that just opened may still be electing itself.
fn await_leader(server: &Server) {
    let health = Step { arguments: words("endpoint health"), input: String::new() };
    assert!((0..20).any(|_| run(&health, server).ends_with("exit Some(0)")), "the server never got healthy");
}

fn mask(text: &str) -> String {
    let masks = [
        (r"127\.0\.0\.1:\d+", "ADDRESS"),
        (r"\b[0-9a-f]{14,16}\b", "ID"),
        (r#""(cluster_id|member_id|ID|leader)":\d+"#, r#""$1":ID"#),
        (r#""(raft_term|raftTerm|raftIndex|raftAppliedIndex|dbSize|dbSizeInUse)":\d+"#, r#""$1":N"#),
        (
            r#""(ClusterID|MemberID|RaftTerm|Leader|RaftIndex|RaftAppliedIndex|DBSize|DBSizeInUse)" : \d+"#,
            r#""$1" : N"#,
        ),
        (r#""?[Vv]ersion"?(:| : )"3\.[^"]*""#, "version"),
        (
            r"3\.\d+\.\d+, [0-9.]+ [kM]?B, (true|false), (true|false), \d+, \d+, \d+",
            "VERSION, SIZE, $1, $2, TERM, INDEX, APPLIED",
        ),
        (r"took = [0-9.]+[a-zµ]+", "took = TIME"),
        (r#""ts":"[^"]*""#, "\"ts\":TIME"),
        (r"endpoint://client-[0-9a-f-]+/", "endpoint://CLIENT/"),
        (r#""took":"[^"]*""#, "\"took\":TIME"),
    ];
    masks.iter().fold(text.to_owned(), |text, (pattern, with)| {
        Regex::new(pattern).expect("a mask is a pattern").replace_all(&text, *with).into_owned()
    })
}

#[test]
fn etcdctl_sees_no_difference() {
    if Command::new("etcdctl").arg("version").stdout(Stdio::null()).status().is_err() {
        println!("skipped: etcdctl is not installed");
        return;
    }
    let etcd = match Server::etcd() {
        Ok(server) => server,
        Err(why) => return println!("skipped: {why}"),
    };
    let ours = Server::raft_node();
    for server in [&etcd, &ours] {
        await_leader(server);
    }
    let steps = steps(include_str!("transcript.txt"));
    assert!(steps.len() > 50, "the transcript covers the tool");
    let mut differences = Vec::new();
    for step in &steps {
        let (expected, found) = (run(step, &etcd), run(step, &ours));
        if expected != found {
            let command = step.arguments.join(" ");
            differences.push(format!("$ {command}\n--- etcd\n{expected}\n--- raft-node\n{found}\n"));
        }
    }
    assert!(differences.is_empty(), "{} of {}:\n{}", differences.len(), steps.len(), differences.join("\n"));
}

/// What is too much is refused alike, and nothing of it is kept.
#[test]
fn too_much_is_refused_in_the_same_words() {
    if Command::new("etcdctl").arg("version").stdout(Stdio::null()).status().is_err() {
        println!("skipped: etcdctl is not installed");
        return;
    }
    let etcd = match Server::etcd() {
        Ok(server) => server,
        Err(why) => return println!("skipped: {why}"),
    };
    let ours = Server::raft_node();
    let puts: String = (0..1000).map(|number| format!("put k{number} x\n")).collect();
    let step = |command: &str, input: String| Step { arguments: words(command), input };
    let steps = [
        step("put big", "x".repeat(10 << 20)),
        step("put large", "x".repeat(1_600_000)),
        step("txn", format!("\n{puts}\n\n")),
        step("get '' --prefix -w json", String::new()),
    ];
    for server in [&etcd, &ours] {
        await_leader(server);
    }
    for step in &steps {
        let (expected, found) = (run(step, &etcd), run(step, &ours));
        assert_eq!(found, expected, "$ {}", step.arguments.join(" "));
    }
}

#[test]
fn masks_hide_names_and_moments_and_nothing_else() {
    assert_eq!(
        mask("127.0.0.1:2379 is healthy: successfully committed proposal: took = 1.5ms"),
        "ADDRESS is healthy: successfully committed proposal: took = TIME"
    );
    assert_eq!(
        mask(r#"{"header":{"cluster_id":1,"member_id":2,"revision":3,"raft_term":4}}"#),
        r#"{"header":{"cluster_id":ID,"member_id":ID,"revision":3,"raft_term":N}}"#
    );
    assert_ne!(mask(r#"{"revision":3}"#), mask(r#"{"revision":4}"#));
    assert_eq!(words("put a 'two words' \"\""), ["put", "a", "two words", ""]);
}
