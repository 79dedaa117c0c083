//! Large values by small names.
//!
//! The states of a cluster are many, and what they are made of are few: the same node, as it is after the same
//! things have happened to it, stands in a hundred thousand states, and so does the same message. So a state
//! holds only *marks*, numbers made from the whole of a value, and each value is kept once, in a [`Pool`]. That
//! makes states small, and cheap to compare. It also lets every question be asked once: what a node does with
//! a message depends on both and on nothing else, so the answer is written down in a [`Memo`].
//!
//! Two values that share a mark would be taken for one, which could hide a mistake. A pool compares what it is
//! given with what it has, and refuses to go on if they differ: it has never happened.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

/// A number made from all of a value: the same value has the same one, in every build and on every machine of
/// the same word size.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(crate) struct Mark(pub(crate) u64);

/// What the last bits of a mark say, so that nobody need look the value up to know it.
const TAG: u64 = 0xff;

impl Mark {
    /// The mark of `value`, which says `tag` in its last bits.
    pub(crate) fn of(value: &impl Hash, tag: u8) -> Mark {
        let mut mixer = Mixer::default();
        value.hash(&mut mixer);
        Mark(mixer.finish() & !TAG | u64::from(tag))
    }

    /// What it says in its last bits.
    pub(crate) fn tag(self) -> u8 {
        (self.0 & TAG) as u8
    }
}

/// Makes one number of many: multiplies and folds, so that every bit that goes in moves half of those that
/// come out.
#[derive(Clone, Copy)]
pub(crate) struct Mixer(u64);

impl Default for Mixer {
    fn default() -> Mixer {
        Mixer(0x243f_6a88_85a3_08d3)
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let (low, high) = a.carrying_mul(b, 0);
    low ^ high
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        fold(self.0 ^ 0x9e37_79b9_7f4a_7c15, 0xa076_1d64_78bd_642f)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u16(&mut self, number: u16) {
        self.write_u64(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = fold(self.0.rotate_left(29) ^ number, 0xe703_7ed1_a0b4_28db).wrapping_add(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }
}

/// For maps whose order never shows.
pub(crate) type Mixing = BuildHasherDefault<Mixer>;

/// Threads meet in one of these, and seldom in the same.
const SHARDS: usize = 64;

/// A map that several threads read and write.
struct Shared<K, V>(Vec<RwLock<HashMap<K, V, Mixing>>>);

impl<K: Hash + Eq, V: Clone> Shared<K, V> {
    fn new() -> Shared<K, V> {
        Shared((0..SHARDS).map(|_| RwLock::default()).collect())
    }

    fn shard(&self, key: &K) -> &RwLock<HashMap<K, V, Mixing>> {
        let number = Mixing::default().hash_one(key);
        // The map itself uses the first bits and the last ones.
        &self.0[(number >> 24) as usize % SHARDS]
    }

    fn get(&self, key: &K) -> Option<V> {
        self.shard(key).read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn put(&self, key: K, value: V) -> V {
        let mut map = self.shard(&key).write().unwrap_or_else(PoisonError::into_inner);
        map.entry(key).or_insert(value).clone()
    }

    fn keys(&self) -> Vec<K>
    where
        K: Copy + Ord,
    {
        let read = |shard: &RwLock<HashMap<K, V, Mixing>>| {
            let map = shard.read().unwrap_or_else(PoisonError::into_inner);
            map.keys().copied().collect::<Vec<K>>()
        };
        let mut keys: Vec<K> = self.0.iter().flat_map(read).collect();
        keys.sort_unstable();
        keys
    }

    fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }
}

/// Values, each once, by their marks.
pub(crate) struct Pool<T>(Shared<Mark, Arc<T>>);

impl<T: Hash + Eq> Pool<T> {
    pub(crate) fn new() -> Pool<T> {
        Pool(Shared::new())
    }

    /// Keeps `value`, whose mark says `tag`.
    pub(crate) fn keep(&self, value: T, tag: u8) -> Mark {
        let mark = Mark::of(&value, tag);
        match self.0.get(&mark) {
            Some(kept) => assert!(*kept == value, "two values share a mark"),
            None => {
                self.0.put(mark, Arc::new(value));
            }
        }
        mark
    }

    /// The value of that mark.
    pub(crate) fn get(&self, mark: Mark) -> Arc<T> {
        self.0.get(&mark).expect("a mark is given out when its value is kept")
    }

    /// The marks of all values, in their order.
    pub(crate) fn marks(&self) -> Vec<Mark> {
        self.0.keys()
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Answers to questions that have only one.
pub(crate) struct Memo<K, V>(Shared<K, V>);

impl<K: Hash + Eq, V: Clone> Memo<K, V> {
    pub(crate) fn new() -> Memo<K, V> {
        Memo(Shared::new())
    }

    /// The answer; found by `find` if nobody asked before. Two threads may find it both: it is the same.
    pub(crate) fn answer(&self, question: K, find: impl FnOnce(&K) -> V) -> V {
        if let Some(answer) = self.0.get(&question) {
            return answer;
        }
        let answer = find(&question);
        self.0.put(question, answer)
    }

    /// All that was asked, in its order.
    pub(crate) fn questions(&self) -> Vec<K>
    where
        K: Copy + Ord,
    {
        self.0.keys()
    }

    /// How many were asked.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_kept_once_and_found_by_its_mark() {
        let pool = Pool::new();
        let one = pool.keep("one".to_owned(), 7);
        let other = pool.keep("other".to_owned(), 7);
        assert_eq!(pool.keep("one".to_owned(), 7), one);
        assert_ne!(one, other);
        assert_eq!((pool.len(), one.tag()), (2, 7));
        assert_eq!(*pool.get(other), "other");
    }

    #[test]
    fn two_values_of_one_mark_are_not_taken_for_one() {
        #[derive(PartialEq, Eq)]
        struct Same(u8);
        impl Hash for Same {
            fn hash<H: Hasher>(&self, _: &mut H) {}
        }
        let pool = Pool::new();
        pool.keep(Same(1), 0);
        let other = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pool.keep(Same(2), 0)));
        assert!(other.is_err());
    }

    #[test]
    fn marks_of_small_differences_have_nothing_in_common() {
        let marks: Vec<u64> = (0..1000_u64).map(|number| Mark::of(&(number, 1_u8), 0).0).collect();
        for pair in marks.windows(2) {
            let moved = (pair[0] ^ pair[1]).count_ones();
            assert!((10..=46).contains(&moved), "{moved} of 56 bits");
        }
    }

    #[test]
    fn a_question_is_answered_once() {
        let memo = Memo::new();
        assert_eq!(memo.answer(3, |number| number * 2), 6);
        assert_eq!(memo.answer(3, |_| unreachable!("it was asked before")), 6);
        assert_eq!(memo.len(), 1);
    }
}
