//! How fast and how long: generators around generators.
//!
//! Both govern the main phase only. The final reads are asked as fast as they are answered, and until
//! they are done; a driver that cannot wait that long has a deadline of its own.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use history::Observation;

use crate::seam::{Generator, Next, Now};

const SECOND: f64 = 1e9;

/// How far ops may lag behind their rate and still be caught up with, in nanoseconds. What a system
/// was too slow for in a longer stall is not poured on it afterwards.
const CATCH_UP: u64 = 100_000_000;

/// Asks at most `rate` ops per second, over all processes, at irregular intervals.
#[derive(Clone, Debug)]
pub struct Stagger<G> {
    inner: G,
    rng: ChaCha8Rng,
    rate: f64,
    due: u64,
    concluded: bool,
}

/// Asks what `inner` asks, `rate` ops per second; 0 is as fast as they are answered.
///
/// The gaps are drawn from the seed, between nothing and twice the mean, so that ops of different
/// processes sometimes collide and sometimes do not.
pub fn stagger<G: Generator>(rate: f64, seed: u64, inner: G) -> Stagger<G> {
    Stagger { inner, rng: ChaCha8Rng::seed_from_u64(seed), rate, due: 0, concluded: false }
}

impl<G> Stagger<G> {
    fn gap(&mut self) -> u64 {
        let mean = SECOND / self.rate;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a gap is finite and positive"
        )]
        let gap = (2.0 * mean * self.rng.random::<f64>()) as u64;
        gap
    }
}

impl<G: Generator> Generator for Stagger<G> {
    type Op = G::Op;
    type Ret = G::Ret;

    fn next(&mut self, now: Now<'_>) -> Next<G::Op> {
        if self.concluded || self.rate <= 0.0 {
            return self.inner.next(now);
        }
        if now.time < self.due {
            return Next::Wait { until: Some(self.due) };
        }
        let next = self.inner.next(now);
        if matches!(next, Next::Invoke { .. }) {
            let behind = self.due.max(now.time.saturating_sub(CATCH_UP));
            self.due = behind.saturating_add(self.gap());
        }
        next
    }

    fn observe(&mut self, seen: &Observation<G::Op, G::Ret>) {
        self.inner.observe(seen);
    }

    fn conclude(&mut self) {
        self.concluded = true;
        self.inner.conclude();
    }

    fn given_up(&self) -> usize {
        self.inner.given_up()
    }
}

/// Is done with the main phase at a certain time.
#[derive(Clone, Debug)]
pub struct Until<G> {
    inner: G,
    limit: u64,
    concluded: bool,
}

/// Asks what `inner` asks until `limit`, in nanoseconds since the start of the run.
pub fn until<G: Generator>(limit: u64, inner: G) -> Until<G> {
    Until { inner, limit, concluded: false }
}

impl<G: Generator> Generator for Until<G> {
    type Op = G::Op;
    type Ret = G::Ret;

    fn next(&mut self, now: Now<'_>) -> Next<G::Op> {
        if self.concluded {
            return self.inner.next(now);
        }
        if now.time >= self.limit {
            return Next::Done;
        }
        match self.inner.next(now) {
            // Whoever waits must wake up for the end, or a run with all its ops stuck would never stop.
            Next::Wait { until } => {
                Next::Wait { until: Some(until.map_or(self.limit, |until| until.min(self.limit))) }
            }
            other => other,
        }
    }

    fn observe(&mut self, seen: &Observation<G::Op, G::Ret>) {
        self.inner.observe(seen);
    }

    fn conclude(&mut self) {
        self.concluded = true;
        self.inner.conclude();
    }

    fn given_up(&self) -> usize {
        self.inner.given_up()
    }
}
