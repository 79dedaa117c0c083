//! What may happen, and how often: the bounds of a search.
//!
//! A cluster can do infinitely many things. A profile is a budget: so many elections, crashes, ops. Each thing
//! that happens spends some of it, and what is left is a part of the state, so there are finitely many states, and
//! *all* of them are looked at. What the budget pays for may happen at any moment, in any order: there is no
//! bound on the length of a story but that its budget ends.
//!
//! A profile may begin with an *opening*: a few things that happen first, in this order, in every story. What
//! is interesting in Raft often needs a leader with a history, and without an opening most of a budget would be
//! spent on electing one in every possible way. Nothing is assumed by it: it is a beginning that can happen.

use super::milestone::Milestone;

/// How often each thing may still happen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Budget {
    /// Election timers that run out, on any node; a leader then sees whether a quorum still hears it.
    pub elections: u8,
    /// Heartbeats.
    pub heartbeats: u8,
    /// Writes that clients ask for.
    pub writes: u8,
    /// Reads.
    pub reads: u8,
    /// Crashes, each with a restart.
    pub crashes: u8,
    /// Messages that arrive once more.
    pub duplicates: u8,
    /// Messages that are lost; on links that do not keep the order, not to arrive for ever is as good.
    pub losses: u8,
}

/// A family of stories.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Profile {
    /// Its name on command lines.
    pub name: &'static str,
    /// What it is there for, in one sentence.
    pub story: &'static str,
    /// How many nodes.
    pub nodes: u16,
    /// Links keep the order; else a message may overtake any other.
    pub in_order: bool,
    /// A write is on disk as soon as it is handed over; else it takes as long as it likes, and a crash loses it.
    pub quick_disks: bool,
    /// Clients ask any node, so that ops are sent on; else only nodes that lead.
    pub ask_anyone: bool,
    /// Appends carry one entry each, so that logs grow in small steps.
    pub small_appends: bool,
    /// The invariants are told of every message, and judge promises and elections by them. What was said is then
    /// a part of the state, and there are more states.
    pub remember_messages: bool,
    /// What happens first, a command a line, in the words of the scripts.
    pub opening: &'static str,
    /// What may happen then.
    pub budget: Budget,
    /// What must have been met, or the search was in vain.
    pub meets: &'static [Milestone],
}

/// What most profiles have in common.
const PLAIN: Profile = Profile {
    name: "",
    story: "",
    nodes: 3,
    in_order: false,
    quick_disks: true,
    ask_anyone: false,
    small_appends: false,
    remember_messages: false,
    opening: "",
    budget: Budget { elections: 0, heartbeats: 0, writes: 0, reads: 0, crashes: 0, duplicates: 0, losses: 0 },
    meets: &[Milestone::Leader],
};

/// Nothing yet.
const NONE: Budget = PLAIN.budget;

/// A leader that everybody follows.
const ESTABLISHED: &str = "timeout 1\ndeliver";

/// n1 led, took a write, and crashed before anybody heard of it; n2 voted for it.
const FORSAKEN: &str =
    "timeout 1\ndeliver 1→2\ndeliver 2→1\ndeliver 1→2\ndeliver 2→1\npropose 1\ndrop 1\ncrash 1";

/// The first half of Figure 8: n1 led t1 and n3 led t2, each with an entry that nobody else has. n1 is back, and has
/// heard of t2.
const FIGURE_8: &str = "timeout 1\ndeliver 1→2\ndeliver 2→1\ndeliver 1→2\ndeliver 2→1\ndrop 1\ncrash 1\n\
    timeout 3\ndeliver 3→2\ndeliver 2→3\ndrop 3\n\
    timeout 3\ndeliver 3→2\ndeliver 2→3\ndeliver 3→2\ndeliver 2→3\ndrop 3\n\
    timeout 1\ndeliver 1→2\ndeliver 2→1\ndrop 1";

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
];

/// Ten minutes or more: the same stories with more in them.
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
        story: "a leader of five nodes takes a write while another takes over",
        nodes: 5,
        opening: ESTABLISHED,
        in_order: true,
        budget: Budget { elections: 1, ..NONE },
        meets: &[Milestone::TwoLeaders, Milestone::Deposed],
        ..PLAIN
    },
];

/// A named set of profiles.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Its name on command lines.
    pub name: &'static str,
    /// What it is for, in a few words.
    pub story: &'static str,
    /// What is searched, in this order.
    pub profiles: &'static [Profile],
}

impl Bounds {
    /// All of them.
    pub const ALL: [Bounds; 2] = [
        Bounds { name: "ci", story: "about a minute on two cores", profiles: CI },
        Bounds { name: "deep", story: "ten minutes or more, and some gigabytes", profiles: DEEP },
    ];

    /// By its name.
    pub fn named(name: &str) -> Option<Bounds> {
        Bounds::ALL.into_iter().find(|bounds| bounds.name == name)
    }
}
