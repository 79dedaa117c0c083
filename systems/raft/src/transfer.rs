//! Giving the lead away (dissertation §3.10).
//!
//! A leader that is to be stopped, or whose disk is stuck, need not make the others wait for an election timeout. It
//! takes nothing in any more, brings the chosen node's log up to its own, and tells it to run at once. That node
//! asks for votes in the leader's name, so that those who believe in the leader vote all the same.
//!
//! Nothing here may get stuck: a transfer ends when somebody leads, this node again among them, or when its timer
//! runs out. Then the leader takes in again. The target may still run, later: its call may have been slow. So a
//! leader that ever called somebody trusts in no lease for the rest of its term.

use crate::bug::Bug;
use crate::ids::{NodeId, RequestId};
use crate::leader::Leader;
use crate::message::Message;
use crate::raft::{Raft, Standing};
use crate::seam::{Answer, Output, Refusal, Timer};

/// A lead that is being given away.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Transfer {
    /// To whom.
    to: NodeId,
    /// Who waits to hear of it.
    ids: Vec<RequestId>,
    /// Whether it was told to run.
    called: bool,
}

impl Raft {
    /// Whether this leader takes nothing in since it gives the lead away.
    pub fn gives_away(&self) -> bool {
        self.transfer.is_some()
    }

    pub(crate) fn transfer(&mut self, id: RequestId, to: Option<NodeId>, out: &mut Output) {
        let to = to.or_else(|| self.furthest());
        match (self.leader(), to) {
            (None, _) => self.refuse(None, vec![id], Refusal::NoLeader, out),
            (Some(leader), Some(to)) if leader == to => out.answer.push(Answer::Transferred { id, to }),
            (Some(leader), _) if leader != self.config.id => {
                self.refuse(None, vec![id], Refusal::NotLeader, out);
            }
            (_, Some(to)) if self.membership.votes(to) => self.begin_transfer(id, to, out),
            (_, Some(to)) => self.refuse(None, vec![id], Refusal::BadTransferee(to), out),
            // Nobody else is there to take it.
            (_, None) => self.refuse(None, vec![id], Refusal::Untransferred, out),
        }
    }

    /// The voter that has most of the log, of those that are there.
    pub(crate) fn furthest(&self) -> Option<NodeId> {
        let membership = &self.membership;
        let Standing::Leader(Leader { followers, .. }) = &self.standing else { return None };
        let voters =
            followers.iter().filter(|(node, progress)| membership.votes(**node) && progress.present());
        voters.max_by_key(|(node, progress)| (progress.matched, **node)).map(|(node, _)| *node)
    }

    fn begin_transfer(&mut self, id: RequestId, to: NodeId, out: &mut Output) {
        match &mut self.transfer {
            Some(transfer) if transfer.to == to => transfer.ids.push(id),
            other => {
                let before = other.replace(Transfer { to, ids: vec![id], called: false });
                let ids = before.map_or_else(Vec::new, |before| before.ids);
                self.refuse(None, ids, Refusal::Untransferred, out);
                out.arm.insert(Timer::Transfer);
                self.call_if_ready(to, out);
                self.send_append(to, out);
            }
        }
    }

    /// `from` has come further: if it is the one we wait for, and lacks nothing any more, it shall run.
    pub(crate) fn call_if_ready(&mut self, from: NodeId, out: &mut Output) {
        let last = self.log.last().index;
        let Some(transfer) = self.transfer.as_mut().filter(|transfer| transfer.to == from) else { return };
        let called = transfer.called;
        let Some(leader) = self.leading() else { return };
        let ready = leader.followers.get(&from).is_some_and(|progress| progress.matched == last);
        if !ready || called {
            return;
        }
        // From now on somebody may be elected whom our followers would not have voted for without our word.
        leader.lease.end();
        if let Some(transfer) = &mut self.transfer {
            transfer.called = true;
        }
        self.send_now(from, Message::TimeoutNow, out);
    }

    /// Somebody leads. Whoever waited for that hears who it is; if it is still or again this node, that the
    /// lead stayed.
    pub(crate) fn transferred(&mut self, leader: NodeId, out: &mut Output) {
        let Some(transfer) = self.transfer.take() else { return };
        if leader == self.config.id {
            self.refuse(None, transfer.ids, Refusal::Untransferred, out);
        } else {
            out.answer.extend(transfer.ids.into_iter().map(|id| Answer::Transferred { id, to: leader }));
        }
    }

    pub(crate) fn on_transfer_timeout(&mut self, out: &mut Output) {
        if self.config.bugs.has(Bug::KeepTransfer) {
            return;
        }
        if let Some(transfer) = self.transfer.take() {
            self.refuse(None, transfer.ids, Refusal::Untransferred, out);
        }
    }

    /// The one who should lead does not vote any more.
    pub(crate) fn end_transfer_to_strangers(&mut self, out: &mut Output) {
        let membership = self.membership.clone();
        if let Some(transfer) = self.transfer.take_if(|transfer| !membership.votes(transfer.to)) {
            self.refuse(None, transfer.ids, Refusal::BadTransferee(transfer.to), out);
        }
    }
}
