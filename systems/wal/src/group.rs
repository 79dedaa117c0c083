//! What one write and one sync carry.
//!
//! While a sync is under way the core goes on and asks for more. All of it becomes the next group, and
//! what a later request overwrites of an earlier one never reaches the disk.

use raft::{Entry, EntryId, HardState, Persist, Suffix};

/// Several [`Persist`]s, merged in their order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Group {
    /// The log begins anew behind this entry, before anything else is written.
    pub(crate) base: Option<EntryId>,
    pub(crate) hard: Option<HardState>,
    pub(crate) run: Option<Run>,
}

/// Entries to write after `after`; whatever the log holds beyond that is dropped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Run {
    pub(crate) after: EntryId,
    pub(crate) entries: Vec<Entry>,
}

impl Run {
    pub(crate) fn last(&self) -> EntryId {
        self.entries.last().map_or(self.after, |entry| entry.id)
    }
}

impl Group {
    /// Takes in one more. Its id is for the caller to remember: what this group makes durable is all that
    /// was added to it.
    pub fn add(&mut self, persist: Persist) {
        if let Some(base) = persist.base {
            self.base = Some(base.id);
            self.run = None;
        }
        self.hard = persist.hard.or(self.hard);
        if let Some(suffix) = persist.suffix {
            self.continue_with(suffix);
        }
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.base.is_none() && self.hard.is_none() && self.run.is_none()
    }

    /// The entry behind which it writes, if it writes entries.
    pub fn after(&self) -> Option<EntryId> {
        self.run.as_ref().map(|run| run.after)
    }

    fn continue_with(&mut self, suffix: Suffix) {
        let after = suffix.after();
        let Some(run) = self.run.as_mut().filter(|run| run.after.index <= after.index) else {
            self.run = Some(Run { after, entries: suffix.into_entries() });
            return;
        };
        let kept = usize::try_from(after.index.0 - run.after.index.0).unwrap_or(usize::MAX);
        assert!(kept <= run.entries.len(), "a suffix after {after} leaves a hole behind {}", run.last());
        run.entries.truncate(kept);
        assert_eq!(run.last(), after, "a suffix continues an entry that is not in the log");
        run.entries.extend(suffix.into_entries());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use raft::{Payload, PersistId, Term, Wall};

    fn suffix(after: (u64, u64), terms: &[u64]) -> Persist {
        let entries = (after.0 + 1..)
            .zip(terms)
            .map(|(index, &term)| Entry {
                id: EntryId::new(index, term),
                stamp: Wall(index),
                request: None,
                payload: Payload::Noop,
            })
            .collect();
        let suffix = Suffix::new(EntryId::new(after.0, after.1), entries).unwrap();
        Persist { id: PersistId(1), base: None, hard: None, suffix: Some(suffix) }
    }

    fn names(group: &Group) -> String {
        let run = group.run.as_ref().unwrap();
        let entries: Vec<_> = run.entries.iter().map(ToString::to_string).collect();
        format!("{} | {}", run.after, entries.join(" "))
    }

    #[test]
    fn a_later_suffix_overwrites_what_it_overlaps() {
        let mut group = Group::default();
        group.add(suffix((5, 1), &[1, 1]));
        group.add(suffix((7, 1), &[1]));
        assert_eq!(names(&group), "5@t1 | 6@t1 7@t1 8@t1");
        group.add(suffix((6, 1), &[2]));
        assert_eq!(names(&group), "5@t1 | 6@t1 7@t2");
        group.add(suffix((3, 1), &[3]));
        assert_eq!(names(&group), "3@t1 | 4@t3");
    }

    #[test]
    fn the_last_term_and_vote_win() {
        let hard = |term| Persist {
            base: None,
            id: PersistId(term),
            hard: Some(HardState { term: Term(term), vote: None }),
            suffix: None,
        };
        let mut group = Group::default();
        assert!(group.is_empty());
        group.add(hard(1));
        group.add(hard(2));
        group.add(suffix((0, 0), &[2]));
        assert_eq!(group.hard.map(|hard| hard.term), Some(Term(2)));
    }

    #[test]
    fn a_log_that_begins_anew_writes_nothing_of_before() {
        let mut group = Group::default();
        group.add(suffix((5, 1), &[1, 1]));
        let base = raft::Checkpoint { id: EntryId::new(9, 2), ..raft::Checkpoint::default() };
        group.add(Persist { id: PersistId(2), base: Some(base), hard: None, suffix: None });
        assert_eq!((group.base, group.after()), (Some(EntryId::new(9, 2)), None));
        group.add(suffix((9, 2), &[3]));
        assert_eq!(names(&group), "9@t2 | 10@t3");
    }

    #[test]
    #[should_panic(expected = "leaves a hole")]
    fn a_hole_is_our_own_mistake() {
        let mut group = Group::default();
        group.add(suffix((5, 1), &[1]));
        group.add(suffix((8, 1), &[1]));
    }
}
