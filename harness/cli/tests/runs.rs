//! The whole way, with the program as it is shipped: real nodes, real faults, a verdict.
//!
//! A testbed that never says no proves nothing, and one that always does proves as little. So each
//! planted mistake must be caught, with the evidence, and the same plan without it must pass.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::fs;
use std::process::{Command, Output, Stdio};

use nemesis::{Aim, Schedule};
use serde_json::Value;
use tempfile::TempDir;

/// Two seconds of calm, a partition around the leader, and time to show what came of it. Many clients,
/// so that many are cut off together with the leader: each goes on until its first question that
/// needs a quorum, and of eight that was four writes in all, which others covered before anybody had read them. Few
/// ops a second, so that a lost write is not covered by the next one, however fast the machine is.
#[rustfmt::skip]
const PLAN: [&str; 10] = [
    "--nemesis", "partition", "--time-limit", "9", "--seed", "1", "--concurrency", "96", "--rate", "400",
];

/// A run's exit code, and the one object that it prints.
fn run(out: &TempDir, arguments: &[&str]) -> (Option<i32>, Value) {
    let mut harness = Command::new(env!("CARGO_BIN_EXE_harness"));
    harness.args(["run", "--json", "--out"]).arg(out.path()).args(arguments).stdin(Stdio::null());
    let output = harness.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout);
    (output.status.code(), report.unwrap_or_else(|error| panic!("{error} on standard output; {said}")))
}

/// With this mistake switched on, the run must be invalid and two ops at least must be named.
fn is_caught(bug: &str) {
    let out = tempfile::tempdir().unwrap();
    let (code, report) = run(&out, &[&PLAN[..], &["--bug", bug]].concat());
    assert_eq!((code, &report["verdict"]), (Some(1), &Value::from("invalid")), "{report:#}");
    let witness = &report["checks"][0]["witness"];
    let named = witness["ops"].as_array().unwrap().iter().filter(|op| op["named"] == true);
    let named: Vec<&Value> = named.collect();
    assert!(named.len() >= 2, "{witness:#}");
    let sentence = witness["sentence"].as_str().unwrap();
    for op in named {
        let process = format!("process {}", op["process"]);
        assert!(sentence.contains(&process), "{process} is missing in: {sentence}");
    }
}

#[test]
fn a_leader_that_reads_without_asking_a_quorum_is_caught() {
    is_caught("skip-read-quorum");
}

#[test]
fn a_leader_that_acknowledges_before_a_quorum_has_it_is_caught() {
    is_caught("ack-before-quorum");
}

#[test]
fn the_same_plan_without_a_mistake_is_valid() {
    let out = tempfile::tempdir().unwrap();
    let (code, report) = run(&out, &PLAN);
    assert_eq!((code, &report["verdict"]), (Some(0), &Value::from("valid")), "{report:#}");
    assert_eq!(report["faults"][0]["bite"]["bit"], true, "{report:#}");
    let run = fs::read(out.path().join("latest/run.json")).unwrap();
    let run: Value = serde_json::from_slice(&run).unwrap();
    let harness = fs::canonicalize(env!("CARGO_BIN_EXE_harness")).unwrap();
    assert_eq!(
        run["nodes"]["n1"]["program"],
        harness.to_str().unwrap(),
        "the record names the file that ran"
    );
}

/// Kills of one node that never syncs. On a real disk nothing is lost by that, which is why it takes a
/// lossy one; and on that, a node without the mistake loses nothing either.
#[test]
fn a_missing_sync_is_caught_on_a_lossy_disk_and_only_there() {
    let kills =
        ["--nemesis", "kill", "--nodes", "1", "--time-limit", "6", "--interval", "1,1", "--seed", "1"];
    let verdict = |more: &[&str]| {
        let out = tempfile::tempdir().unwrap();
        let (_, report) = run(&out, &[&kills[..], more].concat());
        assert_eq!(report["faults"][0]["bite"]["bit"], true, "{report:#}");
        let record: Value =
            serde_json::from_slice(&fs::read(out.path().join("latest/run.json")).unwrap()).unwrap();
        (report["verdict"].clone(), record["disk"].clone(), report["notes"].to_string())
    };
    let (found, disk, notes) = verdict(&["--disk", "lossy", "--bug", "skip-sync"]);
    assert_eq!((&found, &disk), (&"invalid".into(), &"lossy".into()), "{notes}");
    assert!(notes.contains("bytes that were not synced and died in kills"), "{notes}");
    let (found, disk, notes) = verdict(&["--disk", "real", "--bug", "skip-sync"]);
    assert_eq!((&found, &disk), (&"valid".into(), &"real".into()), "{notes}");
    let (found, _, notes) = verdict(&["--disk", "lossy"]);
    assert_eq!(found, "valid", "{notes}");
}

/// A second of calm, then the leader is alone for two.
const ALONE: &str = "at = \"1s\"\nlasting = \"2s\"\nfault = \"partition\"\nshape = \"isolate-leader\"";
/// Everybody dies, time after time.
const DEAD: &str = "at = \"1s\"\nevery = \"1500ms\"\nlasting = \"200ms\"\nfault = \"kill\"\nnodes = \"all\"";
/// As many clients as in [`PLAN`], for the same reason.
#[rustfmt::skip]
const MANY: [&str; 6] = ["--concurrency", "96", "--rate", "400", "--time-limit", "4"];
/// Fewer, where an op that nobody answered can explain so much that judging takes long.
#[rustfmt::skip]
const SOME: [&str; 6] = ["--concurrency", "24", "--rate", "400", "--time-limit", "4"];
/// Hardly any, where such an op could explain what is wrong; and snapshots so often that whoever begins again begins
/// with one.
#[rustfmt::skip]
const FEW: [&str; 10] = [
    "--concurrency", "6", "--rate", "200", "--time-limit", "6",
    "--set", "snapshot-count=20", "--set", "snapshot-catchup-entries=5",
];

/// Under this fault, the workload finds this mistake, and nothing without it. Whoever judges the run's folder again
/// comes to the same.
fn is_caught_by(workload: &str, bug: &str, fault: &str, plan: &[&str]) {
    let out = tempfile::tempdir().unwrap();
    let schedule = out.path().join("schedule.toml");
    fs::write(&schedule, format!("[[step]]\n{fault}\n")).unwrap();
    let schedule = schedule.to_str().unwrap();
    let asked = ["--workload", workload, "--schedule", schedule, "--seed", "1"];
    for (more, code, verdict) in [(&["--bug", bug][..], 1, "invalid"), (&[], 0, "valid")] {
        let (ended, report) = run(&out, &[&asked[..], plan, more].concat());
        assert_eq!((ended, &report["verdict"]), (Some(code), &Value::from(verdict)), "{more:?}: {report:#}");
        assert_eq!(report["faults"][0]["bite"]["bit"], true, "{report:#}");
        let check = &report["checks"][0];
        assert_eq!((&check["name"], &check["verdict"]), (&workload.into(), &verdict.into()), "{report:#}");

        let again = check_again(&out);
        let said = String::from_utf8_lossy(&again.stdout);
        assert_eq!(again.status.code(), Some(code), "{said}");
        assert!(said.contains(&format!("held against {workload} in ")), "{said}");
    }
}

/// What the newest run's folder is judged to be.
fn check_again(out: &TempDir) -> Output {
    let mut harness = Command::new(env!("CARGO_BIN_EXE_harness"));
    harness.arg("check").arg(out.path().join("latest")).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn what_was_added_and_got_lost_is_missing_in_a_set() {
    is_caught_by("set", "ack-before-quorum", ALONE, &MANY);
}

/// Only a counter shows that something was done twice that may be done as often as one likes.
#[test]
fn what_was_executed_twice_shows_in_a_counter() {
    is_caught_by("counter", "execute-twice", DEAD, &FEW);
}

#[test]
fn a_revision_that_two_leaders_give_out_is_no_id() {
    is_caught_by("unique-ids", "ack-before-quorum", ALONE, &MANY);
}

#[test]
fn a_leader_that_reads_without_asking_a_quorum_shows_old_balances() {
    is_caught_by("bank", "skip-read-quorum", ALONE, &SOME);
}

#[test]
fn a_workload_that_nobody_judges_is_asked_and_its_verdict_says_so() {
    let out = tempfile::tempdir().unwrap();
    let (code, report) = run(&out, &["--workload", "list-append", "--time-limit", "2", "--rate", "100"]);
    assert_eq!((code, &report["verdict"]), (Some(2), &Value::from("unknown")), "{report:#}");
    assert_eq!(report["reason"], "nobody judges this workload yet");
    assert!(report["figures"]["by_f"]["txn"]["ok"].as_u64() > Some(50), "{report:#}");
    let again = check_again(&out);
    let said = String::from_utf8_lossy(&again.stderr);
    assert_eq!(again.status.code(), Some(254), "{said}");
    assert!(said.contains("no checker for transactions yet"), "{said}");
}

/// What was broken in the newest run, in order, as it was resolved.
fn broken(out: &TempDir) -> Vec<Aim> {
    let schedule = fs::read_to_string(out.path().join("latest/schedule.toml")).unwrap();
    let schedule = Schedule::parse(&schedule, &nemesis::cluster(3)).unwrap();
    schedule.steps.into_iter().map(|step| step.aim).collect()
}

#[test]
fn a_schedule_repeats_the_faults_of_another_run_to_the_node() {
    let out = tempfile::tempdir().unwrap();
    let short = ["--time-limit", "7", "--rate", "100"];
    let drawn = ["--nemesis", "kill,partition", "--interval", "1,1", "--seed", "5"];
    let (_, first) = run(&out, &[&short[..], &drawn].concat());
    let resolved = broken(&out);
    assert!(resolved.len() >= 2, "{first:#}");
    let schedule = out.path().join("schedule.toml");
    fs::copy(out.path().join("latest/schedule.toml"), &schedule).unwrap();

    let (code, again) =
        run(&out, &[&short[..], &["--seed", "6", "--schedule", schedule.to_str().unwrap()]].concat());
    assert_eq!(code, Some(0), "{again:#}");
    assert_eq!(broken(&out), resolved, "neither the seed nor who leads now makes a difference");
}

/// The evidence of the second half of each fault's line, by what it is called.
fn evidence(out: &TempDir, f: &str) -> Vec<Value> {
    let history = fs::read_to_string(out.path().join("latest/history.jsonl")).unwrap();
    let lines = history.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let halves = lines.filter(|line| line["f"] == f && line["value"]["evidence"].is_object());
    halves.map(|line| line["value"]["evidence"].clone()).collect()
}

#[test]
fn a_member_is_replaced_while_clients_work_and_so_is_its_successor() {
    a_member_is_replaced_twice("0");
}

/// Every question takes longer here than the operator rests between two of them.
#[test]
fn a_member_is_replaced_where_everybody_is_far_from_everybody() {
    a_member_is_replaced_twice("30");
}

/// Twice in the same seat: the second time, who goes is one that joined.
fn a_member_is_replaced_twice(delay: &str) {
    let out = tempfile::tempdir().unwrap();
    let schedule = out.path().join("schedule.toml");
    let step = |at: u8| {
        format!("[[step]]\nat = \"{at}s\"\nlasting = \"1s\"\nfault = \"membership\"\nnodes = [\"n2\"]\n")
    };
    fs::write(&schedule, [step(1), step(8)].concat()).unwrap();
    let path = schedule.to_str().unwrap();
    let arguments = ["--time-limit", "14", "--rate", "100", "--link-delay", delay, "--schedule", path];
    let (code, report) = run(&out, &arguments);
    assert_eq!((code, &report["verdict"]), (Some(0), &Value::from("valid")), "{report:#}");
    let (removals, joinings) = (evidence(&out, "membership"), evidence(&out, "heal-membership"));
    let [first, second] = [0, 1].map(|turn| removals[turn]["removals"]["n2"]["member"].clone());
    assert_eq!(joinings[0]["joinings"]["n2"]["member"], second, "who joined is who went then");
    assert_ne!(first, second);
    assert!(joinings.iter().all(|joining| joining["joinings"]["n2"]["votes"] == true), "{joinings:#?}");
    assert!(report["faults"].as_array().unwrap().iter().all(|fault| fault["bite"]["bit"] == true));
}

/// Without a quorum nobody is removed; the fault says so, its seat keeps its member, and the rest goes on.
#[test]
fn a_member_that_nobody_can_remove_stays_and_the_fault_did_not_bite() {
    let out = tempfile::tempdir().unwrap();
    let schedule = out.path().join("schedule.toml");
    let text = "[[step]]\nat = \"1s\"\nuntil = \"12s\"\nfault = \"kill\"\nnodes = [\"n2\", \"n3\"]\n\
                [[step]]\nat = \"2s\"\nuntil = \"3s\"\nfault = \"membership\"\nnodes = [\"n1\"]\n";
    fs::write(&schedule, text).unwrap();
    let arguments = ["--time-limit", "14", "--rate", "100", "--schedule", schedule.to_str().unwrap()];
    let (code, report) = run(&out, &arguments);
    assert_eq!((code, &report["verdict"]), (Some(0), &Value::from("valid")), "{report:#}");
    assert_eq!(report["untested"][0]["fault"], "membership", "{report:#}");
    let refused = &evidence(&out, "membership")[0]["removals"]["n1"]["refused"];
    assert_eq!(refused, "nobody says who the members are", "{report:#}");
    assert!(evidence(&out, "heal-membership")[0]["joinings"].is_null(), "the seat was never empty");
}
