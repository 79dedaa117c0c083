//! How a life ended.

use std::fmt;

use checker::{Verdict, Why};
use raft::invariants::Violation;
use raft::{EntryId, Index, NodeId, RequestId};

/// Something that cannot be, noticed while the life went on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Breach {
    /// An invariant of the protocol does not hold.
    Invariant(Violation),
    /// A node answers a read from a state that lacks what was committed before the read came in.
    StaleRead {
        /// Which node.
        node: NodeId,
        /// How far it had executed the log.
        applied: Index,
        /// How far the log was committed when the read came in.
        needs: Index,
    },
    /// A node makes something else of an entry than another one did, or than itself before its restart.
    OtherFate {
        /// Which node.
        node: NodeId,
        /// Who was there first.
        first: NodeId,
        /// The first entry that is executed otherwise.
        entry: EntryId,
    },
    /// Two nodes executed the same, and are not in the same state.
    OtherState {
        /// Which node.
        node: NodeId,
        /// Who was there first.
        first: NodeId,
        /// How far both executed the log.
        upto: Index,
    },
    /// A node executes one request twice.
    Twice {
        /// Which node.
        node: NodeId,
        /// What was asked.
        request: RequestId,
        /// The entry that executed it.
        first: EntryId,
        /// The entry that executes it again.
        again: EntryId,
    },
    /// More happens than in any life that makes sense: somebody talks without end.
    Runaway {
        /// How much happened.
        events: u64,
    },
    /// A node says that a peer, or its own disk, has lost its past.
    Diverged {
        /// Which node.
        node: NodeId,
        /// In its words.
        why: String,
    },
    /// A node does not start on a disk that nobody damaged.
    Refused {
        /// Which node.
        node: NodeId,
        /// In its words.
        why: String,
    },
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Breach::Invariant(violation) => write!(f, "{violation}"),
            Breach::StaleRead { node, applied, needs } => write!(
                f,
                "{node} answers a read from a state that ends with {applied}, and {needs} was committed before it was asked"
            ),
            Breach::OtherFate { node, first, entry } => {
                write!(f, "{node} makes something else of {entry} than {first} did")
            }
            Breach::OtherState { node, first, upto } => {
                write!(f, "{node} and {first} executed the same up to {upto} and hold different states")
            }
            Breach::Twice { node, request, first, again } => {
                write!(f, "{node} executes request {request} as {again}, which was executed as {first}")
            }
            Breach::Runaway { events } => write!(f, "{events} things happened, and no end is in sight"),
            Breach::Diverged { node, why } => write!(f, "{node} halts: {why}"),
            Breach::Refused { node, why } => {
                write!(f, "{node} does not start, and nobody damaged its disk: {why}")
            }
        }
    }
}

/// How a life ended.
#[derive(Clone, PartialEq, Debug)]
pub enum Ending {
    /// Every promise was kept, and in the end everybody was served.
    Good,
    /// Something happened that cannot be.
    Broken(Breach),
    /// An assertion of the system failed.
    Panicked(String),
    /// What clients saw cannot be explained.
    Invalid(Box<checker::Witness>),
    /// An answer was no value of the workload at all.
    Nonsense(String),
    /// Everything was healed, and yet it did not go on.
    Stuck(String),
    /// The checker gave up, or there is none.
    Unknown(String),
    /// Nobody wanted to know how it goes on.
    Stopped,
}

/// What went wrong, in a word: two endings of one sort are likely to have one cause.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Sort {
    /// Nothing did.
    Good,
    /// Safety, as those see it who know the nodes.
    Broken,
    /// An assertion.
    Panicked,
    /// Safety, as clients see it.
    Invalid,
    /// Liveness.
    Stuck,
    /// Nobody knows.
    Unknown,
}

impl Ending {
    /// What a checker's verdict makes of a life that went well so far.
    pub(crate) fn judged(verdict: Verdict) -> Ending {
        match verdict {
            Verdict::Valid { .. } => Ending::Good,
            Verdict::Invalid { witness } => Ending::Invalid(witness),
            Verdict::Unknown { why: Why::OutOfTime } => {
                Ending::Unknown("the checker ran out of steps".into())
            }
            Verdict::Unknown { why: Why::OutOfMemory } => {
                Ending::Unknown("the checker ran out of memory".into())
            }
        }
    }

    /// What went wrong, in a word.
    pub fn sort(&self) -> Sort {
        match self {
            Ending::Good => Sort::Good,
            Ending::Broken(_) => Sort::Broken,
            Ending::Panicked(_) => Sort::Panicked,
            Ending::Invalid(_) | Ending::Nonsense(_) => Sort::Invalid,
            Ending::Stuck(_) => Sort::Stuck,
            Ending::Unknown(_) | Ending::Stopped => Sort::Unknown,
        }
    }

    /// Whether a promise was broken, of safety or of progress.
    pub fn is_bad(&self) -> bool {
        !matches!(self.sort(), Sort::Good | Sort::Unknown)
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sort::Good => "good",
            Sort::Broken => "invariant",
            Sort::Panicked => "assertion",
            Sort::Invalid => "history",
            Sort::Stuck => "stuck",
            Sort::Unknown => "unknown",
        })
    }
}

impl fmt::Display for Ending {
    /// One sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Good => f.write_str("every promise was kept"),
            Ending::Broken(breach) => breach.fmt(f),
            Ending::Panicked(said) => write!(f, "an assertion failed: {said}"),
            Ending::Invalid(witness) => f.write_str(&witness.sentence),
            Ending::Nonsense(said) => write!(f, "an answer that is none: {said}"),
            Ending::Stuck(said) => write!(f, "everything was healed, and it does not go on: {said}"),
            Ending::Unknown(why) => write!(f, "unknown: {why}"),
            Ending::Stopped => f.write_str("unknown: it was stopped"),
        }
    }
}
