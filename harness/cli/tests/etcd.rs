//! The same test against etcd itself: it keeps its promises, and the faults are real.
//!
//! Where etcd is not installed, these tests say so and pass.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

#[expect(clippy::print_stdout, reason = "a test that is skipped says why")]
fn installed() -> bool {
    let asked = Command::new("etcd").arg("--version").stdout(Stdio::null()).status();
    let installed = asked.is_ok_and(|status| status.success());
    if !installed {
        println!("skipped: etcd is not installed (apt-get install etcd-server)");
    }
    installed
}

/// A run's results, and what its `run.json` says. Faults come and go as fast as a short run wants.
fn run(workload: &str, nemesis: &str, seed: &str, out: &Path) -> (Value, Value) {
    run_for("8", workload, nemesis, seed, out)
}

fn run_for(seconds: &str, workload: &str, nemesis: &str, seed: &str, out: &Path) -> (Value, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["run", "--system", "etcd", "--workload", workload, "--nemesis", nemesis, "--seed", seed])
        .args(["--time-limit", seconds, "--interval", "2,1", "--json", "--out"])
        .arg(out)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
    let results: Value = serde_json::from_slice(&output.stdout).unwrap();
    let plan = fs::read(out.join("latest/run.json")).unwrap();
    (results, serde_json::from_slice(&plan).unwrap())
}

/// The faults of this kind that had an effect.
fn bit<'a>(results: &'a Value, kind: &str) -> Vec<&'a Value> {
    let faults = results["faults"].as_array().unwrap().iter();
    faults.filter(|fault| fault["fault"] == kind && fault["bite"]["bit"] == true).collect()
}

/// What is written down of a run's end of such a fault.
fn evidence(out: &Path, f: &str) -> Vec<Value> {
    let history = fs::read_to_string(out.join("latest/history.jsonl")).unwrap();
    let lines = history.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let halves = lines.filter(|line| line["f"] == f && line["value"]["evidence"].is_object());
    halves.map(|line| line["value"]["evidence"].clone()).collect()
}

#[test]
fn etcd_keeps_its_promises_through_kills_and_pauses_and_nothing_of_it_is_left() {
    if !installed() {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let (results, run) = run("register", "kill,pause", "1", out.path());
    assert_eq!(results["verdict"], "valid");
    assert!(!bit(&results, "kill").is_empty() && !bit(&results, "pause").is_empty(), "{results:#}");
    assert!(run["versions"]["n1"].as_str().is_some_and(|version| version.starts_with("3.")), "{run:#}");
    assert_eq!(run["settings"]["election-timeout"], "300");

    let started = run["nodes"].as_object().unwrap().values().map(|node| &node["pid"]);
    let born = evidence(out.path(), "heal-kill");
    let born = born.iter().flat_map(|evidence| evidence["births"].as_array().unwrap());
    for pid in started.chain(born.map(|birth| &birth["pid"])) {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "process {pid} is still there");
    }
}

/// Of versions, of the revisions of changes, and of those that transactions are held against.
#[test]
fn a_workload_makes_the_same_of_etcds_numbers_as_of_ours() {
    if !installed() {
        return;
    }
    for (workload, nemesis, seconds) in
        [("counter", "none", "2"), ("unique-ids", "none", "2"), ("bank", "kill", "6")]
    {
        let out = tempfile::tempdir().unwrap();
        let (results, _) = run_for(seconds, workload, nemesis, "1", out.path());
        assert_eq!(results["checks"][0]["name"], workload);
        assert_eq!(results["verdict"], "valid", "{workload}: {results:#}");
    }
}

#[test]
fn a_member_of_etcd_is_replaced_and_its_successor_votes() {
    if !installed() {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let (results, _) = run("register", "membership", "1", out.path());
    assert_eq!(results["verdict"], "valid", "{results:#}");
    assert!(!bit(&results, "membership").is_empty(), "{results:#}");
    let (gone, new) = (&evidence(out.path(), "membership")[0], &evidence(out.path(), "heal-membership")[0]);
    let (node, removal) = gone["removals"].as_object().unwrap().iter().next().unwrap();
    assert_eq!(removal["led"], true, "the first goes for the leader: {gone:#}");
    assert_ne!(removal["member"], new["joinings"][node]["member"]);
}

#[test]
fn a_partition_of_etcd_cuts_the_links_of_the_isolated_leader_and_no_others() {
    if !installed() {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let (results, _) = run("cas-register", "partition", "1", out.path());
    assert_eq!(results["verdict"], "valid");
    let partition = bit(&results, "partition")[0];
    let [leader, others] = partition["blocks"].as_array().unwrap().as_slice() else {
        panic!("the first partition isolates the leader: {partition:#}")
    };
    assert_eq!((leader.as_array().unwrap().len(), others.as_array().unwrap().len()), (1, 2));
    let leader = leader[0].as_str().unwrap();

    // Each of them dials the leader, and the leader dials each of them: all four stood still, and
    // what etcd's members had to say to each other meanwhile waited there.
    let evidence = &evidence(out.path(), "heal-partition")[0];
    let links = evidence["links"].as_object().unwrap();
    let expected: BTreeSet<String> = others
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|other| {
            let other = other.as_str().unwrap();
            [format!("{leader}→{other}"), format!("{other}→{leader}")]
        })
        .collect();
    assert_eq!(links.keys().cloned().collect::<BTreeSet<_>>(), expected);
    for (link, kept) in links {
        assert!(kept["held"].as_u64() > Some(0), "{link} carried nothing: {evidence:#}");
    }
    let bytes: u64 = links.values().filter_map(|kept| kept["bytes"].as_u64()).sum();
    assert!(bytes > 0, "{evidence:#}");
    assert!(results["figures"]["leader_changes"].as_u64() > Some(0), "the others went on without it");
}

#[test]
fn a_mistake_that_etcd_does_not_have_is_refused_as_such() {
    let output = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["run", "--system", "etcd", "--bug", "skip-read-quorum", "--bin", "/bin/false"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(254));
    assert!(String::from_utf8_lossy(&output.stderr).contains("etcd has no planted bugs"));
}

#[test]
fn where_etcd_is_missing_the_cure_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["run", "--system", "etcd"])
        .env("PATH", "/nowhere")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(254));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("etcd is not installed: apt-get install etcd-server"), "{said}");
}
