//! How a leader changes who belongs to the cluster (§6; dissertation §4).
//!
//! [`membership`](crate::membership) says what may follow what. Here stands *when* a leader takes a change in, what it
//! does once the change is committed, and how it parts from those who leave.
//!
//! A change is refused that would leave the cluster unable to decide anything: if fewer of the voters to be were heard
//! of lately than would have to decide, the change could be the last. Only a cluster of one may take the risk; it has
//! no other way to grow but by way of a learner.
//!
//! Who leaves is told so: the leader goes on sending until that node has the entry by which it leaves, and knows that
//! it is committed, or is silent. Without that it would never know, and ask for votes for ever. It disturbs nobody then
//! either: who has a leader does not listen ([`Raft::step`]).

use std::collections::BTreeSet;

use crate::bug::Bug;
use crate::ids::NodeId;
use crate::leader::Leader;
use crate::membership::{Change, Membership};
use crate::message::Message;
use crate::progress::Progress;
use crate::raft::{Raft, Standing};
use crate::seam::{Output, Unchanged};

impl Raft {
    /// What the members are after these changes, if this is the time for them.
    pub(crate) fn changed(&self, leader: &Leader, changes: &[Change]) -> Result<Membership, Unchanged> {
        let bugs = self.config.bugs;
        if self.commit < leader.first && !bugs.has(Bug::ChangeBeforeOwnCommit) {
            return Err(Unchanged::Early);
        }
        let now = self.log.membership();
        let pending = self.log.membership_since() > self.commit || now.is_joint();
        if pending && !bugs.has(Bug::ChangeTwice) {
            return Err(Unchanged::Pending);
        }
        let since = self.log.membership_since();
        if changes.iter().any(|change| matches!(change, Change::Since(other) if *other != since)) {
            return Err(Unchanged::Outdated);
        }
        let next = now.change(changes)?;
        self.caught_up(leader, &next)?;
        self.could_decide(leader, &next)?;
        Ok(next)
    }

    /// Learners that shall decide must be there and have nearly everything: else the next entries wait for them.
    fn caught_up(&self, leader: &Leader, next: &Membership) -> Result<(), Unchanged> {
        let last = self.log.last().index;
        let behind = |node: &NodeId| {
            let there = leader.followers.get(node).filter(|progress| progress.present());
            let matched = there.map_or(0, |progress| progress.matched.0);
            matched == 0 || matched.saturating_add(self.config.catch_up) < last.0
        };
        let promoted = self.log.membership().learners().iter().filter(|node| next.voters().contains(**node));
        match promoted.copied().find(behind) {
            Some(node) => Err(Unchanged::Behind(node)),
            None => Ok(()),
        }
    }

    /// How many others a leader has heard of lately: between one election timeout and two.
    pub fn heard(&self) -> usize {
        let Standing::Leader(leader) = &self.standing else { return 0 };
        leader.followers.values().filter(|progress| progress.present()).count()
    }

    fn could_decide(&self, leader: &Leader, next: &Membership) -> Result<(), Unchanged> {
        let own = self.config.id;
        let there = |node: NodeId| node == own || leader.followers.get(&node).is_some_and(Progress::present);
        let heard: BTreeSet<NodeId> = next.voters().iter().filter(|node| there(*node)).collect();
        let alone = self.log.membership().voters().len() == 1;
        if alone || next.voters().decide(&heard) {
            return Ok(());
        }
        let count = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        Err(Unchanged::NoQuorum { heard: count(heard.len()), needed: count(next.voters().quorum()) })
    }

    /// Sends the log to everybody who belongs to the cluster now. Who does not any more stays until it is told.
    pub(crate) fn know_followers(&mut self) {
        let (membership, own, last) = (self.membership.clone(), self.config.id, self.log.last().index);
        let Some(leader) = self.leading() else { return };
        for node in membership.nodes().into_iter().filter(|node| *node != own) {
            leader.followers.entry(node).or_insert_with(|| Progress::new(last));
        }
    }

    /// Something was committed. A joint membership that is committed comes to its end; a leader that does not
    /// vote any more stops leading, and calls the one that is furthest.
    pub(crate) fn finish_change(&mut self, out: &mut Output) {
        if self.log.membership_since() > self.commit {
            return;
        }
        for node in self.followers() {
            self.dismiss(node, out);
        }
        if let Some(end) = self.log.membership().end() {
            self.append_members(end, out);
        } else if !self.membership.votes(self.config.id) {
            self.leave_the_lead(out);
        }
    }

    fn leave_the_lead(&mut self, out: &mut Output) {
        if let Some(next) = self.furthest() {
            self.send_now(next, Message::TimeoutNow, out);
        }
        self.follow(None, out);
    }

    /// A node that does not belong to the cluster any more has heard of it: it is told that this is for good, and
    /// nothing else ever.
    pub(crate) fn dismiss(&mut self, node: NodeId, out: &mut Output) {
        let since = self.log.membership_since();
        if self.membership.contains(node) || since > self.commit {
            return;
        }
        let Standing::Leader(leader) = &self.standing else { return };
        if leader.followers.get(&node).is_some_and(|progress| progress.matched >= since) {
            self.send_empty_append(node, out);
            self.forget_follower(node);
        }
    }

    /// Nobody waits for ever for a node that left to hear of it.
    pub(crate) fn forget_silent_strangers(&mut self) {
        for node in self.followers() {
            let Standing::Leader(leader) = &self.standing else { return };
            let silent = leader.followers.get(&node).is_some_and(|progress| !progress.present());
            if silent && !self.membership.contains(node) {
                self.forget_follower(node);
            }
        }
    }

    fn forget_follower(&mut self, node: NodeId) {
        if let Some(leader) = self.leading() {
            leader.followers.remove(&node);
        }
    }
}
