//! Snapshots, as far as the protocol goes (§7).
//!
//! The caller takes them, whenever it likes, of a state machine that has executed everything up to some entry, and
//! says so when one is on disk ([`Input::Snapshotted`](crate::Input::Snapshotted)). Then the log need not keep what is
//! in it; it keeps a [`Tail`] all the same, so that a follower that was away for a moment is served from the log.
//!
//! A follower that lacks what is gone is offered the snapshot ([`Message::Snapshot`]). It fetches the bytes, piece by
//! piece, which is none of the core's business; when they are on its disk, the log begins anew behind them. Only then
//! does it acknowledge, and only by a write that comes after: a node that acknowledged has what it acknowledged, in
//! one file or in the other.
//!
//! Two things are never done. A snapshot never takes the place of a newer log: if the entry at its end is in the log,
//! the log has everything that the snapshot has. And nothing committed is taken back: a snapshot that ends before
//! what is committed here is old news.

use crate::bug::Bug;
use crate::checkpoint::Checkpoint;
use crate::ids::{EntryId, Index, NodeId};
use crate::message::Message;
use crate::raft::{Raft, Standing};
use crate::seam::{Diverged, Offer, Output};

/// How much of the log is kept behind a snapshot, in entries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tail {
    /// In any case.
    pub usual: u64,
    /// At most, for a follower that is there and a bit behind, or fetches an older snapshot.
    pub most: u64,
}

impl Default for Tail {
    /// 5,000 entries in any case, 50,000 for those who need them.
    fn default() -> Tail {
        Tail { usual: 5_000, most: 50_000 }
    }
}

impl Raft {
    pub(crate) fn on_snapshotted(&mut self, index: Index) {
        let beyond = self.config.bugs.has(Bug::CompactUnapplied);
        let index = if beyond { self.log.last().index } else { index.min(self.applied()) };
        let Some(checkpoint) = self.log.checkpoint(index).filter(|_| index > self.snapshot.index()) else {
            return;
        };
        self.snapshot = checkpoint;
        if self.config.bugs.has(Bug::WrongSnapshotTerm) {
            self.snapshot.id.term = self.hard.term;
        }
        self.log.compact(self.kept_behind(index));
    }

    /// From where on the log is kept when there is a snapshot at `index`.
    fn kept_behind(&self, index: Index) -> Index {
        let Tail { usual, most } = self.config.tail;
        let behind = |count: u64| Index(index.0.saturating_sub(count));
        if self.config.bugs.has(Bug::CompactUnapplied) {
            return index;
        }
        let Standing::Leader(leader) = &self.standing else { return behind(usual) };
        let there = leader.followers.values().filter(|progress| progress.present());
        let needed = there.map(|progress| progress.fetching().unwrap_or(progress.matched)).min();
        behind(usual).min(needed.unwrap_or(index)).max(behind(most))
    }

    /// What a follower lacks is gone: it is offered the latest snapshot, unless it knows.
    pub(crate) fn offer_snapshot(&mut self, to: NodeId, out: &mut Output) {
        let checkpoint = self.snapshot.clone();
        let upto = checkpoint.index();
        let Some(progress) = self.leading().and_then(|leader| leader.followers.get_mut(&to)) else { return };
        if progress.fetches(upto) {
            self.send_now(to, Message::Snapshot { checkpoint }, out);
        }
    }

    pub(crate) fn on_snapshot(&mut self, from: NodeId, checkpoint: Checkpoint, out: &mut Output) {
        if checkpoint.id.term > self.hard.term || !self.acknowledge(from, out) {
            return;
        }
        if let Some(other) = self.contradicts(&checkpoint) {
            let (leader, offered) = (from, checkpoint.id);
            Raft::halt(Diverged::OtherSnapshot { leader, offered, ours: other }, out);
        } else if self.has_all_of(&checkpoint) {
            self.acknowledge_snapshot(from, &checkpoint, out);
        } else {
            out.fetch = Some(Offer { from, checkpoint });
        }
    }

    pub(crate) fn on_fetched(&mut self, checkpoint: &Checkpoint, out: &mut Output) {
        if !matches!(self.standing, Standing::Leader(_)) && !self.has_all_of(checkpoint) {
            self.begin_anew(checkpoint.clone(), out);
        }
        // Whoever leads now has all of it too: it is committed.
        match self.leader() {
            Some(leader) if leader != self.config.id && self.has_all_of(checkpoint) => {
                self.acknowledge_snapshot(leader, checkpoint, out);
            }
            _ => {}
        }
    }

    /// What is committed here where the snapshot ends, if that is something else.
    fn contradicts(&self, checkpoint: &Checkpoint) -> Option<EntryId> {
        let ours = self.log.id_at(checkpoint.index())?;
        (checkpoint.index() <= self.commit && ours != checkpoint.id).then_some(ours)
    }

    /// Whether our log has everything that the snapshot has, or has had it.
    fn has_all_of(&self, checkpoint: &Checkpoint) -> bool {
        if self.config.bugs.has(Bug::InstallOverNewer) {
            return self.log.base().index() == checkpoint.index();
        }
        checkpoint.index() <= self.commit || self.log.has(checkpoint.id)
    }

    /// Everything that the snapshot has is committed; once it is on our disk, the leader may count on it.
    fn acknowledge_snapshot(&mut self, leader: NodeId, checkpoint: &Checkpoint, out: &mut Output) {
        self.commit_upto(checkpoint.index());
        self.send_after(leader, Message::Matched { upto: checkpoint.index() }, out);
    }
}
