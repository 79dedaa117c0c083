//! The same seed is the same life, to the byte.

use std::time::Duration;

use nemesis::{Kind, Kinds};
use sim::{Audience, LifeFile, Plan};
use workload::Name;

/// Every fault there is, on five nodes, for so many virtual seconds.
fn plan(workload: Name, seconds: u64) -> Plan {
    Plan {
        workload,
        kinds: Kinds::of(Kind::SIMULATED),
        time_limit: Duration::from_secs(seconds),
        ..Plan::default()
    }
}

/// All that was said and done in every life, and what clients saw of it.
#[test]
fn a_seed_lived_twice_gives_the_same_bytes() {
    for (seed, workload) in (0..).zip(Name::ALL) {
        let plan = plan(workload, 8);
        let (first, again) = (plan.tell(seed, Audience::reader()), plan.tell(seed, Audience::reader()));
        assert!(first.life.trace.as_ref().is_some_and(|trace| trace.lines().count() > 1000), "{workload}");
        assert_eq!(first.life.trace, again.life.trace, "{workload}");
        assert_eq!(first.history, again.history, "{workload}");
        assert_eq!(first.life.digest, again.life.digest);
        let watched = plan.live(seed).digest;
        assert_eq!(first.life.digest, watched, "who reads along changes nothing");
    }
}

#[test]
fn another_seed_is_another_life() {
    let plan = plan(Name::Counter, 2);
    let mut digests: Vec<u64> = (0..20).map(|seed| plan.live(seed).digest).collect();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), 20);
}

/// These numbers are the same in every build, optimised or not, and on every machine. They change when
/// the simulator draws something else, or the systems do something else, and then are to be written anew.
#[test]
fn builds_and_machines_agree() {
    let digest = |seed| format!("{:016x}\n", plan(Name::Bank, 5).live(seed).digest);
    let digests: String = (0..4).map(digest).collect();
    assert_eq!(digests, include_str!("digests.txt"));
}

/// A life in a file is the life that it was written from.
#[test]
fn a_life_that_was_written_down_is_read_as_it_was() {
    let text = include_str!("life.json");
    let file = LifeFile::parse(text).unwrap();
    assert_eq!(file.to_json(), text);
    let (first, again) = (file.live(Audience::reader()).unwrap(), file.live(Audience::reader()).unwrap());
    assert_eq!(first.life.trace, again.life.trace);
    assert_eq!(first.history, again.history);
}
