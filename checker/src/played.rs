//! Small random histories of any data type, for comparing a checker with the plain search.
//!
//! A few processes ask, ops take effect at some moment after, and then are answered, with the truth or
//! with something else; or they fail, or nobody hears of them again. Agreement on such histories proves
//! something only if enough of them are good and enough are bad, so that is asserted too.

use std::cell::Cell;
use std::fmt::Debug;

use history::{Answered, Asked, History, Kind, Line, Observation, Operation, Pairing, Process};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use crate::certificate::verify_linearization;
use crate::linearizable::Linearizable;
use crate::seam::{Budget, Checker, Model, RetOf};
use crate::setup::{Choice, Setup};
use crate::verdict::Verdict;

/// A data type that can be played.
pub(crate) trait Subject {
    type Op: Operation;
    type State: Default;

    /// Carries an op out.
    fn effect(&self, state: &mut Self::State, op: &Self::Op) -> <Self::Op as Operation>::Ret;

    /// Another answer than the true one. The number is below 5.
    fn lie(&self, ret: <Self::Op as Operation>::Ret, number: u64) -> <Self::Op as Operation>::Ret;
}

/// What happens next to one of the processes.
#[derive(Clone, Debug)]
pub(crate) struct Step<O> {
    place: usize,
    /// What it asks, if it is idle.
    pub op: O,
    /// What becomes of its op, if it has one.
    fate: Fate,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Effect,
    /// It is answered; if it had not taken effect, it does so now.
    Answer,
    Lie(u64),
    /// It fails, if it has not taken effect.
    Fail,
    /// It fails, although it may have taken effect.
    FalseFail,
    Lose,
}

const PLACES: usize = 4;

pub(crate) fn steps<O: Debug>(op: impl Strategy<Value = O>) -> impl Strategy<Value = Vec<Step<O>>> {
    let fate = prop_oneof![
        12 => Just(Fate::Effect),
        12 => Just(Fate::Answer),
        2 => (0_u64..5).prop_map(Fate::Lie),
        2 => Just(Fate::Fail),
        1 => Just(Fate::FalseFail),
        3 => Just(Fate::Lose),
    ];
    let step = (0..PLACES, op, fate).prop_map(|(place, op, fate)| Step { place, op, fate });
    proptest::collection::vec(step, 4..26)
}

/// What a process has open.
enum Open<O: Operation> {
    Nothing,
    Asked(O),
    Done(O, O::Ret),
}

/// What was seen, and whether all of it was true.
type Played<O> = (History<O, <O as Operation>::Ret>, bool);

fn play<S: Subject>(subject: &S, steps: Vec<Step<S::Op>>) -> Played<S::Op> {
    let mut state = S::State::default();
    let mut lines = Lines::default();
    let mut honest = true;
    let mut processes: Vec<u64> = (0..PLACES as u64).collect();
    let mut places: Vec<Open<S::Op>> = (0..PLACES).map(|_| Open::Nothing).collect();
    for Step { place, op, fate } in steps {
        let mut end = |kind| lines.push(processes[place], kind);
        let open = std::mem::replace(&mut places[place], Open::Nothing);
        let (op, ret) = match open {
            Open::Nothing => {
                end(Kind::Invoke(op.clone()));
                places[place] = Open::Asked(op);
                continue;
            }
            Open::Asked(op) => (op, None),
            Open::Done(op, ret) => (op, Some(ret)),
        };
        let had_effect = ret.is_some();
        let mut execute = || ret.clone().unwrap_or_else(|| subject.effect(&mut state, &op));
        match fate {
            Fate::Effect => {
                let ret = execute();
                places[place] = Open::Done(op, ret);
            }
            Fate::Answer => end(Kind::Ok(execute())),
            Fate::Lie(number) => {
                honest = false;
                end(Kind::Ok(subject.lie(execute(), number)));
            }
            Fate::Fail if had_effect => end(Kind::Ok(execute())),
            Fate::Fail | Fate::FalseFail => {
                honest &= !had_effect;
                end(Kind::Fail("refused".into()));
            }
            Fate::Lose => {
                end(Kind::Info("lost".into()));
                processes[place] += PLACES as u64;
            }
        }
    }
    (lines.0.finish(), honest)
}

/// Lines, numbered as they come.
struct Lines<O: Operation>(Pairing<O, O::Ret>, u64);

impl<O: Operation> Default for Lines<O> {
    fn default() -> Lines<O> {
        Lines(Pairing::default(), 0)
    }
}

impl<O: Operation> Lines<O> {
    fn push(&mut self, process: u64, kind: Kind<O, O::Ret>) {
        let (index, process) = (self.1, Process(process));
        self.1 += 1;
        let seen = Observation { index, time: index, process, node: None, key: None, kind };
        self.0.push(Line::Client(seen));
    }
}

/// The checker and the plain search agree on many histories, good and bad, and orders verify.
pub(crate) fn compared<M, S>(
    checker: &dyn Fn() -> Linearizable<M>,
    subject: &S,
    steps: impl Strategy<Value = Vec<Step<M::Op>>>,
) where
    M: Model<Op: Debug>,
    S: Subject<Op = M::Op>,
{
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) };
    let (good, bad, true_ones) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let outcome = TestRunner::new(config).run(&steps, |steps| {
        let (history, honest) = play(subject, steps);
        let (own, plain) = (checker(), checker().with(Setup::by(Choice::Wgl)));
        let expected = plain.check(&history, &Budget::default());
        let found = own.check(&history, &Budget::default());
        prop_assert_eq!(found.word(), expected.word());
        if honest {
            true_ones.set(true_ones.get() + 1);
            prop_assert_eq!(found.word(), "valid");
        }
        match found {
            Verdict::Valid { linearization } => {
                good.set(good.get() + 1);
                let order = linearization.expect("an order is found");
                prop_assert!(verify_linearization(own.model(), &history, &order).is_ok());
            }
            Verdict::Invalid { witness } => {
                bad.set(bad.get() + 1);
                prop_assert!(witness.shortest && witness.minimal, "{}", witness.sentence);
                let Verdict::Invalid { witness: other } = expected else { unreachable!() };
                prop_assert_eq!(witness.prefix_ends, other.prefix_ends);
            }
            Verdict::Unknown { .. } => prop_assert!(false, "so few ops are judged"),
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let counts = [good.get(), bad.get(), true_ones.get()];
    assert!(counts.iter().all(|&count| count > 300), "{counts:?} were good, bad, and true");
}

/// A history from lines such as `0 add 7`, `0 ! 7`, `1 transfer {…}`, `1 ! null = true`; `0 ?` if nobody
/// knows, `0 x` if it failed.
pub(crate) fn history<O: Operation>(text: &str) -> History<O, O::Ret> {
    let mut lines = Lines::default();
    let mut open = std::collections::BTreeMap::new();
    for line in text.lines() {
        let mut words = line.splitn(3, ' ');
        let process: u64 = words.next().unwrap().parse().unwrap();
        let word = words.next().unwrap();
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let rest = words.next().unwrap_or("null");
        let kind = match word {
            "!" => {
                let (value, result) = rest.split_once(" = ").unwrap_or((rest, ""));
                let result = (!result.is_empty()).then(|| json(result));
                let op: &O = &open[&process];
                Kind::Ok(op.read_answer(&Answered { value: json(value), result }).unwrap())
            }
            "?" => Kind::Info("lost".into()),
            "x" => Kind::Fail("refused".into()),
            f => {
                let op = O::read_ask(&Asked { f: f.to_owned(), value: json(rest) }).unwrap();
                open.insert(process, op.clone());
                Kind::Invoke(op)
            }
        };
        lines.push(process, kind);
    }
    lines.0.finish()
}

/// The sentence of the witness, or another verdict's word.
pub(crate) fn judged<M: Model>(checker: &Linearizable<M>, history: &History<M::Op, RetOf<M>>) -> String {
    match checker.check(history, &Budget::default()) {
        Verdict::Invalid { witness } => witness.sentence,
        other => other.word().to_owned(),
    }
}
