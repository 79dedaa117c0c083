//! Whole runs, of a system whose promises are known to hold, or not to.
#![expect(clippy::unwrap_used, reason = "in a test, what must not fail may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nemesis::{Kind, Kinds, Rhythm, Schedule};
use runner::{Error, Phase, Plan, Progress, Report, Silent, run};
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// The server of `examples/forgetful.rs`, which cargo builds beside the tests.
fn forgetful() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.ancestors().nth(2).unwrap().join("examples/forgetful")
}

/// Two seconds of one forgetful node, at a pace that leaves a short history.
fn plan(out: &TempDir) -> Plan {
    Plan {
        bin: Some(forgetful()),
        nodes: 1,
        concurrency: Some(3),
        rate: 200.0,
        time_limit: Duration::from_secs(2),
        rhythm: Rhythm { calm: millis(300), on: millis(300), off: millis(300) },
        seed: 7,
        out: out.path().to_owned(),
        ..Plan::default()
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

async fn go(plan: Plan) -> Result<Report, Error> {
    run(plan, Arc::new(Silent), CancellationToken::new()).await
}

fn lines(folder: &Path, f: &str) -> Vec<Value> {
    let history = fs::read_to_string(folder.join("history.jsonl")).unwrap();
    let lines = history.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["f"] == f).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_left_in_peace_keeps_its_promise_and_the_folder_tells_all_about_it() {
    let out = tempfile::tempdir().unwrap();
    let report = go(plan(&out)).await.unwrap();
    assert_eq!((report.verdict, report.exit_code()), ("valid", 0), "{:?}", report.reason);
    assert!(report.figures.ops.ok > 50 && report.figures.p50_ms.is_some());

    let folder = out.path().join("latest");
    assert_eq!(fs::canonicalize(&folder).unwrap(), report.folder);
    let json = |name: &str| -> Value {
        serde_json::from_str(&fs::read_to_string(folder.join(name)).unwrap()).unwrap()
    };
    assert_eq!(json("results.json")["verdict"], "valid");
    let run = json("run.json");
    assert_eq!((&run["seed"], &run["versions"]["n1"]), (&Value::from(7), &Value::from("forgetful")));
    assert!(run["binary"]["crc32c"].is_string());
    assert!(folder.join("certificate.json").exists());
    assert!(folder.join("nodes/n1/stderr").exists());
    assert_eq!(lines(&folder, "await-health").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_forgets_when_it_is_killed_is_caught() {
    let out = tempfile::tempdir().unwrap();
    let killed = Plan { nemesis: Kinds::of([Kind::Kill]), ..plan(&out) };
    let report = go(killed).await.unwrap();
    assert_eq!((report.verdict, report.exit_code()), ("invalid", 1), "{:?}", report.reason);
    assert!(report.reason.is_some());
    assert!(report.faults.iter().any(|fault| fault.bite.bit), "{:?}", report.faults);

    let kills = lines(&report.folder, "kill");
    assert_eq!(kills[0]["value"]["nodes"][0], "n1");
    assert_eq!(kills[1]["value"]["evidence"]["deaths"][0]["status"], "signal 9");
    let heals = lines(&report.folder, "heal-kill");
    assert!(heals[1]["value"]["evidence"]["births"][0]["pid"].is_u64());

    let schedule = fs::read_to_string(report.folder.join("schedule.toml")).unwrap();
    let schedule = Schedule::parse(&schedule, &nemesis::cluster(1)).unwrap();
    assert_eq!(schedule.steps.len(), report.faults.len());
    let again = go(Plan { schedule: Some(schedule), ..plan(&out) }).await.unwrap();
    assert_eq!(again.verdict, "invalid", "the same faults show the same mistake");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_know_nothing_of_each_other_are_caught_without_any_fault() {
    let out = tempfile::tempdir().unwrap();
    let report = go(Plan { nodes: 3, ..plan(&out) }).await.unwrap();
    assert_eq!(report.verdict, "invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_that_never_bite_prove_nothing() {
    let out = tempfile::tempdir().unwrap();
    let alone = Plan { nemesis: Kinds::of([Kind::Partition]), ..plan(&out) };
    let report = go(alone).await.unwrap();
    assert_eq!((report.verdict, report.exit_code()), ("unknown", 2));
    let reason = report.reason.unwrap();
    assert!(reason.contains("none bit") && reason.contains("needs 2 nodes"), "{reason}");
}

/// Cancels as soon as the clients begin.
struct Impatient(CancellationToken);

impl Progress for Impatient {
    fn phase(&self, phase: Phase) {
        if phase == Phase::Running {
            self.0.cancel();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_ends_at_once_and_says_so() {
    let out = tempfile::tempdir().unwrap();
    let cancel = CancellationToken::new();
    let endless = Plan { time_limit: Duration::from_hours(1), ..plan(&out) };
    let report = run(endless, Arc::new(Impatient(cancel.clone())), cancel).await.unwrap();
    assert_eq!(report.verdict, "unknown");
    assert!(report.reason.unwrap().contains("interrupted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_missing_or_ends_at_once_is_named_and_is_no_verdict() {
    let out = tempfile::tempdir().unwrap();
    let missing = Plan { bin: Some("/nowhere/raft-node".into()), ..plan(&out) };
    let error = go(missing).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/raft-node"), "{error}");
    assert_eq!(error.exit_code(), 254);
    let ends = Plan { bin: Some("/bin/false".into()), ..plan(&out) };
    let error = go(ends).await.unwrap_err();
    assert!(error.to_string().contains("n1 ended while it started (exit 1)"), "{error}");
    assert_eq!(error.exit_code(), 255);
}
