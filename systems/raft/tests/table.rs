//! The table of scenarios, `docs/raft-scenarios.md`, names only what exists and leaves no row out; and every
//! script stands in it.
//!
//! Run it with `--nocapture` to see how many rows are shown, which are open, and which are not ours.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page() -> String {
    fs::read_to_string(root().join("docs/raft-scenarios.md")).unwrap()
}

/// What a row is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Worth {
    Shown,
    /// We mean to show it, and do not yet.
    Open,
    /// It is about something that this Raft does not have.
    NotOurs,
}

/// A row: its name, what it is worth, why if it is not shown, and what it names.
struct Row {
    name: String,
    worth: Worth,
    why: String,
    names: Vec<String>,
}

fn rows(page: &str) -> Vec<Row> {
    let cells = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let cells = cells.map(|line| line.split(" | ").collect::<Vec<_>>()).filter(|cells| cells[0] != "Row");
    cells
        .map(|cells| {
            let [name, what, by] = cells[..] else { panic!("a row has three cells: {cells:?}") };
            assert!(!what.trim().is_empty(), "{name} says what must hold");
            let worth = match by {
                _ if by.starts_with("open, ") => Worth::Open,
                _ if by.starts_with("not ours: ") => Worth::NotOurs,
                _ => Worth::Shown,
            };
            Row { name: name.to_owned(), worth, why: by.to_owned(), names: quoted(by) }
        })
        .collect()
}

/// What stands in backquotes.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// 1 to 98, and those of the laboratory, the dissertation and the invariants.
fn expected() -> Vec<String> {
    let parts = [("", 98), ("M", 27), ("D", 9), ("S", 15)];
    parts.iter().flat_map(|(prefix, count)| (1..=*count).map(move |n| format!("{prefix}{n}"))).collect()
}

/// All Rust of a folder.
fn sources(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            into.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// The names of the functions that are tests in this source.
fn tests(source: &str) -> BTreeSet<String> {
    let marks = ["#[test]", "#[tokio::test"];
    let mut found = BTreeSet::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if !marks.iter().any(|mark| line.trim_start().starts_with(mark)) {
            continue;
        }
        let name = lines.by_ref().find_map(|line| line.split_once("fn ").map(|(_, rest)| rest));
        found.extend(name.and_then(|rest| rest.split(['(', '<']).next()).map(str::to_owned));
    }
    found
}

/// Whether there is a script or a test of that name.
fn exists(name: &str) -> bool {
    let Some((owner, test)) = name.split_once("::") else {
        return root().join(format!("systems/raft/tests/scripts/{name}.txt")).exists();
    };
    let places = ["systems", "harness"].map(|part| root().join(part).join(owner));
    let Some(place) = places.iter().find(|place| place.is_dir()) else { return false };
    let mut source = String::new();
    for part in ["src", "tests"].map(|part| place.join(part)) {
        if part.is_dir() {
            sources(&part, &mut source);
        }
    }
    tests(&source).contains(test)
}

#[test]
fn no_row_is_missing_and_none_stands_there_twice() {
    let names: Vec<String> = rows(&page()).into_iter().map(|row| row.name).collect();
    assert_eq!(names, expected());
}

#[test]
fn every_row_is_shown_or_says_why_not() {
    let rows = rows(&page());
    for row in &rows {
        assert!(row.worth != Worth::Shown || !row.names.is_empty(), "{} names nothing", row.name);
        for name in &row.names {
            assert!(exists(name), "{}: there is no {name}", row.name);
        }
    }
    let count = |worth| rows.iter().filter(|row| row.worth == worth).count();
    println!("{} rows are shown", count(Worth::Shown));
    for row in rows.iter().filter(|row| row.worth != Worth::Shown) {
        println!("{}: {}", row.name, row.why);
    }
    assert!(count(Worth::NotOurs) <= 5, "few rows are not ours");
}

#[test]
fn every_script_stands_in_the_table() {
    let named: BTreeSet<String> = quoted(&page()).into_iter().collect();
    for file in fs::read_dir(root().join("systems/raft/tests/scripts")).unwrap() {
        let name = file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
        assert!(named.contains(&name), "{name} is in no row");
    }
}

/// Rules that are easily forgotten are told with the mistake, too.
#[test]
fn famous_mistakes_are_told_with_what_comes_of_them() {
    for name in [
        "figure_8_with_commit_old_term",
        "a_lost_entry_with_change_before_own_commit",
        "a_lost_entry_with_change_twice",
        "stale_read_with_reuse_read_round",
        "nothing_is_taken_in_with_keep_transfer",
        "a_leader_is_deposed_with_skip_pre_vote",
        "a_removed_node_runs_in_vain_with_skip_pre_vote",
        "a_lost_entry_with_count_learners",
        "two_leaders_with_count_new_only",
        "a_lost_entry_with_install_over_newer",
        "stale_read_with_lease_from_answer",
        "stale_read_with_trust_clocks",
    ] {
        let script = root().join(format!("systems/raft/tests/scripts/{name}.txt"));
        let script = fs::read_to_string(script).unwrap();
        assert!(script.contains(" bugs="), "{name} makes a mistake");
        // A transfer that never ends breaks no property: its story ends with a refusal.
        assert!(script.contains("\nagainst ") || name.contains("keep_transfer"), "{name} breaks something");
        assert!(page().contains(name), "{name} is in the table");
    }
}

/// The check can say no.
#[test]
fn a_name_that_does_not_exist_and_a_row_that_is_missing_are_noticed() {
    assert!(exists("figure_8") && exists("raft::every_script_stands_in_the_table"));
    for name in ["figure_9", "raft::figure_8", "raft::exists", "nobody::figure_8"] {
        assert!(!exists(name), "{name}");
    }
    let short = page().replace("| 46 |", "| 47 |");
    let names: Vec<String> = rows(&short).into_iter().map(|row| row.name).collect();
    assert_ne!(names, expected());
    let open = rows("| 1 | What must hold | open, with patience: later |");
    assert_eq!(open[0].worth, Worth::Open);
}
