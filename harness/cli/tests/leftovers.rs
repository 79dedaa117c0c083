//! Whatever happens to the harness, nothing outlives it, and what it had written down can be judged.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// Long enough that only a hang exceeds it.
const DEADLINE: Duration = Duration::from_mins(1);

fn comes_true(what: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + DEADLINE;
    while !what() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

/// A process's state and its parent, if there is such a process.
fn look(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit(") ").next()?.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Whether a process runs; one that is dead and not yet waited for does not.
fn runs(pid: u32) -> bool {
    look(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

fn children(parent: u32) -> Vec<u32> {
    let names = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
    let pids = names.filter_map(|name| name.to_str()?.parse().ok());
    pids.filter(|pid| look(*pid).is_some_and(|(_, found)| found == parent)).collect()
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

/// A run under way.
struct Run {
    harness: Child,
    nodes: Vec<u32>,
    stderr: Option<BufReader<ChildStderr>>,
    out: TempDir,
}

impl Run {
    /// One that would take ten minutes, in its middle.
    fn begin() -> Run {
        let mut run = Run::begin_with(&["--time-limit", "600"]);
        let history = run.history();
        let busy = || fs::read_to_string(&history).is_ok_and(|history| history.lines().count() > 50);
        assert!(comes_true(busy), "clients work");
        run.nodes = children(run.harness.id());
        assert_eq!(run.nodes.len(), 3);
        assert!(run.nodes.iter().all(|node| runs(*node)));
        run
    }

    fn begin_with(arguments: &[&str]) -> Run {
        let out = tempfile::tempdir().unwrap();
        let mut harness = Command::new(env!("CARGO_BIN_EXE_harness"))
            .args(["run", "--rate", "100", "--out"])
            .arg(out.path())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = harness.stderr.take().map(BufReader::new);
        Run { harness, nodes: Vec::new(), stderr, out }
    }

    fn history(&self) -> PathBuf {
        self.out.path().join("latest/history.jsonl")
    }

    /// Waits until it says that this phase begins.
    fn await_phase(&mut self, phase: &str) {
        let mut lines = self.stderr.as_mut().unwrap().lines().map_while(Result::ok);
        assert!(lines.any(|line| line == phase), "it never came to {phase}");
    }

    /// Waits for its end. Gives its exit code and what it printed.
    fn end(&mut self) -> (Option<i32>, String) {
        let mut printed = String::new();
        self.harness.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
        (self.harness.wait().unwrap().code(), printed)
    }

    fn node_runs(&self) -> bool {
        self.nodes.iter().any(|node| runs(*node))
    }
}

/// A test that stops half-way leaves nothing behind either.
impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.harness.kill().and_then(|()| self.harness.wait());
    }
}

#[test]
fn a_harness_that_is_killed_takes_its_nodes_along_and_leaves_a_history_that_can_be_judged() {
    let mut run = Run::begin();
    signal(run.harness.id(), Signal::SIGKILL);
    assert_eq!(run.end().0, None);
    assert!(comes_true(|| !run.node_runs()), "a node outlived its harness");
    let check = Command::new(env!("CARGO_BIN_EXE_harness")).arg("check").arg(run.history()).output().unwrap();
    assert_eq!(check.status.code(), Some(0), "{}", String::from_utf8_lossy(&check.stdout));
}

#[test]
fn an_interrupted_harness_stops_its_nodes_judges_what_there_is_and_cleans_up() {
    for asked in [Signal::SIGINT, Signal::SIGTERM] {
        let mut run = Run::begin();
        signal(run.harness.id(), asked);
        let (code, printed) = run.end();
        assert_eq!(code, Some(2), "{printed}");
        assert!(printed.contains("interrupted") && printed.ends_with("verdict: unknown\n"), "{printed}");
        assert!(!run.node_runs(), "a node outlived its harness");

        let folder = run.out.path().join("latest");
        assert!(folder.join("results.json").exists());
        for node in ["n1", "n2", "n3"] {
            assert!(folder.join("nodes").join(node).join("data").exists(), "it is not known to be valid");
        }
        assert_eq!(halves(run.out.path()), [""; 0]);
        assert_eq!(halves(&folder), [""; 0]);
    }
}

#[test]
fn a_second_interrupt_does_not_wait_for_a_node_that_will_not_stop() {
    let mut run = Run::begin();
    signal(run.nodes[0], Signal::SIGSTOP);
    signal(run.harness.id(), Signal::SIGINT);
    run.await_phase("stopping");
    signal(run.harness.id(), Signal::SIGINT);
    let (code, printed) = run.end();
    assert_eq!(code, Some(255));
    assert!(!printed.contains("verdict"), "{printed}");
    assert!(comes_true(|| !run.node_runs()), "a node outlived its harness");
}

#[test]
fn a_run_whose_watcher_went_away_goes_on_to_its_verdict() {
    let mut run = Run::begin_with(&["--time-limit", "2"]);
    drop(run.stderr.take());
    let (code, printed) = run.end();
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.ends_with("verdict: valid\n"), "{printed}");
}

/// Names of what is only there while something is written.
fn halves(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("latest.") || name.contains(".new")).collect()
}
