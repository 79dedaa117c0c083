//! Every planted mistake is hunted in the same way: one profile after the other, in their order, until one shows it. First
//! a little of each is looked at, then ten times as much, then all of it: most mistakes show soon, in some profile.
//!
//! None is told where to look. What counts is harm: a broken property, a fenced node, a history that no
//! register can have, a cluster that does not come to serve. An assertion of the core that fails ends a hunt,
//! too, but is no harm: whoever counts finds must tell the two apart ([`End::Asserted`]).

use std::sync::atomic::Ordering;
use std::time::Duration;

use raft::{Bug, Bugs};

use crate::check::{Verdict, check};
use crate::raft_model::End;
use crate::raft_model::profile::Profile;
use crate::search::Limits;

/// The mistakes that a checker of the core can show: those that the core makes.
pub fn within() -> Vec<Bug> {
    Bug::ALL.into_iter().filter(|bug| shows(*bug)).collect()
}

/// Whether it is the core that makes this mistake.
pub fn shows(bug: Bug) -> bool {
    bug.room() == "raft"
}

/// What became of one hunt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// What was hunted.
    pub bug: Bug,
    /// What was found, and where, if anything was.
    pub found: Option<Found>,
    /// How many states were looked at, in all profiles together; some of them more than once.
    pub states: u64,
    /// How long it took.
    pub took: Duration,
}

/// The harm that a mistake does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The name of the profile that shows it.
    pub profile: &'static str,
    /// How many steps it takes.
    pub steps: usize,
    /// What goes wrong.
    pub end: End,
}

#[cfg(feature = "bugs")]
fn only(bug: Bug) -> Bugs {
    Bugs::of([bug])
}

/// In this build nobody makes any.
#[cfg(not(feature = "bugs"))]
fn only(_bug: Bug) -> Bugs {
    Bugs::none()
}

/// How many states of each profile are looked at, round after round.
const ROUNDS: [Option<u64>; 3] = [Some(20_000), Some(200_000), None];

/// Looks for `bug` in these profiles, in their order.
pub fn hunt(bug: Bug, profiles: &[Profile], limits: Limits<'_>) -> Row {
    let mut row = Row { bug, found: None, states: 0, took: Duration::ZERO };
    for states in ROUNDS {
        for profile in profiles {
            if limits.stop.load(Ordering::Relaxed) {
                return row;
            }
            let report = check(*profile, only(bug), Limits { states, ..limits }, &|_| {});
            row.states += report.figures.unique;
            row.took += report.took;
            if let Verdict::Invalid { end, path } = report.verdict {
                row.found = Some(Found { profile: profile.name, steps: path.len(), end });
                return row;
            }
        }
    }
    row
}
