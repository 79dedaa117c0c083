//! Judging a history: key by key, on all cores, within a budget, with evidence.
//!
//! Keys are judged apart, in turn, the longest first, since it decides when the last thread is done. A key
//! found invalid stops those whose turn is later: one broken promise is a verdict. Those before it are
//! judged to their end, so that the same history gives the same evidence whatever the threads do (as
//! long as the budget lasts). Whatever the search says is not
//! taken on trust: an order is verified by [`verify_linearization`](crate::verify_linearization)'s walk,
//! and "no order" is narrowed down to the shortest prefix that has none.
//!
//! That prefix ends with an acknowledgement, and it is found by bisection over the acknowledgements,
//! since every longer prefix is wrong too. The search tells where to begin: up to the farthest end that
//! it met there is an order. Most often that end is the one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use history::{Attempt, History, Key, Line};

use crate::certificate::verify_order;
use crate::engine::{self, Found, Task};
use crate::explain::{Refuted, witness_op};
use crate::meter::{Meter, Stop};
use crate::mutant::Mutant;
use crate::online;
use crate::rule::{Clash, Rule, Ruling};
use crate::seam::{Budget, Checker, Model, RetOf};
use crate::setup::{Choice, Setup};
use crate::shrink::{MOST_NEEDED, Shrink};
use crate::span::{Span, by_key, spans};
use crate::verdict::{By, KeyOrder, Linearization, Verdict, Why, Witness, WitnessOp};

/// Judges whether histories are linearizable.
#[derive(Debug)]
pub struct Linearizable<M: Model + 'static> {
    name: &'static str,
    model: M,
    rules: &'static [Rule<M>],
    setup: Setup,
}

impl<M: Model> Linearizable<M> {
    /// Holds histories against this model.
    pub fn new(name: &'static str, model: M) -> Linearizable<M> {
        Linearizable { name, model, rules: &[], setup: Setup::default() }
    }

    /// How it carries out its checks.
    pub(crate) fn setup(&self) -> Setup {
        self.setup
    }

    /// The model.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// The same checker, carrying out its checks otherwise.
    #[must_use]
    pub fn with(self, setup: Setup) -> Linearizable<M> {
        Linearizable { setup, ..self }
    }

    /// The same checker, trying these rules in turn before it searches.
    #[must_use]
    pub(crate) fn ruled_by(self, rules: &'static [Rule<M>]) -> Linearizable<M> {
        Linearizable { rules, ..self }
    }
}

impl<M: Model> Checker<M::Op, RetOf<M>> for Linearizable<M> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn watch(
        &self,
        lines: &mut dyn Iterator<Item = Line<M::Op, RetOf<M>>>,
        budget: &Budget,
        judged: &mut dyn FnMut(u64),
    ) -> Verdict {
        online::watch(self, lines, budget, judged)
    }

    fn check(&self, history: &History<M::Op, RetOf<M>>, budget: &Budget) -> Verdict {
        let mut keys: Vec<_> = by_key(history).into_iter().collect();
        keys.sort_by_key(|(_, attempts)| std::cmp::Reverse(attempts.len()));
        let meter = Meter::new(budget);
        let judged = Mutex::new(Vec::new());
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let turn = next.fetch_add(1, Ordering::Relaxed);
                let Some((key, attempts)) = keys.get(turn) else { break };
                let judge = Judge { checker: self, key: *key, attempts, turn, meter: &meter };
                let outcome = judge.judge();
                judged.lock().expect("no thread panics while it holds the lock").push((turn, outcome));
            }
        };
        // To wake threads takes longer than to judge what is small; and whoever is one of many threads already,
        // each with a history of its own, would only wait for the others.
        let among_many = rayon::current_thread_index().is_some();
        let counted = budget.steps < u64::MAX;
        if keys.len() == 1 || history.attempts.len() < SMALL || among_many || counted {
            work();
        } else {
            rayon::broadcast(|_| work());
        }
        together(judged.into_inner().expect("all threads are done"))
    }
}

/// A history of fewer ops is not worth more than one thread.
const SMALL: usize = 512;

/// What was found of one key.
enum Judged {
    Valid(KeyOrder),
    Invalid(Box<Witness>),
    Unknown(Why),
    /// A key before it was found invalid.
    Cancelled,
}

/// The worst wins; of equally bad ones, that whose turn came first.
fn together(mut judged: Vec<(usize, Judged)>) -> Verdict {
    judged.sort_by_key(|&(turn, _)| turn);
    let mut orders = Vec::new();
    let mut unknown = None;
    for (_, outcome) in judged {
        match outcome {
            Judged::Invalid(witness) => return Verdict::Invalid { witness },
            Judged::Unknown(why) => unknown = unknown.or(Some(why)),
            Judged::Valid(order) => orders.push(order),
            Judged::Cancelled => {}
        }
    }
    if let Some(why) = unknown {
        return Verdict::Unknown { why };
    }
    orders.sort_by(|one, two| one.key.cmp(&two.key));
    Verdict::Valid { linearization: Some(Linearization { keys: orders }) }
}

/// Judges one key.
struct Judge<'a, M: Model + 'static> {
    checker: &'a Linearizable<M>,
    key: Option<&'a Key>,
    attempts: &'a [&'a Attempt<M::Op, RetOf<M>>],
    turn: usize,
    meter: &'a Meter,
}

/// What somebody says of a prefix.
enum Said<S> {
    Order(Vec<u32>),
    /// There is none.
    Nothing {
        /// Where the search got stuck; any prefix that ends before has an order.
        stuck: u64,
        /// A prefix that ends here has none.
        bad: u64,
        /// The states in which `stuck` was met.
        states: Vec<S>,
    },
}

impl<'a, M: Model> Judge<'a, M> {
    fn judge(&self) -> Judged {
        let spans = self.spans(u64::MAX);
        match self.ask(&spans, self.meter) {
            Err(Stop::Budget(why)) => Judged::Unknown(why),
            Ok((by, Said::Order(order))) => {
                let order = self.verified(&spans, &order);
                Judged::Valid(KeyOrder { key: self.key.cloned(), by, order })
            }
            Ok((by, Said::Nothing { stuck, bad, states })) => {
                drop(spans);
                self.meter.found_invalid(self.turn);
                let bare = self.checker.setup.bare;
                let witness =
                    if bare { self.bare(by, stuck, bad) } else { self.witness(by, stuck, bad, states) };
                Judged::Invalid(Box::new(witness))
            }
            Err(Stop::Cancelled) => Judged::Cancelled,
        }
    }

    fn spans(&self, cut: u64) -> Vec<Span<'a, M::Op>> {
        spans(self.attempts, cut, self.checker.setup.mutant)
    }

    /// Asks the rules in turn, then the search.
    fn ask(&self, spans: &[Span<'a, M::Op>], meter: &Meter) -> Result<(By, Said<M::State>), Stop> {
        let Linearizable { model, rules, setup, .. } = self.checker;
        if setup.engine == Choice::Auto {
            for rule in *rules {
                let ruling = match (rule.decide)(model, spans, meter, setup.mutant) {
                    // A rule remembers every op; the search may make do with less.
                    Err(Stop::Budget(Why::OutOfMemory)) => Ruling::Declined,
                    ruling => ruling?,
                };
                let said = match ruling {
                    Ruling::Declined => continue,
                    Ruling::Order(order) => Said::Order(order),
                    Ruling::Contradiction(Clash { bad, earliest, .. }) => {
                        let stuck = if earliest { bad } else { 0 };
                        Said::Nothing { stuck, bad, states: Vec::new() }
                    }
                };
                return Ok((rule.by(), said));
            }
        }
        let initial = [model.init()];
        let task = Task { model, spans, initial: &initial, setup: *setup, meter, turn: self.turn };
        let said = match engine::search(&task)? {
            Found::Order(order) => Said::Order(order),
            Found::Nothing { stuck, bad, states } => Said::Nothing { stuck, bad, states },
        };
        Ok((setup.engine.by(), said))
    }

    /// The order by invocation lines, once it is certain that it is one.
    fn verified(&self, spans: &[Span<'a, M::Op>], order: &[u32]) -> Vec<u64> {
        if self.checker.setup.mutant == Mutant::None {
            let verified = verify_order(&self.checker.model, spans, order);
            assert!(verified.is_ok(), "an order that was found explains the history: {verified:?}");
        }
        order.iter().map(|&number| spans[number as usize].from()).collect()
    }

    /// That there is no order, and nothing of why.
    fn bare(&self, by: By, stuck: u64, bad: u64) -> Witness {
        Witness {
            sentence: format!("no order explains all answers up to index {bad}"),
            key: self.key.cloned(),
            by,
            prefix_ends: bad,
            shortest: stuck == bad,
            ops: Vec::new(),
            minimal: false,
            since: None,
            others: self.attempts.partition_point(|attempt| attempt.invoked.index <= bad),
            states: Vec::new(),
        }
    }

    fn witness(&self, by: By, stuck: u64, bad: u64, states: Vec<M::State>) -> Witness {
        let Prefix { cut, shortest, states } = self.shortest_bad_prefix(stuck, bad, states);
        let states = if states.is_empty() { self.states_met(cut) } else { states };
        let model = &self.checker.model;
        let mut refuted = Refuted::new(model, self.attempts, cut, states);
        let Linearizable { rules, setup, .. } = *self.checker;
        let hint = model.explain(&refuted).named;
        let contradiction = Shrink::new(&refuted, rules, setup, self.meter).smallest(&hint);
        refuted.contradiction = Some(contradiction);
        let explanation = model.explain(&refuted);
        let contradiction = refuted.contradiction.take().expect("it was just put there");
        let few = contradiction.needed.len() <= MOST_NEEDED;
        let needed = if few { &*contradiction.needed } else { &[] };
        let ops = shown(&refuted, needed, &explanation.named);
        Witness {
            sentence: explanation.sentence,
            key: self.key.cloned(),
            by,
            prefix_ends: cut,
            shortest,
            others: refuted.spans.len() - ops.len(),
            ops,
            minimal: contradiction.minimal && few,
            since: contradiction.since.filter(|_| few),
            states: refuted.states.iter().map(|state| model.show(state)).collect(),
        }
    }

    /// The states in which the last answer of the shortest bad prefix was met. A rule does not know them;
    /// a search does, and a short prefix is soon searched.
    fn states_met(&self, cut: u64) -> Vec<M::State> {
        let Linearizable { model, setup, .. } = self.checker;
        let (spans, initial) = (self.spans(cut), [model.init()]);
        if spans.len() > SOON_SEARCHED {
            return Vec::new();
        }
        let meter = self.meter.part(Duration::from_millis(100));
        let task = Task { model, spans: &spans, initial: &initial, setup: *setup, meter: &meter, turn: 0 };
        match engine::search(&task) {
            Ok(Found::Nothing { stuck, states, .. }) if stuck == cut => states,
            _ => Vec::new(),
        }
    }

    /// Bisects between the end where the search got stuck and one at which there is no order. Before the
    /// first there is one.
    fn shortest_bad_prefix(&self, stuck: u64, bad: u64, states: Vec<M::State>) -> Prefix<M::State> {
        let mut ends: Vec<u64> = self.spans(u64::MAX).iter().filter_map(Span::to).collect();
        ends.retain(|&end| end >= stuck && end <= bad);
        ends.sort_unstable();
        let mut found = Prefix { cut: bad, shortest: true, states };
        let (mut low, mut high) = (0, ends.len() - 1);
        // Evidence may take as long as the verdict did, or a second.
        let meter = self.meter.part(self.meter.elapsed().max(Duration::from_secs(1)));
        // A search stops at the earliest end, a rule most often near it.
        let mut probe = if stuck == 0 { high.saturating_sub(1) } else { 0 };
        while low < high {
            match self.ask(&self.spans(ends[probe]), &meter) {
                Ok((_, Said::Order(_))) => low = probe + 1,
                Ok((_, Said::Nothing { stuck, bad, states })) => {
                    // What contradicts itself up to an earlier end than asked for is bad there already.
                    high = ends.binary_search(&bad).unwrap_or(probe).min(probe);
                    let states = if stuck == ends[high] { states } else { Vec::new() };
                    found = Prefix { cut: ends[high], shortest: true, states };
                }
                Err(_) => return Prefix { shortest: false, ..found },
            }
            probe = low.midpoint(high);
        }
        if found.cut != stuck && found.cut == bad {
            found.states.clear();
        }
        found
    }
}

/// A prefix without an order.
struct Prefix<S> {
    cut: u64,
    shortest: bool,
    /// The states in which its last answer was met, if the search got as far as that.
    states: Vec<S>,
}

/// So many ops are searched for the sake of the evidence alone.
const SOON_SEARCHED: usize = 32;

/// How many ops of a prefix are shown if it is not known which of them are needed.
const NEAR: usize = 12;

/// The ops that are needed or named; if none is needed, those that ended last too.
fn shown<M: Model>(refuted: &Refuted<'_, M>, needed: &[usize], named: &[usize]) -> Vec<WitnessOp> {
    let spans = &refuted.spans;
    let mut shown: Vec<usize> = needed.iter().chain(named).copied().collect();
    if needed.is_empty() {
        let mut last: Vec<usize> = (0..spans.len()).collect();
        last.sort_by_key(|&op| std::cmp::Reverse(spans[op].to().unwrap_or(spans[op].from())));
        shown.extend(last.into_iter().take(NEAR));
    }
    shown.sort_unstable();
    shown.dedup();
    let shown = shown.into_iter();
    shown.map(|op| witness_op(&spans[op], needed.contains(&op), named.contains(&op))).collect()
}
