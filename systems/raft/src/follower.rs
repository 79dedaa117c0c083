//! What a follower does: takes over its leader's log (§5.3).
//!
//! An append names the entry it continues. If the follower has that entry, both logs agree up to
//! there, and what follows is copied; entries of its own that contradict it go. If not, the follower
//! says which of its entries could be common, and the leader tries there.
//!
//! Two things are never done. A late or repeated append never shortens the log: only an entry that
//! *contradicts* is cut, not one that the message merely does not mention. And nothing committed is
//! ever cut: a leader that asks for it has lost its past, or we have, and this node stops.
//!
//! A follower can also find that its own disk has forgotten what it acknowledged: an older copy was put back, or
//! a sync was a lie. Its leader counted on those entries, so it must not go on as if it had never had them; above
//! all it must not vote. It needs no message of its own. A heartbeat says how far the log is committed *as far as
//! this follower acknowledged it*; a log that ends before that has lost something, and this node stops.
//! A refusal would be a worse witness: it may be older than the acknowledgement that overtook it, whereas a
//! heartbeat that is late only claims less.
//!
//! - *Is that in time?* Mostly. Who has just restarted, or has heard a leader, gives no vote for the shortest election
//!   timeout, and heartbeats come more often than that, once the leader has reached it again. A leader that takes longer
//!   to, or that has lost its quorum meanwhile, is too late.
//! - *What is not seen.* What was acknowledged and is not committed, until it is. Another entry where the lost one
//!   stood: it may be executed before the next append contradicts it and stops this node. And whatever was
//!   acknowledged to an earlier leader: who leads later knows nothing of it. Was it elected by a vote of one who
//!   forgot, a committed entry can be lost; whoever still has that entry then stops instead of having it overwritten.

use crate::bug::Bug;
use crate::entry::Suffix;
use crate::ids::{EntryId, Index, NodeId, Wall};
use crate::message::Message;
use crate::raft::{Raft, Standing};
use crate::seam::{Diverged, Output, Timer};

impl Raft {
    /// Accepts `from` as the leader of this term, unless that cannot be.
    pub(crate) fn acknowledge(&mut self, from: NodeId, out: &mut Output) -> bool {
        let known = match &self.standing {
            Standing::Leader(_) => Some(self.config.id),
            Standing::Follower { leader } => *leader,
            Standing::PreCandidate { .. } | Standing::Candidate { .. } => None,
        };
        match known {
            Some(first) if first != from => {
                Raft::halt(Diverged::TwoLeaders { term: self.hard.term, first, second: from }, out);
                return false;
            }
            Some(_) => {}
            None => self.follow(Some(from), out),
        }
        self.heard = Some(self.now.mono);
        out.arm.insert(Timer::Election);
        true
    }

    pub(crate) fn on_append(&mut self, from: NodeId, suffix: Suffix, commit: Index, out: &mut Output) {
        if !self.could_be_written(&suffix) || !self.acknowledge(from, out) {
            return;
        }
        let Some(suffix) = self.behind_base(from, suffix, out) else { return };
        let after = suffix.after();
        let long_enough = after.index <= self.log.last().index;
        let joins = self.log.has(after) || (long_enough && self.config.bugs.has(Bug::SkipTermCheck));
        if !joins {
            if after.index <= self.commit {
                self.fence(from, after.index, out);
                return;
            }
            let before = EntryId { index: after.index.previous(), term: after.term };
            let probe = self.log.agree(before);
            self.send_in_term(from, Message::Diverged { after, probe }, out);
            return;
        }
        let last = suffix.last().index;
        if let Some(index) = self.log.first_new(&suffix) {
            if index <= self.commit {
                self.fence(from, index, out);
                return;
            }
            let kept = self.config.bugs.has(Bug::KeepConflict);
            let index = if kept { index.max(self.log.last().index.next()) } else { index };
            self.write(self.tail_from(suffix, index));
        } else if self.config.bugs.has(Bug::CutOnStaleAppend) {
            self.cut_behind(last.max(self.commit));
        }
        self.commit_upto(commit.min(last));
        if self.config.bugs.has(Bug::AckBeforeSync) {
            self.send_now(from, Message::Matched { upto: last }, out);
        } else {
            self.send_after(from, Message::Matched { upto: last }, out);
        }
    }

    /// Of a suffix that begins before our log does, the part that our log can know of. What is before is executed
    /// here, so the leader has the same there, or one of us has lost its past.
    fn behind_base(&self, from: NodeId, suffix: Suffix, out: &mut Output) -> Option<Suffix> {
        let base = self.log.base().id;
        if suffix.after().index >= base.index {
            return Some(suffix);
        }
        if suffix.last().index < base.index {
            self.send_after(from, Message::Matched { upto: suffix.last().index }, out);
            return None;
        }
        let rest = suffix.behind(base.index);
        if rest.after() != base {
            self.fence(from, base.index, out);
            return None;
        }
        Some(rest)
    }

    /// What no follower should do: drops all entries behind `last` (`Bug::CutOnStaleAppend`).
    fn cut_behind(&mut self, last: Index) {
        let end = self.log.id_at(last).expect("the log goes at least so far");
        if end != self.log.last() {
            self.write(Suffix::new(end, Vec::new()).expect("an empty run has no gaps"));
        }
    }

    /// Whether a leader of this term can have such entries: of no later term, and no older than those
    /// before them. Taken in, they would break this log's order, and the next leader's.
    fn could_be_written(&self, suffix: &Suffix) -> bool {
        let before = self.log.stamp_at(suffix.after().index).unwrap_or(Wall(0));
        let first = suffix.entries().first();
        let joins = !self.log.has(suffix.after()) || first.is_none_or(|entry| entry.stamp >= before);
        suffix.last().term <= self.hard.term && joins
    }

    /// The part of `suffix` that begins at `index`.
    fn tail_from(&self, suffix: Suffix, index: Index) -> Suffix {
        let after = self.log.id_at(index.previous()).expect("all entries before the first new one are here");
        let rest = suffix.into_entries().into_iter().filter(|entry| entry.id.index >= index).collect();
        Suffix::new(after, rest).expect("the end of a run is a run")
    }

    fn fence(&self, leader: NodeId, index: Index, out: &mut Output) {
        Raft::halt(Diverged::CommittedOverwritten { leader, index, commit: self.commit }, out);
    }

    /// The commit index of a heartbeat is at most what we acknowledged to this leader, in this term,
    /// so those entries are the leader's own. And they are here: an acknowledgement leaves once they are on
    /// disk, and nobody cuts them in this term. If they are not, this disk has lost them.
    pub(crate) fn on_heartbeat(&mut self, from: NodeId, round: u64, commit: Index, out: &mut Output) {
        if !self.acknowledge(from, out) {
            return;
        }
        let last = self.log.last().index;
        if commit > last && !self.config.bugs.has(Bug::TrustLeaderCommit) {
            Raft::halt(Diverged::Forgotten { leader: from, acknowledged: commit, last }, out);
            return;
        }
        self.commit_upto(commit.min(last));
        self.send_in_term(from, Message::HeartbeatReply { round }, out);
    }
}
