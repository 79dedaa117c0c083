//! Runs generators through both phases, in virtual time.

use std::collections::{BTreeMap, BTreeSet};

use history::{Key, Kind, Observation, Outcome, Process};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use workload::{Generator, Next, Now};

const MILLISECOND: u64 = 1_000_000;

/// What came of it.
pub(crate) struct Run<Op, Ret> {
    pub lines: Vec<Observation<Op, Ret>>,
    /// The index of the first line of the final reads.
    pub concluded_at: u64,
}

/// What becomes of an op, when it is asked.
pub(crate) type Answer<'a, Op, Ret> = dyn FnMut(Option<&Key>, &Op, &mut ChaCha8Rng) -> Outcome<Ret> + 'a;

/// Asks what the generator says. An op takes effect as soon as it is asked, and ends some time later. Whoever
/// is given work must be free.
pub(crate) fn drive<Op: Clone, Ret: Clone>(
    generator: &mut dyn Generator<Op = Op, Ret = Ret>,
    concurrency: u64,
    seed: u64,
    answer: &mut Answer<'_, Op, Ret>,
) -> Run<Op, Ret> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut run = Run { lines: Vec::new(), concluded_at: 0 };
    let mut free: BTreeSet<Process> = (0..concurrency).map(Process).collect();
    let mut open: BTreeMap<(u64, Process), (Option<Key>, Outcome<Ret>)> = BTreeMap::new();
    let mut time = 0;
    for phase in 0..2 {
        loop {
            let list: Vec<Process> = free.iter().copied().collect();
            let wake = match generator.next(Now { time, free: &list }) {
                Next::Invoke { process, key, op } => {
                    assert!(free.remove(&process), "process {process} was free");
                    let outcome = answer(key.as_ref(), &op, &mut rng);
                    run.push(generator, time, process, key.clone(), Kind::Invoke(op));
                    let end = time + rng.random_range(1..5 * MILLISECOND);
                    open.insert((end, process), (key, outcome));
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
                let (key, outcome) = entry.remove();
                let retired = matches!(outcome, Outcome::Info(_));
                free.insert(if retired { Process(process.0 + concurrency) } else { process });
                run.push(generator, time, process, key, outcome.into());
            }
        }
        if phase == 0 {
            run.concluded_at = run.lines.len() as u64;
            generator.conclude();
        }
    }
    run
}

impl<Op: Clone, Ret: Clone> Run<Op, Ret> {
    fn push(
        &mut self,
        generator: &mut dyn Generator<Op = Op, Ret = Ret>,
        time: u64,
        process: Process,
        key: Option<Key>,
        kind: Kind<Op, Ret>,
    ) {
        let seen = Observation { index: self.lines.len() as u64, time, process, node: None, key, kind };
        generator.observe(&seen);
        self.lines.push(seen);
    }
}

/// Of a hundred ops, so many fail and so many are lost, of which every other one takes effect all the same.
pub(crate) fn mostly<Ret>(
    rng: &mut ChaCha8Rng,
    fail: u32,
    info: u32,
    execute: impl FnOnce() -> Ret,
) -> Outcome<Ret> {
    let dice = rng.random_range(0..100);
    if dice < fail {
        return Outcome::Fail("refused".into());
    }
    let lost = dice < fail + info;
    if lost && rng.random_bool(0.5) {
        return Outcome::Info("the request was lost".into());
    }
    let ret = execute();
    if lost { Outcome::Info("the answer was lost".into()) } else { Outcome::Ok(ret) }
}
