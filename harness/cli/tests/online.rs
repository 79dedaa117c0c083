//! What `check --online` says, and when.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::fs;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

const BAD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../histories/corpus/bad/stale-read.jsonl");
const GOOD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../histories/corpus/good/two-keys.jsonl");

fn harness(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_harness")).args(arguments).output().unwrap()
}

#[test]
fn line_by_line_the_verdict_is_the_same() {
    for (history, exit) in [(BAD, 1), (GOOD, 0)] {
        let output = harness(&["check", "--online", history]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(exit), "{text}");
        assert!(text.contains("judged line by line; a line's verdict came after"), "{text}");
    }
}

#[test]
fn a_broken_promise_is_told_while_lines_may_still_come() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["check", "--online", "--json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = child.stdin.take().unwrap();
    lines.write_all(&fs::read(BAD).unwrap()).unwrap();
    lines.flush().unwrap();
    // The pipe stays open: were the end awaited, this would never return.
    let output = child.wait_with_output().unwrap();
    drop(lines);
    assert_eq!(output.status.code(), Some(1));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["files"][0]["verdict"], "invalid");
    assert!(said["files"][0]["lag_p99_ms"].is_number(), "{said}");
}

#[test]
fn a_line_that_is_none_ends_it_with_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("torn.jsonl");
    let good = fs::read_to_string(GOOD).unwrap();
    let first = good.lines().next().unwrap();
    fs::write(&path, format!("{first}\nnothing\n{first}\n")).unwrap();
    let output = harness(&["check", "--online", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(254));
    assert!(String::from_utf8_lossy(&output.stderr).contains("line 2"));
}
