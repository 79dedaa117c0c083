//! Registers, many of them: what most runs do.
//!
//! Clients read and write a few keys. Three things decide whether that finds anything, and whether the
//! history can be judged afterwards:
//! - *Contention.* Many mistakes show where ops of different processes overlap on one key. So half of
//!   all ops go to a few *hot* keys, and every process may ask about any of them.
//! - *Quiet.* Other mistakes hide there: where writes follow each other without a pause, a lost one
//!   looks as if the next had replaced it. So the other half goes to many *quiet* keys, on which a
//!   write is likely to be followed by a read.
//! - *Rotation.* A checker's work grows with the ops of a key that overlap, and unanswered writes overlap
//!   with everything that follows. So a key is dropped for a fresh one after so many ops, or so many
//!   unanswered writes, whichever is sooner. An unanswered *read* costs nothing and is not counted.
//!
//! A dropped key is not forgotten: when the run is over and healed, every key is read once more. An
//! acknowledged write that was lost shows there at the latest.
//!
//! `register` writes each value once in the whole run, so that a read tells which write it saw, and a
//! wrong answer names its culprit. `cas-register` has few values instead, so that a compare-and-set
//! often finds what it expects; since equal values hide which write was seen, its keys live shorter.

use std::collections::{BTreeMap, VecDeque};

use checker::Checker;
use checker::register::{self, Op, Ret};
use history::{Key, Kind, Observation, Process};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::seam::{Generator, Next, Now, Workload};

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
        Box::new(RegisterGenerator::new(self.clone(), seed))
    }

    fn checkers(&self) -> Vec<Box<dyn Checker<Op, Ret>>> {
        match self.values {
            Values::Unique => vec![Box::new(register::register())],
            Values::Below(_) => vec![Box::new(register::cas_register())],
        }
    }
}

/// A key that is asked about.
#[derive(Clone, Debug)]
struct Live {
    key: Key,
    asked: u32,
    unanswered: u32,
}

/// How often a key's final read is tried before it is given up.
const FINAL_TRIES: u32 = 3;

#[derive(Clone, Debug)]
struct RegisterGenerator {
    plan: Registers,
    rng: ChaCha8Rng,
    /// The hot ones first.
    live: Vec<Live>,
    /// All keys that were asked about, in the order of their first op.
    used: Vec<Key>,
    /// How many keys there were, used or not.
    made: u64,
    /// The last unique value.
    value: u64,
    /// What each process has open: about which key, and whether it may change it.
    open: BTreeMap<Process, (Key, bool)>,
    finish: Option<Finish>,
}

/// The final reads.
#[derive(Clone, Debug)]
struct Finish {
    /// Keys to be read, and how often that was tried.
    due: VecDeque<(Key, u32)>,
    /// Who reads what right now, and how often that was tried before.
    open: BTreeMap<Process, (Key, u32)>,
    /// Who was asked last: they take turns.
    last: Option<Process>,
    /// How many keys were tried often enough and never answered.
    given_up: usize,
}

impl RegisterGenerator {
    fn new(plan: Registers, seed: u64) -> RegisterGenerator {
        let mut generator = RegisterGenerator {
            rng: ChaCha8Rng::seed_from_u64(seed),
            live: Vec::new(),
            used: Vec::new(),
            made: 0,
            value: 0,
            open: BTreeMap::new(),
            finish: None,
            plan,
        };
        for _ in 0..generator.plan.hot.max(1) + generator.plan.quiet {
            let fresh = generator.fresh();
            generator.live.push(fresh);
        }
        generator
    }

    fn fresh(&mut self) -> Live {
        let key = Key::new(format!("k{}", self.made));
        self.made += 1;
        Live { key, asked: 0, unanswered: 0 }
    }

    /// Drops a key that has had its share.
    fn rotate(&mut self, slot: usize) {
        let Live { asked, unanswered, .. } = self.live[slot];
        if asked >= self.plan.ops_per_key || unanswered >= self.plan.unanswered_per_key {
            self.live[slot] = self.fresh();
        }
    }

    /// A hot key or a quiet one, evenly.
    fn slot(&mut self) -> usize {
        let hot = self.plan.hot.max(1);
        if self.live.len() == hot || self.rng.random_bool(0.5) {
            self.rng.random_range(0..hot)
        } else {
            self.rng.random_range(hot..self.live.len())
        }
    }

    fn op(&mut self) -> Op {
        if self.rng.random_bool(0.5) {
            return Op::Read;
        }
        match self.plan.values {
            Values::Unique => {
                self.value += 1;
                Op::Write(self.value)
            }
            Values::Below(values) => {
                let to = self.rng.random_range(0..values.max(1));
                if self.rng.random_bool(0.5) {
                    Op::Write(to)
                } else {
                    Op::Cas { from: self.rng.random_range(0..values.max(1)), to }
                }
            }
        }
    }
}

impl Generator for RegisterGenerator {
    type Op = Op;
    type Ret = Ret;

    fn next(&mut self, now: Now<'_>) -> Next<Op> {
        if let Some(finish) = &mut self.finish {
            return finish.next(now);
        }
        if now.free.is_empty() {
            return Next::Wait { until: None };
        }
        let process = now.free[self.rng.random_range(0..now.free.len())];
        let slot = self.slot();
        let op = self.op();
        let live = &mut self.live[slot];
        if live.asked == 0 {
            self.used.push(live.key.clone());
        }
        live.asked += 1;
        let key = live.key.clone();
        self.open.insert(process, (key.clone(), op != Op::Read));
        self.rotate(slot);
        Next::Invoke { process, key: Some(key), op }
    }

    fn observe(&mut self, seen: &Observation<Op, Ret>) {
        if matches!(seen.kind, Kind::Invoke(_)) {
            return;
        }
        if let Some(finish) = &mut self.finish {
            finish.observe(seen);
        } else if let Some((key, changes)) = self.open.remove(&seen.process)
            && matches!(seen.kind, Kind::Info(_))
            && changes
            && let Some(slot) = self.live.iter().position(|live| live.key == key)
        {
            self.live[slot].unanswered += 1;
            self.rotate(slot);
        }
    }

    fn conclude(&mut self) {
        let due = self.used.iter().map(|key| (key.clone(), 0)).collect();
        self.finish.get_or_insert(Finish { due, open: BTreeMap::new(), last: None, given_up: 0 });
    }

    fn given_up(&self) -> usize {
        self.finish.as_ref().map_or(0, |finish| finish.given_up)
    }
}

impl Finish {
    fn next(&mut self, now: Now<'_>) -> Next<Op> {
        if self.due.is_empty() && self.open.is_empty() {
            return Next::Done;
        }
        let behind = now.free.iter().find(|&&process| self.last.is_none_or(|last| process > last));
        let Some(&process) = behind.or(now.free.first()) else { return Next::Wait { until: None } };
        let Some((key, tries)) = self.due.pop_front() else { return Next::Wait { until: None } };
        self.open.insert(process, (key.clone(), tries));
        self.last = Some(process);
        Next::Invoke { process, key: Some(key), op: Op::Read }
    }

    fn observe(&mut self, seen: &Observation<Op, Ret>) {
        let Some((key, tries)) = self.open.remove(&seen.process) else { return };
        if matches!(seen.kind, Kind::Ok(_)) {
            return;
        }
        if tries + 1 < FINAL_TRIES {
            self.due.push_back((key, tries + 1));
        } else {
            self.given_up += 1;
        }
    }
}
