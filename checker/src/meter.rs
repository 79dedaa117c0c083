//! What a check may still use, shared by the searches of all its keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

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

impl Stop {
    /// There is no more.
    pub(crate) fn out_of_memory() -> Stop {
        Stop::Budget(Why::OutOfMemory)
    }
}

/// The searches look at their meter once in so many steps.
pub(crate) const STRIDE: u32 = 256;

/// Counts time, steps and memory of one check.
#[derive(Debug)]
pub(crate) struct Meter {
    started: Instant,
    deadline: Option<Instant>,
    /// Steps so far, whoever counted them.
    steps: Arc<AtomicU64>,
    /// When they are too many.
    most_steps: u64,
    memory: usize,
    used: AtomicUsize,
    /// The first of the keys found invalid so far, by their turn.
    invalid: Arc<AtomicUsize>,
}

/// A meter that another one has to answer for.
#[derive(Debug)]
pub(crate) struct Lent<'m> {
    from: &'m Meter,
    meter: Meter,
}

impl Lent<'_> {
    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.from.release(self.meter.memory);
    }
}

const NONE: usize = usize::MAX;

impl Meter {
    pub(crate) fn new(budget: &Budget) -> Meter {
        Meter {
            started: Instant::now(),
            // A limit beyond what the clock can express is no limit.
            deadline: Instant::now().checked_add(budget.time),
            steps: Arc::default(),
            most_steps: budget.steps,
            memory: budget.memory,
            used: AtomicUsize::new(0),
            invalid: Arc::new(AtomicUsize::new(NONE)),
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

    /// A part of what is left, for a try: one of so many parts of the memory, the steps and the time.
    pub(crate) fn lend(&self, part: u32) -> Result<Lent<'_>, Stop> {
        let left = self.memory.saturating_sub(self.used.load(Ordering::Relaxed));
        let memory = left / part as usize;
        self.charge(memory)?;
        let now = Instant::now();
        let time = self.deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(now));
        let spent = self.steps.load(Ordering::Relaxed);
        let most_steps = spent + self.most_steps.saturating_sub(spent) / u64::from(part);
        let meter = self.meter_for(time / part, memory);
        Ok(Lent { from: self, meter: Meter { most_steps, invalid: Arc::clone(&self.invalid), ..meter } })
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
        if self.steps.fetch_add(STRIDE.into(), Ordering::Relaxed) >= self.most_steps {
            return Err(Stop::Budget(Why::OutOfTime));
        }
        Ok(())
    }

    /// Another one, whose steps count here, too.
    fn meter_for(&self, time: Duration, memory: usize) -> Meter {
        let steps = Arc::clone(&self.steps);
        Meter { steps, ..Meter::new(&Budget { time, memory, steps: self.most_steps }) }
    }

    /// A meter for a part of the work, which may take at most this long of what is left.
    pub(crate) fn part(&self, time: Duration) -> Meter {
        let deadline = Instant::now().checked_add(time);
        let deadline = deadline.into_iter().chain(self.deadline).min();
        let left = self.memory.saturating_sub(self.used.load(Ordering::Relaxed));
        Meter { deadline, ..self.meter_for(time, left) }
    }

    /// How long it has been going.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// How long it may still go on, as far as the clock can tell.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// The key with this turn is invalid: those after it may stop.
    pub(crate) fn found_invalid(&self, turn: usize) {
        self.invalid.fetch_min(turn, Ordering::Relaxed);
    }
}

/// How many bytes a hash table with room for so many takes. It keeps an eighth of its slots free; a slot
/// costs its content and a byte, and there is a group of bytes more at the end.
pub(crate) fn table_bytes<T>(capacity: usize) -> usize {
    match capacity {
        0 => 0,
        some => (some * 8 / 7).next_power_of_two() * (size_of::<T>() + 1) + 64,
    }
}
