//! Famous mistakes, switchable.
//!
//! A testbed that never said no proves nothing. Each bug here is one that a real system shipped or a
//! real student wrote; switched on, it must be found. The set is empty unless someone asks, and with
//! `--no-default-features` it cannot be anything else.
//!
//! Each is switched in one place, marked by its name. Those of the protocol stand in this crate; those of
//! a log on disk in `wal`; those of what clients are told in `replica`. All are named here, so that one
//! list serves command lines, runs and tables.
//!
//! A bug makes the node do what the mistake would do, and nothing worse. Where a mistake would be silent,
//! no assert of ours may give it away in every case: what is measured is whether the harm is found.

use std::fmt;
use std::str::FromStr;

/// A mistake. `R…` is its number in the field's list of Raft mutants.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Bug {
    /// R1: a node votes for whoever asks, whether or not it has voted in that term.
    VoteTwice,
    /// R2: a vote is not on disk, so a node that restarts may vote again in the same term.
    ForgetVote,
    /// R3: a term is not on disk, so a node that restarts goes back to the term of its last entry.
    ForgetTerm,
    /// R4: a follower acknowledges entries that are not on its disk yet.
    AckBeforeSync,
    /// R5: a node votes for a candidate whose log lacks entries that its own has (§5.4.1).
    VoteForAnyLog,
    /// R6: of two logs, the longer one is called more up-to-date, whatever its last term (§5.4.1).
    CompareIndexFirst,
    /// R7: a leader commits an entry of an old term because a majority has it (Figure 8).
    CommitOldTerm,
    /// R8: half of the voters are taken for a majority.
    CountHalf,
    /// R9: a follower commits what its leader has committed, though its own entry there may be another.
    TrustLeaderCommit,
    /// R10: a follower looks at the index of the entry before an append, and not at its term (§5.3).
    SkipTermCheck,
    /// R11: a follower keeps its entries where the leader has others, and takes only what comes behind.
    KeepConflict,
    /// R12: an append that arrives late or again cuts what was appended since.
    CutOnStaleAppend,
    /// R13: a leader answers reads from its own state and asks no quorum whether it still leads: neither for the read
    /// nor by itself, since a leader that steps down when it hears nobody has little time to answer wrongly.
    SkipReadQuorum,
    /// R14: a new leader answers reads before it knows how far the log is committed (§8).
    ReadBeforeOwnCommit,
    /// R15: a read joins the round that is under way; answers that are older than it confirm it.
    ReuseReadRound,
    /// R18: a leader does not step down when it hears of a greater term.
    IgnoreGreaterTerm,
    /// R19: a request that comes again is executed again.
    IgnoreSessions,
    /// R29: the election timer always runs equally long.
    FixElectionTimer,
    /// R30: a node runs for election without asking first whether it would win.
    SkipPreVote,
    /// R31: answers to questions of an earlier term are counted.
    CountOldAnswers,
    /// R32: a leader counts itself for entries that are not on its disk yet.
    CountUnsynced,
    /// R33: a leader executes and answers its clients' writes before they are committed.
    ExecuteBeforeCommit,
    /// R34: a client is told that its write failed when nobody knows.
    FailInDoubt,
    /// R35: a log that is opened does not look at its checksums.
    SkipChecksum,
    /// R36: a log that is opened ends at the first torn record, leaves it there, and goes on behind it.
    KeepTornTail,
    /// A leader calls an entry committed as soon as it is in its own log, before a quorum has it.
    AckBeforeQuorum,
    /// What is written is never synced.
    SkipSync,
    /// A sync that failed is taken for one that succeeded.
    IgnoreFailedSync,
    /// The name of a new segment is not synced, so a power cut may take the whole file.
    SkipFolderSync,
    /// A truncation leaves the mark where it was, so that the log seems to lack what was cut.
    KeepMark,
    /// R16: a lease is as long as the promise it rests on, as if all clocks ran equally fast.
    TrustClocks,
    /// R17: a lease runs from the answer to a heartbeat, and not from when that was sent.
    LeaseFromAnswer,
    /// R21: a snapshot takes the place of a log that is newer.
    InstallOverNewer,
    /// R22: a snapshot names its last entry with the term of the leader that offers it.
    WrongSnapshotTerm,
    /// R23: the log forgets entries that were not executed yet.
    CompactUnapplied,
    /// R25: a new leader changes the members before an entry of its own term is committed (dissertation §4.1).
    ChangeBeforeOwnCommit,
    /// R26: a leader changes the members again while a change is uncommitted.
    ChangeTwice,
    /// R27: a voter that was removed still counts in every majority.
    CountRemoved,
    /// R28: learners decide, however little of the log they have.
    CountLearners,
    /// Of a joint membership only the new voters decide (§6).
    CountNewOnly,
    /// A transfer of the lead that nobody takes over never ends, and nothing is taken in.
    KeepTransfer,
    /// A leader that hears nobody leads on, and whoever hears it waits for it (dissertation §6.2).
    SkipQuorumCheck,
    /// R20: a snapshot holds the state and not the session table that belongs to it.
    SnapshotWithoutSessions,
    /// R24: a snapshot holds one entry more than it says, so whoever begins with it executes that entry again.
    ExecuteTwice,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 44] = [
        Bug::VoteTwice,
        Bug::ForgetVote,
        Bug::ForgetTerm,
        Bug::AckBeforeSync,
        Bug::VoteForAnyLog,
        Bug::CompareIndexFirst,
        Bug::CommitOldTerm,
        Bug::CountHalf,
        Bug::TrustLeaderCommit,
        Bug::SkipTermCheck,
        Bug::KeepConflict,
        Bug::CutOnStaleAppend,
        Bug::SkipReadQuorum,
        Bug::ReadBeforeOwnCommit,
        Bug::ReuseReadRound,
        Bug::IgnoreGreaterTerm,
        Bug::IgnoreSessions,
        Bug::FixElectionTimer,
        Bug::SkipPreVote,
        Bug::CountOldAnswers,
        Bug::CountUnsynced,
        Bug::ExecuteBeforeCommit,
        Bug::FailInDoubt,
        Bug::SkipChecksum,
        Bug::KeepTornTail,
        Bug::AckBeforeQuorum,
        Bug::SkipSync,
        Bug::IgnoreFailedSync,
        Bug::SkipFolderSync,
        Bug::KeepMark,
        Bug::TrustClocks,
        Bug::LeaseFromAnswer,
        Bug::InstallOverNewer,
        Bug::WrongSnapshotTerm,
        Bug::CompactUnapplied,
        Bug::ChangeBeforeOwnCommit,
        Bug::ChangeTwice,
        Bug::CountRemoved,
        Bug::CountLearners,
        Bug::CountNewOnly,
        Bug::KeepTransfer,
        Bug::SkipQuorumCheck,
        Bug::SnapshotWithoutSessions,
        Bug::ExecuteTwice,
    ];

    /// The name used on command lines.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// Its number in the field's list, where it has one.
    pub fn number(self) -> Option<&'static str> {
        self.facts().number
    }

    /// The crate in which it is made: the protocol, the log on disk, or what is done with both.
    pub fn room(self) -> &'static str {
        match self {
            Bug::SkipChecksum
            | Bug::KeepTornTail
            | Bug::SkipSync
            | Bug::IgnoreFailedSync
            | Bug::SkipFolderSync
            | Bug::KeepMark => "wal",
            Bug::IgnoreSessions
            | Bug::FixElectionTimer
            | Bug::ExecuteBeforeCommit
            | Bug::FailInDoubt
            | Bug::SnapshotWithoutSessions
            | Bug::ExecuteTwice => "replica",
            _ => "raft",
        }
    }

    /// What goes wrong, in one sentence.
    pub fn story(self) -> &'static str {
        self.facts().story
    }

    /// What comes of it: what a client sees, or which property breaks first.
    pub fn expected(self) -> &'static str {
        self.facts().shows
    }

    fn facts(self) -> &'static Facts {
        &CATALOGUE[self as usize]
    }
}

/// What is known of a bug.
struct Facts {
    name: &'static str,
    number: Option<&'static str>,
    shows: &'static str,
    story: &'static str,
}

/// What is known of a bug, in the order of the bugs.
#[rustfmt::skip]
const CATALOGUE: [Facts; Bug::ALL.len()] = [
    Facts {
        name: "vote-twice", number: Some("R1"), shows: "two leaders in a term",
        story: "a node votes for whoever asks, whether or not it has voted in that term",
    },
    Facts {
        name: "forget-vote", number: Some("R2"), shows: "two leaders in a term",
        story: "a node that restarts has forgotten whom it voted for",
    },
    Facts {
        name: "forget-term", number: Some("R3"), shows: "two leaders in a term",
        story: "a node that restarts goes back to the term of its last entry",
    },
    Facts {
        name: "ack-before-sync", number: Some("R4"), shows: "a lost write",
        story: "a follower acknowledges entries before they are on its disk",
    },
    Facts {
        name: "vote-for-any-log", number: Some("R5"), shows: "a lost write",
        story: "a node votes for candidates whose logs lack what its own has",
    },
    Facts {
        name: "compare-index-first", number: Some("R6"), shows: "a lost write",
        story: "a node takes the longer of two logs for the more up-to-date one, whatever its last term",
    },
    Facts {
        name: "commit-old-term", number: Some("R7"), shows: "a lost write",
        story: "a leader commits an entry of an old term because a majority has it",
    },
    Facts {
        name: "count-half", number: Some("R8"), shows: "two leaders in a term",
        story: "half of the voters are taken for a majority",
    },
    Facts {
        name: "trust-leader-commit", number: Some("R9"), shows: "a wrong entry executed",
        story: "a follower commits as far as its leader did, though its own entries may be others",
    },
    Facts {
        name: "skip-term-check", number: Some("R10"), shows: "a wrong entry executed",
        story: "a follower takes an append if its log is long enough, whatever the term of the entry before",
    },
    Facts {
        name: "keep-conflict", number: Some("R11"), shows: "a wrong entry executed",
        story: "a follower keeps its own entries where its leader has others",
    },
    Facts {
        name: "cut-on-stale-append", number: Some("R12"), shows: "a lost write",
        story: "an append that arrives late or again cuts what was appended since",
    },
    Facts {
        name: "skip-read-quorum", number: Some("R13"), shows: "a stale read",
        story: "a leader answers reads without ever asking a quorum whether it still leads",
    },
    Facts {
        name: "read-before-own-commit", number: Some("R14"), shows: "a stale read",
        story: "a new leader answers reads before it knows how far the log is committed",
    },
    Facts {
        name: "reuse-read-round", number: Some("R15"), shows: "a stale read",
        story: "a read is confirmed by answers that are older than itself",
    },
    Facts {
        name: "ignore-greater-term", number: Some("R18"), shows: "a node that serves no more",
        story: "a leader does not step down when it hears of a greater term",
    },
    Facts {
        name: "ignore-sessions", number: Some("R19"), shows: "a write executed twice",
        story: "a request that comes again is executed again",
    },
    Facts {
        name: "fix-election-timer", number: Some("R29"), shows: "long elections",
        story: "the election timer always runs equally long, so that candidates keep splitting the vote",
    },
    Facts {
        name: "skip-pre-vote", number: Some("R30"), shows: "needless elections",
        story: "a node runs for election without asking first, and deposes a working leader when it returns",
    },
    Facts {
        name: "count-old-answers", number: Some("R31"), shows: "a lost write",
        story: "answers to questions of an earlier term are counted",
    },
    Facts {
        name: "count-unsynced", number: Some("R32"), shows: "a lost write",
        story: "a leader counts itself for entries that are not on its disk yet",
    },
    Facts {
        name: "execute-before-commit", number: Some("R33"), shows: "a lost write",
        story: "a leader executes and answers its clients' writes before they are committed",
    },
    Facts {
        name: "fail-in-doubt", number: Some("R34"), shows: "a failed write that happened",
        story: "a client is told that its write failed when nobody knows",
    },
    Facts {
        name: "skip-checksum", number: Some("R35"), shows: "a wrong entry executed",
        story: "a log that is opened does not look at its checksums",
    },
    Facts {
        name: "keep-torn-tail", number: Some("R36"), shows: "a lost write",
        story: "a log that is opened ends at a torn record, leaves it there, and goes on behind it",
    },
    Facts {
        name: "ack-before-quorum", number: None, shows: "a lost write",
        story: "a leader commits an entry before a quorum has it",
    },
    Facts {
        name: "skip-sync", number: None, shows: "a lost write",
        story: "what is written is never synced, so a power cut may take all of it",
    },
    Facts {
        name: "ignore-failed-sync", number: None, shows: "a lost write",
        story: "a sync that failed is taken for one that succeeded",
    },
    Facts {
        name: "skip-folder-sync", number: None, shows: "a lost write",
        story: "the name of a new segment is not synced, so a power cut may take the whole file",
    },
    Facts {
        name: "keep-mark", number: None, shows: "a node that does not start",
        story: "a truncation leaves the mark where it was, and the log seems to lack what was cut",
    },
    Facts {
        name: "trust-clocks", number: Some("R16"), shows: "a stale read",
        story: "a lease is as long as the promise it rests on, as if all clocks ran equally fast",
    },
    Facts {
        name: "lease-from-answer", number: Some("R17"), shows: "a stale read",
        story: "a lease runs from the answer to a heartbeat instead of from the heartbeat",
    },
    Facts {
        name: "install-over-newer", number: Some("R21"), shows: "a lost write",
        story: "a snapshot takes the place of a log that is newer",
    },
    Facts {
        name: "wrong-snapshot-term", number: Some("R22"), shows: "a node that serves no more",
        story: "a snapshot names its last entry with the term of the leader that offers it",
    },
    Facts {
        name: "compact-unapplied", number: Some("R23"), shows: "a wrong entry executed",
        story: "the log forgets entries that were not executed yet",
    },
    Facts {
        name: "change-before-own-commit", number: Some("R25"), shows: "two leaders in a term",
        story: "a new leader changes the members before an entry of its term is committed",
    },
    Facts {
        name: "change-twice", number: Some("R26"), shows: "two leaders in a term",
        story: "a leader changes the members again before the last change is committed",
    },
    Facts {
        name: "count-removed", number: Some("R27"), shows: "a cluster that decides nothing",
        story: "a voter that was removed still counts in every majority",
    },
    Facts {
        name: "count-learners", number: Some("R28"), shows: "a lost write",
        story: "learners decide, however little of the log they have",
    },
    Facts {
        name: "count-new-only", number: None, shows: "two leaders in a term",
        story: "of a joint membership only the new voters decide",
    },
    Facts {
        name: "keep-transfer", number: None, shows: "a cluster that decides nothing",
        story: "a transfer of the lead that nobody takes over never ends",
    },
    Facts {
        name: "skip-quorum-check", number: None, shows: "a leader that serves nobody",
        story: "a leader that hears nobody leads on",
    },
    Facts {
        name: "snapshot-without-sessions", number: Some("R20"), shows: "nodes that disagree",
        story: "a snapshot holds the state and not the sessions, so who begins with it knows no request",
    },
    Facts {
        name: "execute-twice", number: Some("R24"), shows: "a write executed twice",
        story: "a snapshot holds one entry more than it says, and who begins with it executes that again",
    },
];

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
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Bugs(#[cfg(feature = "bugs")] u64);

impl Bugs {
    /// None: what everybody should run.
    pub const fn none() -> Bugs {
        Bugs(
            #[cfg(feature = "bugs")]
            0,
        )
    }

    /// Just these.
    #[cfg(feature = "bugs")]
    pub fn of(bugs: impl IntoIterator<Item = Bug>) -> Bugs {
        Bugs(bugs.into_iter().fold(0, |set, bug| set | Bugs::bit(bug)))
    }

    /// Whether this one is on.
    #[cfg(feature = "bugs")]
    pub fn has(self, bug: Bug) -> bool {
        self.0 & Bugs::bit(bug) != 0
    }

    /// Whether this one is on. In this build, none can be.
    #[cfg(not(feature = "bugs"))]
    pub fn has(self, _bug: Bug) -> bool {
        false
    }

    /// Those that are on.
    pub fn iter(self) -> impl Iterator<Item = Bug> {
        Bug::ALL.into_iter().filter(move |bug| self.has(*bug))
    }

    #[cfg(feature = "bugs")]
    fn bit(bug: Bug) -> u64 {
        1 << (bug as u64)
    }
}

#[cfg(all(test, feature = "bugs"))]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_bug_is_found_by_its_name_and_by_its_number() {
        for (place, bug) in Bug::ALL.into_iter().enumerate() {
            assert_eq!(bug as usize, place, "the catalogue has the order of the bugs");
            assert_eq!(bug.name().parse(), Ok(bug));
            assert!(bug.number().is_none_or(|number| number.to_lowercase().parse() == Ok(bug)));
        }
        assert!("R37".parse::<Bug>().is_err());
    }

    #[test]
    fn every_number_of_the_list_is_a_bug() {
        let numbers: Vec<&str> = Bug::ALL.into_iter().filter_map(Bug::number).collect();
        let all: BTreeSet<String> = (1..=36).map(|number| format!("R{number}")).collect();
        assert_eq!(numbers.len(), all.len(), "none twice");
        assert_eq!(numbers.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), all);
    }

    #[test]
    fn a_set_has_what_was_put_into_it_and_nothing_else() {
        for bug in Bug::ALL {
            assert!(Bugs::of([bug]).iter().eq([bug]), "{bug}");
        }
        assert_eq!(Bugs::of(Bug::ALL).iter().count(), Bug::ALL.len());
        assert_eq!(Bugs::none().iter().count(), 0);
    }
}
