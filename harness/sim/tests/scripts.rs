//! A bad life that was made small is told once more, as a script of the core alone.
#![cfg(feature = "bugs")]

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nemesis::{Kind, Kinds};
use raft::script::play;
use raft::{Bug, Bugs};
use sim::{Breach, Ending, NoScript, Plan, Shrunk};

/// The first bad life with this mistake, made small.
fn small(bug: Bug, kinds: Kinds) -> Shrunk {
    let time_limit = Duration::from_secs(10);
    let plan = Plan { nodes: 3, kinds, time_limit, bugs: Bugs::of([bug]), ..Plan::default() };
    let seed = (0..500).find(|seed| plan.live(*seed).ending.is_bad());
    plan.shrink(seed.expect("some life is bad"), &mut |_, _, _| {}, &AtomicBool::new(false))
        .expect("it is made small")
}

#[test]
fn what_a_mistake_of_the_core_breaks_is_told_by_a_script() {
    for (bug, kind) in [
        (Bug::ForgetVote, Kind::Kill),
        (Bug::AckBeforeQuorum, Kind::Partition),
        (Bug::SkipPreVote, Kind::Partition),
        (Bug::KeepConflict, Kind::Partition),
    ] {
        let small = small(bug, Kinds::of([kind, Kind::Kill]));
        let Ending::Broken(Breach::Invariant(violation)) = &small.story.life.ending else {
            panic!("{bug}: {}", small.story.life.ending);
        };
        let script = small.script(&AtomicBool::new(false)).unwrap_or_else(|why| panic!("{bug}: {why}"));
        let played = play(&script).unwrap();
        let broken = played.violation.map(|broken| broken.property());
        assert_eq!(broken, Some(violation.property()), "{bug}");
        assert!(script.lines().count() < 100, "{bug}: as short as a story\n{script}");
    }
}

/// A log that was told it is synced, and is not: nothing that a script could say.
#[test]
fn what_a_disk_did_is_no_story_of_the_core() {
    let small = small(Bug::IgnoreFailedSync, Kinds::of([Kind::FailedSync, Kind::Kill]));
    let script = small.script(&AtomicBool::new(false));
    assert!(matches!(script, Err(NoScript::Harmless | NoScript::NotOfTheCore)), "{script:?}");
}
