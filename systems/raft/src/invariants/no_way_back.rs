//! What only grows, and what never changes, in the life of one node (Figure 2).
//!
//! Its term never falls. A vote that was given in a term stays as it is until the term ends. The commit
//! index never falls while the node lives, and never points beyond its log. A restart forgets the commit
//! index and nothing else; [promises](super::promises) look after the rest.

use super::{Brief, Violation};
use crate::ids::{EntryId, NodeId};

/// From one state of a node to a later one; its log ends with `last`.
pub(super) fn check(node: NodeId, before: Brief, now: Brief, last: EntryId) -> Result<(), Violation> {
    let (from, to) = (before.hard.term, now.hard.term);
    if to < from {
        return Err(Violation::TermFell { node, from, to });
    }
    match before.hard.vote {
        Some(first) if from == to && now.hard.vote != Some(first) => {
            return Err(Violation::VoteChanged { node, term: to, first, second: now.hard.vote });
        }
        _ => {}
    }
    if now.commit < before.commit {
        return Err(Violation::CommitFell { node, from: before.commit, to: now.commit });
    }
    if now.commit > last.index {
        return Err(Violation::CommitBeyondLog { node, commit: now.commit, last });
    }
    Ok(())
}
