//! Whole runs, of a system whose promises are known to hold, or not to.
#![expect(clippy::unwrap_used, reason = "in a test, what must not fail may panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nemesis::{Kind, Kinds, Rhythm, Schedule, Step, Time};
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

/// All that a report says beside its verdict.
fn told(report: &Report) -> String {
    format!("{:?} {:?}", report.reason, report.notes)
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
    let program = fs::canonicalize(forgetful()).unwrap();
    assert_eq!(run["nodes"]["n1"]["program"], program.to_str().unwrap());
    assert_eq!(run["binary"]["path"], program.to_str().unwrap());
    assert!(folder.join("certificate.json").exists());
    let page = fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(page.contains("raft, register, faults: none, seed 7"), "{}", &page[..300]);
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
    let mut schedule = Schedule::parse(&schedule, &nemesis::cluster(1)).unwrap();
    assert_eq!(schedule.steps.len(), report.faults.len());
    let late = Step::at(Time::seconds(60), Time::seconds(61), schedule.steps[0].aim.clone());
    schedule.steps.push(late);
    let again = go(Plan { schedule: Some(schedule), ..plan(&out) }).await.unwrap();
    assert_eq!(again.skipped, ["kill n1 at 60s: given up, the run was over first"]);
    assert_eq!(again.verdict, "invalid", "the same faults show the same mistake");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_forgets_when_it_is_asked_to_stop_is_caught() {
    let out = tempfile::tempdir().unwrap();
    let restarted = Plan { nemesis: Kinds::of([Kind::Restart]), ..plan(&out) };
    let report = go(restarted).await.unwrap();
    assert_eq!((report.verdict, report.exit_code()), ("invalid", 1), "{}", told(&report));
    assert!(report.faults.iter().all(|fault| fault.bite.bit), "{:?}", report.faults);
    assert!(!told(&report).contains("by itself"), "{}", told(&report));
    let death = &lines(&report.folder, "restart")[1]["value"]["evidence"]["deaths"][0];
    assert_eq!((&death["status"], &death["killed"]), (&Value::from("signal 15"), &Value::from(true)));
    assert!(lines(&report.folder, "heal-restart")[1]["value"]["evidence"]["births"][0]["pid"].is_u64());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_will_not_stop_is_killed_and_that_is_no_restart() {
    let out = tempfile::tempdir().unwrap();
    let script = out.path().join("deaf");
    fs::write(&script, format!("#!/bin/sh\ntrap '' TERM\nexec '{}' \"$@\"\n", forgetful().display()))
        .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    // Five seconds pass until it is killed; clients must be there before and after.
    let text = "[[step]]\nat = \"300ms\"\nlasting = \"7s\"\nfault = \"restart\"\nnodes = \"one\"\n";
    let schedule = Schedule::parse(text, &nemesis::cluster(1)).unwrap();
    let plan = Plan { bin: Some(script), schedule: Some(schedule), ..plan(&out) };
    let report = go(Plan { time_limit: Duration::from_secs(9), ..plan }).await.unwrap();
    let bite = &report.faults[0].bite;
    assert_eq!((bite.bit, bite.because.as_str()), (false, "no process stopped when it was asked to"));
    let death = &lines(&report.folder, "restart")[1]["value"]["evidence"]["deaths"][0];
    assert_eq!((&death["status"], &death["killed"]), (&Value::from("signal 9"), &Value::from(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_may_count_ops_and_come_again_and_what_is_recorded_is_when_it_came() {
    let out = tempfile::tempdir().unwrap();
    let text =
        "[[step]]\nafter = 60\nevery = \"400ms\"\nlasting = \"150ms\"\nfault = \"pause\"\nnodes = \"one\"\n
        [[step]]\nwhen = \"leader-changed\"\nlasting = \"1s\"\nfault = \"kill\"\nnodes = \"one\"\n";
    let schedule = Schedule::parse(text, &nemesis::cluster(1)).unwrap();
    let report = go(Plan { schedule: Some(schedule), ..plan(&out) }).await.unwrap();
    assert!(report.faults.len() >= 2, "{:?}", report.faults);
    let before = fs::read_to_string(report.folder.join("history.jsonl")).unwrap();
    let before = before.lines().take_while(|line| !line.contains("\"nemesis\""));
    let invoked = before.filter(|line| line.contains("\"invoke\"")).count();
    assert!(invoked >= 60, "after {invoked} ops");
    assert!(report.faults.iter().all(|fault| fault.fault.kind() == Kind::Pause), "one node has one leader");
    assert_eq!(
        report.skipped.last().unwrap(),
        "kill one when leader-changed: given up, the run was over first"
    );

    let recorded = fs::read_to_string(report.folder.join("schedule.toml")).unwrap();
    let recorded = Schedule::parse(&recorded, &nemesis::cluster(1)).unwrap();
    let deeds = recorded.deeds().expect("a record leaves nothing open");
    let times: Vec<Time> = report.faults.iter().map(|fault| fault.began).collect();
    assert_eq!(deeds.len(), times.len());
    assert!(deeds.iter().zip(&times).all(|(deed, began)| deed.at <= *began));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_it_need_not_wait_for_the_end_of_a_run_that_is_lost() {
    let out = tempfile::tempdir().unwrap();
    let settings = [("mood".to_owned(), "inventive".to_owned())].into();
    let long = Duration::from_mins(10);
    let report = go(Plan { settings, fail_fast: true, time_limit: long, ..plan(&out) }).await.unwrap();
    assert_eq!((report.verdict, report.exit_code()), ("invalid", 1), "{:?}", report.reason);
    let why = report.notes.iter().find(|note| note.starts_with("ended after"));
    assert!(why.is_some_and(|note| note.contains("was answered 4711")), "{:?}", report.notes);
    assert!(lines(&report.folder, "await-health").is_empty(), "nobody reads what is lost once more");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_a_run_that_keeps_its_promise_does_not_end_it() {
    let out = tempfile::tempdir().unwrap();
    let report = go(Plan { fail_fast: true, ..plan(&out) }).await.unwrap();
    assert_eq!(report.verdict, "valid", "{}", told(&report));
    assert_eq!(lines(&report.folder, "await-health").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_can_have_written_is_a_broken_promise_and_the_folder_says_so() {
    for (mood, words) in [("babbling", "with a value that no client wrote: `blah`"), ("inventive", "4711000")]
    {
        let out = tempfile::tempdir().unwrap();
        let settings = [("mood".to_owned(), mood.to_owned())].into();
        let report = go(Plan { settings, ..plan(&out) }).await.unwrap();
        assert_eq!((report.verdict, report.exit_code()), ("invalid", 1), "{mood}: {}", told(&report));
        let results = fs::read_to_string(report.folder.join("results.json")).unwrap();
        let results: Value = serde_json::from_str(&results).unwrap();
        assert!(results["reason"].as_str().unwrap().contains(words), "{results:#}");
        let Some(violation) = results["violations"].get(0) else {
            assert_eq!(mood, "inventive", "a number is for the checker to judge");
            continue;
        };
        assert_eq!(mood, "babbling");
        let line = lines(&report.folder, "read").into_iter().find(|line| line["index"] == violation["index"]);
        let line = line.unwrap();
        assert_eq!((&line["type"], &line["node"]), (&Value::from("info"), &violation["node"]));
        assert!(line["error"].as_str().unwrap().contains(words), "{line}");
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_of_fault_that_there_was_no_time_for_is_named_beside_the_verdict() {
    let out = tempfile::tempdir().unwrap();
    let rhythm = Rhythm { off: Duration::from_secs(9), ..plan(&out).rhythm };
    let short = Plan { nemesis: Kinds::of([Kind::Pause, Kind::Kill]), rhythm, ..plan(&out) };
    let report = go(short).await.unwrap();
    assert_eq!(report.verdict, "valid", "{}", told(&report));
    let results = fs::read_to_string(report.folder.join("results.json")).unwrap();
    let results: Value = serde_json::from_str(&results).unwrap();
    assert_eq!(results["untested"].as_array().unwrap().len(), 1);
    assert_eq!(results["untested"][0]["fault"], "kill");
    assert_eq!(results["untested"][0]["why"], "was never drawn; the time is too short");
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

/// Cancels as soon as something is broken.
struct Squeamish(CancellationToken);

impl Progress for Squeamish {
    fn fault(&self, _time: Duration, _line: &str) {
        self.0.cancel();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_node_that_the_nemesis_killed_nobody_says_that_it_ended_by_itself() {
    let out = tempfile::tempdir().unwrap();
    let cancel = CancellationToken::new();
    let killed = Plan { nemesis: Kinds::of([Kind::Kill]), ..plan(&out) };
    let report = run(killed, Arc::new(Squeamish(cancel.clone())), cancel).await.unwrap();
    assert!(!told(&report).contains("by itself"), "{}", told(&report));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stood_still_bit_and_has_forgotten_nothing() {
    let out = tempfile::tempdir().unwrap();
    let paused = Plan { nemesis: Kinds::of([Kind::Pause]), ..plan(&out) };
    let report = go(paused).await.unwrap();
    assert_eq!(report.verdict, "valid", "{}", told(&report));
    assert!(report.faults.iter().all(|fault| fault.bite.bit), "{:?}", report.faults);
    let state = |f: &str| lines(&report.folder, f)[1]["value"]["evidence"]["states"][0].clone();
    let (before, after) = (state("pause"), state("heal-pause"));
    assert_eq!((&before["node"], &before["state"]), (&Value::from("n1"), &Value::from("T")));
    assert_eq!(lines(&report.folder, "heal-pause")[1]["value"]["evidence"]["found"][0], before);
    assert_eq!(before["pid"], after["pid"]);
    assert_ne!(after["state"], "T");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_run_that_is_interrupted_while_a_node_stands_still_nothing_is_left() {
    let out = tempfile::tempdir().unwrap();
    let cancel = CancellationToken::new();
    let paused = Plan { nemesis: Kinds::of([Kind::Pause]), ..plan(&out) };
    let report = run(paused, Arc::new(Squeamish(cancel.clone())), cancel).await.unwrap();
    assert!(told(&report).contains("interrupted"), "{}", told(&report));
    let pid = &lines(&report.folder, "pause")[1]["value"]["evidence"]["states"][0]["pid"];
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "process {pid} is still there");
}

/// Makes a file when clients begin.
struct Signal(PathBuf);

impl Progress for Signal {
    fn phase(&self, phase: Phase) {
        if phase == Phase::Running {
            fs::write(&self.0, "").unwrap();
        }
    }
}

/// A forgetful node that ends with exit code 3 when there is a file beside it, and not a second time.
fn mortal(folder: &TempDir) -> (PathBuf, PathBuf) {
    let [script, end, ended] = ["mortal", "end", "ended"].map(|name| folder.path().join(name));
    let (node, signal, mark) = (forgetful(), end.display(), ended.display());
    let node = node.display();
    let text = format!(
        "#!/bin/sh\n[ -e '{mark}' ] && exec '{node}' \"$@\"\n'{node}' \"$@\" &\n\
         until [ -e '{signal}' ]; do sleep 0.01; done\n: > '{mark}'\nkill -9 $!\nexit 3\n",
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    (script, end)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ended_by_itself_leaves_a_doubt_even_if_a_heal_started_it_again() {
    for nemesis in [Kinds::default(), Kinds::of([Kind::Kill])] {
        let out = tempfile::tempdir().unwrap();
        let (script, end) = mortal(&out);
        let rhythm = Rhythm { calm: Duration::from_secs(1), on: millis(300), off: Duration::from_secs(9) };
        let plan = Plan { bin: Some(script), nemesis, rhythm, rate: 3.0, ..plan(&out) };
        let report = run(plan, Arc::new(Signal(end)), CancellationToken::new()).await.unwrap();
        assert_ne!(report.verdict, "valid");
        assert!(told(&report).contains("n1 ended by itself (exit 3)"), "{}", told(&report));
    }
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
    let wrong = out.path().join("wrong");
    fs::write(&wrong, "#!/bin/sh\nexit 254\n").unwrap();
    fs::set_permissions(&wrong, fs::Permissions::from_mode(0o755)).unwrap();
    let error = go(Plan { bin: Some(wrong), ..plan(&out) }).await.unwrap_err();
    assert_eq!(error.exit_code(), 254, "the node says that what it was given is wrong");
}
