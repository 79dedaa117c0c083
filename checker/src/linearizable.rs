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

use history::{Attempt, History, Key};

use crate::certificate::verify_key;
use crate::explain::{Refuted, witness_op};
use crate::meter::{Meter, Stop};
use crate::mutant::Mutant;
use crate::seam::{Budget, Checker, Model, RetOf};
use crate::span::{Span, by_key, spans};
use crate::verdict::{KeyOrder, Linearization, Verdict, Why, Witness, WitnessOp};
use crate::wgl::{Found, search};

/// Judges whether histories are linearizable.
#[derive(Clone, Copy, Debug)]
pub struct Linearizable<M> {
    name: &'static str,
    model: M,
    mutant: Mutant,
}

impl<M> Linearizable<M> {
    /// Holds histories against this model.
    pub fn new(name: &'static str, model: M) -> Linearizable<M> {
        Linearizable { name, model, mutant: Mutant::None }
    }

    /// The model.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// The same checker with a mistake.
    #[cfg(test)]
    pub(crate) fn with(self, mutant: Mutant) -> Linearizable<M> {
        Linearizable { mutant, ..self }
    }
}

impl<M: Model> Checker<M::Op, RetOf<M>> for Linearizable<M> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn check(&self, history: &History<M::Op, RetOf<M>>, budget: &Budget) -> Verdict {
        let mut keys: Vec<_> = by_key(history).into_iter().collect();
        keys.sort_by_key(|(_, attempts)| std::cmp::Reverse(attempts.len()));
        let meter = Meter::new(budget);
        let judged = Mutex::new(Vec::new());
        let next = AtomicUsize::new(0);
        rayon::broadcast(|_| {
            loop {
                let turn = next.fetch_add(1, Ordering::Relaxed);
                let Some((key, attempts)) = keys.get(turn) else { break };
                let judge = Judge { model: &self.model, attempts, turn, meter: &meter, mutant: self.mutant };
                let outcome = judge.judge(*key);
                judged.lock().expect("no thread panics while it holds the lock").push((turn, outcome));
            }
        });
        together(judged.into_inner().expect("all threads are done"))
    }
}

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
struct Judge<'a, M: Model> {
    model: &'a M,
    attempts: &'a [&'a Attempt<M::Op, RetOf<M>>],
    turn: usize,
    meter: &'a Meter,
    mutant: Mutant,
}

impl<M: Model> Judge<'_, M> {
    fn judge(&self, key: Option<&Key>) -> Judged {
        match self.search(u64::MAX) {
            Err(Stop::Budget(why)) => Judged::Unknown(why),
            Ok(Found::Order(order)) => {
                Judged::Valid(KeyOrder { key: key.cloned(), order: self.verified(&order) })
            }
            Ok(Found::Nothing { stuck, states }) => {
                self.meter.found_invalid(self.turn);
                Judged::Invalid(Box::new(self.witness(key, stuck, states)))
            }
            Err(Stop::Cancelled) => Judged::Cancelled,
        }
    }

    fn spans(&self, cut: u64) -> Vec<Span<'_, M::Op>> {
        spans(self.attempts, cut, self.mutant)
    }

    fn search(&self, cut: u64) -> Result<Found<M::State>, Stop> {
        search(self.model, &self.spans(cut), self.meter, self.turn, self.mutant)
    }

    /// The order by invocation lines, once it is certain that it is one.
    fn verified(&self, order: &[usize]) -> Vec<u64> {
        let spans = self.spans(u64::MAX);
        let order: Vec<u64> = order.iter().map(|&number| spans[number].from()).collect();
        if self.mutant == Mutant::None {
            let verified = verify_key(self.model, self.attempts, &order);
            assert!(verified.is_ok(), "an order found by the search explains the history: {verified:?}");
        }
        order
    }

    fn witness(&self, key: Option<&Key>, stuck: u64, states: Vec<M::State>) -> Witness {
        let Prefix { cut, shortest, states } = self.shortest_bad_prefix(stuck, states);
        let refuted = Refuted::new(self.model, self.attempts, cut, states);
        let explanation = self.model.explain(&refuted);
        let ops = near(&refuted, &explanation.named);
        Witness {
            sentence: explanation.sentence,
            key: key.cloned(),
            prefix_ends: cut,
            shortest,
            others: refuted.spans.len() - ops.len(),
            ops,
            states: refuted.states.iter().map(|state| self.model.show(state)).collect(),
        }
    }

    /// Bisects between the end where the search got stuck and the last one. Before the first there is
    /// an order; at the last there is none.
    fn shortest_bad_prefix(&self, stuck: u64, states: Vec<M::State>) -> Prefix<M::State> {
        let mut ends: Vec<u64> = self.spans(u64::MAX).iter().filter_map(|span| span.to).collect();
        ends.retain(|&end| end >= stuck);
        ends.sort_unstable();
        let last = *ends.last().expect("the search got stuck at an end");
        let mut bad = Prefix { cut: last, shortest: true, states };
        let (mut low, mut high) = (0, ends.len() - 1);
        let mut probe = 0;
        while low < high {
            match self.search(ends[probe]) {
                Ok(Found::Order(_)) => low = probe + 1,
                Ok(Found::Nothing { stuck, states }) => {
                    high = probe;
                    let states = if stuck == ends[probe] { states } else { Vec::new() };
                    bad = Prefix { cut: ends[probe], shortest: true, states };
                }
                Err(_) => return Prefix { shortest: false, ..bad },
            }
            probe = low.midpoint(high);
        }
        if bad.cut != stuck && bad.cut == last {
            bad.states.clear();
        }
        bad
    }
}

/// A prefix without an order.
struct Prefix<S> {
    cut: u64,
    shortest: bool,
    /// The states in which its last answer was met, if the search got as far as that.
    states: Vec<S>,
}

/// How many ops of a prefix are shown beside those that the sentence names.
const SHOWN: usize = 12;

/// The named ops, and of the others those that ended last.
fn near<M: Model>(refuted: &Refuted<'_, M>, named: &[usize]) -> Vec<WitnessOp> {
    let mut others: Vec<usize> = (0..refuted.spans.len()).filter(|number| !named.contains(number)).collect();
    others.sort_by_key(|&number| {
        let span = &refuted.spans[number];
        std::cmp::Reverse(span.to.unwrap_or(span.from()))
    });
    let mut shown: Vec<usize> = others.into_iter().take(SHOWN).chain(named.iter().copied()).collect();
    shown.sort_unstable();
    shown.dedup();
    shown.iter().map(|&number| witness_op(&refuted.spans[number], named.contains(&number))).collect()
}
