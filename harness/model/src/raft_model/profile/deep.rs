//! The bounds `deep`: what is looked at now and then.

use super::super::milestone::Milestone;
use super::openings::{CLOCKS, ESTABLISHED, FORSAKEN, OFFERED, SWAP};
use super::{Budget, NONE, PLAIN, Profile};

/// Up to an hour, and some gigabytes: the same stories with more in them.
pub const DEEP: &[Profile] = &[
    Profile {
        name: "three-candidates",
        story: "three elections from blank disks, on links that keep the order",
        in_order: true,
        budget: Budget { elections: 3, ..NONE },
        meets: &[Milestone::Leader, Milestone::TwoLeaders, Milestone::Deposed, Milestone::Overwritten],
        ..PLAIN
    },
    Profile {
        name: "two-crashes",
        story: "candidates run against each other, and two nodes crash, or one twice",
        in_order: true,
        quick_disks: false,
        remember_messages: true,
        budget: Budget { elections: 2, crashes: 2, ..NONE },
        meets: &[Milestone::Leader, Milestone::WriteLost, Milestone::WriteTorn, Milestone::Restarted],
        ..PLAIN
    },
    Profile {
        name: "busy-takeover",
        story: "a leader takes two writes while another takes over; messages overtake each other",
        opening: ESTABLISHED,
        budget: Budget { elections: 1, writes: 2, ..NONE },
        meets: &[Milestone::WriteAnswered, Milestone::TwoLeaders, Milestone::Overwritten],
        ..PLAIN
    },
    Profile {
        name: "two-takeovers",
        story: "a leader takes a write while two others take over, one after the other",
        opening: ESTABLISHED,
        in_order: true,
        budget: Budget { elections: 2, writes: 1, ..NONE },
        meets: &[Milestone::WriteAnswered, Milestone::TwoLeaders, Milestone::Overwritten],
        ..PLAIN
    },
    Profile {
        name: "crashing-takeover",
        story: "a leader takes two writes while another takes over and a node crashes",
        opening: ESTABLISHED,
        in_order: true,
        quick_disks: false,
        remember_messages: true,
        budget: Budget { elections: 1, writes: 2, crashes: 1, ..NONE },
        meets: &[Milestone::WriteAnswered, Milestone::WriteLost, Milestone::Restarted],
        ..PLAIN
    },
    Profile {
        name: "busy-register",
        story: "clients write and read while another leader takes over, and leaders beat",
        opening: ESTABLISHED,
        in_order: true,
        budget: Budget { elections: 1, writes: 1, reads: 2, heartbeats: 1, ..NONE },
        meets: &[Milestone::ReadAnswered, Milestone::WriteAnswered, Milestone::TwoLeaders],
        ..PLAIN
    },
    Profile {
        name: "three-rivals",
        story: "an old leader with entries of its own comes back, and three leaders follow each other",
        opening: FORSAKEN,
        in_order: true,
        small_appends: true,
        budget: Budget { elections: 3, ..NONE },
        meets: &[Milestone::TwoLeaders, Milestone::Overwritten, Milestone::OldEntryCommitted],
        ..PLAIN
    },
    Profile {
        name: "five",
        story: "another takes over from a leader of five nodes",
        nodes: 5,
        voters: 5,
        opening: ESTABLISHED,
        in_order: true,
        budget: Budget { elections: 1, ..NONE },
        meets: &[Milestone::TwoLeaders, Milestone::Deposed],
        ..PLAIN
    },
    Profile {
        name: "three-changes",
        story: "a leader changes one voter after another while another takes over",
        opening: ESTABLISHED,
        in_order: true,
        nodes: 4,
        changes: &["+voter", "-1", "-3"],
        apart: &[(3, 4)],
        budget: Budget { elections: 1, changes: 2, ..NONE },
        meets: &[Milestone::Added, Milestone::Removed, Milestone::TwoLeaders, Milestone::Overwritten],
        ..PLAIN
    },
    Profile {
        name: "joint-anywhere",
        story: "a new voter comes in the place of another, everybody hears everybody, and another takes over",
        opening: SWAP,
        in_order: true,
        nodes: 4,
        runs: &[2],
        budget: Budget { elections: 1, ..NONE },
        meets: &[Milestone::Added, Milestone::Removed, Milestone::JointLeft, Milestone::Overwritten],
        ..PLAIN
    },
    Profile {
        name: "busy-install",
        story: "a node is offered a snapshot while another takes over and takes a write, and a node crashes",
        opening: OFFERED,
        in_order: true,
        quick_disks: false,
        tail: Some(0),
        budget: Budget { elections: 1, snapshots: 1, writes: 1, crashes: 1, ..NONE },
        meets: &[
            Milestone::SnapshotInstalled,
            Milestone::Compacted,
            Milestone::WriteLost,
            Milestone::TwoLeaders,
        ],
        ..PLAIN
    },
    Profile {
        name: "busy-transfer",
        story: "a leader is asked to give the lead to another and takes a write, a third runs, and a message is lost",
        opening: ESTABLISHED,
        in_order: true,
        budget: Budget { elections: 1, transfers: 1, writes: 1, losses: 1, ..NONE },
        meets: &[
            Milestone::HandedOver,
            Milestone::Untransferred,
            Milestone::TwoLeaders,
            Milestone::WriteAnswered,
        ],
        ..PLAIN
    },
    Profile {
        name: "busy-leases",
        story: "clients read by a lease while time passes, another takes over and takes a write",
        opening: ESTABLISHED,
        in_order: true,
        clocks: Some(CLOCKS),
        budget: Budget { elections: 1, writes: 1, reads: 1, heartbeats: 1, time: 2, ..NONE },
        meets: &[
            Milestone::LeaseRead,
            Milestone::ReadAnswered,
            Milestone::WriteAnswered,
            Milestone::TwoLeaders,
        ],
        ..PLAIN
    },
    Profile {
        name: "lease-and-transfer",
        story: "a leader that reads by a lease is asked to give the lead to another while time passes",
        opening: ESTABLISHED,
        in_order: true,
        clocks: Some(CLOCKS),
        budget: Budget { transfers: 1, reads: 1, heartbeats: 1, time: 1, ..NONE },
        meets: &[
            Milestone::LeaseRead,
            Milestone::HandedOver,
            Milestone::Untransferred,
            Milestone::TwoLeaders,
        ],
        ..PLAIN
    },
];
