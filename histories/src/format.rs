//! How a history may be written, and how to tell.
//!
//! Everybody who tests systems has a notation of their own, but a line says much the same in all of them:
//! who, asked or ended how, what, which value. So a [`Format`] only turns a line into these fields;
//! [`Reader`] does the rest for all of them: pairing, rules, torn ends, errors with a line number.

use std::fmt;
use std::io::{self, BufRead, Chain, Cursor, Read as _};

use crate::foreign::NotALine;
use crate::json::{Raw, Who};
use crate::operation::Operation;
use crate::reader::{Flaw, Reader};
use crate::{jepsen_log, porcupine_kv};

/// How a history is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// One JSON object a line, as our own runs record them.
    JsonLines,
    /// The log lines of Jepsen's first test of etcd: `INFO  jepsen.util - 0 :invoke :read nil`.
    JepsenLog,
    /// The key-value histories of Porcupine: `{:process 0, :type :invoke, :f :get, :key "0", :value nil}`.
    PorcupineKv,
}

impl Format {
    /// By how a line begins; none if no format begins so.
    pub fn of_line(line: &[u8]) -> Option<Format> {
        let line = line.trim_ascii_start();
        if line.starts_with(jepsen_log::BEGINS.as_bytes()) {
            return Some(Format::JepsenLog);
        }
        let inner = line.strip_prefix(b"{")?.trim_ascii_start();
        let keyword = porcupine_kv::BEGINS.trim_start_matches('{');
        Some(if inner.starts_with(keyword.as_bytes()) { Format::PorcupineKv } else { Format::JsonLines })
    }

    /// The fields of a line, which has this index if it does not say so itself.
    pub(crate) fn decode(self, line: &[u8], index: u64) -> Result<Raw, Flaw> {
        let read = match self {
            Format::JsonLines => return serde_json::from_slice(line).map_err(Flaw::Malformed),
            Format::JepsenLog => jepsen_log::read,
            Format::PorcupineKv => porcupine_kv::read,
        };
        let found = str::from_utf8(line).map_err(|_| NotALine::NotText).and_then(read);
        found.map(|found| found.at(index)).map_err(|why| Flaw::Foreign { format: self, why })
    }
}

/// The name that command lines use.
impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::JsonLines => "jsonl",
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
            if from.read_until(b'\n', &mut lines)? == 0 {
                break;
            }
            let line = &lines[start..];
            if line.trim_ascii().is_empty() {
                continue;
            }
            format = format.or_else(|| Format::of_line(line));
            match format.map(|format| format.decode(line, 0)) {
                Some(Ok(raw)) if raw.process == Who::Nemesis => {}
                Some(Ok(raw)) => {
                    first_f = Some(raw.f);
                    break;
                }
                Some(Err(_)) | None => break,
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

/// How much of a line tells what it is not.
const SHOWN: usize = 24;
