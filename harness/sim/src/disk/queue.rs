//! What was asked of the disk and is not done yet, and when it will be.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use rand::{Rng, RngExt};
use wal::{FileId, Ticket};

use super::file::Edit;

#[derive(Debug)]
pub(super) enum Change {
    Edit(FileId, Edit),
    Sync(FileId),
    Rename(String, String),
    Remove(String),
    SyncDir,
}

/// Changes in one lane happen in the order in which they were asked for; lanes overtake each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Lane {
    Folder,
    File(FileId),
}

impl Change {
    pub(super) fn lane(&self) -> Lane {
        match self {
            Change::Edit(file, _) | Change::Sync(file) => Lane::File(*file),
            Change::Rename(..) | Change::Remove(_) | Change::SyncDir => Lane::Folder,
        }
    }

    fn is_sync(&self) -> bool {
        matches!(self, Change::Sync(_) | Change::SyncDir)
    }
}

/// Nanoseconds: to hand bytes to the kernel, to have them on the disk, and when the disk hiccups.
const WRITE: Range<u64> = 10_000..40_000;
const SYNC: Range<u64> = 50_000..500_000;
const HICCUP: Range<u64> = 500_000..10_000_000;
/// One sync in so many hiccups.
const HICCUPS: u32 = 200;

#[derive(Debug, Default)]
pub(super) struct Queue {
    last: u64,
    /// Not done yet, begun or not.
    changes: BTreeMap<Ticket, Change>,
    /// Not begun yet.
    waiting: VecDeque<Ticket>,
    /// Begun while the disk was stuck.
    hanging: Vec<Ticket>,
    /// When the last change that was begun in a lane will be done.
    busy_until: BTreeMap<Lane, u64>,
}

impl Queue {
    pub(super) fn add(&mut self, change: Change) -> Ticket {
        self.last += 1;
        let ticket = Ticket(self.last);
        self.changes.insert(ticket, change);
        self.waiting.push_back(ticket);
        ticket
    }

    /// The last ticket that was handed out.
    pub(super) fn last(&self) -> Ticket {
        Ticket(self.last)
    }

    /// The next change that nobody has begun.
    pub(super) fn next(&mut self) -> Option<Ticket> {
        std::iter::from_fn(|| self.waiting.pop_front()).find(|ticket| self.changes.contains_key(ticket))
    }

    pub(super) fn hang(&mut self, ticket: Ticket) {
        self.hanging.push(ticket);
    }

    pub(super) fn take_hanging(&mut self) -> Vec<Ticket> {
        let mut hanging = std::mem::take(&mut self.hanging);
        hanging.retain(|ticket| self.changes.contains_key(ticket));
        hanging
    }

    /// Whether a change that is not done yet is a sync.
    pub(super) fn is_sync(&self, ticket: Ticket) -> bool {
        self.changes.get(&ticket).is_some_and(Change::is_sync)
    }

    /// Says when a change that begins now will be done: after all that its lane is busy with.
    pub(super) fn time(&mut self, ticket: Ticket, now: u64, slow: Duration, rng: &mut impl Rng) -> u64 {
        let change = &self.changes[&ticket];
        let takes = if change.is_sync() {
            let slow = u64::try_from(slow.as_nanos()).unwrap_or(u64::MAX);
            let range = if rng.random_ratio(1, HICCUPS) { HICCUP } else { SYNC };
            rng.random_range(range).saturating_add(slow)
        } else {
            rng.random_range(WRITE)
        };
        let busy = self.busy_until.entry(change.lane()).or_default();
        *busy = now.max(*busy).saturating_add(takes);
        *busy
    }

    /// Takes a change to do it; nothing if it is done or gone.
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<Change> {
        let change = self.changes.remove(&ticket)?;
        assert!(
            self.changes.range(..ticket).all(|(_, earlier)| earlier.lane() != change.lane()),
            "the changes of one file are done in order"
        );
        Some(change)
    }

    /// The oldest change, if it is not younger than this one.
    pub(super) fn oldest(&self, upto: Ticket) -> Option<Ticket> {
        self.changes.keys().next().copied().filter(|&ticket| ticket <= upto)
    }

    /// Forgets everything, except for what had reached the kernel: in each lane the first few.
    pub(super) fn abandon(&mut self, rng: &mut impl Rng) -> Vec<Change> {
        let mut left: BTreeMap<Lane, usize> = BTreeMap::new();
        for change in self.changes.values() {
            *left.entry(change.lane()).or_default() += 1;
        }
        for count in left.values_mut() {
            *count = rng.random_range(0..=*count);
        }
        let changes = std::mem::take(&mut self.changes);
        self.clear();
        let mut reached = Vec::new();
        for change in changes.into_values() {
            if let Some(more) = left.get_mut(&change.lane()).filter(|more| **more > 0) {
                *more -= 1;
                reached.push(change);
            }
        }
        reached
    }

    /// Forgets everything but the numbers that were used.
    pub(super) fn clear(&mut self) {
        *self = Queue { last: self.last, ..Queue::default() };
    }
}
