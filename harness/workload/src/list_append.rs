//! List-append: transactions that append to lists and read them.
//!
//! A list that is read tells which appends it has seen and in which order, so that what a history says of
//! the order of its transactions can be read off their answers. Every value is appended once in the whole
//! run. Keys are asked for as in the field, few of them most of the time ([`Spread::Zipf`]), and dropped after
//! so many appends; a read of a key costs nothing and does not count.
//!
//! In the end every list is read, a few in one transaction.
//!
//! Left out, so far: its checker. Whoever runs it is told that nobody judges this workload yet.

use std::collections::BTreeMap;

use checker::Checker;
use history::{Key, Kind, MicroOp, Observation, Process, Txn, TxnRead};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::final_reads::FinalReads;
use crate::keys::{Keys, Share, Spread};
use crate::seam::{Generator, Next, Now, Workload};

/// A workload of transactions over lists.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ListAppend {
    /// A transaction has 1 up to so many steps.
    pub longest: usize,
    /// How steps are spread over keys.
    pub spread: Spread,
    /// When a key is dropped for a fresh one; only appends count.
    pub share: Share,
}

impl Default for ListAppend {
    fn default() -> ListAppend {
        let spread = Spread::Zipf { live: 10, exponent: 1.0 };
        ListAppend { longest: 4, spread, share: Share { ops: 32, unanswered: 8 } }
    }
}

impl Workload for ListAppend {
    type Op = Txn;
    type Ret = TxnRead;

    fn generator(&self, seed: u64) -> Box<dyn Generator<Op = Txn, Ret = TxnRead>> {
        Box::new(Txns {
            longest: self.longest.max(1),
            keys: Keys::new(self.spread, self.share),
            rng: ChaCha8Rng::seed_from_u64(seed),
            last: 0,
            open: BTreeMap::new(),
            finish: None,
        })
    }

    fn checkers(&self) -> Vec<Box<dyn Checker<Txn, TxnRead>>> {
        Vec::new()
    }
}

#[derive(Clone, Debug)]
struct Txns {
    longest: usize,
    keys: Keys,
    rng: ChaCha8Rng,
    /// The last value that was appended.
    last: i64,
    /// The keys that each process may have changed, once for each append.
    open: BTreeMap<Process, Vec<Key>>,
    finish: Option<FinalReads<Txn>>,
}

impl Txns {
    fn step(&mut self) -> MicroOp {
        if self.rng.random_bool(0.5) {
            return MicroOp::Read(self.keys.look(&mut self.rng));
        }
        self.last += 1;
        MicroOp::Append(self.keys.draw(&mut self.rng), self.last)
    }
}

fn appended(step: &MicroOp) -> Option<Key> {
    match step {
        MicroOp::Append(key, _) => Some(key.clone()),
        MicroOp::Write(..) | MicroOp::Read(_) => None,
    }
}

impl Generator for Txns {
    type Op = Txn;
    type Ret = TxnRead;

    fn next(&mut self, now: Now<'_>) -> Next<Txn> {
        if let Some(finish) = &mut self.finish {
            return finish.next(now);
        }
        if now.free.is_empty() {
            return Next::Wait { until: None };
        }
        let process = now.free[self.rng.random_range(0..now.free.len())];
        let length = self.rng.random_range(1..=self.longest);
        let steps: Vec<MicroOp> = (0..length).map(|_| self.step()).collect();
        self.open.insert(process, steps.iter().filter_map(appended).collect());
        Next::Invoke { process, key: None, op: Txn(steps) }
    }

    fn observe(&mut self, seen: &Observation<Txn, TxnRead>) {
        if let Some(finish) = &mut self.finish {
            return finish.observe(seen);
        }
        if matches!(seen.kind, Kind::Invoke(_)) {
            return;
        }
        let changed = self.open.remove(&seen.process).unwrap_or_default();
        if matches!(seen.kind, Kind::Info(_)) {
            for key in &changed {
                self.keys.unanswered(key);
            }
        }
    }

    fn conclude(&mut self) {
        let reads = self.keys.used().chunks(self.longest);
        let reads = reads.map(|keys| (None, Txn(keys.iter().cloned().map(MicroOp::Read).collect())));
        self.finish.get_or_insert_with(|| FinalReads::new(reads));
    }

    fn given_up(&self) -> usize {
        self.finish.as_ref().map_or(0, FinalReads::given_up)
    }
}
