//! A fault: what is broken, by name, with all that is needed to mend it.
//!
//! The set is closed: reading [`Fault`] is reading the catalogue. Each fault knows how to inject and
//! heal itself on a [`Target`], the little that it must know of a world, whether that consists of
//! processes and sockets or of values in a simulator.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;

use itertools::{Itertools, iproduct};
use serde::{Deserialize, Serialize};

use crate::evidence::{Birth, Death, Evidence, LinkCounts, ProcessState};
use crate::ids::{Link, NodeId, Nodes, list};
use crate::kind::Kind;

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

/// A fault with its targets resolved: the same value breaks the same things, today and in a replay.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum Fault {
    /// Some nodes do not hear some others.
    Partition {
        /// Who does not hear whom.
        #[serde(flatten)]
        grudge: Grudge,
        /// What becomes of the bytes.
        sever: Sever,
    },
    /// The processes of these nodes die, and are started again when it heals.
    Kill {
        /// Whose.
        nodes: Nodes,
    },
    /// The processes of these nodes stand still, and go on when it heals. To them no time has passed:
    /// whatever they believed of their lead or their leases, they act on before they look at a clock.
    Pause {
        /// Whose.
        nodes: Nodes,
    },
}

/// What a fault must be able to do to a world.
///
/// Each call has taken effect when it returns. An error means that the world could not be brought
/// into the wanted state: a failure of the harness, which ends the run.
pub trait Target {
    /// Cuts these links. None of them is cut by another fault.
    fn sever(&mut self, links: &BTreeSet<Link>, how: Sever) -> io::Result<()>;
    /// Mends these links, at once, and tells what the cut kept from arriving.
    fn mend(&mut self, links: &BTreeSet<Link>) -> io::Result<BTreeMap<Link, LinkCounts>>;
    /// Kills these nodes, all before any is waited for. One that had died before is reported as it died.
    fn kill(&mut self, nodes: &Nodes) -> io::Result<Vec<Death>>;
    /// Starts these nodes again, on what their disks kept.
    fn restart(&mut self, nodes: &Nodes) -> io::Result<Vec<Birth>>;
    /// Stops these nodes, all before any is waited for. The dead are passed over.
    fn pause(&mut self, nodes: &Nodes) -> io::Result<Vec<ProcessState>>;
    /// What these nodes are doing. The dead are passed over.
    fn states(&mut self, nodes: &Nodes) -> io::Result<Vec<ProcessState>>;
    /// Lets these nodes go on. One that died meanwhile is passed over.
    fn resume(&mut self, nodes: &Nodes) -> io::Result<Vec<ProcessState>>;
}

impl Fault {
    /// What kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            Fault::Partition { .. } => Kind::Partition,
            Fault::Kill { .. } => Kind::Kill,
            Fault::Pause { .. } => Kind::Pause,
        }
    }

    /// Every node that it speaks of.
    pub fn nodes(&self) -> Nodes {
        match self {
            Fault::Partition { grudge, .. } => grudge.nodes(),
            Fault::Kill { nodes } | Fault::Pause { nodes } => nodes.clone(),
        }
    }

    /// Breaks it.
    pub fn inject(&self, on: &mut dyn Target) -> io::Result<Evidence> {
        match self {
            Fault::Partition { grudge, sever } => {
                on.sever(&grudge.links(), *sever)?;
                Ok(Evidence::default())
            }
            Fault::Kill { nodes } => Ok(Evidence { deaths: on.kill(nodes)?, ..Evidence::default() }),
            Fault::Pause { nodes } => Ok(Evidence { states: on.pause(nodes)?, ..Evidence::default() }),
        }
    }

    /// Mends it.
    pub fn heal(&self, on: &mut dyn Target) -> io::Result<Evidence> {
        match self {
            Fault::Partition { grudge, .. } => {
                Ok(Evidence { links: on.mend(&grudge.links())?, ..Evidence::default() })
            }
            Fault::Kill { nodes } => Ok(Evidence { births: on.restart(nodes)?, ..Evidence::default() }),
            Fault::Pause { nodes } => {
                let found = on.states(nodes)?; // whether they stood still all the while
                Ok(Evidence { found, states: on.resume(nodes)?, ..Evidence::default() })
            }
        }
    }
}

impl fmt::Display for Fault {
    /// `partition n1 | n2 n3 (hold)`, `kill n2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Partition { grudge, sever } => write!(f, "partition {grudge} ({sever})"),
            Fault::Kill { nodes } => write!(f, "kill {}", list(nodes)),
            Fault::Pause { nodes } => write!(f, "pause {}", list(nodes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::cluster;

    /// A world of assignments.
    #[derive(PartialEq, Default)]
    struct World {
        cut: BTreeSet<Link>,
        dead: Nodes,
        still: Nodes,
    }

    impl Target for World {
        fn sever(&mut self, links: &BTreeSet<Link>, _how: Sever) -> io::Result<()> {
            self.cut.extend(links);
            Ok(())
        }
        fn mend(&mut self, links: &BTreeSet<Link>) -> io::Result<BTreeMap<Link, LinkCounts>> {
            self.cut.retain(|link| !links.contains(link));
            Ok(links.iter().map(|link| (*link, LinkCounts::default())).collect())
        }
        fn kill(&mut self, nodes: &Nodes) -> io::Result<Vec<Death>> {
            self.dead.extend(nodes);
            Ok(Vec::new())
        }
        fn restart(&mut self, nodes: &Nodes) -> io::Result<Vec<Birth>> {
            self.dead.retain(|node| !nodes.contains(node));
            Ok(Vec::new())
        }
        fn pause(&mut self, nodes: &Nodes) -> io::Result<Vec<ProcessState>> {
            self.still.extend(nodes);
            Ok(Vec::new())
        }
        fn states(&mut self, _nodes: &Nodes) -> io::Result<Vec<ProcessState>> {
            Ok(Vec::new())
        }
        fn resume(&mut self, nodes: &Nodes) -> io::Result<Vec<ProcessState>> {
            self.still.retain(|node| !nodes.contains(node));
            Ok(Vec::new())
        }
    }

    fn faults() -> [Fault; 4] {
        let bridge = Grudge::Blocks(vec![[NodeId(1), NodeId(2)].into(), [NodeId(4), NodeId(5)].into()]);
        [
            Fault::Partition { grudge: bridge, sever: Sever::Hold },
            Fault::Partition {
                grudge: Grudge::Links([Link::new(NodeId(1), NodeId(2))].into()),
                sever: Sever::Cut,
            },
            Fault::Kill { nodes: [NodeId(2)].into() },
            Fault::Pause { nodes: [NodeId(3)].into() },
        ]
    }

    #[test]
    fn a_healed_world_is_as_it_was() {
        let mut world = World::default();
        for fault in faults() {
            fault.inject(&mut world).unwrap();
            assert!(world != World::default(), "{fault} changed nothing");
            fault.heal(&mut world).unwrap();
            assert!(world == World::default(), "{fault} left something behind");
        }
    }

    #[test]
    fn blocks_cut_both_directions_between_them_and_none_within() {
        let links = Grudge::apart(NodeId(2), &cluster(3)).links();
        let expected: BTreeSet<Link> =
            ["n1→n2", "n2→n1", "n3→n2", "n2→n3"].iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(links, expected);
    }

    #[test]
    fn a_fault_reads_in_a_history_as_it_is_said() {
        let json = faults().map(|fault| serde_json::to_string(&fault).unwrap());
        assert_eq!(
            json,
            [
                r#"{"fault":"partition","blocks":[["n1","n2"],["n4","n5"]],"sever":"hold"}"#,
                r#"{"fault":"partition","links":["n1→n2"],"sever":"cut"}"#,
                r#"{"fault":"kill","nodes":["n2"]}"#,
                r#"{"fault":"pause","nodes":["n3"]}"#,
            ]
        );
        for (fault, json) in faults().into_iter().zip(json) {
            assert_eq!(serde_json::from_str::<Fault>(&json).unwrap(), fault);
        }
        assert_eq!(faults()[0].to_string(), "partition n1 n2 | n4 n5 (hold)");
    }
}
