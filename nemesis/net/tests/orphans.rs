//! What becomes of the nodes when their harness dies or stops.
//!
//! A test plays the harness by running itself again: SIGKILL is the one death that no code of the
//! harness sees, so it must be a process of its own.
#![expect(clippy::unwrap_used, reason = "in a test, what must not fail may panic")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nemesis_net::process::describe;
use nemesis_net::{Launch, LaunchError, Supervisor};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Long enough that only a hang exceeds it.
const DEADLINE: Duration = Duration::from_secs(20);
/// Set in a process that plays the harness; says how it starts its node.
const ROLE: &str = "NEMESIS_NET_TEST_HARNESS";

fn shell(folder: &Path, script: &str) -> Launch {
    Launch {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        stdout: folder.join("stdout"),
        stderr: folder.join("stderr"),
        ..Launch::default()
    }
}

/// Whether a process runs; one that is dead and not yet waited for does not.
fn runs(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = status.rsplit(") ").next().and_then(|rest| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

fn comes_true(what: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + DEADLINE;
    while !what() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Not a test of its own: what the process does that the next test starts.
#[test]
fn plays_the_harness() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let folder = tempfile::tempdir().unwrap();
    if role == "careless" {
        #[expect(clippy::zombie_processes, reason = "it is to outlive this process")]
        let node = Command::new("/bin/sh").args(["-c", "exec sleep 600"]).spawn().unwrap();
        println!("node {}", node.id());
    } else {
        let mut node = Supervisor::start().unwrap().spawn(shell(folder.path(), "exec sleep 600")).unwrap();
        if role == "pausing" {
            node.pause().unwrap();
            assert_eq!(node.await_standstill().unwrap(), Some('T'));
        }
        println!("node {}", node.pid());
        std::mem::forget(node); // so that no destructor can do what the kernel should
    }
    thread::sleep(Duration::from_mins(10));
}

/// Starts a harness, kills it once its node runs, and returns the node's number.
fn kill_a_harness(role: &str) -> u32 {
    let mut harness = Command::new(std::env::current_exe().unwrap())
        .args(["plays_the_harness", "--exact", "--nocapture"])
        .env(ROLE, role)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(harness.stdout.take().unwrap()).lines();
    let node = lines.map_while(Result::ok).find_map(|line| {
        let (_, number) = line.split_once("node ")?;
        number.trim().parse().ok()
    });
    let node = node.expect("the harness started its node");
    assert!(runs(node));
    harness.kill().unwrap();
    harness.wait().unwrap();
    node
}

#[test]
fn no_node_outlives_a_harness_that_was_killed() {
    let node = kill_a_harness("careful");
    assert!(comes_true(|| !runs(node)), "the node outlived its harness");
}

#[test]
fn no_paused_node_outlives_a_harness_that_was_killed() {
    let node = kill_a_harness("pausing");
    assert!(comes_true(|| !runs(node)), "the paused node outlived its harness");
}

/// The control: without the request to the kernel a node does live on, so the test above can fail.
#[test]
fn a_node_started_without_care_outlives_its_harness() {
    let node = kill_a_harness("careless");
    let alive = runs(node);
    kill(Pid::from_raw(i32::try_from(node).unwrap()), Signal::SIGKILL).unwrap();
    assert!(alive);
}

#[test]
fn a_node_outlives_the_thread_that_asked_for_it_and_dies_with_its_handle() {
    let folder = tempfile::tempdir().unwrap();
    let launch = shell(folder.path(), "exec sleep 600");
    let asked = thread::spawn(move || Supervisor::start().unwrap().spawn(launch).unwrap());
    let mut node = asked.join().unwrap();
    assert_eq!(node.ended().unwrap(), None);
    let pid = node.pid();
    assert!(runs(pid));
    drop(node);
    assert!(!runs(pid));
}

#[test]
fn a_killed_node_leaves_its_wait_status_and_a_new_one_has_a_new_number() {
    let folder = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::start().unwrap();
    let launch = shell(folder.path(), "echo here; exec sleep 600");
    let mut old = supervisor.spawn(launch.clone()).unwrap();
    let said = || fs::read_to_string(folder.path().join("stdout")).unwrap();
    assert!(comes_true(|| said() == "here\n"));
    let ending = old.kill().unwrap();
    assert!(ending.killed());
    assert_eq!(describe(ending.status), "signal 9");
    let new = supervisor.spawn(launch).unwrap();
    assert_ne!(new.pid(), old.pid());
    assert!(comes_true(|| said() == "here\nhere\n"), "the output of both lives is kept");
}

#[test]
fn a_node_that_died_by_itself_was_not_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Supervisor::start().unwrap().spawn(shell(folder.path(), "exit 3")).unwrap();
    let pid = node.pid();
    assert!(comes_true(|| !runs(pid)));
    let ending = node.kill().unwrap();
    assert!(!ending.killed());
    assert_eq!(describe(ending.status), "exit 3");
}

#[test]
fn a_paused_node_stands_still_in_all_its_threads_until_it_is_told_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    // It starts no process: whoever waits for one when the signal comes waits on, and is not seen to stop.
    let answering = "trap 'echo here' USR1; echo ready; while :; do :; done";
    let mut node = Supervisor::start().unwrap().spawn(shell(folder.path(), answering)).unwrap();
    let said = || fs::read_to_string(folder.path().join("stdout")).unwrap();
    assert!(comes_true(|| said() == "ready\n"));
    node.pause().unwrap();
    assert_eq!(node.await_standstill().unwrap(), Some('T'));
    kill(Pid::from_raw(i32::try_from(node.pid()).unwrap()), Signal::SIGUSR1).unwrap();
    let other = Supervisor::start().unwrap().spawn(shell(folder.path(), "sleep 0.1")).unwrap();
    assert!(comes_true(|| !runs(other.pid())), "time passes for others");
    assert_eq!(said(), "ready\n");
    assert_ne!(node.resume().unwrap().unwrap(), 'T');
    assert!(comes_true(|| said() == "ready\nhere\n"));
}

#[test]
fn a_paused_node_that_somebody_else_woke_is_seen_to_be_awake() {
    let folder = tempfile::tempdir().unwrap();
    let endless = shell(folder.path(), "while :; do :; done");
    let mut node = Supervisor::start().unwrap().spawn(endless).unwrap();
    assert_ne!(node.state().unwrap().unwrap(), 'T');
    node.pause().unwrap();
    node.await_standstill().unwrap();
    assert_eq!(node.state().unwrap(), Some('T'));
    kill(Pid::from_raw(i32::try_from(node.pid()).unwrap()), Signal::SIGCONT).unwrap();
    assert_ne!(node.state().unwrap().unwrap(), 'T', "SIGCONT has woken it when `kill` returns");
    node.kill().unwrap();
    assert_eq!(node.state().unwrap(), None);
}

#[test]
fn a_paused_node_can_be_killed_stopped_and_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::start().unwrap();
    let paused = |name: &str, script: &str| {
        let said = || fs::read_to_string(folder.path().join("stdout")).unwrap();
        let mut node = supervisor.spawn(shell(folder.path(), script)).unwrap();
        assert!(comes_true(|| said().ends_with(&format!("{name}\n"))));
        node.pause().unwrap();
        assert_eq!(node.await_standstill().unwrap(), Some('T'));
        node
    };
    let mut node = paused("first", "echo first; exec sleep 600");
    assert!(node.kill().unwrap().killed());
    node.pause().unwrap();
    assert_eq!((node.await_standstill().unwrap(), node.resume().unwrap()), (None, None), "it is gone");

    let polite = "trap 'exit 7' TERM; echo polite; while :; do :; done";
    let ending = paused("polite", polite).stop(DEADLINE).unwrap();
    assert_eq!(ending.status.code(), Some(7), "it went on, and heard the signal");

    let node = paused("last", "echo last; exec sleep 600");
    let pid = node.pid();
    drop(node);
    assert!(!runs(pid));
}

#[test]
fn a_node_is_asked_to_stop_and_killed_only_if_it_will_not() {
    let folder = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::start().unwrap();
    let said = |word: &str| fs::read_to_string(folder.path().join("stdout")).unwrap().ends_with(word);

    let polite = "trap 'exit 7' TERM; echo polite; while :; do sleep 0.01; done";
    let mut polite = supervisor.spawn(shell(folder.path(), polite)).unwrap();
    assert!(comes_true(|| said("polite\n")), "it handles the signal from here on");
    assert_eq!(polite.stop(DEADLINE).unwrap().status.code(), Some(7));

    let stubborn = "trap '' TERM; echo stubborn; while :; do sleep 0.01; done";
    let mut stubborn = supervisor.spawn(shell(folder.path(), stubborn)).unwrap();
    assert!(comes_true(|| said("stubborn\n")));
    assert_eq!(stubborn.stop(Duration::from_millis(50)).unwrap().status.signal(), Some(9));
}

#[test]
fn what_cannot_be_started_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::start().unwrap();
    let missing = Launch { program: "/nowhere/raft-node".into(), ..shell(folder.path(), "") };
    let error = supervisor.spawn(missing).unwrap_err();
    assert!(matches!(error, LaunchError::Program { .. }));
    assert!(error.to_string().starts_with("cannot start /nowhere/raft-node: "), "{error}");
    let unwritable = Launch { stdout: folder.path().join("none/out"), ..shell(folder.path(), "") };
    assert!(supervisor.spawn(unwritable).unwrap_err().to_string().contains("none/out"));
}
