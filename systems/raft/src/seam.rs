//! What goes into the core and what comes out: the whole seam.
//!
//! The core is driven by one function, `Raft::step`. Its caller owns the disk, the network, the
//! clock and the dice. The order in which the caller performs an [`Output`] is the difference
//! between consensus and data loss, so the output itself says what needs the disk first.

use std::collections::BTreeSet;
use std::fmt;

use crate::entry::{Entry, Proposal, Suffix};
use crate::ids::{EntryId, Index, NodeId, RequestId, Term};
use crate::message::Envelope;

/// The part of a node's memory that must never be forgotten (Figure 2, "persistent state").
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct HardState {
    /// The latest term it has seen.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<NodeId>,
}

/// Names a write that the core asked for. They are handed out, and reported done, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct PersistId(pub u64);

/// Something for the disk: `hard` first if it is there, then the suffix.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Persist {
    /// The name under which [`Input::Persisted`] reports it.
    pub id: PersistId,
    /// The new term and vote, if they changed.
    pub hard: Option<HardState>,
    /// Entries to write after `suffix.after()`; whatever the log held beyond that point is dropped.
    pub suffix: Option<Suffix>,
}

/// A timer of the core. Arming one that runs starts it anew: its old deadline never fires.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Timer {
    /// Nobody led for a while. The caller draws the duration at random from the configured range
    /// (§5.2), anew each time.
    Election,
    /// Time for a leader to show that it is there.
    Heartbeat,
}

/// The timers to start, or to start anew.
pub type Timers = BTreeSet<Timer>;

/// What happened.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Input {
    /// A peer's message arrived.
    Receive(Envelope),
    /// A timer ran out.
    Timeout(Timer),
    /// Everything handed over up to and including this write is on disk. Reported in order.
    Persisted(PersistId),
    /// Clients of this node want these in the log: one batch, one append per follower.
    Propose(Vec<Proposal>),
    /// Clients of this node want to read something no older than this moment: one batch, one round.
    Read(Vec<RequestId>),
}

/// What the caller now owes. A promise that needs the disk waits for it.
#[must_use = "an output not performed is a promise broken"]
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Output {
    /// Needs no disk: a leader's appends, heartbeats, read rounds.
    pub send_now: Vec<Envelope>,
    /// To be written and synced; answered by [`Input::Persisted`]. Several steps into one output
    /// give several, in order; the caller may serve them with one sync.
    pub persist: Vec<Persist>,
    /// Only once every `persist` of this and earlier outputs is on disk: votes, append replies, candidacy.
    pub send_after: Vec<Envelope>,
    /// Committed, in order, each entry once: for the state machine.
    pub apply: Vec<Entry>,
    /// What became of proposals and reads.
    pub answer: Vec<Answer>,
    /// Timers to start anew.
    pub arm: Timers,
    /// A peer or the disk says what cannot be: fence this node, do not crash-loop.
    pub halt: Option<Diverged>,
}

/// What became of a proposal or a read of this node's own clients.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    /// In this node's log, at that place, since it leads. Whether it stays there, `apply` will tell.
    Accepted {
        /// Which.
        id: RequestId,
        /// Where.
        entry: EntryId,
    },
    /// Sent on to the leader, once. Whether it got there, `apply` will tell, or nobody.
    Forwarded {
        /// Which.
        id: RequestId,
        /// To whom.
        to: NodeId,
    },
    /// Not taken. If it was forwarded before, a copy may still be under way.
    Refused {
        /// Which.
        id: RequestId,
        /// Why.
        why: Refusal,
    },
    /// A read may be answered as soon as everything up to `index` is applied.
    ReadAt {
        /// Which.
        id: RequestId,
        /// How much must be applied first.
        index: Index,
    },
}

/// Why a proposal or a read was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refusal {
    /// Nobody is known to lead.
    NoLeader,
    /// The node it was sent on to did not lead (any more).
    NotLeader,
    /// This node leads, but holds as many uncommitted bytes as it may.
    Full,
}

/// Something that no correct cluster produces: this node's disk, or a peer's, has lost its past.
/// The node fences itself and says so.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Diverged {
    /// A leader wants to overwrite what this node knows to be committed.
    #[error("leader {leader} overwrites {index}, which is committed here up to {commit}")]
    CommittedOverwritten {
        /// Who sent it.
        leader: NodeId,
        /// Where.
        index: Index,
        /// How far this node knows the log to be committed.
        commit: Index,
    },
    /// Two leaders in one term.
    #[error("{first} and {second} both claim to lead {term}")]
    TwoLeaders {
        /// The term.
        term: Term,
        /// Whom we knew.
        first: NodeId,
        /// Who came after.
        second: NodeId,
    },
    /// A follower acknowledged more than its leader ever wrote.
    #[error("{peer} acknowledges {upto}, beyond the leader's last entry {last}")]
    AcknowledgedTooMuch {
        /// Who.
        peer: NodeId,
        /// What it claims to have.
        upto: Index,
        /// What there is.
        last: Index,
    },
}

/// Leader, candidate or follower, as others may see it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// Follows, or waits for someone to follow.
    Follower,
    /// Asks whether an election would succeed, before it disturbs anyone (dissertation §9.6).
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Follower => "follower",
            Role::PreCandidate => "pre-candidate",
            Role::Candidate => "candidate",
            Role::Leader => "leader",
        })
    }
}
