//! The bounds `ci`: what every build looks at.

use super::super::milestone::Milestone;
use super::openings::{
    AWAY, CLOCKS, ESTABLISHED, FIGURE_8, FORSAKEN, OFFERED, RIVAL_CHANGES, SWAP, SWAP_ITSELF,
};
use super::{Budget, NONE, PLAIN, Profile};

/// About a minute on two cores, together.
pub const CI: &[Profile] = &[
    Profile {
        name: "elections",
        story: "candidates run against each other from blank disks; votes are remembered",
        remember_messages: true,
        budget: Budget { elections: 2, ..NONE },
        meets: &[Milestone::Leader, Milestone::TwoLeaders, Milestone::Deposed],
        ..PLAIN
    },
    Profile {
        name: "crashing-elections",
        story: "candidates run against each other and crash; what is under way to a disk is lost or torn",
        in_order: true,
        quick_disks: false,
        budget: Budget { elections: 2, crashes: 1, ..NONE },
        meets: &[Milestone::Leader, Milestone::WriteLost, Milestone::WriteTorn, Milestone::Restarted],
        ..PLAIN
    },
    Profile {
        name: "overtaking",
        story: "a leader takes two writes; messages overtake each other, and come twice",
        opening: ESTABLISHED,
        budget: Budget { writes: 2, duplicates: 1, ..NONE },
        meets: &[Milestone::WriteAnswered, Milestone::Twice],
        ..PLAIN
    },
    Profile {
        name: "takeover",
        story: "a leader takes a write while another takes over; messages overtake each other",
        opening: ESTABLISHED,
        budget: Budget { elections: 1, writes: 1, heartbeats: 1, ..NONE },
        meets: &[Milestone::WriteAnswered, Milestone::TwoLeaders, Milestone::Overwritten],
        ..PLAIN
    },
    Profile {
        name: "crashing-writes",
        story: "a leader takes a write while another takes over, and a node crashes; promises are remembered",
        remember_messages: true,
        opening: ESTABLISHED,
        quick_disks: false,
        in_order: true,
        budget: Budget { elections: 1, writes: 1, crashes: 1, ..NONE },
        meets: &[Milestone::WriteAnswered, Milestone::WriteLost, Milestone::Restarted],
        ..PLAIN
    },
    Profile {
        name: "reads",
        story: "clients read while another leader takes over",
        opening: ESTABLISHED,
        in_order: true,
        budget: Budget { elections: 1, reads: 2, heartbeats: 1, ..NONE },
        meets: &[Milestone::ReadAnswered, Milestone::TwoLeaders],
        ..PLAIN
    },
    Profile {
        name: "register",
        story: "a client writes and another reads while another leader takes over",
        opening: ESTABLISHED,
        in_order: true,
        budget: Budget { elections: 1, writes: 1, reads: 1, ..NONE },
        meets: &[Milestone::ReadAnswered, Milestone::WriteAnswered, Milestone::TwoLeaders],
        ..PLAIN
    },
    Profile {
        name: "sent-on",
        story: "clients ask nodes that do not lead, a message is lost on its way",
        opening: ESTABLISHED,
        in_order: true,
        ask_anyone: true,
        budget: Budget { writes: 1, reads: 1, heartbeats: 1, losses: 1, ..NONE },
        meets: &[Milestone::Forwarded, Milestone::ReadAnswered, Milestone::WriteAnswered, Milestone::Lost],
        ..PLAIN
    },
    Profile {
        name: "rivals",
        story: "an old leader with entries of its own comes back while another leads",
        opening: FORSAKEN,
        in_order: true,
        budget: Budget { elections: 2, writes: 1, ..NONE },
        meets: &[Milestone::TwoLeaders, Milestone::Overwritten, Milestone::OldEntryCommitted],
        ..PLAIN
    },
    Profile {
        name: "figure-8",
        story: "two old leaders, each with an entry of its own, lead again in turn",
        opening: FIGURE_8,
        in_order: true,
        small_appends: true,
        budget: Budget { elections: 2, ..NONE },
        meets: &[Milestone::TwoLeaders, Milestone::Overwritten, Milestone::OldEntryCommitted],
        ..PLAIN
    },
    Profile {
        name: "one-voter",
        story: "a leader adds a voter or removes one, itself or another, while another takes over",
        opening: ESTABLISHED,
        in_order: true,
        nodes: 4,
        changes: &["+voter", "-1", "-3"],
        budget: Budget { elections: 1, changes: 1, ..NONE },
        meets: &[Milestone::Added, Milestone::Removed, Milestone::TwoLeaders, Milestone::Overwritten],
        ..PLAIN
    },
    Profile {
        name: "two-changes",
        story: "a leader is asked for two changes of one voter each, and for its own removal",
        opening: ESTABLISHED,
        in_order: true,
        nodes: 4,
        changes: &["+voter", "-1", "-3"],
        budget: Budget { changes: 2, ..NONE },
        meets: &[Milestone::Added, Milestone::Removed],
        ..PLAIN
    },
    Profile {
        name: "rival-changes",
        story: "two leaders each change one voter, from the same members, to different ends",
        opening: RIVAL_CHANGES,
        in_order: true,
        nodes: 5,
        voters: 4,
        changes: &["-1"],
        apart: &[(1, 2), (1, 3), (5, 2), (5, 3)],
        budget: Budget { elections: 1, changes: 1, ..NONE },
        meets: &[Milestone::Removed, Milestone::TwoLeaders, Milestone::OldEntryCommitted],
        ..PLAIN
    },
    Profile {
        name: "joint",
        story: "a leader puts a new voter in the place of another, and somebody else takes over meanwhile",
        opening: SWAP,
        in_order: true,
        nodes: 4,
        apart: &[(2, 4), (3, 4)],
        budget: Budget { elections: 1, ..NONE },
        meets: &[Milestone::Added, Milestone::Removed, Milestone::JointLeft, Milestone::Overwritten],
        ..PLAIN
    },
    Profile {
        name: "joint-leaving",
        story: "a leader puts a new voter in its own place, and somebody else takes over meanwhile",
        opening: SWAP_ITSELF,
        in_order: true,
        nodes: 4,
        apart: &[(2, 4), (3, 4)],
        budget: Budget { elections: 1, ..NONE },
        meets: &[Milestone::Added, Milestone::Removed, Milestone::JointLeft, Milestone::Overwritten],
        ..PLAIN
    },
    Profile {
        name: "crashing-joint",
        story: "a new voter comes in the place of another, somebody else takes over, and a node crashes",
        opening: SWAP,
        in_order: true,
        quick_disks: false,
        nodes: 4,
        apart: &[(2, 4), (3, 4)],
        runs: &[2],
        budget: Budget { elections: 1, crashes: 1, ..NONE },
        meets: &[Milestone::JointLeft, Milestone::WriteLost, Milestone::Restarted],
        ..PLAIN
    },
    Profile {
        name: "learner",
        story: "a leader of two takes a learner in, makes it a voter and takes a write",
        opening: ESTABLISHED,
        in_order: true,
        voters: 2,
        changes: &["+learner", "promote=3"],
        budget: Budget { elections: 1, changes: 2, writes: 1, ..NONE },
        meets: &[Milestone::Added, Milestone::Promoted, Milestone::WriteAnswered, Milestone::Deposed],
        ..PLAIN
    },
    Profile {
        name: "compaction",
        story: "nodes take snapshots while a node comes back that lacks a write, and another takes over",
        opening: AWAY,
        in_order: true,
        tail: Some(0),
        budget: Budget { elections: 1, snapshots: 2, heartbeats: 1, ..NONE },
        meets: &[Milestone::Compacted, Milestone::SnapshotInstalled, Milestone::TwoLeaders],
        ..PLAIN
    },
    Profile {
        name: "install",
        story: "a node is offered a snapshot while another takes over and takes a write",
        opening: OFFERED,
        in_order: true,
        tail: Some(0),
        budget: Budget { elections: 1, writes: 1, heartbeats: 1, ..NONE },
        meets: &[Milestone::SnapshotInstalled, Milestone::TwoLeaders, Milestone::WriteAnswered],
        ..PLAIN
    },
    Profile {
        name: "crashing-install",
        story: "a node fetches a snapshot while the leader takes a write, and a node crashes",
        opening: OFFERED,
        in_order: true,
        quick_disks: false,
        remember_messages: true,
        tail: Some(0),
        budget: Budget { snapshots: 1, writes: 1, heartbeats: 1, crashes: 1, ..NONE },
        meets: &[
            Milestone::SnapshotInstalled,
            Milestone::Compacted,
            Milestone::WriteLost,
            Milestone::Restarted,
        ],
        ..PLAIN
    },
    Profile {
        name: "transfer",
        story: "a leader is asked to give the lead to another, takes a write, and a third runs",
        opening: ESTABLISHED,
        in_order: true,
        budget: Budget { elections: 1, transfers: 1, losses: 1, ..NONE },
        meets: &[Milestone::HandedOver, Milestone::Untransferred, Milestone::TwoLeaders, Milestone::Lost],
        ..PLAIN
    },
    Profile {
        name: "transfer-writes",
        story: "a leader is asked for a write and to give the lead to another, and a message is lost",
        opening: ESTABLISHED,
        in_order: true,
        budget: Budget { transfers: 1, writes: 1, losses: 1, ..NONE },
        meets: &[Milestone::HandedOver, Milestone::Untransferred, Milestone::WriteAnswered],
        ..PLAIN
    },
    Profile {
        name: "deaf-leader",
        story: "a leader takes a write, another may run; in the end a leader is heard and hears nobody",
        opening: ESTABLISHED,
        in_order: true,
        deafens: true,
        budget: Budget { elections: 1, writes: 1, ..NONE },
        meets: &[Milestone::WriteAnswered, Milestone::TwoLeaders],
        ..PLAIN
    },
    Profile {
        name: "leases",
        story: "a client reads by a lease while time passes, another takes over and takes a write",
        opening: ESTABLISHED,
        in_order: true,
        clocks: Some(CLOCKS),
        budget: Budget { elections: 1, reads: 1, heartbeats: 1, time: 2, ..NONE },
        meets: &[Milestone::LeaseRead, Milestone::ReadAnswered, Milestone::TwoLeaders],
        ..PLAIN
    },
];
