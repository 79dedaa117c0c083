//! What the world does to its nodes, looked at closely.

use nemesis::{ClockReading, Nodes, Shift, Skew, Span, Target};
use rand::SeedableRng;

use super::*;
use crate::node::Waking;

const SECOND: u64 = 1_000_000_000;

fn world(nodes: u16) -> World<kv::Store> {
    world_of(7, nodes)
}

fn world_of(seed: u64, nodes: u16) -> World<kv::Store> {
    let constitution = Constitution { nodes, seed, settings: Settings::plain(), bugs: Bugs::none() };
    let mut world = World::new(constitution, Kind { new: kv::Store::new, state: |_, _| 0 });
    for node in 0..usize::from(nodes) {
        world.start_again(node);
    }
    world
}

fn pass(world: &mut World<kv::Store>, time: u64) {
    let limit = world.now + time;
    while world.advance(limit).is_some() {
        world.ended.clear();
    }
    assert!(world.breach.is_none(), "{}", world.breach.as_ref().unwrap());
    assert_eq!(world.now, limit);
}

fn n1() -> Nodes {
    [nemesis::NodeId(1)].into()
}

/// What is read when the clocks of n1 are set right, after they were wrong for so long.
fn wrong_for(world: &mut World<kv::Store>, skew: Skew, time: u64) -> ClockReading {
    world.skew(&n1(), skew).unwrap();
    pass(world, time);
    world.set_right(&n1()).unwrap()[&nemesis::NodeId(1)]
}

#[test]
fn a_strobe_that_ended_does_not_go_on_within_the_next_one() {
    let strobe = Skew::Strobe { by: Shift::millis(100), every: Span::millis(20) };
    let mut world = world(1);
    let alone = wrong_for(&mut world, strobe, SECOND).jumps;
    assert_eq!(alone, 51);
    pass(&mut world, SECOND);
    for _ in 0..5 {
        wrong_for(&mut world, strobe, 3_000_000);
    }
    assert_eq!(wrong_for(&mut world, strobe, SECOND).jumps, alone);
}

#[test]
fn a_clock_counts_what_its_node_did_by_it_and_the_dead_do_nothing() {
    let jump = Skew::Jump { by: Shift::millis(300) };
    let mut world = world(1);
    let leads = wrong_for(&mut world, jump, 2 * SECOND);
    assert!(leads.stamps > 0 && leads.timers > 0, "it was elected meanwhile: {leads:?}");
    let idle = wrong_for(&mut world, jump, SECOND);
    assert!(idle.stamps == 0 && idle.timers > 0, "nobody wrote anything: {idle:?}");
    world.kill(&n1()).unwrap();
    let dead = wrong_for(&mut world, Skew::Drift { percent: 50 }, SECOND);
    assert_eq!((dead.stamps, dead.timers), (0, 0));
}

#[test]
fn who_wakes_up_may_look_at_its_timers_before_its_news_or_between() {
    let mut dice = ChaCha8Rng::seed_from_u64(1);
    let looks: Vec<usize> = (0..300).map(|_| Waking::draw(&mut dice).looks_first_at(10)).collect();
    let share = |of: &dyn Fn(usize) -> bool| looks.iter().filter(|looks| of(**looks)).count();
    assert!(share(&|first| first == 0) > 60 && share(&|first| first == 10) > 60, "{looks:?}");
    assert!(share(&|first| 0 < first && first < 10) > 60, "{looks:?}");
}

/// A follower that was asleep for long: if it looks at its news first, it hears its leader; if at its timers, it
/// asks for votes.
#[test]
fn a_follower_that_was_asleep_hears_its_leader_or_asks_for_votes() {
    let asks = |waking| {
        let mut world = world(3);
        pass(&mut world, 2 * SECOND);
        let leader = world.leader().unwrap();
        let at = (0..3).find(|at| *at != leader).unwrap();
        let sleeper = world.nodes[at].id;
        world.pause(&[seat(at)].into()).unwrap();
        pass(&mut world, 3 * SECOND);
        world.trace = Some(Vec::new());
        world.resume(at);
        world.nodes[at].wakes = Some(waking);
        pass(&mut world, 10_000_000);
        let asks = format!("{sleeper}@t1 → ");
        let lines = world.trace.unwrap();
        lines.iter().any(|(_, line)| line.starts_with(&asks) && line.contains("RequestPreVote"))
    };
    assert!(!asks(Waking::News));
    assert!(asks(Waking::Timers));
}

#[test]
fn what_is_under_way_to_a_process_dies_with_it_or_reaches_the_next_one() {
    let reached: Vec<bool> = (0..20).map(reaches_the_next_one).collect();
    assert!(reached.contains(&true) && reached.contains(&false), "{reached:?}");
}

/// Whether a heartbeat does that was sent a tenth of a millisecond before its receiver died.
fn reaches_the_next_one(seed: u64) -> bool {
    let mut world = world_of(seed, 3);
    pass(&mut world, 2 * SECOND);
    let leader = world.leader().unwrap();
    let at = (0..3).find(|at| *at != leader).unwrap();
    let follower = world.nodes[at].id;
    let heartbeat = |world: &World<kv::Store>| {
        let lines = world.trace.as_ref().unwrap();
        lines.iter().filter(|(_, line)| line.contains(&format!("→ {follower} Heartbeat round"))).count()
    };
    world.trace = Some(Vec::new());
    while heartbeat(&world) == 0 {
        pass(&mut world, 1_000_000);
    }
    // The next one is sent 50 ms after this one, and takes 0.2 ms.
    let next = world
        .trace
        .as_ref()
        .unwrap()
        .iter()
        .rev()
        .find(|(_, line)| line.contains("Heartbeat round"))
        .unwrap()
        .0;
    let sent = next - 200_000 + 50_000_000;
    world.trace = Some(Vec::new());
    let until = sent + 100_000 - world.now;
    pass(&mut world, until);
    world.kill(&[seat(at)].into()).unwrap();
    world.restart(&[seat(at)].into()).unwrap();
    pass(&mut world, 10_000_000);
    let reached = heartbeat(&world) > 0;
    pass(&mut world, 50_000_000);
    assert!(heartbeat(&world) > 0, "the next one finds it");
    reached
}
