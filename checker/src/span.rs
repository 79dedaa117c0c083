//! Ops as intervals, apart by key, up to a cut.
//!
//! What each outcome means for the search stands here and nowhere else:
//! - `ok`: it took effect once, between its two lines, and its answer must fit;
//! - `fail`: it did not happen, so it is left out;
//! - `info` and no answer at all: it may have taken effect at any moment after its invocation, to the
//!   end of time, or never. It is *open*: nothing requires it, and its answer is not known.
//!
//! Linearizability is prefix-closed: if the history up to some line cannot be explained, nothing that
//! follows can explain it. So a history may be *cut*: ops invoked after the cut are gone, and those
//! acknowledged after it are open. Ops that turn out to fail are left out of every cut, even of those
//! before the line that says so: a prefix that is only explained by what did not happen is not worth
//! having.
//!
//! And it is compositional: if each key's ops can be explained, all can. Keys are judged apart.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use history::{Attempt, History, Key, Operation};
use rustc_hash::FxHashMap;

use crate::mutant::Mutant;
use crate::seam::Interval;

/// An op as seen from a cut. Small, since there may be ten million.
#[derive(Debug)]
pub struct Span<'a, O: Operation> {
    /// All that is known of it, also from behind the cut.
    pub attempt: &'a Attempt<O, O::Ret>,
    /// The line that acknowledges it. Line 0 is an invocation, so none ends there.
    to: Option<NonZeroU64>,
}

#[expect(clippy::expl_impl_clone_on_copy, reason = "a derived one would ask for an op that is Copy")]
impl<O: Operation> Clone for Span<'_, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O: Operation> Copy for Span<'_, O> {}

impl<'a, O: Operation> Span<'a, O> {
    /// The op with its end, if it has one.
    pub(crate) fn new(attempt: &'a Attempt<O, O::Ret>, to: Option<u64>) -> Span<'a, O> {
        Span { attempt, to: to.and_then(NonZeroU64::new) }
    }

    /// The same op as if nobody had heard its answer: it may have happened at any time after its
    /// invocation, or never. What explains the op explains this too.
    #[must_use]
    pub fn opened(self) -> Span<'a, O> {
        Span { to: None, ..self }
    }

    /// The line that acknowledges it; none if it is open at the cut.
    pub fn to(&self) -> Option<u64> {
        self.to.map(NonZeroU64::get)
    }

    /// The line that invokes it.
    pub fn from(&self) -> u64 {
        self.attempt.invoked.index
    }

    /// The line that ends it; an open op never ends.
    pub fn end(&self) -> u64 {
        self.to().unwrap_or(u64::MAX)
    }

    /// The answer, as far as it is known at the cut.
    pub fn ret(&self) -> Option<&'a O::Ret> {
        self.to.and(self.attempt.ret())
    }

    /// Whether it was open at the cut.
    pub fn is_open(&self) -> bool {
        self.to.is_none()
    }

    pub(crate) fn when(&self) -> Interval {
        Interval { from: self.attempt.invoked, to: self.to.and(self.attempt.completed) }
    }
}

/// The ops of each key, failed ones too, in the order of their invocations.
pub(crate) fn by_key<O: Operation>(
    history: &History<O, O::Ret>,
) -> BTreeMap<Option<&Key>, Vec<&Attempt<O, O::Ret>>> {
    // Looked up by hash, and only where the key is another one than before: there may be ten million ops.
    let mut numbers: FxHashMap<Option<&Key>, usize> = FxHashMap::default();
    let mut keys: Vec<(Option<&Key>, Vec<_>)> = Vec::new();
    let mut current = 0;
    for attempt in &history.attempts {
        let key = attempt.key.as_ref();
        if keys.get(current).is_none_or(|&(known, _)| known != key) {
            current = *numbers.entry(key).or_insert(keys.len());
            if current == keys.len() {
                keys.push((key, Vec::new()));
            }
        }
        keys[current].1.push(attempt);
    }
    keys.into_iter().collect()
}

/// What the search has to explain of one key's ops, up to and including the line `cut`.
pub(crate) fn spans<'a, O: Operation>(
    attempts: &[&'a Attempt<O, O::Ret>],
    cut: u64,
    mutant: Mutant,
) -> Vec<Span<'a, O>> {
    let begun = attempts.iter().take_while(|attempt| attempt.invoked.index <= cut);
    let kept = begun.filter(|attempt| !attempt.failed() || mutant == Mutant::TakesFailAsOk);
    let mut spans = Vec::with_capacity(attempts.len());
    spans.extend(kept.map(|&attempt| mutant.apply(seen_from(attempt, cut))));
    spans
}

/// One key's ops as seen from a cut, failed ones too.
pub(crate) fn seen_until<'a, O: Operation>(
    attempts: &[&'a Attempt<O, O::Ret>],
    cut: u64,
) -> Vec<Span<'a, O>> {
    let begun = attempts.iter().take_while(|attempt| attempt.invoked.index <= cut);
    begun.map(|&attempt| seen_from(attempt, cut)).collect()
}

/// An op as seen from a cut behind its invocation.
pub(crate) fn seen_from<O: Operation>(attempt: &Attempt<O, O::Ret>, cut: u64) -> Span<'_, O> {
    let acknowledged = attempt.ret().and(attempt.completed).map(|at| at.index);
    Span::new(attempt, acknowledged.filter(|&index| index <= cut))
}
