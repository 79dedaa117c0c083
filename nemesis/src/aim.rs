//! A fault as it is asked for: by role, by shape, or exactly.
//!
//! "Kill the leader" means another node every time. It is resolved against what is known *before*
//! anything is touched, since afterwards the answer may have changed through the very act, and the
//! result, a [`Fault`], is what gets written down.

use std::fmt;

use rand::Rng;
use rand::seq::{IndexedRandom, IteratorRandom, SliceRandom};

use crate::chance;
use crate::fault::{Fault, Harm, Pace, Sever, Skew, Weather};
use crate::ids::{NodeId, Nodes, list};
use crate::kind::Kind;
use crate::route::Route;
use crate::shape::{Impossible, Shape};
use crate::span::Shift;

/// Whom a fault is meant for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Who {
    /// Whoever leads then.
    Leader,
    /// Any one node.
    One,
    /// As many as the rest can do without.
    Minority,
    /// One more than the rest can do without.
    Majority,
    /// Everyone.
    All,
    /// These.
    These(Nodes),
}

impl Who {
    /// Those who are named by role.
    pub const ROLES: [Who; 5] = [Who::Leader, Who::One, Who::Minority, Who::Majority, Who::All];

    /// The nodes that are meant, now.
    pub fn resolve(
        &self,
        nodes: &Nodes,
        leader: Option<NodeId>,
        rng: &mut impl Rng,
    ) -> Result<Nodes, Impossible> {
        let minority = nodes.len().saturating_sub(1) / 2;
        let mut some = |count: usize| {
            let mut order: Vec<NodeId> = nodes.iter().copied().collect();
            order.shuffle(rng);
            order.into_iter().take(count.max(1)).collect()
        };
        Ok(match self {
            Who::Leader => [leader.ok_or(Impossible::NoLeader)?].into(),
            Who::One => some(1),
            Who::Minority => some(minority),
            Who::Majority => some(minority + 1),
            Who::All => nodes.clone(),
            Who::These(these) => these.clone(),
        })
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Who::Leader => "leader",
            Who::One => "one",
            Who::Minority => "minority",
            Who::Majority => "majority",
            Who::All => "all",
            Who::These(nodes) => return f.write_str(&list(nodes)),
        })
    }
}

/// A fault as it is asked for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Aim {
    /// A partition of this shape.
    Partition {
        /// Who stands where.
        shape: Shape,
        /// What becomes of the bytes.
        sever: Sever,
    },
    /// Weather on these links.
    Packets {
        /// On which.
        route: Route,
        /// What becomes of messages.
        weather: Weather,
    },
    /// Harm to these nodes.
    Harm {
        /// Whose.
        who: Who,
        /// Which.
        harm: Harm,
    },
    /// Another member in this one's seat. Of several that are meant, one is drawn.
    Membership {
        /// Whose.
        who: Who,
    },
    /// This very fault.
    Exactly(Fault),
}

/// The role cannot be filled.
pub type Unresolved = Impossible;

impl Aim {
    /// Those by whose role a member can be named that is to be replaced: one at a time.
    pub(crate) const REPLACEABLE: [Who; 2] = [Who::Leader, Who::One];

    /// The form of this kind that tells most about most systems: it goes for the leader, because a
    /// leader that does not know of its end is where promises break.
    pub fn telling(kind: Kind) -> Aim {
        let leader = |harm| Aim::Harm { who: Who::Leader, harm };
        match kind {
            Kind::Partition => Aim::Partition { shape: Shape::IsolateLeader, sever: Sever::Hold },
            Kind::Packets => Aim::Packets { route: Route::Leader, weather: chance::telling_weather() },
            Kind::Kill => leader(Harm::Kill),
            Kind::Pause => leader(Harm::Pause),
            Kind::Power => leader(Harm::Power),
            Kind::Clock => leader(Harm::Clock(Skew::Jump { by: Shift::millis(10_000) })),
            Kind::SlowDisk => leader(Harm::SlowDisk(Pace::Stuck)),
            Kind::FullDisk => leader(Harm::FullDisk),
            Kind::FailedSync => leader(Harm::FailedSync),
            Kind::BitFlip => leader(Harm::BitFlip),
            Kind::Wipe => leader(Harm::Wipe),
            Kind::Restart => leader(Harm::Restart),
            Kind::Membership => Aim::Membership { who: Who::Leader },
        }
    }

    /// Any form of this kind that so many nodes allow.
    pub fn random(kind: Kind, nodes: usize, rng: &mut impl Rng) -> Aim {
        let harm = match kind {
            Kind::Partition => {
                let shapes: Vec<Shape> =
                    Shape::ALL.into_iter().filter(|shape| shape.least() <= nodes).collect();
                let shape = shapes.choose(rng).copied().unwrap_or(Shape::One);
                let sever = *[Sever::Hold, Sever::Cut].choose(rng).expect("there are two of them");
                return Aim::Partition { shape, sever };
            }
            Kind::Packets => {
                let route = *Route::ALL.choose(rng).expect("there are four of them");
                return Aim::Packets { route, weather: chance::weather(rng) };
            }
            Kind::Kill => Harm::Kill,
            Kind::Pause => Harm::Pause,
            Kind::Power => Harm::Power,
            Kind::Clock => Harm::Clock(chance::skew(rng)),
            Kind::SlowDisk => Harm::SlowDisk(chance::pace(rng)),
            Kind::FullDisk => Harm::FullDisk,
            Kind::FailedSync => Harm::FailedSync,
            Kind::BitFlip => Harm::BitFlip,
            Kind::Wipe => Harm::Wipe,
            Kind::Restart => Harm::Restart,
            Kind::Membership => {
                let who = Aim::REPLACEABLE.choose(rng).expect("there are two of them").clone();
                return Aim::Membership { who };
            }
        };
        // What a disk has forgotten does not come back: a majority of rotten disks ends a cluster.
        let lasting = matches!(kind, Kind::BitFlip | Kind::Wipe);
        let roles = if lasting { &Who::ROLES[..3] } else { &Who::ROLES[..] };
        Aim::Harm { who: roles.choose(rng).expect("there are several of them").clone(), harm }
    }

    /// What kind of fault it asks for.
    pub fn kind(&self) -> Kind {
        match self {
            Aim::Partition { .. } => Kind::Partition,
            Aim::Packets { .. } => Kind::Packets,
            Aim::Harm { harm, .. } => harm.kind(),
            Aim::Membership { .. } => Kind::Membership,
            Aim::Exactly(fault) => fault.kind(),
        }
    }

    /// The fault that is meant, now.
    pub fn resolve(
        &self,
        nodes: &Nodes,
        leader: Option<NodeId>,
        rng: &mut impl Rng,
    ) -> Result<Fault, Unresolved> {
        Ok(match self {
            Aim::Partition { shape, sever } => {
                Fault::Partition { grudge: shape.grudge(nodes, leader, rng)?, sever: *sever }
            }
            Aim::Packets { route, weather } => {
                Fault::Packets { links: route.links(nodes, leader, rng)?, weather: *weather }
            }
            Aim::Harm { who, harm } => harm.on(who.resolve(nodes, leader, rng)?),
            Aim::Membership { who } => {
                if nodes.len() < Kind::Membership.needs_nodes() {
                    return Err(Impossible::TooFewMembers { nodes: nodes.len() });
                }
                let meant = who.resolve(nodes, leader, rng)?;
                let node = meant.into_iter().choose(rng).ok_or(Impossible::NoLeader)?;
                Fault::Membership { node }
            }
            Aim::Exactly(fault) => fault.clone(),
        })
    }
}

impl fmt::Display for Aim {
    /// `partition isolate-leader (hold)`, `kill leader`, `clock one (drift -20%)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Aim::Partition { shape, sever } => write!(f, "{kind} {shape} ({sever})"),
            Aim::Packets { route, weather } => write!(f, "{kind} {route} ({weather})"),
            Aim::Harm { who, harm } => write!(f, "{kind} {who}{harm}"),
            Aim::Membership { who } => write!(f, "{kind} {who}"),
            Aim::Exactly(fault) => fault.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::fault::Grudge;
    use crate::ids::cluster;

    #[test]
    fn a_role_becomes_as_many_nodes_as_its_name_says() {
        for (count, minority) in [(1_u16, 1), (2, 1), (3, 1), (4, 1), (5, 2), (7, 3)] {
            let nodes = cluster(count);
            let mut rng = ChaCha8Rng::seed_from_u64(3);
            let mut size = |who: Who| who.resolve(&nodes, Some(NodeId(1)), &mut rng).unwrap().len();
            assert_eq!(size(Who::Leader), 1);
            assert_eq!(size(Who::One), 1);
            assert_eq!(size(Who::Minority), minority);
            assert_eq!(size(Who::All), nodes.len());
            let majority = size(Who::Majority);
            assert!(
                count < 3 || nodes.len() - majority < nodes.len() / 2 + 1,
                "the rest of {count} lives on"
            );
        }
    }

    #[test]
    fn the_telling_form_goes_for_the_leader_and_waits_until_there_is_one() {
        let nodes = cluster(3);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for kind in Kind::ALL {
            let aim = Aim::telling(kind);
            assert_eq!(aim.resolve(&nodes, None, &mut rng), Err(Impossible::NoLeader));
            let fault = aim.resolve(&nodes, Some(NodeId(2)), &mut rng).unwrap();
            match fault {
                Fault::Partition { grudge, .. } => assert_eq!(grudge.to_string(), "n2 | n1 n3"),
                Fault::Packets { links, .. } => {
                    assert_eq!(links, Grudge::apart(NodeId(2), &nodes).links());
                }
                other => assert_eq!(other.nodes(), Nodes::from([NodeId(2)])),
            }
        }
    }
}
