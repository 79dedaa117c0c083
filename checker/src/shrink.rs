//! From a prefix that no order explains to the few ops that contradict each other.
//!
//! A prefix of a thousand ops that has no order is true evidence, and nobody can read it. Most of these
//! ops have nothing to do with the matter. To show that, nothing may be left out: without a write that
//! happened, a good history may look broken. What is allowed is to *weaken*, that is to claim less, so
//! that whatever explains the original explains what is left:
//!
//! - An answer may be ignored: then the op may have happened at any time after its invocation, or never.
//!   The ops whose answers are kept are the *needed* ones. If they still have no order, they contradict
//!   each other *whatever the others did*.
//! - The past may be forgotten: ops that ended before some line are gone, those in flight there may have
//!   happened or not, and the register may hold whatever any op could have left.
//!
//! Ignoring more answers can only make it easier to find an order. So what is searched for is the
//! smallest end of a monotone ladder, and few questions are enough (`QuickXplain`, Junker 2004): if one
//! half of the answers is a contradiction, forget the other half; else find what is needed of one half
//! given the other, and then the other way round. That takes about `k · log n` questions for `k` needed
//! ops among `n`, and in the end none of them can be spared. Which minimum is found depends on which half
//! is preferred: first the ops that the data type's own explanation names, since then the sentence and
//! the picture speak of the same ops, and then those that ended last.
//!
//! It goes four ways, the cheapest first: the ops that the explanation names, in the whole prefix; else
//! the same after one of them began; else the latest line after which there is a contradiction at all,
//! and what is needed of it; else what is needed of the whole prefix. The latest line is found by going back from the end in steps that double,
//! so that it costs what its distance from the end costs, and not the length of the history.
//!
//! When the budget ends, every question that is left is answered by "perhaps there is an order": what
//! stands then is still a contradiction, only not the smallest.

use std::cell::Cell;
use std::time::Duration;

use crate::engine::{self, Found, Task};
use crate::explain::Refuted;
use crate::meter::Meter;
use crate::mutant::Mutant;
use crate::rule::{Rule, Ruling};
use crate::seam::Model;
use crate::setup::{Choice, Setup};
use crate::span::Span;

/// Ops that no order explains, whatever the others of their prefix did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contradiction {
    /// Their places in [`Refuted::spans`], rising. Their answers are needed; no other answer is.
    pub needed: Vec<usize>,
    /// The line before which nothing is needed, if there is one.
    pub since: Option<u64>,
    /// Whether none of the answers can be spared.
    pub minimal: bool,
}

/// The least time that shrinking is given, however fast the check was.
const LEAST_TIME: Duration = Duration::from_secs(1);

/// A question may take this part of the time that is left, so that one that is too hard does not take
/// the place of all others.
const PART: u32 = 4;

/// More needed ops than these are no help to anyone.
pub(crate) const MOST_NEEDED: usize = 64;

/// Shrinks one prefix.
pub(crate) struct Shrink<'s, 'a, M: Model + 'static> {
    refuted: &'s Refuted<'a, M>,
    rules: &'static [Rule<M>],
    setup: Setup,
    meter: Meter,
    /// Whether a question had to be answered by "perhaps".
    doubted: Cell<bool>,
    /// How many ops are known to be needed.
    known: Cell<usize>,
}

/// The ops that a question is about.
#[derive(Clone)]
struct Field {
    /// Rising.
    ops: Vec<usize>,
    since: Option<u64>,
}

impl<'s, 'a, M: Model> Shrink<'s, 'a, M> {
    /// With a budget of twice the time that the check has taken, or a second, whichever is more, out of
    /// what is left.
    pub(crate) fn new(
        refuted: &'s Refuted<'a, M>,
        rules: &'static [Rule<M>],
        setup: Setup,
        meter: &Meter,
    ) -> Shrink<'s, 'a, M> {
        let meter = meter.part(LEAST_TIME.max(meter.elapsed() * 2));
        Shrink { refuted, rules, setup, meter, doubted: Cell::new(false), known: Cell::new(0) }
    }

    /// The fewest ops that can be found. `named` are worth trying first.
    pub(crate) fn smallest(&self, named: &[usize]) -> Contradiction {
        let whole = self.whole();
        let hinted: Vec<usize> = named.iter().copied().filter(|&op| self.answered(op)).collect();
        if self.contradicts(&whole, &hinted) {
            return self.reduced(whole, hinted);
        }
        if let Some(field) = self.latest_of(&hinted) {
            let candidates = self.preferred(&field, &hinted);
            let named = candidates.into_iter().filter(|op| hinted.contains(op)).collect();
            return self.reduced(field, named);
        }
        if let Some(field) = self.latest() {
            let candidates = self.preferred(&field, &hinted);
            let found = self.reduced(field, candidates);
            // A contradiction with the past is a stronger claim than one without.
            return if self.contradicts(&whole, &found.needed) {
                self.reduced(whole, found.needed)
            } else {
                found
            };
        }
        let candidates = self.preferred(&whole, &hinted);
        self.reduced(whole, candidates)
    }

    // --- what may be asked about ------------------------------------------------------------------

    fn span(&self, op: usize) -> &Span<'a, M::Op> {
        &self.refuted.spans[op]
    }

    fn answered(&self, op: usize) -> bool {
        !self.span(op).is_open()
    }

    fn whole(&self) -> Field {
        let happened = (0..self.refuted.spans.len()).filter(|&op| !self.span(op).attempt.failed());
        Field { ops: happened.collect(), since: None }
    }

    /// What came after this line, or was in flight there.
    fn after(&self, since: u64) -> Field {
        let mut field = self.whole();
        field.ops.retain(|&op| self.span(op).end() > since);
        if self.setup.mutant == Mutant::DropsInFlight {
            field.ops.retain(|&op| self.span(op).from() >= since);
        }
        field.since = Some(since);
        field
    }

    /// The answers of a field that may be needed: those before its line do not count.
    fn candidates(&self, field: &Field) -> Vec<usize> {
        let since = field.since.unwrap_or(0);
        let counts = |&op: &usize| self.answered(op) && self.span(op).from() >= since;
        field.ops.iter().copied().filter(counts).collect()
    }

    /// The same, with those first that are worth having: the hinted ones, then those that ended last.
    fn preferred(&self, field: &Field, hinted: &[usize]) -> Vec<usize> {
        let mut candidates = self.candidates(field);
        candidates.sort_by_key(|op| (!hinted.contains(op), std::cmp::Reverse(self.span(*op).end())));
        candidates
    }

    /// The field after the latest beginning of one of these that leaves a contradiction between them.
    fn latest_of(&self, ops: &[usize]) -> Option<Field> {
        let mut starts: Vec<u64> = ops.iter().map(|&op| self.span(op).from()).collect();
        starts.sort_unstable();
        self.initial(&self.after(*starts.first()?), &[])?;
        starts.into_iter().rev().map(|start| self.after(start)).find(|field| {
            let mut named = self.candidates(field);
            named.retain(|op| ops.contains(op));
            self.contradicts(field, &named)
        })
    }

    /// The field after the latest line that leaves a contradiction, unless that is the whole.
    fn latest(&self) -> Option<Field> {
        let starts = self.candidates(&self.whole());
        // Without the answer that ends the prefix, there is an order.
        let ending = starts.iter().rposition(|&op| op == self.refuted.culprit)?;
        let field = |last: usize| self.after(self.span(starts[starts.len() - last]).from());
        let holds = |last: usize| {
            let field = field(last);
            self.contradicts(&field, &self.candidates(&field))
        };
        let mut enough = starts.len() - ending;
        let mut too_few = enough - 1;
        self.initial(&field(enough), &[])?;
        while enough < starts.len() && !holds(enough) {
            too_few = enough;
            enough = starts.len().min(enough * 2);
        }
        while too_few + 1 < enough {
            let middle = too_few.midpoint(enough);
            if holds(middle) { enough = middle } else { too_few = middle }
        }
        (enough < starts.len()).then(|| field(enough))
    }

    // --- which of them are needed -----------------------------------------------------------------

    /// What is needed of these, which contradict each other. The preferred ones stand first.
    fn reduced(&self, mut field: Field, candidates: Vec<usize>) -> Contradiction {
        let since = field.since;
        self.doubted.set(false);
        self.known.set(0);
        let some = self.enough(&mut field, candidates);
        let mut needed = self.needed(&field, &mut Vec::new(), false, &some);
        needed.sort_unstable();
        Contradiction { needed, since, minimal: !self.doubted.get() }
    }

    /// So many of the first that they are enough.
    fn enough(&self, field: &mut Field, mut candidates: Vec<usize>) -> Vec<usize> {
        let mut size = 4;
        while size < candidates.len() {
            if self.contradicts(field, &candidates[..size]) {
                candidates.truncate(size);
                break;
            }
            size *= 4;
        }
        // What does not help against these does not help against fewer.
        let mut spans = self.weakened(field, &candidates);
        self.refuted.model.thin(&mut spans);
        let place =
            |span: &Span<'_, M::Op>| self.refuted.spans.binary_search_by_key(&span.from(), Span::from);
        field.ops = spans.iter().map(|span| place(span).expect("thinning adds nothing")).collect();
        candidates
    }

    /// What is needed of the candidates, given the others. Together they contradict each other. `grown`
    /// says whether that has not been asked of the others alone.
    fn needed(&self, field: &Field, given: &mut Vec<usize>, grown: bool, candidates: &[usize]) -> Vec<usize> {
        if grown && self.contradicts(field, given) {
            return Vec::new();
        }
        if candidates.len() <= 1 {
            self.known.set(self.known.get() + candidates.len());
            return candidates.to_vec();
        }
        if self.is_over() {
            self.doubted.set(true);
            return candidates.to_vec();
        }
        let (first, second) = candidates.split_at(candidates.len() / 2);
        let before = given.len();
        given.extend(first);
        let mut needed = self.needed(field, given, true, second);
        given.truncate(before);
        given.extend(&needed);
        let of_first = self.needed(field, given, !needed.is_empty(), first);
        given.truncate(before);
        needed.extend(of_first);
        needed
    }

    // --- the question -----------------------------------------------------------------------------

    /// Whether these answers contradict each other, whatever the others were. In doubt, no.
    fn contradicts(&self, field: &Field, needed: &[usize]) -> bool {
        // To put a question costs as much as there are ops, so none is put where there will be no answer.
        if self.is_over() {
            self.doubted.set(true);
            return false;
        }
        let mut spans = self.weakened(field, needed);
        self.refuted.model.thin(&mut spans);
        let found = self.ask(field, &spans);
        self.doubted.set(self.doubted.get() || found.is_none());
        found == Some(true)
    }

    /// The field's ops without the answers that are not needed.
    fn weakened(&self, field: &Field, needed: &[usize]) -> Vec<Span<'a, M::Op>> {
        let mut needed = needed.to_vec();
        needed.sort_unstable();
        let mut needed = needed.into_iter().peekable();
        let mut spans = Vec::new();
        for &op in &field.ops {
            let span = *self.span(op);
            if needed.next_if_eq(&op).is_some() {
                spans.push(span);
            } else if self.setup.mutant != Mutant::DropsOthers {
                spans.push(span.opened());
            }
        }
        spans
    }

    /// Whether the budget ran out, or more is needed than helps anyone.
    fn is_over(&self) -> bool {
        self.known.get() > MOST_NEEDED || self.meter.left().is_zero()
    }

    fn initial(&self, field: &Field, spans: &[Span<'a, M::Op>]) -> Option<Vec<M::State>> {
        let Refuted { model, spans: all, .. } = self.refuted;
        match field.since {
            Some(since) if self.setup.mutant != Mutant::StartsEmpty => {
                let earlier = all.partition_point(|span| span.from() < since);
                model.left_by(&all[..earlier], spans)
            }
            _ => Some(vec![model.init()]),
        }
    }

    /// Whether these have no order; none if the budget ran out.
    fn ask(&self, field: &Field, spans: &[Span<'a, M::Op>]) -> Option<bool> {
        let model = self.refuted.model;
        let meter = self.meter.part(self.meter.left() / PART);
        let rules = if field.since.is_none() && self.setup.engine == Choice::Auto { self.rules } else { &[] };
        for rule in rules {
            match (rule.decide)(model, spans, &meter, self.setup.mutant).ok()? {
                Ruling::Declined => {}
                Ruling::Order(_) => return Some(false),
                Ruling::Contradiction(_) => return Some(true),
            }
        }
        let initial = self.initial(field, spans)?;
        let task = Task { model, spans, initial: &initial, setup: self.setup, meter: &meter, turn: 0 };
        Some(matches!(engine::search(&task).ok()?, Found::Nothing { .. }))
    }
}
