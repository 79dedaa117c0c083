//! Sets that grow: values are added, and reads show all that is there.
//!
//! A lost add stays lost, so every read that follows shows it, and the final reads show all of them. Every
//! value is added once in the whole run, which keeps the checker's work small. A read answers with the whole
//! set, so keys are dropped before sets get long: their histories grow with the square of that.

use checker::Checker;
use checker::set::{self, Op, Ret};
use rand_chacha::ChaCha8Rng;

use crate::keys::{Keys, Share, Spread};
use crate::per_key::{Subject, per_key};
use crate::seam::{Generator, Workload};

/// A workload over sets.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sets {
    /// How ops are spread over keys.
    pub spread: Spread,
    /// When a key is dropped for a fresh one.
    pub share: Share,
}

impl Default for Sets {
    fn default() -> Sets {
        Sets { spread: Spread::Halves { hot: 2, quiet: 16 }, share: Share { ops: 128, unanswered: 8 } }
    }
}

impl Workload for Sets {
    type Op = Op;
    type Ret = Ret;

    fn generator(&self, seed: u64) -> Box<dyn Generator<Op = Op, Ret = Ret>> {
        Box::new(per_key(SetOps { last: 0 }, Keys::new(self.spread, self.share), seed))
    }

    fn checkers(&self) -> Vec<Box<dyn Checker<Op, Ret>>> {
        vec![Box::new(set::set())]
    }
}

#[derive(Clone, Debug)]
struct SetOps {
    /// The last value that was added.
    last: u64,
}

impl Subject for SetOps {
    type Op = Op;
    type Ret = Ret;

    fn change(&mut self, _: &mut ChaCha8Rng) -> Op {
        self.last += 1;
        Op::Add(self.last)
    }

    fn look() -> Op {
        Op::Read
    }
}
