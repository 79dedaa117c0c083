//! The last word on a contradiction that takes many ops: what all that was acknowledged can have left.
//!
//! An old balance is wrong only because of all the transfers before it, and nobody reads a list of forty ops. Where
//! the search got stuck it knew what was there, and that is soon said.

use crate::explain::{Explanation, Refuted, among_themselves};
use crate::seam::Model;
use crate::span::Span;

/// So many ops are told one by one.
const FEW_OPS: usize = 5;
/// So many states are.
const FEW_STATES: usize = 4;

/// The few ops that contradict each other; or if they are many, the few states that are left.
pub(crate) fn few_ops_or_states<M: Model>(
    refuted: &Refuted<'_, M>,
    statement: impl Fn(&Span<'_, M::Op>) -> String,
) -> Option<Explanation> {
    let few = refuted.contradiction.as_ref().is_some_and(|found| found.needed.len() <= FEW_OPS);
    let by_ops = || among_themselves(refuted, &statement);
    if few {
        return by_ops();
    }
    let last = refuted.last_before(|_| true);
    let (true, Some(states), Some(other)) =
        (refuted.states.len() <= FEW_STATES, refuted.possible_states(), last)
    else {
        return by_ops();
    };
    Some(Explanation {
        sentence: format!(
            "{}, but all that was acknowledged before leaves only {states}; last known before: {}",
            statement(refuted.culprit()),
            statement(&refuted.spans[other])
        ),
        named: vec![refuted.culprit, other],
    })
}
