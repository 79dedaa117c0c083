//! What a fault works on, and no other may work on meanwhile.

use std::collections::BTreeSet;

use crate::fault::{Fault, Harm};
use crate::ids::{Link, NodeId};

/// Something that one fault at a time may work on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Claim {
    /// Whether a node runs: killed, stopped, paused, without power, about to halt of its disk, or no member.
    Life(NodeId),
    /// Its clocks.
    Clocks(NodeId),
    /// How fast its disk is.
    Pace(NodeId),
    /// Whether a link carries anything.
    Link(Link),
    /// How it carries it.
    Weather(Link),
}

impl Fault {
    /// All that it works on.
    pub fn claims(&self) -> BTreeSet<Claim> {
        match self {
            Fault::Partition { grudge, .. } => grudge.links().into_iter().map(Claim::Link).collect(),
            Fault::Packets { links, .. } => links.iter().copied().map(Claim::Weather).collect(),
            Fault::Membership { node } => [Claim::Life(*node)].into(),
            _ => {
                let harmed = self.harm().into_iter();
                harmed.flat_map(|(harm, nodes)| nodes.iter().map(move |node| harm.claim(*node))).collect()
            }
        }
    }

    /// Whether both may not last at once.
    pub fn clashes_with(&self, other: &Fault) -> bool {
        !self.claims().is_disjoint(&other.claims())
    }
}

impl Harm {
    fn claim(self, node: NodeId) -> Claim {
        match self {
            Harm::Clock(_) => Claim::Clocks(node),
            Harm::SlowDisk(_) => Claim::Pace(node),
            Harm::Kill
            | Harm::Pause
            | Harm::Power
            | Harm::FullDisk
            | Harm::FailedSync
            | Harm::BitFlip
            | Harm::Wipe
            | Harm::Restart => Claim::Life(node),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Grudge, Pace, Sever};
    use crate::ids::{Nodes, cluster};

    #[test]
    fn what_holds_a_node_down_is_alone_with_it_and_leaves_room_for_the_rest() {
        let n1 = || Nodes::from([NodeId(1)]);
        let down = [Harm::Kill, Harm::Pause, Harm::Power, Harm::FullDisk, Harm::BitFlip, Harm::Restart];
        for (one, other) in itertools::iproduct!(down, down) {
            assert!(one.on(n1()).clashes_with(&other.on(n1())), "{one:?} and {other:?}");
            assert!(!one.on(n1()).clashes_with(&other.on([NodeId(2)].into())));
        }
        let replaced = Fault::Membership { node: NodeId(1) };
        assert!(
            down.into_iter().all(|harm| harm.on(n1()).clashes_with(&replaced)),
            "nobody kills it meanwhile"
        );
        assert!(!replaced.clashes_with(&Fault::Membership { node: NodeId(2) }));
        let slow = Harm::SlowDisk(Pace::Stuck).on(n1());
        assert!(!slow.clashes_with(&Harm::Power.on(n1())));
        assert!(slow.clashes_with(&slow));
    }

    #[test]
    fn a_link_may_be_cut_once_and_have_one_weather() {
        let cut =
            |node| Fault::Partition { grudge: Grudge::apart(NodeId(node), &cluster(3)), sever: Sever::Hold };
        assert!(cut(1).clashes_with(&cut(2)), "both cut n1→n2");
        let links = [Link::new(NodeId(1), NodeId(2))].into();
        let weather =
            Fault::Packets { links, weather: crate::fault::Weather { loss: 5, ..Default::default() } };
        assert!(!weather.clashes_with(&cut(1)));
        assert!(weather.clashes_with(&weather));
    }
}
