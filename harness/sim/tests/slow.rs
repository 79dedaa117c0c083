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
