//! Counters: numbers are added, and reads tell the sum.
//!
//! An add that was carried out twice, or not at all, stays in the sum forever. The numbers are few and small:
//! to the checker, unanswered adds of the same number are one.

use checker::Checker;
use checker::counter::{self, Op, Ret};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::keys::{Keys, Share, Spread};
use crate::per_key::{Subject, per_key};
use crate::seam::{Generator, Workload};

/// A workload over counters.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Counters {
    /// Adds are of 1 up to this.
    pub greatest: u8,
    /// How ops are spread over keys.
    pub spread: Spread,
    /// When a key is dropped for a fresh one.
    pub share: Share,
}

impl Default for Counters {
    fn default() -> Counters {
        let share = Share { ops: 128, unanswered: 8 };
        Counters { greatest: 5, spread: Spread::Halves { hot: 2, quiet: 16 }, share }
    }
}

impl Workload for Counters {
    type Op = Op;
    type Ret = Ret;

    fn generator(&self, seed: u64) -> Box<dyn Generator<Op = Op, Ret = Ret>> {
        let ops = CounterOps { greatest: i64::from(self.greatest.max(1)) };
        Box::new(per_key(ops, Keys::new(self.spread, self.share), seed))
    }

    fn checkers(&self) -> Vec<Box<dyn Checker<Op, Ret>>> {
        vec![Box::new(counter::counter())]
    }
}

#[derive(Clone, Debug)]
struct CounterOps {
    greatest: i64,
}

impl Subject for CounterOps {
    type Op = Op;
    type Ret = Ret;

    fn change(&mut self, rng: &mut ChaCha8Rng) -> Op {
        Op::Add(rng.random_range(1..=self.greatest))
    }

    fn look() -> Op {
        Op::Read
    }
}
