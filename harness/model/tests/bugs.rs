//! Every mistake that the core can make is found within the bounds `ci`, and the core without one passes them.
//!
//! `harness suite bugs-raft --world model` hunts all of them alike, and tells nobody where to look; `docs/bugs-raft.md` has
//! what came of it. That takes minutes, so here each is looked for where it was found.
#![cfg(feature = "bugs")]

use std::collections::BTreeSet;

use model::{CI, End, Limits, Profile, Verdict, check, hunt, within};
use raft::{Bug, Bugs};

/// Mistakes of the core, each with the profile that shows it first.
const FOUND: [(Bug, &str); 32] = [
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
    (Bug::TrustClocks, "leases"),
    (Bug::LeaseFromAnswer, "leases"),
    (Bug::InstallOverNewer, "compaction"),
    (Bug::WrongSnapshotTerm, "compaction"),
    (Bug::CompactUnapplied, "compaction"),
    (Bug::ChangeBeforeOwnCommit, "rival-changes"),
    (Bug::ChangeTwice, "two-changes"),
    (Bug::CountRemoved, "one-voter"),
    (Bug::CountLearners, "learner"),
    (Bug::CountNewOnly, "joint"),
    (Bug::KeepTransfer, "transfer"),
    (Bug::SkipQuorumCheck, "deaf-leader"),
];

/// Where nothing is to be found, so much is looked at here.
const STATES: u64 = 100_000;

fn limits() -> Limits<'static> {
    Limits { threads: 2, states: Some(STATES), ..Limits::default() }
}

#[test]
fn every_bug_of_the_core_is_found_within_the_bounds() {
    for (bug, profile) in FOUND {
        let there: Vec<Profile> = CI.iter().copied().filter(|known| known.name == profile).collect();
        let row = hunt(bug, &there, Limits { threads: 2, ..Limits::default() });
        let found = row.found.unwrap_or_else(|| panic!("{bug} survives {} states", row.states));
        println!("{bug}: {}, {} steps, {} states: {}", found.profile, found.steps, row.states, found.end);
        let tripped = matches!(found.end, End::Asserted(..));
        assert!(!tripped, "{bug} trips over an assertion, which shows no harm: {}", found.end);
    }
}

#[test]
fn none_is_left_out() {
    let found: BTreeSet<Bug> = FOUND.into_iter().map(|(bug, _)| bug).collect();
    assert_eq!(found, BTreeSet::from_iter(within()));
}

#[test]
fn without_a_bug_the_same_profiles_are_in_order() {
    for profile in CI {
        let report = check(*profile, Bugs::none(), limits(), &|_| {});
        assert!(!matches!(report.verdict, Verdict::Invalid { .. }), "{}: {:?}", profile.name, report.verdict);
    }
}
