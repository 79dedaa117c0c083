//! Many lives, as many at a time as there are cores.
//!
//! Lives have nothing in common, so they are shared out by seeds. The result does not depend on how: the
//! first bad seed is the least bad one, not the first that some core came across, and everything is
//! counted up to it and no further.

use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rayon::prelude::*;

use crate::clients::Counts;
use crate::coverage::Table;
use crate::ending::{Ending, Sort};
use crate::life::Life;
use crate::plan::Plan;

/// What came of many lives.
#[derive(Clone, Debug, Default)]
pub struct Swept {
    /// What they met.
    pub table: Table,
    /// How their ops ended.
    pub counts: Counts,
    /// The fewest ops that one of them had.
    pub fewest: Option<u64>,
    /// How long they lasted, together, in virtual nanoseconds.
    pub lasted: u128,
    /// The least seed with a bad end, and its life. Seeds above it are not counted.
    pub bad: Option<(u64, Life)>,
    /// Why nobody knows of some lives whether they kept their promises: the first few reasons.
    pub unknown: Vec<Doubt>,
    /// How many such lives there are.
    pub unknowns: u64,
    /// All digests, as one number.
    pub digest: u64,
    /// Whether it was stopped from outside.
    pub stopped: bool,
}

/// A reason for having no verdict.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Doubt {
    /// In words.
    pub why: String,
    /// Of how many lives it is the reason.
    pub lives: u64,
    /// The seeds of the first of them.
    pub seeds: Vec<u64>,
}

/// So many reasons are kept, and seeds of each, and no more.
const NAMED: usize = 10;

/// Lives the lives of these seeds, up to the first bad one. `seen` is told how many are over; `stop` ends it early, and
/// the lives under way.
pub fn sweep(plan: &Plan, seeds: Range<u64>, seen: &mut dyn FnMut(&Swept), stop: &AtomicBool) -> Swept {
    sweep_by(&|_| plan, seeds, &|_| false, seen, stop)
}

/// The same, each seed by a plan of its own, and only until it is `enough`.
pub(crate) fn sweep_by<'a>(
    plan_of: &(dyn Fn(u64) -> &'a Plan + Sync),
    seeds: Range<u64>,
    enough: &dyn Fn(&Swept) -> bool,
    seen: &mut dyn FnMut(&Swept),
    stop: &AtomicBool,
) -> Swept {
    let threads = rayon::current_num_threads() as u64;
    // Who breaks at once is told at once; who does not keeps all cores busy.
    let (mut batch, most) = (threads, 16 * threads);
    let mut swept = Swept::default();
    let mut from = seeds.start;
    loop {
        let upto = seeds.end.min(from.saturating_add(batch));
        let live = |seed| (seed, plan_of(seed).live_until(seed, stop));
        let lives: Vec<(u64, Life)> = (from..upto).into_par_iter().map(live).collect();
        for (seed, life) in lives {
            if life.ending == Ending::Stopped {
                swept.stopped = true;
                return swept;
            }
            swept.add(seed, life);
            if swept.bad.is_some() || enough(&swept) {
                return swept;
            }
        }
        seen(&swept);
        from = upto;
        batch = most.min(2 * batch);
        if from >= seeds.end {
            return swept;
        }
    }
}

impl Swept {
    /// How long its lives lasted, together.
    pub fn virtual_time(&self) -> Duration {
        Duration::from_nanos_u128(self.lasted)
    }

    fn add(&mut self, seed: u64, life: Life) {
        self.table.add(&life.coverage);
        self.counts.ok += life.counts.ok;
        self.counts.fail += life.counts.fail;
        self.counts.info += life.counts.info;
        let ops = life.counts.all();
        self.fewest = Some(self.fewest.map_or(ops, |fewest| fewest.min(ops)));
        self.lasted += u128::from(life.lasted);
        self.digest = (self.digest ^ life.digest).rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        match &life.ending {
            Ending::Unknown(why) => {
                self.unknowns += 1;
                self.doubt(seed, why);
            }
            ending if ending.sort() != Sort::Good => self.bad = Some((seed, life)),
            _ => {}
        }
    }

    fn doubt(&mut self, seed: u64, why: &str) {
        if let Some(known) = self.unknown.iter_mut().find(|doubt| doubt.why == why) {
            known.lives += 1;
            if known.seeds.len() < NAMED {
                known.seeds.push(seed);
            }
        } else if self.unknown.len() < NAMED {
            self.unknown.push(Doubt { why: why.to_owned(), lives: 1, seeds: vec![seed] });
        }
    }
}
