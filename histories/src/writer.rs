//! Writing a history while the run goes on.
//!
//! Each line is appended and flushed before the caller goes on, so that whatever happens to the
//! harness, the history holds everything that was asked before it: an op that was sent and not
//! written down would be a write from nowhere. At worst the last line is torn, and readers know.
//!
//! The writer numbers the lines itself and refuses what would make the file unreadable. It flushes
//! but does not sync: a history must survive the death of the harness, not that of the machine.

use std::io;

use crate::jepsen_edn;
use crate::json::{Raw, Type, Who};
use crate::names::{Key, NodeId, Process};
use crate::observation::{Kind, Line, NemesisOp, Observation, Outcome};
use crate::operation::{Asked, Operation};
use crate::rules::{Breach, Rules};

/// Appends lines to a history.
#[derive(Debug)]
pub struct Writer<W, O> {
    out: W,
    encode: fn(&Raw) -> Vec<u8>,
    rules: Rules<Open<O>>,
    failed: bool,
}

/// What the line that ends an op says again.
#[derive(Clone, Debug)]
struct Open<O> {
    op: O,
    node: Option<NodeId>,
    key: Option<Key>,
}

/// Why a line was not added.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It does not fit: the caller is wrong. Nothing was written.
    #[error("a line that {0}")]
    Breach(#[from] Breach),
    /// The file is in the way. Part of the line may have been written, so nothing more will be.
    #[error("the history cannot be written: {0}")]
    Io(#[from] io::Error),
    /// An earlier line could not be written; after it, nothing is.
    #[error("the history ended early: an earlier line could not be written")]
    Ended,
}

impl<W: io::Write, O: Operation> Writer<W, O> {
    /// An empty history. `out` should not buffer, or buffer whole lines: it is flushed after each.
    pub fn new(out: W) -> Writer<W, O> {
        Writer { out, encode: as_json, rules: Rules::new(), failed: false }
    }

    /// The same, but as Jepsen's EDN: one map a line.
    pub fn edn(out: W) -> Writer<W, O> {
        Writer { encode: jepsen_edn::write, ..Writer::new(out) }
    }

    /// Writes down what was read elsewhere. The line gets the next index.
    pub fn line(&mut self, line: Line<O, O::Ret>) -> Result<(), WriteError> {
        let Observation { time, process, node, key, kind, .. } = match line {
            Line::Client(seen) => seen,
            Line::Nemesis(op) => return self.nemesis(op.time, op.f, op.value, op.error).map(drop),
        };
        let outcome = match kind {
            Kind::Invoke(op) => return self.invoke(time, process, node, key, op).map(drop),
            Kind::Ok(ret) => Outcome::Ok(ret),
            Kind::Fail(why) => Outcome::Fail(why),
            Kind::Info(why) => Outcome::Info(why),
        };
        self.complete(time, process, outcome).map(drop)
    }

    /// The index of the next line.
    pub fn next_index(&self) -> u64 {
        self.rules.next()
    }

    /// Writes down that `process` asks `op`. Only when this has returned may the client send.
    pub fn invoke(
        &mut self,
        time: u64,
        process: Process,
        node: Option<NodeId>,
        key: Option<Key>,
        op: O,
    ) -> Result<Observation<O, O::Ret>, WriteError> {
        self.rules.check_invoke(process)?;
        let Asked { f, value } = op.ask();
        let raw = Raw { f, key: key.clone(), value, node, ..self.blank(time, process, Type::Invoke) };
        self.append(&raw)?;
        self.rules.began(process, Open { op: op.clone(), node, key: key.clone() });
        self.rules.added(time);
        Ok(Observation { index: raw.index, time, process, node, key, kind: Kind::Invoke(op) })
    }

    /// Writes down how the open op of `process` ended.
    pub fn complete(
        &mut self,
        time: u64,
        process: Process,
        outcome: Outcome<O::Ret>,
    ) -> Result<Observation<O, O::Ret>, WriteError> {
        let Open { op, node, key } = self.rules.check_end(process)?.what.clone();
        let Asked { f, value } = op.ask();
        let raw = Raw { f, key: key.clone(), node, ..self.blank(time, process, Type::Ok) };
        let raw = match &outcome {
            Outcome::Ok(ret) => {
                let answered = op.answer(ret);
                Raw { value: answered.value, result: answered.result, ..raw }
            }
            Outcome::Fail(why) => Raw { kind: Type::Fail, value, error: Some(why.clone()), ..raw },
            Outcome::Info(why) => Raw { kind: Type::Info, value, error: Some(why.clone()), ..raw },
        };
        self.append(&raw)?;
        self.rules.ended(process, raw.kind == Type::Info);
        self.rules.added(time);
        Ok(Observation { index: raw.index, time, process, node, key, kind: outcome.into() })
    }

    /// Writes down what the nemesis is about to do, or did.
    pub fn nemesis(
        &mut self,
        time: u64,
        f: impl Into<String>,
        value: serde_json::Value,
        error: Option<String>,
    ) -> Result<NemesisOp, WriteError> {
        let raw = Raw {
            f: f.into(),
            value,
            error,
            process: Who::Nemesis,
            ..self.blank(time, Process(0), Type::Info)
        };
        self.append(&raw)?;
        self.rules.added(time);
        Ok(NemesisOp { index: raw.index, time, f: raw.f, value: raw.value, error: raw.error })
    }

    /// Gives back what was written to.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn blank(&self, time: u64, process: Process, kind: Type) -> Raw {
        Raw {
            index: self.rules.next(),
            time,
            process: Who::Client(process),
            kind,
            f: String::new(),
            key: None,
            value: serde_json::Value::Null,
            result: None,
            error: None,
            node: None,
        }
    }

    /// One write for the whole line, so that lines are torn only where the machine tears them.
    fn append(&mut self, raw: &Raw) -> Result<(), WriteError> {
        if self.failed {
            return Err(WriteError::Ended);
        }
        self.rules.check_time(raw.time)?;
        let line = (self.encode)(raw);
        let written = self.out.write_all(&line).and_then(|()| self.out.flush());
        self.failed = written.is_err();
        Ok(written?)
    }
}

fn as_json(raw: &Raw) -> Vec<u8> {
    let mut line = serde_json::to_vec(raw).expect("a line holds only strings, numbers and JSON values");
    line.push(b'\n');
    line
}
