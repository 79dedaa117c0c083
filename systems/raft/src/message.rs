//! What nodes tell each other.
//!
//! Every message is an [`Envelope`] with its sender's term, so that any message can depose a leader
//! (§5.1). Replies to appends and votes need no term of their own: an answer from another term is
//! not counted.

use std::fmt;

use bytes::Bytes;

use crate::checkpoint::Checkpoint;
use crate::entry::{Proposal, Suffix};
use crate::ids::{EntryId, Index, NodeId, RequestId, Term};
use crate::seam::Refusal;

/// A message with its address.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Envelope {
    /// Who says it.
    pub from: NodeId,
    /// Who should hear it.
    pub to: NodeId,
    /// The sender's term.
    pub term: Term,
    /// What is said.
    pub message: Message,
}

/// What is said.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Message {
    /// Would you vote for me in the term after this one (dissertation §9.6)?
    RequestPreVote {
        /// The last entry of the asker's log.
        last: EntryId,
    },
    /// The answer. A yes binds nobody.
    PreVote {
        /// Yes or no.
        granted: bool,
    },
    /// Vote for me in this term (§5.2).
    RequestVote {
        /// The last entry of the candidate's log.
        last: EntryId,
        /// The leader itself wants it: who believes in a leader may vote all the same (dissertation §4.2.3).
        called: bool,
    },
    /// The answer.
    Vote {
        /// Yes or no.
        granted: bool,
    },
    /// Continue your log with these (§5.3).
    Append {
        /// The entries, and which entry they follow.
        suffix: Suffix,
        /// How far the leader knows the log to be committed.
        commit: Index,
    },
    /// The follower's log now agrees with the leader's, on disk, up to here.
    Matched {
        /// The last index that agrees.
        upto: Index,
    },
    /// The follower has no such entry.
    Diverged {
        /// The entry it does not have.
        after: EntryId,
        /// The last entry of the follower that could agree.
        probe: EntryId,
    },
    /// The leader is there (§5.2). Its answers also confirm reads (dissertation §6.4).
    Heartbeat {
        /// The number of this round; grows with each broadcast of a term.
        round: u64,
        /// How far the log is committed, at most as far as the follower is known to have it.
        commit: Index,
    },
    /// The follower heard it in this term.
    HeartbeatReply {
        /// The round it heard.
        round: u64,
    },
    /// Your term is old; the envelope has mine.
    Outdated,
    /// A follower's clients want these in the log. Passed on once, never twice.
    Forward {
        /// What they want.
        proposals: Vec<Proposal>,
    },
    /// A follower's clients want to read.
    ForwardRead {
        /// The reads.
        ids: Vec<RequestId>,
    },
    /// Neither taken nor passed on.
    Refused {
        /// Which.
        ids: Vec<RequestId>,
        /// Why not.
        why: Refusal,
    },
    /// These reads may be answered once this index is applied.
    ReadAt {
        /// Which.
        ids: Vec<RequestId>,
        /// How much must be applied first.
        index: Index,
    },
    /// Run for election at once: I give the lead away to you (dissertation §3.10).
    TimeoutNow,
    /// What you lack is not in my log any more: fetch this snapshot (§7).
    Snapshot {
        /// What it holds.
        checkpoint: Checkpoint,
    },
    /// Send me a piece of a snapshot. Between replicas; the core knows nothing of pieces.
    Fetch {
        /// Which snapshot.
        id: EntryId,
        /// From which byte on.
        offset: u64,
    },
    /// A piece of a snapshot.
    Piece {
        /// Of which snapshot.
        id: EntryId,
        /// Its place, in bytes.
        offset: u64,
        /// How long the snapshot is, in bytes; 0 if the sender has none of that name (any more).
        total: u64,
        /// The piece.
        bytes: Bytes,
    },
}

impl fmt::Display for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{} → {} {}", self.from, self.term, self.to, self.message)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let yes = |granted: &bool| if *granted { "yes" } else { "no" };
        match self {
            Message::RequestPreVote { last } => write!(f, "RequestPreVote last={last}"),
            Message::PreVote { granted } => write!(f, "PreVote {}", yes(granted)),
            Message::RequestVote { last, called } => {
                write!(f, "RequestVote last={last}{}", if *called { " called" } else { "" })
            }
            Message::Vote { granted } => write!(f, "Vote {}", yes(granted)),
            Message::Append { suffix, commit } => {
                write!(f, "Append after={} [", suffix.after())?;
                for (place, entry) in suffix.entries().iter().enumerate() {
                    write!(f, "{}{entry}", if place == 0 { "" } else { " " })?;
                }
                write!(f, "] commit={commit}")
            }
            Message::Matched { upto } => write!(f, "Matched {upto}"),
            Message::Diverged { after, probe } => write!(f, "Diverged after={after} probe={probe}"),
            Message::Heartbeat { round, commit } => write!(f, "Heartbeat round={round} commit={commit}"),
            Message::HeartbeatReply { round } => write!(f, "HeartbeatReply round={round}"),
            Message::Outdated => f.write_str("Outdated"),
            Message::Forward { proposals } => write!(f, "Forward {}", proposals.len()),
            Message::ForwardRead { ids } => write!(f, "ForwardRead {}", ids.len()),
            Message::Refused { ids, why } => write!(f, "Refused {}: {why}", ids.len()),
            Message::ReadAt { ids, index } => write!(f, "ReadAt {} index={index}", ids.len()),
            Message::TimeoutNow => f.write_str("TimeoutNow"),
            Message::Snapshot { checkpoint } => write!(f, "Snapshot {checkpoint}"),
            Message::Fetch { id, offset } => write!(f, "Fetch {id} offset={offset}"),
            Message::Piece { id, offset, total, bytes } => {
                write!(f, "Piece {id} offset={offset} bytes={} of {total}", bytes.len())
            }
        }
    }
}
