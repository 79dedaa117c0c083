//! The corpus: histories written by hand, with verdicts that a person can check by eye.
#![expect(clippy::unwrap_used, reason = "the helpers are tests too")]

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use checker::register::{Op, Register, Ret, cas_register, register};
use checker::{Budget, Checker, Verdict, Witness, verify_linearization};
use history::{History, Reader};

fn corpus(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../histories/corpus").join(folder);
    let mut files: Vec<PathBuf> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn read(path: &Path) -> History<Op, Ret> {
    let file = BufReader::new(File::open(path).unwrap());
    Reader::<_, Op>::new(file).read_all().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn name(path: &Path) -> &str {
    path.file_stem().unwrap().to_str().unwrap()
}

fn witness(path: &Path) -> Witness {
    match register().check(&read(path), &Budget::default()) {
        Verdict::Invalid { witness } => *witness,
        other => panic!("{} is {}", path.display(), other.word()),
    }
}

#[test]
fn good_histories_are_valid_and_come_with_a_linearization() {
    let files = corpus("good");
    assert!(files.len() >= 8);
    for path in files {
        let history = read(&path);
        let Verdict::Valid { linearization } = cas_register().check(&history, &Budget::default()) else {
            panic!("{} is good", path.display())
        };
        verify_linearization(&Register, &history, &linearization.unwrap()).unwrap();
    }
}

/// What is said of each bad history. Read them beside the files: each must be true, and enough.
const SENTENCES: [(&str, &str); 11] = [
    (
        "cas-both-won",
        "process 2's cas from 1 to 3 on n3 (index 5) succeeded, but process 1's cas from 1 to 2 on n2 (index 4) succeeded too, and 1 was put there only once, by process 0's write of 1 to n1 (index 1)",
    ),
    (
        "cas-from-impossible-value",
        "process 2's cas from 1 to 3 on n3 (index 5) succeeded, but process 1's write of 2 to n2 (index 3) was acknowledged before that cas began, and no write of 1 was open after it; the only one was process 0's write of 1 to n1 (index 1)",
    ),
    (
        "cas-should-have-won",
        "process 1's cas from 1 to 2 on n2 (index 3) found another value, but process 0's write of 1 to n1 (index 1) was acknowledged before that cas began, and nothing that would put another value there was open after it",
    ),
    (
        "failed-write-read",
        "process 2 read 2 from n3 (index 5), but process 1's write of 2 to n2 (index 2, failed) certainly did not happen, and nobody else had asked to put 2 there",
    ),
    (
        "lost-all",
        "process 1 read nothing from n2 (index 3), but process 0's write of 1 to n1 (index 1) was acknowledged before that read began, and nothing ever empties a register",
    ),
    (
        "lost-write",
        "process 2 read 1 from n3 (index 10), but process 0's write of 2 to n1 (index 5) was acknowledged before that read began, and no write of 1 was open after it; the only one was process 0's write of 1 to n1 (index 1)",
    ),
    (
        "never-written",
        "process 1 read 7 from n2 (index 3), but nobody had asked to put 7 there; last known before: process 0's write of 1 to n1 (index 1) was acknowledged",
    ),
    (
        "read-goes-back",
        "process 2 read 1 from n3 (index 6), but process 1 read 2 from n2 (index 4) before that read began, and 1 was put there only once, and before that: process 0's write of 1 to n1 (index 1) was acknowledged before process 1's read from n2 (index 4) began",
    ),
    (
        "reads-disagree",
        "process 3 read 1 from n1 (index 7), but process 2 read 2 from n3 (index 5) before that read began, and 1 was put there only once, by process 0's write of 1 to n1 (index 0, unanswered), and before that: process 2 read 1 from n3 (index 3) before process 2's read from n3 (index 5) began",
    ),
    (
        "second-key",
        "process 0 read nothing from n1 (index 7), but process 1's write of 2 to n2 (index 3) was acknowledged before that read began, and nothing ever empties a register",
    ),
    (
        "stale-read",
        "process 0 read 1 from n1 (index 7), but process 1's write of 2 to n2 (index 5) was acknowledged before that read began, and no write of 1 was open after it; the only one was process 0's write of 1 to n1 (index 1)",
    ),
];

#[test]
fn bad_histories_are_invalid_and_the_reason_is_one_true_sentence() {
    let files = corpus("bad");
    let expected: Vec<&str> = SENTENCES.iter().map(|&(file, _)| file).collect();
    assert_eq!(files.iter().map(|path| name(path)).collect::<Vec<_>>(), expected);
    for (path, (_, sentence)) in files.iter().zip(SENTENCES) {
        assert_eq!(witness(path).sentence, sentence, "{}", path.display());
    }
}

#[test]
fn a_witness_is_the_shortest_bad_prefix_with_what_stood_in_it() {
    let path = corpus("bad").into_iter().find(|path| name(path) == "stale-read").unwrap();
    let witness = witness(&path);
    assert_eq!(witness.key.as_ref().map(history::Key::as_str), Some("x"));
    assert_eq!((witness.prefix_ends, witness.shortest, witness.others), (7, true, 0));
    assert_eq!(witness.states, ["2"]);
    let ops: Vec<_> =
        witness.ops.iter().map(|op| (op.f.as_str(), op.invoked, op.completed, op.named)).collect();
    assert_eq!(ops, [("write", 0, Some(1), true), ("write", 4, Some(5), true), ("read", 6, Some(7), true)]);
    let json = serde_json::to_string(&Verdict::Invalid { witness: Box::new(witness.clone()) }).unwrap();
    assert!(json.starts_with(r#"{"verdict":"invalid","witness":{"sentence":"process 0 read 1"#), "{json}");
    let back: Verdict = serde_json::from_str(&json).unwrap();
    assert_eq!(back, Verdict::Invalid { witness: Box::new(witness) });
}

#[test]
fn a_verdict_reads_the_same_after_a_trip_through_json() {
    let path = corpus("good").into_iter().find(|path| name(path) == "two-keys").unwrap();
    let verdict = register().check(&read(&path), &Budget::default());
    let json = serde_json::to_string(&verdict).unwrap();
    assert!(
        json.starts_with(r#"{"verdict":"valid","linearization":{"keys":[{"key":"x","by":{"engine":"#),
        "{json}"
    );
    assert!(json.contains(r#""order":[0,4]},{"key":"y","#), "{json}");
    assert_eq!(serde_json::from_str::<Verdict>(&json).unwrap(), verdict);
}
