//! What goes into the core and what comes out: the whole seam.
//!
//! The core is driven by one function, `Raft::step`. Its caller owns the disk, the network, the
//! clock and the dice. The order in which the caller performs an [`Output`] is the difference
//! between consensus and data loss, so the output itself says what needs the disk first.

use std::collections::BTreeSet;
use std::fmt;

use crate::checkpoint::Checkpoint;
use crate::entry::{Entry, Proposal, Suffix};
use crate::ids::{EntryId, Index, NodeId, RequestId, Term};
use crate::membership::Unfit;
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

/// Something for the disk: `base` first if it is there, then `hard`, then the suffix.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Persist {
    /// The name under which [`Input::Persisted`] reports it.
    pub id: PersistId,
    /// The log begins anew behind this checkpoint, whose snapshot is on disk; what it held is dropped.
    pub base: Option<Checkpoint>,
    /// The new term and vote, if they changed.
    pub hard: Option<HardState>,
    /// Entries to write after `suffix.after()`; whatever the log held beyond that point is dropped.
    pub suffix: Option<Suffix>,
}

/// A timer of the core. Arming one that runs starts it anew: its old deadline never fires.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Timer {
    /// Nobody led for a while; for a leader, time to see whether a quorum still hears it. The caller draws the
    /// duration at random from the configured range (§5.2), anew each time.
    Election,
    /// Time for a leader to show that it is there.
    Heartbeat,
    /// A transfer of the lead has taken long enough: the shortest election timeout.
    Transfer,
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
    /// Somebody wants another node to lead (dissertation §3.10).
    Transfer {
        /// Under which name to answer.
        id: RequestId,
        /// Who; `None` is whoever is furthest.
        to: Option<NodeId>,
    },
    /// A snapshot of the state machine, with everything up to this entry executed, is on disk: the log need not
    /// keep it (§7).
    Snapshotted(Index),
    /// The snapshot at this checkpoint, which [`Output::fetch`] asked for, is on disk.
    Fetched(Checkpoint),
}

/// A snapshot that a peer offers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Offer {
    /// Who has it.
    pub from: NodeId,
    /// What it holds.
    pub checkpoint: Checkpoint,
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
    /// Before anything is applied: the state machine gives way to the snapshot at this checkpoint.
    pub install: Option<Checkpoint>,
    /// Committed, in order, each entry once: for the state machine.
    pub apply: Vec<Entry>,
    /// This node needs that snapshot: to be fetched, brought to disk and reported by [`Input::Fetched`]. A later
    /// offer replaces an earlier one; if fetching fails, the leader will offer again.
    pub fetch: Option<Offer>,
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
    /// The lead was given away, and somebody else has it.
    Transferred {
        /// Under which name that was asked for.
        id: RequestId,
        /// Who leads now; perhaps not the one who was meant.
        to: NodeId,
    },
}

/// Why a proposal, a read or a transfer was not taken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, thiserror::Error)]
pub enum Refusal {
    /// Nobody is known to lead.
    #[error("no leader")]
    NoLeader,
    /// The node it was sent on to did not lead (any more).
    #[error("not the leader")]
    NotLeader,
    /// The leader holds as many uncommitted bytes as it may.
    #[error("too much is waiting to be committed")]
    Full,
    /// It is larger than an entry may be.
    #[error("too large")]
    TooLarge,
    /// The lead is being given away; nothing is taken in meanwhile.
    #[error("the lead is being transferred")]
    Transferring,
    /// The members cannot be changed so, or not now.
    #[error(transparent)]
    Change(#[from] Unchanged),
    /// The lead cannot go to somebody who does not vote.
    #[error("{0} cannot lead")]
    BadTransferee(NodeId),
    /// The lead was not taken over in time, and stays where it is.
    #[error("the lead was not taken over in time")]
    Untransferred,
}

/// Why a change of the members was refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, thiserror::Error)]
pub enum Unchanged {
    /// It makes no sense, whenever it is asked for.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The leader does not know yet how far the log is committed. Soon it will.
    #[error("the leader has not committed anything yet")]
    Early,
    /// Another change is not committed yet.
    #[error("another change of the members is under way")]
    Pending,
    /// A learner lacks too much to be a voter.
    #[error("{0} has not caught up with the leader")]
    Behind(NodeId),
    /// Too few of those who would decide have been heard of lately: nothing could be decided any more.
    #[error("{heard} of the voters were heard of, and {needed} would have to decide")]
    NoQuorum {
        /// How many, this node among them.
        heard: u16,
        /// How many it would take.
        needed: u16,
    },
    /// It rests on what the members were, and they are others by now.
    #[error("the members have changed meanwhile")]
    Outdated,
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
    /// A snapshot has another past than this node's log, where both are committed.
    #[error("the snapshot at {offered} of {leader} contradicts {ours}, which is committed here")]
    OtherSnapshot {
        /// Who offers it.
        leader: NodeId,
        /// Its last entry.
        offered: EntryId,
        /// What is committed here in that place.
        ours: EntryId,
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
    /// This node acknowledged entries to the leader of this term, and does not have them any more: an older copy
    /// of its disk was put back, or its disk loses what it has synced.
    #[error("{leader} counts on {acknowledged}, which this node acknowledged, but its log ends at {last}")]
    Forgotten {
        /// To whom.
        leader: NodeId,
        /// What it acknowledged, as far as that is committed.
        acknowledged: Index,
        /// Where its log ends.
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
