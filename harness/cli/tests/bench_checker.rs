//! `harness bench checker` measures what it says, finds what is certain, and names peers that fail.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../histories/corpus");

fn bench(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.args(["bench", "checker", "--quick", "--runs", "1"]).args(arguments);
    command.stdin(Stdio::null()).output().unwrap()
}

/// What it prints as JSON, if it ends so.
fn measured(arguments: &[&str], code: i32) -> Value {
    let output = bench(&[arguments, &["--json"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(arguments: &[&str], words: &[&str]) {
    let output = bench(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(254), "{arguments:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{arguments:?} should speak of `{word}`: {said}");
    }
}

fn row<'a>(table: &'a Value, name: &str) -> &'a Value {
    let rows = table["rows"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name} in {table}"))
}

fn figure(row: &Value, name: &str) -> f64 {
    let figures = row["figures"].as_array().unwrap();
    let found = figures.iter().find(|figure| figure["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {row}"))["value"].as_f64().unwrap()
}

/// A program of one line.
fn program(folder: &Path, name: &str, line: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{line}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn against(name: &str, program: &Path) -> String {
    format!("--against={name}={}", program.display())
}

#[test]
fn every_row_has_figures_and_the_verdict_that_it_was_made_for() {
    let table = measured(&[], 0);
    assert_eq!(table["rows"].as_array().unwrap().len(), 8);
    assert_eq!(table["missing"], Value::Array(Vec::new()));
    for valid in ["register-1m", "register-10m", "cas-1m"] {
        let row = row(&table, valid);
        assert_eq!(row["verdicts"], serde_json::json!({ "valid": 1 }));
        assert!(figure(row, "check") > 0.0 && figure(row, "memory for each op") >= 0.0);
    }
    assert_eq!(row(&table, "register-1m")["by"][0]["engine"], "zones");
    assert_eq!(row(&table, "cas-1m")["by"][0]["engine"], "frontier");
    for invalid in ["no-1k-never", "no-10k-never"] {
        assert_eq!(row(&table, invalid)["verdicts"], serde_json::json!({ "invalid": 3 }));
    }
    for either in ["no-1k-other", "no-10k-other"] {
        assert_eq!(row(&table, either)["histories"], 3);
    }
    let witnesses = row(&table, "witnesses");
    assert!(witnesses["verdicts"]["invalid"].as_u64().unwrap() >= 10, "{witnesses}");
    assert!(figure(witnesses, "needed ops, median") >= 1.0);
}

#[test]
fn an_ablation_asks_every_variant_about_every_row() {
    let table = measured(&["--ablation", "--only", "cas-1m,no-1k-never", "--time-limit", "1"], 0);
    let table = &table["ablation"];
    let variants = table["variants"].as_array().unwrap();
    assert!(variants.len() >= 8 && variants.iter().any(|name| name == "plain"));
    for row in table["rows"].as_array().unwrap() {
        let cells = row["cells"].as_array().unwrap();
        assert_eq!(cells.len(), variants.len());
        assert!(cells.iter().all(|cell| cell["ms"].as_f64().unwrap() > 0.0), "{row}");
    }
    assert_eq!(table["rows"].as_array().unwrap().len(), 2);
}

#[test]
fn real_histories_are_held_against_the_verdicts_of_their_index() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("set");
    fs::create_dir(&bad).unwrap();
    fs::copy(format!("{CORPUS}/bad/stale-read.jsonl"), bad.join("stale-read.jsonl")).unwrap();
    let root = folder.path().to_str().unwrap();
    let index = |verdict| {
        let line = format!("set/stale-read.jsonl\tjsonl\tregister\t3\t{verdict}\n");
        fs::write(folder.path().join("INDEX.tsv"), format!("file\tformat\tmodel\tops\texpected\n{line}"))
            .unwrap();
    };
    index("not-linearizable");
    let table = measured(&["--histories", root, "--only", "set"], 0);
    assert_eq!(row(&table, "set")["verdicts"], serde_json::json!({ "invalid": 1 }));
    assert!(figure(row(&table, "set"), "verdicts that agree") > 0.5);
    // A checker that is certainly wrong is a failure of the harness.
    index("linearizable");
    let table = measured(&["--histories", root, "--only", "set"], 255);
    assert_eq!(row(&table, "set")["wrong"].as_array().unwrap().len(), 1);
}

#[test]
fn a_peer_is_given_both_files_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let line =
        r#"[ "$1" = cas-register ] && [ -s "$2" ] && [ -s "$3" ] && echo '{"verdict":"valid","ms":1000}'"#;
    let peer = against("slow", &program(folder.path(), "peer", line));
    let table = measured(&[&peer, "--only", "cas-1m,no-1k-never"], 0);
    let agreed = row(&table, "cas-1m");
    assert!((999.0..1001.0).contains(&figure(agreed, "slow")));
    assert!(figure(agreed, "it takes, median") > 1.0);
    assert_eq!(agreed["notes"], Value::Array(Vec::new()));
    // Here the peer is wrong, and that is said.
    let differs = row(&table, "no-1k-never")["notes"][0].as_str().unwrap().to_owned();
    assert!(differs.contains("invalid by us, valid by the peer"), "{differs}");
}

#[test]
fn a_peer_that_prints_nonsense_or_dies_or_hangs_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = |line: &str| {
        let peer = against("odd", &program(folder.path(), "peer", line));
        let table = measured(&[&peer, "--only", "cas-1m"], 2);
        table["missing"][0].as_str().unwrap().to_owned()
    };
    assert!(missing("echo maybe").contains("odd printed `maybe`"));
    assert!(missing("exit 3").contains("odd ended with exit status: 3"));
    assert!(missing("kill -9 $$").contains("odd ended with signal: 9"));
    let peer = against("odd", &program(folder.path(), "peer", "exec sleep 600"));
    let table = measured(&[&peer, "--only", "cas-1m", "--time-limit", "2"], 0);
    assert_eq!(row(&table, "cas-1m")["notes"][0], "the history: valid by us, unknown by the peer");
}

#[test]
fn what_makes_no_sense_is_refused() {
    refused(&["--only", "cas-2m"], &["cas-2m", "cas-1m", "witnesses"]);
    refused(&["--threads", "0"], &["--threads"]);
    refused(&["--against", "porcupine"], &["porcupine", "NAME=BINARY"]);
    refused(&["--against", "porcupine=/no/such/file"], &["porcupine=/no/such/file"]);
    refused(&["--histories", "/no/such/folder"], &["/no/such/folder/INDEX.tsv"]);
    refused(&["--ablation", "--against", "x=/bin/true"], &["--against"]);
    refused(&["--time-limit", "-1"], &["-1"]);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("INDEX.tsv"), "file\tformat\nx\ty\n").unwrap();
    refused(&["--histories", folder.path().to_str().unwrap()], &["INDEX.tsv", "line 2", "tabs"]);
}
