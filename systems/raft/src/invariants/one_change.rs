//! At most one change of the members is undecided (dissertation §4.1).
//!
//! Two that overlap could be made so that the members before the first and those after the second find majorities
//! that do not know of each other. So no log may name members twice behind what is committed.

use super::Violation;
use crate::ids::{Index, NodeId};
use crate::log::Log;

/// `node` has this log, and everything up to `committed` is committed, as far as anybody knows.
pub(super) fn check(node: NodeId, log: &Log, committed: Index) -> Result<(), Violation> {
    let count = log.memberships_behind(committed);
    if count <= 1 { Ok(()) } else { Err(Violation::ManyChanges { node, count, committed }) }
}
