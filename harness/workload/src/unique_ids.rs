//! Ids: everybody asks for one, all the time.
//!
//! There are no keys, since an id must differ from all others, and no final reads, since there is nothing to
//! look at: every answer was the evidence.

use checker::Checker;
use checker::unique_ids::{self, Generate, Id};
use history::Observation;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::seam::{Generator, Next, Now, Workload};

/// A workload of ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UniqueIds;

impl Workload for UniqueIds {
    type Op = Generate;
    type Ret = Id;

    fn generator(&self, seed: u64) -> Box<dyn Generator<Op = Generate, Ret = Id>> {
        Box::new(Ids { rng: ChaCha8Rng::seed_from_u64(seed), concluded: false })
    }

    fn checkers(&self) -> Vec<Box<dyn Checker<Generate, Id>>> {
        vec![Box::new(unique_ids::unique_ids())]
    }
}

#[derive(Clone, Debug)]
struct Ids {
    rng: ChaCha8Rng,
    concluded: bool,
}

impl Generator for Ids {
    type Op = Generate;
    type Ret = Id;

    fn next(&mut self, now: Now<'_>) -> Next<Generate> {
        if self.concluded {
            return Next::Done;
        }
        if now.free.is_empty() {
            return Next::Wait { until: None };
        }
        let process = now.free[self.rng.random_range(0..now.free.len())];
        Next::Invoke { process, key: None, op: Generate }
    }

    fn observe(&mut self, _: &Observation<Generate, Id>) {}

    fn conclude(&mut self) {
        self.concluded = true;
    }
}
