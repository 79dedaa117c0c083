//! The log as this node has it in memory.
//!
//! Two logs that hold the same entry hold the same entries before it (§5.3, log matching). So a
//! leader need only find the last entry it shares with a follower, and [`Log::agree`] helps both
//! sides to skip whole terms while they look for it (end of §5.3).
//!
//! A log stands on a checkpoint: what it said before, in brief. In the beginning that is nothing. [`Log::compact`]
//! moves it up, when the state machine's snapshot holds what was said; [`Log::reset`] puts the log onto another one.
//!
//! The members of the cluster are found here: those of the latest entry that names any, committed or not. If it is cut
//! off, those before it count again.

use std::sync::Arc;

use crate::aside::Aside;
use crate::checkpoint::Checkpoint;
use crate::entry::{Entry, Suffix};
use crate::ids::{EntryId, Index, Term, Wall};
use crate::membership::Membership;

/// A run of entries behind `base`, numbered without gaps, terms and stamps never falling.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Log {
    base: Checkpoint,
    entries: Vec<Entry>,
    /// The memberships that entries behind the base name, and where, in order.
    memberships: Vec<(Index, Arc<Membership>)>,
    writes: Aside<Writes>,
}

/// How often a log was written to, and from where the last times: for whoever watches it and cannot
/// compare all of it after every step.
#[derive(Clone, Copy, Debug, Default)]
struct Writes {
    count: u64,
    /// The first index that a write touched, in the place of its number modulo the length.
    from: [Index; 4],
}

impl Writes {
    fn place(&self, number: u64) -> usize {
        usize::try_from(number % self.from.len() as u64).expect("a remainder is small")
    }

    fn touched(&mut self, from: Index) {
        self.from[self.place(self.count)] = from;
        self.count += 1;
    }
}

impl Log {
    /// A log that stands on `base` and goes on with `suffix`. `None` if the one does not continue the other.
    pub fn new(base: Checkpoint, suffix: Suffix) -> Option<Log> {
        let stamps = suffix.entries().first().is_none_or(|first| first.stamp >= base.stamp);
        if suffix.after() != base.id || !stamps {
            return None;
        }
        let mut log = Log { base, ..Log::default() };
        log.extend(suffix);
        Some(log)
    }

    /// What it stands on: entries up to there are not here.
    pub fn base(&self) -> &Checkpoint {
        &self.base
    }

    /// The name of the last entry.
    pub fn last(&self) -> EntryId {
        self.entries.last().map_or(self.base.id, |entry| entry.id)
    }

    /// The stamp of the last entry.
    pub fn last_stamp(&self) -> Wall {
        self.entries.last().map_or(self.base.stamp, |entry| entry.stamp)
    }

    /// The name of the entry at `index`, if it is here.
    pub fn id_at(&self, index: Index) -> Option<EntryId> {
        if index == self.base.id.index { Some(self.base.id) } else { self.get(index).map(|entry| entry.id) }
    }

    /// The term of the entry at `index`, if it is here.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        self.id_at(index).map(|id| id.term)
    }

    /// Whether this very entry is here.
    pub fn has(&self, id: EntryId) -> bool {
        self.id_at(id.index) == Some(id)
    }

    /// The stamp of the entry at `index`, if it is here.
    pub fn stamp_at(&self, index: Index) -> Option<Wall> {
        if index == self.base.id.index { Some(self.base.stamp) } else { Some(self.get(index)?.stamp) }
    }

    /// The entry at `index`.
    pub fn get(&self, index: Index) -> Option<&Entry> {
        self.entries.get(self.place(index)?)
    }

    /// Who belongs to the cluster: by the latest entry that says so.
    pub fn membership(&self) -> &Arc<Membership> {
        self.memberships.last().map_or(&self.base.membership, |(_, membership)| membership)
    }

    /// The entry that says who belongs to the cluster; 0 if nobody ever changed it.
    pub fn membership_since(&self) -> Index {
        self.memberships.last().map_or(self.base.since, |(since, _)| *since)
    }

    /// How many entries behind `index` name members.
    pub fn memberships_behind(&self, index: Index) -> usize {
        self.memberships.iter().rev().take_while(|(since, _)| *since > index).count()
    }

    /// What the log says up to `index`, in brief; `None` if that entry is not here.
    pub fn checkpoint(&self, index: Index) -> Option<Checkpoint> {
        let id = self.id_at(index)?;
        let stamp = self.stamp_at(index)?;
        let (since, membership) = self
            .memberships
            .iter()
            .rev()
            .find(|(since, _)| *since <= index)
            .map_or((self.base.since, &self.base.membership), |(since, membership)| (*since, membership));
        Some(Checkpoint { id, stamp, membership: membership.clone(), since })
    }

    /// The entries behind `after` up to and including `upto`.
    pub fn between(&self, after: Index, upto: Index) -> &[Entry] {
        let from = self.place(after.next()).unwrap_or(0).min(self.entries.len());
        let to = self.place(upto.next()).unwrap_or(0).min(self.entries.len());
        &self.entries[from..to.max(from)]
    }

    /// A run behind `after` of at most `bytes`, but at least one entry if there is one. `None` if
    /// `after` is not here.
    pub fn suffix(&self, after: Index, bytes: usize) -> Option<Suffix> {
        let id = self.id_at(after)?;
        let mut room = bytes;
        let mut taken = Vec::new();
        for entry in self.between(after, self.last().index) {
            let weight = entry.weight();
            if !taken.is_empty() && weight > room {
                break;
            }
            room = room.saturating_sub(weight);
            taken.push(entry.clone());
        }
        Some(Suffix::new(id, taken).expect("a run of a log has a log's order"))
    }

    /// The first entry of `suffix` that is not here, as an index: where a write must begin. `None`
    /// if all of them are here.
    pub fn first_new(&self, suffix: &Suffix) -> Option<Index> {
        suffix.entries().iter().find(|entry| !self.has(entry.id)).map(|entry| entry.id.index)
    }

    /// Puts `suffix` in the place of whatever stands behind `suffix.after()`, which must be here.
    pub fn replace(&mut self, suffix: Suffix) {
        assert!(self.has(suffix.after()), "a log is continued from an entry that it has");
        let first = suffix.first_index();
        let keep = self.place(first).expect("the base is never replaced");
        self.writes.0.touched(first);
        self.entries.truncate(keep);
        while self.memberships.last().is_some_and(|(since, _)| *since >= first) {
            self.memberships.pop();
        }
        self.extend(suffix);
    }

    fn extend(&mut self, suffix: Suffix) {
        let entries = suffix.into_entries();
        let named = entries.iter().filter_map(|entry| Some((entry.id.index, entry.membership()?.clone())));
        self.memberships.extend(named);
        self.entries.extend(entries);
    }

    /// Forgets the entries up to `index`, which stand in a snapshot. Nothing happens if they are gone already.
    pub fn compact(&mut self, index: Index) {
        let Some(base) = self.checkpoint(index) else { return };
        let count = usize::try_from(index.0 - self.base.id.index.0).expect("a log in memory is countable");
        self.entries.drain(..count);
        self.memberships.retain(|(since, _)| *since > index);
        self.base = base;
    }

    /// Forgets everything, and stands on `base`.
    pub fn reset(&mut self, base: Checkpoint) {
        self.writes.0.touched(base.id.index.next());
        self.entries.clear();
        self.memberships.clear();
        self.base = base;
    }

    /// From now on it counts as never written to.
    pub(crate) fn forget_writes(&mut self) {
        self.writes = Aside::default();
    }

    /// How often it was written to since it was made.
    pub fn writes(&self) -> u64 {
        self.writes.0.count
    }

    /// The lowest index that was written to since there had been `count` writes; `None` if there were no
    /// more. A log remembers only a few: if there were too many since, any entry may be another.
    pub fn touched_since(&self, count: u64) -> Option<Index> {
        let Aside(writes) = &self.writes;
        let remembered = writes.from.len() as u64;
        if count > writes.count || writes.count - count > remembered {
            return Some(self.base.id.index.next());
        }
        (count..writes.count).map(|number| writes.from[writes.place(number)]).min()
    }

    /// The last entry here that could also be in a log whose entry at `other.index` is `other`:
    /// not behind it, and of no later term. If that is not here any more, the base.
    pub fn agree(&self, other: EntryId) -> EntryId {
        let within = self.between(self.base.id.index, other.index);
        let count = within.partition_point(|entry| entry.id.term <= other.term);
        if count == 0 { self.base.id } else { within[count - 1].id }
    }

    fn place(&self, index: Index) -> Option<usize> {
        let distance = index.0.checked_sub(self.base.id.index.next().0)?;
        Some(usize::try_from(distance).expect("a log in memory is countable"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Payload;
    use crate::ids::NodeId;

    /// A log whose entries have these terms, from index 1.
    fn log(terms: &[u64]) -> Log {
        let mut log = Log::default();
        log.replace(run(0, 0, terms));
        log
    }

    fn run(after: u64, after_term: u64, terms: &[u64]) -> Suffix {
        let entries = (after + 1..)
            .zip(terms)
            .map(|(index, term)| Entry {
                id: EntryId::new(index, *term),
                stamp: Wall(0),
                request: None,
                payload: Payload::Noop,
            })
            .collect();
        Suffix::new(EntryId::new(after, after_term), entries).unwrap()
    }

    #[test]
    fn an_empty_log_has_the_place_before_the_first_entry() {
        let log = Log::default();
        assert!(log.has(EntryId::default()));
        assert_eq!(log.last(), EntryId::default());
        assert!(log.suffix(Index(0), 100).unwrap().is_empty());
        assert_eq!(log.suffix(Index(1), 100), None);
    }

    #[test]
    fn a_suffix_takes_the_place_of_what_stood_there() {
        let mut log = log(&[1, 1, 2, 2]);
        log.replace(run(2, 1, &[3]));
        assert_eq!(log.last(), EntryId::new(3, 3));
        assert_eq!(log.id_at(Index(4)), None);
    }

    #[test]
    fn a_log_tells_from_where_it_was_written() {
        let mut log = log(&[1, 1, 2, 2]);
        let before = log.writes();
        assert_eq!(log.touched_since(before), None);
        log.replace(run(4, 2, &[2]));
        log.replace(run(2, 1, &[3]));
        log.replace(run(3, 3, &[3]));
        assert_eq!(log.touched_since(before), Some(Index(3)));
        assert_eq!(log.touched_since(before + 2), Some(Index(4)));
        log.replace(run(4, 3, &[3]));
        log.replace(run(5, 3, &[3]));
        assert_eq!(log.touched_since(before), Some(Index(1)), "it remembers no more than four");
    }

    fn naming(after: u64, membership: &Membership) -> Suffix {
        let entry = Entry {
            id: EntryId::new(after + 1, 1),
            stamp: Wall(after),
            request: None,
            payload: Payload::Membership(Arc::new(membership.clone())),
        };
        Suffix::new(EntryId::new(after, 1), vec![entry]).unwrap()
    }

    #[test]
    fn members_are_those_named_last_and_come_back_when_that_is_cut() {
        let (three, four) = (Membership::of([1, 2, 3].map(NodeId)), Membership::of([1, 2, 3, 4].map(NodeId)));
        let mut log = log(&[1, 1]);
        log.replace(naming(2, &three));
        log.replace(naming(3, &four));
        assert_eq!((&**log.membership(), log.membership_since()), (&four, Index(4)));
        assert_eq!(&*log.checkpoint(Index(3)).unwrap().membership, &three);
        assert_eq!(log.checkpoint(Index(2)).unwrap().membership, Arc::default());
        log.replace(run(3, 1, &[2, 2]));
        assert_eq!((&**log.membership(), log.membership_since()), (&three, Index(3)));
    }

    #[test]
    fn a_compacted_log_is_the_same_log_with_less_behind_it() {
        let three = Membership::of([1, 2, 3].map(NodeId));
        let mut log = log(&[1, 1]);
        log.replace(naming(2, &three));
        log.replace(run(3, 1, &[2, 2]));
        let (last, whole) = (log.last(), log.checkpoint(Index(5)));
        log.compact(Index(4));
        assert_eq!((log.base().id, log.last()), (EntryId::new(4, 2), last));
        assert_eq!((log.base().since, &*log.base().membership), (Index(3), &three));
        assert_eq!(log.checkpoint(Index(5)), whole);
        assert_eq!((log.id_at(Index(3)), log.suffix(Index(3), 100)), (None, None));
        assert_eq!(log.suffix(Index(4), 100).unwrap().entries().len(), 1);
        log.compact(Index(2));
        assert_eq!(log.base().id, EntryId::new(4, 2), "what is gone stays gone");
        assert_eq!(log.agree(EntryId::new(2, 1)), EntryId::new(4, 2));
    }

    #[test]
    fn a_log_put_onto_another_checkpoint_has_nothing_else() {
        let mut log = log(&[1, 1, 2]);
        let base = Checkpoint { id: EntryId::new(9, 4), ..Checkpoint::default() };
        let before = log.writes();
        log.reset(base.clone());
        assert_eq!((log.base(), log.last()), (&base, base.id));
        assert_eq!(log.touched_since(before), Some(Index(10)));
        assert!(Log::new(base.clone(), run(9, 4, &[5])).is_some());
        assert!(Log::new(base, run(9, 3, &[5])).is_none(), "it does not continue that");
    }

    #[test]
    fn what_is_already_here_is_not_new() {
        let log = log(&[1, 1, 2, 2]);
        assert_eq!(log.first_new(&run(1, 1, &[1, 2])), None);
        assert_eq!(log.first_new(&run(1, 1, &[1, 3])), Some(Index(3)));
        assert_eq!(log.first_new(&run(4, 2, &[2])), Some(Index(5)));
    }

    #[test]
    fn looking_for_agreement_skips_whole_terms() {
        let log = log(&[1, 1, 1, 4, 4, 4]);
        assert_eq!(log.agree(EntryId::new(6, 3)), EntryId::new(3, 1));
        assert_eq!(log.agree(EntryId::new(5, 4)), EntryId::new(5, 4));
        assert_eq!(log.agree(EntryId::new(99, 9)), EntryId::new(6, 4));
        assert_eq!(log.agree(EntryId::new(2, 0)), EntryId::default());
    }

    #[test]
    fn a_batch_has_at_least_one_entry_and_at_most_its_bytes() {
        let log = log(&[1; 10]);
        let one = log.get(Index(1)).unwrap().weight();
        assert_eq!(log.suffix(Index(0), 0).unwrap().entries().len(), 1);
        assert_eq!(log.suffix(Index(0), one * 3).unwrap().entries().len(), 3);
        assert_eq!(log.suffix(Index(8), usize::MAX).unwrap().entries().len(), 2);
    }
}
