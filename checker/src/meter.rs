//! What a check may still use, shared by the searches of all its keys.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::seam::Budget;
use crate::verdict::Why;

/// Why a search stopped before its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    /// The budget ran out.
    Budget(Why),
    /// A key before this one was found invalid: this one no longer matters.
    Cancelled,
}

/// Counts time and memory of one check.
#[derive(Debug)]
pub(crate) struct Meter {
    deadline: Option<Instant>,
    memory: usize,
    used: AtomicUsize,
    /// The first of the keys found invalid so far, by their turn.
    invalid: AtomicUsize,
}

const NONE: usize = usize::MAX;

impl Meter {
    pub(crate) fn new(budget: &Budget) -> Meter {
        Meter {
            // A limit beyond what the clock can express is no limit.
            deadline: Instant::now().checked_add(budget.time),
            memory: budget.memory,
            used: AtomicUsize::new(0),
            invalid: AtomicUsize::new(NONE),
        }
    }

    /// Reserves memory before it is taken.
    pub(crate) fn charge(&self, bytes: usize) -> Result<(), Stop> {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) <= self.memory {
            return Ok(());
        }
        self.release(bytes);
        Err(Stop::Budget(Why::OutOfMemory))
    }

    /// Gives memory back after it was freed.
    pub(crate) fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// May the search of the key with this turn go on?
    pub(crate) fn check(&self, turn: usize) -> Result<(), Stop> {
        if self.invalid.load(Ordering::Relaxed) < turn {
            return Err(Stop::Cancelled);
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Stop::Budget(Why::OutOfTime));
        }
        Ok(())
    }

    /// The key with this turn is invalid: those after it may stop.
    pub(crate) fn found_invalid(&self, turn: usize) {
        self.invalid.fetch_min(turn, Ordering::Relaxed);
    }
}
