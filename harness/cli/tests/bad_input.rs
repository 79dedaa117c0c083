//! Whatever a user gets wrong is named, ends with its own exit code, and changes nothing.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

fn harness(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_harness")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Runs, and expects a refusal that says all of `words`.
fn refused(arguments: &[&str], words: &[&str]) {
    let output = harness(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(254), "{arguments:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{arguments:?} should speak of `{word}`: {said}");
    }
}

#[test]
fn what_does_not_exist_is_named_with_what_does() {
    refused(&["run", "--workload", "regster"], &["regster", "register", "cas-register", "bank"]);
    refused(&["run", "--system", "mongo"], &["mongo", "raft"]);
    refused(&["run", "--nemesis", "earthquake"], &["earthquake", "partition", "kill"]);
    refused(&["run", "--bug", "heisenbug"], &["heisenbug", "skip-read-quorum"]);
    refused(&["check", "--model", "queue", "x"], &["queue", "cas-register"]);
    refused(&["dance"], &["dance"]);
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    refused(&["run", "--nodes", "0"], &["--nodes 0"]);
    refused(&["run", "--concurrency", "many"], &["--concurrency", "2n"]);
    refused(&["run", "--time-limit", "-1"], &["-1"]);
    refused(&["run", "--interval", "5"], &["--interval"]);
    refused(&["run", "--rate=-3"], &["--rate"]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    refused(&["check", "no/such/history.jsonl"], &["no/such/history.jsonl"]);
    refused(&["run", "--schedule", "no/such/schedule.toml"], &["no/such/schedule.toml"]);
    refused(&["run", "--out", "/dev/null/x"], &["/dev/null/x"]);
}

#[test]
fn a_malformed_line_of_a_history_is_named_by_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    let good = r#"{"index":0,"time":1,"process":0,"type":"invoke","f":"write","key":"x","value":1}"#;
    let wrong = r#"{"index":1,"time":2,"process":0,"type":"okay","f":"write","key":"x","value":1}"#;
    std::fs::write(&path, format!("{good}\n{wrong}\n")).unwrap();
    refused(&["check", path.to_str().unwrap()], &["history.jsonl", "line 2"]);
    let before = std::fs::read(&path).unwrap();
    refused(&["check", path.to_str().unwrap()], &["line 2"]);
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

const FOREIGN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../histories/corpus/foreign");

#[test]
fn a_history_that_does_not_fit_its_format_or_model_is_named_with_both() {
    let log = format!("{FOREIGN}/cas-should-have-won.log");
    let kv = format!("{FOREIGN}/lost-append.txt");
    refused(&["check", &log, "--model", "kv"], &["jepsen-log", "kv", "line 1", "`read`", "get, put, append"]);
    refused(&["check", &kv, "--model", "register"], &["porcupine-kv", "register", "line 1", "`append`"]);
    refused(&["check", &kv, "--format", "jepsen-log"], &["line 1", "is not a line of jepsen-log"]);
    refused(&["check", &log, "--format", "jsonl"], &["line 1", "is not a line of a history"]);
    refused(&["check", &log, "--format", "csv"], &["csv", "jepsen-log", "porcupine-kv"]);
}

#[test]
fn a_file_of_no_known_format_is_named_with_how_it_begins() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.csv");
    std::fs::write(&path, "process,type,f\n0,invoke,read\n").unwrap();
    refused(
        &["check", path.to_str().unwrap()],
        &["history.csv", "`process,type,f`", "jsonl, edn, jepsen-log, porcupine-kv"],
    );
}

#[test]
fn format_and_model_are_found_out_and_said() {
    let good = concat!(env!("CARGO_MANIFEST_DIR"), "/../../histories/corpus/good/two-keys.jsonl");
    for (file, format, model, code) in [
        (good.to_owned(), "jsonl", "cas-register", 0),
        (format!("{FOREIGN}/cas-should-have-won.log"), "jepsen-log", "cas-register", 1),
        (format!("{FOREIGN}/lost-append.txt"), "porcupine-kv", "kv", 1),
    ] {
        let output = harness(&["check", &file]);
        assert_eq!(output.status.code(), Some(code), "{file}");
        let said = String::from_utf8_lossy(&output.stdout);
        let expected = format!("lines of {format}, held against {model} in ");
        assert!(said.contains(&expected), "{said}");
        let json = harness(&["check", &file, "--json"]);
        let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        assert_eq!(
            (&json["files"][0]["format"], &json["files"][0]["model"]),
            (&format.into(), &model.into())
        );
    }
}

#[test]
fn an_empty_file_is_the_empty_history() {
    for format in ["auto", "jsonl", "edn", "jepsen-log", "porcupine-kv"] {
        let output = harness(&["check", "/dev/null", "--format", format]);
        assert_eq!(output.status.code(), Some(0), "{format}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let expected = "nothing to judge: there is no op of any client\nverdict: valid\n";
        assert!(said.ends_with(expected), "{said}");
    }
}

#[test]
fn a_torn_last_line_is_no_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    let good = r#"{"index":0,"time":1,"process":0,"type":"invoke","f":"write","key":"x","value":1}"#;
    std::fs::write(&path, format!("{good}\n{{\"index\":1,\"ti")).unwrap();
    let output = harness(&["check", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("torn"));
}

#[test]
fn of_several_histories_the_worst_decides() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../histories/corpus");
    let good = format!("{corpus}/good/concurrent-reads.jsonl");
    let bad = format!("{corpus}/bad/stale-read.jsonl");
    assert_eq!(harness(&["check", &good]).status.code(), Some(0));
    assert_eq!(harness(&["check", &good, &bad]).status.code(), Some(1));
    assert_eq!(harness(&["check", &bad, "no-such-file", &good]).status.code(), Some(254));
}

#[test]
fn a_history_may_come_from_standard_input() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../histories/corpus");
    let bad = std::fs::read(format!("{corpus}/bad/stale-read.jsonl")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["check", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&bad).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\"verdict\": \"invalid\"") && text.contains("\"sentence\""), "{text}");
}

#[test]
fn a_model_judges_only_ops_that_it_knows() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../histories/corpus/good");
    let cas = format!("{corpus}/cas-found-another-value.jsonl");
    refused(&["check", "--model", "register", &cas], &["cas-found-another-value.jsonl", "`cas` at index"]);
    assert_eq!(harness(&["check", "--model", "cas-register", &cas]).status.code(), Some(0));
}

#[test]
fn a_schedule_for_more_nodes_says_how_many_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("schedule.toml");
    let step = "[[step]]\nat = \"1s\"\nuntil = \"2s\"\nfault = \"kill\"\nnodes = [\"n4\"]\n";
    std::fs::write(&path, step).unwrap();
    refused(&["run", "--schedule", path.to_str().unwrap()], &["n4", "--nodes 3"]);
}

#[test]
fn a_life_that_cannot_be_lived_is_refused_with_a_cure() {
    refused(&["sim", "--system", "etcd"], &["etcd", "only raft"]);
    refused(&["sim", "--seeds", "9..3"], &["9..3", "did you mean 3..9?"]);
    refused(&["sim", "--seeds", "4..4"], &["4..4", "--seeds 4"]);
    refused(&["sim", "--seeds", "all"], &["all", "0..100"]);
    refused(&["sim", "--nemesis", "earthquake"], &["earthquake", "power", "bit-flip"]);
    refused(&["sim", "--workload", "regster"], &["regster", "register", "bank"]);
    refused(&["sim", "--bug", "heisenbug"], &["heisenbug", "skip-read-quorum"]);
    refused(&["sim", "--nodes", "0"], &["--nodes 0", "1 to 9"]);
    refused(&["sim", "--concurrency", "0n"], &["--concurrency 0n", "from 1 to 1000"]);
    refused(&["sim", "--concurrency", "999999999999999999999n"], &["too many", "1000"]);
    refused(&["sim", "--seeds", "-1"], &["--seeds", "`-1` is no seed", "from 0"]);
    refused(&["sim", "--seeds", "99999999999999999999"], &["is no seed", "18446744073709551614"]);
    refused(&["run", "--seed", "-1"], &["--seed", "from 0 to 18446744073709551615"]);
    refused(&["sim", "--rate", "NaN"], &["--rate NaN"]);
    refused(&["sim", "--rate", "1000", "--time-limit", "86400"], &["--rate 1000", "86400 s", "1000000 ops"]);
    refused(&["sim", "--nemesis", "partition", "--nodes", "1"], &["--nemesis", "partition", "1 node"]);
    refused(&["sim", "--bug", "R37"], &["R37", "known: vote-twice", "execute-twice"]);
    refused(&["sim", "--rate=-3"], &["--rate"]);
    refused(&["sim", "--time-limit", "1e9"], &["--time-limit", "86400"]);
    refused(&["sim", "--threads", "0"], &["--threads 0", "from 1"]);
    refused(&["sim", "--trace"], &["--trace", "100 were asked for", "--seeds 0"]);
    refused(&["sim", "--out", "/dev/null/x"], &["/dev/null is no folder"]);
    refused(&["sim", "--out", "/proc/x"], &["--out /proc/x", "nothing can be written in /proc"]);
    refused(&["suite", "bugs-raft", "--out", "/proc/x"], &["--out /proc/x"]);
    refused(&["suite", "bugs-raft", "--junit", "/no/such/junit.xml"], &["--junit", "no folder /no/such"]);
    refused(&["suite", "bugs-raft", "--budget", "1e99"], &["--budget 1e99", "at most"]);
    refused(&["sim", "--schedule", "no/such/schedule.toml"], &["no/such/schedule.toml"]);
    refused(&["suite", "bugs-rafft"], &["bugs-rafft", "bugs-raft"]);
    refused(&["suite", "bugs-raft", "--only", "heisenbug"], &["--only", "heisenbug", "skip-read-quorum"]);
    refused(&["suite", "bugs-raft", "--budget", "0"], &["--budget"]);
    refused(&["suite", "bugs-raft", "--world", "moon"], &["moon", "sim", "real"]);
    refused(&["suite", "bugs-raft", "--world", "real", "--junit", "x.xml"], &["--junit"]);
    refused(&["suite", "bugs-raft", "--world", "outside", "--shrink"], &["--shrink", "--world sim"]);
}

#[test]
fn a_file_that_is_no_life_is_refused_with_where_lives_come_from() {
    refused(&["sim", "--life", "no/such/life.json"], &["no/such/life.json"]);
    refused(&["sim", "--life", "/dev/null"], &["/dev/null", "life.json in the folder of a bad one"]);
    refused(&["sim", "--life", "/dev/null", "--seeds", "0..5"], &["--life", "--seeds"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("life.json");
    std::fs::write(&path, "{\"system\": \"raft\", \"nodes\": 3}").unwrap();
    refused(
        &["sim", "--life", path.to_str().unwrap()],
        &["missing field `workload`", "life.json in the folder"],
    );
}

#[test]
fn an_op_that_nobody_would_ask_is_refused_with_its_place() {
    let life = include_str!("../../sim/tests/life.json");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("life.json");
    for (was, is, words) in [
        ("\"seat\": 3", "\"seat\": 6", &["`asks`, op 1 of 1", "`seat` is 6", "the last is 5"][..]),
        ("\"time\": \"472.863251ms\"", "\"time\": \"2s\"", &["op 1 of 1", "`time` is 2s", "473.464256ms"]),
        ("\"f\": \"read\"", "\"f\": \"dance\"", &["op 1 of 1", "`dance`", "read, write"]),
        ("\"patience\": \"5s\"", "\"patience\": 5", &["line ", "a string"]),
        ("\"patience\": \"5s\"", "\"patience\": \"5\"", &["line ", "`5` is not a length of time", "2.5s"]),
        ("at = \\\"0.0", "at = \\\"O.0", &["`schedule`, line 4", "`O.0"]),
    ] {
        assert!(life.contains(was), "{was}");
        std::fs::write(&path, life.replace(was, is)).unwrap();
        refused(&["sim", "--life", path.to_str().unwrap()], words);
    }
    let (head, asks) = life.split_once("\"asks\": [").unwrap();
    let tail = asks.rsplit_once(']').unwrap().1;
    std::fs::write(&path, format!("{head}\"asks\": []{tail}")).unwrap();
    let output = harness(&["sim", "--life", path.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.ends_with("nothing to judge: no op was answered\nverdict: unknown\n"), "{said}");
}

#[test]
fn every_workload_that_is_judged_has_its_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recorded.jsonl");
    let file = path.to_str().unwrap();
    let history = |ops: &[(&str, &str, &str)]| {
        let lines = ops.iter().enumerate().flat_map(|(place, (f, asked, answered))| {
            let line = |index: usize, kind: &str, value: &str| {
                format!(
                    r#"{{"index":{index},"time":{index},"process":0,"type":"{kind}","f":"{f}","key":"x","value":{value}}}"#
                )
            };
            [line(2 * place, "invoke", asked), line(2 * place + 1, "ok", answered)]
        });
        std::fs::write(&path, lines.map(|line| line + "\n").collect::<String>()).unwrap();
    };
    for (model, ops, code) in [
        ("set", [("add", "3", "3"), ("read", "null", "[3]")], 0),
        ("set", [("add", "3", "3"), ("read", "null", "[]")], 1),
        ("counter", [("add", "3", "3"), ("read", "null", "3")], 0),
        ("counter", [("add", "3", "3"), ("read", "null", "4")], 1),
        ("unique-ids", [("generate", "null", "1"), ("generate", "null", "2")], 0),
        ("unique-ids", [("generate", "null", "1"), ("generate", "null", "1")], 1),
        ("bank", [("read", "null", "[10,10,10,10]"), ("read", "null", "[10,10,10,10]")], 0),
        ("bank", [("read", "null", "[10,10,10,10]"), ("read", "null", "[9,10,10,10]")], 1),
    ] {
        history(&ops);
        let output = harness(&["check", "--model", model, file]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "{model}: {said}");
        assert!(said.contains(&format!("held against {model} in")), "{said}");
    }
    // What says it itself needs no flag.
    history(&[("generate", "null", "1")]);
    assert_eq!(harness(&["check", file]).status.code(), Some(0));
    history(&[("add", "3", "3")]);
    refused(&["check", file], &["`add`", "--model set", "--model counter"]);
}

/// Ops that several workloads ask say nothing of what they are held against; the record of the run does.
#[test]
fn the_history_of_a_run_that_was_cut_short_is_held_against_what_its_run_json_names() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let read = |kind: &str, value: &str| {
        let index = u8::from(kind == "ok");
        format!(
            r#"{{"index":{index},"time":{index},"process":0,"type":"{kind}","f":"read","key":"x","value":{value}}}"#
        )
    };
    write("history.jsonl", &format!("{}\n{}\n", read("invoke", "null"), read("ok", "[10,10,10,10]")));
    let path = folder.path().to_str().unwrap();
    refused(&["check", path], &["history.jsonl"]);
    write("run.json", r#"{"workload":"bank"}"#);
    let output = harness(&["check", path]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("held against bank in") && said.contains("it left no results.json"), "{said}");
    write("run.json", "{");
    refused(&["check", path], &["run.json"]);
}

#[test]
fn help_is_an_answer() {
    for arguments in [
        &["--help"][..],
        &["run", "--help"],
        &["check", "--help"],
        &["sim", "--help"],
        &["suite", "--help"],
        &["--version"],
    ] {
        assert_eq!(harness(arguments).status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn a_bench_that_cannot_be_is_refused_before_a_node_is_started() {
    refused(&["bench", "raft", "--nodes", "0"], &["0 nodes"]);
    refused(&["bench", "raft", "--failover", "0"], &["--failover"]);
    refused(&["bench", "raft", "--failover", "3", "--nodes", "2"], &["--failover", "2 others"]);
    refused(&["bench", "raft", "--failover", "3", "--rounds", "2"], &["--failover", "--rounds"]);
    refused(&["bench", "raft", "--against", "nothing"], &["unknown system `nothing`"]);
    refused(&["bench", "raft", "--clients", "1,0"], &["--clients"]);
    refused(&["bench", "raft", "--clients", "1,1000000"], &["1000000 clients"]);
}
