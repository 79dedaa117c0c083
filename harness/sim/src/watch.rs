//! What must be true of a node after every step: the invariants of the protocol, and what its clients read.

use std::collections::BTreeMap;

use raft::invariants::Invariants;
use raft::{Index, StateMachine};
use replica::{CallId, Effects, Outcome, Replica};

use crate::disk::SimDisk;
use crate::ending::Breach;

/// Looks at a node after every step of it.
pub(crate) struct Watch<'a> {
    invariants: &'a mut Invariants,
    reads: &'a mut BTreeMap<CallId, Index>,
    breach: Option<Breach>,
    /// How many of the turn's replies were looked at.
    replies: usize,
}

impl<'a> Watch<'a> {
    /// For one turn of one node.
    pub(crate) fn of(invariants: &'a mut Invariants, reads: &'a mut BTreeMap<CallId, Index>) -> Watch<'a> {
        Watch { invariants, reads, breach: None, replies: 0 }
    }

    /// The first thing that cannot be.
    pub(crate) fn seen(self) -> Option<Breach> {
        self.breach
    }

    /// The node took a step, and owes this so far.
    pub(crate) fn look<M: StateMachine>(
        &mut self,
        replica: &Replica<M, SimDisk>,
        effects: &Effects<M::Reply>,
    ) {
        if let Err(violation) = self.invariants.observe(replica.raft()) {
            self.breach.get_or_insert(Breach::Invariant(violation));
        }
        for (call, outcome) in &effects.reply[self.replies..] {
            self.look_at_read(replica, *call, matches!(outcome, Outcome::Done(_)));
        }
        self.replies = effects.reply.len();
    }

    /// A read must see everything that was committed when it came in (dissertation §6.4), whatever it reads.
    fn look_at_read<M: StateMachine>(&mut self, replica: &Replica<M, SimDisk>, call: CallId, done: bool) {
        let Some(needs) = self.reads.remove(&call).filter(|_| done) else { return };
        let applied = replica.status().applied;
        if applied < needs {
            self.breach.get_or_insert(Breach::StaleRead { node: replica.raft().id(), applied, needs });
        }
    }
}
