//! Bad lives are made small, and in the same way everywhere.
#![cfg(feature = "bugs")]

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nemesis::Kinds;
use raft::{Bug, Bugs};
use sim::{Audience, LifeFile, Plan, Shrunk};

/// Half a minute under all faults, with this mistake.
fn stormy(bug: Bug) -> Plan {
    let kinds = Kinds::of(nemesis::Kind::ALL.into_iter().filter(|kind| *kind != nemesis::Kind::Wipe));
    let time_limit = Duration::from_secs(30);
    Plan { nodes: 3, concurrency: 6, kinds, time_limit, bugs: Bugs::of([bug]), ..Plan::default() }
}

fn first_bad(plan: &Plan) -> u64 {
    (0..200).find(|seed| plan.live(*seed).ending.is_bad()).expect("some life is bad")
}

fn shrink(plan: &Plan, seed: u64) -> (Shrunk, Vec<(usize, usize, u64)>) {
    let mut path = Vec::new();
    let mut seen = |ops, faults, spent| path.push((ops, faults, spent));
    let small = plan.shrink(seed, &mut seen, &AtomicBool::new(false)).expect("it is made small");
    (small, path)
}

#[test]
fn a_life_becomes_the_same_small_one_by_the_same_steps_on_any_number_of_threads() {
    let plan = stormy(Bug::KeepConflict);
    let seed = first_bad(&plan);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (small, path) = pool.install(|| shrink(&plan, seed));
        (small.file.to_json(), small.story.life.digest, path)
    };
    let alone = with(1);
    assert!(alone.2.len() > 5, "there was something to shrink: {:?}", alone.2);
    assert_eq!(alone, with(3));
}

/// What a finger can follow. If the past is not left out first, the last of them keeps four faults.
#[test]
fn what_is_left_of_a_stormy_life_is_a_handful_of_ops_and_faults() {
    for bug in [Bug::AckBeforeSync, Bug::ReadBeforeOwnCommit, Bug::CountUnsynced] {
        let plan = stormy(bug);
        let (small, _) = shrink(&plan, first_bad(&plan));
        assert!(small.ops <= 12 && small.faults <= 3, "{bug}: {} ops, {} faults", small.ops, small.faults);
        let again = LifeFile::parse(&small.file.to_json()).unwrap().live(Audience::nobody()).unwrap();
        assert_eq!(again.life.ending, small.story.life.ending, "{bug}: what is kept is what was seen");
    }
}
