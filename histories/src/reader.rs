//! Reading a history, line by line.
//!
//! A reader trusts nothing: a line that is not of its [`Format`], that breaks the rules of [`Breach`] or that means
//! nothing to the workload is an error that names the line and says what is wrong with it. The one
//! exception is a torn last line: a harness that was killed leaves one, and all before it is sound. It
//! is left out and reported by [`Reader::torn`].
//!
//! Fields that are not ours are skipped.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, BufRead};

use crate::attempt::{History, Pairing, Torn};
use crate::edn_stream::{Data, Stopped};
use crate::foreign::NotALine;
use crate::format::Format;
use crate::jepsen_edn::Decoder;
use crate::json::{Raw, Type, Who};
use crate::lines::{MOST_BYTES, read_line};
use crate::names::{Key, NodeId, Process};
use crate::observation::{Kind, Line, NemesisOp, Observation};
use crate::operation::{Answered, Asked, Operation, Unreadable};
use crate::reading::Reading;
use crate::rules::{Breach, Open, Rules};

/// Yields the lines of a history. After an error it yields nothing more.
#[derive(Debug)]
pub struct Reader<R, O> {
    from: Source<R>,
    format: Format,
    reading: Reading,
    /// Where the line stands that is being read.
    line: u64,
    column: Option<u64>,
    rules: Rules<Begun<O>>,
    /// Every key that was met, to be shared by all its lines.
    keys: HashSet<Key>,
    torn: Option<Torn>,
    done: bool,
}

/// Where lines come from: of the source, or of the maps in it.
#[derive(Debug)]
enum Source<R> {
    Lines { from: R, bytes: Vec<u8> },
    Maps { from: Data<R>, decoder: Decoder },
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
pub struct ReadError {
    /// The number of the line in the file, counted from 1.
    pub line: u64,
    /// Where on that line, counted in bytes from 1, if it is a matter of some bytes and not of the line.
    pub column: Option<u64>,
    /// What is wrong with it.
    pub what: Flaw,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ReadError { line, column, what } = self;
        match column {
            Some(column) => write!(f, "line {line}, column {column} {what}"),
            None => write!(f, "line {line} {what}"),
        }
    }
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    /// The file is in the way.
    #[error("cannot be read: {0}")]
    Io(io::Error),
    /// Not JSON, or not the fields of a line.
    #[error("is not a line of a history: {0}")]
    Malformed(String),
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
        let from = match format {
            Format::JepsenEdn => Source::Maps { from: Data::new(from), decoder: Decoder::default() },
            _ => Source::Lines { from, bytes: Vec::new() },
        };
        Reader {
            from,
            format,
            reading: format.reading(),
            line: 0,
            column: None,
            rules: Rules::new(),
            keys: HashSet::new(),
            torn: None,
            done: false,
        }
    }

    /// The same, but lines that leave a choice are read this way, not as is usual for the format.
    #[must_use]
    pub fn by(self, reading: Reading) -> Reader<R, O> {
        Reader { reading, ..self }
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
        self.column = None;
        let raw = match &mut self.from {
            Source::Lines { .. } => self.next_line()?,
            Source::Maps { .. } => self.next_map()?,
        };
        raw.map(|raw| self.understand(raw)).transpose()
    }

    fn next_line(&mut self) -> Result<Option<Raw>, Flaw> {
        let Source::Lines { from, bytes } = &mut self.from else { return Ok(None) };
        loop {
            bytes.clear();
            self.line += 1;
            if read_line(from, bytes, MOST_BYTES).map_err(Flaw::Io)? == 0 {
                return Ok(None);
            }
            if !bytes.trim_ascii().is_empty() {
                break;
            }
        }
        match self.format.decode(bytes, self.rules.next(), self.reading) {
            Ok(raw) => Ok(Some(raw)),
            Err(_) if bytes.last() != Some(&b'\n') && bytes.len() <= MOST_BYTES => {
                self.torn = Some(Torn { line: self.line, bytes: bytes.len() });
                Ok(None)
            }
            Err((column, flaw)) => {
                self.column = column;
                Err(flaw)
            }
        }
    }

    fn next_map(&mut self) -> Result<Option<Raw>, Flaw> {
        let Source::Maps { from, decoder } = &mut self.from else { return Ok(None) };
        let foreign = |why| Flaw::Foreign { format: Format::JepsenEdn, why };
        match from.next() {
            Ok(None) => {
                self.torn = from.torn();
                Ok(None)
            }
            Ok(Some((place, datum))) => {
                self.line = place.line;
                // Where the map is not the first on its line, the line alone does not tell which it is.
                self.column = Some(place.column).filter(|&column| column > 2);
                decoder.read(datum, self.rules.next(), self.reading).map(Some).map_err(foreign)
            }
            Err((place, stopped)) => {
                self.line = place.line;
                self.column = Some(place.column);
                Err(match stopped {
                    Stopped::Io(error) => Flaw::Io(error),
                    Stopped::Wrong(why) => foreign(why),
                })
            }
        }
    }

    fn understand(&mut self, mut raw: Raw) -> Result<Line<O, O::Ret>, Flaw> {
        raw.key = raw.key.map(|key| self.share(key));
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

    /// Most keys stand on many lines, and a history is held in memory.
    fn share(&mut self, key: Key) -> Key {
        if let Some(known) = self.keys.get(&key) {
            return known.clone();
        }
        self.keys.insert(key.clone());
        key
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
        line.map_err(|what| ReadError { line: self.line, column: self.column, what }).transpose()
    }
}
