//! A bad life that was made small is told once more, as a script of the core alone.
#![cfg(feature = "bugs")]

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nemesis::{Kind, Kinds};
use raft::script::play;
use raft::{Bug, Bugs};
use sim::{Breach, Ending, NoScript, Plan, Shrunk};

/// The first bad lives with this mistake, made small.
fn small(bug: Bug, kinds: Kinds) -> impl Iterator<Item = Shrunk> {
    let time_limit = Duration::from_secs(10);
    let plan = Plan { nodes: 3, kinds, time_limit, bugs: Bugs::of([bug]), ..Plan::default() };
    (0..500).filter_map(move |seed| {
        let bad = plan.live(seed).ending.is_bad();
        bad.then(|| plan.shrink(seed, &mut |_, _, _| {}, &AtomicBool::new(false)).expect("it is made small"))
    })
}

/// Of three bad lives one may have a part of a disk in it, which no script can tell: of what a node found when it came back.
#[test]
fn what_a_mistake_of_the_core_breaks_is_told_by_a_script() {
    for (bug, kind) in [
        (Bug::ForgetVote, Kind::Kill),
        (Bug::AckBeforeQuorum, Kind::Partition),
        (Bug::SkipPreVote, Kind::Partition),
        (Bug::KeepConflict, Kind::Partition),
    ] {
        let mut told = 0;
        for small in small(bug, Kinds::of([kind, Kind::Kill])).take(3) {
            let Ending::Broken(Breach::Invariant(violation)) = &small.story.life.ending else {
                panic!("{bug}: {}", small.story.life.ending);
            };
            let script = match small.script(&AtomicBool::new(false)) {
                Ok(script) => script,
                Err(NoScript::Harmless) if small.story.life.coverage.restarts > 0 => continue,
                Err(why) => panic!("{bug}: {why}"),
            };
            let broken = play(&script).unwrap().violation.map(|broken| broken.property());
            assert_eq!(broken, Some(violation.property()), "{bug}");
            assert!(script.lines().count() < 100, "{bug}: as short as a story\n{script}");
            told += 1;
        }
        assert!(told >= 2, "{bug}: {told} of three");
    }
}

/// A log that was told it is synced, and is not: nothing that a script could say.
#[test]
fn what_a_disk_did_is_no_story_of_the_core() {
    let mut lives = small(Bug::IgnoreFailedSync, Kinds::of([Kind::FailedSync, Kind::Kill]));
    let small = lives.next().expect("some life is bad");
    let script = small.script(&AtomicBool::new(false));
    assert!(matches!(script, Err(NoScript::Harmless | NoScript::NotOfTheCore)), "{script:?}");
}
