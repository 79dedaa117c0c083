//! What is committed is in the logs of a quorum, and stays there (§5.3).
//!
//! This is why it can never be lost: every later election needs a node that has it. It is checked when
//! an entry is first called committed, and again when a node comes back from a crash with a shorter log.
//! Logs in memory are counted: an acknowledgement that came too early shows when its node restarts. The quorum is
//! one of the members by whom it was decided, as the first node saw them that called it committed.

use std::collections::{BTreeMap, BTreeSet};

use super::state_machine_safety::Committed;
use super::{View, Violation};
use crate::ids::NodeId;

/// As many nodes have `committed` as it takes; if not, `node` is the one that shows it.
pub(super) fn check(
    nodes: &BTreeMap<NodeId, View>,
    committed: &Committed,
    node: NodeId,
) -> Result<(), Violation> {
    let has = |voter: &NodeId| nodes.get(voter).is_some_and(|view| view.has(committed.id));
    let members = &committed.members;
    let holders: BTreeSet<NodeId> = members.nodes().into_iter().filter(has).collect();
    if members.decide(&holders) {
        return Ok(());
    }
    let voting = holders.iter().filter(|holder| members.votes(**holder)).count();
    let quorum = members.voters().quorum();
    Err(Violation::NoQuorum { entry: committed.id, node, holders: voting, quorum })
}
