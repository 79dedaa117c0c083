//! The power goes at every single call to a disk, and recovery is right each time.
//!
//! A life of a few seconds with an election and some writes makes a few hundred calls to each disk. It is
//! lived once for each of them, with the power of one node cut in that very call, and what the cut leaves
//! of unsynced bytes drawn anew. The node comes back a moment later; invariants, clients' history and the
//! states of all nodes in the end say whether it remembered what it had promised.

use std::time::Duration;

use nemesis::{Kind, Kinds};
use raft::Bugs;
use sim::{Audience, Cut, Ending, Life, Plan, Settings};

fn plan() -> Plan {
    Plan { nodes: 3, concurrency: 3, rate: 40.0, time_limit: Duration::from_secs(2), ..Plan::default() }
}

/// Lives with the power of this node cut at this call.
fn cut(plan: &Plan, settings: &Settings, seed: u64, node: u16, calls: u64) -> Life {
    let mut frame = plan.frame(seed);
    frame.settings = settings.clone();
    frame.cut = Some(Cut { node, calls });
    plan.live_in(&frame, Audience::nobody())
}

/// Small segments, so that they roll; no zeros ahead, or some.
fn settings(zeros_ahead: u64) -> Settings {
    Settings { segment_size: 1024, zeros_ahead, ..Settings::plain() }
}

#[test]
fn a_power_cut_at_every_call_to_a_disk_is_survived() {
    let plan = plan();
    // What a cut leaves of what was not synced is drawn from the seed, too: nothing, everything, or parts.
    for (seed, zeros_ahead) in (7..11).flat_map(|seed| [(seed, 0), (seed, 512)]) {
        let settings = settings(zeros_ahead);
        let mut frame = plan.frame(seed);
        frame.settings = settings.clone();
        let whole = plan.live_in(&frame, Audience::nobody());
        assert_eq!(whole.ending, Ending::Good);
        assert!(whole.coverage.elections > 0 && whole.counts.ok > 20, "{:?}", whole.counts);
        for (node, calls) in (1..).zip(&whole.disk_calls) {
            assert!(*calls > 100, "n{node} made only {calls} calls");
            for call in 0..*calls {
                let life = cut(&plan, &settings, seed, node, call);
                assert_eq!(
                    life.ending,
                    Ending::Good,
                    "seed {seed}, n{node} without power at call {call} of {calls}"
                );
                assert_eq!(life.coverage.restarts, 1, "n{node} at call {call}");
            }
        }
    }
}

/// Where power goes twice, it goes again while a node recovers from the first time.
#[test]
fn power_that_goes_again_during_recovery_is_survived() {
    let plan = Plan { kinds: Kinds::of([Kind::Power, Kind::SlowDisk]), nodes: 3, ..Plan::default() };
    let lives = (0..12).map(|seed| {
        let mut frame = plan.frame(seed);
        frame.settings.relapse = 60;
        let life = plan.live_in(&frame, Audience::nobody());
        assert_eq!(life.ending, Ending::Good, "seed {seed}");
        life.coverage
    });
    let coverage: Vec<_> = lives.collect();
    let relapses: u64 = coverage.iter().map(|met| met.relapses).sum();
    assert!(relapses > 20, "{coverage:?}");
}

/// The same search finds what is wrong with a log that does not keep its promises.
#[cfg(feature = "bugs")]
#[test]
fn the_same_cuts_find_a_log_that_forgets() {
    use raft::Bug;

    for bug in [Bug::AckBeforeSync, Bug::ForgetVote, Bug::SkipFolderSync] {
        let plan = Plan { bugs: Bugs::of([bug]), ..plan() };
        let bad = |seed, node, call| cut(&plan, &settings(0), seed, node, call).ending.is_bad();
        let found = (1..=3).any(|node| (0..200).any(|call| bad(7, node, call)));
        assert!(found, "{bug} survived every cut");
    }
}
