//! Every mistake that the core can make is caught, by random lives or by a script that tells its story.
//!
//! Each bug gets the same lives, drawn from the same numbers: none is looked for in a way of its own. A
//! life ends with the first property that does not hold, a node that is fenced, or a cluster that makes no
//! progress once everything is mended. An assert of our own does not count: what is to be found is the harm.
#![cfg(all(feature = "bugs", feature = "script"))]

mod cluster;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use cluster::lives::{Lives, Temper};
use raft::script::Cluster;
use raft::{Bug, Bugs};

/// Found within [`LIVES`].
const CAUGHT: [Bug; 25] = [
    Bug::InstallOverNewer,
    Bug::WrongSnapshotTerm,
    Bug::CompactUnapplied,
    Bug::ChangeTwice,
    Bug::CountRemoved,
    Bug::CountLearners,
    Bug::CountNewOnly,
    Bug::VoteTwice,
    Bug::ForgetVote,
    Bug::ForgetTerm,
    Bug::AckBeforeSync,
    Bug::VoteForAnyLog,
    Bug::CompareIndexFirst,
    Bug::CountHalf,
    Bug::TrustLeaderCommit,
    Bug::SkipTermCheck,
    Bug::KeepConflict,
    Bug::CutOnStaleAppend,
    Bug::SkipReadQuorum,
    Bug::ReadBeforeOwnCommit,
    Bug::IgnoreGreaterTerm,
    Bug::SkipPreVote,
    Bug::CountOldAnswers,
    Bug::CountUnsynced,
    Bug::AckBeforeQuorum,
];

/// Told by a script. They take tens of thousands of lives, too many for every build.
const TOLD: [(Bug, &str); 7] = [
    (Bug::CommitOldTerm, "figure_8_with_commit_old_term"),
    (Bug::ReuseReadRound, "stale_read_with_reuse_read_round"),
    (Bug::LeaseFromAnswer, "stale_read_with_lease_from_answer"),
    (Bug::TrustClocks, "stale_read_with_trust_clocks"),
    (Bug::ChangeBeforeOwnCommit, "a_lost_entry_with_change_before_own_commit"),
    (Bug::KeepTransfer, "nothing_is_taken_in_with_keep_transfer"),
    (Bug::SkipQuorumCheck, "everybody_waits_with_skip_quorum_check"),
];

/// Made where this crate has no part in it: by the log on disk, by the sessions, by whoever draws the timers.
const ELSEWHERE: [Bug; 12] = [
    Bug::IgnoreSessions,
    Bug::FixElectionTimer,
    Bug::ExecuteBeforeCommit,
    Bug::FailInDoubt,
    Bug::SkipChecksum,
    Bug::KeepTornTail,
    Bug::SkipSync,
    Bug::IgnoreFailedSync,
    Bug::SkipFolderSync,
    Bug::KeepMark,
    Bug::SnapshotWithoutSessions,
    Bug::ExecuteTwice,
];

const LIVES: u64 = 2000;
const STEPS: usize = 1000;

/// What gives a bug away, as a sentence.
fn evidence(cluster: &Cluster) -> Option<String> {
    let broken = cluster.violation.as_ref().map(|broken| format!("against {}: {broken}", broken.property()));
    broken.or_else(|| cluster.halted.as_ref().map(|(node, why)| format!("{node} halts: {why}")))
}

/// What an assert of ours gives away does not count.
const PANICKED: &str = "panicked";

/// Numbers without end, the same for the same seed.
fn dice(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

fn life(seed: u64, bugs: Bugs) -> Option<String> {
    let mut throw = dice(seed);
    let (shape, temper) = (throw(), Temper::of(throw()));
    let live = AssertUnwindSafe(move || {
        let mut cluster = Cluster::new(if shape & 6 == 0 { 5 } else { 3 }, move |config| {
            config.bugs = bugs;
            config.append_bytes = if shape & 8 == 0 { 1 } else { 1 << 20 };
            config.tail = raft::Tail { usual: 2, most: 6 };
            config.catch_up = 3;
            config.window.messages = if shape & 64 == 0 { 1 } else { 64 };
            config.lease = (shape & 32 == 0).then_some(raft::Lease { drift: 100 });
        });
        cluster.tolerant = true;
        cluster.slow_disks = true;
        cluster.holds = shape & 16 == 0;
        for _ in 0..STEPS {
            cluster.happen(temper.happening(throw()));
            if let Some(found) = evidence(&cluster) {
                return Some(found);
            }
        }
        let recovered = cluster.recover();
        let stuck = || (!recovered).then(|| "no progress after everything was mended".to_owned());
        evidence(&cluster).or_else(stuck)
    });
    catch_unwind(live).unwrap_or_else(|_| Some(PANICKED.to_owned()))
}

#[test]
fn every_bug_of_the_core_is_caught_by_the_same_lives() {
    for bug in CAUGHT {
        let mut lives = (0..LIVES).filter_map(|seed| life(seed, Bugs::of([bug])).map(|found| (seed, found)));
        let found = lives.find(|(_, evidence)| evidence != PANICKED);
        let (seed, evidence) = found.unwrap_or_else(|| panic!("{bug} survives {LIVES} lives"));
        println!("{bug}: in life {seed}: {evidence}");
    }
}

#[test]
fn without_a_bug_the_same_lives_are_in_order() {
    for seed in 0..LIVES {
        assert_eq!(life(seed, Bugs::none()), None, "life {seed}");
    }
}

#[test]
fn every_bug_is_caught_or_told_or_made_elsewhere() {
    let told = TOLD.map(|(bug, _)| bug);
    let all: Vec<Bug> = CAUGHT.into_iter().chain(told).chain(ELSEWHERE).collect();
    assert_eq!(all.len(), Bug::ALL.len(), "none twice");
    assert_eq!(BTreeSet::from_iter(all), BTreeSet::from(Bug::ALL));
    assert!(Bug::ALL.into_iter().all(|bug| ELSEWHERE.contains(&bug) == (bug.room() != "raft")));
    for (bug, script) in TOLD {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/scripts/{script}.txt"));
        assert!(fs::read_to_string(path).unwrap().contains(bug.name()), "{script} is about {bug}");
    }
}
