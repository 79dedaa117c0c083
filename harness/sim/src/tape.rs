//! What clients asked in one life, to be asked again in another.
//!
//! A generator decides by what it observes, so it asks something else as soon as one answer is another. Who
//! wants to know which ops a failure needs has to keep the others as they were: a tape asks what is on it, at
//! the times and from the seats that are on it, whatever is answered. A seat that is still busy asks as soon as
//! it is free.
//!
//! The final reads come after the conclusion, in their order; one that was not answered is asked again, as
//! often as any final read.

use std::collections::{BTreeSet, VecDeque};
use std::marker::PhantomData;

use history::{Key, Kind, Line, Observation, Operation, Process, Unreadable};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use workload::{Generator, Next, Now};

/// How often a final read is asked.
const TRIES: u32 = 20;

/// An op as it was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ask<Op> {
    /// When, in nanoseconds since the start.
    pub(crate) time: u64,
    /// From which seat.
    pub(crate) seat: u64,
    pub(crate) key: Option<Key>,
    pub(crate) op: Op,
    /// Whether it is one of the final reads.
    pub(crate) last: bool,
}

/// An op as it is written in a file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenAsk {
    /// When, in nanoseconds since the start; in a file a text, such as `"1.5s"`.
    #[serde(with = "crate::written::nanoseconds")]
    pub time: u64,
    /// From which seat: process p sits in seat p modulo the concurrency.
    pub seat: u64,
    /// About what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// The op's name.
    pub f: String,
    /// Its argument.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub value: Value,
    /// Whether it is asked after everything was healed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last: bool,
}

impl<Op: Operation> Ask<Op> {
    /// As it is written in a file.
    pub(crate) fn write(&self) -> WrittenAsk {
        let history::Asked { f, value } = self.op.ask();
        WrittenAsk { time: self.time, seat: self.seat, key: self.key.clone(), f, value, last: self.last }
    }

    /// As it was written.
    pub(crate) fn read(written: &WrittenAsk) -> Result<Ask<Op>, Unreadable> {
        let asked = history::Asked { f: written.f.clone(), value: written.value.clone() };
        let op = Op::read_ask(&asked)?;
        let WrittenAsk { time, seat, key, last, .. } = written.clone();
        Ok(Ask { time, seat, key, op, last })
    }
}

/// What was asked in these lines, of which those from `concluded` on came after the conclusion. Of a final
/// read that was asked again and again, the first is kept: the tape asks again by itself.
pub(crate) fn record<Op: Clone, Ret>(
    lines: &[Line<Op, Ret>],
    concluded: usize,
    concurrency: usize,
) -> Vec<Ask<Op>> {
    let mut finished = BTreeSet::new();
    let asks = lines.iter().enumerate().filter_map(|(place, line)| match line {
        Line::Client(Observation { key: Some(key), kind: Kind::Invoke(_), .. })
            if place >= concluded && !finished.insert(key.clone()) =>
        {
            None
        }
        Line::Client(Observation { time, process, key, kind: Kind::Invoke(op), .. }) => Some(Ask {
            time: *time,
            seat: process.0 % concurrency as u64,
            key: key.clone(),
            op: op.clone(),
            last: place >= concluded,
        }),
        _ => None,
    });
    asks.collect()
}

/// An op that is still to be asked.
#[derive(Clone)]
struct Queued<Op> {
    /// Of those that are due at one moment, the one that was asked first is asked first.
    order: usize,
    ask: Ask<Op>,
    /// How often it was asked before.
    tries: u32,
}

/// Asks what is on it.
pub(crate) struct Tape<Op, Ret> {
    /// By seat: what is still to be asked.
    seats: Vec<VecDeque<Queued<Op>>>,
    finish: Vec<VecDeque<Queued<Op>>>,
    /// What each seat was asked last.
    open: Vec<Option<Queued<Op>>>,
    concluded: bool,
    given_up: usize,
    answers: PhantomData<fn() -> Ret>,
}

impl<Op: Clone, Ret> Tape<Op, Ret> {
    pub(crate) fn new(asks: &[Ask<Op>], concurrency: usize) -> Tape<Op, Ret> {
        let sort = |last: bool| {
            let mut seats: Vec<VecDeque<Queued<Op>>> = vec![VecDeque::new(); concurrency];
            for (order, ask) in asks.iter().enumerate().filter(|(_, ask)| ask.last == last) {
                let seat = usize::try_from(ask.seat).unwrap_or_default() % concurrency;
                seats[seat].push_back(Queued { order, ask: ask.clone(), tries: 0 });
            }
            seats
        };
        Tape {
            seats: sort(false),
            finish: sort(true),
            open: vec![None; concurrency],
            concluded: false,
            given_up: 0,
            answers: PhantomData,
        }
    }

    fn seat(&self, process: Process) -> usize {
        usize::try_from(process.0 % self.seats.len() as u64).expect("there are few seats")
    }
}

impl<Op: Clone + Send, Ret> Generator for Tape<Op, Ret> {
    type Op = Op;
    type Ret = Ret;

    fn next(&mut self, now: Now<'_>) -> Next<Op> {
        let mut soonest: Option<u64> = None;
        let mut due: Option<(usize, Process)> = None;
        for process in now.free {
            let Some(Queued { order, ask, .. }) = self.seats[self.seat(*process)].front() else { continue };
            if ask.time > now.time && !self.concluded {
                soonest = Some(soonest.map_or(ask.time, |soonest| soonest.min(ask.time)));
            } else if due.is_none_or(|(first, _)| *order < first) {
                due = Some((*order, *process));
            }
        }
        if let Some((_, process)) = due {
            let seat = self.seat(process);
            let next = self.seats[seat].pop_front().expect("it was just seen");
            let Ask { key, op, .. } = next.ask.clone();
            self.open[seat] = Some(next);
            return Next::Invoke { process, key, op };
        }
        let over = self.seats.iter().all(VecDeque::is_empty) && self.open.iter().all(Option::is_none);
        if self.concluded && over { Next::Done } else { Next::Wait { until: soonest } }
    }

    fn observe(&mut self, seen: &Observation<Op, Ret>) {
        let seat = self.seat(seen.process);
        if matches!(seen.kind, Kind::Invoke(_)) {
            return;
        }
        let Some(Queued { order, ask, tries }) = self.open[seat].take() else { return };
        if self.concluded && !matches!(seen.kind, Kind::Ok(_)) {
            if tries + 1 < TRIES {
                // Another seat talks to another node; this one's may be down for good.
                let next = (seat + 1) % self.seats.len();
                self.seats[next].push_back(Queued { order, ask, tries: tries + 1 });
            } else {
                self.given_up += 1;
            }
        }
    }

    fn conclude(&mut self) {
        self.concluded = true;
        self.seats = std::mem::take(&mut self.finish);
        self.seats.resize(self.open.len(), VecDeque::new());
        self.open.fill(None);
    }

    fn given_up(&self) -> usize {
        self.given_up
    }
}
