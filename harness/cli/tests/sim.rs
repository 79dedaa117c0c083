//! Simulated lives: the same seed ends the same way, a bad one is made small, and what is printed repeats it.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

fn harness(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_harness")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What comes after this heading.
fn after<'a>(text: &'a str, heading: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(heading));
    line.unwrap_or_else(|| panic!("`{heading}` is missing in: {text}"))
}

/// Types a command that was printed.
fn type_again(command: &str) -> Output {
    let words: Vec<&str> = command.split(' ').skip_while(|word| *word != "sim").collect();
    harness(&words)
}

#[test]
fn the_same_seeds_are_the_same_lives_on_any_number_of_threads() {
    let lives = ["sim", "--seeds", "3..9", "--time-limit", "5", "--nemesis", "all", "--workload", "set"];
    let output = harness(&lives);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(text.lines().next(), Some("seeds: 3..9"));
    assert_eq!(text.lines().last(), Some("verdict: valid"));
    assert_eq!(after(&text, "lives: ").split(',').next(), Some("6"));
    for threads in ["1", "2"] {
        let again = words(&harness(&[&lives[..], &["--threads", threads]].concat()));
        assert_eq!(after(&again, "digest: "), after(&text, "digest: "));
    }
    let again = words(&type_again(after(&text, "repeat: ")));
    assert_eq!(after(&again, "digest: "), after(&text, "digest: "));
    let others = words(&harness(&[&lives[..], &["--nodes", "5"]].concat()));
    assert_ne!(after(&others, "digest: "), after(&text, "digest: "), "a digest tells lives apart");
}

/// A sweep in which a leader serves stale reads.
fn stale(out: &TempDir, more: &[&str]) -> Output {
    let folder = out.path().to_str().unwrap();
    let sweep = ["sim", "--bug", "R13", "--nemesis", "partition,pause", "--seeds", "0..100", "--out", folder];
    let sweep = [&sweep[..], &["--time-limit", "10"]].concat();
    harness(&[&sweep[..], more].concat())
}

#[test]
fn a_bad_life_is_made_small_and_both_commands_end_the_same_way_again() {
    let out = tempfile::tempdir().unwrap();
    let output = stale(&out, &[]);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.ends_with("\nverdict: invalid\n"));

    let size: Vec<usize> =
        after(&text, "shrunk to ").split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(size[0] <= 12 && size[1] <= 3, "{size:?} ops and faults are too many: {text}");

    let bad = text.lines().find(|line| line.contains(" ends badly, by ")).unwrap();
    let again = type_again(after(&text, "repeat: "));
    assert_eq!(again.status.code(), Some(1));
    assert!(words(&again).contains(bad), "{bad} is missing in: {}", words(&again));

    let ended = |text: &str| {
        let mut lines = text.lines().skip_while(|line| !line.starts_with("what happened:"));
        let line = lines.find(|line| line.starts_with("invariant: ") || line.starts_with("history: "));
        line.unwrap_or_else(|| panic!("no end in: {text}")).to_owned()
    };
    let small = type_again(after(&text, "repeat the small one: "));
    assert_eq!(small.status.code(), Some(1));
    assert_eq!(ended(&words(&small)), ended(&text));
}

#[test]
fn the_folder_of_a_bad_life_holds_what_is_needed_to_argue_about_it() {
    let out = tempfile::tempdir().unwrap();
    let output = stale(&out, &["--json"]);
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    let seed = object["bad"]["seed"].as_u64().unwrap();
    let folder = Path::new(object["bad"]["folder"].as_str().unwrap());
    assert!(folder.ends_with(format!("sim-raft-register-partition+pause/{seed}")), "{}", folder.display());
    assert_eq!(std::fs::canonicalize(out.path().join("latest")).unwrap(), folder);
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let results: Value = serde_json::from_str(&read("results.json")).unwrap();
    assert_eq!(results, object, "the file says what is printed");
    assert!(read("trace.txt").contains(" asks "));
    nemesis::Schedule::parse(&read("schedule.toml"), &nemesis::cluster(3)).unwrap();

    for (name, bad) in [("history.jsonl", &object["bad"]), ("small-history.jsonl", &object["bad"]["shrunk"])]
    {
        let judged = harness(&["check", folder.join(name).to_str().unwrap()]);
        let text = words(&judged);
        if bad["sort"] == "history" {
            assert_eq!(judged.status.code(), Some(1), "{name}: {text}");
        } else {
            assert_eq!(judged.status.code(), Some(0), "{name}: {text}");
            let sentence = bad["sentence"].as_str().unwrap();
            assert!(
                text.contains("the run itself was invalid: ") && text.contains(sentence),
                "{name}: {text}"
            );
        }
    }
    let life = folder.join("life.json");
    let again = harness(&["sim", "--life", life.to_str().unwrap(), "--json"]);
    assert_eq!(again.status.code(), Some(1));
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again["sentence"], object["bad"]["shrunk"]["sentence"]);
    assert_eq!(again["witness"], object["bad"]["shrunk"]["witness"]);
}

#[test]
fn a_schedule_is_carried_out_in_every_life() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("schedule.toml");
    std::fs::write(&path, "[[step]]\nat = \"1s\"\nuntil = \"2s\"\nfault = \"kill\"\nnodes = [\"n2\"]\n")
        .unwrap();
    let schedule = path.to_str().unwrap();
    let output = harness(&["sim", "--schedule", schedule, "--seeds", "0..4", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    let kill = serde_json::json!({ "kind": "kill", "lives": 4, "injected": 4, "bit": 4 });
    assert_eq!(object["faults"], serde_json::json!([kill]));
    assert_eq!(object["time_limit"], 3.0, "a second longer than the last fault");
}

#[test]
fn a_trace_tells_one_life_line_by_line() {
    let output = harness(&["sim", "--seeds", "7", "--time-limit", "2", "--trace"]);
    assert_eq!(output.status.code(), Some(0));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains(" is now n") && told.contains("@t1 leader"), "{told}");
    assert!(told.contains(" Heartbeat round="), "nothing is left out: {told}");
}

#[test]
fn what_nobody_judges_or_nothing_showed_is_unknown() {
    let transactions = harness(&["sim", "--workload", "list-append", "--seeds", "0..2", "--time-limit", "2"]);
    let text = words(&transactions);
    assert_eq!(transactions.status.code(), Some(2), "{text}");
    assert!(text.contains("no verdict on 2 lives (seeds 0, 1): nobody judges this workload yet"), "{text}");

    // A bit that rots needs a node that dies with it, and there is no time for that.
    let hasty = ["sim", "--nemesis", "bit-flip", "--time-limit", "0.1", "--rate", "300", "--seeds"];
    let few = harness(&[&hasty[..], &["0..99"]].concat());
    assert_eq!(few.status.code(), Some(0), "{}", words(&few));
    assert!(words(&few).contains("no effect in any life: bit-flip\nnever met: "), "faults and marks apart");
    let many = harness(&[&hasty[..], &["0..100"]].concat());
    assert_eq!(many.status.code(), Some(2), "{}", words(&many));
    assert!(words(&many).contains("asked for and not tested: bit-flip had no effect in any life"));
}

#[test]
fn a_suite_hunts_what_was_planted_and_lets_the_rest_alone() {
    let folder = tempfile::tempdir().unwrap();
    let junit = folder.path().join("junit.xml");
    let hunt = ["suite", "bugs-raft", "--world", "sim", "--budget", "3000", "--control", "2"];
    let two = ["--only", "R1", "--only", "skip-read-quorum", "--shrink", "--junit", junit.to_str().unwrap()];
    let output = harness(&[&hunt[..], &two].concat());
    let text = words(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("R1   vote-twice "), "{text}");
    assert!(text.contains("R13  skip-read-quorum "), "{text}");
    assert!(text.contains("killed: 2 of 2\n"), "{text}");
    assert!(text.contains("made small: 2 of 2 to at most 12 ops and 3 faults\n"), "{text}");
    assert!(text.ends_with("\nverdict: valid\n"), "{text}");
    let junit = std::fs::read_to_string(&junit).unwrap();
    assert!(junit.contains("tests=\"3\" failures=\"0\""), "{junit}");

    let object = harness(
        &[&hunt[..], &["--only", "vote-twice", "--json", "--out", folder.path().to_str().unwrap()]].concat(),
    );
    let object: Value = serde_json::from_slice(&object.stdout).unwrap();
    let found = &object["bugs"][0]["found"];
    let again = type_again(found["repeat"].as_str().unwrap());
    assert_eq!(again.status.code(), Some(1));
    let sentence = found["sentence"].as_str().unwrap();
    assert!(words(&again).contains(sentence), "{sentence} is missing in: {}", words(&again));
}

/// Waits until it would not be ended by Ctrl-C any more.
fn listening(child: &Child) {
    let status = format!("/proc/{}/status", child.id());
    let catches = || {
        let text = std::fs::read_to_string(&status).unwrap();
        let mask = text.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << (Signal::SIGINT as u64 - 1)) != 0
    };
    while !catches() {
        std::thread::yield_now();
    }
}

#[test]
fn an_interrupt_ends_a_life_of_a_day_and_what_was_lived_is_told() {
    let day = ["sim", "--seeds", "4..9", "--time-limit", "86400", "--rate", "10", "--nemesis", "all"];
    let child = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(day)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    listening(&child);
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = words(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("\nstopped early: lived none; 5 of 5 were not\n"), "{text}");
    assert!(text.ends_with("verdict: unknown\n"), "{text}");
}

#[test]
fn a_suite_of_all_names_what_cannot_be_hunted() {
    let output = harness(&["suite", "bugs-raft", "--budget", "1", "--control", "1"]);
    let text = words(&output);
    let line = text.lines().find(|line| line.contains("skip-quorum-check ")).unwrap();
    assert!(line.contains("not in this world: it harms only while a fault lasts"), "{line}");
}

#[test]
fn a_suite_that_misses_a_mistake_says_which() {
    let out = tempfile::tempdir().unwrap();
    let short =
        ["suite", "bugs-raft", "--budget", "1", "--only", "commit-old-term", "--control", "1", "--out"];
    let output = harness(&[&short[..], &[out.path().to_str().unwrap()]].concat());
    let text = words(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    let longer = after(&text, "commit-old-term for longer: ");
    assert!(longer.contains("--only commit-old-term --budget 2 --out /"), "{longer}");
    assert!(text.contains("\nnot found: commit-old-term\nverdict: unknown\n"), "{text}");
}
