//! Mistakes are seen by clients: those in what clients are told, those in the log below, and most of those
//! in the core.
//!
//! All bugs get the same random lives, and only what clients are told and whether a node starts and serves
//! is judged. An assert of our own does not count: what is to be seen is the harm. `raft` looks for the bugs
//! of the core with the invariants' help, where lives are cheaper.
#![cfg(feature = "bugs")]

mod world;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use raft::Bug;
use replica::{Timer, Wait};
use world::World;
use world::lives::Happening;

/// Seen within [`LIVES`].
const SEEN: [Bug; 23] = [
    Bug::VoteTwice,
    Bug::AckBeforeSync,
    Bug::VoteForAnyLog,
    Bug::CountHalf,
    Bug::TrustLeaderCommit,
    Bug::SkipTermCheck,
    Bug::KeepConflict,
    Bug::CutOnStaleAppend,
    Bug::SkipReadQuorum,
    Bug::ReadBeforeOwnCommit,
    Bug::IgnoreGreaterTerm,
    Bug::IgnoreSessions,
    Bug::CountUnsynced,
    Bug::ExecuteBeforeCommit,
    Bug::FailInDoubt,
    Bug::SkipChecksum,
    Bug::KeepTornTail,
    Bug::AckBeforeQuorum,
    Bug::SkipSync,
    Bug::SkipFolderSync,
    Bug::KeepMark,
    Bug::SnapshotWithoutSessions,
    Bug::ExecuteTwice,
];

/// Rarer than that: left to the simulator, and to the invariants and scripts of `raft`.
const RARE: [Bug; 6] = [
    Bug::ForgetVote,
    Bug::ForgetTerm,
    Bug::CompareIndexFirst,
    Bug::CommitOldTerm,
    Bug::ReuseReadRound,
    Bug::CountOldAnswers,
];

/// Cost time and break no promise, or need a disk that fails (`wal` has the test).
const UNSEEN: [Bug; 3] = [Bug::FixElectionTimer, Bug::SkipPreVote, Bug::IgnoreFailedSync];

/// Of members, leases and transfers, which nobody asks for in these lives, and of how the core handles snapshots:
/// `raft` has the tests.
const BELOW: [Bug; 12] = [
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
];

const LIVES: u64 = 1000;
const STEPS: usize = 900;

thread_local! {
    /// Where the last panic came from and what it said, while lives are tried on this thread.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Whoever tries lives wants to know why they ended, not to read it.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let judge = info.location().is_some_and(|place| place.file().ends_with("world/mod.rs"));
            let said = if judge { info.payload_as_str().unwrap_or("a verdict") } else { "" };
            let listening =
                SAID.with_borrow_mut(|last| last.as_mut().map(|last| said.clone_into(last)).is_some());
            if !listening {
                usual(info);
            }
        }));
    });
}

/// How the world judges a life, if it has something to say.
fn life(seed: u64, bug: Option<Bug>) -> Option<String> {
    listen();
    let mut throw = world::lives::dice(seed);
    SAID.set(Some(String::new()));
    let ended = panic::catch_unwind(AssertUnwindSafe(move || {
        // Every other life has snapshots, so that nodes begin with one.
        let every = if seed.is_multiple_of(2) { u64::MAX } else { 20 };
        let mut world = World::with_snapshots(bug, every);
        if bug.is_some() {
            world.invariants = None;
        }
        world.run_until_served();
        for _ in 0..STEPS {
            world.happen(Happening::of(throw()));
        }
        world.run_until_served();
        world.judge();
    }));
    let said = SAID.take();
    ended.err().and(said)
}

#[test]
fn what_a_bug_does_is_seen_by_clients() {
    for bug in SEEN {
        let mut lives = (0..LIVES).filter_map(|seed| life(seed, Some(bug)).map(|said| (seed, said)));
        let found = lives.find(|(_, said)| !said.is_empty());
        let (seed, said) = found.unwrap_or_else(|| panic!("{bug} survives {LIVES} lives"));
        println!("{bug}: in life {seed}: {said}");
    }
}

#[test]
fn without_a_bug_the_same_lives_are_in_order() {
    for seed in 0..LIVES {
        assert_eq!(life(seed, None), None, "life {seed}");
    }
}

#[test]
fn every_bug_is_seen_or_said_to_be_left_out() {
    let all: Vec<Bug> = SEEN.into_iter().chain(RARE).chain(UNSEEN).chain(BELOW).collect();
    assert_eq!(all.len(), Bug::ALL.len(), "none twice");
    assert_eq!(BTreeSet::from_iter(all), BTreeSet::from(Bug::ALL));
}

#[test]
fn an_election_timer_is_drawn_unless_it_is_fixed() {
    let election = |bug| World::with(bug).waits[&Timer::Raft(raft::Timer::Election)];
    assert!(matches!(election(None), Wait::Between(..)));
    assert!(matches!(election(Some(Bug::FixElectionTimer)), Wait::Exactly(_)));
}
