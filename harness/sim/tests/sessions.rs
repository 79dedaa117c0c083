//! Clients with sessions ask again what they do not know, and yet everything is done once.
#![cfg(feature = "bugs")]

use std::time::Duration;

use nemesis::{Kind, Kinds};
use raft::{Bug, Bugs};
use sim::{Audience, Life, Plan};
use workload::Name;

/// A life of counters in a storm, in which clients have sessions, or not.
fn life(seed: u64, sessions: bool, bugs: Bugs) -> Life {
    let plan = Plan {
        workload: Name::Counter,
        kinds: Kinds::of(Kind::SIMULATED),
        time_limit: Duration::from_secs(20),
        bugs,
        ..Plan::default()
    };
    let mut frame = plan.frame(seed);
    frame.settings.sessions = sessions;
    plan.live_in(&frame, Audience::nobody())
}

const LIVES: u64 = 16;

#[test]
fn a_change_that_was_asked_again_counts_once() {
    let mut answered = 0;
    for seed in 0..LIVES {
        let life = life(seed, true, Bugs::none());
        assert!(!life.ending.is_bad(), "seed {seed}: {}", life.ending);
        answered += life.coverage.answered_again;
    }
    assert!(answered > 10 * LIVES, "too few to prove anything: {answered}");
}

#[test]
fn without_sessions_nobody_asks_again() {
    for seed in 0..4 {
        assert_eq!(life(seed, false, Bugs::none()).coverage.answered_again, 0);
    }
}

/// Links that repeat what they carry show it too, but seldom.
#[test]
fn whoever_executes_a_repeated_request_again_is_found_in_most_lives_in_which_clients_repeat_them() {
    let bad = |sessions| {
        let bugs = Bugs::of([Bug::IgnoreSessions]);
        (0..LIVES).filter(|seed| life(*seed, sessions, bugs).ending.is_bad()).count() as u64
    };
    let (with, without) = (bad(true), bad(false));
    println!("of {LIVES} lives, {with} are bad with sessions and {without} without");
    assert!(2 * with > LIVES && with > 2 * without, "{with} and {without} of {LIVES}");
}
