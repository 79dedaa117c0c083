//! What must be true of a node after every step: the invariants of the protocol, what its clients read, and what
//! it makes of the entries it executes.

use std::collections::BTreeMap;
use std::hash::Hash;

use raft::invariants::Invariants;
use raft::script::{Move, What};
use raft::{Answer, Index, NodeId, Raft, RequestId, StateMachine};
use replica::{CallId, Effects, Noted, Outcome, Replica};

use crate::disk::SimDisk;
use crate::ending::Breach;
use crate::executions::Executions;

/// All that is known of a cluster by those who see all of it at once; of one that has done nothing yet, nothing.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) invariants: Invariants,
    /// How far the log was committed, as far as any node knew, when a read reached its node.
    pub(crate) reads: BTreeMap<CallId, Index>,
    pub(crate) executions: Executions,
    /// What each core was given, for those who want to know.
    pub(crate) moves: Option<Vec<Move>>,
}

impl Known {
    /// A core is given something, if anybody wants to know.
    pub(crate) fn note(&mut self, at: u64, node: NodeId, what: What) {
        if let Some(moves) = &mut self.moves {
            moves.push(Move { at, node, what });
        }
    }

    /// A node is there again, with what its disk had.
    pub(crate) fn restarted(&mut self, now: u64, node: &Raft) -> Result<(), Breach> {
        self.note(now, node.id(), What::Started(node.hard(), node.log().last()));
        self.executions.restarted(node.id(), node.log().base().index());
        self.invariants.restarted(node).map_err(Breach::Invariant)
    }
}

/// How many reads were answered in the step in which they were asked, though others would have had a say: by a lease.
fn answered_at_once<R>(asked: &[RequestId], node: &Raft, journal: &[Noted<R>]) -> u64 {
    if asked.is_empty() || node.membership().voters().len() == 1 {
        return 0;
    }
    let at_once = |noted: &&Noted<R>| match noted {
        Noted::Answered(Answer::ReadAt { id, .. }) => asked.contains(id),
        _ => false,
    };
    journal.iter().filter(at_once).count() as u64
}

/// Looks at a node after every step of it.
pub(crate) struct Watch<'a> {
    known: &'a mut Known,
    now: u64,
    breach: Option<Breach>,
    /// How often a snapshot was taken on in this turn.
    installs: u64,
    /// How many reads were answered by a lease.
    lease_reads: u64,
    /// How many of the turn's replies were looked at.
    replies: usize,
}

impl<'a> Watch<'a> {
    /// For one turn of one node.
    pub(crate) fn of(known: &'a mut Known, now: u64) -> Watch<'a> {
        Watch { known, now, breach: None, installs: 0, lease_reads: 0, replies: 0 }
    }

    /// How often the node took on another's snapshot.
    pub(crate) fn installs(&self) -> u64 {
        self.installs
    }

    /// How many reads a leader answered by its lease.
    pub(crate) fn lease_reads(&self) -> u64 {
        self.lease_reads
    }

    /// The first thing that cannot be.
    pub(crate) fn seen(self) -> Option<Breach> {
        self.breach
    }

    /// The node took a step, and owes this so far.
    pub(crate) fn look<M: StateMachine<Reply: Hash>>(
        &mut self,
        replica: &mut Replica<M, SimDisk>,
        effects: &Effects<M::Reply>,
    ) {
        let journal = replica.take_journal();
        // Before what was committed meanwhile is known: a read that was asked in this step need not see it.
        let asked = journal.iter().filter_map(|noted| match noted {
            Noted::Asked(reads) => Some(reads),
            _ => None,
        });
        let asked: Vec<RequestId> = asked.flatten().copied().collect();
        for read in &asked {
            self.known.invariants.asked(*read);
        }
        self.lease_reads += answered_at_once(&asked, replica.raft(), &journal);
        let observed = self.known.invariants.observe(replica.raft());
        self.judge(observed.map_err(Breach::Invariant));
        let node = replica.raft().id();
        for noted in journal {
            self.look_at(node, noted);
        }
        for (call, outcome) in &effects.reply[self.replies..] {
            self.look_at_read(replica, *call, matches!(outcome, Outcome::Done(_)));
        }
        self.replies = effects.reply.len();
    }

    fn look_at<R: Hash>(&mut self, node: NodeId, noted: Noted<R>) {
        let Known { invariants, executions, .. } = &mut *self.known;
        let verdict = match noted {
            Noted::Executed(entry, fate) => {
                let agreed = invariants.applied(node, &entry).map_err(Breach::Invariant);
                agreed.and_then(|()| executions.executed(node, &entry, &fate))
            }
            Noted::Installed(checkpoint, state) => {
                self.installs += 1;
                executions.restarted(node, checkpoint.index());
                executions.reached(node, checkpoint.index(), state)
            }
            Noted::Reached(upto, state) => executions.reached(node, upto, state),
            Noted::Answered(answer) => invariants.answered(node, &answer).map_err(Breach::Invariant),
            Noted::Given(input) => {
                self.known.note(self.now, node, What::Given(input));
                Ok(())
            }
            Noted::Asked(_) => Ok(()),
        };
        self.judge(verdict);
    }

    fn judge(&mut self, verdict: Result<(), Breach>) {
        if let Err(breach) = verdict {
            self.breach.get_or_insert(breach);
        }
    }

    /// A read must see everything that was committed when it came in (dissertation §6.4), whatever it reads.
    fn look_at_read<M: StateMachine>(&mut self, replica: &Replica<M, SimDisk>, call: CallId, done: bool) {
        let Some(needs) = self.known.reads.remove(&call).filter(|_| done) else { return };
        let applied = replica.status().applied;
        if applied < needs {
            self.breach.get_or_insert(Breach::StaleRead { node: replica.raft().id(), applied, needs });
        }
    }
}
