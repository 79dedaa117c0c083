//! Two models of texts against each other, on small random histories of one key, good and bad.
//!
//! [`Kv::of`] takes texts for one that [`Kv::plain`] tells apart. Both must say the same, and a model that
//! takes too many for one must be noticed on the same histories.

use std::cell::RefCell;
use std::sync::Arc;

use history::{Attempt, History, Key, Moment, Outcome, Process};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::certificate::verify_linearization;
use crate::kv::{Kv, Op, Ret};
use crate::linearizable::Linearizable;
use crate::seam::{Budget, Checker};
use crate::verdict::Verdict;

/// What happens next to one of the processes.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    process: usize,
    op: Op,
    fate: Fate,
}

#[derive(Clone, Debug)]
enum Fate {
    /// It takes effect.
    Effect,
    /// It is answered; if it had not taken effect, it does so now.
    Answer,
    /// It is answered with this text if it is a get.
    Lie(Arc<str>),
    /// Nobody knows.
    Lose,
}

/// Few texts, some of them the start or the end of others.
fn text() -> impl Strategy<Value = Arc<str>> {
    prop::sample::select(vec!["a", "b", "ab", "ba", ""]).prop_map(Arc::from)
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let op = prop_oneof![
        4 => Just(Op::Get),
        1 => text().prop_map(Op::Put),
        4 => text().prop_map(Op::Append),
    ];
    let fate = prop_oneof![
        6 => Just(Fate::Effect),
        8 => Just(Fate::Answer),
        1 => text().prop_map(Fate::Lie),
        1 => Just(Fate::Lose),
    ];
    let step = (0..3_usize, op, fate).prop_map(|(process, op, fate)| Step { process, op, fate });
    prop::collection::vec(step, 0..24)
}

fn apply(op: &Op, text: &mut String) -> Ret {
    match op {
        Op::Get => return Ret::Value(text.as_str().into()),
        Op::Put(new) => *text = new.to_string(),
        Op::Append(part) => text.push_str(part),
    }
    Ret::Done
}

pub(crate) fn history(steps: &[Step]) -> History<Op, Ret> {
    let mut history = History::default();
    let mut text = String::new();
    // Where the open op of a process stands, and what it found if it took effect.
    let mut open: [Option<(usize, Option<Ret>)>; 3] = [const { None }; 3];
    for Step { process, op, fate } in steps {
        let at = Moment { index: history.lines, time: history.lines };
        let Some((place, found)) = &mut open[*process] else {
            open[*process] = Some((history.attempts.len(), None));
            history.attempts.push(Attempt {
                process: Process(*process as u64),
                node: None,
                key: Some(Key::new("x")),
                op: op.clone(),
                invoked: at,
                completed: None,
                outcome: Outcome::Info("open".into()),
            });
            history.lines += 1;
            continue;
        };
        let attempt = &mut history.attempts[*place];
        if !matches!(fate, Fate::Lose) {
            found.get_or_insert_with(|| apply(&attempt.op, &mut text));
        }
        attempt.outcome = match (fate, found.clone()) {
            (Fate::Effect, _) | (_, None) => continue,
            (Fate::Lie(lie), Some(Ret::Value(_))) => Outcome::Ok(Ret::Value(Arc::clone(lie))),
            (Fate::Lose, Some(_)) => Outcome::Info("lost".into()),
            (_, Some(ret)) => Outcome::Ok(ret),
        };
        attempt.completed = Some(at);
        history.lines += 1;
        open[*process] = None;
    }
    history
}

/// Verdict and end of the shortest bad prefix.
fn judged(model: Kv, history: &History<Op, Ret>) -> (&'static str, Option<u64>) {
    match Linearizable::new("kv", model).check(history, &Budget::default()) {
        Verdict::Valid { linearization } => {
            let order = linearization.expect("the search gives an order");
            verify_linearization(&Kv::plain(), history, &order).expect("the order is one");
            ("valid", None)
        }
        Verdict::Invalid { witness } => ("invalid", Some(witness.prefix_ends)),
        Verdict::Unknown { .. } => ("unknown", None),
    }
}

/// How many of 3000 random histories are valid, invalid, and judged differently by these two.
fn compare(other: impl Fn(&History<Op, Ret>) -> Kv) -> [usize; 3] {
    let counts = RefCell::new([0; 3]);
    let config = Config { failure_persistence: None, ..Config::with_cases(3000) };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let run = runner.run(&steps(), |steps| {
        let history = history(&steps);
        let (plain, other) = (judged(Kv::plain(), &history), judged(other(&history), &history));
        let mut counts = counts.borrow_mut();
        counts[usize::from(plain.0 == "invalid")] += 1;
        counts[2] += usize::from(plain != other);
        Ok(())
    });
    run.expect("nothing is asserted of a single history");
    counts.into_inner()
}

#[test]
fn texts_that_nobody_got_need_not_be_told_apart() {
    let [valid, invalid, differently] = compare(Kv::of);
    assert!(valid > 300 && invalid > 300, "{valid} valid, {invalid} invalid");
    assert_eq!(differently, 0);
}

#[test]
fn to_forget_a_text_that_was_got_would_be_noticed() {
    let [_, _, differently] = compare(|history| {
        let mut model = Kv::of(history);
        let got = model.got.as_mut().expect("it knows what was got");
        let last = got.iter().max().cloned();
        got.retain(|text| Some(text) != last.as_ref());
        model
    });
    assert!(differently > 0);
}
