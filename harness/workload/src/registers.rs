//! Registers, many of them: what most runs do.
//!
//! Clients read and write a few keys. [`Keys`] says how these are chosen and when they are dropped, and
//! [`per_key`] that every one of them is read in the end.
//!
//! `register` writes each value once in the whole run, so that a read tells which write it saw, and a
//! wrong answer names its culprit. `cas-register` has few values instead, so that a compare-and-set
//! often finds what it expects; since equal values hide which write was seen, its keys live shorter.

use checker::Checker;
use checker::register::{self, Op, Ret};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::keys::{Keys, Share, Spread};
use crate::per_key::{Subject, per_key};
use crate::seam::{Generator, Workload};

/// A workload over registers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registers {
    /// How many hot keys are live at a time. They share half of the ops.
    pub hot: usize,
    /// How many quiet keys are live at a time. They share the other half.
    pub quiet: usize,
    /// After how many ops a key is dropped for a fresh one.
    pub ops_per_key: u32,
    /// After how many unanswered writes it is.
    pub unanswered_per_key: u32,
    /// What is written, and whether there is a compare-and-set.
    pub values: Values,
}

/// What is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Values {
    /// Each value once in the whole run. No compare-and-set.
    Unique,
    /// Values below this, over and over, and half of the changes by compare-and-set.
    Below(u64),
}

impl Registers {
    /// Reads and writes; every value is written once.
    pub fn register() -> Registers {
        Registers { hot: 2, quiet: 32, ops_per_key: 128, unanswered_per_key: 8, values: Values::Unique }
    }

    /// Reads, writes and compare-and-sets over five values.
    pub fn cas_register() -> Registers {
        Registers { hot: 2, quiet: 32, ops_per_key: 64, unanswered_per_key: 4, values: Values::Below(5) }
    }
}

impl Workload for Registers {
    type Op = Op;
    type Ret = Ret;

    fn generator(&self, seed: u64) -> Box<dyn Generator<Op = Op, Ret = Ret>> {
        let spread = Spread::Halves { hot: self.hot, quiet: self.quiet };
        let share = Share { ops: self.ops_per_key, unanswered: self.unanswered_per_key };
        let ops = RegisterOps { values: self.values, last: 0 };
        Box::new(per_key(ops, Keys::new(spread, share), seed))
    }

    fn checkers(&self) -> Vec<Box<dyn Checker<Op, Ret>>> {
        match self.values {
            Values::Unique => vec![Box::new(register::register())],
            Values::Below(_) => vec![Box::new(register::cas_register())],
        }
    }
}

#[derive(Clone, Debug)]
struct RegisterOps {
    values: Values,
    /// The last unique value.
    last: u64,
}

impl Subject for RegisterOps {
    type Op = Op;
    type Ret = Ret;

    fn change(&mut self, rng: &mut ChaCha8Rng) -> Op {
        match self.values {
            Values::Unique => {
                self.last += 1;
                Op::Write(self.last)
            }
            Values::Below(values) => {
                let to = rng.random_range(0..values.max(1));
                if rng.random_bool(0.5) {
                    Op::Write(to)
                } else {
                    Op::Cas { from: rng.random_range(0..values.max(1)), to }
                }
            }
        }
    }

    fn look() -> Op {
        Op::Read
    }
}
