//! Several generators as one: at the same time, one after the other, or each with processes of its own.
//!
//! Each combinator obeys a law, stated at its constructor, and one that they share: *a part sees exactly the
//! lines of the ops that it asked for*, as if it were alone. So whatever holds for a part holds for it in
//! any combination, such as that no key gets more than its share.
//!
//! Parts do not know of each other. If two of them make up keys or values, they make up the same ones: give
//! them different subjects, or let a checker that does not mind judge them.
//!
//! In the end, all parts ask their final reads, also those that were done before or never had a turn.

use std::collections::{BTreeMap, BTreeSet};

use history::{Kind, Observation, Process};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::seam::{Generator, Next, Now};

/// The earlier of two times to ask again, where none is "when something happens".
fn earlier(one: Option<u64>, two: Option<u64>) -> Option<u64> {
    one.into_iter().chain(two).min()
}

// --- mix --------------------------------------------------------------------------------------------

/// Several generators at the same time.
#[derive(Clone, Debug)]
pub struct Mix<G> {
    parts: Vec<Weighted<G>>,
    rng: ChaCha8Rng,
    /// Whose op each process has open.
    asked_by: BTreeMap<Process, usize>,
}

#[derive(Clone, Debug)]
struct Weighted<G> {
    inner: G,
    weight: u32,
    done: bool,
}

/// Asks what the parts ask, each as often as its weight says.
///
/// The law: of the parts that have something to ask, one is drawn, in proportion to the weights. One of
/// weight 0 is asked for nothing but its final reads. It waits while all wait that are not done, until the
/// first of them wants to be asked again, and is done when all are.
pub fn mix<G: Generator>(seed: u64, parts: impl IntoIterator<Item = (u32, G)>) -> Mix<G> {
    let weighted = |(weight, inner)| Weighted { inner, weight, done: weight == 0 };
    Mix {
        parts: parts.into_iter().map(weighted).collect(),
        rng: ChaCha8Rng::seed_from_u64(seed),
        asked_by: BTreeMap::new(),
    }
}

impl<G> Mix<G> {
    /// One of these, in proportion to the weights. None if there are none.
    fn drawn(&mut self, among: &[usize]) -> Option<usize> {
        let weight = |part: usize| u64::from(self.parts[part].weight.max(1));
        let all: u64 = among.iter().map(|&part| weight(part)).sum();
        let mut ticket = if all == 0 { return None } else { self.rng.random_range(0..all) };
        among.iter().copied().find(|&part| {
            let mine = ticket < weight(part);
            ticket = ticket.saturating_sub(weight(part));
            mine
        })
    }
}

impl<G: Generator> Generator for Mix<G> {
    type Op = G::Op;
    type Ret = G::Ret;

    fn next(&mut self, now: Now<'_>) -> Next<G::Op> {
        let mut left: Vec<usize> = (0..self.parts.len()).filter(|&part| !self.parts[part].done).collect();
        let (mut waits, mut wake) = (false, None);
        while let Some(part) = self.drawn(&left) {
            left.retain(|&other| other != part);
            match self.parts[part].inner.next(now) {
                Next::Invoke { process, key, op } => {
                    self.asked_by.insert(process, part);
                    return Next::Invoke { process, key, op };
                }
                Next::Wait { until } => (waits, wake) = (true, earlier(wake, until)),
                Next::Done => self.parts[part].done = true,
            }
        }
        if waits { Next::Wait { until: wake } } else { Next::Done }
    }

    fn observe(&mut self, seen: &Observation<G::Op, G::Ret>) {
        let part = match seen.kind {
            Kind::Invoke(_) => self.asked_by.get(&seen.process).copied(),
            _ => self.asked_by.remove(&seen.process),
        };
        if let Some(part) = part {
            self.parts[part].inner.observe(seen);
        }
    }

    fn conclude(&mut self) {
        for part in &mut self.parts {
            part.done = false;
            part.inner.conclude();
        }
    }

    fn given_up(&self) -> usize {
        self.parts.iter().map(|part| part.inner.given_up()).sum()
    }
}

// --- phases -----------------------------------------------------------------------------------------

/// Several generators, one after the other.
#[derive(Clone, Debug)]
pub struct Phases<G> {
    parts: Vec<G>,
    current: usize,
    /// Whether the current one has nothing more to ask.
    ending: bool,
    open: BTreeSet<Process>,
}

/// Asks what the first part asks, then what the second asks, and so on.
///
/// The law: a part is asked for nothing before the one in front of it was done *and all its ops had ended*;
/// so no op of one phase overlaps with one of the next, but for those that nobody knows the end of. Times
/// are those of the run: `phases([until(5 s, a), until(8 s, b)])` gives b three seconds.
pub fn phases<G: Generator>(parts: impl IntoIterator<Item = G>) -> Phases<G> {
    Phases { parts: parts.into_iter().collect(), current: 0, ending: false, open: BTreeSet::new() }
}

impl<G: Generator> Generator for Phases<G> {
    type Op = G::Op;
    type Ret = G::Ret;

    fn next(&mut self, now: Now<'_>) -> Next<G::Op> {
        while let Some(part) = self.parts.get_mut(self.current) {
            let next = if self.ending { Next::Done } else { part.next(now) };
            match next {
                Next::Done if self.open.is_empty() => {
                    self.current += 1;
                    self.ending = false;
                }
                Next::Done => {
                    self.ending = true;
                    return Next::Wait { until: None };
                }
                Next::Invoke { process, .. } => {
                    self.open.insert(process);
                    return next;
                }
                Next::Wait { .. } => return next,
            }
        }
        Next::Done
    }

    fn observe(&mut self, seen: &Observation<G::Op, G::Ret>) {
        if !matches!(seen.kind, Kind::Invoke(_)) {
            self.open.remove(&seen.process);
        }
        if let Some(part) = self.parts.get_mut(self.current) {
            part.observe(seen);
        }
    }

    fn conclude(&mut self) {
        (self.current, self.ending) = (0, false);
        self.parts.iter_mut().for_each(G::conclude);
    }

    fn given_up(&self) -> usize {
        self.parts.iter().map(G::given_up).sum()
    }
}

// --- reserve ----------------------------------------------------------------------------------------

/// Several generators at the same time, each with processes of its own.
#[derive(Clone, Debug)]
pub struct Reserve<G> {
    concurrency: u64,
    parts: Vec<Seated<G>>,
    /// Who is asked first: they take turns.
    turn: usize,
}

#[derive(Clone, Debug)]
struct Seated<G> {
    inner: G,
    /// The first place that is not its own any more.
    end: u64,
    done: bool,
}

/// Gives so many of the `concurrency` processes to each part, and those that are left to the last.
///
/// The law: process p stands at place p mod concurrency, and so do all its successors; a place belongs to one
/// part, in the order of the parts, and no other part is ever told that it is free. Parts take turns. The
/// places of a part that is done stay empty. A part for which no place is left is asked for nothing.
pub fn reserve<G: Generator>(
    concurrency: usize,
    parts: impl IntoIterator<Item = (usize, G)>,
    rest: G,
) -> Reserve<G> {
    let concurrency = concurrency as u64;
    let mut start: u64 = 0;
    let parts = parts.into_iter().map(|(places, inner)| (places as u64, inner));
    let parts = parts.chain([(concurrency, rest)]).map(|(places, inner)| {
        let end = concurrency.min(start.saturating_add(places));
        let done = start == end;
        start = end;
        Seated { inner, end, done }
    });
    Reserve { concurrency, parts: parts.collect(), turn: 0 }
}

impl<G> Reserve<G> {
    /// The part that a process belongs to.
    fn part_of(&self, process: Process) -> usize {
        let place = process.0 % self.concurrency.max(1);
        self.parts.partition_point(|part| part.end <= place)
    }
}

impl<G: Generator> Generator for Reserve<G> {
    type Op = G::Op;
    type Ret = G::Ret;

    fn next(&mut self, now: Now<'_>) -> Next<G::Op> {
        let count = self.parts.len();
        let (mut waits, mut wake) = (false, None);
        for number in (0..count).map(|step| (self.turn + step) % count) {
            if self.parts[number].done {
                continue;
            }
            let own = now.free.iter().copied().filter(|&process| self.part_of(process) == number);
            let own: Vec<Process> = own.collect();
            match self.parts[number].inner.next(Now { time: now.time, free: &own }) {
                Next::Invoke { process, key, op } => {
                    self.turn = (number + 1) % count;
                    return Next::Invoke { process, key, op };
                }
                Next::Wait { until } => (waits, wake) = (true, earlier(wake, until)),
                Next::Done => self.parts[number].done = true,
            }
        }
        if waits { Next::Wait { until: wake } } else { Next::Done }
    }

    fn observe(&mut self, seen: &Observation<G::Op, G::Ret>) {
        let part = self.part_of(seen.process);
        if let Some(part) = self.parts.get_mut(part) {
            part.inner.observe(seen);
        }
    }

    fn conclude(&mut self) {
        let mut start = 0;
        for part in &mut self.parts {
            part.done = start == part.end;
            start = part.end;
            part.inner.conclude();
        }
    }

    fn given_up(&self) -> usize {
        self.parts.iter().map(|part| part.inner.given_up()).sum()
    }
}
