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
    /// Another key was found invalid: this one no longer matters.
    Cancelled,
}

/// Counts time and memory of one check.
#[derive(Debug)]
pub(crate) struct Meter {
    deadline: Option<Instant>,
    memory: usize,
    used: AtomicUsize,
    /// The key found invalid, if one was.
    winner: AtomicUsize,
}

const NOBODY: usize = usize::MAX;

impl Meter {
    pub(crate) fn new(budget: &Budget) -> Meter {
        Meter {
            // A limit beyond what the clock can express is no limit.
            deadline: Instant::now().checked_add(budget.time),
            memory: budget.memory,
            used: AtomicUsize::new(0),
            winner: AtomicUsize::new(NOBODY),
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

    /// May the search of this key go on?
    pub(crate) fn check(&self, key: usize) -> Result<(), Stop> {
        let winner = self.winner.load(Ordering::Relaxed);
        if winner != NOBODY && winner != key {
            return Err(Stop::Cancelled);
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Stop::Budget(Why::OutOfTime));
        }
        Ok(())
    }

    /// This key is invalid: all others may stop. False if another was first.
    pub(crate) fn win(&self, key: usize) -> bool {
        self.winner.compare_exchange(NOBODY, key, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}
