//! A crate imports from lower floors only. On the ground floor a few named neighbours may be met.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Who lives where. A crate that is not listed has no place in the house yet: give it one here, in
/// `architecture.md`, and nowhere else.
const FLOORS: &[(&str, u8)] = &[
    ("raft", 0),
    ("kv", 0),
    ("wal", 0),
    ("wire", 0),
    ("nemesis", 0),
    ("history", 0),
    ("replica", 1),
    ("nemesis-net", 1),
    ("checker", 1),
    ("workload", 2),
    ("node", 2),
    ("runner", 3),
    ("sim", 3),
    ("model", 3),
    ("raft-node", 3),
    ("harness", 4),
    ("docs", 4),
];

/// Neighbours on one floor that may be met.
const NEIGHBOURS: &[(&str, &str)] = &[("kv", "raft"), ("wal", "raft")];

/// Rooms that think: nothing in their manifests could open a socket or start a thread of its own.
const THINKING: &[&str] = &["raft", "kv", "wal", "replica", "history", "nemesis", "checker", "workload"];
const ACTING: &[&str] = &["tokio", "tonic", "hyper", "axum", "socket2", "nix", "libc", "mio"];

/// The black box stays black: who runs a system does not link it.
const FOREIGN: &[(&str, &[&str])] = &[("runner", &["raft", "kv", "wal", "replica", "node", "raft-node"])];

/// What each of our crates imports, tests aside.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let imports = package["dependencies"].as_array().unwrap().iter();
            let ordinary = imports.filter(|import| import["kind"].is_null());
            let names = ordinary.map(|import| import["name"].as_str().unwrap().to_owned()).collect();
            (package["name"].as_str().unwrap().to_owned(), names)
        })
        .collect()
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(room, _)| *room == name).map(|(_, floor)| *floor)
}

/// What is wrong with these imports, as sentences.
fn faults(imports: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut faults = Vec::new();
    for (room, names) in imports {
        let Some(own) = floor(room) else {
            faults.push(format!("{room} has no floor"));
            continue;
        };
        for name in names {
            let Some(other) = floor(name) else { continue };
            let neighbours = NEIGHBOURS.contains(&(room.as_str(), name.as_str()));
            if other >= own && !neighbours {
                faults.push(format!("{room} (floor {own}) imports {name} (floor {other})"));
            }
        }
        if THINKING.contains(&room.as_str()) {
            let acting = ACTING.iter().filter(|name| names.contains(**name));
            faults.extend(acting.map(|name| format!("{room} thinks, and imports {name}")));
        }
        for (_, foreign) in FOREIGN.iter().filter(|(who, _)| who == room) {
            let linked = foreign.iter().filter(|name| names.contains(**name));
            faults.extend(linked.map(|name| format!("{room} tests a black box, and links {name}")));
        }
    }
    faults
}

#[test]
fn imports_go_down_only() {
    assert_eq!(faults(&imports()), Vec::<String>::new());
}

#[test]
fn every_room_of_the_plan_stands() {
    let standing: BTreeSet<String> = imports().into_keys().collect();
    for (room, _) in FLOORS {
        assert!(standing.contains(*room), "{room} is on the plan and not in the workspace");
    }
}

#[test]
fn a_wrong_import_is_noticed() {
    let wrong = |room: &str, name: &str| {
        let imports = BTreeMap::from([(room.to_owned(), BTreeSet::from([name.to_owned()]))]);
        !faults(&imports).is_empty()
    };
    assert!(wrong("raft", "replica"), "upwards");
    assert!(wrong("kv", "wal"), "sideways");
    assert!(wrong("replica", "tokio"), "a room that thinks acts");
    assert!(wrong("runner", "raft"), "a black box is opened");
    assert!(wrong("attic", "raft"), "a room without a floor");
    assert!(!wrong("wal", "raft"), "a neighbour that may be met");
}
