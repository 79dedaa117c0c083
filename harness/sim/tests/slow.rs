//! Who has far to go and goes is not stuck.

use std::time::Duration;

use nemesis::{NodeId, Nodes, Schedule};
use sim::{Audience, Plan, Settings};

/// n3 hears nothing for a minute, and then gets one entry at a time, each with a slow sync.
#[test]
fn a_node_that_catches_up_slowly_is_waited_for() {
    let nodes: Nodes = [1, 2, 3].map(NodeId).into_iter().collect();
    let cut = "[[step]]\nat = \"0s\"\nuntil = \"60s\"\nfault = \"partition\"\nblocks = [[\"n1\", \"n2\"], [\"n3\"]]\n";
    let schedule = Some(Schedule::parse(cut, &nodes).unwrap());
    let plan = Plan { nodes: 3, rate: 30.0, time_limit: Duration::from_mins(1), schedule, ..Plan::default() };
    let mut frame = plan.frame(1);
    frame.settings = Settings { append: 1, window: 1, sync: 50_000_000, ..Settings::plain() };
    let life = plan.live_in(&frame, Audience::nobody());
    assert!(!life.ending.is_bad(), "{}", life.ending);
    assert!(life.lasted > 85_000_000_000, "it was too quick to prove anything: {} ns", life.lasted);
}

/// As before; and the only other node that has everything is gone for good, while n1 forgot with its power how much of
/// it was committed. Nothing is committed, and so nothing executed, before n3 has the last entry.
#[test]
fn who_must_have_everything_before_anything_is_committed_is_waited_for() {
    let nodes: Nodes = [1, 2, 3].map(NodeId).into_iter().collect();
    let cut = "[[step]]\nat = \"0s\"\nuntil = \"60s\"\nfault = \"partition\"\nblocks = [[\"n1\", \"n2\"], [\"n3\"]]\n";
    let rots = "[[step]]\nat = \"59s\"\nuntil = \"60s\"\nfault = \"bit-flip\"\nnodes = [\"n2\"]\n";
    let power = "[[step]]\nat = \"59s\"\nuntil = \"60s\"\nfault = \"power\"\nnodes = [\"n1\"]\n";
    let schedule = Some(Schedule::parse(&format!("{cut}{rots}{power}"), &nodes).unwrap());
    let plan = Plan { nodes: 3, rate: 30.0, time_limit: Duration::from_mins(1), schedule, ..Plan::default() };
    let lives = (0..6).map(|seed| {
        let mut frame = plan.frame(seed);
        frame.settings = Settings { append: 1, window: 1, sync: 50_000_000, ..Settings::plain() };
        plan.live_in(&frame, Audience::nobody())
    });
    let mut waited = 0;
    for life in lives {
        assert!(!life.ending.is_bad(), "{}", life.ending);
        waited += u32::from(life.coverage.refusals > 0 && life.lasted > 85_000_000_000);
    }
    assert!(waited > 0, "n2 started every time, and proved nothing");
}
