//! Lives in which members come and go, and the lead is given away, while everything else goes wrong.

use std::time::Duration;

use nemesis::{Kind, Kinds, Span};
use sim::{Audience, Coverage, Ending, Life, Plan, Settings};

fn live(plan: &Plan, seed: u64, adjust: impl FnOnce(&mut Settings)) -> Life {
    let mut frame = plan.frame(seed);
    adjust(&mut frame.settings);
    plan.live_in(&frame, Audience::nobody())
}

fn often(settings: &mut Settings) {
    settings.wishes = Some(Span::millis(1_500));
    settings.snapshots = Some((25, 5, 20, 2_000));
}

#[test]
fn members_come_and_go_whatever_goes_wrong() {
    let mut met = Coverage::default();
    let mut replaced = 0;
    for nodes in [3, 5] {
        let plan = Plan { kinds: Kinds::of(Kind::SIMULATED), nodes, ..Plan::default() };
        for seed in 0..10 {
            let life = live(&plan, seed, often);
            assert!(!life.ending.is_bad(), "{nodes} nodes, seed {seed}: {}", life.ending);
            let Coverage { removed, added, promoted, joint, transfers, joined_by_snapshot, .. } =
                life.coverage;
            met.removed += removed;
            met.added += added;
            met.promoted += promoted;
            met.joint += joint;
            met.transfers += transfers;
            met.joined_by_snapshot += joined_by_snapshot;
            replaced += life.coverage.faults.get(&Kind::Membership).map_or(0, |(_, bit)| *bit);
        }
    }
    assert!(met.removed > 50 && met.added > 50 && met.promoted > 50, "{met:?}");
    assert!(met.joint > 10 && met.transfers > 50 && met.joined_by_snapshot > 10, "{met:?}");
    assert!(replaced > 20, "{replaced} of the faults bit");
}

/// Without an operator it would stay down for good.
#[test]
fn who_finds_its_disk_damaged_comes_back_as_another_member() {
    let plan = Plan { kinds: Kinds::of([Kind::BitFlip]), nodes: 3, ..Plan::default() };
    let damaged = (0..40).filter(|seed| {
        let calm = |settings: &mut Settings| settings.wishes = Some(Span::seconds(1_000));
        let life = live(&plan, *seed, calm);
        assert!(!life.ending.is_bad(), "seed {seed}: {}", life.ending);
        if life.coverage.refusals == 0 {
            return false;
        }
        assert!(life.coverage.removed > 0 && life.coverage.added > 0, "seed {seed}: {:?}", life.coverage);
        true
    });
    assert!(damaged.count() > 10);
}

#[test]
fn a_stop_in_good_order_loses_nothing_and_is_no_damage() {
    let plan =
        Plan { kinds: Kinds::of([Kind::Restart]), time_limit: Duration::from_secs(30), ..Plan::default() };
    let mut restarts = 0;
    for seed in 0..10 {
        let life = live(&plan, seed, |settings| settings.wishes = None);
        assert_eq!(life.ending, Ending::Good, "seed {seed}");
        // What was cut off a log and only half written over looks like a torn write.
        let met = &life.coverage;
        assert!(met.torn_tails == 0 || met.truncations > 0, "seed {seed}: {met:?}");
        restarts += life.coverage.faults.get(&Kind::Restart).map_or(0, |(_, bit)| *bit);
    }
    assert!(restarts > 20, "{restarts}");
}
