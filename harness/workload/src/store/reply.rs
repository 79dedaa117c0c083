//! What a store replies, and how it is taken for what it must be.
//!
//! Whatever was asked here is well formed, so a store that answers a put with a range is wrong; so is one that
//! shows what no client wrote.

use std::str::FromStr;

use bytes::Bytes;

use super::Nonsense;
use super::request::Revision;

/// What came back from a call that was carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// The store's revision, after what was asked was done.
    pub revision: Revision,
    /// What was done or found.
    pub answer: Answer,
}

/// What was done or found: one kind for each kind of question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// To a range: what is there, in the order of keys.
    Range(Vec<KeyValue>),
    /// To a put.
    Put,
    /// To a transaction.
    Txn(TxnAnswer),
}

/// What a transaction decided, did and found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TxnAnswer {
    /// Whether all conditions held.
    pub succeeded: bool,
    /// The answer to each step that was taken.
    pub answers: Vec<Answer>,
}

/// A key that is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyValue {
    /// The key.
    pub key: Bytes,
    /// What it holds.
    pub value: Bytes,
    /// When it was last changed.
    pub modified: Revision,
    /// How often it was put.
    pub version: i64,
}

impl Reply {
    /// The revision that a put made.
    pub(super) fn put(self) -> Result<Revision, Nonsense> {
        self.answer.put()?;
        Ok(self.revision)
    }

    /// What a range found.
    pub(super) fn range(self) -> Result<Vec<KeyValue>, Nonsense> {
        self.answer.range()
    }

    /// What a transaction did.
    pub(super) fn txn(self) -> Result<TxnAnswer, Nonsense> {
        match self.answer {
            Answer::Txn(txn) => Ok(txn),
            other => Err(other.is_no("transaction")),
        }
    }
}

impl Answer {
    pub(super) fn put(&self) -> Result<(), Nonsense> {
        match self {
            Answer::Put => Ok(()),
            other => Err(other.is_no("put")),
        }
    }

    pub(super) fn range(self) -> Result<Vec<KeyValue>, Nonsense> {
        match self {
            Answer::Range(found) => Ok(found),
            other => Err(other.is_no("range")),
        }
    }

    fn is_no(&self, asked: &str) -> Nonsense {
        Nonsense(format!("a {asked} was asked for, and this is none: {self:?}"))
    }
}

/// The one key that was asked for, if it is there.
pub(super) fn only(found: Vec<KeyValue>, key: &str) -> Result<Option<KeyValue>, Nonsense> {
    match found.iter().find(|kv| kv.key != key.as_bytes()) {
        Some(other) => Err(Nonsense(format!("asked for `{key}`, got `{}`", other.key.escape_ascii()))),
        None if found.len() > 1 => Err(Nonsense(format!("`{key}` is there {} times", found.len()))),
        None => Ok(found.into_iter().next()),
    }
}

impl KeyValue {
    /// Which part of an object this is.
    pub(super) fn part<N: FromStr>(&self, object: &str) -> Result<N, Nonsense> {
        let part = self.key.strip_prefix(object.as_bytes()).and_then(|rest| rest.strip_prefix(b"/"));
        let part = part.and_then(parsed);
        part.ok_or_else(|| Nonsense(format!("a key that no client wrote: `{}`", self.key.escape_ascii())))
    }

    /// The number in its value.
    pub(super) fn number<N: FromStr>(&self) -> Result<N, Nonsense> {
        parsed(&self.value).ok_or_else(|| self.unwritten())
    }

    /// The numbers in its value: at least one, with a space between any two.
    pub(super) fn numbers<N: FromStr>(&self) -> Result<Vec<N>, Nonsense> {
        let numbers = self.value.split(|byte| *byte == b' ').map(parsed).collect::<Option<_>>();
        numbers.ok_or_else(|| self.unwritten())
    }

    fn unwritten(&self) -> Nonsense {
        Nonsense(format!("a value that no client wrote: `{}`", self.value.escape_ascii()))
    }
}

fn parsed<N: FromStr>(text: &[u8]) -> Option<N> {
    str::from_utf8(text).ok()?.parse().ok()
}
