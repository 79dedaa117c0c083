//! What a node makes of its log is compared while a life goes on, not when clients notice.
#![cfg(feature = "bugs")]

use nemesis::{Kind, Kinds};
use raft::invariants::Property;
use raft::{Bug, Bugs};
use sim::{Breach, Ending, Plan};

/// How the first bad life of a few ends, with this mistake, under every fault.
fn first_bad(bug: Bug) -> Breach {
    let plan = Plan { kinds: Kinds::of(Kind::SIMULATED), bugs: Bugs::of([bug]), ..Plan::default() };
    let mut bad = (0..50).map(|seed| plan.live(seed).ending).filter(Ending::is_bad);
    match bad.next() {
        Some(Ending::Broken(breach)) => breach,
        other => panic!("{bug} should be seen when it happens, and what is seen is {other:?}"),
    }
}

#[test]
fn an_entry_that_is_executed_before_it_is_committed_is_seen_at_once() {
    let breach = first_bad(Bug::ExecuteBeforeCommit);
    let of_execution =
        |violation| matches!(violation, Property::StateMachineSafety | Property::AppliedInOrder);
    assert!(matches!(&breach, Breach::Invariant(broken) if of_execution(broken.property())), "{breach}");
}

#[test]
fn a_request_that_is_executed_twice_is_seen_at_once() {
    let breach = first_bad(Bug::IgnoreSessions);
    assert!(matches!(breach, Breach::Twice { .. }), "{breach}");
}
