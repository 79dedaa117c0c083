//! Who asks whom, who rests and who follows whom, whatever becomes of what they ask.

use std::collections::{BTreeMap, BTreeSet};

use history::{Key, Kind, NodeId, Observation, Outcome, Process};
use proptest::prelude::*;
use workload::{Generator, Next, Now, Seats, Turn};

const MILLISECOND: u64 = 1_000_000;

/// Gives numbers to whoever is first among the free, so many in each phase; and waits now and then.
struct Numbers {
    left: u32,
    /// So long, before each.
    every: u64,
    due: u64,
    finals: u32,
    seen: usize,
}

impl Numbers {
    fn of(left: u32) -> Numbers {
        Numbers { left, every: 0, due: 0, finals: 2, seen: 0 }
    }
}

impl Generator for Numbers {
    type Op = u32;
    type Ret = ();

    fn next(&mut self, now: Now<'_>) -> Next<u32> {
        assert!(now.free.is_sorted());
        match (self.left, now.free) {
            (0, _) => Next::Done,
            _ if now.time < self.due => Next::Wait { until: Some(self.due) },
            (_, []) => Next::Wait { until: None },
            (_, [process, ..]) => {
                self.left -= 1;
                self.due = now.time + self.every;
                Next::Invoke { process: *process, key: None, op: self.left }
            }
        }
    }

    fn observe(&mut self, _: &Observation<u32, ()>) {
        self.seen += 1;
    }

    fn conclude(&mut self) {
        self.left = self.finals;
    }
}

fn nodes(count: u16) -> Vec<NodeId> {
    (1..=count).map(NodeId).collect()
}

fn line(time: u64, process: Process, kind: Kind<u32, ()>) -> Observation<u32, ()> {
    Observation { index: 0, time, process, node: None, key: None::<Key>, kind }
}

/// What a test drives: seats, the time, and who is asked.
struct Driver {
    seats: Seats<Numbers>,
    now: u64,
}

impl Driver {
    fn new(concurrency: usize, count: u16, numbers: Numbers) -> Driver {
        Driver { seats: Seats::new(concurrency, nodes(count), numbers), now: 0 }
    }

    fn ask(&mut self) -> Option<(Process, NodeId)> {
        let Turn::Ask { process, node, op, .. } = self.seats.next(self.now) else { return None };
        self.seats.observe(&line(self.now, process, Kind::Invoke(op)));
        Some((process, node))
    }

    fn end(&mut self, process: Process, outcome: Outcome<()>) {
        self.seats.observe(&line(self.now, process, outcome.into()));
    }
}

fn ok() -> Outcome<()> {
    Outcome::Ok(())
}

fn fail() -> Outcome<()> {
    Outcome::Fail("refused".into())
}

fn info() -> Outcome<()> {
    Outcome::Info("lost".into())
}

#[test]
fn whoever_is_not_served_rests_longer_each_time_and_whoever_is_does_not() {
    for refused in [fail(), info()] {
        let mut driver = Driver::new(1, 3, Numbers::of(100));
        let mut rests = Vec::new();
        for _ in 0..7 {
            let (process, _) = driver.ask().unwrap();
            driver.end(process, refused.clone());
            let Turn::Wait { until: Some(until) } = driver.seats.next(driver.now) else { panic!("a rest") };
            rests.push((until - driver.now) / MILLISECOND);
            driver.now = until;
        }
        assert_eq!(rests, [50, 100, 200, 400, 500, 500, 500], "a successor rests as long: {refused:?}");
        let (process, _) = driver.ask().unwrap();
        driver.end(process, ok());
        let (process, _) = driver.ask().unwrap();
        driver.end(process, fail());
        let wait = Turn::Wait { until: Some(driver.now + 50 * MILLISECOND) };
        assert_eq!(driver.seats.next(driver.now), wait, "an answer makes up for all refusals");
    }
}

#[test]
fn one_waits_for_the_first_who_has_rested_or_for_what_the_generator_waits_for_and_not_for_the_busy() {
    let mut driver = Driver::new(3, 3, Numbers { every: 60 * MILLISECOND, ..Numbers::of(100) });
    let (first, _) = driver.ask().unwrap();
    assert_eq!(driver.seats.next(0), Turn::Wait { until: Some(60 * MILLISECOND) });
    driver.end(first, fail());
    assert_eq!(driver.seats.next(0), Turn::Wait { until: Some(50 * MILLISECOND) }, "the rest ends first");
    driver.now = 60 * MILLISECOND;
    let busy = driver.ask().unwrap().0;
    driver.now = 120 * MILLISECOND;
    assert_ne!(driver.ask().unwrap().0, busy);
}

#[test]
fn when_the_time_is_up_nothing_more_is_asked_and_the_phase_ends_with_what_is_open() {
    let mut driver = Driver::new(2, 1, Numbers::of(100));
    let (one, two) = (driver.ask().unwrap().0, driver.ask().unwrap().0);
    driver.seats.close();
    driver.end(one, ok());
    assert_eq!(driver.seats.next(0), Turn::Wait { until: None }, "somebody is free, and nothing is asked");
    assert!(!driver.seats.idle());
    driver.end(two, ok());
    assert_eq!(driver.seats.next(0), Turn::Done);
    driver.seats.conclude();
    assert!(driver.ask().is_some() && driver.ask().is_some(), "the final reads");
    assert_eq!(driver.seats.next(0), Turn::Wait { until: None }, "what is open ends first, here too");
    driver.end(one, ok());
    driver.end(two, ok());
    assert_eq!(driver.seats.next(0), Turn::Done);
    assert_eq!(driver.seats.generator().seen, 8, "who decides sees every line");
}

#[test]
#[should_panic(expected = "retired")]
fn who_was_retired_does_not_hear_any_more() {
    let mut driver = Driver::new(1, 1, Numbers::of(2));
    let (process, _) = driver.ask().unwrap();
    driver.end(process, info());
    driver.end(process, ok());
}

#[test]
#[should_panic(expected = "nothing open")]
fn an_op_ends_once() {
    let mut driver = Driver::new(1, 1, Numbers::of(2));
    let (process, _) = driver.ask().unwrap();
    driver.end(process, ok());
    driver.end(process, ok());
}

proptest! {
    /// The law of [`Seats`], held against a history that is looked at by itself.
    #[test]
    fn who_asks_is_free_and_rested_and_nobody_asks_after_an_op_of_unknown_end(
        concurrency in 1_usize..8,
        count in 1_u16..6,
        fewer in 1_u16..6,
        dice in prop::collection::vec((0_u8..10, 0_usize..8, 0_u64..80), 1..300),
    ) {
        let mut driver = Driver::new(concurrency, count, Numbers::of(u32::MAX));
        let mut talked_to = nodes(count);
        let mut open: Vec<Process> = Vec::new();
        let mut retired = BTreeSet::new();
        // By seat: when it may ask again at the earliest, and how often in a row it was not served.
        let mut rests: BTreeMap<u64, (u64, u32)> = BTreeMap::new();
        for (what, whom, pass) in dice {
            driver.now += pass * MILLISECOND;
            while let Some((process, node)) = driver.ask() {
                let seat = process.0 % concurrency as u64;
                prop_assert!(!retired.contains(&process), "{process:?} was retired");
                prop_assert!(open.iter().all(|other| other.0 % concurrency as u64 != seat), "one op a seat");
                prop_assert!(rests.get(&seat).is_none_or(|rest| rest.0 <= driver.now), "{process:?} rests");
                let turn = usize::try_from(process.0).unwrap() % talked_to.len();
                prop_assert_eq!(node, talked_to[turn]);
                open.push(process);
            }
            if what == 9 {
                talked_to = nodes(fewer);
                driver.seats.talk_to(talked_to.clone());
            }
            if open.is_empty() {
                continue;
            }
            let process = open.swap_remove(whom % open.len());
            let seat = process.0 % concurrency as u64;
            let outcome = match what { 0..5 => ok(), 5..8 => fail(), _ => info() };
            if matches!(outcome, Outcome::Info(_)) {
                retired.insert(process);
            }
            let refusals = rests.get(&seat).map_or(0, |rest| rest.1);
            let refusals = if outcome == ok() { 0 } else { refusals + 1 };
            let rest = if refusals == 0 { 0 } else { (50 << (refusals - 1).min(4)).min(500) };
            rests.insert(seat, (driver.now + rest * MILLISECOND, refusals));
            driver.end(process, outcome);
        }
        // All of them are numbered without a gap: each seat's by the number of seats.
        for process in retired {
            let before = process.0.checked_sub(concurrency as u64);
            prop_assert!(before.is_none_or(|before| driver.seats.place(Process(before)) == driver.seats.place(process)));
        }
    }
}
