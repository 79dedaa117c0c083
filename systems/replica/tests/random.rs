//! Random lives of three replicas with their disks, as their clients see them: messages lost, repeated
//! and very late, cut ways, slow disks, power cuts that keep what they like, retries under one name.
//!
//! Every write adds one line to a journal. So the history is easy to judge: no line stands there twice,
//! what was acknowledged is never lost, what failed is never there, and whoever was told of a line sees
//! it from then on. In the end everything is mended, and every node must serve again within seconds.
mod world;

use proptest::prelude::*;
use replica::Timer;
use world::World;
use world::lives::Happening;

fn live(numbers: &[u64]) -> World {
    let mut world = World::new();
    world.run_until_served();
    for number in numbers {
        world.happen(Happening::of(*number));
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn random_lives_keep_what_was_promised_and_end_in_service(
        numbers in prop::collection::vec(any::<u64>(), 0..900),
    ) {
        let mut world = live(&numbers);
        world.run_until_served();
        world.judge();
    }
}

/// The net holds: with disks that do nothing when told to sync, an acknowledged line is lost, and seen
/// to be, even by those who see only what clients are told.
#[test]
#[should_panic(expected = "place")]
fn a_lost_acknowledgement_is_noticed() {
    let mut world = World::new();
    world.invariants = None;
    world.run_until_served();
    world.lie_about_sync();
    world.write(world::node(0));
    world.run(2);
    for node in 0..3 {
        world.crash(world::node(node), 0);
    }
    world.run_until_served();
    world.judge();
}

/// And so is a timer that nobody armed again.
#[test]
#[should_panic(expected = "does not serve")]
fn a_timer_that_is_forgotten_is_noticed() {
    let mut world = World::new();
    world.forget(Timer::Raft(raft::Timer::Election));
    world.run_until_served();
}
