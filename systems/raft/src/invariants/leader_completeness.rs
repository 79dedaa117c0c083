//! Whoever leads a later term has every entry that was committed before (§5.4).
//!
//! A node elected in a term has it from the start, or never will: so it is checked when a node begins to
//! lead, and for those that lead already, when an older term turns out to have committed something.
//! Only the last such entry is looked for. [Log matching](super::log_matching) answers for those before.

use super::state_machine_safety::Committed;
use super::{View, Violation};
use crate::ids::NodeId;
use crate::seam::Role;

/// `node` leads a term after the one in which `committed` was, or does not lead.
pub(super) fn check(node: NodeId, view: &View, committed: &Committed) -> Result<(), Violation> {
    let term = view.brief.hard.term;
    if view.brief.role != Role::Leader || term <= committed.term || view.has(committed.id) {
        return Ok(());
    }
    Err(Violation::LeaderLacks { leader: node, term, entry: committed.id, committed: committed.term })
}
