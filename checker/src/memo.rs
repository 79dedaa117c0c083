//! Where the search has been (Lowe's memo), in little memory.
//!
//! A place in the search is a set of linearized ops and the state they left. Kept plainly, the set is
//! a bit for every op of the history, copied at each step: memory and time grow with the square of the
//! length. But the search goes along the history, and an op is never linearized long after its end.
//! So the set of *required* ops is a solid run from the start, then a ragged window as wide as the
//! concurrency: only the window is kept, with the number of full words before it. *Open* ops may be
//! taken at any time; their bits are few and kept apart.
//!
//! Entries stand one after the other in a single buffer, and the table holds only where they begin, so
//! every byte is known to the meter *before* it is taken.

use std::hash::Hasher;

use hashbrown::HashTable;
use rustc_hash::FxHasher;

use crate::meter::{Meter, Stop, table_bytes};
use crate::verdict::Why;

/// A set of small numbers, most of them in one solid run from 0.
#[derive(Debug)]
pub(crate) struct Bits {
    words: Vec<u64>,
    /// All words before this one are full.
    low: usize,
    /// All words from this one on are empty.
    top: usize,
}

impl Bits {
    pub(crate) fn new(size: usize) -> Bits {
        Bits { words: vec![0; size.div_ceil(64)], low: 0, top: 0 }
    }

    pub(crate) fn insert(&mut self, number: usize) {
        let word = number / 64;
        self.words[word] |= 1 << (number % 64);
        self.top = self.top.max(word + 1);
        while self.low < self.top && self.words[self.low] == u64::MAX {
            self.low += 1;
        }
    }

    pub(crate) fn remove(&mut self, number: usize) {
        let word = number / 64;
        self.words[word] &= !(1 << (number % 64));
        self.low = self.low.min(word);
        while self.top > 0 && self.words[self.top - 1] == 0 {
            self.top -= 1;
        }
    }

    /// The words that are neither in the solid run nor empty for good. With `low`, they are the set.
    fn window(&self) -> &[u64] {
        &self.words[self.low..self.top.max(self.low)]
    }
}

/// The places where the search has been.
#[derive(Debug)]
pub(crate) struct Memo<'m> {
    meter: &'m Meter,
    /// Where each entry begins in `entries`.
    table: HashTable<u32>,
    /// Two words of header (state and full words; lengths of both windows), then the windows.
    entries: Vec<u64>,
    scratch: Vec<u64>,
    charged: usize,
}

impl Memo<'_> {
    pub(crate) fn new(meter: &Meter) -> Memo<'_> {
        Memo { meter, table: HashTable::new(), entries: Vec::new(), scratch: Vec::new(), charged: 0 }
    }

    /// Notes a place. False if the search has been there.
    pub(crate) fn insert(&mut self, state: u32, required: &Bits, open: &Bits) -> Result<bool, Stop> {
        self.scratch.clear();
        self.scratch.push(pack(state as usize, required.low));
        self.scratch.push(pack(required.window().len(), open.words[..open.top].len()));
        self.scratch.extend_from_slice(required.window());
        self.scratch.extend_from_slice(&open.words[..open.top]);
        let hash = hash_of(&self.scratch);
        let entries = &self.entries;
        let scratch = &self.scratch;
        if self.table.find(hash, |&at| entry(entries, at) == scratch.as_slice()).is_some() {
            return Ok(false);
        }
        self.make_room()?;
        let at = u32::try_from(self.entries.len()).map_err(|_| Stop::Budget(Why::OutOfMemory))?;
        self.entries.extend_from_slice(&self.scratch);
        let entries = &self.entries;
        self.table.insert_unique(hash, at, |&at| hash_of(entry(entries, at)));
        Ok(true)
    }

    /// Grows what the next entry needs, after asking the meter. While a buffer grows, the old and the
    /// new one both exist.
    fn make_room(&mut self) -> Result<(), Stop> {
        let needed = self.entries.len() + self.scratch.len();
        if needed > self.entries.capacity() {
            let old = self.entries.capacity();
            let new = needed.max(2 * old).max(256);
            self.charge(8 * new)?;
            self.entries.reserve_exact(new - self.entries.len());
            self.release(8 * old);
        }
        if self.table.len() == self.table.capacity() {
            let old = table_bytes::<u32>(self.table.capacity());
            let new = (2 * self.table.capacity()).max(56);
            self.charge(table_bytes::<u32>(new))?;
            let entries = &self.entries;
            self.table.reserve(new - self.table.len(), |&at| hash_of(entry(entries, at)));
            self.release(old);
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

impl Drop for Memo<'_> {
    fn drop(&mut self) {
        self.meter.release(self.charged);
    }
}

fn pack(low: usize, high: usize) -> u64 {
    let half =
        |number| u64::from(u32::try_from(number).expect("a history in memory has fewer ops than that"));
    half(high) << 32 | half(low)
}

fn entry(entries: &[u64], at: u32) -> &[u64] {
    let at = at as usize;
    let lengths = entries[at + 1];
    let windows = (lengths & u64::from(u32::MAX)) + (lengths >> 32);
    &entries[at..at + 2 + usize::try_from(windows).expect("it was a length in memory")]
}

fn hash_of(words: &[u64]) -> u64 {
    let mut hasher = FxHasher::default();
    for &word in words {
        hasher.write_u64(word);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::seam::Budget;

    fn meter(memory: usize) -> Meter {
        Meter::new(&Budget { time: Duration::from_hours(1), memory, ..Budget::default() })
    }

    proptest! {
        /// Two places are one if and only if their sets and states are.
        #[test]
        fn a_place_is_new_exactly_once(
            places in proptest::collection::vec((0_u32..2, any::<[bool; 4]>(), any::<[bool; 2]>()), 1..40)
        ) {
            // Bits far apart, so that windows and full words come in all forms.
            let far = [3, 64, 130, 191];
            let meter = meter(usize::MAX);
            let mut memo = Memo::new(&meter);
            let mut seen = std::collections::BTreeSet::new();
            for place in places {
                let (state, required, open) = place;
                let (mut bits, mut few) = (Bits::new(192), Bits::new(70));
                (0..if required[0] { 64 } else { 3 }).for_each(|number| bits.insert(number));
                far.iter().zip(required).filter(|&(_, set)| set).for_each(|(&number, _)| bits.insert(number));
                [1, 69].iter().zip(open).filter(|&(_, set)| set).for_each(|(&number, _)| few.insert(number));
                prop_assert_eq!(memo.insert(state, &bits, &few).unwrap(), seen.insert(place));
            }
        }

        /// Bits taken out again leave no trace: the window is that of the set.
        #[test]
        fn a_set_is_written_the_same_however_it_came_about(
            changes in proptest::collection::vec((0_usize..200, any::<bool>()), 0..300)
        ) {
            let mut bits = Bits::new(200);
            let mut set = std::collections::BTreeSet::new();
            for (number, put) in changes {
                if put { bits.insert(number) } else { bits.remove(number) }
                if put { set.insert(number) } else { set.remove(&number) };
            }
            let mut plain = Bits::new(200);
            for &number in &set {
                plain.insert(number);
            }
            prop_assert_eq!((bits.low, bits.window()), (plain.low, plain.window()));
        }
    }

    #[test]
    fn all_memory_is_charged_before_it_is_taken_and_given_back() {
        let memory = 3 << 20;
        let meter = meter(memory);
        let mut memo = Memo::new(&meter);
        let none = Bits::new(0);
        let stopped = (0..1_000_000).find(|&state| {
            let full = memo.insert(state, &none, &none).is_err();
            let held = 8 * memo.entries.capacity() + memo.table.allocation_size();
            assert!(held <= memo.charged, "holds {held} bytes, charged {}", memo.charged);
            full
        });
        assert!(stopped.is_some_and(|places| places > 20_000));
        drop(memo);
        assert_eq!(meter.charge(memory), Ok(()), "all of it came back");
    }
}
