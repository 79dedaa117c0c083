//! Famous mistakes, switchable.
//!
//! A testbed that never said no proves nothing. Each bug here is one that a real system shipped or a
//! real student wrote; switched on, it must be found. The set is empty unless someone asks, and with
//! `--no-default-features` it cannot be anything else.

use std::fmt;
use std::str::FromStr;

/// A mistake in the Raft core, with its number in the field's list of Raft mutants.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Bug {
    /// R13: a leader answers reads from its own state and asks no quorum whether it still leads.
    SkipReadQuorum,
    /// A leader calls an entry committed as soon as it is in its own log, before a quorum has it.
    AckBeforeQuorum,
    /// R2: a vote is not on disk, so a node that restarts may vote again in the same term.
    ForgetVote,
    /// R7: a leader commits an entry of an old term because a majority has it (Figure 8).
    CommitOldTerm,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 4] =
        [Bug::SkipReadQuorum, Bug::AckBeforeQuorum, Bug::ForgetVote, Bug::CommitOldTerm];

    /// The name used on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Bug::SkipReadQuorum => "skip-read-quorum",
            Bug::AckBeforeQuorum => "ack-before-quorum",
            Bug::ForgetVote => "forget-vote",
            Bug::CommitOldTerm => "commit-old-term",
        }
    }

    /// Its number in the field's list, where it has one.
    pub fn number(self) -> Option<&'static str> {
        match self {
            Bug::SkipReadQuorum => Some("R13"),
            Bug::AckBeforeQuorum => None,
            Bug::ForgetVote => Some("R2"),
            Bug::CommitOldTerm => Some("R7"),
        }
    }

    /// What goes wrong, in one sentence.
    pub fn story(self) -> &'static str {
        match self {
            Bug::SkipReadQuorum => "a leader answers reads without asking a quorum whether it still leads",
            Bug::AckBeforeQuorum => "a leader commits an entry before a quorum has it",
            Bug::ForgetVote => "a node that restarts has forgotten whom it voted for",
            Bug::CommitOldTerm => "a leader commits an entry of an old term because a majority has it",
        }
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No bug of that name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown bug `{0}`")]
pub struct UnknownBug(String);

impl FromStr for Bug {
    type Err = UnknownBug;

    /// By name or by number, in any case.
    fn from_str(text: &str) -> Result<Bug, UnknownBug> {
        Bug::ALL
            .into_iter()
            .find(|bug| {
                bug.name().eq_ignore_ascii_case(text)
                    || bug.number().is_some_and(|number| number.eq_ignore_ascii_case(text))
            })
            .ok_or_else(|| UnknownBug(text.to_owned()))
    }
}

/// The mistakes that are switched on.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Bugs(#[cfg(feature = "bugs")] std::collections::BTreeSet<Bug>);

impl Bugs {
    /// None: what everybody should run.
    pub fn none() -> Bugs {
        Bugs::default()
    }

    /// Just these.
    #[cfg(feature = "bugs")]
    pub fn of(bugs: impl IntoIterator<Item = Bug>) -> Bugs {
        Bugs(bugs.into_iter().collect())
    }

    /// Whether this one is on.
    #[cfg(feature = "bugs")]
    pub fn has(&self, bug: Bug) -> bool {
        self.0.contains(&bug)
    }

    /// Whether this one is on. In this build, none can be.
    #[cfg(not(feature = "bugs"))]
    pub fn has(&self, _bug: Bug) -> bool {
        false
    }
}
