//! Every mistake that the core can make in elections, replication and reads is found within the bounds `ci`, and the core without one passes them.
//!
//! All are hunted alike, profile after profile. Nobody is told where to look; only how much may be looked at, so that
//! the test ends in bearable time: `harness model --bounds ci` without a bug is the whole of it.
#![cfg(feature = "bugs")]

use model::{CI, End, Limits, Verdict, check, hunt};
use raft::{Bug, Bugs};

/// Mistakes of the core, each with the profile that shows it first.
const FOUND: [(Bug, &str); 20] = [
    (Bug::VoteTwice, "elections"),
    (Bug::ForgetVote, "crashing-elections"),
    (Bug::ForgetTerm, "crashing-elections"),
    (Bug::AckBeforeSync, "crashing-elections"),
    (Bug::VoteForAnyLog, "elections"),
    (Bug::CompareIndexFirst, "rivals"),
    (Bug::CommitOldTerm, "figure-8"),
    (Bug::CountHalf, "elections"),
    (Bug::TrustLeaderCommit, "takeover"),
    (Bug::SkipTermCheck, "rivals"),
    (Bug::KeepConflict, "elections"),
    (Bug::CutOnStaleAppend, "overtaking"),
    (Bug::SkipReadQuorum, "reads"),
    (Bug::ReadBeforeOwnCommit, "reads"),
    (Bug::ReuseReadRound, "reads"),
    (Bug::IgnoreGreaterTerm, "elections"),
    (Bug::SkipPreVote, "elections"),
    (Bug::CountOldAnswers, "elections"),
    (Bug::CountUnsynced, "crashing-elections"),
    (Bug::AckBeforeQuorum, "elections"),
];

/// Where a bug is looked for in vain, so much is looked at here before the next profile.
const STATES: u64 = 100_000;

fn limits() -> Limits<'static> {
    Limits { threads: 2, states: Some(STATES), ..Limits::default() }
}

#[test]
fn every_bug_of_the_core_is_found_by_the_same_profiles() {
    for (bug, profile) in FOUND {
        let row = hunt(bug, CI, limits());
        let found = row.found.unwrap_or_else(|| panic!("{bug} survives {} states", row.states));
        println!("{bug}: {}, {} steps, {} states: {}", found.profile, found.steps, row.states, found.end);
        assert_eq!(found.profile, profile, "{bug}: {}", found.end);
        let tripped = matches!(found.end, End::Asserted(..));
        assert!(!tripped, "{bug} trips over an assertion, which shows no harm: {}", found.end);
    }
}

#[test]
fn without_a_bug_the_same_profiles_are_in_order() {
    for profile in CI {
        let report = check(*profile, Bugs::none(), limits(), &|_| {});
        assert!(!matches!(report.verdict, Verdict::Invalid { .. }), "{}: {:?}", profile.name, report.verdict);
    }
}
