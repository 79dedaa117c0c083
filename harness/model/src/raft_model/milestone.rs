//! What should happen at least once: a search that never meets it has tried nothing.
//!
//! A profile whose bounds are too narrow breaks no property, and says so in good faith. So each names what it
//! is there for, and is not *valid* before it was met.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

/// Something that happened.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Milestone {
    /// A node begins to lead.
    Leader,
    /// It does while another still leads, in an older term.
    TwoLeaders,
    /// A leader gives way.
    Deposed,
    /// A client's write was executed where it was asked, and the client was told.
    WriteAnswered,
    /// A read was answered.
    ReadAnswered,
    /// An op was sent on to the leader.
    Forwarded,
    /// A log lost entries to those of another leader.
    Overwritten,
    /// A leader commits an entry that an earlier leader wrote.
    OldEntryCommitted,
    /// A crash while something was being written.
    WriteLost,
    /// A crash in the middle of a write: term and vote are on disk, the entries are not.
    WriteTorn,
    /// A node came back with what its disk had.
    Restarted,
    /// A message arrived twice, and the second time, too, something came of it.
    Twice,
    /// A message was lost on a link that keeps the order.
    Lost,
    /// A node that did not belong to the cluster does, and that is committed.
    Added,
    /// A node belongs to the cluster no longer, and that is committed.
    Removed,
    /// A learner became a voter, and that is committed.
    Promoted,
    /// The end of a joint membership is committed.
    JointLeft,
    /// A log gave up its beginning to a snapshot.
    Compacted,
    /// A node took on the snapshot of another.
    SnapshotInstalled,
    /// The lead was given away, and the leader of before knows who has it.
    HandedOver,
    /// The lead was not taken over, and stayed.
    Untransferred,
    /// A read was answered without asking anybody.
    LeaseRead,
}

impl Milestone {
    /// All of them.
    pub const ALL: [Milestone; 22] = [
        Milestone::Leader,
        Milestone::TwoLeaders,
        Milestone::Deposed,
        Milestone::WriteAnswered,
        Milestone::ReadAnswered,
        Milestone::Forwarded,
        Milestone::Overwritten,
        Milestone::OldEntryCommitted,
        Milestone::WriteLost,
        Milestone::WriteTorn,
        Milestone::Restarted,
        Milestone::Twice,
        Milestone::Lost,
        Milestone::Added,
        Milestone::Removed,
        Milestone::Promoted,
        Milestone::JointLeft,
        Milestone::Compacted,
        Milestone::SnapshotInstalled,
        Milestone::HandedOver,
        Milestone::Untransferred,
        Milestone::LeaseRead,
    ];

    /// What happened, in a few words.
    pub fn name(self) -> &'static str {
        match self {
            Milestone::Leader => "a leader",
            Milestone::TwoLeaders => "two leaders at once",
            Milestone::Deposed => "a leader deposed",
            Milestone::WriteAnswered => "a write answered",
            Milestone::ReadAnswered => "a read answered",
            Milestone::Forwarded => "an op sent on",
            Milestone::Overwritten => "entries overwritten",
            Milestone::OldEntryCommitted => "an old entry committed",
            Milestone::WriteLost => "a write lost in a crash",
            Milestone::WriteTorn => "a write torn in a crash",
            Milestone::Restarted => "a restart",
            Milestone::Twice => "a message twice",
            Milestone::Lost => "a message lost",
            Milestone::Added => "a member added",
            Milestone::Removed => "a member removed",
            Milestone::Promoted => "a learner promoted",
            Milestone::JointLeft => "a joint membership left",
            Milestone::Compacted => "a log compacted",
            Milestone::SnapshotInstalled => "a snapshot installed",
            Milestone::HandedOver => "the lead handed over",
            Milestone::Untransferred => "a lead not taken over",
            Milestone::LeaseRead => "a read by a lease",
        }
    }
}

impl fmt::Display for Milestone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Some of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Milestones(u32);

impl Milestones {
    pub(crate) fn of(milestone: Milestone) -> Milestones {
        Milestones(1 << milestone as u32)
    }

    pub(crate) fn add(&mut self, milestone: Milestone) {
        self.0 |= 1 << milestone as u32;
    }

    pub(crate) fn has(self, milestone: Milestone) -> bool {
        self.0 >> milestone as u32 & 1 == 1
    }
}

/// What any thread of a search has met. What was met once stays.
#[derive(Debug, Default)]
pub(crate) struct Met(AtomicU32);

impl Met {
    pub(crate) fn add(&self, milestones: Milestones) {
        // Nearly always nothing is new, and a look is cheaper than a write that all threads wait for.
        if self.0.load(Ordering::Relaxed) | milestones.0 != self.0.load(Ordering::Relaxed) {
            self.0.fetch_or(milestones.0, Ordering::Relaxed);
        }
    }

    pub(crate) fn so_far(&self) -> Milestones {
        Milestones(self.0.load(Ordering::Relaxed))
    }
}
