//! Shrinking against brute force, and brute force against broken shrinking.
//!
//! Histories of a register as it would answer, but for one answer. What the witness claims is then tried
//! out by somebody who goes through all orders and shares no line with the checker: the needed ops have
//! no order whatever the others did, and there is one as soon as any one of their answers is ignored.

use std::collections::{BTreeMap, BTreeSet};

use history::{Attempt, History, Moment, Operation, Outcome, Process};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::generate::{Plan, Planted, WrongValue};
use crate::kv::{Kv, kv};
use crate::linearizable::Linearizable;
use crate::log::log;
use crate::mutant::Mutant;
use crate::register::{Op, Ret, cas_register};
use crate::seam::{Budget, Checker};
use crate::setup::{Choice, Setup};
use crate::verdict::{Verdict, Witness};

type Content = Option<u64>;

// --- broken histories -----------------------------------------------------------------------------

/// What the clients do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Play {
    pub ops: usize,
    pub clients: usize,
    /// How many values there are; none if each is written once.
    pub values: Option<u64>,
    /// Of 100 ops, how many are compare-and-sets.
    pub cas: u32,
    /// Of 100 ops, how many are never answered, and how many fail.
    pub lost: u32,
    pub failed: u32,
}

/// What a client is in the middle of.
struct Open {
    attempt: usize,
    answer: Option<Ret>,
}

impl Play {
    /// A history as a register would answer, but for one answer.
    pub(crate) fn broken(self, seed: u64) -> History<Op, Ret> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut history = self.good(&mut rng);
        let telling = |attempt: &&mut Attempt<Op, Ret>| {
            matches!(attempt.outcome, Outcome::Ok(Ret::Value(_) | Ret::Swapped(_)))
        };
        let mut answers: Vec<_> = history.attempts.iter_mut().filter(telling).collect();
        if answers.is_empty() {
            return history;
        }
        let which = rng.random_range(answers.len() / 2..answers.len());
        let Outcome::Ok(ret) = &mut answers[which].outcome else { unreachable!("only answers were kept") };
        *ret = match *ret {
            Ret::Value(value) => {
                let below = self.values.unwrap_or(self.ops as u64);
                let mut lie = Some(rng.random_range(0..below));
                if lie == value {
                    lie = None;
                }
                Ret::Value(lie)
            }
            Ret::Swapped(swapped) => Ret::Swapped(!swapped),
            Ret::Written => Ret::Written,
        };
        history
    }

    fn good(self, rng: &mut ChaCha8Rng) -> History<Op, Ret> {
        let mut history = History::default();
        let mut content: Content = None;
        let mut open: BTreeMap<usize, Open> = BTreeMap::new();
        let mut names: Vec<u64> = (0..self.clients as u64).collect();
        while history.attempts.len() < self.ops || !open.is_empty() {
            let client = rng.random_range(0..self.clients);
            let at = Moment { index: history.lines, time: history.lines };
            let Some(Open { attempt, answer }) = open.remove(&client) else {
                if history.attempts.len() < self.ops {
                    open.insert(client, Open { attempt: history.attempts.len(), answer: None });
                    history.attempts.push(self.ask(rng, names[client], at, history.attempts.len()));
                    history.lines += 1;
                }
                continue;
            };
            let asked = &mut history.attempts[attempt];
            let fate = rng.random_range(0..100);
            if answer.is_none() && fate >= self.failed && rng.random_ratio(1, 2) {
                let answer = Some(execute(&mut content, asked.op));
                open.insert(client, Open { attempt, answer });
                continue;
            }
            asked.outcome = match answer {
                None if fate < self.failed => Outcome::Fail("refused".into()),
                _ if fate < self.failed + self.lost => Outcome::Info("lost".into()),
                None => Outcome::Ok(execute(&mut content, asked.op)),
                Some(answer) => Outcome::Ok(answer),
            };
            if asked.is_open() {
                names[client] += self.clients as u64;
            }
            asked.completed = Some(at);
            history.lines += 1;
        }
        history
    }

    fn ask(self, rng: &mut ChaCha8Rng, process: u64, at: Moment, number: usize) -> Attempt<Op, Ret> {
        let mut value = || self.values.map_or(number as u64, |values| rng.random_range(0..values));
        let (one, two) = (value(), value());
        let op = match rng.random_range(0..100_u32) {
            kind if kind < self.cas => Op::Cas { from: one, to: two },
            kind if kind < self.cas + (100 - self.cas) / 2 => Op::Write(one),
            _ => Op::Read,
        };
        Attempt {
            process: Process(process),
            node: None,
            key: None,
            op,
            invoked: at,
            completed: None,
            outcome: Outcome::Info("still open".into()),
        }
    }
}

fn execute(content: &mut Content, op: Op) -> Ret {
    let (answer, after) = effect(op, *content);
    *content = after;
    answer
}

fn effect(op: Op, content: Content) -> (Ret, Content) {
    match op {
        Op::Read => (Ret::Value(content), content),
        Op::Write(value) => (Ret::Written, Some(value)),
        Op::Cas { from, to } if content == Some(from) => (Ret::Swapped(true), Some(to)),
        Op::Cas { .. } => (Ret::Swapped(false), content),
    }
}

// --- brute force ----------------------------------------------------------------------------------

/// An op as a claim sees it. One without an answer need not have happened.
#[derive(Clone, Copy, Debug)]
struct Seen {
    op: Op,
    answer: Option<Ret>,
    from: u64,
    end: u64,
}

/// Whether some order of these explains all answers, starting from one of these contents.
fn explainable(ops: &[Seen], initial: &BTreeSet<Content>) -> bool {
    let answers = ops.iter().enumerate().filter(|(_, op)| op.answer.is_some());
    let wanted = answers.fold(0_u64, |wanted, (number, _)| wanted | 1 << number);
    let mut places: Vec<(u64, Content)> = initial.iter().map(|&content| (0, content)).collect();
    let mut known: BTreeSet<(u64, Content)> = places.iter().copied().collect();
    while let Some((done, content)) = places.pop() {
        if done & wanted == wanted {
            return true;
        }
        let left = || ops.iter().enumerate().filter(|(number, _)| done & (1 << number) == 0);
        for (number, op) in left() {
            let (answer, after) = effect(op.op, content);
            let fits = op.answer.is_none_or(|heard| heard == answer);
            let in_time = left().all(|(_, other)| other.end > op.from);
            let place = (done | 1 << number, after);
            if fits && in_time && known.insert(place) {
                places.push(place);
            }
        }
    }
    false
}

/// The ops of a prefix.
fn prefix(history: &History<Op, Ret>, ends: u64) -> Vec<Seen> {
    let seen = history.attempts.iter().filter(|attempt| attempt.invoked.index <= ends && !attempt.failed());
    seen.map(|attempt| {
        let end = attempt.completed.filter(|at| at.index <= ends);
        let (answer, end) = match (attempt.ret(), end) {
            (Some(ret), Some(at)) => (Some(*ret), at.index),
            _ => (None, u64::MAX),
        };
        Seen { op: attempt.op, answer, from: attempt.invoked.index, end }
    })
    .collect()
}

/// Whether there is an order, if only these answers are believed, as a witness says.
fn weakened(history: &History<Op, Ret>, witness: &Witness, needed: &BTreeSet<u64>) -> bool {
    let since = witness.since.unwrap_or(0);
    let mut ops = prefix(history, witness.prefix_ends);
    let earlier = ops.iter().filter(|op| op.from < since).map(|op| op.op);
    let left = earlier.filter_map(|op| match op {
        Op::Read => None,
        Op::Write(value) | Op::Cas { to: value, .. } => Some(Some(value)),
    });
    let initial = left.chain([None]).collect();
    ops.retain(|op| op.end > since);
    for op in &mut ops {
        if !needed.contains(&op.from) {
            *op = Seen { answer: None, end: u64::MAX, ..*op };
        }
    }
    explainable(&ops, &initial)
}

/// What is wrong with a witness.
fn flaw(history: &History<Op, Ret>, witness: &Witness) -> Option<String> {
    let needed: BTreeSet<u64> = witness.ops.iter().filter(|op| op.needed).map(|op| op.invoked).collect();
    if explainable(&prefix(history, witness.prefix_ends), &BTreeSet::from([None])) {
        return Some("the prefix has an order".to_owned());
    }
    if needed.iter().any(|&from| from < witness.since.unwrap_or(0)) {
        return Some("an op that counts began before the line before which none counts".to_owned());
    }
    if weakened(history, witness, &needed) {
        return Some("the needed ops have an order".to_owned());
    }
    if !witness.minimal {
        return Some("the budget ran out".to_owned());
    }
    let spared = needed.iter().find(|&&one| {
        let fewer = needed.iter().copied().filter(|&other| other != one).collect();
        !weakened(history, witness, &fewer)
    });
    spared.map(|one| format!("the op of index {one} can be spared"))
}

// --- what is promised -----------------------------------------------------------------------------

fn witness(history: &History<Op, Ret>, mutant: Mutant) -> Option<Witness> {
    let checker = cas_register().with(Setup { mutant, ..Setup::default() });
    match checker.check(history, &Budget::default()) {
        Verdict::Invalid { witness } => Some(*witness),
        _ => None,
    }
}

/// A play that is small enough for brute force.
fn small(seed: u64) -> Play {
    let mut rng = ChaCha8Rng::seed_from_u64(!seed);
    Play {
        ops: rng.random_range(3..=11),
        clients: rng.random_range(2..=5),
        values: [Some(2), Some(3), Some(4), None][rng.random_range(0..4)],
        cas: [0, 30, 60][rng.random_range(0..3)],
        lost: [0, 10, 30][rng.random_range(0..3)],
        failed: [0, 10][rng.random_range(0..2)],
    }
}

#[test]
fn the_needed_ops_contradict_each_other_and_none_can_be_spared() {
    let (mut refuted, mut forgetful) = (0, 0);
    for seed in 0..8_000 {
        let history = small(seed).broken(seed);
        let Some(witness) = witness(&history, Mutant::None) else { continue };
        refuted += 1;
        forgetful += u32::from(witness.since.is_some());
        assert_eq!(flaw(&history, &witness), None, "seed {seed}: {witness:?}");
    }
    assert!(refuted > 3_000 && forgetful > 100, "{refuted} refuted, {forgetful} of them without a past");
}

/// The history of one key as a witness sees it, if only these answers are believed.
fn believed<O: Operation>(
    history: &History<O, O::Ret>,
    witness: &Witness,
    needed: &BTreeSet<u64>,
) -> History<O, O::Ret> {
    let mut kept = history.clone();
    kept.attempts.retain(|attempt| {
        attempt.key == witness.key && attempt.invoked.index <= witness.prefix_ends && !attempt.failed()
    });
    for attempt in &mut kept.attempts {
        if !needed.contains(&attempt.invoked.index) {
            attempt.outcome = Outcome::Info("not believed".into());
        }
    }
    kept
}

/// Data types that cannot forget their past, by the plain search in place of brute force.
fn cannot_be_spared<O: Operation, C: Checker<O, O::Ret>>(
    checker: &C,
    plain: &impl Checker<O, O::Ret>,
    histories: impl Fn(&Plan) -> History<O, O::Ret>,
) {
    let mut refuted = 0;
    for seed in 0..900 {
        let planted = [
            Planted::StaleRead { at: 0.3 },
            Planted::LostWrite { at: 0.3 },
            Planted::WrongRead { at: 0.3, value: WrongValue::Any },
        ][(seed % 3) as usize];
        let info = [0.0, 10.0][(seed % 2) as usize];
        let plan = Plan { ops: 9, clients: 3, info, fail: 5.0, seed, planted, ..Plan::default() };
        let history = histories(&plan);
        let Verdict::Invalid { witness } = checker.check(&history, &Budget::default()) else { continue };
        refuted += 1;
        let needed: BTreeSet<u64> = witness.ops.iter().filter(|op| op.needed).map(|op| op.invoked).collect();
        let word = |needed: &BTreeSet<u64>| {
            plain.check(&believed(&history, &witness, needed), &Budget::default()).word()
        };
        assert_eq!((word(&needed), witness.minimal, witness.since), ("invalid", true, None), "seed {seed}");
        for one in &needed {
            let fewer = needed.iter().copied().filter(|other| other != one).collect();
            assert_eq!(word(&fewer), "valid", "seed {seed}: {one} can be spared of {witness:?}");
        }
    }
    assert!(refuted > 100, "{refuted} refuted");
}

fn by_plain_search() -> Setup {
    Setup { engine: Choice::Wgl, ..Setup::default() }
}

#[test]
fn of_texts_none_of_the_needed_ops_can_be_spared() {
    let plain = Linearizable::new("kv", Kv::plain()).with(by_plain_search());
    cannot_be_spared(&kv(), &plain, Plan::kv);
}

#[test]
fn of_logs_none_of_the_needed_ops_can_be_spared() {
    cannot_be_spared(&log(), &log().with(by_plain_search()), Plan::log);
}

/// How many histories it takes to find out a shrinker with a mistake.
fn found_out_after(mutant: Mutant) -> Option<u64> {
    (0..12_000).find(|&seed| {
        let history = small(seed).broken(seed);
        witness(&history, mutant).is_some_and(|witness| flaw(&history, &witness).is_some())
    })
}

#[test]
fn shrinking_that_leaves_ops_out_in_place_of_their_answers_is_found_out() {
    assert!(found_out_after(Mutant::DropsOthers).is_some());
}

#[test]
fn shrinking_that_forgets_what_was_in_flight_is_found_out() {
    assert!(found_out_after(Mutant::DropsInFlight).is_some());
}

#[test]
fn shrinking_that_starts_from_nothing_is_found_out() {
    assert!(found_out_after(Mutant::StartsEmpty).is_some());
}

/// A thousand broken histories, of 20 to 200 ops.
#[test]
fn most_contradictions_are_between_six_ops_at_most() {
    let plays = |seed: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(!seed);
        Play {
            ops: rng.random_range(20..=200),
            clients: rng.random_range(3..=8),
            values: [Some(3), Some(5), None][(seed % 3) as usize],
            cas: [0, 25][(seed / 3 % 2) as usize],
            lost: [0, 2][(seed / 6 % 2) as usize],
            failed: 2,
        }
    };
    let mut sizes: Vec<usize> = Vec::new();
    let mut seed = 0;
    while sizes.len() < 1_000 {
        if let Some(witness) = witness(&plays(seed).broken(seed), Mutant::None) {
            let needed = witness.ops.iter().filter(|op| op.needed).count();
            sizes.push(if witness.minimal { needed } else { usize::MAX });
        }
        seed += 1;
    }
    sizes.sort_unstable();
    let at = |share: usize| sizes[(sizes.len() - 1) * share / 100];
    assert!(at(50) <= 6, "median {}, nine of ten up to {}", at(50), at(90));
    assert_ne!(at(98), usize::MAX, "too many of them ran out of time");
}
