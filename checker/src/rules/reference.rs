//! Every rule against the plain search, and the same tests against broken rules.
//!
//! Small histories, played and then spoilt here and there, seen from some line: what the rule says must
//! be what the search says. Its orders must verify. Its contradictions must be contradictions where it
//! says that they are complete, by themselves, and also if nothing but their answers was heard. And for
//! every planted mistake there must be a history on which these tests notice it.

use std::sync::Arc;

use history::{Attempt, History, Outcome};
use proptest::test_runner::Config;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::certificate::verify_order;
use crate::engine::{Found, Task};
use crate::generate::{Plan, Values};
use crate::kv::{self, Kv};
use crate::log::{self, Log};
use crate::meter::Meter;
use crate::mutant::Mutant;
use crate::register::{self, Register};
use crate::rule::{Clash, Rule, Ruling};
use crate::rules::{chains, offsets, tokens, zones};
use crate::seam::{Budget, Model, RetOf};
use crate::setup::{Choice, Setup};
use crate::span::{Span, spans};
use crate::wgl;

type Of<M> = History<<M as Model>::Op, RetOf<M>>;

/// How many histories each rule is held against; more for who asks for them with `PROPTEST_CASES`.
fn cases() -> u64 {
    Config::default().cases.max(12_000).into()
}

// --- histories ------------------------------------------------------------------------------------

/// A random small plan.
fn plan(rng: &mut ChaCha8Rng) -> Plan {
    Plan {
        ops: rng.random_range(1..12),
        clients: rng.random_range(1..5),
        info: if rng.random_bool(0.5) { 0.0 } else { 25.0 },
        fail: if rng.random_bool(0.5) { 0.0 } else { 10.0 },
        values: Values::Unique,
        seed: rng.random(),
        ..Plan::default()
    }
}

/// Plays, and replaces some answers by others.
fn spoilt<Op, Ret>(
    seed: u64,
    play: fn(&Plan) -> History<Op, Ret>,
    spoil: fn(&mut Attempt<Op, Ret>, u64, &mut ChaCha8Rng),
) -> History<Op, Ret> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let plan = plan(&mut rng);
    let mut history = play(&plan);
    if rng.random_bool(0.7) {
        let values = plan.ops as u64 + 1;
        for attempt in &mut history.attempts {
            if rng.random_bool(0.12) {
                spoil(attempt, values, &mut rng);
            }
        }
    }
    history
}

fn spoil_register(attempt: &mut Attempt<register::Op, register::Ret>, values: u64, rng: &mut ChaCha8Rng) {
    use register::{Op, Ret};
    let ret = match attempt.op {
        Op::Read if rng.random_bool(0.2) => Ret::Value(None),
        Op::Read => Ret::Value(Some(rng.random_range(0..values))),
        Op::Write(_) => Ret::Written,
        Op::Cas { .. } => Ret::Swapped(rng.random_bool(0.95)),
    };
    if attempt.completed.is_some() {
        attempt.outcome = Outcome::Ok(ret);
    }
}

fn registers(seed: u64) -> Of<Register> {
    let mut history = spoilt(seed, Plan::register, spoil_register);
    if seed.is_multiple_of(2) {
        spread(&mut history);
    }
    history
}

fn cas_registers(seed: u64) -> Of<Register> {
    spoilt(seed, Plan::cas_register, spoil_register)
}

/// The same with values that no table could hold.
fn spread(history: &mut Of<Register>) {
    use register::{Op, Ret};
    let far = |value: u64| value << 40;
    for attempt in &mut history.attempts {
        if let Op::Write(value) = &mut attempt.op {
            *value = far(*value);
        }
        if let Outcome::Ok(Ret::Value(Some(value))) = &mut attempt.outcome {
            *value = far(*value);
        }
    }
}

fn maps(seed: u64) -> Of<Kv> {
    spoilt(seed, Plan::kv, |attempt, values, rng| {
        let kv::Op::Get = attempt.op else { return };
        let Outcome::Ok(kv::Ret::Value(text)) = &mut attempt.outcome else { return };
        let mut pieces: Vec<String> = text.split_inclusive(';').map(str::to_owned).collect();
        match rng.random_range(0..5) {
            0 => drop(pieces.pop()),
            1 if !pieces.is_empty() => drop(pieces.remove(0)),
            2 if pieces.len() > 1 => pieces.swap(0, 1),
            3 => pieces.push("7".to_owned()),
            _ => pieces.push(format!("{};", rng.random_range(0..values))),
        }
        *text = pieces.concat().into();
    })
}

fn logs(seed: u64) -> Of<Log> {
    spoilt(seed, Plan::log, |attempt, values, rng| match &mut attempt.outcome {
        Outcome::Ok(log::Ret::Offset(offset)) => *offset = rng.random_range(0..values),
        Outcome::Ok(log::Ret::Values(shown)) => {
            let mut shorter = shown.to_vec();
            match rng.random_range(0..3) {
                0 => drop(shorter.pop()),
                1 if !shorter.is_empty() => shorter[0] = rng.random_range(0..values),
                _ => shorter.push(rng.random_range(0..values)),
            }
            *shown = Arc::from(shorter);
        }
        Outcome::Fail(_) | Outcome::Info(_) => {}
    })
}

// --- agreement ------------------------------------------------------------------------------------

/// Whether the plain search finds an order.
fn has_order<M: Model>(model: &M, spans: &[Span<'_, M::Op>]) -> bool {
    let meter = Meter::new(&Budget::default());
    let setup = Setup { engine: Choice::Wgl, ..Setup::default() };
    let task = Task { model, spans, initial: &[model.init()], setup, meter: &meter, turn: 0 };
    matches!(wgl::search(&task).expect("small histories need no budget"), Found::Order(_))
}

/// How often a rule said what.
#[derive(Clone, Copy, Default, Debug)]
struct Tally {
    declined: u64,
    orders: u64,
    contradictions: u64,
}

/// One rule and the histories that it is tried on.
struct Trial<M: Model + 'static> {
    model: fn(&Of<M>) -> M,
    rule: Rule<M>,
    histories: fn(u64) -> Of<M>,
}

impl<M: Model> Trial<M> {
    /// What the rule said, unless it is wrong.
    fn run(&self, mutant: Mutant) -> Result<Tally, String> {
        let mut tally = Tally::default();
        for seed in 0..cases() {
            let history = (self.histories)(seed);
            // Now and then everything that follows some line is still unknown.
            let cut = if seed.is_multiple_of(3) { history.lines * (seed % 7) / 7 } else { u64::MAX };
            self.one(&history, cut, mutant, &mut tally).map_err(|wrong| format!("seed {seed}: {wrong}"))?;
        }
        Ok(tally)
    }

    fn one(&self, history: &Of<M>, cut: u64, mutant: Mutant, tally: &mut Tally) -> Result<(), String> {
        let model = (self.model)(history);
        let attempts: Vec<&Attempt<M::Op, RetOf<M>>> = history.attempts.iter().collect();
        let seen = |cut| spans(&attempts, cut, Mutant::None);
        let all = seen(cut);
        let meter = Meter::new(&Budget::default());
        let ruling = (self.rule.decide)(&model, &all, &meter, mutant);
        let is = |truth: bool, what: &str| if truth { Ok(()) } else { Err(what.to_owned()) };
        match ruling.map_err(|_| "it ran out of budget")? {
            Ruling::Declined => tally.declined += 1,
            Ruling::Order(order) => {
                tally.orders += 1;
                is(has_order(&model, &all), "an order of what has none")?;
                is(verify_order(&model, &all, &order).is_ok(), "the order is none")?;
            }
            Ruling::Contradiction(Clash { ops, bad, earliest }) => {
                tally.contradictions += 1;
                is(!has_order(&model, &all), "a contradiction of what has an order")?;
                let invoked: Vec<u64> = ops.iter().map(|&op| all[op as usize].from()).collect();
                let named = |span: &Span<'_, M::Op>| invoked.contains(&span.from());
                let until = seen(bad.min(cut));
                is(!has_order(&model, &until), "the contradiction is not complete")?;
                let alone: Vec<_> = until.iter().copied().filter(named).collect();
                is(!has_order(&model, &alone), "the ops do not contradict each other")?;
                let heard = until.iter().map(|span| if named(span) { *span } else { span.opened() });
                let heard: Vec<_> = heard.collect();
                is(!has_order(&model, &heard), "other answers are needed too")?;
                let before = seen(bad.min(cut) - 1);
                is(!earliest || has_order(&model, &before), "an earlier prefix is bad")?;
            }
        }
        Ok(())
    }

    fn holds(&self) {
        let Tally { declined, orders, contradictions } = self.run(Mutant::None).expect("the rule is right");
        let tally = format!("{declined} declined, {orders} orders, {contradictions} contradictions");
        assert!(declined < cases() / 4 && orders > cases() / 4 && contradictions > cases() / 10, "{tally}");
    }

    fn notices(&self, mutants: &[Mutant]) {
        for &mutant in mutants {
            assert!(self.run(mutant).is_err(), "{mutant:?} goes unnoticed");
        }
    }
}

const ZONES: Trial<Register> = Trial { model: |_| Register, rule: zones::RULE, histories: registers };
const CHAINS: Trial<Register> = Trial { model: |_| Register, rule: chains::RULE, histories: cas_registers };
const TOKENS: Trial<Kv> = Trial { model: |_| Kv::plain(), rule: tokens::RULE, histories: maps };
const OFFSETS: Trial<Log> = Trial { model: |_| Log, rule: offsets::RULE, histories: logs };

#[test]
fn zones_say_what_the_plain_search_says() {
    ZONES.holds();
}

#[test]
fn chains_say_what_the_plain_search_says() {
    CHAINS.holds();
}

#[test]
fn chains_without_a_cas_say_what_the_plain_search_says() {
    Trial { histories: registers, ..CHAINS }.holds();
}

#[test]
fn tokens_say_what_the_plain_search_says() {
    TOKENS.holds();
}

#[test]
fn offsets_say_what_the_plain_search_says() {
    OFFSETS.holds();
}

#[test]
fn mistakes_in_zones_are_noticed() {
    ZONES.notices(&[Mutant::OverlapOffByOne, Mutant::LetsBackwardPass, Mutant::EndsOpenWrites]);
}

#[test]
fn mistakes_in_chains_are_noticed() {
    CHAINS.notices(&[
        Mutant::OverlapOffByOne,
        Mutant::LetsBackwardPass,
        Mutant::TakesTwice,
        Mutant::TrustsChains,
    ]);
}

#[test]
fn mistakes_in_tokens_are_noticed() {
    TOKENS.notices(&[Mutant::ComparesOnlyLengths, Mutant::TrustsChains, Mutant::LetsBackwardPass]);
}

#[test]
fn mistakes_in_offsets_are_noticed() {
    OFFSETS.notices(&[Mutant::IgnoresRealTime]);
}
