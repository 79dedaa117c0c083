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

mod ci;
mod deep;
mod openings;

use raft::NodeId;

use super::milestone::Milestone;
pub use ci::CI;
pub use deep::DEEP;

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
    /// Changes of the members that leaders are asked for.
    pub changes: u8,
    /// Leads that leaders are asked to give away.
    pub transfers: u8,
    /// Snapshots that nodes take.
    pub snapshots: u8,
    /// Steps of time, for profiles with [`Clocks`].
    pub time: u8,
}

/// Time that passes, in a profile in which it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clocks {
    /// The shortest election timeout, in milliseconds.
    pub patience: u64,
    /// How far clocks are trusted, in thousandths.
    pub drift: u32,
    /// By how many milliseconds the clock of n1, and the clocks of all others, move in a step.
    pub rates: (u64, u64),
}

impl Clocks {
    /// By how much this node's clock moves in a step.
    pub(super) fn rate(self, node: NodeId) -> u64 {
        if node == NodeId(1) { self.rates.0 } else { self.rates.1 }
    }
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
    /// How many of them vote in the beginning: the first. The others wait to be made members.
    pub voters: u16,
    /// What members can be changed to, in the words of scripts.
    pub changes: &'static [&'static str],
    /// How many entries are kept behind a snapshot in any case, and at most twice as many; if not as many as usual.
    pub tail: Option<u64>,
    /// How time passes; if it does not stand still.
    pub clocks: Option<Clocks>,
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
    /// When a story is over, each leader that can be spared hears nobody any more, and the others must come to serve.
    pub deafens: bool,
    /// Pairs of nodes that do not hear of each other after the opening, until peace comes.
    pub apart: &'static [(u16, u16)],
    /// Whose election timers may run out; anybody's, if nobody is named.
    pub runs: &'static [u16],
    /// What happens first, a command a line, in the words of the scripts.
    pub opening: &'static str,
    /// What may happen then.
    pub budget: Budget,
    /// What must have been met, or the search was in vain.
    pub meets: &'static [Milestone],
}

impl Profile {
    /// Whether nothing that `one` says reaches `other`.
    pub(super) fn parts(&self, one: NodeId, other: NodeId) -> bool {
        self.apart.contains(&(one.0, other.0)) || self.apart.contains(&(other.0, one.0))
    }

    /// The changes that may happen, then those of the opening.
    pub(super) fn all_changes(&self) -> Vec<&'static str> {
        let opening = self.opening.lines().filter(|line| line.starts_with("change "));
        let opening = opening.filter_map(|line| line.splitn(3, ' ').nth(2));
        self.changes.iter().copied().chain(opening).collect()
    }
}

/// What most profiles have in common.
const PLAIN: Profile = Profile {
    name: "",
    story: "",
    nodes: 3,
    voters: 3,
    changes: &[],
    tail: None,
    clocks: None,
    in_order: false,
    quick_disks: true,
    ask_anyone: false,
    small_appends: false,
    remember_messages: false,
    deafens: false,
    runs: &[],
    apart: &[],
    opening: "",
    budget: Budget {
        elections: 0,
        heartbeats: 0,
        writes: 0,
        reads: 0,
        crashes: 0,
        duplicates: 0,
        losses: 0,
        changes: 0,
        transfers: 0,
        snapshots: 0,
        time: 0,
    },
    meets: &[Milestone::Leader],
};

/// Nothing yet.
const NONE: Budget = PLAIN.budget;

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
        Bounds { name: "deep", story: "up to an hour, and some gigabytes", profiles: DEEP },
    ];

    /// By its name.
    pub fn named(name: &str) -> Option<Bounds> {
        Bounds::ALL.into_iter().find(|bounds| bounds.name == name)
    }
}
