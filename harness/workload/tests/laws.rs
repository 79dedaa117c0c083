//! Each combinator obeys its law, whatever it combines and however its ops end.
#![expect(clippy::unwrap_used, reason = "the helpers are tests too")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use history::{Key, Kind, Observation, Process};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::{Run, drive, mostly};
use workload::{
    FinalReads, Generator, Keys, Next, Now, Share, Spread, Subject, mix, per_key, phases, reserve, stagger,
    until,
};

const SECOND: u64 = 1_000_000_000;

/// Which part asked, and which of its ops it is; ops from [`FINAL`] on are final reads.
type Op = (usize, u32);
type Lines = Vec<Observation<Op, ()>>;

const FINAL: u32 = 1_000_000;

/// Asks so many ops of whom it likes, waits now and then if it is moody, and looks at two things in the end. It keeps what it
/// has seen.
#[derive(Clone)]
struct Toy {
    part: usize,
    left: u32,
    moody: bool,
    rng: ChaCha8Rng,
    finish: Option<FinalReads<Op>>,
    seen: Arc<Mutex<Lines>>,
}

impl Toy {
    fn new(part: usize, ops: u32) -> Toy {
        let rng = ChaCha8Rng::seed_from_u64(part as u64);
        Toy { part, left: ops, moody: true, rng, finish: None, seen: Arc::default() }
    }
}

impl Generator for Toy {
    type Op = Op;
    type Ret = ();

    fn next(&mut self, now: Now<'_>) -> Next<Op> {
        if let Some(finish) = &mut self.finish {
            return finish.next(now);
        }
        if self.left == 0 {
            return Next::Done;
        }
        if now.free.is_empty() {
            return Next::Wait { until: None };
        }
        if self.moody && self.rng.random_bool(0.1) {
            return Next::Wait { until: Some(now.time + 100_000) };
        }
        self.left -= 1;
        let process = now.free[self.rng.random_range(0..now.free.len())];
        Next::Invoke { process, key: None, op: (self.part, self.left) }
    }

    fn observe(&mut self, seen: &Observation<Op, ()>) {
        self.seen.lock().unwrap().push(seen.clone());
        if let Some(finish) = &mut self.finish {
            finish.observe(seen);
        }
    }

    fn conclude(&mut self) {
        self.finish = Some(FinalReads::new((0..2).map(|number| (None, (self.part, FINAL + number)))));
    }

    fn given_up(&self) -> usize {
        self.finish.as_ref().map_or(0, FinalReads::given_up)
    }
}

/// How ops end, and how many processes there are.
#[derive(Clone, Copy, Debug)]
struct World {
    concurrency: u64,
    fail: u32,
    info: u32,
    seed: u64,
}

fn worlds() -> impl Strategy<Value = World> {
    let world = (1_u64..8, 0_u32..20, 0_u32..30, any::<u64>());
    world.prop_map(|(concurrency, fail, info, seed)| World { concurrency, fail, info, seed })
}

impl World {
    fn run(self, generator: &mut dyn Generator<Op = Op, Ret = ()>) -> Run<Op, ()> {
        let World { concurrency, fail, info, seed } = self;
        drive(generator, concurrency, seed, &mut |_, _, rng| mostly(rng, fail, info, || ()))
    }
}

fn toys(ops: &[u32]) -> Vec<Toy> {
    ops.iter().enumerate().map(|(part, &ops)| Toy::new(part, ops)).collect()
}

/// The lines of each part's ops.
fn by_part(run: &Run<Op, ()>, parts: usize) -> Vec<Lines> {
    let mut by_part = vec![Vec::new(); parts];
    let mut asked_by = BTreeMap::new();
    for line in &run.lines {
        if let Kind::Invoke((part, _)) = line.kind {
            asked_by.insert(line.process, part);
        }
        by_part[asked_by[&line.process]].push(line.clone());
    }
    by_part
}

fn asked(lines: &[Observation<Op, ()>]) -> Vec<u32> {
    lines.iter().filter_map(|line| if let Kind::Invoke(op) = line.kind { Some(op.1) } else { None }).collect()
}

/// What all combinators promise: every part asks all it has and then its final reads, and sees its own lines.
fn is_fair(run: &Run<Op, ()>, toys: &[Toy]) -> Result<(), TestCaseError> {
    for (lines, toy) in by_part(run, toys.len()).iter().zip(toys) {
        prop_assert_eq!(lines, &*toy.seen.lock().unwrap());
        let (finals, main): (Vec<u32>, Vec<u32>) = asked(lines).into_iter().partition(|&op| op >= FINAL);
        prop_assert_eq!(main, (0..toy.left).rev().collect::<Vec<u32>>());
        let finals: BTreeSet<u32> = finals.into_iter().collect();
        prop_assert_eq!(finals, [FINAL, FINAL + 1].into());
        let concluded = lines.iter().position(|line| line.index >= run.concluded_at);
        let early = &lines[..concluded.unwrap_or(lines.len())];
        prop_assert!(asked(early).iter().all(|&op| op < FINAL), "final reads come in the end");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn a_mix_asks_all_that_its_parts_ask_and_tells_each_what_it_asked_for(
        world in worlds(),
        parts in proptest::collection::vec((1_u32..5, 0_u32..40), 1..5),
    ) {
        let ops: Vec<u32> = parts.iter().map(|&(_, ops)| ops).collect();
        let toys = toys(&ops);
        let weighted = parts.iter().zip(&toys).map(|(&(weight, _), toy)| (weight, toy.clone()));
        is_fair(&world.run(&mut mix(world.seed, weighted)), &toys)?;
    }

    #[test]
    fn of_phases_none_begins_before_the_one_in_front_of_it_has_ended(
        world in worlds(),
        ops in proptest::collection::vec(0_u32..40, 1..5),
    ) {
        let toys = toys(&ops);
        let run = world.run(&mut phases(toys.iter().cloned()));
        is_fair(&run, &toys)?;
        let main = run.lines.iter().filter(|line| line.index < run.concluded_at);
        let mut asked_by = BTreeMap::new();
        let mut open = BTreeSet::new();
        let mut last = 0;
        for line in main {
            if let Kind::Invoke((part, _)) = line.kind {
                prop_assert!(part >= last, "parts come in order");
                prop_assert!(open.iter().all(|process| asked_by[process] == part), "nothing overlaps");
                asked_by.insert(line.process, part);
                open.insert(line.process);
                last = part;
            } else {
                open.remove(&line.process);
            }
        }
    }

    #[test]
    fn reserved_processes_and_their_successors_stay_with_their_part(
        world in worlds(),
        parts in proptest::collection::vec((0_usize..4, 0_u32..40), 1..4),
        rest in 0_u32..40,
    ) {
        let all: Vec<(usize, u32)> = parts.iter().copied().chain([(usize::MAX, rest)]).collect();
        let ops: Vec<u32> = all.iter().map(|&(_, ops)| ops).collect();
        let toys = toys(&ops);
        let concurrency = usize::try_from(world.concurrency).unwrap();
        let reserved = parts.iter().zip(&toys).map(|(&(places, _), toy)| (places, toy.clone()));
        let run = world.run(&mut reserve(concurrency, reserved, toys.last().unwrap().clone()));
        let mut start = 0_usize;
        for (part, (lines, (places, ops))) in by_part(&run, toys.len()).iter().zip(&all).enumerate() {
            let end = concurrency.min(start.saturating_add(*places));
            let place = |line: &Observation<Op, ()>| usize::try_from(line.process.0).unwrap() % concurrency;
            prop_assert!(lines.iter().all(|line| (start..end).contains(&place(line))), "part {part}");
            prop_assert_eq!(lines, &*toys[part].seen.lock().unwrap());
            let main = asked(lines).into_iter().filter(|&op| op < FINAL).count();
            prop_assert_eq!(main, if start == end { 0 } else { *ops as usize }, "part {}", part);
            start = end;
        }
    }

    #[test]
    fn no_key_is_drawn_more_often_than_its_share_and_none_after_its_unanswered_changes(
        seed in any::<u64>(),
        zipf in any::<bool>(),
        ops in 1_u32..20,
        unanswered in 1_u32..6,
    ) {
        let spread = if zipf { Spread::Zipf { live: 5, exponent: 1.2 } } else { Spread::Halves { hot: 1, quiet: 4 } };
        let mut keys = Keys::new(spread, Share { ops, unanswered });
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut drawn: BTreeMap<Key, (u32, u32)> = BTreeMap::new();
        for _ in 0..400 {
            let key = keys.draw(&mut rng);
            let counts = drawn.entry(key.clone()).or_default();
            prop_assert!(counts.0 < ops && counts.1 < unanswered, "{} was dropped", key);
            counts.0 += 1;
            if rng.random_bool(0.2) {
                counts.1 += 1;
                keys.unanswered(&key);
            }
        }
        let used: BTreeSet<Key> = keys.used().iter().cloned().collect();
        prop_assert_eq!(used.len(), keys.used().len());
        prop_assert_eq!(used, drawn.into_keys().collect::<BTreeSet<Key>>());
    }

    #[test]
    fn final_reads_are_asked_until_they_are_answered_or_three_times(
        world in worlds(),
        count in 0_u32..20,
    ) {
        struct Only(Option<FinalReads<Op>>, u32);
        impl Generator for Only {
            type Op = Op;
            type Ret = ();
            fn next(&mut self, now: Now<'_>) -> Next<Op> {
                self.0.as_mut().map_or(Next::Done, |reads| reads.next(now))
            }
            fn observe(&mut self, seen: &Observation<Op, ()>) {
                self.0.as_mut().unwrap().observe(seen);
            }
            fn conclude(&mut self) {
                self.0 = Some(FinalReads::new((0..self.1).map(|number| (None, (0, number)))));
            }
        }
        let mut only = Only(None, count);
        let run = world.run(&mut only);
        let mut tries: BTreeMap<u32, (u32, bool)> = BTreeMap::new();
        let mut open = BTreeMap::new();
        for line in &run.lines {
            match line.kind {
                Kind::Invoke((_, number)) => {
                    let (tries, answered) = tries.entry(number).or_default();
                    prop_assert!(*tries < 3 && !*answered);
                    *tries += 1;
                    open.insert(line.process, number);
                }
                Kind::Ok(()) => tries.get_mut(&open[&line.process]).unwrap().1 = true,
                Kind::Fail(_) | Kind::Info(_) => {}
            }
        }
        prop_assert_eq!(tries.len(), count as usize);
        let unanswered: Vec<u32> = tries.values().filter(|(_, answered)| !answered).map(|&(tries, _)| tries).collect();
        prop_assert!(unanswered.iter().all(|&tries| tries == 3));
        prop_assert_eq!(only.0.unwrap().given_up(), unanswered.len());
    }

    #[test]
    fn a_rate_and_an_end_change_when_ops_are_asked_and_nothing_else(world in worlds(), ops in 0_u32..40) {
        let toys = toys(&[ops]);
        let mut paced = until(100 * SECOND, stagger(1000.0, world.seed, toys[0].clone()));
        is_fair(&world.run(&mut paced), &toys)?;
    }
}

const CALM: World = World { concurrency: 4, fail: 0, info: 0, seed: 1 };

#[test]
fn a_mix_asks_each_part_as_often_as_its_weight_says() {
    let endless = |part| Toy { moody: false, ..Toy::new(part, u32::MAX) };
    let parts = [(1, endless(0)), (3, endless(1)), (0, endless(2))];
    let run = CALM.run(&mut until(2 * SECOND, mix(1, parts)));
    let [one, three, none] = &by_part(&run, 3)[..] else { panic!("three parts") };
    let main = |lines: &Lines| asked(lines).into_iter().filter(|&op| op != FINAL && op != FINAL + 1).count();
    assert_eq!(main(none), 0);
    assert_eq!(asked(none), [FINAL, FINAL + 1], "it is still looked at in the end");
    let ratio = 100 * main(three) / main(one);
    assert!((270..330).contains(&ratio), "{} to {}", main(three), main(one));
}

#[test]
fn what_waits_in_a_mix_does_not_hold_up_the_others() {
    struct Never;
    impl Generator for Never {
        type Op = Op;
        type Ret = ();
        fn next(&mut self, _: Now<'_>) -> Next<Op> {
            Next::Wait { until: Some(77) }
        }
        fn conclude(&mut self) {}
    }
    let parts: Vec<(u32, Box<dyn Generator<Op = Op, Ret = ()>>)> =
        vec![(100, Box::new(Never)), (1, Box::new(Toy::new(1, 1)))];
    let mut mixed = mix(1, parts);
    let free = [Process(0)];
    let asked = std::iter::repeat_with(|| mixed.next(Now { time: 0, free: &free }));
    assert!(asked.take(50).any(|next| matches!(next, Next::Invoke { .. })));
    assert_eq!(mixed.next(Now { time: 1, free: &[] }), Next::Wait { until: Some(77) });
}

#[test]
fn zipf_gives_the_second_key_half_of_what_the_first_gets_and_the_third_a_third() {
    let endless = Share { ops: u32::MAX, unanswered: u32::MAX };
    let mut keys = Keys::new(Spread::Zipf { live: 10, exponent: 1.0 }, endless);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut counts: BTreeMap<Key, u32> = BTreeMap::new();
    for _ in 0..60_000 {
        *counts.entry(keys.draw(&mut rng)).or_default() += 1;
    }
    let first = counts[&Key::new("k0")];
    for rank in 1..10_u32 {
        let share = counts[&Key::new(format!("k{rank}"))] * (rank + 1) * 100 / first;
        assert!((90..110).contains(&share), "{share} % of what is due to rank {rank}");
    }
}

#[test]
fn whatever_is_asked_per_key_every_key_is_looked_at_in_the_end_and_no_other() {
    struct Numbers(u32);
    impl Subject for Numbers {
        type Op = Op;
        type Ret = ();
        fn change(&mut self, _: &mut ChaCha8Rng) -> Op {
            self.0 += 1;
            (0, self.0)
        }
        fn look() -> Op {
            (0, FINAL)
        }
    }
    let keys = Keys::new(Spread::Zipf { live: 3, exponent: 0.0 }, Share { ops: 10, unanswered: 2 });
    let mut generator = until(SECOND, per_key(Numbers(0), keys, 1));
    let run = World { info: 10, ..CALM }.run(&mut generator);
    let (mut main, mut last) = (BTreeSet::new(), BTreeSet::new());
    let (mut looks, mut changes) = (0, 0);
    for line in run.lines {
        let Kind::Invoke((_, number)) = line.kind else { continue };
        if line.index >= run.concluded_at {
            assert_eq!(number, FINAL, "in the end one only looks");
            last.insert(line.key.unwrap());
        } else {
            *(if number == FINAL { &mut looks } else { &mut changes }) += 1;
            main.insert(line.key.unwrap());
        }
    }
    assert!(main.len() > 50);
    assert_eq!(main, last);
    assert!((40..60).contains(&(100 * looks / (looks + changes))), "{looks} looks, {changes} changes");
}
