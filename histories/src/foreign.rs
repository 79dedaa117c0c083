//! What the readers of other people's formats share.
//!
//! Each format only says what stands on one line. Whether the lines together are a history is judged by
//! the same rules as for our own, and what the ops mean, the workload says.

use serde_json::Value;

use crate::edn::{Edn, NotEdn};
use crate::json::{Raw, Type, Who};
use crate::names::{Key, Process};

/// What stands on a line that has neither index nor time.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) process: Who,
    pub(crate) kind: Type,
    pub(crate) f: String,
    pub(crate) key: Option<Key>,
    pub(crate) value: Value,
    pub(crate) result: Option<Value>,
    pub(crate) error: Option<String>,
}

impl Found {
    pub(crate) fn of_client(process: Process, kind: Type, f: String) -> Found {
        let process = Who::Client(process);
        Found { process, kind, f, key: None, value: Value::Null, result: None, error: None }
    }

    pub(crate) fn of_nemesis(kind: Type, f: String, value: Value) -> Found {
        Found { process: Who::Nemesis, kind, f, key: None, value, result: None, error: None }
    }

    /// As the line of that index. The order of the lines is all there is to know of time.
    pub(crate) fn at(self, index: u64) -> Raw {
        let Found { process, kind, f, key, value, result, error } = self;
        Raw { index, time: index, process, kind, f, key, value, result, error, node: None }
    }
}

/// Why a line is not one of its format.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotALine {
    /// It has bytes that are no text.
    #[error("it is not UTF-8")]
    NotText,
    /// It has no newline, in a format that needs one to know where a line ends.
    #[error("it has no newline")]
    Torn,
    /// It is of another logger.
    #[error("it does not begin with `{expected}`")]
    Logger {
        /// What it must begin with.
        expected: String,
    },
    /// It has too few columns or too many.
    #[error("it must have a process, a type, an f and a value, found {found} columns")]
    Columns {
        /// How many there are.
        found: usize,
    },
    /// It has no end within all that a line may have.
    #[error("it is longer than {} MiB", crate::lines::MOST_BYTES >> 20)]
    TooLong,
    /// It is not one map.
    #[error("it is not a map")]
    NoMap,
    /// Something cannot be read as EDN.
    #[error("{0}")]
    Edn(#[from] NotEdn),
    /// Something has to be said and is not.
    #[error("its {field} is missing")]
    Missing {
        /// What is not said.
        field: &'static str,
    },
    /// Something is said more than once.
    #[error("its {field} stands there twice")]
    Twice {
        /// What is said.
        field: &'static str,
    },
    /// Something is not of the right kind.
    #[error("its {field} must be {expected}, found {found}")]
    Wrong {
        /// What is said.
        field: &'static str,
        /// What it should have been.
        expected: &'static str,
        /// What it is.
        found: String,
    },
}

impl NotALine {
    pub(crate) fn wrong(field: &'static str, expected: &'static str, found: &Edn) -> NotALine {
        NotALine::Wrong { field, expected, found: found.to_string().chars().take(SHOWN).collect() }
    }
}

/// How much of something wrong tells what it is.
const SHOWN: usize = 120;

/// Whose line: a client's, or (none) the nemesis's.
pub(crate) fn who(datum: &Edn) -> Result<Option<Process>, NotALine> {
    match datum {
        Edn::Keyword(name) if name == "nemesis" => Ok(None),
        Edn::Integer(number) if let Ok(number) = u64::try_from(*number) => Ok(Some(Process(number))),
        other => Err(NotALine::wrong("process", "a number from 0, or :nemesis", other)),
    }
}

impl Type {
    pub(crate) fn from_edn(datum: &Edn) -> Result<Type, NotALine> {
        match datum.keyword() {
            Some("invoke") => Ok(Type::Invoke),
            Some("ok") => Ok(Type::Ok),
            Some("fail") => Ok(Type::Fail),
            Some("info") => Ok(Type::Info),
            _ => Err(NotALine::wrong("type", ":invoke, :ok, :fail or :info", datum)),
        }
    }
}
