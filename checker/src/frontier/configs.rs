//! A set of configurations.
//!
//! A configuration is a few words: the bits of the open ops that took effect, the state, and what was
//! spent. All of a set stand one after the other in one buffer, with a table that finds those of the same
//! bits and state, so that who spent too much is found out where he is put in.

use std::hash::Hasher;

use hashbrown::HashTable;
use rustc_hash::FxHasher;

use super::book::StateId;
use super::ledger::{Ledger, SpentId};
use crate::meter::{Meter, Stop, table_bytes};
use crate::mutant::Mutant;

/// A configuration's place in its set.
type At = u32;

/// No other of the same bits and state.
const LAST: At = At::MAX;

/// Something that may be true by now. `W` words are enough for a bit for every op that is open at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Config<const W: usize> {
    /// Which of the open ops took effect.
    pub bits: [u64; W],
    pub state: StateId,
    pub spent: SpentId,
    /// Where it comes from, while that is traced.
    pub node: u32,
}

/// Its place among the others.
#[derive(Clone, Copy, Debug)]
struct Entry<const W: usize> {
    config: Config<W>,
    /// The next one with the same bits and state.
    other: At,
    /// Another one turned out to be better.
    gone: bool,
}

/// Who is kept of those with the same bits and state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Keep {
    /// Only the thriftiest.
    pub dominance: bool,
    /// No more than so many, the first to come.
    pub most: usize,
    pub mutant: Mutant,
}

pub(crate) struct Configs<'m, const W: usize> {
    meter: &'m Meter,
    keep: Keep,
    all: Vec<Entry<W>>,
    /// The first of each group with the same bits and state.
    groups: HashTable<At>,
    charged: usize,
    live: usize,
}

impl<'m, const W: usize> Configs<'m, W> {
    pub(crate) fn new(meter: &'m Meter, keep: Keep) -> Configs<'m, W> {
        Configs { meter, keep, all: Vec::new(), groups: HashTable::new(), charged: 0, live: 0 }
    }

    /// How many there are, with those that turned out to be of no use.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many are of use.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// The configuration at this place, unless it turned out to be of no use.
    pub(crate) fn get(&self, at: usize) -> Option<Config<W>> {
        let entry = &self.all[at];
        if entry.gone { None } else { Some(entry.config) }
    }

    /// Those of use.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Config<W>> {
        self.all.iter().filter(|entry| !entry.gone).map(|entry| entry.config)
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        // A table that was large once would have to be wiped each time.
        if self.groups.capacity() > 64 && self.all.len() * 8 < self.groups.capacity() {
            let bytes = table_bytes::<At>(self.groups.capacity());
            self.groups = HashTable::new();
            self.release(bytes);
        }
        self.groups.clear();
        self.all.clear();
        self.live = 0;
    }

    /// Puts one in. False if it is of no use beside those that are there.
    pub(crate) fn insert(&mut self, config: Config<W>, ledger: &Ledger<'_>) -> Result<bool, Stop> {
        let all = &mut self.all;
        let hash = hash_of(&config);
        let same = |&at: &At| {
            let other = &all[at as usize].config;
            other.state == config.state && other.bits == config.bits
        };
        let head = self.groups.find(hash, same).copied();
        let (mut at, mut beside) = (head.unwrap_or(LAST), 0);
        while at != LAST {
            let other = &mut all[at as usize];
            at = other.other;
            if other.gone {
                continue;
            }
            if self.keep.covers(other.config.spent, config.spent, ledger) {
                return Ok(false);
            }
            if self.keep.covers(config.spent, other.config.spent, ledger) {
                other.gone = true;
                self.live -= 1;
            } else {
                beside += 1;
            }
        }
        if beside >= self.keep.most {
            return Ok(false);
        }
        self.make_room()?;
        let new = At::try_from(self.all.len()).map_err(|_| Stop::out_of_memory())?;
        let other = match head {
            Some(head) => std::mem::replace(&mut self.all[head as usize].other, new),
            None => LAST,
        };
        self.all.push(Entry { config, other, gone: false });
        self.live += 1;
        if head.is_none() {
            let all = &self.all;
            self.groups.insert_unique(hash, new, |&at| hash_of(&all[at as usize].config));
        }
        Ok(true)
    }

    /// Grows what the next one needs, after asking the meter. While a buffer grows, the old and the new
    /// one both exist.
    fn make_room(&mut self) -> Result<(), Stop> {
        if self.all.len() == self.all.capacity() {
            let (old, new) = (self.all.capacity(), (2 * self.all.capacity()).max(16));
            self.charge(new * size_of::<Entry<W>>())?;
            self.all.reserve_exact(new - self.all.len());
            self.release(old * size_of::<Entry<W>>());
        }
        if self.groups.len() == self.groups.capacity() {
            let (old, new) = (self.groups.capacity(), (2 * self.groups.capacity()).max(28));
            self.charge(table_bytes::<At>(new))?;
            let all = &self.all;
            self.groups.reserve(new - self.groups.len(), |&at| hash_of(&all[at as usize].config));
            self.release(table_bytes::<At>(old));
        }
        Ok(())
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Stop> {
        self.meter.charge(bytes)?;
        self.charged += bytes;
        Ok(())
    }

    fn release(&mut self, bytes: usize) {
        self.meter.release(bytes);
        self.charged -= bytes;
    }
}

impl<const W: usize> Drop for Configs<'_, W> {
    fn drop(&mut self) {
        self.meter.release(self.charged);
    }
}

impl Keep {
    /// Whether who spent `one` is at least as well off as who spent `two`.
    fn covers(self, one: SpentId, two: SpentId, ledger: &Ledger<'_>) -> bool {
        if self.mutant == Mutant::DominanceInverted {
            ledger.within(two, one)
        } else {
            one == two || (self.dominance && ledger.within(one, two))
        }
    }
}

fn hash_of<const W: usize>(config: &Config<W>) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write_u32(config.state);
    for &word in &config.bits {
        hasher.write_u64(word);
    }
    hasher.finish()
}
