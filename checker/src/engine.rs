//! The general search: one task, whoever carries it out.
//!
//! Given ops of one key as intervals and the states they may start from, is there an order? [`crate::wgl`] is
//! the plain answer and the reference; [`crate::frontier`] is the fast one.

use crate::frontier;
use crate::meter::{Meter, Stop};
use crate::seam::Model;
use crate::setup::{Choice, Setup};
use crate::span::Span;
use crate::wgl;

/// What a search found.
#[derive(Debug)]
pub(crate) enum Found<S> {
    /// An order that explains everything: spans by their place in the input. Open ops may be missing.
    Order(Vec<u32>),
    /// There is none.
    Nothing {
        /// The line of the earliest end that no order gets past. Up to the line before, there is one.
        stuck: u64,
        /// A line by which there certainly is none, even if nothing that follows is known.
        bad: u64,
        /// States in which that end was met; at most [`MOST_STATES`].
        states: Vec<S>,
    },
}

/// How many states evidence shows.
pub(crate) const MOST_STATES: usize = 8;

/// What is to be searched.
pub(crate) struct Task<'a, M: Model> {
    pub model: &'a M,
    /// In the order of their invocations; those that failed are left out.
    pub spans: &'a [Span<'a, M::Op>],
    /// It may begin in any of these.
    pub initial: &'a [M::State],
    pub setup: Setup,
    pub meter: &'a Meter,
    /// Whose turn it is; see [`Meter::check`].
    pub turn: usize,
}

/// Searches for an order.
pub(crate) fn search<M: Model>(task: &Task<'_, M>) -> Result<Found<M::State>, Stop> {
    match task.setup.engine {
        Choice::Auto | Choice::Frontier => frontier::search(task),
        Choice::Wgl => wgl::search(task),
    }
}
