//! Replies, taken for what they must be.
//!
//! Whatever was asked here is well formed, so a store that refuses it is as wrong as one that answers a put
//! with a range.

use std::str::FromStr;

use kv::{Answer, KeyValue, Reply, Revision, TxnAnswer};

use super::Nonsense;

/// The revision that a put made.
pub(super) fn put(reply: Reply) -> Result<Revision, Nonsense> {
    let revision = reply.revision;
    match answer(reply)? {
        Answer::Put(_) => Ok(revision),
        other => Err(wrong("put", &other)),
    }
}

/// What a range found.
pub(super) fn range(reply: Reply) -> Result<Vec<KeyValue>, Nonsense> {
    found(answer(reply)?)
}

/// What a transaction did.
pub(super) fn txn(reply: Reply) -> Result<TxnAnswer, Nonsense> {
    match answer(reply)? {
        Answer::Txn(txn) => Ok(txn),
        other => Err(wrong("transaction", &other)),
    }
}

/// What a range found, maybe one in a transaction.
pub(super) fn found(answer: Answer) -> Result<Vec<KeyValue>, Nonsense> {
    match answer {
        Answer::Range(found) => Ok(found.kvs),
        other => Err(wrong("range", &other)),
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

/// Which part of an object this is.
pub(super) fn part<N: FromStr>(object: &str, kv: &KeyValue) -> Result<N, Nonsense> {
    let part = kv.key.strip_prefix(object.as_bytes()).and_then(|rest| rest.strip_prefix(b"/"));
    let part = part.and_then(parsed);
    part.ok_or_else(|| Nonsense(format!("a key that no client wrote: `{}`", kv.key.escape_ascii())))
}

/// The number in a value.
pub(super) fn number<N: FromStr>(kv: &KeyValue) -> Result<N, Nonsense> {
    parsed(&kv.value).ok_or_else(|| unwritten(kv))
}

/// The numbers in a value: at least one, with a space between any two.
pub(super) fn numbers<N: FromStr>(kv: &KeyValue) -> Result<Vec<N>, Nonsense> {
    let numbers = kv.value.split(|byte| *byte == b' ').map(parsed).collect::<Option<_>>();
    numbers.ok_or_else(|| unwritten(kv))
}

fn parsed<N: FromStr>(text: &[u8]) -> Option<N> {
    str::from_utf8(text).ok()?.parse().ok()
}

fn answer(reply: Reply) -> Result<Answer, Nonsense> {
    reply.result.map_err(|refusal| Nonsense(format!("refused what is well formed: {refusal}")))
}

pub(super) fn wrong(asked: &str, answer: &Answer) -> Nonsense {
    Nonsense(format!("a {asked} was asked for, and this is none: {answer:?}"))
}

fn unwritten(kv: &KeyValue) -> Nonsense {
    Nonsense(format!("a value that no client wrote: `{}`", kv.value.escape_ascii()))
}
