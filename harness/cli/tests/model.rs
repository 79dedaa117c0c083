//! Searches of everything: what they print, how they end, and what is refused.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn harness(arguments: &[&str]) -> Output {
    let arguments = [&["model"], arguments].concat();
    Command::new(env!("CARGO_BIN_EXE_harness")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn object(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_search_without_a_find_says_how_much_it_looked_at() {
    let output = harness(&["--profile", "figure-8"]);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.lines().any(|line| line.starts_with("figure-8 ")), "{text}");
    assert_eq!(text.lines().last(), Some("verdict: valid"));
    let json = object(&harness(&["--profile", "figure-8", "--threads", "1", "--json"]));
    let states = json["states"].as_u64().unwrap();
    assert!(states > 10_000, "{json}");
    let again = object(&harness(&["--profile", "figure-8", "--threads", "2", "--json"]));
    assert_eq!(again["states"].as_u64(), Some(states), "however many threads there are");
}

#[cfg(feature = "bugs")]
#[test]
fn a_find_is_told_step_by_step_and_the_same_each_time() {
    let asked = ["--profile", "figure-8", "--bug", "R7"];
    let output = harness(&asked);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("against leader completeness: "), "{text}");
    assert_eq!(text.lines().last(), Some("verdict: invalid"));
    let told = object(&harness(&[&asked[..], &["--json", "--threads", "1"]].concat()));
    let again = object(&harness(&[&asked[..], &["--json", "--threads", "4"]].concat()));
    assert_eq!(told["bad"], again["bad"]);
    let script = told["bad"]["script"].as_str().unwrap();
    assert!(script.starts_with("cluster nodes=3 append=1 bugs=commit-old-term\n"), "{script}");
}

#[test]
fn a_search_that_was_stopped_is_unknown_and_says_why() {
    let output = harness(&["--bounds", "deep", "--seconds", "0.05"]);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("the time that was given ran out"), "{text}");
    assert_eq!(text.lines().last(), Some("verdict: unknown"));
}

#[test]
fn what_cannot_be_searched_is_refused_and_named() {
    for (wrong, said) in [
        (["--bounds", "endless"], "known are ci, deep"),
        (["--profile", "nothing"], "known are elections"),
        (["--system", "cache"], "only raft"),
        (["--seconds", "0"], "--seconds"),
        #[cfg(feature = "bugs")]
        (["--bug", "skip-sync"], "made in the crate wal"),
        #[cfg(feature = "bugs")]
        (["--bug", "R20"], "snapshot-without-sessions: this mistake is made in the crate replica"),
        (["--explore", "192.0.2.1:80"], "only this machine"),
    ] {
        let output = harness(&wrong);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(254), "{wrong:?}: {text}");
        assert!(text.contains(said), "{wrong:?}: {text}");
        assert!(output.stdout.is_empty());
    }
}
