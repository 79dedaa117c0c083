//! What the search costs, and what it says when it cannot afford it.
#![expect(clippy::unwrap_used, reason = "the helpers are tests too")]

use std::time::Duration;

use checker::generate::{Plan, Values};
use checker::mutex::mutex;
use checker::register::{Op, Ret, cas_register, register};
use checker::{Budget, Checker, Verdict, Why};
use history::{History, Key, Line, Outcome, Pairing, Process, Writer};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const MIB: usize = 1 << 20;
const LONG: Duration = Duration::from_hours(1);

/// A history written line by line; time is the index.
struct Script {
    writer: Writer<std::io::Sink, Op>,
    pairing: Pairing<Op, Ret>,
}

impl Script {
    fn new() -> Script {
        Script { writer: Writer::new(std::io::sink()), pairing: Pairing::default() }
    }

    fn ask(&mut self, process: u64, key: &str, op: Op) {
        let time = self.writer.next_index();
        let seen = self.writer.invoke(time, Process(process), None, Some(Key::new(key)), op).unwrap();
        self.pairing.push(Line::Client(seen));
    }

    fn end(&mut self, process: u64, outcome: Outcome<Ret>) {
        let time = self.writer.next_index();
        let seen = self.writer.complete(time, Process(process), outcome).unwrap();
        self.pairing.push(Line::Client(seen));
    }

    fn done(&mut self, process: u64, key: &str, op: Op, ret: Ret) {
        self.ask(process, key, op);
        self.end(process, Outcome::Ok(ret));
    }

    fn finish(self) -> History<Op, Ret> {
        self.pairing.finish()
    }
}

/// Forty writes at once, of values that two of them share, and a read of one of these after another write:
/// to be sure that it was not there, a search has to try all their subsets.
fn hard(script: &mut Script) {
    for process in 0..40 {
        script.ask(process, "hard", Op::Write(process / 2));
    }
    for process in 0..40 {
        script.end(process, Outcome::Ok(Ret::Written));
    }
    script.done(100, "hard", Op::Write(99), Ret::Written);
    script.done(100, "hard", Op::Read, Ret::Value(Some(0)));
}

/// Forty writes that nobody knows the end of are no such thing: each matters only where it is read.
#[test]
fn unanswered_ops_by_themselves_are_not_hard() {
    let mut script = Script::new();
    for process in 0..40 {
        script.ask(process, "x", Op::Write(process / 2));
    }
    script.done(100, "x", Op::Read, Ret::Value(Some(99)));
    assert_eq!(check(&script.finish(), LONG, MIB).word(), "invalid");
}

fn check(history: &History<Op, Ret>, time: Duration, memory: usize) -> Verdict {
    register().check(history, &Budget { time, memory, ..Budget::default() })
}

#[test]
fn a_search_that_needs_too_much_memory_is_unknown() {
    let mut script = Script::new();
    hard(&mut script);
    assert_eq!(check(&script.finish(), LONG, 4 * MIB), Verdict::Unknown { why: Why::OutOfMemory });
}

#[test]
fn a_search_that_needs_too_much_time_is_unknown() {
    let mut script = Script::new();
    hard(&mut script);
    let verdict = check(&script.finish(), Duration::from_millis(20), usize::MAX);
    assert_eq!(verdict, Verdict::Unknown { why: Why::OutOfTime });
}

/// Steps are no time: how many are enough does not depend on the machine.
#[test]
fn a_search_that_needs_too_many_steps_is_unknown_and_always_so() {
    let mut script = Script::new();
    hard(&mut script);
    let history = script.finish();
    let verdict = |steps| {
        let budget = Budget { time: Duration::MAX, memory: usize::MAX, steps };
        register().check(&history, &budget)
    };
    let mut enough = 1 << 10;
    while verdict(enough) == (Verdict::Unknown { why: Why::OutOfTime }) && enough < 1 << 13 {
        enough *= 2;
    }
    assert_eq!(enough, 1 << 13, "the search is far longer than that");
    let mut easy = Script::new();
    easy.done(1, "x", Op::Write(1), Ret::Written);
    let budget = Budget { time: Duration::MAX, memory: usize::MAX, steps: 1 << 10 };
    assert_eq!(register().check(&easy.finish(), &budget).word(), "valid");
}

#[test]
fn one_key_that_is_invalid_outweighs_another_that_is_unknown() {
    let mut script = Script::new();
    hard(&mut script);
    script.done(101, "easy", Op::Write(1), Ret::Written);
    script.done(101, "easy", Op::Read, Ret::Value(Some(2)));
    let Verdict::Invalid { witness } = check(&script.finish(), LONG, 4 * MIB) else {
        panic!("the easy key is enough")
    };
    assert_eq!(witness.key, Some(Key::new("easy")));
}

#[test]
fn of_many_invalid_keys_the_same_one_is_always_the_evidence() {
    let mut script = Script::new();
    for key in 0..64 {
        for value in 0..20 + key % 5 {
            script.done(0, &format!("k{key}"), Op::Write(value), Ret::Written);
        }
        script.done(1, &format!("k{key}"), Op::Read, Ret::Value(Some(0)));
    }
    let history = script.finish();
    for _ in 0..20 {
        let Verdict::Invalid { witness } = check(&history, LONG, 64 * MIB) else { panic!("all are wrong") };
        assert_eq!(witness.key, Some(Key::new("k14")), "of the longest, the first by name");
    }
}

#[test]
fn one_key_that_is_unknown_outweighs_another_that_is_valid() {
    let mut script = Script::new();
    hard(&mut script);
    script.done(101, "easy", Op::Write(1), Ret::Written);
    assert_eq!(check(&script.finish(), LONG, 4 * MIB).word(), "unknown");
}

#[test]
fn an_empty_history_is_valid() {
    assert_eq!(check(&History::default(), LONG, 0).word(), "valid");
}

/// Ten clients on one key, each op taking effect at a random moment of its interval.
fn long(ops: u64, wrong_at: Option<u64>) -> History<Op, Ret> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut script = Script::new();
    let mut content = None;
    let mut open: Vec<Option<(Op, Option<Ret>)>> = vec![None; 10];
    let mut asked = 0;
    while asked < ops {
        let process = rng.random_range(0..open.len());
        let slot = &mut open[process];
        match *slot {
            None => {
                let op = if rng.random_bool(0.5) { Op::Read } else { Op::Write(asked) };
                asked += 1;
                *slot = Some((op, None));
                script.ask(process as u64, "x", op);
            }
            Some((Op::Write(value), None)) => {
                content = Some(value);
                *slot = Some((Op::Write(value), Some(Ret::Written)));
            }
            Some((op, None)) => {
                let wrong = wrong_at.is_some_and(|at| asked >= at);
                *slot = Some((op, Some(Ret::Value(if wrong { Some(0) } else { content }))));
            }
            Some((_, Some(ret))) => {
                script.end(process as u64, Outcome::Ok(ret));
                *slot = None;
            }
        }
    }
    script.finish()
}

/// All orders of many ops at once are many, but the first guess is as good as any.
#[test]
fn many_ops_at_once_that_agree_are_valid() {
    for clients in [24, 60, 300, 1_100] {
        let mut script = Script::new();
        (0..clients).for_each(|process| script.ask(process, "x", Op::Write(process / 2)));
        (0..clients).for_each(|process| script.end(process, Outcome::Ok(Ret::Written)));
        assert_eq!(check(&script.finish(), LONG, 64 * MIB).word(), "valid", "{clients} clients");
    }
}

/// What two hundred clients did cannot be kept apart; that nobody wrote 99 can be seen all the same.
#[test]
fn a_value_that_nobody_wrote_is_found_among_many_clients() {
    let mut script = Script::new();
    (0..200).for_each(|process| script.ask(process, "x", Op::Write(process % 5)));
    (0..200).for_each(|process| script.end(process, Outcome::Ok(Ret::Written)));
    (0..200).for_each(|process| script.ask(process, "x", Op::Write(process % 5)));
    script.done(200, "x", Op::Read, Ret::Value(Some(99)));
    (0..200).for_each(|process| script.end(process, Outcome::Ok(Ret::Written)));
    let Verdict::Invalid { witness } = check(&script.finish(), LONG, 64 * MIB) else {
        panic!("nobody wrote 99")
    };
    assert!(witness.sentence.contains("nobody had asked to put 99 there"), "{}", witness.sentence);
}

/// Sixteen writes that are open for a long time, and reads that go on meanwhile: what is remembered of the
/// way counts too.
#[test]
fn what_is_remembered_of_the_way_is_paid_for() {
    let mut script = Script::new();
    script.done(17, "x", Op::Write(50), Ret::Written);
    (0..16).for_each(|process| script.ask(process, "x", Op::Write(process / 2)));
    script.ask(16, "x", Op::Write(0));
    script.end(16, Outcome::Ok(Ret::Written));
    (0..4_000).for_each(|_| script.done(17, "x", Op::Read, Ret::Value(Some(0))));
    script.done(17, "x", Op::Read, Ret::Value(Some(50)));
    (0..16).for_each(|process| script.end(process, Outcome::Ok(Ret::Written)));
    assert_eq!(check(&script.finish(), LONG, 2 * MIB).word(), "unknown");
}

/// Thousands of answers are needed to see that a mutex was acquired once too often; nobody reads so many,
/// and nobody waits until the fewest are found.
#[test]
fn the_search_for_evidence_ends() {
    use history::MutexOp::{Acquire, Release};
    let mut writer = Writer::new(std::io::sink());
    let mut pairing = Pairing::default();
    let all = std::iter::repeat_n([Acquire, Release], 10_000).flatten().chain([Acquire, Acquire]);
    for op in all {
        let time = writer.next_index();
        let asked = writer.invoke(time, Process(0), None, None, op).unwrap();
        let done = writer.complete(time, Process(0), Outcome::Ok(history::MutexDone)).unwrap();
        pairing.push(Line::Client(asked));
        pairing.push(Line::Client(done));
    }
    let budget = Budget { time: Duration::from_secs(2), memory: 64 * MIB, ..Budget::default() };
    let Verdict::Invalid { witness } = mutex().check(&pairing.finish(), &budget) else {
        panic!("held twice")
    };
    assert!(!witness.minimal && witness.shortest, "{witness:?}");
}

/// A rule that remembers every op is no reason to give up where there is a search that does not.
#[test]
fn what_is_too_much_for_a_rule_may_be_enough_for_the_search() {
    let plan = Plan { ops: 50_000, clients: 10, keys: 1, values: Values::Few(5), ..Plan::default() };
    let verdict =
        cas_register().check(&plan.cas_register(), &Budget { time: LONG, memory: MIB, ..Budget::default() });
    let Verdict::Valid { linearization: Some(orders) } = verdict else {
        panic!("a mebibyte is enough for a frontier")
    };
    assert_eq!(orders.keys[0].by.engine, "frontier");
}

#[test]
fn memory_grows_with_the_length_and_not_with_its_square() {
    let history = long(50_000, None);
    // Two million places; with a bit for each op in each of them, they would take 12 GiB.
    assert_eq!(check(&history, LONG, 128 * MIB).word(), "valid");
}

#[test]
fn a_wrong_read_far_into_a_long_history_is_found_and_explained() {
    let history = long(5_000, Some(4_500));
    let Verdict::Invalid { witness } = check(&history, LONG, 512 * MIB) else { panic!("one read is wrong") };
    assert!(witness.shortest);
    assert!(witness.sentence.contains("read 0 (index"), "{}", witness.sentence);
    assert!(witness.sentence.contains("before that read began"), "{}", witness.sentence);
}

// --- wrong turns that a faster search might take ----------------------------------------------------

/// No single unanswered op enables the read; the two together do.
#[test]
fn two_unanswered_cas_in_a_row_explain_a_read() {
    let mut script = Script::new();
    script.done(0, "x", Op::Write(0), Ret::Written);
    script.ask(1, "x", Op::Cas { from: 0, to: 1 });
    script.ask(2, "x", Op::Cas { from: 1, to: 2 });
    script.done(0, "x", Op::Read, Ret::Value(Some(2)));
    let verdict = cas_register().check(&script.finish(), &Budget::default());
    let Verdict::Valid { linearization } = verdict else { panic!("it can be explained") };
    assert_eq!(linearization.unwrap().keys[0].order, [0, 2, 3, 4]);
}

/// The same the other way round: what is not there cannot be swapped first.
#[test]
fn two_unanswered_cas_that_do_not_follow_each_other_explain_nothing() {
    let mut script = Script::new();
    script.done(0, "x", Op::Write(0), Ret::Written);
    script.ask(1, "x", Op::Cas { from: 1, to: 2 });
    script.ask(2, "x", Op::Cas { from: 3, to: 1 });
    script.done(0, "x", Op::Read, Ret::Value(Some(2)));
    assert_eq!(cas_register().check(&script.finish(), &Budget::default()).word(), "invalid");
}

/// A value that is written twice may be read again after another.
#[test]
fn a_value_written_twice_may_come_back() {
    let mut script = Script::new();
    script.done(0, "x", Op::Write(1), Ret::Written);
    script.ask(1, "x", Op::Write(1));
    script.done(0, "x", Op::Write(2), Ret::Written);
    script.done(0, "x", Op::Read, Ret::Value(Some(2)));
    script.done(0, "x", Op::Read, Ret::Value(Some(1)));
    assert_eq!(register().check(&script.finish(), &Budget::default()).word(), "valid");
}

/// An unanswered write may take effect long after its process was given up.
#[test]
fn an_unanswered_write_may_take_effect_after_later_writes() {
    let mut script = Script::new();
    script.ask(0, "x", Op::Write(1));
    script.end(0, Outcome::Info("no answer".into()));
    script.done(1, "x", Op::Write(2), Ret::Written);
    script.done(1, "x", Op::Read, Ret::Value(Some(2)));
    script.done(1, "x", Op::Read, Ret::Value(Some(1)));
    assert_eq!(register().check(&script.finish(), &Budget::default()).word(), "valid");
}

/// But only once.
#[test]
fn an_unanswered_write_takes_effect_at_most_once() {
    let mut script = Script::new();
    script.ask(0, "x", Op::Write(1));
    script.end(0, Outcome::Info("no answer".into()));
    script.done(1, "x", Op::Read, Ret::Value(Some(1)));
    script.done(1, "x", Op::Write(2), Ret::Written);
    script.done(1, "x", Op::Read, Ret::Value(Some(1)));
    let Verdict::Invalid { witness } = register().check(&script.finish(), &Budget::default()) else {
        panic!("1 was gone")
    };
    assert_eq!(
        witness.sentence,
        "process 1 read 1 (index 7), but process 1's write of 2 (index 5) was acknowledged before that read \
         began, and 1 was put there only once, by process 0's write of 1 (index 0, unanswered), and before that: process 1 read 1 (index 3) before process 1's \
         write of 2 (index 5) began"
    );
}
