//! Values as small numbers, in the order in which they are met.

use rustc_hash::FxHashMap;

use super::NONE;

/// Which value has which number. Most workloads count their values up from somewhere near zero; then a
/// table is enough, and a table is what a million ops can afford.
pub(super) struct Values {
    table: Vec<u32>,
    /// How wide it may get; values from there on are hashed.
    limit: usize,
    hashed: FxHashMap<u64, u32>,
    next: u32,
}

impl Values {
    /// At most so many bytes for each op, whatever the values are.
    pub(super) const BYTES: usize = 4 * WIDTH + 16 * 2;

    /// Values of so many ops; the first of them gets this number.
    pub(super) fn new(ops: usize, first: u32) -> Values {
        Values { table: Vec::new(), limit: WIDTH * ops, hashed: FxHashMap::default(), next: first }
    }

    /// The number of this value.
    pub(super) fn number(&mut self, value: u64) -> Number {
        let place = usize::try_from(value).ok().filter(|&place| place < self.limit);
        let slot = match place {
            Some(place) => {
                if place >= self.table.len() {
                    self.table.resize((2 * place + 64).min(self.limit), NONE);
                }
                &mut self.table[place]
            }
            None => self.hashed.entry(value).or_insert(NONE),
        };
        if *slot != NONE {
            return Number::Known(*slot);
        }
        *slot = self.next;
        self.next += 1;
        Number::New(*slot)
    }
}

/// A value's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Number {
    /// It has this one already.
    Known(u32),
    /// It was met for the first time.
    New(u32),
}

/// How many times wider than the number of ops the table may grow.
const WIDTH: usize = 4;
