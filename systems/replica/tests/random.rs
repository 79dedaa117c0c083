//! Random lives of three replicas with their disks, as their clients see them: messages lost, repeated
//! and very late, cut ways, slow disks, power cuts that keep what they like, retries under one name.
//!
//! Every write adds one line to a journal. So the history is easy to judge: no line stands there twice,
//! what was acknowledged is never lost, what failed is never there, and whoever was told of a line sees
//! it from then on. In the end everything is mended, and every node must serve again within seconds.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod world;

use proptest::prelude::*;
use replica::Timer;
use world::World;

/// One thing that happens. Numbers are taken modulo what there is to choose from.
#[derive(Clone, Debug)]
enum Happening {
    Deliver(usize),
    Lose(usize),
    /// A message arrives again, any time after it was sent.
    Repeat(usize),
    Disk(usize),
    /// Whatever was armed first runs out.
    Time(usize),
    Write(usize),
    /// A client with a session writes, under a new name or again under its last one.
    Ask(usize, usize),
    Read(usize),
    /// The power goes; the number decides what the disk keeps.
    Crash(usize, u64),
    /// The process dies; what the disk has done stays.
    Kill(usize),
    Cut(usize, usize),
    Heal,
    /// The turn ends here; until then its events only gather.
    Gather(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    let number = any::<usize>;
    prop_oneof![
        60 => number().prop_map(Deliver),
        2 => number().prop_map(Lose),
        5 => number().prop_map(Repeat),
        30 => number().prop_map(Disk),
        12 => number().prop_map(Time),
        6 => number().prop_map(Write),
        8 => (number(), number()).prop_map(|(client, node)| Ask(client, node)),
        4 => number().prop_map(Read),
        1 => (number(), any::<u64>()).prop_map(|(node, keep)| Crash(node, keep)),
        1 => number().prop_map(Kill),
        1 => (number(), number()).prop_map(|(from, to)| Cut(from, to)),
        1 => Just(Heal),
        3 => number().prop_map(Gather),
    ]
}

fn live(happenings: &[Happening]) -> World {
    let mut world = World::new();
    world.run_until_served();
    for happening in happenings {
        match *happening {
            Happening::Deliver(at) => world.deliver(at),
            Happening::Lose(at) => world.lose(at),
            Happening::Repeat(at) => world.repeat(at),
            Happening::Disk(node) => world.disk(world::node(node)),
            Happening::Time(node) => world.time(world::node(node)),
            Happening::Write(node) => world.write(world::node(node)),
            Happening::Ask(client, node) => world.ask(client % 3, world::node(node)),
            Happening::Read(node) => world.read(world::node(node)),
            Happening::Crash(node, keep) => world.crash(world::node(node), keep),
            Happening::Kill(node) => world.kill(world::node(node)),
            Happening::Cut(from, to) => world.cut(world::node(from), world::node(to)),
            Happening::Heal => world.heal(),
            Happening::Gather(node) => world.gather(world::node(node)),
        }
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn random_lives_keep_what_was_promised_and_end_in_service(
        happenings in prop::collection::vec(happening(), 0..900),
    ) {
        let mut world = live(&happenings);
        world.run_until_served();
        world.judge();
    }
}

/// The net holds: with disks that do nothing when told to sync, an acknowledged line is lost, and seen
/// to be.
#[test]
#[should_panic(expected = "place")]
fn a_lost_acknowledgement_is_noticed() {
    let mut world = World::new();
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
