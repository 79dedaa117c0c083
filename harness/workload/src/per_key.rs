//! One object per key, many keys: what most workloads are.
//!
//! How an object is changed, and what looks at all of it, a [`Subject`] says: a register's, a set's, a bank's.
//! Which object is asked, by whom, that half of the ops look, and that all are looked at in the end, is the same
//! for all of them and stands here.

use std::collections::BTreeMap;

use history::{Key, Kind, Observation, Process};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::final_reads::FinalReads;
use crate::keys::Keys;
use crate::seam::{Generator, Next, Now};

/// What clients ask of one object, whichever it is.
pub trait Subject: Send {
    /// What is asked.
    type Op: Clone + Send;
    /// What is answered.
    type Ret;

    /// The next change: a checker has to reckon with it when nobody knows how it ended.
    fn change(&mut self, rng: &mut ChaCha8Rng) -> Self::Op;

    /// What looks at all that is there.
    fn look() -> Self::Op;
}

/// Asks a [`Subject`]'s ops of many keys.
#[derive(Clone, Debug)]
pub struct PerKey<S: Subject> {
    subject: S,
    keys: Keys,
    rng: ChaCha8Rng,
    /// What each process may have changed.
    open: BTreeMap<Process, Key>,
    finish: Option<FinalReads<S::Op>>,
}

/// Asks these ops of these keys, by any process that is free.
///
/// The law: while something is asked, every op has a key, every other one looks, on average, and no key gets more
/// than its share (see [`Keys`]); in the end every key that was asked about is read, and no other.
pub fn per_key<S: Subject>(subject: S, keys: Keys, seed: u64) -> PerKey<S> {
    let rng = ChaCha8Rng::seed_from_u64(seed);
    PerKey { subject, keys, rng, open: BTreeMap::new(), finish: None }
}

impl<S: Subject> Generator for PerKey<S> {
    type Op = S::Op;
    type Ret = S::Ret;

    fn next(&mut self, now: Now<'_>) -> Next<S::Op> {
        if let Some(finish) = &mut self.finish {
            return finish.next(now);
        }
        if now.free.is_empty() {
            return Next::Wait { until: None };
        }
        let process = now.free[self.rng.random_range(0..now.free.len())];
        let key = self.keys.draw(&mut self.rng);
        let op = if self.rng.random_bool(0.5) {
            S::look()
        } else {
            self.open.insert(process, key.clone());
            self.subject.change(&mut self.rng)
        };
        Next::Invoke { process, key: Some(key), op }
    }

    fn observe(&mut self, seen: &Observation<S::Op, S::Ret>) {
        if let Some(finish) = &mut self.finish {
            return finish.observe(seen);
        }
        if matches!(seen.kind, Kind::Invoke(_)) {
            return;
        }
        let changed = self.open.remove(&seen.process);
        if let Some(key) = changed.filter(|_| matches!(seen.kind, Kind::Info(_))) {
            self.keys.unanswered(&key);
        }
    }

    fn conclude(&mut self) {
        let questions = self.keys.used().iter().map(|key| (Some(key.clone()), S::look()));
        self.finish.get_or_insert_with(|| FinalReads::new(questions));
    }

    fn given_up(&self) -> usize {
        self.finish.as_ref().map_or(0, FinalReads::given_up)
    }
}
