//! The shapes a partition can have.
//!
//! Each shape is a question that some real system answered wrongly. An isolated leader may go on
//! answering reads; two halves may both believe to be the majority; in a ring every node has a
//! majority, but no two the same one, so a protocol that counts hands instead of votes elects two
//! leaders; over a bridge a single node decides which side wins; and a node that is heard but does
//! not hear (or the other way round) is neither dead nor alive to a failure detector.

use std::fmt;
use std::str::FromStr;

use itertools::iproduct;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, RngExt};

use crate::fault::Grudge;
use crate::ids::{Link, NodeId, Nodes};

/// A shape, before it is known which node stands where.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Shape {
    /// The leader on one side, all others on the other.
    IsolateLeader,
    /// Some node on one side, all others on the other.
    One,
    /// Two sides, as equal as can be; chance says who stands where.
    Halves,
    /// The leader among the largest minority; the others are a majority and can elect another.
    Majority,
    /// Every node hears a majority, no two the same one.
    Ring,
    /// Two sides that do not hear each other, and one node that hears, and is heard by, both.
    Bridge,
    /// One node is heard by all and hears nobody, or hears all and is heard by nobody.
    OneWay,
}

/// This shape needs more nodes, or a leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Impossible {
    /// Too few nodes to tell sides apart.
    #[error("a partition of shape `{shape}` needs {} nodes, and there are {nodes}", shape.least())]
    TooFew {
        /// The shape.
        shape: Shape,
        /// How many there are.
        nodes: usize,
    },
    /// Nobody leads, as far as anyone can see. It may change.
    #[error("no leader is known")]
    NoLeader,
    /// Too few to do without one.
    #[error("a member can be replaced among 3 nodes or more, and there are {nodes}")]
    TooFewMembers {
        /// How many there are.
        nodes: usize,
    },
    /// Nobody to speak to.
    #[error("one node has no links")]
    NoLinks,
}

impl Shape {
    /// All of them.
    pub const ALL: [Shape; 7] = [
        Shape::IsolateLeader,
        Shape::One,
        Shape::Halves,
        Shape::Majority,
        Shape::Ring,
        Shape::Bridge,
        Shape::OneWay,
    ];

    /// The name used in schedules.
    pub fn name(self) -> &'static str {
        match self {
            Shape::IsolateLeader => "isolate-leader",
            Shape::One => "one",
            Shape::Halves => "halves",
            Shape::Majority => "majority",
            Shape::Ring => "ring",
            Shape::Bridge => "bridge",
            Shape::OneWay => "one-way",
        }
    }

    /// How many nodes it takes.
    pub fn least(self) -> usize {
        match self {
            Shape::Ring | Shape::Bridge => 3,
            _ => 2,
        }
    }

    /// Puts nodes into their places. Where the shape wants a leader and there is none, a node drawn
    /// by chance stands in for it, except for [`Shape::IsolateLeader`], which would lose its meaning.
    pub fn grudge(
        self,
        nodes: &Nodes,
        leader: Option<NodeId>,
        rng: &mut impl Rng,
    ) -> Result<Grudge, Impossible> {
        if nodes.len() < self.least() {
            return Err(Impossible::TooFew { shape: self, nodes: nodes.len() });
        }
        let leader = leader.filter(|leader| nodes.contains(leader));
        let mut order: Vec<NodeId> = nodes.iter().copied().collect();
        order.shuffle(rng);
        Ok(match self {
            Shape::IsolateLeader => Grudge::apart(leader.ok_or(Impossible::NoLeader)?, nodes),
            Shape::One => Grudge::apart(order[0], nodes),
            Shape::Halves => sides(&order, order.len() / 2),
            Shape::Majority => {
                order.sort_by_key(|node| Some(*node) != leader); // stable: only the leader moves
                sides(&order, (order.len() - 1) / 2 + usize::from(order.len() == 2))
            }
            Shape::Ring => ring(&order),
            Shape::Bridge => {
                let (_bridge, rest) = order.split_first().expect("a bridge has three nodes or more");
                sides(rest, rest.len() / 2)
            }
            Shape::OneWay => {
                let node = leader.filter(|_| rng.random()).or_else(|| order.choose(rng).copied());
                one_way(node.expect("there are two nodes or more"), nodes, rng.random())
            }
        })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No shape of that name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown shape `{0}`; known: {known}", known = itertools::join(Shape::ALL, ", "))]
pub struct UnknownShape(String);

impl FromStr for Shape {
    type Err = UnknownShape;

    fn from_str(text: &str) -> Result<Shape, UnknownShape> {
        let found = Shape::ALL.into_iter().find(|shape| shape.name() == text);
        found.ok_or_else(|| UnknownShape(text.to_owned()))
    }
}

/// The first `few` of them against the rest.
fn sides(order: &[NodeId], few: usize) -> Grudge {
    let (here, there) = order.split_at(few);
    Grudge::Blocks(vec![here.iter().copied().collect(), there.iter().copied().collect()])
}

/// On a circle, everyone hears a bare majority around itself: as many to the left as to the right,
/// and where that does not come out even, one more to the right, who does not hear it in return.
/// No two windows are the same, because none goes all the way round.
fn ring(circle: &[NodeId]) -> Grudge {
    let (count, majority) = (circle.len(), circle.len() / 2 + 1);
    let right = majority / 2;
    let left = majority - 1 - right;
    let hears = |to: usize, from: usize| {
        let ahead = (from + count - to) % count;
        ahead <= right || count - ahead <= left
    };
    let pairs = iproduct!(0..count, 0..count);
    let cut = pairs.filter(|(from, to)| !hears(*to, *from));
    Grudge::Links(cut.map(|(from, to)| Link::new(circle[from], circle[to])).collect())
}

/// Cuts all links to `node`, or all links from it.
fn one_way(node: NodeId, nodes: &Nodes, deaf: bool) -> Grudge {
    let others = nodes.iter().copied().filter(|other| *other != node);
    let heard = others.map(|other| Link::new(other, node));
    Grudge::Links(heard.map(|link| if deaf { link } else { link.reverse() }).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use itertools::Itertools;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::ids::cluster;

    /// Whom `node` still hears, itself included.
    fn heard(nodes: &Nodes, cut: &BTreeSet<Link>, node: NodeId) -> Nodes {
        nodes.iter().copied().filter(|from| !cut.contains(&Link::new(*from, node))).collect()
    }

    fn symmetric(cut: &BTreeSet<Link>) -> bool {
        cut.iter().all(|link| cut.contains(&link.reverse()))
    }

    proptest! {
        #[test]
        fn each_shape_has_its_defining_property(count in 2_u16..=9, who in 1_u16..=9, seed: u64) {
            let nodes = cluster(count);
            let leader = NodeId(1 + (who - 1) % count);
            let majority = nodes.len() / 2 + 1;
            for shape in Shape::ALL {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                let grudge = match shape.grudge(&nodes, Some(leader), &mut rng) {
                    Ok(grudge) => grudge,
                    Err(why) => {
                        prop_assert!(nodes.len() < shape.least(), "{why}");
                        continue;
                    }
                };
                let cut = grudge.links();
                let hears: Vec<Nodes> = nodes.iter().map(|node| heard(&nodes, &cut, *node)).collect();
                let sizes = || hears.iter().map(Nodes::len).sorted().collect::<Vec<_>>();
                prop_assert!(!cut.is_empty(), "{shape} cuts nothing");
                prop_assert!(cut.iter().all(|link| link.from != link.to), "{shape} cuts a node from itself");
                match shape {
                    Shape::IsolateLeader => {
                        prop_assert!(symmetric(&cut));
                        prop_assert_eq!(heard(&nodes, &cut, leader), [leader].into());
                        prop_assert_eq!(cut.len(), 2 * (nodes.len() - 1));
                    }
                    Shape::One => {
                        prop_assert!(symmetric(&cut));
                        prop_assert_eq!(cut.len(), 2 * (nodes.len() - 1));
                    }
                    Shape::Halves => {
                        prop_assert!(symmetric(&cut));
                        prop_assert_eq!(hears.iter().unique().count(), 2);
                        prop_assert!(sizes()[nodes.len() - 1] - sizes()[0] <= 1);
                    }
                    Shape::Majority => {
                        prop_assert!(symmetric(&cut));
                        prop_assert!(heard(&nodes, &cut, leader).len() < majority);
                        if count > 2 {
                            prop_assert!(sizes()[nodes.len() - 1] >= majority);
                        }
                    }
                    Shape::Ring => {
                        prop_assert!(hears.iter().all(|heard| heard.len() == majority));
                        prop_assert!(hears.iter().all_unique(), "two nodes see the same majority");
                    }
                    Shape::Bridge => {
                        prop_assert!(symmetric(&cut));
                        let bridges: Vec<_> = hears.iter().filter(|heard| **heard == nodes).collect();
                        prop_assert_eq!(bridges.len(), 1);
                        let sides: Vec<_> = hears.iter().filter(|heard| **heard != nodes).unique().collect();
                        prop_assert_eq!(sides.len(), 2);
                        prop_assert_eq!((sides[0] & sides[1]).len(), 1, "only the bridge is on both sides");
                    }
                    Shape::OneWay => {
                        prop_assert!(cut.iter().all(|link| !cut.contains(&link.reverse())));
                        prop_assert_eq!(cut.len(), nodes.len() - 1);
                    }
                }
            }
        }
    }

    #[test]
    fn two_majorities_of_a_ring_always_share_a_node_and_never_all() {
        let nodes = cluster(5);
        let grudge = Shape::Ring.grudge(&nodes, None, &mut ChaCha8Rng::seed_from_u64(7)).unwrap();
        let cut = grudge.links();
        for [one, other] in nodes.iter().array_combinations() {
            let (one, other) = (heard(&nodes, &cut, *one), heard(&nodes, &cut, *other));
            assert!(!(&one & &other).is_empty());
            assert_ne!(one, other);
        }
    }

    #[test]
    fn every_split_into_halves_can_come_up() {
        let nodes = cluster(4);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let drawn: BTreeSet<BTreeSet<Link>> =
            (0..200).map(|_| Shape::Halves.grudge(&nodes, None, &mut rng).unwrap().links()).collect();
        let possible = nodes.iter().copied().combinations(2).map(|here| {
            let here: Nodes = here.into_iter().collect();
            Grudge::Blocks(vec![&nodes - &here, here]).links()
        });
        assert_eq!(drawn, possible.collect());
    }

    #[test]
    fn what_cannot_be_shaped_is_refused_with_the_reason() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let said = |shape: Shape, count, rng: &mut ChaCha8Rng| {
            shape.grudge(&cluster(count), None, rng).unwrap_err().to_string()
        };
        assert_eq!(
            said(Shape::Ring, 2, &mut rng),
            "a partition of shape `ring` needs 3 nodes, and there are 2"
        );
        assert_eq!(said(Shape::IsolateLeader, 3, &mut rng), "no leader is known");
        assert!("circle".parse::<Shape>().unwrap_err().to_string().contains("ring, bridge"));
    }
}
