//! A fault: what is broken, by name, with all that is needed to mend it.
//!
//! The set is closed: reading [`Fault`] is reading the catalogue. Each fault knows how to inject and
//! heal itself on a [`Target`], the little that it must know of a world, whether that consists of
//! processes and sockets or of values in a simulator.
//!
//! Several faults may last at once, and heals must not undo each other: a node that a power cut holds
//! down must not be started by the heal of a kill. So each fault [claims](Fault::claims) what it
//! works on, and no two that last at once claim the same. Whoever reads, draws or plays a schedule
//! keeps to that. What different claims allow is wanted: a node cut off *and* on a slow disk, then
//! without power, is where recovery meets what nobody thought of.

pub mod claim;
pub mod grudge;
pub mod harm;
pub mod target;
mod weaker;
pub mod weather;

use std::collections::BTreeSet;
use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use crate::evidence::Evidence;
use crate::ids::{Link, NodeId, Nodes, list};
use crate::kind::Kind;

pub use claim::Claim;
pub use grudge::{Grudge, Sever};
pub use harm::{Harm, Pace, Skew};
pub use target::{Target, Trouble};
pub use weather::Weather;

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
    /// The processes of these nodes die, and are started again when it heals. Their disks keep all that
    /// was written, synced or not: the kernel outlives a process.
    Kill {
        /// Whose.
        nodes: Nodes,
    },
    /// The processes of these nodes stand still, and go on when it heals, anywhere in what they were doing. What
    /// they believed of their lead or their leases is as old as that, and only their clocks say so.
    Pause {
        /// Whose.
        nodes: Nodes,
    },
    /// The power of these nodes goes: they die, and what was not synced is lost, wholly or in part. They
    /// are started again when it heals. Who answered before the sync is found out.
    Power {
        /// Whose.
        nodes: Nodes,
    },
    /// Messages on these links are delayed, lost, repeated, overtaken.
    Packets {
        /// On which.
        links: BTreeSet<Link>,
        /// What becomes of them.
        weather: Weather,
    },
    /// The clocks of these nodes are wrong. Who believes that a lease still lasts, or that one of
    /// somebody else is over, is found out.
    Clock {
        /// Whose.
        nodes: Nodes,
        /// In which way.
        skew: Skew,
    },
    /// The disks of these nodes are slow.
    SlowDisk {
        /// Whose.
        nodes: Nodes,
        /// How slow.
        pace: Pace,
    },
    /// The disks of these nodes are full. A node that cannot write must halt, not guess; the heal makes
    /// room, and starts it again if it ended.
    FullDisk {
        /// Whose.
        nodes: Nodes,
    },
    /// The next sync of each of these nodes fails, once, and what it should have made safe is lost. A node
    /// must not try again and believe the second answer: it must halt. The heal starts it again if it
    /// ended.
    FailedSync {
        /// Whose.
        nodes: Nodes,
    },
    /// These nodes die, one bit on the disk of each rots, and they are started again when it heals. A node
    /// that finds the damage refuses to start, and stays down for good: so it should.
    BitFlip {
        /// Whose.
        nodes: Nodes,
    },
    /// These nodes die, and start again on empty disks when it heals. No protocol survives that in which a
    /// promise is a vote on a disk: a node that forgets its vote can give it twice. So it is part of
    /// no mixture, and happens only to those who ask for it by name.
    Wipe {
        /// Whose.
        nodes: Nodes,
    },
    /// These nodes are asked to stop, do so in good order, and are started again when it heals. What a node
    /// does only on its way out, and what it believes only because the last one went well, is found out.
    Restart {
        /// Whose.
        nodes: Nodes,
    },
    /// The member in this seat is taken out of the cluster: the others are asked to, then its process ends
    /// and its disk is emptied. When it heals, a new member takes the seat, on an empty disk and at the same
    /// address: it learns first, where the system knows learners, and then gets a vote. Who counts the votes
    /// of yesterday's members is found out.
    Membership {
        /// Which seat.
        node: NodeId,
    },
}

impl Fault {
    /// What kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            Fault::Partition { .. } => Kind::Partition,
            Fault::Packets { .. } => Kind::Packets,
            Fault::Kill { .. } => Kind::Kill,
            Fault::Pause { .. } => Kind::Pause,
            Fault::Power { .. } => Kind::Power,
            Fault::Clock { .. } => Kind::Clock,
            Fault::SlowDisk { .. } => Kind::SlowDisk,
            Fault::FullDisk { .. } => Kind::FullDisk,
            Fault::FailedSync { .. } => Kind::FailedSync,
            Fault::BitFlip { .. } => Kind::BitFlip,
            Fault::Wipe { .. } => Kind::Wipe,
            Fault::Restart { .. } => Kind::Restart,
            Fault::Membership { .. } => Kind::Membership,
        }
    }

    /// What it does and to whom, if it is one that is done to any number of nodes, and not to links nor to
    /// the cluster as a whole.
    pub fn harm(&self) -> Option<(Harm, &Nodes)> {
        Some(match self {
            Fault::Partition { .. } | Fault::Packets { .. } | Fault::Membership { .. } => return None,
            Fault::Kill { nodes } => (Harm::Kill, nodes),
            Fault::Pause { nodes } => (Harm::Pause, nodes),
            Fault::Power { nodes } => (Harm::Power, nodes),
            Fault::Clock { nodes, skew } => (Harm::Clock(*skew), nodes),
            Fault::SlowDisk { nodes, pace } => (Harm::SlowDisk(*pace), nodes),
            Fault::FullDisk { nodes } => (Harm::FullDisk, nodes),
            Fault::FailedSync { nodes } => (Harm::FailedSync, nodes),
            Fault::BitFlip { nodes } => (Harm::BitFlip, nodes),
            Fault::Wipe { nodes } => (Harm::Wipe, nodes),
            Fault::Restart { nodes } => (Harm::Restart, nodes),
        })
    }

    /// Every node that it speaks of.
    pub fn nodes(&self) -> Nodes {
        match self {
            Fault::Partition { grudge, .. } => grudge.nodes(),
            Fault::Packets { links, .. } => links.iter().flat_map(|link| [link.from, link.to]).collect(),
            Fault::Membership { node } => [*node].into(),
            _ => self.harm().map(|(_, nodes)| nodes.clone()).unwrap_or_default(),
        }
    }

    /// Breaks it.
    pub fn inject(&self, on: &mut dyn Target) -> io::Result<Evidence> {
        let mut found = Evidence::default();
        match self {
            Fault::Partition { grudge, sever } => on.sever(&grudge.links(), *sever)?,
            Fault::Packets { links, weather } => on.weather(links, *weather)?,
            Fault::Kill { nodes } => found.deaths = on.kill(nodes)?,
            Fault::Pause { nodes } => found.states = on.pause(nodes)?,
            Fault::Power { nodes } => (found.deaths, found.lost) = on.cut_power(nodes)?,
            Fault::Clock { nodes, skew } => found.clocks = on.skew(nodes, *skew)?,
            Fault::SlowDisk { nodes, pace } => on.trouble(nodes, Trouble::Slow(*pace))?,
            Fault::FullDisk { nodes } => on.trouble(nodes, Trouble::Full)?,
            Fault::FailedSync { nodes } => on.trouble(nodes, Trouble::FailedSync)?,
            Fault::BitFlip { nodes } => {
                found.deaths = on.kill(nodes)?;
                found.rotten = on.rot(nodes)?;
            }
            Fault::Wipe { nodes } => {
                found.deaths = on.kill(nodes)?;
                found.lost = on.wipe(nodes)?;
            }
            Fault::Restart { nodes } => found.deaths = on.stop(nodes)?,
            Fault::Membership { node } => {
                let (removal, deaths) = on.remove(*node)?;
                found.removals = [(*node, removal)].into();
                found.deaths = deaths;
            }
        }
        Ok(found)
    }

    /// Mends it.
    pub fn heal(&self, on: &mut dyn Target) -> io::Result<Evidence> {
        let mut found = Evidence::default();
        match self {
            Fault::Partition { grudge, .. } => found.links = on.mend(&grudge.links())?,
            Fault::Packets { links, .. } => found.packets = on.clear_up(links)?,
            Fault::Pause { nodes } => {
                found.found = on.states(nodes)?; // whether they stood still all the while
                found.states = on.resume(nodes)?;
            }
            Fault::Clock { nodes, .. } => found.clocks = on.set_right(nodes)?,
            Fault::SlowDisk { nodes, pace } => found.disks = on.relieve(nodes, Trouble::Slow(*pace))?,
            Fault::FullDisk { nodes } => found.disks = on.relieve(nodes, Trouble::Full)?,
            Fault::FailedSync { nodes } => found.disks = on.relieve(nodes, Trouble::FailedSync)?,
            Fault::Membership { node } => {
                let (joining, births) = on.join(*node)?;
                found.joinings = joining.map(|joining| (*node, joining)).into_iter().collect();
                found.births = births;
            }
            Fault::Kill { .. }
            | Fault::Power { .. }
            | Fault::BitFlip { .. }
            | Fault::Wipe { .. }
            | Fault::Restart { .. } => {}
        }
        if let Some((harm, nodes)) = self.harm()
            && harm.ends_nodes()
        {
            found.births = on.restart(nodes)?;
            found.refusals = on.refusals(nodes)?;
        }
        if let Fault::BitFlip { nodes } = self {
            found.rotten = on.rot_read(nodes)?;
        }
        Ok(found)
    }
}

impl fmt::Display for Fault {
    /// `partition n1 | n2 n3 (hold)`, `kill n2`, `clock n1 (jump +2.5s)`, `membership n2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Fault::Partition { grudge, sever } => write!(f, "{kind} {grudge} ({sever})"),
            Fault::Packets { links, weather } => write!(f, "{kind} {} ({weather})", list(links)),
            Fault::Membership { node } => write!(f, "{kind} {node}"),
            _ => self.harm().map_or(Ok(()), |(harm, nodes)| write!(f, "{kind} {}{harm}", list(nodes))),
        }
    }
}
