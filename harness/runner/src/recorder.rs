//! Writes down what clients ask and hear, and what the nemesis does.
//!
//! The order is the point: an invocation is in the file *before* the client sends, an end *after* the
//! client heard. So the interval in the history holds the moment at which the op took effect, and a
//! harness that is killed has written down everything that it had sent.
//!
//! One lock orders all lines; the time is read while it is held, so that it never goes back.

use std::collections::BTreeMap;
use std::fs::File;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use history::{History, Key, Kind, Line, Observation, Operation, Outcome, Pairing, Process, Writer};
use nemesis::{NodeId, Time};
use serde::Serialize;
use serde_json::Value;

use crate::error::Error;
use crate::latency::Latencies;

/// How ops ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counts {
    /// They happened.
    pub ok: u64,
    /// They certainly did not.
    pub fail: u64,
    /// Nobody knows.
    pub info: u64,
}

/// The figures of a run, while it goes on.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// All ops.
    pub counts: Counts,
    /// Ops by name.
    pub by_f: BTreeMap<String, Counts>,
    /// Ops that were acknowledged while a fault lasted.
    pub ok_under_fault: u64,
    /// Ops that were invoked so far.
    pub invoked: u64,
    /// How long acknowledged ops took.
    pub latencies: Latencies,
}

impl Tally {
    /// Ops that are open now.
    pub fn open(&self) -> u64 {
        self.invoked - self.counts.ok - self.counts.fail - self.counts.info
    }
}

/// The history of a run, while it goes on.
pub struct Recorder<O: Operation> {
    start: Instant,
    book: Mutex<Book<O>>,
}

struct Book<O: Operation> {
    writer: Writer<File, O>,
    pairing: Pairing<O, O::Ret>,
    tally: Tally,
    /// When the open op of a process began, and its name.
    open: BTreeMap<Process, (u64, String)>,
    /// How many faults last.
    faults: usize,
}

impl<O: Operation> Recorder<O> {
    /// Begins a history. Its time begins now.
    pub fn new(file: File) -> Recorder<O> {
        let book = Book {
            writer: Writer::new(file),
            pairing: Pairing::default(),
            tally: Tally::default(),
            open: BTreeMap::new(),
            faults: 0,
        };
        Recorder { start: Instant::now(), book: Mutex::new(book) }
    }

    /// Now.
    pub fn time(&self) -> Time {
        Time::default().after(self.start.elapsed())
    }

    /// When that moment is, or was, on the machine's clock.
    pub fn instant(&self, time: Time) -> Instant {
        self.start + Duration::from_nanos(time.0)
    }

    /// The figures so far.
    pub fn tally(&self) -> Tally {
        self.book().tally.clone()
    }

    /// How ops ended so far.
    pub fn counts(&self) -> Counts {
        self.book().tally.counts
    }

    /// Writes down that `process` asks `node`. Only when this has returned may the client send.
    pub fn invoke(
        &self,
        process: Process,
        node: NodeId,
        key: Option<Key>,
        op: O,
    ) -> Result<Observation<O, O::Ret>, Error> {
        let mut book = self.book();
        let time = self.time().0;
        let f = op.ask().f;
        let seen = book.writer.invoke(time, process, Some(history::NodeId(node.0)), key, op)?;
        book.pairing.push(Line::Client(seen.clone()));
        book.open.insert(process, (time, f));
        book.tally.invoked += 1;
        Ok(seen)
    }

    /// Writes down how the open op of `process` ended.
    pub fn complete(
        &self,
        process: Process,
        outcome: Outcome<O::Ret>,
    ) -> Result<Observation<O, O::Ret>, Error> {
        let mut book = self.book();
        let time = self.time().0;
        let seen = book.writer.complete(time, process, outcome)?;
        book.count(&seen);
        book.pairing.push(Line::Client(seen.clone()));
        Ok(seen)
    }

    /// Writes down what the nemesis is about to do, or did. Tells when.
    pub fn nemesis(&self, f: &str, value: Value) -> Result<Time, Error> {
        let mut book = self.book();
        let time = self.time();
        let line = book.writer.nemesis(time.0, f, value, None)?;
        book.pairing.push(Line::Nemesis(line));
        Ok(time)
    }

    /// A fault has begun. Tells the figures of that moment.
    pub fn fault_began(&self) -> Tally {
        let mut book = self.book();
        book.faults += 1;
        book.tally.clone()
    }

    /// A fault has ended. Tells the figures of that moment.
    pub fn fault_ended(&self) -> Tally {
        let mut book = self.book();
        book.faults -= 1;
        book.tally.clone()
    }

    /// All that was written down so far, and the figures. Nothing may be added afterwards.
    pub fn finish(&self) -> (History<O, O::Ret>, Tally) {
        let mut book = self.book();
        (mem::take(&mut book.pairing).finish(), book.tally.clone())
    }

    /// A thread that panicked while it held the lock ends the run anyway; the others may finish.
    fn book(&self) -> MutexGuard<'_, Book<O>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O: Operation> Book<O> {
    fn count(&mut self, seen: &Observation<O, O::Ret>) {
        let (began, f) = self.open.remove(&seen.process).expect("what ends was open: the writer saw to it");
        let of_f = self.tally.by_f.entry(f).or_default();
        for counts in [&mut self.tally.counts, of_f] {
            match seen.kind {
                Kind::Ok(_) => counts.ok += 1,
                Kind::Fail(_) => counts.fail += 1,
                Kind::Info(_) | Kind::Invoke(_) => counts.info += 1,
            }
        }
        if matches!(seen.kind, Kind::Ok(_)) {
            self.tally.latencies.add(Duration::from_nanos(seen.time - began));
            self.tally.ok_under_fault += u64::from(self.faults > 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use checker::register::{Op, Ret};
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_are_on_disk_when_the_call_returns_and_figures_follow_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let recorder = Recorder::<Op>::new(File::create(&path).unwrap());
        let lines = || fs::read_to_string(&path).unwrap().lines().count();

        recorder.invoke(Process(0), NodeId(1), Some(Key::new("k0")), Op::Write(1)).unwrap();
        assert_eq!((lines(), recorder.tally().open()), (1, 1));
        recorder.nemesis("kill", json!({"nodes": ["n1"]})).unwrap();
        recorder.fault_began();
        recorder.complete(Process(0), Outcome::Ok(Ret::Written)).unwrap();
        recorder.fault_ended();
        recorder.invoke(Process(0), NodeId(1), Some(Key::new("k0")), Op::Read).unwrap();
        recorder.complete(Process(0), Outcome::Info("no answer within 1s".to_owned())).unwrap();
        assert_eq!(lines(), 5);

        let (history, tally) = recorder.finish();
        assert_eq!((history.attempts.len(), history.nemesis.len()), (2, 1));
        assert_eq!(tally.counts, Counts { ok: 1, fail: 0, info: 1 });
        assert_eq!(tally.by_f["read"], Counts { ok: 0, fail: 0, info: 1 });
        assert_eq!((tally.ok_under_fault, tally.open()), (1, 0));
    }

    #[test]
    fn a_retired_process_cannot_ask_again() {
        let folder = tempfile::tempdir().unwrap();
        let recorder = Recorder::<Op>::new(File::create(folder.path().join("history")).unwrap());
        recorder.invoke(Process(3), NodeId(1), None, Op::Read).unwrap();
        recorder.complete(Process(3), Outcome::Info("lost".to_owned())).unwrap();
        let error = recorder.invoke(Process(3), NodeId(1), None, Op::Read).unwrap_err();
        assert!(error.to_string().contains("retired"), "{error}");
        assert_eq!(error.exit_code(), 255);
    }
}
