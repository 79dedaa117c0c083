//! What a node said to others it still knows after a restart (Figure 2, "persistent state").
//!
//! A message that leaves binds its sender. A vote, or a candidacy, is a vote given. An answer to a leader
//! says that the node has seen its term. An acknowledgement says that entries are on disk. When the node
//! comes back from a crash its disk must know at least that much; it may know more.
//!
//! An acknowledged entry may be overwritten in good order by a later leader, in memory first. Then it is
//! no longer promised, and the disk may have it or not.

use super::{Brief, Violation};
use crate::ids::{EntryId, Index, NodeId, Term};
use crate::log::Log;
use crate::message::{Envelope, Message};
use crate::seam::HardState;

/// What one node has said.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Promises {
    /// The greatest term it answered for.
    term: Term,
    /// Its last vote.
    vote: Option<(Term, NodeId)>,
    /// The last entry it acknowledged and was not told to drop.
    acknowledged: Index,
}

impl Promises {
    /// `envelope` leaves; its sender is as `brief` and `log` say.
    pub(super) fn sent(
        &mut self,
        envelope: &Envelope,
        brief: Brief,
        log: &[EntryId],
    ) -> Result<(), Violation> {
        match envelope.message {
            Message::RequestVote { .. } => self.vote(envelope.from, envelope.term, envelope.from)?,
            Message::Vote { granted: true } => self.vote(envelope.from, envelope.term, envelope.to)?,
            // What was acknowledged in a term that is over may be overwritten already.
            Message::Matched { upto } if envelope.term == brief.hard.term => {
                let last = log.last().copied().unwrap_or_default();
                if upto > last.index {
                    return Err(Violation::AcknowledgedMissing { node: envelope.from, upto, last });
                }
                self.acknowledged = self.acknowledged.max(upto);
            }
            Message::Append { .. } | Message::Heartbeat { .. } | Message::HeartbeatReply { .. } => {}
            _ => return Ok(()),
        }
        self.term = self.term.max(envelope.term);
        Ok(())
    }

    fn vote(&mut self, node: NodeId, term: Term, candidate: NodeId) -> Result<(), Violation> {
        match self.vote {
            Some((given, first)) if given == term && first != candidate => {
                Err(Violation::VotedTwice { node, term, first, second: candidate })
            }
            Some((given, _)) if given > term => Ok(()),
            _ => {
                self.vote = Some((term, candidate));
                Ok(())
            }
        }
    }

    /// The node was told to drop all behind the first `kept` entries.
    pub(super) fn dropped(&mut self, kept: usize) {
        self.acknowledged = self.acknowledged.min(Index(kept as u64));
    }

    /// The node comes back with this on its disk; before, its log was `before`.
    pub(super) fn kept(
        &self,
        node: NodeId,
        hard: HardState,
        log: &Log,
        before: &[EntryId],
    ) -> Result<(), Violation> {
        if hard.term < self.term {
            return Err(Violation::TermForgotten { node, promised: self.term, found: hard.term });
        }
        match self.vote {
            Some((term, candidate)) if term == hard.term && hard.vote != Some(candidate) => {
                return Err(Violation::VoteForgotten { node, term, candidate, found: hard.vote });
            }
            _ => {}
        }
        let last = self.acknowledged.0.checked_sub(1).and_then(|at| before.get(usize::try_from(at).ok()?));
        match last {
            // What a snapshot holds, the log need not.
            Some(entry) if entry.index > log.base().index() && !log.has(*entry) => {
                Err(Violation::EntryForgotten { node, entry: *entry })
            }
            _ => Ok(()),
        }
    }
}
