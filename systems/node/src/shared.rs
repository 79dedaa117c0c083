//! What the loop tells the rest of the node: where it stands, and what it has counted.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use raft::{Membership, NodeId};
use replica::{Halt, Outcome};
use wal::SyncTimes;

use crate::peers::Links;

/// A moment in the life of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// What the replica says.
    pub replica: replica::Status,
    /// The peers that this node can talk to. Whether they can talk back, only they know.
    pub reachable: BTreeSet<NodeId>,
    /// Why it stands still, if it does.
    pub halted: Option<Halt>,
}

/// Counts, for the metrics. They only grow.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) turns: Counter,
    pub(crate) events: Counter,
    pub(crate) writes: Counter,
    pub(crate) reads: Counter,
    pub(crate) stale_reads: Counter,
    pub(crate) done: Counter,
    pub(crate) failed: Counter,
    pub(crate) unknown: Counter,
    pub(crate) refused_calls: Counter,
    pub(crate) refused_links: Counter,
    pub(crate) received: Counter,
}

/// One count.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(crate) fn count_outcome<R>(&self, outcome: &Outcome<R>) {
        match outcome {
            Outcome::Done(_) | Outcome::Leads(_) | Outcome::Members(_) => self.done.add(1),
            Outcome::Failed(_) => self.failed.add(1),
            Outcome::Unknown(_) => self.unknown.add(1),
        }
    }
}

/// What a disk says of itself.
pub(crate) struct DiskFigures {
    pub(crate) syncs: Arc<SyncTimes>,
    /// How many bytes a kill would take, if it would take any.
    pub(crate) unsynced: Option<Arc<AtomicU64>>,
}

/// Written by the loop, read by everybody.
pub(crate) struct Shared {
    standing: RwLock<(replica::Status, Option<Halt>)>,
    /// Who belongs to the cluster, as far as the log is executed; and by all of the log.
    members: RwLock<[Arc<Membership>; 2]>,
    pub(crate) links: Arc<Links>,
    pub(crate) counters: Counters,
    pub(crate) disk: DiskFigures,
}

impl Shared {
    pub(crate) fn new(
        status: replica::Status,
        members: Arc<Membership>,
        links: Arc<Links>,
        disk: DiskFigures,
    ) -> Shared {
        let (standing, members) = (RwLock::new((status, None)), RwLock::new([Arc::clone(&members), members]));
        Shared { standing, members, links, counters: Counters::default(), disk }
    }

    /// Who belongs to the cluster, as far as this node has executed the log.
    pub(crate) fn members(&self) -> Arc<Membership> {
        Arc::clone(&self.members.read().unwrap_or_else(PoisonError::into_inner)[0])
    }

    /// Who belongs to it by this node's log, executed or not: for those to whom late news are better than none.
    pub(crate) fn latest_members(&self) -> Arc<Membership> {
        Arc::clone(&self.members.read().unwrap_or_else(PoisonError::into_inner)[1])
    }

    /// Others belong to it now.
    pub(crate) fn publish_members(&self, executed: Arc<Membership>, latest: Arc<Membership>) {
        *self.members.write().unwrap_or_else(PoisonError::into_inner) = [executed, latest];
    }

    /// Says where the replica stands now; gives back where it stood before.
    pub(crate) fn publish(&self, status: replica::Status, halted: Option<Halt>) -> replica::Status {
        let mut standing = self.standing.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *standing, (status, halted)).0
    }

    pub(crate) fn status(&self) -> Status {
        let (replica, halted) = self.standing.read().unwrap_or_else(PoisonError::into_inner).clone();
        Status { replica, reachable: self.links.reachable(), halted }
    }
}
