//! Elections: who may lead (§5.2, §5.4.1), and asking first (dissertation §9.6).
//!
//! A node that hears no leader does not run at once. It first asks whether it *would* win, in the
//! term after this one, and changes nothing by asking. Without that, a node behind a partition would
//! count its term up in vain and depose a working leader on its return.
//!
//! Two rules keep a leader from being disturbed: pre-votes are refused by whoever hears a leader,
//! and so are votes ([`Raft::step`] drops both; dissertation §4.2.3). Two rules keep the log safe: a
//! node votes once a term, and only for a log at least as up-to-date as its own.
//!
//! A vote is a promise: it leaves after it is on disk, and so does a candidacy, since it contains
//! the candidate's vote for itself.
//!
//! And one rule ends a lead that is none any more: a leader whose quorum fell silent for an election timeout
//! steps down (check-quorum, dissertation §6.2). It could commit nothing; but if it still reaches its followers, and
//! only does not hear them, they would wait for it for ever.
//!
//! Only voters run. A learner, or a node that was removed, waits to be spoken to; but who has only an uncommitted
//! entry to say that it is removed may be the only one who has that entry, and runs. And whoever is asked for its
//! vote answers, whatever it believes itself to be: the one who asks may know more of the members than it does.

use std::collections::BTreeSet;

use crate::bug::Bug;
use crate::ids::{EntryId, NodeId};
use crate::leader::Leader;
use crate::message::Message;
use crate::raft::{Raft, Standing};
use crate::seam::{HardState, Output, Timer};

impl Raft {
    pub(crate) fn on_election_timeout(&mut self, out: &mut Output) {
        if matches!(self.standing, Standing::Leader(_)) {
            self.check_quorum(out);
        } else if !self.may_run() {
            self.follow(None, out);
            out.arm.insert(Timer::Election);
        } else if self.config.bugs.has(Bug::SkipPreVote) {
            self.run(false, out);
        } else {
            self.ask_for_pre_votes(out);
        }
    }

    /// Whether we vote, or did until a change that is not committed yet: that entry may be needed by others, who cannot
    /// get it from anybody else (dissertation §4.2.2).
    fn may_run(&self) -> bool {
        let own = self.config.id;
        let decided = self.log.checkpoint(self.commit);
        self.membership.votes(own) || decided.is_some_and(|decided| decided.membership.votes(own))
    }

    /// As many as decide were heard since the last look, or we lead no longer.
    fn check_quorum(&mut self, out: &mut Output) {
        let own = self.config.id;
        let Standing::Leader(leader) = &mut self.standing else { return };
        let mut heard = leader.look_who_is_there();
        heard.insert(own);
        let bugs = self.config.bugs;
        let careless = bugs.has(Bug::SkipQuorumCheck) || bugs.has(Bug::SkipReadQuorum);
        if self.membership.decide(&heard) || careless {
            out.arm.insert(Timer::Election);
            self.forget_silent_strangers();
        } else {
            self.follow(None, out);
        }
    }

    /// The leader gives the lead away to us. It believes in itself until we win, so nobody is asked first, and
    /// the votes are asked for in its name.
    pub(crate) fn on_timeout_now(&mut self, from: NodeId, out: &mut Output) {
        if self.may_run() && self.leader() == Some(from) {
            self.run(true, out);
        }
    }

    fn ask_for_pre_votes(&mut self, out: &mut Output) {
        let granted = BTreeSet::from([self.config.id]);
        self.standing = Standing::PreCandidate { granted };
        out.arm.insert(Timer::Election);
        for voter in self.other_voters() {
            self.send_now(voter, Message::RequestPreVote { last: self.log.last() }, out);
        }
        self.count_pre_votes(out);
    }

    /// Binds us to nothing: the asker may still lose, and we may still vote for another.
    pub(crate) fn on_request_pre_vote(&mut self, from: NodeId, last: EntryId, out: &mut Output) {
        let granted = self.up_to_date(last);
        self.send_in_term(from, Message::PreVote { granted }, out);
    }

    pub(crate) fn on_pre_vote(&mut self, from: NodeId, granted: bool, out: &mut Output) {
        if let (Standing::PreCandidate { granted: votes }, true) = (&mut self.standing, granted) {
            votes.insert(from);
            self.count_pre_votes(out);
        }
    }

    fn count_pre_votes(&mut self, out: &mut Output) {
        if let Standing::PreCandidate { granted } = &self.standing
            && self.membership.decide(granted)
        {
            self.run(false, out);
        }
    }

    /// Opens a term and asks for votes in it.
    fn run(&mut self, called: bool, out: &mut Output) {
        self.hard = HardState { term: self.hard.term.next(), vote: Some(self.config.id) };
        self.standing = Standing::Candidate { granted: BTreeSet::new(), own: self.this_write() };
        out.arm.insert(Timer::Election);
        for voter in self.other_voters() {
            self.send_after(voter, Message::RequestVote { last: self.log.last(), called }, out);
        }
    }

    fn other_voters(&self) -> impl Iterator<Item = NodeId> + use<> {
        let membership = self.membership.clone();
        let own = self.config.id;
        membership.nodes().into_iter().filter(move |node| *node != own && membership.votes(*node))
    }

    /// Grants the vote if it is still ours to give in this term and the candidate's log holds
    /// everything ours does. The first keeps one leader per term; the second keeps every committed
    /// entry in the logs of later leaders (§5.4.1).
    pub(crate) fn on_request_vote(&mut self, candidate: NodeId, last: EntryId, out: &mut Output) {
        let again = self.config.bugs.has(Bug::VoteTwice);
        let free = again || self.hard.vote.is_none_or(|vote| vote == candidate);
        let current = self.up_to_date(last);
        let granted = free && current;
        if granted {
            self.hard.vote = Some(candidate);
            out.arm.insert(Timer::Election);
        }
        self.send_after(candidate, Message::Vote { granted }, out);
    }

    /// Whether a log that ends with `last` is at least as up-to-date as ours (§5.4.1): the later term
    /// wins, and in one term the longer log.
    fn up_to_date(&self, last: EntryId) -> bool {
        let ours = self.log.last();
        if self.config.bugs.has(Bug::VoteForAnyLog) {
            return true;
        }
        if self.config.bugs.has(Bug::CompareIndexFirst) {
            return (last.index, last.term) >= (ours.index, ours.term);
        }
        last >= ours
    }

    pub(crate) fn on_vote(&mut self, from: NodeId, granted: bool, out: &mut Output) {
        if let (Standing::Candidate { granted: votes, .. }, true) = (&mut self.standing, granted) {
            votes.insert(from);
            self.count_votes(out);
        }
    }

    pub(crate) fn count_votes(&mut self, out: &mut Output) {
        if let Standing::Candidate { granted, .. } = &self.standing
            && self.membership.decide(granted)
        {
            self.lead(out);
        }
    }

    /// Leads: announces it by the first append, which carries an entry of the new term, since only
    /// with that can older entries be committed (§5.4.2).
    fn lead(&mut self, out: &mut Output) {
        let first = self.log.last().index.next();
        self.transferred(self.config.id, out);
        self.standing = Standing::Leader(Leader::new(first));
        self.know_followers();
        out.arm.insert(Timer::Heartbeat);
        out.arm.insert(Timer::Election);
        self.append_noop(out);
    }
}
