//! The same commands to both servers, by the tool that people have at hand: the same output, exit code
//! and complaints, but for what names a server or a moment.
//!
//! The commands stand in `transcript.txt`, those that ask for more than one node in `three.txt`, those that change the
//! members in `members.txt`: a line
//! `$ …` is one, lines `< …` below it are its standard input, `#` begins a remark. Both servers start
//! empty, and revisions count alike.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use interop::Cluster;
use regex::Regex;

/// How long a cluster may take to be ready.
const PATIENCE: Duration = Duration::from_mins(1);

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
fn run(step: &Step, endpoints: &str) -> String {
    let mut command = Command::new("etcdctl");
    // What the environment says to the tool is not for here.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"ETCDCTL_"))
    {
        command.env_remove(name);
    }
    let mut child = command
        .env("ETCDCTL_API", "3")
        .arg(format!("--endpoints={endpoints}"))
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

fn step(command: &str, input: String) -> Step {
    Step { arguments: words(command), input }
}

/// Nodes that just opened may still be electing, or not know of each other.
fn await_ready(cluster: &Cluster) {
    let is_ready = |endpoint: &str| {
        let listed = run(&step("member list", String::new()), endpoint);
        run(&step("endpoint health", String::new()), endpoint).ends_with("exit Some(0)")
            && listed.matches("http://ADDRESS").count() == 2 * cluster.size()
    };
    for endpoint in cluster.endpoints().split(',') {
        let deadline = Instant::now() + PATIENCE;
        while !is_ready(endpoint) {
            assert!(Instant::now() < deadline, "{endpoint} never got healthy and knew all members");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// One cluster of each, ready to be asked; nothing where that is allowed and one cannot be had.
fn both(size: usize) -> Option<[Cluster; 2]> {
    if !interop::are_there(&["etcd", "etcdctl"]) {
        return None;
    }
    let both = [Cluster::etcd(size), Cluster::raft_node(size)];
    both.iter().for_each(await_ready);
    Some(both)
}

/// Hides what is another server's or another moment's. Columns of tables are as wide as what is in them.
fn mask(text: &str) -> String {
    let masks = [
        (r"127\.0\.0\.1:\d+", "ADDRESS"),
        (r"\b[0-9a-f]{13,16}\b", "ID"),
        (r#""(cluster_id|member_id|ID|leader)":\d+"#, r#""$1":ID"#),
        (r#""(raft_term|raftTerm|raftIndex|raftAppliedIndex|dbSize|dbSizeInUse)":\d+"#, r#""$1":N"#),
        (
            r#""(ClusterID|MemberID|ID|RaftTerm|Leader|RaftIndex|RaftAppliedIndex|DBSize|DBSizeInUse)" : \d+"#,
            r#""$1" : N"#,
        ),
        (r#""?[Vv]ersion"?(:| : )"3\.[^"]*""#, "version"),
        (
            r"3\.\d+\.\d+, [0-9.]+ [kM]?B, (true|false), (true|false), \d+, \d+, \d+",
            "VERSION, SIZE, $1, $2, TERM, INDEX, APPLIED",
        ),
        (
            r"(?m)\| +3\.\d+\.\d+ \| +[0-9.]+ [kM]?B \| +(true|false) \| +(true|false) \| +\d+ \| +\d+ \| +\d+ \|",
            "| VERSION | SIZE | $1 | $2 | TERM | INDEX | APPLIED |",
        ),
        (r"(?m)^\+[-+]+\+$", "+--+"),
        (r"(?m) +\|", " |"),
        (r"(?m)\| +", "| "),
        (r"(?m)\| (true|false) \| [0-9.]+[a-zµ]+ \|", "| $1 | TIME |"),
        (r"took = [0-9.]+[a-zµ]+", "took = TIME"),
        (r#""Took" : \S+"#, r#""Took" : TIME"#),
        (r#""ts":"[^"]*""#, "\"ts\":TIME"),
        (r"endpoint://client-[0-9a-f-]+/", "endpoint://CLIENT/"),
        (r#""took":"[^"]*""#, "\"took\":TIME"),
    ];
    masks.iter().fold(text.to_owned(), |text, (pattern, with)| {
        Regex::new(pattern).expect("a mask is a pattern").replace_all(&text, *with).into_owned()
    })
}

/// Gives each step to both, and shows where they differ.
fn compare(steps: &[Step], [etcd, ours]: [&str; 2], view: impl Fn(&str) -> String) {
    let mut differences = Vec::new();
    for step in steps {
        let (expected, found) = (view(&run(step, etcd)), view(&run(step, ours)));
        if expected != found {
            let command = step.arguments.join(" ");
            differences.push(format!("$ {command}\n--- etcd\n{expected}\n--- raft-node\n{found}\n"));
        }
    }
    assert!(differences.is_empty(), "{} of {}:\n{}", differences.len(), steps.len(), differences.join("\n"));
}

#[test]
fn etcdctl_sees_no_difference() {
    let Some([etcd, ours]) = both(1) else { return };
    let steps = steps(include_str!("transcript.txt"));
    assert!(steps.len() > 50, "the transcript covers the tool");
    compare(&steps, [&etcd.endpoints(), &ours.endpoints()], str::to_owned);
}

/// Some of its commands speak otherwise to an endpoint that is a URL.
#[test]
fn etcdctl_sees_no_difference_where_it_is_given_urls() {
    let Some([etcd, ours]) = both(1) else { return };
    compare(&steps(include_str!("transcript.txt")), [&etcd.urls(), &ours.urls()], str::to_owned);
}

/// Each cluster has its own order of members, and whoever is asked first need not answer first.
fn in_any_order(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[test]
fn etcdctl_sees_no_difference_between_clusters_of_three() {
    let Some([etcd, ours]) = both(3) else { return };
    let steps = steps(include_str!("three.txt"));
    let second = |list: String| list.split(',').nth(1).expect("there are three").to_owned();
    for [etcd, ours] in [
        [etcd.endpoints(), ours.endpoints()],
        [etcd.urls(), ours.urls()],
        [second(etcd.endpoints()), second(ours.endpoints())],
        [second(etcd.urls()), second(ours.urls())],
    ] {
        compare(&steps, [&etcd, &ours], in_any_order);
    }
}

/// The id of the member that has started, or of the one that has not, if there is one.
fn member(started: bool, endpoint: &str) -> Option<String> {
    let arguments = ["--endpoints", endpoint, "member", "list"];
    let list = Command::new("etcdctl").args(arguments).output().expect("etcdctl runs");
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let mut members = list.lines().filter_map(|line| line.split_once(", "));
    members.find(|(_, rest)| rest.starts_with("started") == started).map(|(id, _)| id.to_owned())
}

#[test]
fn etcdctl_changes_members_without_a_difference() {
    let Some([etcd, ours]) = both(1) else { return };
    let named = |step: &Step, endpoint: &str| {
        let name = |word: &String| match &word[..] {
            "NEW" => member(false, endpoint).unwrap_or_else(|| word.clone()),
            "OLD" => member(true, endpoint).unwrap_or_else(|| word.clone()),
            _ => word.clone(),
        };
        let step = Step { arguments: step.arguments.iter().map(name).collect(), input: String::new() };
        in_any_order(&run(&step, endpoint)).replace("  ", " ")
    };
    for step in steps(include_str!("members.txt")) {
        let (expected, found) = (named(&step, &etcd.endpoints()), named(&step, &ours.endpoints()));
        // The order in which etcd lists the members here is that of a hash.
        let list = |text: String| {
            text.split('\n')
                .filter(|line| !line.starts_with("ETCD_INITIAL_CLUSTER="))
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(list(found), list(expected), "$ {}", step.arguments.join(" "));
    }
}

/// What is too much is refused alike, and nothing of it is kept.
#[test]
fn too_much_is_refused_in_the_same_words() {
    let Some([etcd, ours]) = both(1) else { return };
    let puts: Vec<String> = (0..1000).map(|number| format!("put k{number} x\n")).collect();
    let steps = [
        step("put big", "x".repeat(10 << 20)),
        step("put large", "x".repeat(1_600_000)),
        step("txn", format!("\n{}\n\n", puts.concat())),
        step("get '' --prefix -w json", String::new()),
    ];
    compare(&steps, [&etcd.endpoints(), &ours.endpoints()], str::to_owned);
}

/// What ours does not serve yet is refused with its name, and at once.
#[test]
fn what_is_not_served_is_named() {
    if !interop::are_there(&["etcdctl"]) {
        return;
    }
    let ours = Cluster::raft_node(1);
    await_ready(&ours);
    for (command, method) in [
        ("defrag", "Maintenance/Defragment"),
        ("alarm list", "Maintenance/Alarm"),
        ("lease grant 60", "Lease/LeaseGrant"),
        ("user list", "Auth/UserList"),
        ("watch a", "Watch/Watch"),
    ] {
        for endpoint in [ours.endpoints(), ours.urls()] {
            let text = run(&step(command, String::new()), &endpoint);
            let sentence = format!("raft-node does not serve etcdserverpb.{method}");
            assert!(text.contains(&sentence), "$ {command}\n{text}");
            assert!(!text.ends_with("exit Some(0)"), "$ {command}\n{text}");
        }
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
    assert_eq!(mask("+------+---+\n|   ID |   A B |\n+------+---+"), "+--+\n| ID | A B |\n+--+");
    assert_ne!(mask(r#"{"revision":3}"#), mask(r#"{"revision":4}"#));
    assert_eq!(words("put a 'two words' \"\""), ["put", "a", "two words", ""]);
}
