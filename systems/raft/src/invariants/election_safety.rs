//! At most one leader in a term (§5.2).
//!
//! A leader needs the votes of a quorum, a node votes once a term, and two quorums share a node.

use std::collections::BTreeMap;

use super::Violation;
use crate::ids::{NodeId, Term};

/// Who led which term.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Leaders(BTreeMap<Term, NodeId>);

impl Leaders {
    /// `node` leads `term`.
    pub(super) fn claim(&mut self, term: Term, node: NodeId) -> Result<(), Violation> {
        let first = *self.0.entry(term).or_insert(node);
        if first == node { Ok(()) } else { Err(Violation::TwoLeaders { term, first, second: node }) }
    }
}
