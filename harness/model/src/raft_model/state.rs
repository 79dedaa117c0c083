//! A whole cluster at one moment, and what can happen to it next.

use std::hash::Hash;

use raft::{Envelope, NodeId};
use smallvec::SmallVec;

use super::node::{Make, Node};
use super::profile::Budget;
use crate::mark::Mark;
use crate::ops::Ops;

/// What there is at one moment. Large things stand here by their marks.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    /// The nodes, n1 first.
    pub(super) nodes: SmallVec<[Mark; 3]>,
    /// What is under way: by marks, or by links if these keep the order.
    pub(super) mail: Box<[Mark]>,
    /// What the invariants know.
    pub(super) law: Mark,
    /// What clients asked and were told.
    pub(super) ops: Ops,
    /// What may still happen.
    pub(super) left: Budget,
    /// How many nodes have ever done anything: they did their first thing in the order of their names.
    pub(super) awake: u8,
    /// What went wrong. Nothing happens after that.
    pub(super) end: Option<Mark>,
}

/// Something that can happen next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Move {
    /// A message arrives.
    Deliver(Letter),
    /// A message arrives, and will again.
    Twice(Letter),
    /// A message is lost.
    Lose(Letter),
    /// An election timer runs out.
    Elect(NodeId),
    /// A heartbeat timer runs out.
    Beat(NodeId),
    /// The oldest write of a node is done.
    Sync(NodeId),
    /// A node crashes, and starts again.
    Crash(NodeId),
    /// The same, in the middle of a write.
    Tear(NodeId),
    /// A client asks a node to write.
    Write(NodeId),
    /// A client asks a node to read.
    Read(NodeId),
    /// Somebody asks a node for other members: the change of that number among those of the profile.
    Change(NodeId, u8),
    /// Somebody asks a node to give the lead to another.
    Transfer(NodeId, NodeId),
    /// The time that a node has to give the lead away is over.
    Abandon(NodeId),
    /// A node takes a snapshot.
    Snapshot(NodeId),
    /// A node fetches the snapshot that it was offered.
    Fetch(NodeId),
    /// Some time passes, everywhere.
    Pass,
}

/// A message, by its mark, which says from where and to where it goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Letter(pub(super) Mark);

impl Letter {
    pub(super) fn tag(envelope: &Envelope) -> u8 {
        let small = |node: NodeId| u8::try_from(node.0).ok().filter(|number| *number < 16);
        let tag = small(envelope.from).zip(small(envelope.to)).map(|(from, to)| from << 4 | to);
        tag.expect("a cluster under the checker has fewer than 16 nodes")
    }

    pub(super) fn from(self) -> NodeId {
        NodeId(u16::from(self.0.tag() >> 4))
    }

    pub(super) fn to(self) -> NodeId {
        NodeId(u16::from(self.0.tag() & 0xf))
    }
}

/// What the mark of a node says.
#[derive(Clone, Copy)]
pub(super) struct Traits(u8);

impl Traits {
    const LEADS: u8 = 1;
    const WRITES: u8 = 2;
    const CAN_TEAR: u8 = 4;
    const WANTS: u8 = 8;
    const GIVES_AWAY: u8 = 16;
    const RIPE: u8 = 32;

    pub(super) fn tag(node: &Node, make: &Make) -> u8 {
        let bit = |is: bool, bit: u8| if is { bit } else { 0 };
        bit(node.leads(), Traits::LEADS)
            | bit(node.writes(), Traits::WRITES)
            | bit(node.can_tear(), Traits::CAN_TEAR)
            | bit(node.wanted().is_some(), Traits::WANTS)
            | bit(node.core().gives_away(), Traits::GIVES_AWAY)
            | bit(node.may_run_out(make), Traits::RIPE)
    }

    pub(super) fn of(node: Mark) -> Traits {
        Traits(node.tag())
    }

    pub(super) fn leads(self) -> bool {
        self.0 & Traits::LEADS != 0
    }

    pub(super) fn writes(self) -> bool {
        self.0 & Traits::WRITES != 0
    }

    pub(super) fn can_tear(self) -> bool {
        self.0 & Traits::CAN_TEAR != 0
    }

    /// Whether it should fetch a snapshot.
    pub(super) fn wants(self) -> bool {
        self.0 & Traits::WANTS != 0
    }

    /// Whether it leads, and gives the lead away.
    pub(super) fn gives_away(self) -> bool {
        self.0 & Traits::GIVES_AWAY != 0
    }

    /// Whether its election timer may run out.
    pub(super) fn is_ripe(self) -> bool {
        self.0 & Traits::RIPE != 0
    }
}

/// Where a node stands in the list.
pub(super) fn place(node: NodeId) -> usize {
    usize::from(node.0) - 1
}
