//! The log as this node has it in memory.
//!
//! Two logs that hold the same entry hold the same entries before it (§5.3, log matching). So a
//! leader need only find the last entry it shares with a follower, and [`Log::agree`] helps both
//! sides to skip whole terms while they look for it (end of §5.3).
//!
//! Left out: compaction. The log grows until snapshots arrive; `base` is where it will then start.

use crate::aside::Aside;
use crate::entry::{Entry, Suffix};
use crate::ids::{EntryId, Index, Term, Wall};

/// A run of entries after `base`, numbered without gaps, terms and stamps never falling.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Log {
    base: EntryId,
    entries: Vec<Entry>,
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
}

impl Log {
    /// A log that holds these entries from the very first.
    pub fn new(suffix: Suffix) -> Log {
        Log { base: suffix.after(), entries: suffix.into_entries(), writes: Aside::default() }
    }

    /// The name of the last entry.
    pub fn last(&self) -> EntryId {
        self.entries.last().map_or(self.base, |entry| entry.id)
    }

    /// The stamp of the last entry.
    pub fn last_stamp(&self) -> Wall {
        self.entries.last().map_or(Wall(0), |entry| entry.stamp)
    }

    /// The name of the entry at `index`, if it is here.
    pub fn id_at(&self, index: Index) -> Option<EntryId> {
        if index == self.base.index { Some(self.base) } else { self.get(index).map(|entry| entry.id) }
    }

    /// The term of the entry at `index`, if it is here.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        self.id_at(index).map(|id| id.term)
    }

    /// Whether this very entry is here.
    pub fn has(&self, id: EntryId) -> bool {
        self.id_at(id.index) == Some(id)
    }

    /// The entry at `index`.
    pub fn get(&self, index: Index) -> Option<&Entry> {
        self.entries.get(self.place(index)?)
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
        let keep = self.place(suffix.first_index()).expect("the base is never replaced");
        let Aside(writes) = &mut self.writes;
        writes.from[writes.place(writes.count)] = suffix.first_index();
        writes.count += 1;
        self.entries.truncate(keep);
        self.entries.extend(suffix.into_entries());
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
            return Some(self.base.index.next());
        }
        (count..writes.count).map(|number| writes.from[writes.place(number)]).min()
    }

    /// The last entry here that could also be in a log whose entry at `other.index` is `other`:
    /// not behind it, and of no later term.
    pub fn agree(&self, other: EntryId) -> EntryId {
        let within = self.between(self.base.index, other.index);
        let count = within.partition_point(|entry| entry.id.term <= other.term);
        if count == 0 { self.base } else { within[count - 1].id }
    }

    fn place(&self, index: Index) -> Option<usize> {
        let distance = index.0.checked_sub(self.base.index.next().0)?;
        Some(usize::try_from(distance).expect("a log in memory is countable"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Payload;

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
