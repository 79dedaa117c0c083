//! What a leader does: takes proposals in, sends them out, and decides what is committed.
//!
//! A leader sends entries before they are on its own disk; its disk and its followers' work side by
//! side (dissertation §10.2.1). It counts itself like a follower: only what [`Raft::durable`] says.
//!
//! It commits by counting only entries of its own term (§5.4.2). An older entry on a majority can
//! still be overwritten, as Figure 8 shows; it is committed by what stands behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::bug::Bug;
use crate::entry::{Entry, Payload, Proposal, Request, Suffix, Wanted};
use crate::ids::{EntryId, Index, NodeId, RequestId};
use crate::lease::Held;
use crate::membership::Membership;
use crate::message::Message;
use crate::progress::Progress;
use crate::raft::{Raft, Standing};
use crate::read::Reads;
use crate::seam::{Answer, Diverged, Output, Refusal, Timer, Unchanged};

/// A leader's memory; it is gone when the lead is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Leader {
    /// Everybody that the log is sent to: the members, and those who are none any more and have not heard of it.
    pub(crate) followers: BTreeMap<NodeId, Progress>,
    /// The first entry of its own term.
    pub(crate) first: Index,
    pub(crate) reads: Reads,
    pub(crate) lease: Held,
    /// Bytes taken in and not yet committed.
    uncommitted: usize,
}

impl Leader {
    pub(crate) fn new(first: Index) -> Leader {
        let (reads, lease) = (Reads::default(), Held::default());
        Leader { followers: BTreeMap::new(), first, reads, lease, uncommitted: 0 }
    }

    /// Whoever was heard since the last look.
    pub(crate) fn look_who_is_there(&mut self) -> BTreeSet<NodeId> {
        let heard = self.followers.iter_mut().filter_map(|(node, progress)| progress.look().then_some(*node));
        heard.collect()
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
            Some(node) if !ids.is_empty() => self.send_now(node, Message::Refused { ids, why }, out),
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

    fn take_in(&mut self, origin: Option<NodeId>, proposals: Vec<Proposal>, out: &mut Output) {
        let mut refused: BTreeMap<Refusal, Vec<RequestId>> = BTreeMap::new();
        let mut taken = Vec::new();
        let mut changes = false;
        for Proposal { request, wanted } in proposals {
            let changed = matches!(wanted, Wanted::Change(_));
            let payload =
                if changes && changed { Err(Unchanged::Pending.into()) } else { self.payload(wanted) };
            match payload {
                Ok(payload) => {
                    changes |= changed;
                    taken.push((Some(request), payload));
                }
                Err(why) => refused.entry(why).or_default().push(request.id),
            }
        }
        for (why, ids) in refused {
            self.refuse(origin, ids, why, out);
        }
        if taken.is_empty() {
            return;
        }
        let entries = self.append(taken, out);
        if origin.is_none() {
            out.answer.extend(entries.iter().filter_map(|(entry, request)| {
                request.map(|request| Answer::Accepted { id: request.id, entry: *entry })
            }));
        }
    }

    /// What an entry has to say to give a client what he wants, if he can have it now.
    fn payload(&self, wanted: Wanted) -> Result<Payload, Refusal> {
        let Standing::Leader(leader) = &self.standing else { return Err(Refusal::NotLeader) };
        if self.gives_away() {
            return Err(Refusal::Transferring);
        }
        if leader.uncommitted >= self.config.uncommitted_bytes {
            return Err(Refusal::Full);
        }
        let payload = match wanted {
            Wanted::Session => Payload::OpenSession,
            Wanted::Command(command) => Payload::Command(command),
            Wanted::Change(changes) => Payload::Membership(Arc::new(self.changed(leader, &changes)?)),
        };
        if payload.weight() > self.config.entry_bytes { Err(Refusal::TooLarge) } else { Ok(payload) }
    }

    pub(crate) fn append_noop(&mut self, out: &mut Output) {
        self.append(vec![(None, Payload::Noop)], out);
    }

    pub(crate) fn append_members(&mut self, membership: Membership, out: &mut Output) {
        self.append(vec![(None, Payload::Membership(Arc::new(membership)))], out);
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
        let members = entries.iter().any(|entry| entry.membership().is_some());
        self.write(Suffix::new(after, entries).expect("a leader numbers its entries"));
        if members {
            self.know_followers();
            self.end_transfer_to_strangers(out);
        }
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
        for follower in self.followers() {
            self.send_append(follower, out);
        }
    }

    pub(crate) fn followers(&self) -> Vec<NodeId> {
        match &self.standing {
            Standing::Leader(leader) => leader.followers.keys().copied().collect(),
            _ => Vec::new(),
        }
    }

    /// Sends appends while the follower's window is open and there are entries for it.
    pub(crate) fn send_append(&mut self, to: NodeId, out: &mut Output) {
        let Standing::Leader(leader) = &mut self.standing else { return };
        let Some(progress) = leader.followers.get_mut(&to) else { return };
        if progress.next.previous() < self.log.base().index() {
            self.offer_snapshot(to, out);
            return;
        }
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
    pub(crate) fn send_empty_append(&self, to: NodeId, out: &mut Output) {
        let Standing::Leader(leader) = &self.standing else { return };
        let Some(progress) = leader.followers.get(&to) else { return };
        // What is gone from the log is asked for by an offer, not by an append.
        let Some(after) = self.log.id_at(progress.next.previous()) else { return };
        let nothing = Suffix::new(after, Vec::new()).expect("an empty run has no gaps");
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
        let base = self.log.base().index();
        let Some(progress) = self.leading().and_then(|leader| leader.followers.get_mut(&from)) else {
            return;
        };
        progress.seen();
        progress.matched(upto, base);
        self.advance_commit(out);
        self.send_append(from, out);
        self.call_if_ready(from, out);
        self.dismiss(from, out);
    }

    pub(crate) fn on_diverged(&mut self, from: NodeId, after: EntryId, probe: EntryId, out: &mut Output) {
        // What may be common is gone from our log: no append can find it.
        let gone = probe.index < self.log.base().index();
        let candidate = if gone { probe.index } else { self.log.agree(probe).index };
        let Some(progress) = self.leading().and_then(|leader| leader.followers.get_mut(&from)) else {
            return;
        };
        progress.seen();
        if progress.diverged(after.index, candidate) {
            self.send_append(from, out);
        }
    }

    /// Commits what a quorum has on disk, if it ends in an entry of this term (§5.4.2).
    pub(crate) fn advance_commit(&mut self, out: &mut Output) {
        let durable = self.durable();
        let Standing::Leader(leader) = &self.standing else { return };
        let quorum = self.membership.reached(|voter| {
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
        self.finish_change(out);
    }

    /// A follower's clients wait for its commit index as much as ours do: it rides on the next
    /// append if there is one, else on an empty one.
    fn tell_commit(&mut self, out: &mut Output) {
        for follower in self.followers() {
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
        let (base, last) = (self.log.base().index(), self.log.last().index);
        let Some(progress) = self.leading().and_then(|leader| leader.followers.get_mut(&from)) else {
            return;
        };
        progress.seen();
        progress.heard = progress.heard.max(round);
        let behind = progress.silent() && progress.matched < last;
        let replicates = progress.replicates();
        // Its window was full for so long that what it should get next was compacted away.
        let gone = progress.next.previous() < base;
        progress.retry();
        if behind && replicates && !gone {
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
        let weight = proposal.wanted.weight();
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
            wanted: Wanted::Command(vec![0; length].into()),
        };
        let all = [100, 100, 900, 2000, 10].into_iter().zip(1..).map(|(length, seq)| proposal(seq, length));
        let all: Vec<Proposal> = all.collect();
        let batches = batches(all.clone(), 1000);
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1, 1]);
        assert_eq!(batches.concat(), all, "in their order");
    }
}
