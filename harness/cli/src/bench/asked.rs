//! A history and who judges it, whatever it asks: generated, or read from a file.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use checker::generate::Plan;
use checker::{Budget, Checker, Setup, Verdict, kv, log, mutex, register};
use history::{History, MutexDone, MutexOp, Operation, Process, WriteError, Writer, write_porcupine};

use crate::args::{FormatArg, Model, ReadingArg};
use crate::exit::Refusal;
use crate::source::{Asks, Source};

/// What is asked in a generated history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Subject {
    Register,
    CasRegister,
    Kv,
    Log,
}

impl Subject {
    /// The history that a plan gives.
    pub(super) fn play(self, plan: &Plan) -> Asked {
        match self {
            Subject::Register => Asked::Register(plan.register()),
            Subject::CasRegister => Asked::CasRegister(plan.cas_register()),
            Subject::Kv => Asked::Kv(plan.kv()),
            Subject::Log => Asked::Log(plan.log()),
        }
    }
}

/// A history of one of the kinds that can be judged.
#[derive(Debug)]
pub(super) enum Asked {
    Register(History<register::Op, register::Ret>),
    CasRegister(History<register::Op, register::Ret>),
    Mutex(History<MutexOp, MutexDone>),
    Kv(History<kv::Op, kv::Ret>),
    Log(History<log::Op, log::Ret>),
}

impl Asked {
    /// Reads a file. None if nothing of ours judges what it asks.
    pub(super) fn read(path: &Path) -> Result<Option<Asked>, Refusal> {
        let source = Source::open(path, FormatArg::Auto, ReadingArg::Auto)?;
        Ok(match source.asks(Model::Auto)? {
            Asks::Of(Model::Kv) => Some(Asked::Kv(source.read(Model::Auto)?)),
            Asks::Of(Model::Mutex) => Some(Asked::Mutex(source.read(Model::Auto)?)),
            // What is judged and has no bench.
            Asks::Txn | Asks::Of(Model::Set | Model::Counter | Model::UniqueIds | Model::Bank) => None,
            Asks::Of(_) => Some(Asked::CasRegister(source.read(Model::Auto)?)),
        })
    }

    /// The model's name, as peers are told it.
    pub(super) fn model(&self) -> &'static str {
        match self {
            Asked::Register(_) => "register",
            Asked::CasRegister(_) => "cas-register",
            Asked::Mutex(_) => "mutex",
            Asked::Kv(_) => "kv",
            Asked::Log(_) => "log",
        }
    }

    /// How many ops it has.
    pub(super) fn ops(&self) -> usize {
        match self {
            Asked::Register(history) | Asked::CasRegister(history) => history.attempts.len(),
            Asked::Mutex(history) => history.attempts.len(),
            Asked::Kv(history) => history.attempts.len(),
            Asked::Log(history) => history.attempts.len(),
        }
    }

    /// Judges it.
    pub(super) fn check(&self, setup: Setup, budget: &Budget) -> Verdict {
        match self {
            Asked::Register(history) => register::register().with(setup).check(history, budget),
            Asked::CasRegister(history) => register::cas_register().with(setup).check(history, budget),
            Asked::Mutex(history) => mutex::mutex().with(setup).check(history, budget),
            Asked::Kv(history) => kv::kv().with(setup).check(history, budget),
            Asked::Log(history) => log::log().with(setup).check(history, budget),
        }
    }

    /// Writes it as JSON lines.
    pub(super) fn write_lines(&self, out: impl Write) -> io::Result<()> {
        match self {
            Asked::Register(history) | Asked::CasRegister(history) => lines(history, out),
            Asked::Mutex(history) => lines(history, out),
            Asked::Kv(history) => lines(history, out),
            Asked::Log(history) => lines(history, out),
        }
    }

    /// Writes it as Porcupine's operations.
    pub(super) fn write_operations(&self, out: impl Write) -> io::Result<()> {
        let mut out = BufWriter::new(out);
        match self {
            Asked::Register(history) | Asked::CasRegister(history) => write_porcupine(&mut out, history),
            Asked::Mutex(history) => write_porcupine(&mut out, history),
            Asked::Kv(history) => write_porcupine(&mut out, history),
            Asked::Log(history) => write_porcupine(&mut out, history),
        }?;
        out.flush()
    }
}

/// The lines that a history was put together from, without the nemesis.
fn lines<O: Operation>(history: &History<O, O::Ret>, out: impl Write) -> io::Result<()> {
    let mut events: Vec<(u64, usize, bool)> = Vec::new();
    for (number, attempt) in history.attempts.iter().enumerate() {
        events.push((attempt.invoked.index, number, true));
        events.extend(attempt.completed.map(|at| (at.index, number, false)));
    }
    events.sort_unstable();
    let mut writer: Writer<_, O> = Writer::new(Late(BufWriter::new(out)));
    for (_, number, begins) in events {
        let attempt = &history.attempts[number];
        let (process, node, key) = (attempt.process, attempt.node, attempt.key.clone());
        let time = attempt.completed.filter(|_| !begins).unwrap_or(attempt.invoked).time;
        let written = if begins {
            writer.invoke(time, process, node, key, attempt.op.clone())
        } else {
            writer.complete(time, process, attempt.outcome.clone())
        };
        written.map_err(|error| unwritable(process, error))?;
    }
    Ok(())
}

fn unwritable(process: Process, error: WriteError) -> io::Error {
    match error {
        WriteError::Io(error) => error,
        other => io::Error::other(format!("process {process}: {other}")),
    }
}

/// A writer flushes each line, for the sake of runs that may be killed. Here it is for the end.
struct Late<W: Write>(BufWriter<W>);

impl<W: Write> Write for Late<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
