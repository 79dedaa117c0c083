//! Lives in which logs give up their beginning: snapshots are taken, fetched and taken on while everything else goes
//! wrong, and the power goes at every single call to a disk while they are.

use std::time::Duration;

use nemesis::{Kind, Kinds};
use sim::{Audience, Coverage, Cut, Ending, Life, Plan, Settings};

/// Snapshots so often that a few seconds see several; a tail so short that whoever is away for a moment needs one.
const OFTEN: Option<(u64, u64, u64, usize)> = Some((25, 5, 20, 400));

fn live(plan: &Plan, seed: u64, adjust: impl FnOnce(&mut Settings), cut: Option<Cut>) -> Life {
    let mut frame = plan.frame(seed);
    frame.settings.snapshots = OFTEN;
    adjust(&mut frame.settings);
    frame.cut = cut;
    plan.live_in(&frame, Audience::nobody())
}

/// All that can happen to a node that gives, takes or fetches one.
const KINDS: [Kind; 8] = [
    Kind::Kill,
    Kind::Power,
    Kind::Partition,
    Kind::Pause,
    Kind::SlowDisk,
    Kind::FullDisk,
    Kind::FailedSync,
    Kind::BitFlip,
];

#[test]
fn lives_with_snapshots_are_in_order_whatever_goes_wrong() {
    let mut met = Coverage::default();
    for nodes in [3, 5] {
        let plan = Plan { kinds: Kinds::of(KINDS), nodes, ..Plan::default() };
        for seed in 0..12 {
            let life = live(&plan, seed, |_| {}, None);
            assert!(!life.ending.is_bad(), "{nodes} nodes, seed {seed}: {}", life.ending);
            met.snapshots += life.coverage.snapshots;
            met.installs += life.coverage.installs;
            met.compactions += life.coverage.compactions;
        }
    }
    assert!(met.snapshots > 200 && met.compactions > 100 && met.installs > 5, "{met:?}");
}

/// n5 fetches the snapshot of n2, whose disk rots meanwhile, so that it stays down. n4 leads next, and has an older one.
/// For ever n5 asked n2.
#[test]
fn who_asks_a_node_that_is_gone_for_good_takes_an_older_snapshot_in_the_end() {
    let plan = Plan { kinds: Kinds::of(KINDS), ..Plan::default() };
    assert_eq!(live(&plan, 115, |_| {}, None).ending, Ending::Good);
}

#[test]
fn the_power_may_go_at_every_call_while_snapshots_come_and_go() {
    let plan =
        Plan { nodes: 3, concurrency: 3, rate: 60.0, time_limit: Duration::from_secs(2), ..Plan::default() };
    let plain = |settings: &mut Settings| {
        *settings = Settings { segment_size: 1024, snapshots: OFTEN, ..Settings::plain() };
    };
    let whole = live(&plan, 7, plain, None);
    assert_eq!(whole.ending, Ending::Good);
    assert!(whole.coverage.snapshots >= 6 && whole.coverage.compactions >= 6, "{:?}", whole.coverage);
    for (node, calls) in (1..).zip(&whole.disk_calls) {
        for call in (0..*calls).filter(|call| call % 3 == u64::from(node) % 3) {
            let life = live(&plan, 7, plain, Some(Cut { node, calls: call }));
            assert_eq!(life.ending, Ending::Good, "n{node} without power at call {call} of {calls}");
        }
    }
}
