//! Proof that a *valid* is one, checked without trusting the search.
//!
//! A linearization is an order of ops, key by key. To believe it, walk it once: every op that is known
//! to have happened is in it, exactly once, and none that failed; no op stands behind one that was
//! invoked only after it had ended; and the model, run op by op, gives every answer that was heard.
//! Linear time, a page of code, and the search may be as clever as it likes.

use history::{Attempt, History, Key};
use smallvec::{SmallVec, smallvec};

use crate::mutant::Mutant;
use crate::seam::{Model, RetOf};
use crate::span::{Span, by_key, spans};
use crate::verdict::{KeyOrder, Linearization};

/// Why an order explains nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotALinearization {
    /// It is about other keys than the history.
    #[error("the keys are not those of the history")]
    Keys,
    /// Names something that is no op of this key, or failed, or was named before.
    #[error("index {0} is no op of this key that may stand there")]
    Unknown(u64),
    /// An op that happened is missing.
    #[error("the op of index {0} happened, but is missing")]
    Missing(u64),
    /// An op stands behind one that began after it had ended.
    #[error("the op of index {0} had ended before one that stands before it began")]
    OutOfOrder(u64),
    /// The model would have answered otherwise.
    #[error("the op of index {0} cannot have answered what it did")]
    WrongAnswer(u64),
}

/// Checks a linearization against the history that it claims to explain.
pub fn verify_linearization<M: Model>(
    model: &M,
    history: &History<M::Op, RetOf<M>>,
    linearization: &Linearization,
) -> Result<(), NotALinearization> {
    let keys = by_key(history);
    let claimed: Vec<Option<&Key>> = linearization.keys.iter().map(|order| order.key.as_ref()).collect();
    if !claimed.iter().eq(keys.keys()) {
        return Err(NotALinearization::Keys);
    }
    let mut orders = linearization.keys.iter().zip(keys.values());
    orders.try_for_each(|(KeyOrder { order, .. }, attempts)| verify_key(model, attempts, order))
}

/// Checks the order of one key's ops, given by the lines that invoke them.
fn verify_key<M: Model>(
    model: &M,
    attempts: &[&Attempt<M::Op, RetOf<M>>],
    order: &[u64],
) -> Result<(), NotALinearization> {
    let spans = spans(attempts, u64::MAX, Mutant::None);
    let number = |&index: &u64| {
        let found = spans.binary_search_by_key(&index, Span::from);
        found.map(small).map_err(|_| NotALinearization::Unknown(index))
    };
    verify_order(model, &spans, &order.iter().map(number).collect::<Result<Vec<u32>, _>>()?)
}

/// Checks the order of one key's ops, given by their places among these.
pub(crate) fn verify_order<M: Model>(
    model: &M,
    spans: &[Span<'_, M::Op>],
    order: &[u32],
) -> Result<(), NotALinearization> {
    let mut placed = vec![false; spans.len()];
    let mut states: SmallVec<[M::State; 1]> = smallvec![model.init()];
    let mut latest_start = 0;
    for &number in order {
        let span = &spans[number as usize];
        if std::mem::replace(&mut placed[number as usize], true) {
            return Err(NotALinearization::Unknown(span.from()));
        }
        if span.end() < latest_start {
            return Err(NotALinearization::OutOfOrder(span.from()));
        }
        latest_start = latest_start.max(span.from());
        if !go_on(model, &mut states, span) {
            return Err(NotALinearization::WrongAnswer(span.from()));
        }
    }
    match spans.iter().zip(placed).find(|(span, placed)| !span.is_open() && !placed) {
        Some((span, _)) => Err(NotALinearization::Missing(span.from())),
        None => Ok(()),
    }
}

/// From these states to those that the op may leave; false if there are none.
fn go_on<M: Model>(model: &M, states: &mut SmallVec<[M::State; 1]>, span: &Span<'_, M::Op>) -> bool {
    if let [state] = &mut states[..]
        && let Some(fits) = model.advance(state, &span.attempt.op, span.ret(), span.when())
    {
        return fits;
    }
    *states = after(model, states, span);
    !states.is_empty()
}

/// All states that an op may leave, starting from any of these.
fn after<M: Model>(model: &M, states: &[M::State], span: &Span<'_, M::Op>) -> SmallVec<[M::State; 1]> {
    let mut left = SmallVec::new();
    for state in states {
        let mut next = SmallVec::new();
        model.step(state, &span.attempt.op, span.ret(), span.when(), &mut next);
        for state in next {
            if !left.contains(&state) {
                left.push(state);
            }
        }
    }
    left
}

/// A place in a slice of spans.
pub(crate) fn small(number: usize) -> u32 {
    u32::try_from(number).expect("a history in memory has less than four billion ops")
}
