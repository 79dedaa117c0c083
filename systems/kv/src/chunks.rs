//! Collections that can stand still without being copied.
//!
//! A snapshot wants the state as it is between two entries, while the next entries go on changing it. Copying a large
//! state takes long, and nothing else is done meanwhile. So the state is kept in chunks that are shared: to freeze it
//! is to copy the list of chunks, and who changes a chunk that is shared changes a copy of it. The price is paid chunk
//! by chunk, once each, by those writes that come while a snapshot is written.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::command::Revision;
use crate::history::KeyHistory;
use crate::store::Change;

/// A chunk of keys is split when it has more.
const KEYS: usize = 256;
/// How many changes are in a full chunk.
const CHANGES: usize = 1024;

pub(crate) type KeyChunk = BTreeMap<Bytes, KeyHistory>;

/// All keys with their histories, in order. Each chunk stands under a key that is not greater than its own and greater
/// than all of the chunk before; the first under the empty one. Only the first may be empty.
#[derive(Clone, Debug)]
pub(crate) struct Histories(BTreeMap<Bytes, Arc<KeyChunk>>);

impl Default for Histories {
    fn default() -> Histories {
        Histories(BTreeMap::from([(Bytes::new(), Arc::default())]))
    }
}

/// Where keys are cut into chunks says nothing about the state.
impl PartialEq for Histories {
    fn eq(&self, other: &Histories) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Histories {}

impl Histories {
    fn chunk(&self, key: &[u8]) -> &KeyChunk {
        let upto = (Bound::Unbounded, Bound::Included(key));
        self.0.range::<[u8], _>(upto).next_back().expect("a chunk stands under the empty key").1
    }

    fn chunk_mut(&mut self, key: &[u8]) -> &mut Arc<KeyChunk> {
        let upto = (Bound::Unbounded, Bound::Included(key));
        self.0.range_mut::<[u8], _>(upto).next_back().expect("a chunk stands under the empty key").1
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&KeyHistory> {
        self.chunk(key).get(key)
    }

    /// The key as it is kept, if it is there.
    pub(crate) fn find(&self, key: &[u8]) -> Option<&Bytes> {
        self.chunk(key).get_key_value(key).map(|(key, _)| key)
    }

    /// The history of a key that is there, to be changed, and the key as it is kept.
    pub(crate) fn find_mut(&mut self, key: &[u8]) -> Option<(&Bytes, &mut KeyHistory)> {
        if !self.chunk(key).contains_key(key) {
            return None;
        }
        let only = (Bound::Included(key), Bound::Included(key));
        Arc::make_mut(self.chunk_mut(key)).range_mut::<[u8], _>(only).next()
    }

    pub(crate) fn insert(&mut self, key: Bytes, history: KeyHistory) {
        let chunk = Arc::make_mut(self.chunk_mut(&key));
        chunk.insert(key, history);
        if chunk.len() > KEYS {
            let middle = chunk.keys().nth(KEYS / 2).expect("it has more").clone();
            let behind = chunk.split_off(&middle);
            self.0.insert(middle, Arc::new(behind));
        }
    }

    pub(crate) fn remove(&mut self, key: &[u8]) {
        let upto = (Bound::Unbounded, Bound::Included(key));
        let Some((under, chunk)) = self.0.range_mut::<[u8], _>(upto).next_back() else { return };
        let chunk = Arc::make_mut(chunk);
        chunk.remove(key);
        if chunk.is_empty() && !under.is_empty() {
            let under = under.clone();
            self.0.remove(&under);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Bytes, &KeyHistory)> {
        self.0.values().flat_map(|chunk| chunk.iter())
    }

    /// Those within bounds, of which the lower one is not above the upper one.
    pub(crate) fn range<'a>(
        &'a self,
        bounds: (Bound<&'a [u8]>, Bound<&'a [u8]>),
    ) -> impl Iterator<Item = (&'a Bytes, &'a KeyHistory)> {
        let from = match bounds.0 {
            Bound::Included(key) | Bound::Excluded(key) => {
                let upto = (Bound::Unbounded, Bound::Included(key));
                self.0.range::<[u8], _>(upto).next_back().map_or(&[][..], |(under, _)| under)
            }
            Bound::Unbounded => &[],
        };
        let chunks = self.0.range::<[u8], _>((Bound::Included(from), bounds.1));
        chunks.flat_map(move |(_, chunk)| chunk.range::<[u8], _>(bounds))
    }

    pub(crate) fn chunks(&self) -> VecDeque<Arc<KeyChunk>> {
        self.0.values().cloned().collect()
    }
}

/// All changes that are not compacted, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    chunks: VecDeque<Arc<Vec<Change>>>,
    /// How many of the first chunk are gone. Never all of them.
    gone: usize,
}

impl PartialEq for Changes {
    fn eq(&self, other: &Changes) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Changes {}

impl Changes {
    pub(crate) fn push(&mut self, change: Change) {
        match self.chunks.back_mut() {
            Some(last) if last.len() < CHANGES => Arc::make_mut(last).push(change),
            _ => self.chunks.push_back(Arc::new(vec![change])),
        }
    }

    pub(crate) fn first(&self) -> Option<&Change> {
        self.chunks.front().map(|chunk| &chunk[self.gone])
    }

    pub(crate) fn pop_first(&mut self) -> Option<Change> {
        let chunk = self.chunks.front()?;
        let change = chunk[self.gone].clone();
        self.gone += 1;
        if self.gone == chunk.len() {
            self.chunks.pop_front();
            self.gone = 0;
        }
        Some(change)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Change> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).skip(self.gone)
    }

    /// Those after `revision`.
    pub(crate) fn after(&self, revision: Revision) -> impl Iterator<Item = &Change> {
        let old =
            self.chunks.partition_point(|chunk| chunk.last().is_some_and(|last| last.revision <= revision));
        let skipped = if old == 0 { self.gone } else { 0 };
        let rest = self.chunks.range(old..).flat_map(|chunk| chunk.iter()).skip(skipped);
        rest.skip_while(move |change| change.revision <= revision)
    }

    pub(crate) fn chunks(&self) -> (VecDeque<Arc<Vec<Change>>>, usize) {
        (self.chunks.clone(), self.gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Bytes {
        Bytes::copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes())
    }

    #[test]
    fn keys_in_chunks_are_found_as_in_one_map() {
        let (mut chunks, mut map) = (Histories::default(), BTreeMap::new());
        for number in 0..3000 {
            let mut history = KeyHistory::default();
            history.delete(Revision(i64::from(number)));
            chunks.insert(key(number), history.clone());
            map.insert(key(number), history);
            if number % 3 == 0 {
                chunks.remove(&key(number / 2));
                map.remove(&key(number / 2));
            }
        }
        assert!(chunks.0.len() > 5, "one chunk would prove nothing");
        assert!(chunks.iter().eq(map.iter()));
        for number in 0..3000 {
            assert_eq!(chunks.get(&key(number)), map.get(&key(number)));
            let (from, to) = (key(number).min(key(number + 7)), key(number).max(key(number + 7)));
            let bounds = (Bound::Included(&from[..]), Bound::Excluded(&to[..]));
            assert!(chunks.range(bounds).eq(map.range::<[u8], _>(bounds)));
            let open = (Bound::Included(&from[..]), Bound::Unbounded);
            assert!(chunks.range(open).eq(map.range::<[u8], _>(open)));
        }
        for number in 0..3000 {
            chunks.remove(&key(number));
        }
        assert_eq!((chunks.iter().count(), chunks.0.len()), (0, 1));
    }

    #[test]
    fn what_stands_still_does_not_see_later_changes() {
        let mut chunks = Histories::default();
        for number in 0..1000 {
            chunks.insert(key(number), KeyHistory::default());
        }
        let frozen = chunks.clone();
        chunks.find_mut(&key(5)).unwrap().1.delete(Revision(7));
        chunks.remove(&key(6));
        assert_eq!(frozen.get(&key(5)), Some(&KeyHistory::default()));
        assert_eq!((frozen.iter().count(), chunks.iter().count()), (1000, 999));
    }

    #[test]
    fn changes_come_and_go_in_order() {
        let change = |revision| Change { revision: Revision(revision), sub: 0, key: Bytes::new() };
        let mut changes = Changes::default();
        for revision in 0..2500 {
            changes.push(change(revision));
        }
        for revision in 0..1500 {
            assert_eq!(changes.first(), Some(&change(revision)));
            assert_eq!(changes.pop_first(), Some(change(revision)));
        }
        for revision in [0, 1499, 1500, 2047, 2048, 2300, 2499, 9000] {
            let after: Vec<i64> = changes.after(Revision(revision)).map(|change| change.revision.0).collect();
            assert_eq!(after, ((revision + 1).max(1500)..2500).collect::<Vec<_>>(), "after {revision}");
        }
    }
}
