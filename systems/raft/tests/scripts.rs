//! Golden scripts: small stories with their recorded endings.
//!
//! A script is a file of paragraphs. Each has a sentence, some commands, `---`, and what the cluster
//! did: nodes that changed (`before ⇨ after`), messages that left, answers, and the first property that
//! did not hold (in a story with a bug; without one it ends the test). Only `deliver` moves
//! messages; only what stands there happens. `UPDATE_GOLDENFILES=1 cargo test -p raft --test scripts`
//! records anew; commit a recording only if you can explain each line of it.
//!
//! | Command | What it does |
//! |---|---|
//! | `cluster nodes=N [append=BYTES] [tail=ENTRIES] [lease=DRIFT] [bugs=a,b]` | starts N nodes with blank disks |
//! | `join N` | starts N with a blank disk, as a node that belongs to no cluster yet |
//! | `timeout N` | 300 ms pass, and N's election timer runs out |
//! | `wait` | 300 ms pass, and no timer runs out |
//! | `heartbeat N` | N's heartbeat timer runs out |
//! | `deliver [N→M]` | delivers what is under way (on that link), and what follows, until silence |
//! | `drop N` | what is under way from or to N is lost |
//! | `isolate N`, `heal` | cuts all links of N; mends all links |
//! | `crash N`, `restart N` | ends N; starts it with what its disk has |
//! | `propose N COMMAND`, `read N` | N's client asks |
//! | `change N CHANGE...` | N's client asks for other members, by `+voter`, `+learner`, `promote=M`, `demote=M`, `-M` |
//! | `transfer N [M]`, `abandon N` | N is asked to give the lead away, to M; the time for that is over |
//! | `snapshot N`, `fetch N` | N has what it executed in a snapshot; N fetches the one it was offered |
//! | `log N` | shows N's log |
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod cluster;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use cluster::Cluster;
use raft::{Answer, Bug, Bugs, Change, Lease, NodeId, Tail, Timer};

#[test]
fn scripts_end_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut scripts: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    scripts.sort();
    assert!(!scripts.is_empty());
    let update = std::env::var_os("UPDATE_GOLDENFILES").is_some();
    for path in scripts {
        let recorded = fs::read_to_string(&path).unwrap();
        let played = play(&recorded);
        if update {
            fs::write(&path, &played).unwrap();
        } else {
            assert_eq!(played, recorded, "{} ends differently", path.display());
        }
    }
}

/// A script whose recording was tampered with does not pass.
#[test]
fn a_changed_line_is_noticed() {
    let script = "cluster nodes=1\n---\nok\n\ntimeout 1\n---\n";
    let played = play(script);
    assert!(played.contains("n1@t0 follower ⇨ n1@t1 leader"), "{played}");
    assert_ne!(played, script);
    assert_eq!(play(&played), played, "a recording plays as itself");
}

/// Plays a script and returns it with what really happened.
fn play(script: &str) -> String {
    let mut cluster: Option<Cluster> = None;
    let mut played = Vec::new();
    for paragraph in script.split("\n\n").map(str::trim).filter(|text| !text.is_empty()) {
        let (question, _) = paragraph.split_once("\n---").unwrap_or((paragraph, ""));
        let commands = question.lines().filter(|line| !line.starts_with('#'));
        let mut output = String::new();
        let before = snapshot(cluster.as_ref());
        let broken = cluster.as_ref().is_some_and(|cluster| cluster.violation.is_some());
        let mut asked = false;
        for command in commands {
            asked = true;
            run(command, &mut cluster, &mut output);
        }
        if !asked {
            played.push(question.to_owned());
            continue;
        }
        let cluster = cluster.as_mut().expect("a script starts with a cluster");
        report(cluster, &before, &mut output);
        if let Some(violation) = cluster.violation.as_ref().filter(|_| !broken) {
            writeln!(output, "against {}: {violation}", violation.property()).unwrap();
        }
        if output.is_empty() {
            output.push_str("ok\n");
        }
        played.push(format!("{question}\n---\n{}", output.trim_end()));
    }
    played.join("\n\n") + "\n"
}

fn snapshot(cluster: Option<&Cluster>) -> BTreeMap<NodeId, String> {
    cluster.map_or_else(BTreeMap::new, |cluster| {
        cluster.nodes.keys().map(|id| (*id, cluster.display(*id))).collect()
    })
}

fn report(cluster: &mut Cluster, before: &BTreeMap<NodeId, String>, output: &mut String) {
    for (id, old) in before {
        let new = cluster.display(*id);
        if *old != new {
            writeln!(output, "{old} ⇨ {new}").unwrap();
        }
    }
    for line in cluster.sent.replace(Vec::new()).unwrap_or_default() {
        writeln!(output, "{line}").unwrap();
    }
    for (node, answer) in cluster.answers.drain(..) {
        match answer {
            Answer::Accepted { id, entry } => writeln!(output, "{node} answers {id}: accepted as {entry}"),
            Answer::Forwarded { id, to } => writeln!(output, "{node} answers {id}: forwarded to {to}"),
            Answer::Refused { id, why } => writeln!(output, "{node} answers {id}: refused, {why}"),
            Answer::ReadAt { id, index } => writeln!(output, "{node} answers {id}: read at {index}"),
            Answer::Transferred { id, to } => writeln!(output, "{node} answers {id}: {to} leads"),
        }
        .unwrap();
    }
}

fn run(command: &str, slot: &mut Option<Cluster>, output: &mut String) {
    let mut words = command.split_whitespace();
    let verb = words.next().expect("a command has a verb");
    let rest: Vec<&str> = words.collect();
    if verb == "cluster" {
        *slot = Some(start(&rest));
        return;
    }
    let cluster = slot.as_mut().expect("a script starts with a cluster");
    let node = || NodeId(rest.first().expect("which node?").trim_start_matches('n').parse().unwrap());
    match verb {
        "timeout" => {
            cluster.advance(Duration::from_millis(300));
            cluster.timeout(node(), Timer::Election);
        }
        "wait" => cluster.advance(Duration::from_millis(300)),
        "heartbeat" => cluster.timeout(node(), Timer::Heartbeat),
        "deliver" => deliver(cluster, rest.first().copied()),
        "drop" => cluster.mail.retain(|envelope| envelope.from != node() && envelope.to != node()),
        "isolate" => cluster.isolate(node()),
        "heal" => cluster.cut.clear(),
        "crash" => cluster.crash(node()),
        "restart" => {
            cluster.crash(node());
            cluster.start(node());
        }
        "propose" => {
            cluster.propose(node(), rest[1]);
        }
        "read" => {
            cluster.read(node());
        }
        "join" => cluster.join(node()),
        "change" => {
            cluster.change(node(), rest[1..].iter().map(|text| change(text)).collect());
        }
        "transfer" => {
            let to = rest.get(1).map(|text| NodeId(text.parse().unwrap()));
            cluster.transfer(node(), to);
        }
        "abandon" => cluster.timeout(node(), Timer::Transfer),
        "snapshot" => cluster.snapshot(node()),
        "fetch" => cluster.fetch(node()),
        "log" => {
            let raft = cluster.nodes[&node()].raft.as_ref().expect("a node that is down shows nothing");
            let log = raft.log();
            let names: Vec<String> =
                log.between(log.base().index(), log.last().index).iter().map(ToString::to_string).collect();
            writeln!(output, "{} log [{}] commit={}", node(), names.join(" "), raft.commit()).unwrap();
        }
        _ => panic!("no command `{verb}`"),
    }
}

fn change(text: &str) -> Change {
    let node = |text: &str| NodeId(text.parse().expect("a node is a number"));
    match text.split_once('=') {
        Some(("promote", id)) => Change::Promote(node(id)),
        Some(("demote", id)) => Change::Demote(node(id)),
        _ => match text {
            "+voter" => Change::AddVoter { context: "".into() },
            "+learner" => Change::AddLearner { context: "".into() },
            _ => Change::Remove(node(text.strip_prefix('-').expect("a change looks like +voter or -3"))),
        },
    }
}

fn start(options: &[&str]) -> Cluster {
    let mut count = 3;
    let mut append_bytes = None;
    let mut tail = None;
    let mut lease = None;
    let mut bugs = Vec::new();
    for option in options {
        match option.split_once('=').expect("options look like nodes=3") {
            ("nodes", value) => count = value.parse().unwrap(),
            ("append", value) => append_bytes = Some(value.parse().unwrap()),
            ("tail", value) => tail = Some(value.parse().unwrap()),
            ("lease", value) => lease = Some(Lease { drift: value.parse().unwrap() }),
            ("bugs", value) => bugs.extend(value.split(',').map(|name| name.parse::<Bug>().unwrap())),
            (name, _) => panic!("no option `{name}`"),
        }
    }
    let tolerant = !bugs.is_empty();
    let mut cluster = Cluster::new(count, move |config| {
        config.bugs = Bugs::of(bugs.clone());
        config.append_bytes = append_bytes.unwrap_or(config.append_bytes);
        config.tail = tail.map_or(config.tail, |usual| Tail { usual, most: usual * 2 });
        config.lease = lease;
    });
    cluster.tolerant = tolerant;
    cluster.sent = Some(Vec::new());
    cluster
}

fn deliver(cluster: &mut Cluster, link: Option<&str>) {
    let Some((from, to)) = link.and_then(|link| link.split_once('→')) else {
        cluster.settle();
        return;
    };
    let (from, to) = (NodeId(from.parse().unwrap()), NodeId(to.parse().unwrap()));
    let (mine, others): (Vec<_>, Vec<_>) =
        cluster.mail.drain(..).partition(|envelope| envelope.from == from && envelope.to == to);
    cluster.mail.extend(others);
    for envelope in mine {
        cluster.deliver(envelope);
    }
}
