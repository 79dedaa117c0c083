//! A node executes each entry once, in the order of the log, without gaps (§5.3).
//!
//! After a restart it begins again with the first.

use super::Violation;
use crate::ids::{EntryId, Index, NodeId};

/// `node` executes `entry`, having executed up to `applied`.
pub(super) fn check(node: NodeId, applied: Index, entry: EntryId) -> Result<(), Violation> {
    let due = applied.next();
    if entry.index == due { Ok(()) } else { Err(Violation::OutOfTurn { node, entry, due }) }
}
