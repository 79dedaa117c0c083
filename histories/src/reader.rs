//! Reading a history, line by line.
//!
//! A reader trusts nothing: a line that is not of its [`Format`], that breaks the rules of [`Breach`] or that means
//! nothing to the workload is an error that names the line and says what is wrong with it. The one
//! exception is a torn last line: a harness that was killed leaves one, and all before it is sound. It
//! is left out and reported by [`Reader::torn`].
//!
//! Fields that are not ours are skipped.

use std::io::{self, BufRead};
use std::marker::PhantomData;

use crate::attempt::{History, Pairing, Torn};
use crate::foreign::NotALine;
use crate::format::Format;
use crate::json::{Raw, Type, Who};
use crate::names::{Key, NodeId, Process};
use crate::observation::{Kind, Line, NemesisOp, Observation};
use crate::operation::{Answered, Asked, Operation, Unreadable};
use crate::rules::{Breach, Open, Rules};

/// Yields the lines of a history. After an error it yields nothing more.
#[derive(Debug)]
pub struct Reader<R, O> {
    from: R,
    format: Format,
    number: u64,
    rules: Rules<Begun<O>>,
    torn: Option<Torn>,
    done: bool,
    op: PhantomData<O>,
}

/// What the line that ends an op must agree with.
#[derive(Clone, Debug)]
struct Begun<O> {
    op: O,
    f: String,
    node: Option<NodeId>,
    key: Option<Key>,
}

/// Why a history cannot be read, and where.
#[derive(Debug, thiserror::Error)]
#[error("line {line} {what}")]
pub struct ReadError {
    /// The number of the line in the file, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub what: Flaw,
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    /// The file is in the way.
    #[error("cannot be read: {0}")]
    Io(io::Error),
    /// Not JSON, or not the fields of a line.
    #[error("is not a line of a history: {0}")]
    Malformed(serde_json::Error),
    /// Not what lines of another format look like.
    #[error("is not a line of {format}: {why}")]
    Foreign {
        /// The format.
        format: Format,
        /// What is wrong with it.
        why: NotALine,
    },
    /// It does not fit those before it.
    #[error("{0}")]
    Breach(#[from] Breach),
    /// It means nothing to this workload.
    #[error("cannot be understood: {0}")]
    Unreadable(#[from] Unreadable),
    /// Only clients ask and are answered.
    #[error("is of the nemesis, whose lines are all of type `info`")]
    NotInfo,
}

impl<R: BufRead, O: Operation> Reader<R, O> {
    /// Reads our own JSON lines from the start of `from`.
    pub fn new(from: R) -> Reader<R, O> {
        Reader::of(Format::JsonLines, from)
    }

    /// Reads lines of that format from the start of `from`.
    pub fn of(format: Format, from: R) -> Reader<R, O> {
        Reader { from, format, number: 0, rules: Rules::new(), torn: None, done: false, op: PhantomData }
    }

    /// The torn last line, once the end was reached and if there was one.
    pub fn torn(&self) -> Option<Torn> {
        self.torn
    }

    /// Reads all that is left and pairs each op with its end.
    pub fn read_all(mut self) -> Result<History<O, O::Ret>, ReadError> {
        let mut pairing = Pairing::default();
        for line in &mut self {
            pairing.push(line?);
        }
        Ok(History { torn: self.torn, ..pairing.finish() })
    }

    fn read_line(&mut self) -> Result<Option<Line<O, O::Ret>>, Flaw> {
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            self.number += 1;
            if self.from.read_until(b'\n', &mut bytes).map_err(Flaw::Io)? == 0 {
                return Ok(None);
            }
            if !bytes.trim_ascii().is_empty() {
                break;
            }
        }
        match self.format.decode(&bytes, self.rules.next()) {
            Ok(raw) => self.understand(raw).map(Some),
            Err(_) if bytes.last() != Some(&b'\n') => {
                self.torn = Some(Torn { line: self.number, bytes: bytes.len() });
                Ok(None)
            }
            Err(flaw) => Err(flaw),
        }
    }

    fn understand(&mut self, raw: Raw) -> Result<Line<O, O::Ret>, Flaw> {
        self.rules.check_index(raw.index)?;
        self.rules.check_time(raw.time)?;
        let time = raw.time;
        let line = match raw.process {
            Who::Nemesis if raw.kind == Type::Info => Line::Nemesis(NemesisOp {
                index: raw.index,
                time,
                f: raw.f,
                value: raw.value,
                error: raw.error,
            }),
            Who::Nemesis => return Err(Flaw::NotInfo),
            Who::Client(process) if raw.kind == Type::Invoke => Line::Client(self.begin(process, raw)?),
            Who::Client(process) => Line::Client(self.end(process, raw)?),
        };
        self.rules.added(time);
        Ok(line)
    }

    fn begin(&mut self, process: Process, raw: Raw) -> Result<Observation<O, O::Ret>, Flaw> {
        self.rules.check_invoke(process)?;
        let Raw { index, time, f, key, value, node, .. } = raw;
        let asked = Asked { f, value };
        let op = O::read_ask(&asked)?;
        self.rules.began(process, Begun { op: op.clone(), f: asked.f, node, key: key.clone() });
        Ok(Observation { index, time, process, node, key, kind: Kind::Invoke(op) })
    }

    fn end(&mut self, process: Process, raw: Raw) -> Result<Observation<O, O::Ret>, Flaw> {
        let open = self.rules.check_end(process)?;
        open.agree(&raw)?;
        let Begun { op, node, key, .. } = &open.what;
        let (node, key) = (*node, key.clone());
        let why = raw.error.unwrap_or_else(|| "no reason given".to_owned());
        let kind = match raw.kind {
            Type::Ok => Kind::Ok(op.read_answer(&Answered { value: raw.value, result: raw.result })?),
            Type::Fail => Kind::Fail(why),
            Type::Info | Type::Invoke => Kind::Info(why),
        };
        self.rules.ended(process, matches!(kind, Kind::Info(_)));
        Ok(Observation { index: raw.index, time: raw.time, process, node, key, kind })
    }
}

impl<O> Open<Begun<O>> {
    /// An op ends as what it began. Key and node may be left unsaid.
    fn agree(&self, raw: &Raw) -> Result<(), Breach> {
        let begun = &self.what;
        let differs = |field, expected, found| Breach::OtherOp { field, expected, found, since: self.index };
        if begun.f != raw.f {
            return Err(differs("f", begun.f.clone(), raw.f.clone()));
        }
        if raw.key.is_some() && raw.key != begun.key {
            return Err(differs("key", say(begun.key.as_ref()), say(raw.key.as_ref())));
        }
        if raw.node.is_some() && raw.node != begun.node {
            return Err(differs("node", say(begun.node.as_ref()), say(raw.node.as_ref())));
        }
        Ok(())
    }
}

fn say(name: Option<&impl ToString>) -> String {
    name.map_or_else(|| "none".to_owned(), ToString::to_string)
}

impl<R: BufRead, O: Operation> Iterator for Reader<R, O> {
    type Item = Result<Line<O, O::Ret>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let line = self.read_line();
        self.done = !matches!(line, Ok(Some(_)));
        line.map_err(|what| ReadError { line: self.number, what }).transpose()
    }
}
