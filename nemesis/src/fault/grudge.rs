//! Who does not hear whom, and what becomes of what is said.

use std::collections::BTreeSet;
use std::fmt;

use itertools::{Itertools, iproduct};
use serde::{Deserialize, Serialize};

use crate::ids::{Link, NodeId, Nodes, list};

/// How a cut link treats what is sent over it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sever {
    /// Bytes wait and arrive after the heal, as under packet loss with TCP. The receiver then meets
    /// messages from a time that everybody else has left: the best test of terms and epochs.
    Hold,
    /// Connections break at once, and new ones are turned away.
    Cut,
}

impl fmt::Display for Sever {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sever::Hold => "hold",
            Sever::Cut => "cut",
        })
    }
}

/// Who does not hear whom.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grudge {
    /// Nodes of different blocks do not hear each other. A node in no block hears everybody.
    Blocks(Vec<Nodes>),
    /// Exactly these directions are cut.
    Links(BTreeSet<Link>),
}

impl Grudge {
    /// One node on one side, all others on the other.
    pub fn apart(node: NodeId, nodes: &Nodes) -> Grudge {
        Grudge::Blocks(vec![[node].into(), nodes.iter().copied().filter(|other| *other != node).collect()])
    }

    /// Every direction that is cut.
    pub fn links(&self) -> BTreeSet<Link> {
        match self {
            Grudge::Links(links) => links.clone(),
            Grudge::Blocks(blocks) => {
                let between = blocks.iter().permutations(2).map(|pair| iproduct!(pair[0], pair[1]));
                between.flatten().map(|(from, to)| Link::new(*from, *to)).collect()
            }
        }
    }

    /// Every node that it speaks of.
    pub fn nodes(&self) -> Nodes {
        match self {
            Grudge::Blocks(blocks) => blocks.iter().flatten().copied().collect(),
            Grudge::Links(links) => links.iter().flat_map(|link| [link.from, link.to]).collect(),
        }
    }
}

impl fmt::Display for Grudge {
    /// `n1 | n2 n3`, or `n1→n2 n1→n3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Grudge::Blocks(blocks) => f.write_str(&itertools::join(blocks.iter().map(list), " | ")),
            Grudge::Links(links) => f.write_str(&list(links)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::cluster;

    #[test]
    fn blocks_cut_both_directions_between_them_and_none_within() {
        let links = Grudge::apart(NodeId(2), &cluster(3)).links();
        let expected: BTreeSet<Link> =
            ["n1→n2", "n2→n1", "n3→n2", "n2→n3"].iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(links, expected);
    }
}
