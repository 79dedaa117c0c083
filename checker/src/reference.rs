//! The checker against brute force, and brute force against broken checkers.
//!
//! Random small histories, good and bad, with every outcome: the checker must agree with a judge that
//! tries all orders and shares no line with it. Its orders must verify, its prefixes must be the
//! shortest. And since agreement proves nothing if the histories are too tame to tell, each planted
//! mistake must be noticed on the same histories.

use history::{Attempt, History, Key, Moment, NodeId, Outcome, Process};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::certificate::verify_linearization;
use crate::mutant::Mutant;
use crate::register::{Op, Register, Ret, register};
use crate::seam::{Budget, Checker};
use crate::setup::{Choice, Reductions, Setup};
use crate::verdict::{Standing, Verdict, Witness, WitnessOp};

type Asked = Attempt<Op, Ret>;

// --- brute force ----------------------------------------------------------------------------------

/// Whether some order of these ops explains them, found by trying all. An op that ends after `cut` is
/// open.
pub(crate) fn explainable(ops: &[&Asked], cut: u64) -> bool {
    let left: Vec<&Asked> =
        ops.iter().copied().filter(|op| !op.failed() && op.invoked.index <= cut).collect();
    some_order(&left, None, cut)
}

fn some_order(left: &[&Asked], content: Content, cut: u64) -> bool {
    if left.iter().all(|op| end(op, cut) == u64::MAX) {
        return true;
    }
    left.iter().enumerate().any(|(number, op)| {
        let mut rest = left.to_vec();
        rest.remove(number);
        rest.iter().all(|other| end(other, cut) > op.invoked.index)
            && effect(op, content, cut).is_some_and(|content| some_order(&rest, content, cut))
    })
}

fn end(op: &Asked, cut: u64) -> u64 {
    match (&op.outcome, op.completed) {
        (Outcome::Ok(_), Some(at)) if at.index <= cut => at.index,
        _ => u64::MAX,
    }
}

type Content = Option<u64>;

/// What a register holds after this op, if it can have answered what it did.
fn effect(op: &Asked, content: Content, cut: u64) -> Option<Content> {
    let swaps = |from| content == Some(from);
    let heard = if end(op, cut) == u64::MAX { None } else { op.ret().copied() };
    match (op.op, heard) {
        (Op::Write(value), _) => Some(Some(value)),
        (Op::Read, Some(Ret::Value(value))) => (value == content).then_some(content),
        (Op::Read, _) => Some(content),
        (Op::Cas { from, to }, None) => Some(if swaps(from) { Some(to) } else { content }),
        (Op::Cas { from, to }, Some(Ret::Swapped(true))) => swaps(from).then_some(Some(to)),
        (Op::Cas { from, .. }, _) => (!swaps(from)).then_some(content),
    }
}

// --- random histories -----------------------------------------------------------------------------

/// What happens next to one of the processes.
#[derive(Clone, Debug)]
struct Step {
    process: usize,
    /// What it asks, if it is idle.
    op: Op,
    key: u8,
    /// What becomes of its op, if it has one.
    fate: Fate,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It takes effect.
    Effect,
    /// It is answered; if it had not taken effect, it does so now.
    Answer,
    /// It is answered with another value than the true one.
    Lie(u64),
    /// It fails, if it has not taken effect.
    Fail,
    /// It fails, although it may have taken effect.
    FalseFail,
    /// Nobody knows.
    Lose,
}

fn value() -> impl Strategy<Value = u64> {
    0_u64..3
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => Just(Op::Read),
        2 => value().prop_map(Op::Write),
        2 => (value(), value()).prop_map(|(from, to)| Op::Cas { from, to }),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        12 => Just(Fate::Effect),
        12 => Just(Fate::Answer),
        4 => value().prop_map(Fate::Lie),
        2 => Just(Fate::Fail),
        1 => Just(Fate::FalseFail),
        3 => Just(Fate::Lose),
    ]
}

/// What is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Values {
    /// Three values, over and over, also by compare-and-set.
    Few,
    /// Each value once. No compare-and-set.
    Unique,
}

pub(crate) fn histories(values: Values) -> impl Strategy<Value = History<Op, Ret>> {
    let step = (0_usize..4, op(), 0_u8..4, fate());
    let step = step.prop_map(|(process, op, key, fate)| Step { process, op, key: key / 3, fate });
    proptest::collection::vec(step, 4..26).prop_map(move |steps| play(&steps, values))
}

/// A history as a register would answer, but for the lies.
fn play(steps: &[Step], values: Values) -> History<Op, Ret> {
    let mut attempts: Vec<Asked> = Vec::new();
    let mut contents = [None; 2];
    let mut names: [u64; 4] = [0, 1, 2, 3];
    // The open attempt of each process, and its answer if it took effect.
    let mut open: [Option<(usize, Option<Ret>)>; 4] = [None; 4];
    let mut index = 0;
    for step in steps {
        let at = Moment { index, time: index };
        let Some((number, answer)) = open[step.process] else {
            open[step.process] = Some((attempts.len(), None));
            attempts.push(Attempt {
                process: Process(names[step.process]),
                node: Some(NodeId(1)),
                key: Some(Key::new(format!("k{}", step.key))),
                op: match (values, step.op) {
                    (Values::Few, op) => op,
                    (Values::Unique, Op::Write(_)) => Op::Write(index),
                    (Values::Unique, _) => Op::Read,
                },
                invoked: at,
                completed: None,
                outcome: Outcome::Info("still open".into()),
            });
            index += 1;
            continue;
        };
        let attempt = &mut attempts[number];
        let key = usize::from(attempt.key != Some(Key::new("k0")));
        let mut take_effect = || answer.unwrap_or_else(|| execute(&mut contents[key], attempt.op));
        let outcome = match step.fate {
            Fate::Effect => {
                open[step.process] = Some((number, Some(take_effect())));
                continue;
            }
            Fate::Fail if answer.is_some() => continue,
            Fate::Answer => Outcome::Ok(take_effect()),
            Fate::Lie(value) => {
                let lie = lie(
                    take_effect(),
                    if values == Values::Few { value } else { (3 * value + index) % index },
                );
                Outcome::Ok(lie)
            }
            Fate::Fail | Fate::FalseFail => Outcome::Fail("refused".into()),
            Fate::Lose => Outcome::Info("lost".into()),
        };
        if matches!(outcome, Outcome::Info(_)) {
            names[step.process] += 4;
        }
        attempt.outcome = outcome;
        attempt.completed = Some(at);
        open[step.process] = None;
        index += 1;
    }
    History { attempts, lines: index, ..History::default() }
}

fn execute(content: &mut Content, op: Op) -> Ret {
    match op {
        Op::Read => Ret::Value(*content),
        Op::Write(value) => {
            *content = Some(value);
            Ret::Written
        }
        Op::Cas { from, to } if *content == Some(from) => {
            *content = Some(to);
            Ret::Swapped(true)
        }
        Op::Cas { .. } => Ret::Swapped(false),
    }
}

fn lie(ret: Ret, value: u64) -> Ret {
    match ret {
        Ret::Value(_) => Ret::Value(Some(value)),
        Ret::Written => Ret::Written,
        Ret::Swapped(swapped) => Ret::Swapped(!swapped),
    }
}

// --- agreement ------------------------------------------------------------------------------------

fn of_key<'a>(history: &'a History<Op, Ret>, key: Option<&Key>) -> Vec<&'a Asked> {
    history.attempts.iter().filter(|attempt| attempt.key.as_ref() == key).collect()
}

fn is_explainable(history: &History<Op, Ret>) -> bool {
    let keys = [Key::new("k0"), Key::new("k1")];
    keys.iter().all(|key| explainable(&of_key(history, Some(key)), u64::MAX))
}

/// The bad prefix is bad, and the one before it is not.
fn is_shortest(history: &History<Op, Ret>, witness: &Witness) -> bool {
    let ops = of_key(history, witness.key.as_ref());
    !explainable(&ops, witness.prefix_ends) && explainable(&ops, witness.prefix_ends - 1)
}

/// The sentence speaks of at least two ops where another one is known to have changed the register.
fn names_enough(witness: &Witness) -> bool {
    let named = witness.ops.iter().filter(|op| op.named).count();
    let told = witness.sentence.matches("process ").count();
    let other = |op: &&WitnessOp| {
        op.f == "write" && op.standing == Standing::Acknowledged && op.completed != Some(witness.prefix_ends)
    };
    told >= named && named >= if witness.ops.iter().any(|op| other(&op)) { 2 } else { 1 }
}

/// At least so many histories; more for who asks for them with `PROPTEST_CASES`.
pub(crate) fn runner(cases: u32) -> TestRunner {
    let asked = Config::default();
    let config = Config { cases: cases.max(asked.cases), failure_persistence: None, ..asked };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

#[test]
fn the_plain_search_agrees_with_brute_force() {
    agrees(Setup { engine: Choice::Wgl, ..Setup::default() }, 12_000);
}

#[test]
fn the_frontier_agrees_with_brute_force() {
    agrees(Setup { engine: Choice::Frontier, ..Setup::default() }, 12_000);
}

/// Each reduction taken away, and each on its own.
#[test]
fn the_frontier_agrees_with_brute_force_whatever_it_leaves_out() {
    let all = Reductions::default();
    let none = Reductions::NONE;
    let some = [
        none,
        Reductions { classes: false, ..all },
        Reductions { dominance: false, ..all },
        Reductions { greedy: false, ..all },
        Reductions { lazy: false, ..all },
        Reductions { classes: true, ..none },
        Reductions { dominance: true, ..none },
        Reductions { greedy: true, ..none },
        Reductions { lazy: true, ..none },
    ];
    for reductions in some {
        agrees(Setup { engine: Choice::Frontier, reductions, ..Setup::default() }, 3_000);
    }
}

#[test]
fn whoever_judges_agrees_with_brute_force() {
    agrees(Setup::default(), 12_000);
}

fn agrees(setup: Setup, cases: u32) {
    let seen = std::cell::Cell::new((0, 0));
    let outcome = runner(cases).run(&histories(Values::Few), |history| {
        let (valid, invalid) = seen.get();
        let explainable = is_explainable(&history);
        seen.set(if explainable { (valid + 1, invalid) } else { (valid, invalid + 1) });
        match register().with(setup).check(&history, &Budget::default()) {
            Verdict::Valid { linearization } => {
                prop_assert!(explainable, "valid, but no order explains it");
                let linearization = linearization.expect("a valid comes with a linearization");
                prop_assert_eq!(verify_linearization(&Register, &history, &linearization), Ok(()));
            }
            Verdict::Invalid { witness } => {
                prop_assert!(!explainable, "invalid, but some order explains it");
                prop_assert!(is_shortest(&history, &witness), "not the shortest: {witness:?}");
                prop_assert!(names_enough(&witness), "says too little: {witness:?}");
            }
            Verdict::Unknown { why } => prop_assert!(false, "unknown: {why:?}"),
        }
        Ok(())
    });
    outcome.unwrap();
    let (valid, invalid) = seen.get();
    assert!(valid > cases / 4 && invalid > cases / 4, "{valid} valid and {invalid} invalid histories");
}

/// With unique writes, four ops and the writes of what they saw are always enough to contradict each
/// other; the sentence must have found them.
#[test]
fn with_unique_writes_the_ops_that_the_sentence_names_cannot_be_explained_by_themselves() {
    let refuted = std::cell::Cell::new(0);
    let outcome = runner(12_000).run(&histories(Values::Unique), |history| {
        if let Verdict::Invalid { witness } = register().check(&history, &Budget::default()) {
            refuted.set(refuted.get() + 1);
            let ops = of_key(&history, witness.key.as_ref());
            let named = |op: &&&Asked| {
                witness.ops.iter().any(|shown| shown.named && shown.invoked == op.invoked.index)
            };
            let told: Vec<&Asked> = ops.iter().filter(named).copied().collect();
            let saw = |value| told.iter().any(|op| op.ret() == Some(&Ret::Value(Some(value))));
            let mut kept = ops.clone();
            kept.retain(|op| named(&op) || matches!(op.op, Op::Write(value) if saw(value)));
            prop_assert!(
                !witness.sentence.contains("once all that was acknowledged"),
                "gives up: {witness:?}"
            );
            prop_assert!(!witness.sentence.contains("no order of the ops"), "gives up: {witness:?}");
            prop_assert!(told.len() <= 5, "names too many: {witness:?}");
            prop_assert!(!explainable(&kept, witness.prefix_ends), "says too little: {witness:?}");
        }
        Ok(())
    });
    outcome.unwrap();
    assert!(refuted.get() > 2_000, "{} invalid histories", refuted.get());
}

/// How many histories a broken checker needs to be found out; none if it is not.
fn found_out_after(engine: Choice, mutant: Mutant) -> Option<u32> {
    let tried = std::cell::Cell::new(0);
    let setup = Setup { engine, mutant, ..Setup::default() };
    let outcome = runner(12_000).run(&histories(Values::Few), |history| {
        tried.set(tried.get() + 1);
        let verdict = register().with(setup).check(&history, &Budget::default());
        prop_assert_eq!(verdict.word() == "valid", is_explainable(&history));
        Ok(())
    });
    outcome.is_err().then(|| tried.get())
}

fn are_found_out(engine: Choice, mutants: &[Mutant]) {
    let unnoticed = mutants.iter().filter(|&&mutant| found_out_after(engine, mutant).is_none());
    assert_eq!(unnoticed.collect::<Vec<_>>(), <[&Mutant; 0]>::default());
}

#[test]
fn mistakes_in_what_outcomes_mean_are_found_out() {
    let mutants = [Mutant::DropsRealTime, Mutant::TakesInfoAsOk, Mutant::TakesFailAsOk];
    are_found_out(Choice::Wgl, &mutants);
    are_found_out(Choice::Frontier, &mutants);
}

#[test]
fn mistakes_in_the_plain_search_are_found_out() {
    are_found_out(Choice::Wgl, &[Mutant::RemembersNoState, Mutant::RemembersNoOpenOps]);
}

#[test]
fn mistakes_in_the_frontier_are_found_out() {
    are_found_out(
        Choice::Frontier,
        &[
            Mutant::DominanceInverted,
            Mutant::ForgetsWhatWasSpent,
            Mutant::CountsAClassTwice,
            Mutant::SpendsOneByOne,
            Mutant::GreedyForAll,
            Mutant::LeavesItsBit,
            Mutant::AsksForNothing,
        ],
    );
}
