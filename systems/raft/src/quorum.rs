//! Majorities.
//!
//! Any two majorities of the same voters share a voter. Everything that Raft promises rests on that
//! one sentence: the shared voter remembers the vote, the entry, the term.

use std::collections::BTreeSet;

use crate::ids::NodeId;

/// Those whose majority decides. If there are none, nothing is ever decided.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Voters {
    nodes: BTreeSet<NodeId>,
    quorum: usize,
}

impl Default for Voters {
    /// Nobody.
    fn default() -> Voters {
        Voters::new([])
    }
}

impl Voters {
    /// These nodes.
    pub fn new(nodes: impl IntoIterator<Item = NodeId>) -> Voters {
        let nodes: BTreeSet<NodeId> = nodes.into_iter().collect();
        Voters { quorum: nodes.len() / 2 + 1, nodes }
    }

    /// The same, by somebody who cannot count: `Bug::CountHalf`.
    pub(crate) fn miscounted(self) -> Voters {
        Voters { quorum: (self.nodes.len() / 2).max(1), ..self }
    }

    /// How many a quorum needs.
    pub fn quorum(&self) -> usize {
        self.quorum
    }

    /// Whether these nodes contain a quorum.
    pub fn decide(&self, nodes: &BTreeSet<NodeId>) -> bool {
        self.nodes.intersection(nodes).count() >= self.quorum()
    }

    /// The greatest value that a quorum has reached, each voter having reached `of(voter)`.
    pub fn reached<T: Ord + Default>(&self, of: impl Fn(NodeId) -> T) -> T {
        let mut values: Vec<T> = self.nodes.iter().map(|node| of(*node)).collect();
        values.sort_unstable_by(|a, b| b.cmp(a));
        values.into_iter().nth(self.quorum() - 1).unwrap_or_default()
    }

    /// Whether it votes.
    pub fn contains(&self, node: NodeId) -> bool {
        self.nodes.contains(&node)
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.iter().copied()
    }

    /// All but one, in order.
    pub fn others(&self, than: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.iter().filter(move |node| *node != than)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none, as in a node that belongs to no cluster yet.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voters(count: u16) -> Voters {
        Voters::new((1..=count).map(NodeId))
    }

    #[test]
    fn any_two_quorums_share_a_voter() {
        for count in 1..=7_u16 {
            let voters = voters(count);
            let subsets: Vec<BTreeSet<NodeId>> = (0_u32..1 << count)
                .map(|mask| voters.iter().filter(|node| mask >> (node.0 - 1) & 1 == 1).collect())
                .filter(|subset| voters.decide(subset))
                .collect();
            for a in &subsets {
                for b in &subsets {
                    assert!(!a.is_disjoint(b), "{a:?} and {b:?} of {count} voters");
                }
            }
        }
    }

    #[test]
    fn a_quorum_has_reached_what_its_slowest_member_has() {
        let matched = [7_u64, 3, 9, 1, 5];
        assert_eq!(voters(5).reached(|node| matched[usize::from(node.0) - 1]), 5);
        assert_eq!(voters(4).reached(|node| matched[usize::from(node.0) - 1]), 3);
        assert_eq!(voters(1).reached(|_| 4_u64), 4);
    }
}
