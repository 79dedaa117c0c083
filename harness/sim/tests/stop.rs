//! Whoever has no patience gets what there is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sim::{Ending, Plan, sweep};

/// A life so long that nobody waits for its end.
fn long() -> Plan {
    Plan { time_limit: Duration::from_hours(24 * 365), ..Plan::default() }
}

#[test]
fn a_life_ends_as_soon_as_nobody_wants_to_know_how_it_goes_on() {
    let stop = AtomicBool::new(true);
    assert_eq!(long().live_until(1, &stop).ending, Ending::Stopped);
    let swept = sweep(&long(), 0..4, &mut |_| {}, &stop);
    assert!(swept.stopped && swept.table.lives == 0 && swept.bad.is_none());
}

/// A flag that is raised while the life goes on, by whoever it belongs to.
#[test]
fn a_life_that_goes_on_is_stopped_where_it_stands() {
    let stop = AtomicBool::new(false);
    let life = std::thread::scope(|scope| {
        let living = scope.spawn(|| long().live_until(1, &stop));
        stop.store(true, Ordering::Relaxed);
        living.join().unwrap()
    });
    assert_eq!(life.ending, Ending::Stopped);
    assert!(Duration::from_nanos(life.lasted) < Duration::from_hours(24 * 365));
}

#[cfg(feature = "bugs")]
#[test]
fn a_shrink_that_is_stopped_gives_the_smallest_life_so_far() {
    use nemesis::{Kind, Kinds};
    use sim::{Audience, NotSmall};

    let plan = Plan {
        kinds: Kinds::of([Kind::Kill, Kind::FailedSync]),
        time_limit: Duration::from_secs(10),
        bugs: raft::Bugs::of([raft::Bug::IgnoreFailedSync]),
        ..Plan::default()
    };
    let seed = (0..200).find(|seed| plan.live(*seed).ending.is_bad()).unwrap();
    let never = AtomicBool::new(false);
    let whole = plan.shrink(seed, &mut |_, _, _| {}, &never).unwrap();
    assert!(!whole.stopped);

    let stop = AtomicBool::new(false);
    let mut finds = 0;
    let mut impatient = |_, _, _| {
        finds += 1;
        stop.store(finds == 3, Ordering::Relaxed);
    };
    let part = plan.shrink(seed, &mut impatient, &stop).unwrap();
    assert_eq!(finds, 3, "nothing is tried after that");
    assert!(part.stopped && part.ops + part.faults > whole.ops + whole.faults);
    let again = part.file.live(Audience::nobody()).unwrap().life;
    assert_eq!(again.ending.sort(), whole.story.life.ending.sort(), "and it fails like the smallest");

    let raised = AtomicBool::new(true);
    assert_eq!(plan.shrink(seed, &mut |_, _, _| {}, &raised).unwrap_err(), NotSmall::Stopped);
}
