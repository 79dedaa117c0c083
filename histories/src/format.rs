//! How a history may be written, and how to tell.
//!
//! Everybody who tests systems has a notation of their own, but a line says much the same in all of them:
//! who, asked or ended how, what, which value. So a [`Format`] only turns a line into these fields;
//! [`Reader`] does the rest for all of them: pairing, rules, torn ends, errors with a line number.

use std::fmt;
use std::io::{self, BufRead, Chain, Cursor, Read};

use crate::edn::Edn;
use crate::edn_stream::Data;
use crate::foreign::NotALine;
use crate::jepsen_edn::Decoder;
use crate::json::{Raw, Who};
use crate::lines::{MOST_BYTES, read_line};
use crate::operation::Operation;
use crate::reader::{Flaw, Reader};
use crate::reading::Reading;
use crate::{jepsen_log, porcupine_kv};

/// How a history is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// One JSON object a line, as our own runs record them.
    JsonLines,
    /// The maps of Jepsen, Knossos and Elle: `{:process 0, :type :invoke, :f :read, :value nil}`.
    JepsenEdn,
    /// The log lines of Jepsen's first test of etcd: `INFO  jepsen.util - 0 :invoke :read nil`.
    JepsenLog,
    /// The key-value histories of Porcupine: `{:process 0, :type :invoke, :f :get, :key "0", :value nil}`.
    PorcupineKv,
}

impl Format {
    /// By the first line that is not blank; none if no format begins so.
    ///
    /// JSON and EDN both begin with a brace. In JSON a text and a colon follow, in EDN usually a keyword.
    /// Porcupine's maps are EDN too: ops on texts, and without a time.
    pub fn of_line(line: &[u8]) -> Option<Format> {
        let line = line.trim_ascii_start();
        if line.starts_with(jepsen_log::BEGINS.as_bytes()) {
            return Some(Format::JepsenLog);
        }
        match line.first()? {
            b'{' if begins_as_json(line) => Some(Format::JsonLines),
            b'{' => {
                let data = str::from_utf8(line).ok().and_then(|line| Edn::read_all(line).ok());
                let first = data.as_ref().and_then(|data| data.first());
                let porcupine = first.is_some_and(porcupine_kv::is_one);
                Some(if porcupine { Format::PorcupineKv } else { Format::JepsenEdn })
            }
            b'[' | b'(' => {
                let inside = line[1..].trim_ascii_start().first();
                inside.is_none_or(|byte| b"{#;])".contains(byte)).then_some(Format::JepsenEdn)
            }
            b';' | b'#' => Some(Format::JepsenEdn),
            _ => None,
        }
    }

    /// How its lines are read where they leave a choice, unless somebody says otherwise.
    pub fn reading(self) -> Reading {
        match self {
            Format::JsonLines | Format::JepsenLog | Format::PorcupineKv => Reading::Literal,
            Format::JepsenEdn => Reading::Knossos,
        }
    }

    /// The fields of a line, which has this index if it does not say so itself; or what is wrong, and in
    /// which column.
    pub(crate) fn decode(
        self,
        line: &[u8],
        index: u64,
        reading: Reading,
    ) -> Result<Raw, (Option<u64>, Flaw)> {
        let foreign = |why| (None, Flaw::Foreign { format: self, why });
        if line.len() > MOST_BYTES {
            return Err(foreign(NotALine::TooLong));
        }
        let text = || str::from_utf8(line).map_err(|_| NotALine::NotText);
        let found = match self {
            Format::JsonLines => return decode_json(line),
            Format::JepsenLog => text().and_then(|line| jepsen_log::read(line, reading)),
            Format::PorcupineKv => text().and_then(porcupine_kv::read),
            Format::JepsenEdn => unreachable!("its maps are not bound to lines"),
        };
        found.map(|found| found.at(index)).map_err(foreign)
    }
}

fn decode_json(line: &[u8]) -> Result<Raw, (Option<u64>, Flaw)> {
    // Without its newline: then all that serde counts is on one line, and only the column tells.
    serde_json::from_slice(line.trim_ascii_end()).map_err(|error| {
        let place = format!(" at line {} column {}", error.line(), error.column());
        let why = error.to_string();
        let why = why.strip_suffix(&place).unwrap_or(&why).to_owned();
        (Some(error.column() as u64), Flaw::Malformed(why))
    })
}

/// Whether a brace is followed by a text and a colon, as far as the line goes; or by nothing, in a line of
/// JSON that is torn at once.
fn begins_as_json(line: &[u8]) -> bool {
    let Some(name) = line[1..].trim_ascii_start().strip_prefix(b"\"") else {
        return line[1..].trim_ascii().is_empty() && !line.ends_with(b"\n");
    };
    let mut escaped = false;
    let end = name.iter().position(|&byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.is_none_or(|end| {
        let rest = name[end + 1..].trim_ascii_start();
        rest.is_empty() || rest.starts_with(b":")
    })
}

/// The name that command lines use.
impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::JsonLines => "jsonl",
            Format::JepsenEdn => "edn",
            Format::JepsenLog => "jepsen-log",
            Format::PorcupineKv => "porcupine-kv",
        })
    }
}

/// The first lines of a history, read ahead to see how it is written and what is asked in it. Both must
/// be known before it can be read: the first chooses the format, the second the workload.
#[derive(Debug)]
pub struct Opening<R> {
    lines: Vec<u8>,
    rest: R,
    format: Option<Format>,
    first_f: Option<String>,
}

impl<R: BufRead> Opening<R> {
    /// Reads ahead up to the first line of a client, or to the first that makes no sense: a reader will
    /// say why. Without a format, the first line that is not blank decides which it is.
    pub fn read(mut from: R, format: Option<Format>) -> io::Result<Opening<R>> {
        let (mut lines, mut format, mut first_f) = (Vec::new(), format, None);
        loop {
            let start = lines.len();
            if read_line(&mut from, &mut lines, ENOUGH)? == 0 {
                break;
            }
            if lines[start..].trim_ascii().is_empty() {
                continue;
            }
            format = format.or_else(|| Format::of_line(&lines[start..]));
            let Some(known) = format else { break };
            if known == Format::JepsenEdn {
                first_f = first_f_of_edn(&mut lines, &mut from);
                break;
            }
            if lines.last() != Some(&b'\n') {
                read_line(&mut from, &mut lines, MOST_BYTES)?;
            }
            match known.decode(&lines[start..], 0, known.reading()) {
                Ok(raw) if raw.process == Who::Nemesis => {}
                Ok(raw) => {
                    first_f = Some(raw.f);
                    break;
                }
                Err(_) => break,
            }
        }
        Ok(Opening { lines, rest: from, format, first_f })
    }

    /// How the history is written. None if its lines begin as no format does, or if there are none.
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// The name of the first op, if there is one and it can be read.
    pub fn first_f(&self) -> Option<&str> {
        self.first_f.as_deref()
    }

    /// How the first line that is not blank begins, for people. None if there is none.
    pub fn begins(&self) -> Option<String> {
        let start = self.lines.trim_ascii_start();
        let line = start.split(|&byte| byte == b'\n').next().filter(|line| !line.is_empty())?;
        Some(String::from_utf8_lossy(line).chars().take(SHOWN).collect())
    }

    /// Reads the history from its start, as one that is written like this.
    pub fn into_reader<O: Operation>(self, format: Format) -> Reader<Chain<Cursor<Vec<u8>>, R>, O> {
        Reader::of(format, Cursor::new(self.lines).chain(self.rest))
    }
}

/// Reads ahead up to the first op of a client, and keeps what was read.
fn first_f_of_edn(lines: &mut Vec<u8>, rest: &mut impl BufRead) -> Option<String> {
    let mut rest = Tee { from: rest, seen: Vec::new() };
    let mut data = Data::new(Cursor::new(lines.as_slice()).chain(&mut rest));
    let mut decoder = Decoder::default();
    let mut first_f = None;
    // What cannot be read will be refused by whoever reads it all.
    while let Ok(Some((_, datum))) = data.next() {
        match decoder.read(datum, 0, Format::JepsenEdn.reading()) {
            Ok(raw) if raw.process == Who::Nemesis => {}
            Ok(raw) => {
                first_f = Some(raw.f);
                break;
            }
            Err(_) => break,
        }
    }
    drop(data);
    lines.append(&mut rest.seen);
    first_f
}

/// Keeps what is taken from a source.
struct Tee<'a, R> {
    from: &'a mut R,
    seen: Vec<u8>,
}

impl<R: BufRead> Read for Tee<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.seen.extend_from_slice(&into[..read]);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Tee<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.from.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        // What was filled is still there: nothing is read here, and nothing can fail.
        if let Ok(filled) = self.from.fill_buf() {
            self.seen.extend_from_slice(&filled[..amount]);
        }
        self.from.consume(amount);
    }
}

/// How many bytes of a first line tell how it is written.
const ENOUGH: usize = 1 << 16;

/// How much of a line tells what it is not.
const SHOWN: usize = 24;
