//! What a leader does: takes proposals in, sends them out, and decides what is committed.
//!
//! A leader sends entries before they are on its own disk; its disk and its followers' work side by
//! side (dissertation §10.2.1). It counts itself like a follower: only what [`Raft::durable`] says.
//!
//! It commits by counting only entries of its own term (§5.4.2). An older entry on a majority can
//! still be overwritten, as Figure 8 shows; it is committed by what stands behind it.

use std::collections::BTreeMap;

use crate::bug::Bug;
use crate::entry::{Entry, Payload, Proposal, Request, Suffix};
use crate::ids::{EntryId, Index, NodeId, RequestId};
use crate::message::Message;
use crate::progress::Progress;
use crate::raft::{Raft, Standing};
use crate::read::Reads;
use crate::seam::{Answer, Diverged, Output, Refusal, Timer};

/// A leader's memory; it is gone when the lead is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Leader {
    pub(crate) followers: BTreeMap<NodeId, Progress>,
    /// The first entry of its own term.
    pub(crate) first: Index,
    pub(crate) reads: Reads,
    /// Bytes taken in and not yet committed.
    uncommitted: usize,
}

impl Leader {
    pub(crate) fn new(followers: impl Iterator<Item = NodeId>, last: Index, first: Index) -> Leader {
        Leader {
            followers: followers.map(|follower| (follower, Progress::new(last))).collect(),
            first,
            reads: Reads::default(),
            uncommitted: 0,
        }
    }

    /// The lead is lost: whoever waits for a read learns it.
    pub(crate) fn resign(self, node: &Raft, out: &mut Output) {
        for (origin, ids) in self.reads.abandon() {
            node.refuse(origin, ids, Refusal::NotLeader, out);
        }
    }
}

impl Raft {
    /// The leader's memory, if we lead.
    pub(crate) fn leading(&mut self) -> Option<&mut Leader> {
        match &mut self.standing {
            Standing::Leader(leader) => Some(leader),
            _ => None,
        }
    }

    /// Tells this node's own client, or the node that sent its client's request on, that it is not taken.
    pub(crate) fn refuse(&self, origin: Option<NodeId>, ids: Vec<RequestId>, why: Refusal, out: &mut Output) {
        match origin {
            Some(node) if !ids.is_empty() => self.send_now(node, Message::Refused { ids }, out),
            Some(_) => {}
            None => out.answer.extend(ids.into_iter().map(|id| Answer::Refused { id, why })),
        }
    }

    pub(crate) fn propose(&mut self, proposals: Vec<Proposal>, out: &mut Output) {
        let ids = || proposals.iter().map(|proposal| proposal.request.id);
        match self.leader() {
            Some(leader) if leader == self.config.id => self.take_in(None, proposals, out),
            Some(leader) => {
                out.answer.extend(ids().map(|id| Answer::Forwarded { id, to: leader }));
                for proposals in batches(proposals, self.config.append_bytes) {
                    self.send_now(leader, Message::Forward { proposals }, out);
                }
            }
            None => self.refuse(None, ids().collect(), Refusal::NoLeader, out),
        }
    }

    /// Takes proposals in if we lead. They were passed on once; they are not passed on again, so
    /// that two nodes with old news of each other do not play ball with them.
    pub(crate) fn on_forward(&mut self, from: NodeId, proposals: Vec<Proposal>, out: &mut Output) {
        if self.leading().is_some() {
            self.take_in(Some(from), proposals, out);
        } else {
            let ids = proposals.iter().map(|proposal| proposal.request.id).collect();
            self.refuse(Some(from), ids, Refusal::NotLeader, out);
        }
    }

    pub(crate) fn on_refused(&mut self, ids: Vec<RequestId>, out: &mut Output) {
        self.refuse(None, ids, Refusal::NotLeader, out);
    }

    fn take_in(&mut self, origin: Option<NodeId>, proposals: Vec<Proposal>, out: &mut Output) {
        let full = self.config.uncommitted_bytes;
        if self.leading().is_some_and(|leader| leader.uncommitted >= full) {
            let ids = proposals.iter().map(|proposal| proposal.request.id).collect();
            self.refuse(origin, ids, Refusal::Full, out);
            return;
        }
        let wanted = proposals.into_iter().map(|proposal| (Some(proposal.request), proposal.payload));
        let entries = self.append(wanted.collect(), out);
        if origin.is_none() {
            out.answer.extend(entries.iter().filter_map(|(entry, request)| {
                request.map(|request| Answer::Accepted { id: request.id, entry: *entry })
            }));
        }
    }

    pub(crate) fn append_noop(&mut self, out: &mut Output) {
        self.append(vec![(None, Payload::Noop)], out);
    }

    /// Writes entries of this term behind all others, and sends them to every follower that can take them.
    fn append(
        &mut self,
        wanted: Vec<(Option<Request>, Payload)>,
        out: &mut Output,
    ) -> Vec<(EntryId, Option<Request>)> {
        let after = self.log.last();
        let term = self.hard.term;
        let stamp = self.now.wall.max(self.log.last_stamp());
        let mut index = after.index;
        let entries: Vec<Entry> = wanted
            .into_iter()
            .map(|(request, payload)| {
                index = index.next();
                Entry { id: EntryId { term, index }, stamp, request, payload }
            })
            .collect();
        let names = entries.iter().map(|entry| (entry.id, entry.request)).collect();
        let bytes: usize = entries.iter().map(Entry::weight).sum();
        self.write(Suffix::new(after, entries).expect("a leader numbers its entries"));
        if let Some(leader) = self.leading() {
            leader.uncommitted += bytes;
        }
        if self.config.bugs.has(Bug::AckBeforeQuorum) {
            self.commit_upto(index);
        }
        self.send_appends(out);
        names
    }

    /// Sends every follower what it can take now.
    fn send_appends(&mut self, out: &mut Output) {
        for follower in self.config.voters.clone().others(self.config.id) {
            self.send_append(follower, out);
        }
    }

    /// Sends appends while the follower's window is open and there are entries for it.
    fn send_append(&mut self, to: NodeId, out: &mut Output) {
        let Standing::Leader(leader) = &mut self.standing else { return };
        let Some(progress) = leader.followers.get_mut(&to) else { return };
        let mut messages = Vec::new();
        while progress.open(self.config.window) {
            let probing = !progress.replicates();
            if !probing && progress.next > self.log.last().index {
                break;
            }
            let suffix = self
                .log
                .suffix(progress.next.previous(), self.config.append_bytes)
                .expect("what a follower needs is in the log");
            let bytes = suffix.entries().iter().map(Entry::weight).sum();
            progress.sent(suffix.last().index, bytes);
            messages.push(Message::Append { suffix, commit: self.commit });
        }
        for message in messages {
            self.send_now(to, message, out);
        }
    }

    /// Tells a follower how far the log is committed, and asks whether it has what was sent to it.
    fn send_empty_append(&self, to: NodeId, out: &mut Output) {
        let Standing::Leader(leader) = &self.standing else { return };
        let Some(progress) = leader.followers.get(&to) else { return };
        let after = progress.next.previous();
        let suffix = self.log.suffix(after, 0).expect("what a follower needs is in the log");
        let nothing = Suffix::new(suffix.after(), Vec::new()).expect("an empty run has no gaps");
        self.send_now(to, Message::Append { suffix: nothing, commit: self.commit }, out);
    }

    pub(crate) fn on_matched(&mut self, from: NodeId, upto: Index, out: &mut Output) {
        let last = self.log.last().index;
        if self.leading().is_none() {
            return;
        }
        if upto > last {
            Raft::halt(Diverged::AcknowledgedTooMuch { peer: from, upto, last }, out);
            return;
        }
        let Some(progress) = self.leading().and_then(|leader| leader.followers.get_mut(&from)) else {
            return;
        };
        progress.matched(upto);
        self.advance_commit(out);
        self.send_append(from, out);
    }

    pub(crate) fn on_diverged(&mut self, from: NodeId, after: EntryId, probe: EntryId, out: &mut Output) {
        let candidate = self.log.agree(probe).index;
        let Some(progress) = self.leading().and_then(|leader| leader.followers.get_mut(&from)) else {
            return;
        };
        if progress.diverged(after.index, candidate) {
            self.send_append(from, out);
        }
    }

    /// Commits what a quorum has on disk, if it ends in an entry of this term (§5.4.2).
    pub(crate) fn advance_commit(&mut self, out: &mut Output) {
        let durable = self.durable();
        let Standing::Leader(leader) = &self.standing else { return };
        let quorum = self.config.voters.reached(|voter| {
            if voter == self.config.id {
                durable
            } else {
                leader.followers.get(&voter).map_or(Index(0), |progress| progress.matched)
            }
        });
        let ours = self.log.term_at(quorum) == Some(self.hard.term);
        if quorum <= self.commit || !(ours || self.config.bugs.has(Bug::CommitOldTerm)) {
            return;
        }
        let committed: usize = self.log.between(self.commit, quorum).iter().map(Entry::weight).sum();
        self.commit_upto(quorum);
        if let Some(leader) = self.leading() {
            leader.uncommitted = leader.uncommitted.saturating_sub(committed);
        }
        self.tell_commit(out);
        self.admit_early_reads(out);
    }

    /// A follower's clients wait for its commit index as much as ours do: it rides on the next
    /// append if there is one, else on an empty one.
    fn tell_commit(&mut self, out: &mut Output) {
        for follower in self.config.voters.clone().others(self.config.id) {
            let before = out.send_now.len();
            self.send_append(follower, out);
            let replicates = self
                .leading()
                .and_then(|leader| leader.followers.get(&follower))
                .is_some_and(Progress::replicates);
            if replicates && out.send_now.len() == before {
                self.send_empty_append(follower, out);
            }
        }
    }

    pub(crate) fn on_heartbeat_timeout(&mut self, out: &mut Output) {
        if self.leading().is_some() {
            self.begin_round(out);
            out.arm.insert(Timer::Heartbeat);
        }
    }

    /// A follower is alive. If it has not answered anything lately, what was sent may be lost: ask again.
    pub(crate) fn on_heartbeat_reply(&mut self, from: NodeId, round: u64, out: &mut Output) {
        let last = self.log.last().index;
        let Some(progress) = self.leading().and_then(|leader| leader.followers.get_mut(&from)) else {
            return;
        };
        progress.heard = progress.heard.max(round);
        let behind = progress.silent() && progress.matched < last;
        let replicates = progress.replicates();
        progress.retry();
        if behind && replicates {
            self.send_empty_append(from, out);
        } else if behind {
            self.send_append(from, out);
        }
        self.confirm_reads(out);
    }
}

/// The same proposals in runs of at most `bytes`, or of one: what a turn gathers may be more than a link
/// takes in one message.
fn batches(proposals: Vec<Proposal>, bytes: usize) -> Vec<Vec<Proposal>> {
    let mut batches: Vec<Vec<Proposal>> = Vec::new();
    let mut room = 0;
    for proposal in proposals {
        let weight = proposal.payload.weight();
        match batches.last_mut() {
            Some(batch) if weight <= room => batch.push(proposal),
            _ => {
                room = bytes.max(weight);
                batches.push(vec![proposal]);
            }
        }
        room -= weight;
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SessionId;

    #[test]
    fn what_is_sent_on_is_cut_into_messages_of_a_bearable_size() {
        let proposal = |seq: u64, length: usize| Proposal {
            request: Request { id: RequestId { session: SessionId(1), seq }, floor: 1 },
            payload: Payload::Command(vec![0; length].into()),
        };
        let all = [100, 100, 900, 2000, 10].into_iter().zip(1..).map(|(length, seq)| proposal(seq, length));
        let all: Vec<Proposal> = all.collect();
        let batches = batches(all.clone(), 1000);
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1, 1]);
        assert_eq!(batches.concat(), all, "in their order");
    }
}
