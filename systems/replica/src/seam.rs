//! What goes into a replica and what comes out.

use std::collections::BTreeMap;
use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use raft::{
    Answer, Change, Checkpoint, Command, Diverged, Entry, EntryId, Envelope, Index, Input, Membership,
    NodeId, Refusal, RequestId, Role, Term,
};
use wal::Ticket;

/// A client's question or order, as this node numbers it. The caller invents it and gets it back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CallId(pub u64);

/// What a client wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Call<Q> {
    /// Have a command executed.
    Write {
        /// The client's own name for it, if it has a session; else the replica mints one.
        request: Option<RequestId>,
        /// What to execute.
        command: Command,
    },
    /// Change who belongs to the cluster, in one step.
    Change(Vec<Change>),
    /// Have another node lead; `None` is whoever is furthest. Only the leader can give the lead away.
    Transfer(Option<NodeId>),
    /// Ask who belongs to the cluster, no older than now.
    Members,
    /// Ask something of a state no older than now.
    Read(Q),
    /// Ask something of the state this node happens to have.
    Stale(Q),
}

/// What happened.
#[derive(Debug)]
pub enum Event<Q> {
    /// A peer's message arrived.
    Peer(Envelope),
    /// A timer ran out.
    Timer(Timer),
    /// The disk reports a change done, or refused.
    Disk(Ticket, io::Result<()>),
    /// A client calls.
    Call(CallId, Call<Q>),
    /// A peer has executed the entry by which this node left the cluster.
    Removed,
}

/// A replica's timers. Arming one that runs starts it anew: its old deadline never fires.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Timer {
    /// One of the protocol's.
    Raft(raft::Timer),
    /// Time to look for calls that have waited too long.
    Calls,
    /// The disk had nothing to do for a while.
    Idle,
    /// A piece of a snapshot was asked for, and has not come.
    Fetch,
}

/// How long a timer runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Wait {
    /// This long.
    Exactly(Duration),
    /// Drawn anew, at random and evenly: at least the first, less than the second.
    Between(Duration, Duration),
}

/// What the caller now owes, in no particular order: whatever had to wait for the disk has waited.
#[must_use = "effects not carried out are promises broken"]
#[derive(Debug)]
pub struct Effects<R> {
    /// Messages for peers. Losing one costs time, never safety.
    pub send: Vec<Envelope>,
    /// What becomes of calls. Each call gets one.
    pub reply: Vec<(CallId, Outcome<R>)>,
    /// Timers to start anew.
    pub arm: BTreeMap<Timer, Wait>,
    /// This node must not go on. Its calls have been answered; it takes nothing in any more.
    pub halt: Option<Halt>,
}

impl<R> Default for Effects<R> {
    fn default() -> Effects<R> {
        Effects { send: Vec::new(), reply: Vec::new(), arm: BTreeMap::new(), halt: None }
    }
}

/// What becomes of a call. The three are never mixed: a checker lives on the difference.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Outcome<R> {
    /// It happened, and this is the reply.
    Done(R),
    /// The lead was given away, and this node has it now.
    Leads(NodeId),
    /// It did not happen and never will.
    Failed(Failed),
    /// It may have happened, or may still.
    Unknown(Unknown),
    /// These belong to the cluster.
    Members(Members),
}

/// Who belongs to the cluster, as far as a log is executed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Members {
    /// They.
    pub now: Arc<Membership>,
    /// The entry that said so; 0 if nobody ever changed them. With [`Change::Since`] it makes a change rest on them.
    pub since: Index,
}

impl Deref for Members {
    type Target = Membership;

    fn deref(&self) -> &Membership {
        &self.now
    }
}

/// Why a call certainly did nothing. Of a write under the client's own request id this speaks of
/// this attempt; an earlier one may have been executed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Failed {
    /// Nobody is known to lead; it was not sent anywhere.
    #[error("no leader")]
    NoLeader,
    /// A read that found the leader changed under it.
    #[error("the leader changed")]
    LeaderChanged,
    /// This node's log held it for a while, and something else was committed in its place.
    #[error("overwritten before it was committed")]
    Overwritten,
    /// Too much is waiting already.
    #[error("too many requests")]
    Busy,
    /// This node's core did not take it, and says why.
    #[error(transparent)]
    Refused(Refusal),
    /// It never left this node, and its time is up.
    #[error("not sent in time")]
    NotSent,
    /// A read whose time is up.
    #[error("no answer in time")]
    ReadTimeout,
    /// This node was fenced before the call came.
    #[error("this node has halted")]
    Halted,
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Failed {
        match refusal {
            Refusal::NoLeader => Failed::NoLeader,
            Refusal::NotLeader => Failed::LeaderChanged,
            Refusal::Full => Failed::Busy,
            other => Failed::Refused(other),
        }
    }
}

/// Why nobody can tell whether a call did something.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Unknown {
    /// The leader that had it leads no more.
    #[error("the leader changed")]
    LeaderChanged,
    /// The node it was sent on to did not take it; another copy may be under way.
    #[error("forwarded, and refused there: {0}")]
    Refused(Refusal),
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// Its session is not known (any more), or had this request answered before and forgotten.
    #[error("the session does not remember it")]
    Forgotten,
    /// This node was fenced while the call waited.
    #[error("this node has halted")]
    Halted,
}

/// Why a node must stop.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Halt {
    /// A peer or the disk says what cannot be.
    #[error(transparent)]
    Diverged(#[from] Diverged),
    /// The cluster has decided that this node belongs to it no longer.
    #[error("this node was removed from the cluster")]
    Removed,
    /// A write or sync failed. What is on disk is no longer known, and asking again would not tell.
    #[error("the disk failed: {0}")]
    Disk(#[from] wal::Failure),
    /// A snapshot that was good when it was written cannot be taken on.
    #[error("the snapshot cannot be taken on: {0}")]
    Snapshot(String),
}

/// What others may see of a replica.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Status {
    /// Who it is.
    pub id: NodeId,
    /// Its term.
    pub term: Term,
    /// Its role.
    pub role: Role,
    /// Who leads, as far as it knows.
    pub leader: Option<NodeId>,
    /// The last entry of its log.
    pub last: EntryId,
    /// How far it knows the log to be committed.
    pub commit: Index,
    /// How far it has executed it.
    pub applied: Index,
    /// The last entry of its latest snapshot on disk; 0 if it has none.
    pub snapshot: Index,
    /// The last entry that its log does not keep any more; 0 if it is whole.
    pub base: Index,
    /// How many other members a leader has heard of lately; 0 for anybody else.
    pub heard: usize,
    /// How many calls wait.
    pub waiting: usize,
}

/// What a replica does inside, for those who look over its shoulder: see [`Replica::keep_journal`].
///
/// [`Replica::keep_journal`]: crate::Replica::keep_journal
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Noted<R> {
    /// The core is given this.
    Given(Input),
    /// These reads are asked of the core.
    Asked(Vec<RequestId>),
    /// The core gives an answer.
    Answered(Answer),
    /// An entry is executed.
    Executed(Entry, Fate<R>),
    /// The state after that, as a number.
    Reached(Index, u64),
    /// The state gave way to a snapshot's, which is this, as a number.
    Installed(Checkpoint, u64),
}

/// What becomes of an entry that is executed. It rests on the log alone, so it is the same on every node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Fate<R> {
    /// Nobody asked for it.
    Passed,
    /// It opens a session.
    Opened,
    /// The machine made this of it.
    Done(R),
    /// Its request was executed before, and had this reply, if any.
    Repeated(Option<R>),
    /// Nobody remembers whether its request was executed.
    Forgotten,
}

impl<R> Fate<R> {
    /// What whoever asked for it is told, if anything.
    pub(crate) fn outcome(self) -> Option<Outcome<R>> {
        match self {
            Fate::Passed | Fate::Opened => None,
            Fate::Done(reply) | Fate::Repeated(Some(reply)) => Some(Outcome::Done(reply)),
            Fate::Repeated(None) | Fate::Forgotten => Some(Outcome::Unknown(Unknown::Forgotten)),
        }
    }
}
