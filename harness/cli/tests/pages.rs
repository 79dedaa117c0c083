//! What `check --html` draws, and what it refuses to.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::process::{Command, Output};

const BAD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../histories/corpus/bad/stale-read.jsonl");
const GOOD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../histories/corpus/good/two-keys.jsonl");

fn harness(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_harness")).args(arguments).output().unwrap()
}

#[test]
fn a_page_says_what_was_found_and_shows_where() {
    let folder = tempfile::tempdir().unwrap();
    for (history, word, sentence, exit) in [
        (BAD, "invalid", "Process 0 read 1 from n1 (index 7), but process 1", 1),
        (GOOD, "valid", "Every answer can be explained.", 0),
    ] {
        let page = folder.path().join(format!("{word}.html"));
        let output = harness(&["check", history, "--html", page.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(exit));
        let page = std::fs::read_to_string(page).unwrap();
        assert!(page.contains(&format!("<span class=\"badge {word}\">{word}</span>")));
        assert!(page.contains(sentence), "{page}");
        assert!(page.ends_with("</script>\n"));
    }
}

#[test]
fn one_page_is_for_one_history() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let output = harness(&["check", BAD, GOOD, "--html", page.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(254));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--html draws one history, and 2 were given"));
    assert!(!page.exists());
}

#[test]
fn a_page_that_cannot_be_written_is_named() {
    let output = harness(&["check", BAD, "--html", "/dev/null/page.html"]);
    assert_eq!(output.status.code(), Some(254));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--html /dev/null/page.html"));
}
