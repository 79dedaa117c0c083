//! The register workloads, driven in virtual time against a register that is a map.
#![expect(clippy::unwrap_used, reason = "the helpers are tests too")]

use std::collections::{BTreeMap, BTreeSet};

use checker::register::{Op, Ret};
use checker::{Budget, Verdict};
use history::{History, Key, Kind, Line, NodeId, Observation, Outcome, Pairing, Process, Writer};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use workload::{Generator, Next, Now, Registers, Workload, stagger, until};

const PROCESSES: u64 = 6;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1000 * MILLISECOND;

type Lines = Vec<Observation<Op, Ret>>;

/// A system under test: a map, and how well it behaves.
struct World {
    rng: ChaCha8Rng,
    registers: BTreeMap<Key, u64>,
    /// Of a hundred ops, how many end as `fail` and how many as `info`.
    fail: u32,
    info: u32,
    /// Whether it answers reads with what the key held before its last change.
    stale: bool,
    old: BTreeMap<Key, u64>,
}

impl World {
    fn new(seed: u64) -> World {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        World { rng, registers: BTreeMap::new(), fail: 0, info: 0, stale: false, old: BTreeMap::new() }
    }

    fn execute(&mut self, key: &Key, op: Op) -> Ret {
        let current = self.registers.get(key).copied();
        match op {
            Op::Read if self.stale => Ret::Value(self.old.get(key).copied().or(current)),
            Op::Read => Ret::Value(current),
            Op::Cas { from, .. } if current != Some(from) => Ret::Swapped(false),
            Op::Write(to) | Op::Cas { to, .. } => {
                if let Some(old) = self.registers.insert(key.clone(), to) {
                    self.old.insert(key.clone(), old);
                }
                if matches!(op, Op::Cas { .. }) { Ret::Swapped(true) } else { Ret::Written }
            }
        }
    }

    /// What becomes of an op: whether it takes effect, and what the client hears.
    fn outcome(&mut self, key: &Key, op: Op) -> Outcome<Ret> {
        let dice = self.rng.random_range(0..100);
        if dice < self.fail {
            return Outcome::Fail("refused".into());
        }
        let lost = dice < self.fail + self.info;
        if lost && self.rng.random_bool(0.5) {
            return Outcome::Info("the request was lost".into());
        }
        let ret = self.execute(key, op);
        if lost { Outcome::Info("the answer was lost".into()) } else { Outcome::Ok(ret) }
    }
}

/// Runs a generator through both phases, in virtual time. An op takes effect as soon as it is asked, and
/// ends some time later. The writer refuses a second op of a busy or retired process, so each run proves that
/// no process gets one.
fn drive(mut generator: impl Generator<Op = Op, Ret = Ret>, world: &mut World) -> Run {
    let mut run = Run { lines: Vec::new(), concluded_at: 0 };
    let mut writer = Writer::<_, Op>::new(std::io::sink());
    let mut free: BTreeSet<Process> = (0..PROCESSES).map(Process).collect();
    // When an op ends, of whom, and how.
    let mut open: BTreeMap<(u64, Process), Outcome<Ret>> = BTreeMap::new();
    let mut time = 0;
    for phase in 0..2 {
        loop {
            let list: Vec<Process> = free.iter().copied().collect();
            let wake = match generator.next(Now { time, free: &list }) {
                Next::Invoke { process, key, op } => {
                    let node = NodeId(u16::try_from(process.0 % 3 + 1).unwrap());
                    let asked = writer.invoke(time, process, Some(node), key.clone(), op).unwrap();
                    generator.observe(&asked);
                    run.lines.push(asked);
                    assert!(free.remove(&process), "process {process} was free");
                    let outcome = world.outcome(&key.unwrap(), op);
                    let latency = world.rng.random_range(1..5 * MILLISECOND);
                    open.insert((time + latency, process), outcome);
                    time += 1000;
                    continue;
                }
                Next::Wait { until } => until,
                Next::Done if open.is_empty() => break,
                Next::Done => None,
            };
            let ends = open.keys().next().map(|&(end, _)| end);
            time = ends.into_iter().chain(wake).min().expect("someone has something to wait for").max(time);
            while let Some(entry) = open.first_entry().filter(|entry| entry.key().0 <= time) {
                let (_, process) = *entry.key();
                let seen = writer.complete(time, process, entry.remove()).unwrap();
                generator.observe(&seen);
                let retired = matches!(seen.kind, Kind::Info(_));
                free.insert(if retired { Process(process.0 + PROCESSES) } else { process });
                run.lines.push(seen);
            }
        }
        if phase == 0 {
            run.concluded_at = writer.next_index();
            generator.conclude();
        }
    }
    run
}

struct Run {
    lines: Lines,
    /// The index of the first line of the final reads.
    concluded_at: u64,
}

impl Run {
    fn history(&self) -> History<Op, Ret> {
        let mut pairing = Pairing::default();
        self.lines.iter().cloned().map(Line::Client).for_each(|line| pairing.push(line));
        pairing.finish()
    }

    fn verdict(&self, workload: &dyn Workload<Op = Op, Ret = Ret>) -> Verdict {
        let checkers = workload.checkers();
        let mut verdicts = checkers.iter().map(|checker| checker.check(&self.history(), &Budget::default()));
        let first = verdicts.next().unwrap();
        verdicts.fold(first, Verdict::and)
    }

    /// Keys in the order of their first op, with the number of their ops in the main phase.
    fn ops_by_key(&self) -> BTreeMap<Key, usize> {
        let mut counts = BTreeMap::new();
        for line in &self.lines {
            if line.index < self.concluded_at && matches!(line.kind, Kind::Invoke(_)) {
                *counts.entry(line.key.clone().unwrap()).or_default() += 1;
            }
        }
        counts
    }
}

fn both() -> [Registers; 2] {
    [Registers::register(), Registers::cas_register()]
}

fn run(workload: &Registers, seed: u64, world: &mut World) -> Run {
    drive(until(2 * SECOND, workload.generator(seed)), world)
}

#[test]
fn the_same_seed_and_the_same_observations_give_the_same_ops() {
    for workload in both() {
        let lines = |seed| {
            let mut world = World { fail: 5, info: 5, ..World::new(1) };
            run(&workload, seed, &mut world).lines
        };
        assert_eq!(lines(7), lines(7), "{workload:?}");
        assert_ne!(lines(7), lines(8), "{workload:?}");
    }
}

#[test]
fn an_honest_system_is_valid_and_one_that_reads_stale_is_not() {
    for workload in both() {
        for seed in 0..5 {
            let mut honest = World { fail: 5, info: 3, ..World::new(seed) };
            let verdict = run(&workload, seed, &mut honest).verdict(&workload);
            assert_eq!(verdict.word(), "valid", "{workload:?} {seed}");
            let mut liar = World { stale: true, ..World::new(seed) };
            let verdict = run(&workload, seed, &mut liar).verdict(&workload);
            assert_eq!(verdict.word(), "invalid", "{workload:?} {seed}");
        }
    }
}

#[test]
fn a_key_is_dropped_after_its_share_of_ops() {
    let run = run(&Registers::register(), 3, &mut World::new(3));
    let counts = run.ops_by_key();
    assert!(counts.len() > 10);
    assert_eq!(counts.values().max(), Some(&128));
    let full = counts.values().filter(|&&count| count == 128).count();
    let live = Registers::register().hot + Registers::register().quiet;
    assert!(counts.len() - full <= live, "only the live keys have room left");
}

#[test]
fn half_of_the_ops_meet_on_hot_keys_and_half_find_quiet_ones() {
    let run = run(&Registers::register(), 3, &mut World::new(3));
    let mut counts: BTreeMap<Key, usize> = BTreeMap::new();
    for attempt in &run.history().attempts[..200] {
        *counts.entry(attempt.key.clone().unwrap()).or_default() += 1;
    }
    let mut counts: Vec<usize> = counts.into_values().collect();
    counts.sort_unstable();
    let quiet = counts.iter().filter(|&&count| count < 20).count();
    let hot: usize = counts.iter().filter(|&&count| count >= 20).sum();
    assert!((60..140).contains(&hot), "{hot} of 200 ops on hot keys");
    assert!(quiet > 20, "{quiet} quiet keys");
}

#[test]
fn a_key_is_dropped_after_its_share_of_unanswered_writes() {
    let run = run(&Registers::register(), 3, &mut World { info: 60, ..World::new(3) });
    let mut unanswered: BTreeMap<Key, u32> = BTreeMap::new();
    let mut asked_after: BTreeMap<Key, u32> = BTreeMap::new();
    let writes: BTreeSet<u64> = run
        .history()
        .attempts
        .iter()
        .filter(|attempt| attempt.op != Op::Read)
        .filter_map(|attempt| attempt.completed)
        .map(|at| at.index)
        .collect();
    for line in run.lines.iter().filter(|line| line.index < run.concluded_at) {
        let key = line.key.clone().unwrap();
        match line.kind {
            Kind::Info(_) if writes.contains(&line.index) => *unanswered.entry(key).or_default() += 1,
            Kind::Invoke(_) if unanswered.get(&key).is_some_and(|&count| count >= 8) => {
                *asked_after.entry(key).or_default() += 1;
            }
            _ => {}
        }
    }
    assert!(unanswered.values().filter(|&&count| count >= 8).count() > 10);
    assert_eq!(asked_after, BTreeMap::new(), "nobody asks about a key that has had eight");
    let most = u64::from(*unanswered.values().max().unwrap());
    assert!(most < 8 + PROCESSES, "beyond eight are only ops that were already open");
}

#[test]
fn unanswered_reads_drop_no_key() {
    let mut generator = Registers::register().generator(1);
    let mut free: Vec<Process> = (0..2).map(Process).collect();
    for index in 0..100 {
        let Next::Invoke { process, key, op } = generator.next(Now { time: index, free: &free }) else {
            panic!("there is always something to ask")
        };
        let key = key.unwrap();
        let live = Registers::register().hot + Registers::register().quiet;
        assert!((0..live).any(|number| key.as_str() == format!("k{number}")), "{key} came too soon");
        let kind = if op == Op::Read { Kind::Info("gone".into()) } else { Kind::Ok(Ret::Written) };
        if op == Op::Read {
            free.retain(|&other| other != process);
            free.push(Process(process.0 + 2));
        }
        let node = None;
        generator.observe(&Observation { index, time: index, process, node, key: Some(key), kind });
    }
}

#[test]
fn unique_writes_are_unique_in_the_whole_run_and_reads_are_half() {
    let run = run(&Registers::register(), 5, &mut World::new(5));
    let ops: Vec<Op> = run.history().attempts.iter().map(|attempt| attempt.op).collect();
    let writes: Vec<u64> =
        ops.iter().filter_map(|op| if let Op::Write(value) = op { Some(*value) } else { None }).collect();
    assert_eq!(writes.iter().collect::<BTreeSet<_>>().len(), writes.len());
    let share = 100 * writes.len() / ops.len();
    assert!((40..60).contains(&share), "{share} % writes");
}

#[test]
fn on_hot_keys_ops_of_different_processes_overlap() {
    let run = run(&Registers::register(), 5, &mut World::new(5));
    let history = run.history();
    let mut overlapping: BTreeMap<&Key, usize> = BTreeMap::new();
    for pair in history.attempts.windows(8) {
        let key = pair[0].key.as_ref().unwrap();
        let end = pair[0].completed.unwrap().index;
        let meets =
            |other: &&history::Attempt<Op, Ret>| other.key.as_ref() == Some(key) && other.invoked.index < end;
        *overlapping.entry(key).or_default() += pair[1..].iter().filter(meets).count();
    }
    let full: Vec<_> = run.ops_by_key().into_iter().filter(|&(_, count)| count == 128).collect();
    for (key, count) in &full {
        assert!(overlapping[key] >= *count / 2, "{key} has {} overlaps in {count} ops", overlapping[key]);
    }
}

#[test]
fn cas_often_finds_what_it_expects() {
    let run = run(&Registers::cas_register(), 5, &mut World::new(5));
    let history = run.history();
    let count = |swapped| {
        history.attempts.iter().filter(|attempt| attempt.ret() == Some(&Ret::Swapped(swapped))).count()
    };
    assert!(count(true) * 10 > count(false), "{} of {} succeeded", count(true), count(true) + count(false));
    assert!(count(false) > 0);
}

#[test]
fn the_final_reads_cover_every_key_once_and_are_spread_over_the_processes() {
    let run = run(&Registers::register(), 9, &mut World::new(9));
    let mut read: BTreeMap<Key, u32> = BTreeMap::new();
    let mut by: BTreeMap<Process, usize> = BTreeMap::new();
    for line in run.lines.iter().filter(|line| line.index >= run.concluded_at) {
        if let Kind::Invoke(op) = line.kind {
            assert_eq!(op, Op::Read);
            *read.entry(line.key.clone().unwrap()).or_default() += 1;
            *by.entry(line.process).or_default() += 1;
        }
    }
    assert!(read.values().all(|&times| times == 1));
    let keys: BTreeSet<Key> = run.ops_by_key().into_keys().collect();
    assert_eq!(read.into_keys().collect::<BTreeSet<_>>(), keys);
    assert_eq!(by.len() as u64, PROCESSES);
    let (least, most) = (by.values().min().unwrap(), by.values().max().unwrap());
    assert!(most - least <= keys.len() / 4 + 1, "{by:?}");
}

#[test]
fn the_final_reads_take_turns_even_when_everybody_is_always_free() {
    let mut generator = Registers { hot: 9, quiet: 0, ..Registers::register() }.generator(1);
    let free: Vec<Process> = (0..3).map(Process).collect();
    for time in 0..200 {
        assert!(matches!(generator.next(Now { time, free: &free[..1] }), Next::Invoke { .. }));
    }
    generator.conclude();
    let mut readers = Vec::new();
    while let Next::Invoke { process, key, .. } = generator.next(Now { time: 200, free: &free }) {
        readers.push(process.0);
        let kind = Kind::Ok(Ret::Value(None));
        generator.observe(&Observation { index: 0, time: 200, process, node: None, key, kind });
    }
    assert_eq!(readers, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
}

#[test]
fn an_unanswered_final_read_is_tried_again_and_given_up_in_the_end() {
    // Wrapped as in a run: what the innermost gives up must be heard outside.
    let generator = stagger(0.0, 1, Registers::register().generator(1));
    let mut generator = until(u64::MAX, generator);
    let free = [Process(0)];
    let Next::Invoke { key, .. } = generator.next(Now { time: 0, free: &free }) else { panic!("an op") };
    generator.conclude();
    for attempt in 0..3 {
        assert_eq!(generator.given_up(), 0);
        let process = Process(attempt);
        let next = generator.next(Now { time: 1, free: &[process] });
        assert_eq!(next, Next::Invoke { process, key: key.clone(), op: Op::Read });
        assert_eq!(generator.next(Now { time: 1, free: &[] }), Next::Wait { until: None });
        let kind = Kind::Info("no answer".into());
        generator.observe(&Observation { index: 0, time: 2, process, node: None, key: key.clone(), kind });
    }
    assert_eq!(generator.next(Now { time: 3, free: &[Process(3)] }), Next::Done);
    assert_eq!(generator.given_up(), 1);
}

#[test]
fn a_rate_is_kept_on_average() {
    let inner = Registers::register().generator(2);
    let run = drive(until(10 * SECOND, stagger(100.0, 2, inner)), &mut World::new(2));
    let asked: usize = run.ops_by_key().values().sum();
    assert!((900..1100).contains(&asked), "{asked} ops in ten seconds at 100 a second");
}

#[test]
fn a_rate_of_zero_asks_as_fast_as_it_is_answered() {
    let limit = SECOND / 2;
    let plain = drive(until(limit, Registers::register().generator(2)), &mut World::new(2));
    let zero = drive(until(limit, stagger(0.0, 9, Registers::register().generator(2))), &mut World::new(2));
    assert_eq!(plain.lines, zero.lines);
}

#[test]
fn nothing_is_asked_after_the_time_limit_and_waiting_ends_with_it() {
    let run = run(&Registers::register(), 4, &mut World::new(4));
    let last =
        run.lines.iter().filter(|line| line.index < run.concluded_at && matches!(line.kind, Kind::Invoke(_)));
    assert!(last.map(|line| line.time).max().unwrap() < 2 * SECOND);
    let mut limited = until(5, Registers::register().generator(1));
    assert_eq!(limited.next(Now { time: 1, free: &[] }), Next::Wait { until: Some(5) });
    assert_eq!(limited.next(Now { time: 5, free: &[Process(0)] }), Next::Done);
}
