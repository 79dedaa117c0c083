//! Golden scripts end as recorded.
//!
//! [`raft::script`] says how they are written. `UPDATE_GOLDENFILES=1 cargo test -p raft --test scripts`
//! records anew; commit a recording only if you can explain each line of it.
#![cfg(all(feature = "bugs", feature = "script"))]

use std::fs;
use std::path::Path;

use raft::script::play;

#[test]
fn scripts_end_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut scripts: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    scripts.sort();
    assert!(!scripts.is_empty());
    let update = std::env::var_os("UPDATE_GOLDENFILES").is_some();
    for path in scripts {
        let recorded = fs::read_to_string(&path).unwrap();
        let played = play(&recorded).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if update {
            fs::write(&path, &played.text).unwrap();
        } else {
            assert_eq!(played.text, recorded, "{} ends differently", path.display());
        }
        if !recorded.contains(" bugs=") {
            let harm = played.violation.map(|broken| broken.to_string()).or(played.halted);
            assert_eq!(harm, None, "{} makes no mistake on purpose", path.display());
        }
    }
}

/// A script whose recording was tampered with does not pass.
#[test]
fn a_changed_line_is_noticed() {
    let script = "cluster nodes=1\n---\nok\n\ntimeout 1\n---\n";
    let played = play(script).unwrap().text;
    assert!(played.contains("n1@t0 follower ⇨ n1@t1 leader"), "{played}");
    assert_ne!(played, script);
    assert_eq!(play(&played).unwrap().text, played, "a recording plays as itself");
}
