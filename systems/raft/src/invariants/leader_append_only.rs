//! A leader never overwrites or drops an entry of its own log; it only appends (§5.3).
//!
//! Its log is what the others are compared with. If it changed, so would what "agree" means.

use super::{Brief, Violation};
use crate::ids::{EntryId, NodeId};
use crate::seam::Role;

/// The log of `node` no longer has `lost`.
pub(super) fn check(node: NodeId, before: Brief, now: Brief, lost: EntryId) -> Result<(), Violation> {
    let term = now.hard.term;
    if before.role == Role::Leader && now.role == Role::Leader && before.hard.term == term {
        return Err(Violation::LeaderRewrote { leader: node, term, lost });
    }
    Ok(())
}
