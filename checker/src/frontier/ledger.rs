//! How many unanswered ops of each class were spent, as small numbers.
//!
//! Configurations are many, and what they spent is mostly the same. So each multiset of classes is kept
//! once and named by a number; 0 is the empty one.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::meter::{Meter, Stop};

/// A multiset of classes.
pub(crate) type SpentId = u32;

/// Nothing was spent.
pub(crate) const NOTHING: SpentId = 0;

/// Classes with how many of each were spent, in the order of the classes; none with zero.
type Counts = SmallVec<[(u32, u32); 4]>;

pub(crate) struct Ledger<'m> {
    meter: &'m Meter,
    known: Vec<Counts>,
    numbers: FxHashMap<Counts, SpentId>,
    /// One more of this class.
    more: FxHashMap<(SpentId, u32), SpentId>,
    charged: usize,
}

/// What one multiset costs, roughly: twice itself with its heap, and its share of two tables.
const BYTES: usize = 192;

impl<'m> Ledger<'m> {
    pub(crate) fn new(meter: &'m Meter) -> Ledger<'m> {
        let mut numbers = FxHashMap::default();
        numbers.insert(Counts::new(), NOTHING);
        Ledger { meter, known: vec![Counts::new()], numbers, more: FxHashMap::default(), charged: 0 }
    }

    /// How many of a class are in it.
    pub(crate) fn count(&self, spent: SpentId, class: u32) -> u32 {
        let counts = &self.known[spent as usize];
        counts.iter().find(|&&(of, _)| of == class).map_or(0, |&(_, count)| count)
    }

    /// One more of this class.
    pub(crate) fn and(&mut self, spent: SpentId, class: u32) -> Result<SpentId, Stop> {
        if let Some(&known) = self.more.get(&(spent, class)) {
            return Ok(known);
        }
        let mut counts = self.known[spent as usize].clone();
        if let Some((_, count)) = counts.iter_mut().find(|(of, _)| *of == class) {
            *count += 1;
        } else {
            let place = counts.partition_point(|&(of, _)| of < class);
            counts.insert(place, (class, 1));
        }
        let bytes = BYTES + 2 * counts.len() * size_of::<(u32, u32)>();
        self.meter.charge(bytes)?;
        self.charged += bytes;
        let next = SpentId::try_from(self.known.len()).map_err(|_| Stop::out_of_memory())?;
        let number = *self.numbers.entry(counts.clone()).or_insert(next);
        if number == next {
            self.known.push(counts);
        }
        self.more.insert((spent, class), number);
        Ok(number)
    }

    /// Whether nothing was spent in `one` that was not in `two`.
    pub(crate) fn within(&self, one: SpentId, two: SpentId) -> bool {
        if one == two || one == NOTHING {
            return true;
        }
        let mut others = self.known[two as usize].iter();
        self.known[one as usize].iter().all(|&(class, count)| {
            others.find(|&&(of, _)| of >= class).is_some_and(|&(of, most)| of == class && most >= count)
        })
    }
}

impl Drop for Ledger<'_> {
    fn drop(&mut self) {
        self.meter.release(self.charged);
    }
}
