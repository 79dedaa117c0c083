//! The table of levels: it is what its files say, its files know every mistake, and nearly every mistake is found.
#![cfg(feature = "bugs")]
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use raft::Bug;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn page() -> String {
    fs::read_to_string(root().join("docs/bugs-raft.md")).unwrap()
}

/// What a world found, if it was ever asked.
fn world(name: &str) -> Option<Value> {
    let text = fs::read_to_string(root().join(format!("docs/bugs-raft/{name}.json"))).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

fn names(rows: &Value) -> BTreeSet<String> {
    rows.as_array().unwrap().iter().map(|row| row["bug"].as_str().unwrap().to_owned()).collect()
}

/// The cells of a mistake's row.
fn cells(page: &str, bug: Bug) -> Vec<String> {
    let row = page.lines().find(|line| line.contains(&format!("| `{bug}` |")));
    let row = row.unwrap_or_else(|| panic!("{bug} does not stand in the table"));
    row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()
}

/// A copy of the page, beside sources as they are.
fn copy() -> (tempfile::TempDir, PathBuf) {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir_all(copy.path().join("docs/bugs-raft")).unwrap();
    symlink(root().join("systems"), copy.path().join("systems")).unwrap();
    for file in fs::read_dir(root().join("docs/bugs-raft")).unwrap() {
        let path = file.unwrap().path();
        fs::copy(&path, copy.path().join("docs/bugs-raft").join(path.file_name().unwrap())).unwrap();
    }
    let table = copy.path().join("docs/bugs-raft.md");
    fs::copy(root().join("docs/bugs-raft.md"), &table).unwrap();
    (copy, table)
}

fn suite(arguments: &[&str]) -> Output {
    let arguments = [&["suite", "bugs-raft"], arguments].concat();
    Command::new(env!("CARGO_BIN_EXE_harness")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn every_mistake_stands_in_the_table_and_nearly_all_are_found() {
    let page = page();
    let found = |cell: &String| cell.contains(" s, ") || cell.contains(".txt)");
    let lost: Vec<Bug> =
        Bug::ALL.into_iter().filter(|bug| !cells(&page, *bug)[3..].iter().any(found)).collect();
    println!("found by nobody: {lost:?}");
    assert!(lost.len() * 20 <= Bug::ALL.len(), "more than one in twenty is found by nobody: {lost:?}");
}

#[test]
fn every_world_says_something_of_every_mistake() {
    let all: BTreeSet<String> = Bug::ALL.into_iter().map(|bug| bug.name().to_owned()).collect();
    for name in ["model", "sim", "outside", "real"] {
        let world = world(name).unwrap();
        let (hunted, beyond) = (names(&world["bugs"]), names(&world["not_in_this_world"]));
        let unknown: Vec<&String> = hunted.union(&beyond).filter(|bug| !all.contains(*bug)).collect();
        assert!(unknown.is_empty(), "{name}: {unknown:?}");
        let both: Vec<&String> = hunted.intersection(&beyond).collect();
        assert!(both.is_empty(), "{name} hunted what it cannot show: {both:?}");
    }
    let model = world("model").unwrap();
    assert_eq!(names(&model["bugs"]), model::within().iter().map(|bug| bug.name().to_owned()).collect());
}

/// The famous ones, which any simulator of Raft should find.
fn is_famous(row: &Value) -> bool {
    let number = row["number"].as_str().and_then(|number| number.strip_prefix('R')?.parse().ok());
    number.is_some_and(|number: u32| number <= 18 || (29..=36).contains(&number))
}

#[test]
fn the_simulator_finds_the_famous_mistakes_while_somebody_waits_and_makes_them_small() {
    let world = world("sim").unwrap();
    let rows = world["bugs"].as_array().unwrap();
    let famous: Vec<&Value> = rows.iter().filter(|row| is_famous(row)).collect();
    assert!(famous.len() >= 22, "at most four of the famous are not hunted: {}", famous.len());
    let found: Vec<&&Value> = famous.iter().filter(|row| !row["found"].is_null()).collect();
    assert!(found.len() * 10 >= famous.len() * 9, "{} of {}", found.len(), famous.len());
    let mut seconds: Vec<f64> = found.iter().map(|row| row["seconds"].as_f64().unwrap()).collect();
    seconds.sort_by(f64::total_cmp);
    assert!(seconds[seconds.len() / 2] < 5.0, "{seconds:?}");

    let small: Vec<&Value> =
        rows.iter().filter(|row| !row["found"].is_null()).map(|row| &row["small"]).collect();
    assert!(small.iter().all(|small| small["repeats"] == true), "{small:?}");
    let size = |small: &Value, what: &str| small[what].as_u64().unwrap();
    let followed =
        small.iter().filter(|small| size(small, "ops") <= 12 && size(small, "faults") <= 3).count();
    assert!(followed * 100 >= small.len() * 85, "{followed} of {} fit on a page", small.len());
}

/// What is called a find is worth as much as the same sweep is silent about the code without a mistake.
#[test]
fn the_control_of_the_simulator_lasted_twenty_times_as_long_as_its_longest_find() {
    let world = world("sim").unwrap();
    let lasted = |row: &Value| row["virtual_seconds"].as_f64().unwrap();
    let found = world["bugs"].as_array().unwrap().iter().filter(|row| !row["found"].is_null());
    let longest = found.map(lasted).fold(0.0, f64::max);
    let control = &world["control"];
    assert_eq!((&control["bad"], &control["stopped"]), (&Value::Null, &Value::Bool(false)));
    assert!(lasted(control) >= 20.0 * longest, "{} s beside {longest} s", lasted(control));
}

#[test]
fn processes_show_what_they_can_and_only_what_clients_of_the_simulator_hardly_see_is_called_rare() {
    let (real, outside) = (world("real").unwrap(), world("outside").unwrap());
    let hunted = real["bugs"].as_array().unwrap();
    let (rare, common): (Vec<&Value>, Vec<&Value>) = hunted.iter().partition(|row| row["rare"] == true);
    for row in rare {
        let seen =
            outside["bugs"].as_array().unwrap().iter().find(|other| other["bug"] == row["bug"]).unwrap();
        let lasted = seen["virtual_seconds"].as_f64().unwrap();
        assert!(lasted > 2_000.0, "{}: seen after {lasted} s", row["bug"]);
    }
    let missed: Vec<&Value> =
        common.iter().filter(|row| row["found"].is_null()).map(|row| &row["bug"]).collect();
    assert!(missed.len() * 100 <= common.len() * 15, "of {}, processes do not show {missed:?}", common.len());
}

#[test]
fn the_scripts_of_the_table_tell_of_their_mistakes_and_none_is_missing() {
    let page = page();
    for script in fs::read_dir(root().join("systems/raft/tests/scripts")).unwrap() {
        let path = script.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let cluster = text.lines().find(|line| line.starts_with("cluster ")).unwrap();
        for bug in Bug::ALL {
            let makes = cluster
                .split_whitespace()
                .filter_map(|word| word.strip_prefix("bugs="))
                .any(|bugs| bugs.split(',').any(|made| made == bug.name()));
            let told = cells(&page, bug)[3].contains(&format!("/{name})"));
            assert_eq!(makes, told, "{name} and {bug}");
        }
    }
}

#[test]
fn the_table_is_what_its_files_say() {
    let (_copy, table) = copy();
    let text = fs::read_to_string(&table).unwrap();
    let spoiled = text.replace("| `vote-twice` |", "| `vote-thrice` |");
    assert_ne!(spoiled, text);
    fs::write(&table, spoiled).unwrap();
    let output = suite(&["--table", table.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_to_string(&table).unwrap(), text, "the table of the book is an old one");
}

#[test]
fn one_mistake_can_be_hunted_anew_and_the_others_stay() {
    let (_copy, table) = copy();
    let kept = table.with_extension("").join("model.json");
    let before: Value = serde_json::from_str(&fs::read_to_string(&kept).unwrap()).unwrap();
    let mut other = before.clone();
    for row in other["bugs"].as_array_mut().unwrap() {
        row["found"] = Value::Null;
    }
    fs::write(&kept, other.to_string()).unwrap();
    let hunt = ["--only", "count-half", "--world", "model", "--control", "0"];
    let asked = [&["--table", table.to_str().unwrap()][..], &hunt].concat();
    let output = suite(&asked);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("killed: 1 of 1\n"), "{text}");
    let after: Value = serde_json::from_str(&fs::read_to_string(&kept).unwrap()).unwrap();
    for (old, new) in before["bugs"].as_array().unwrap().iter().zip(after["bugs"].as_array().unwrap()) {
        let hunted = old["bug"] == "count-half";
        assert_eq!(new["found"].is_null(), !hunted, "{}", old["bug"]);
        assert!(!hunted || new["found"] == old["found"]);
    }
}

#[test]
fn what_is_no_page_for_a_table_is_refused() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    for (wrong, said) in [
        (vec!["--table", "/nowhere/page.md"], "--table /nowhere/page.md"),
        (vec!["--table", empty.path().to_str().unwrap()], "no place for the table"),
        (vec!["--world", "model", "--only", "skip-sync"], "made in the crate wal"),
        (vec!["--world", "model,sim", "--json"], "one world at a time"),
    ] {
        let output = suite(&wrong);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(254), "{wrong:?}: {text}");
        assert!(text.contains(said), "{wrong:?}: {text}");
    }
}
