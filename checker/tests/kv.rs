//! What is said of texts that contradict each other. Each sentence must be true, and enough.

use checker::kv::{Kv, Op, kv};
use checker::{Budget, Checker, Choice, Linearizable, Setup, Verdict, Why};
use history::{Format, History, Operation, Reader};

/// A line that invokes and, unless `answered` is none, one that answers right away.
fn ops(all: &[(u64, &str, &str, Option<&str>)]) -> History<Op, <Op as Operation>::Ret> {
    let mut lines = Vec::new();
    for (process, f, asked, answered) in all {
        lines.push(format!("{{:process {process}, :type :invoke, :f :{f}, :key \"k\", :value {asked}}}\n"));
        if let Some(answered) = answered {
            lines
                .push(format!("{{:process {process}, :type :ok, :f :{f}, :key \"k\", :value {answered}}}\n"));
        }
    }
    Reader::of(Format::PorcupineKv, lines.concat().as_bytes()).read_all().expect("the lines are well formed")
}

fn sentence(all: &[(u64, &str, &str, Option<&str>)]) -> String {
    match kv().check(&ops(all), &Budget::default()) {
        Verdict::Invalid { witness } => witness.sentence,
        other => panic!("{} in place of invalid", other.word()),
    }
}

const A: (u64, &str, &str, Option<&str>) = (0, "append", r#""a""#, Some(r#""a""#));
const B: (u64, &str, &str, Option<&str>) = (1, "append", r#""b""#, Some(r#""b""#));
const PUT_C: (u64, &str, &str, Option<&str>) = (2, "put", r#""c""#, Some(r#""c""#));

fn get(text: &'static str) -> (u64, &'static str, &'static str, Option<&'static str>) {
    (3, "get", "nil", Some(text))
}

#[test]
fn a_key_starts_empty_grows_by_appends_and_is_replaced_by_puts() {
    let good = ops(&[get(r#""""#), A, B, get(r#""ab""#), PUT_C, get(r#""c""#), A, get(r#""ca""#)]);
    assert_eq!(kv().check(&good, &Budget::default()).word(), "valid");
    let unanswered = (7, "append", r#""b""#, None);
    for text in [r#""a""#, r#""ab""#, r#""ba""#] {
        let open = ops(&[unanswered, A, get(text)]);
        assert_eq!(kv().check(&open, &Budget::default()).word(), "valid", "{text}");
    }
}

#[test]
fn the_reason_is_one_true_sentence() {
    assert_eq!(
        sentence(&[A, B, get(r#""a""#)]),
        r#"process 3 got "a" (index 5), but process 1's append of "b" (index 3) was acknowledged before that get began, and no put came after it to take that away"#
    );
    assert_eq!(
        sentence(&[A, PUT_C, get(r#""a""#)]),
        r#"process 3 got "a" (index 5), but process 2's put of "c" (index 3) was acknowledged before that get began, and no put came after it to take that away"#
    );
    assert_eq!(
        sentence(&[A, get(r#""""#)]),
        r#"process 3 got "" (index 3), but process 0's append of "a" (index 1) was acknowledged before that get began, and no put came after it to take that away"#
    );
    assert_eq!(
        sentence(&[A, B, get(r#""ba""#)]),
        r#"process 3 got "ba" (index 5), but process 0's append of "a" (index 1) was acknowledged before process 1's append of "b" (index 3) began, so its text must stand first"#
    );
    assert_eq!(
        sentence(&[A, get(r#""ax""#)]),
        r#"process 3 got "ax" (index 3), but nobody had asked for a text that it ends with; last known before: process 0's append of "a" (index 1) was acknowledged"#
    );
    assert_eq!(
        sentence(&[A, get(r#""aa""#)]),
        r#"process 3 got "aa" (index 3), but once all that was acknowledged before is explained, the key holds "a"; last known before: process 0's append of "a" (index 1) was acknowledged"#
    );
}

#[test]
fn a_put_of_another_text_is_no_excuse() {
    let open = (7, "put", r#""c""#, None);
    assert_eq!(
        sentence(&[A, open, B, get(r#""ab""#), get(r#""a""#)]),
        r#"process 3 got "a" (index 8), but process 3 got "ab" (index 6) before that get began, and what was got starts with no text that was put after it"#
    );
    let excuse = ops(&[A, (7, "put", r#""a""#, None), B, get(r#""ab""#), get(r#""a""#)]);
    assert_eq!(kv().check(&excuse, &Budget::default()).word(), "valid");
}

#[test]
fn a_get_that_two_reads_before_contradict_names_the_last_of_them() {
    let open = (7, "append", r#""b""#, None);
    assert_eq!(
        sentence(&[A, open, get(r#""ab""#), get(r#""a""#)]),
        r#"process 3 got "a" (index 6), but process 3 got "ab" (index 4) before that get began, and no put came after it to take that away"#
    );
}

#[test]
fn long_texts_are_shown_by_their_ends() {
    let long = format!("\"{}\"", "é".repeat(500));
    let put = (0, "put", long.as_str(), Some(long.as_str()));
    let sentence = sentence(&[put, get(r#""""#)]);
    let shown = format!("\"{}…{}\"", "é".repeat(12), "é".repeat(36));
    assert!(sentence.contains(&format!("process 0's put of {shown} (index 1)")), "{sentence}");
}

#[test]
fn texts_count_as_memory() {
    let long = format!("\"{}\"", "a".repeat(1 << 16));
    let history =
        ops(&[(0, "put", long.as_str(), Some(long.as_str())), (1, "get", "nil", Some(long.as_str()))]);
    let memory = |memory| Budget { memory, ..Budget::default() };
    // A rule keeps no texts; a search does.
    let search = Linearizable::new("kv", Kv::of(&history)).with(Setup::by(Choice::Wgl));
    assert_eq!(search.check(&history, &memory(1 << 17)).word(), "valid");
    let short = search.check(&history, &memory(1 << 15));
    assert_eq!(short, Verdict::Unknown { why: Why::OutOfMemory });
}
