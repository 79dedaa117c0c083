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
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use history::{History, Key, Kind, Line, Observation, Operation, Outcome, Pairing, Process, Writer};
use nemesis::{NodeId, Nodes, Time};
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

/// An answer that nobody could give who keeps the promise, whatever else the history holds: what was read
/// is no value of the workload at all. A checker never sees it, since it cannot be said in the
/// workload's words; the history has an `info` in its place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Violation {
    /// The contradiction in one sentence.
    pub sentence: String,
    /// The line that ends the op.
    pub index: u64,
    /// Who asked.
    pub process: Process,
    /// Whom it asked.
    pub node: Option<history::NodeId>,
    /// About what.
    pub key: Option<Key>,
}

/// As many violations are kept as anyone will read. The history has them all.
const MOST_VIOLATIONS: usize = 20;

/// How far clients have come at a moment, as seen from some nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// Ops that were invoked so far.
    pub invoked: u64,
    /// Ops that are open.
    pub open: u64,
    /// Those of them that were asked of these nodes.
    pub open_here: u64,
    /// Ops that were asked of these nodes, and that nobody will ever know the end of.
    pub lost_here: u64,
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
    open: BTreeMap<Process, Open>,
    /// How many ops ended `info`, by whom they were asked of.
    lost: BTreeMap<NodeId, u64>,
    violations: Vec<Violation>,
    /// How many faults last.
    faults: usize,
    /// Who else hears every line.
    taps: Vec<SyncSender<Line<O, O::Ret>>>,
}

/// The open op of a process.
struct Open {
    began: u64,
    index: u64,
    f: String,
    node: NodeId,
}

impl<O: Operation> Recorder<O> {
    /// Begins a history. Its time begins now.
    pub fn new(file: File) -> Recorder<O> {
        let book = Book {
            writer: Writer::new(file),
            pairing: Pairing::default(),
            tally: Tally::default(),
            open: BTreeMap::new(),
            lost: BTreeMap::new(),
            violations: Vec::new(),
            faults: 0,
            taps: Vec::new(),
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
        book.push(Line::Client(seen.clone()));
        book.open.insert(process, Open { began: time, index: seen.index, f, node });
        book.tally.invoked += 1;
        Ok(seen)
    }

    /// Writes down how the open op of `process` ended.
    pub fn complete(
        &self,
        process: Process,
        outcome: Outcome<O::Ret>,
    ) -> Result<Observation<O, O::Ret>, Error> {
        self.book().complete(self.time().0, process, outcome).map(|(_, seen)| seen)
    }

    /// Writes down that the open op of `process` was answered with what is no answer at all.
    pub fn violate(&self, process: Process, what: &str) -> Result<Observation<O, O::Ret>, Error> {
        let mut book = self.book();
        let outcome = Outcome::Info(format!("answered with {what}"));
        let (open, seen) = book.complete(self.time().0, process, outcome)?;
        if book.violations.len() < MOST_VIOLATIONS {
            let (Open { index, f, node, .. }, process) = (open, process.0);
            let key = seen.key.as_ref().map_or_else(String::new, |key| format!(" of {key}"));
            let sentence =
                format!("{node} answered the {f}{key} by process {process} (index {index}) with {what}");
            book.violations.push(Violation {
                sentence,
                index: seen.index,
                process: seen.process,
                node: seen.node,
                key: seen.key.clone(),
            });
        }
        Ok(seen)
    }

    /// The first of all answers that were none.
    pub fn violations(&self) -> Vec<Violation> {
        self.book().violations.clone()
    }

    /// Writes down what the nemesis is about to do, or did. Tells when.
    pub fn nemesis(&self, f: &str, value: Value) -> Result<Time, Error> {
        let mut book = self.book();
        let time = self.time();
        let line = book.writer.nemesis(time.0, f, value, None)?;
        book.push(Line::Nemesis(line));
        Ok(time)
    }

    /// Lets somebody else hear every line from now on. Recording waits while its queue is full.
    pub(crate) fn tap(&self, tap: SyncSender<Line<O, O::Ret>>) {
        self.book().taps.push(tap);
    }

    /// A fault begins.
    pub fn fault_began(&self) {
        self.book().faults += 1;
    }

    /// A fault ends.
    pub fn fault_ended(&self) {
        self.book().faults -= 1;
    }

    /// How far clients have come by now, as seen from these nodes.
    pub fn moment(&self, nodes: &Nodes) -> Moment {
        let book = self.book();
        let open_here = book.open.values().filter(|open| nodes.contains(&open.node)).count();
        Moment {
            invoked: book.tally.invoked,
            open: book.tally.open(),
            open_here: open_here as u64,
            lost_here: nodes.iter().filter_map(|node| book.lost.get(node)).sum(),
        }
    }

    /// All that was written down so far, and the figures. Nothing may be added afterwards.
    pub fn finish(&self) -> (History<O, O::Ret>, Tally) {
        let mut book = self.book();
        book.taps.clear();
        (mem::take(&mut book.pairing).finish(), book.tally.clone())
    }

    /// A thread that panicked while it held the lock ends the run anyway; the others may finish.
    fn book(&self) -> MutexGuard<'_, Book<O>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O: Operation> Book<O> {
    /// One that no longer listens is forgotten.
    fn push(&mut self, line: Line<O, O::Ret>) {
        self.taps.retain(|tap| tap.send(line.clone()).is_ok());
        self.pairing.push(line);
    }

    fn complete(
        &mut self,
        time: u64,
        process: Process,
        outcome: Outcome<O::Ret>,
    ) -> Result<(Open, Observation<O, O::Ret>), Error> {
        let seen = self.writer.complete(time, process, outcome)?;
        let open = self.open.remove(&process).expect("what ends was open: the writer saw to it");
        self.count(&open, &seen);
        self.push(Line::Client(seen.clone()));
        Ok((open, seen))
    }

    fn count(&mut self, open: &Open, seen: &Observation<O, O::Ret>) {
        let of_f = self.tally.by_f.entry(open.f.clone()).or_default();
        for counts in [&mut self.tally.counts, of_f] {
            match seen.kind {
                Kind::Ok(_) => counts.ok += 1,
                Kind::Fail(_) => counts.fail += 1,
                Kind::Info(_) | Kind::Invoke(_) => counts.info += 1,
            }
        }
        if matches!(seen.kind, Kind::Ok(_)) {
            self.tally.latencies.add(Duration::from_nanos(seen.time - open.began));
            self.tally.ok_under_fault += u64::from(self.faults > 0);
        }
        if matches!(seen.kind, Kind::Info(_)) {
            *self.lost.entry(open.node).or_default() += 1;
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
    fn of_the_ops_asked_of_a_node_those_are_known_that_are_open_and_those_that_always_will_be() {
        let folder = tempfile::tempdir().unwrap();
        let recorder = Recorder::<Op>::new(File::create(folder.path().join("history")).unwrap());
        let ask = |process, node| recorder.invoke(Process(process), NodeId(node), None, Op::Read).unwrap();
        let end = |process, outcome| recorder.complete(Process(process), outcome).unwrap();
        let lost = || Outcome::Info("lost".to_owned());
        for (process, node) in [(0, 1), (1, 2), (2, 1), (3, 1)] {
            ask(process, node);
        }
        end(0, lost());
        end(1, lost());
        end(2, Outcome::Fail("refused".to_owned()));
        let here = recorder.moment(&[NodeId(1)].into());
        assert_eq!(here, Moment { invoked: 4, open: 1, open_here: 1, lost_here: 1 });
        let elsewhere = recorder.moment(&[NodeId(2), NodeId(3)].into());
        assert_eq!(elsewhere, Moment { invoked: 4, open: 1, open_here: 0, lost_here: 1 });
    }

    #[test]
    fn an_answer_that_is_none_is_a_violation_and_an_info_and_only_the_first_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let recorder = Recorder::<Op>::new(File::create(&path).unwrap());
        for process in 0..2 * MOST_VIOLATIONS as u64 {
            recorder.invoke(Process(process), NodeId(2), Some(Key::new("k0")), Op::Read).unwrap();
            recorder.violate(Process(process), "a value that no client wrote: `x`").unwrap();
        }
        let violations = recorder.violations();
        assert_eq!(violations.len(), MOST_VIOLATIONS);
        assert_eq!(
            violations[1].sentence,
            "n2 answered the read of k0 by process 1 (index 2) with a value that no client wrote: `x`"
        );
        assert_eq!(violations[1].index, 3);
        let lines = fs::read_to_string(&path).unwrap();
        assert_eq!(lines.matches("answered with a value that no client wrote").count(), 2 * MOST_VIOLATIONS);
        assert_eq!(recorder.counts().info, 2 * MOST_VIOLATIONS as u64);
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
