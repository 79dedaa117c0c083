//! Linearizable reads without writing to the log (dissertation §6.4).
//!
//! A leader may have been replaced without knowing it. If it answered reads from its own state, a
//! client could see an old value after a newer one was acknowledged elsewhere. So the leader
//! 1. notes its commit index as the read's index,
//! 2. hears from a quorum, in reply to something sent after the read came in, that it still leads,
//! 3. lets the read be answered once everything up to the read's index is applied.
//!
//! Heartbeats are numbered, and each broadcast is a new *round*. A read needs the round after the
//! one that was last sent when it came in, so one round confirms every read that came before it, and
//! an answer to an earlier round confirms nothing newer. A number is never used for two broadcasts:
//! a retry under an old number would let old answers confirm it.
//!
//! A new leader first commits an entry of its own term, since until then it does not know how far
//! the log is committed; reads wait for that. A follower sends its clients' reads on, once, and
//! answers them itself when it has applied far enough.
//!
//! A [lease](crate::lease), where one is allowed, saves step 2 at the price of trusting clocks.
//! `Bug::SkipReadQuorum` leaves step 2 out too.

use std::collections::BTreeMap;

use crate::bug::Bug;
use crate::ids::{Index, NodeId, RequestId};
use crate::message::Message;
use crate::raft::{Config, Raft, Standing};
use crate::seam::{Answer, Output, Refusal};

/// The reads that wait at a leader.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Reads {
    /// The last round broadcast.
    round: u64,
    /// Came before the first commit of this term.
    early: Vec<Batch>,
    /// Wait for their round to be confirmed; rounds never fall from front to back.
    waiting: Vec<(u64, Index, Batch)>,
}

/// Reads that came together, and from where: `None` is this node's own clients.
type Batch = (Option<NodeId>, Vec<RequestId>);

/// How many reads may wait at a leader. One that hears nobody would gather them without end.
const LIMIT: usize = 1 << 16;

impl Reads {
    /// How many wait.
    fn count(&self) -> usize {
        let early = self.early.iter().map(|(_, ids)| ids.len()).sum::<usize>();
        early + self.waiting.iter().map(|(.., (_, ids))| ids.len()).sum::<usize>()
    }

    /// Everything that waits, given up.
    pub(crate) fn abandon(self) -> impl Iterator<Item = Batch> {
        self.early.into_iter().chain(self.waiting.into_iter().map(|(.., batch)| batch))
    }

    /// The reads that a quorum's answer to `round` confirms, with their index.
    fn confirmed(&mut self, round: u64) -> Vec<(Index, Batch)> {
        let count = self.waiting.partition_point(|(needs, ..)| *needs <= round);
        self.waiting.drain(..count).map(|(_, index, batch)| (index, batch)).collect()
    }
}

impl Raft {
    pub(crate) fn read(&mut self, ids: Vec<RequestId>, out: &mut Output) {
        match self.leader() {
            Some(leader) if leader == self.config.id => self.take_read(None, ids, out),
            Some(leader) => {
                out.answer.extend(ids.iter().map(|id| Answer::Forwarded { id: *id, to: leader }));
                self.send_now(leader, Message::ForwardRead { ids }, out);
            }
            None => self.refuse(None, ids, Refusal::NoLeader, out),
        }
    }

    pub(crate) fn on_forward_read(&mut self, from: NodeId, ids: Vec<RequestId>, out: &mut Output) {
        if self.leading().is_some() {
            self.take_read(Some(from), ids, out);
        } else {
            self.refuse(Some(from), ids, Refusal::NotLeader, out);
        }
    }

    /// The index was a leader's commit index after the read began. That stays true whatever has
    /// happened to the leader since, so the answer is as good in any term.
    pub(crate) fn on_read_at(&mut self, ids: Vec<RequestId>, index: Index, out: &mut Output) {
        self.answer_reads(None, ids, index, out);
    }

    fn take_read(&mut self, origin: Option<NodeId>, ids: Vec<RequestId>, out: &mut Output) {
        let bugs = self.config.bugs;
        if bugs.has(Bug::SkipReadQuorum) {
            self.answer_reads(origin, ids, self.commit, out);
            return;
        }
        let (commit, now, lease) = (self.commit, self.now.mono, self.config.lease);
        let Some(leader) = self.leading() else { return };
        if leader.reads.count() + ids.len() > LIMIT {
            self.refuse(origin, ids, Refusal::Full, out);
            return;
        }
        if commit < leader.first && !bugs.has(Bug::ReadBeforeOwnCommit) {
            leader.reads.early.push((origin, ids));
            return;
        }
        if lease.is_some() && leader.lease.holds(now) {
            self.answer_reads(origin, ids, commit, out);
            return;
        }
        let idle = leader.reads.waiting.is_empty();
        let joins = !idle && bugs.has(Bug::ReuseReadRound);
        let needs = if joins { leader.reads.round } else { leader.reads.round + 1 };
        leader.reads.waiting.push((needs, commit, (origin, ids)));
        if idle {
            self.begin_round(out);
        }
    }

    /// The first entry of our term is committed: what waited for that may be read.
    pub(crate) fn admit_early_reads(&mut self, out: &mut Output) {
        let commit = self.commit;
        let Some(leader) = self.leading() else { return };
        if commit >= leader.first {
            for (origin, ids) in std::mem::take(&mut leader.reads.early) {
                self.take_read(origin, ids, out);
            }
        }
    }

    /// Asks every follower whether we still lead.
    pub(crate) fn begin_round(&mut self, out: &mut Output) {
        let now = self.now.mono;
        let leased = self.config.lease.is_some();
        let Some(leader) = self.leading() else { return };
        leader.reads.round += 1;
        if leased {
            leader.lease.sent(leader.reads.round, now);
        }
        let Standing::Leader(leader) = &self.standing else { return };
        let round = leader.reads.round;
        for (follower, progress) in &leader.followers {
            let trusted = self.config.bugs.has(Bug::TrustLeaderCommit);
            let commit = if trusted { self.commit } else { self.commit.min(progress.matched) };
            self.send_now(*follower, Message::Heartbeat { round, commit }, out);
        }
        self.confirm_reads(out);
    }

    /// Lets those reads be answered whose round a quorum has answered, and begins the next round if
    /// others came in the meantime.
    pub(crate) fn confirm_reads(&mut self, out: &mut Output) {
        let Standing::Leader(leader) = &mut self.standing else { return };
        let round = leader.reads.round;
        let own = self.config.id;
        let followers = &leader.followers;
        let reached = self.membership.reached(|voter| {
            if voter == own { round } else { followers.get(&voter).map_or(0, |progress| progress.heard) }
        });
        if let Some(lease) = self.config.lease {
            let Config { election_min, bugs, .. } = self.config;
            leader.lease.answered(reached, self.now.mono, lease, election_min, bugs);
        }
        let confirmed = leader.reads.confirmed(reached);
        let more = leader.reads.waiting.first().is_some_and(|(needs, ..)| *needs > round);
        for (index, (origin, ids)) in merge(confirmed) {
            self.answer_reads(origin, ids, index, out);
        }
        if more {
            self.begin_round(out);
        }
    }

    fn answer_reads(&self, origin: Option<NodeId>, ids: Vec<RequestId>, index: Index, out: &mut Output) {
        match origin {
            Some(node) => self.send_now(node, Message::ReadAt { ids, index }, out),
            None => out.answer.extend(ids.into_iter().map(|id| Answer::ReadAt { id, index })),
        }
    }
}

/// Reads confirmed together are answered together, one message an origin. The greatest index serves
/// them all: a read may be newer than it had to be.
fn merge(confirmed: Vec<(Index, Batch)>) -> Vec<(Index, Batch)> {
    let mut merged: BTreeMap<Option<NodeId>, (Index, Vec<RequestId>)> = BTreeMap::new();
    for (index, (origin, ids)) in confirmed {
        let (upto, all) = merged.entry(origin).or_default();
        *upto = index.max(*upto);
        all.extend(ids);
    }
    merged.into_iter().map(|(origin, (index, ids))| (index, (origin, ids))).collect()
}
