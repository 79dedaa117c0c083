//! Each list is a key, its elements as text with spaces between them; one that is not there is empty.
//!
//! The store cannot append, so a transaction of appends and reads takes two calls:
//! 1. look at all lists that it appends to, together;
//! 2. in one transaction, if none of *these* was changed since, write them, and read the others.
//!
//! The others need no guard, since they are read where the writes happen. Reads of a list that is also
//! appended to need no call: it is known to be what was seen, and the transaction's own appends so far. A
//! transaction that only reads is one call, and writes nothing.
//!
//! One that finds a guard broken did nothing, and *failed*.

use std::collections::BTreeMap;

use bytes::Bytes;
use history::{Key, MicroOp, Outcome, Seen, Txn, TxnRead};

use super::reply::only;
use super::request::{look, unchanged, whole};
use super::{Answer, Asked, Asking, KeyValue, Nonsense, OVERTAKEN, Put, Reply, Request, Revision, Step};
use crate::ListAppend;

/// Lists as they were seen.
type Lists = BTreeMap<Key, Vec<i64>>;

/// Which call is under way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Open {
    /// The only one of a transaction that appends nothing.
    Reading,
    /// The one that looks at the lists that are appended to.
    Looking,
    /// The one that writes these, which were like this, and reads the others.
    Appending(Lists),
}

impl Asking for ListAppend {
    type Open = Open;

    fn begin(&self, op: &Txn, _: Option<&Key>) -> (Request, Open) {
        let appended = appended(op);
        let (keys, open) =
            if appended.is_empty() { (only_read(op), Open::Reading) } else { (appended, Open::Looking) };
        (Request::look_at_each(keys.into_iter().map(|key| whole(key.as_str()))), open)
    }

    fn replied(&self, op: &Txn, _: Option<&Key>, open: Open, reply: Reply) -> Result<Asked<Self>, Nonsense> {
        let txn = reply.txn()?;
        let mut lists = match open {
            Open::Reading => lists(&only_read(op), txn.answers)?.0,
            Open::Looking => {
                let (lists, revisions) = lists(&appended(op), txn.answers)?;
                return Ok(Asked::Again(append(op, &lists, &revisions), Open::Appending(lists)));
            }
            Open::Appending(_) if !txn.succeeded => {
                return Ok(Asked::Over(Outcome::Fail(OVERTAKEN.to_owned())));
            }
            Open::Appending(mut seen) => {
                let read = answers_after_puts(seen.len(), txn.answers)?;
                seen.append(&mut lists(&only_read(op), read)?.0);
                seen
            }
        };
        Ok(Asked::Over(Outcome::Ok(carry_out(op, &mut lists))))
    }
}

/// The lists that are appended to, each once.
fn appended(txn: &Txn) -> Vec<&Key> {
    let mut keys = Vec::new();
    for step in &txn.0 {
        match step {
            MicroOp::Append(key, _) if !keys.contains(&key) => keys.push(key),
            MicroOp::Append(..) | MicroOp::Read(_) => {}
            MicroOp::Write(..) => unreachable!("lists are appended to, and never written"),
        }
    }
    keys
}

/// The lists that are read and not appended to, each once.
fn only_read(txn: &Txn) -> Vec<&Key> {
    let appended = appended(txn);
    let mut keys = Vec::new();
    for step in &txn.0 {
        match step {
            MicroOp::Read(key) if !appended.contains(&key) && !keys.contains(&key) => keys.push(key),
            _ => {}
        }
    }
    keys
}

/// The lists that were read, and when each was last changed.
fn lists(keys: &[&Key], answers: Vec<Answer>) -> Result<(Lists, Vec<Revision>), Nonsense> {
    if answers.len() != keys.len() {
        return Err(Nonsense(format!(
            "{} keys were read, and there are {} answers",
            keys.len(),
            answers.len()
        )));
    }
    let (mut lists, mut revisions) = (Lists::new(), Vec::with_capacity(keys.len()));
    for (&key, answer) in keys.iter().zip(answers) {
        let found = only(answer.range()?, key.as_str())?;
        revisions.push(found.as_ref().map_or(Revision(0), |kv| kv.modified));
        let list = found.as_ref().map(KeyValue::numbers).transpose()?;
        lists.insert(key.clone(), list.unwrap_or_default());
    }
    Ok((lists, revisions))
}

/// The answers to the steps that follow so many puts.
fn answers_after_puts(puts: usize, mut answers: Vec<Answer>) -> Result<Vec<Answer>, Nonsense> {
    let reads = answers.split_off(puts.min(answers.len()));
    answers.iter().try_for_each(Answer::put)?;
    Ok(reads)
}

/// Writes what is appended to, if it is still like this, and reads the rest.
fn append(txn: &Txn, lists: &Lists, revisions: &[Revision]) -> Request {
    let mut after = lists.clone();
    carry_out(txn, &mut after);
    let appended = appended(txn);
    let guards = appended.iter().zip(revisions).map(|(key, &since)| unchanged(whole(key.as_str()), since));
    let put = |key: &Key| Put { key: whole(key.as_str()), value: encode(&after[key]) };
    let puts = appended.iter().map(|&key| Step::Put(put(key)));
    let reads = only_read(txn).into_iter().map(|key| look(whole(key.as_str())));
    Request::Txn(super::Txn { conditions: guards.collect(), steps: puts.chain(reads).collect() })
}

/// Does to the lists what the transaction says, and tells what it reads on the way.
fn carry_out(txn: &Txn, lists: &mut Lists) -> TxnRead {
    let mut read = Vec::new();
    for step in &txn.0 {
        match step {
            MicroOp::Append(key, element) => lists.entry(key.clone()).or_default().push(*element),
            MicroOp::Read(key) => read.push(match lists.get(key) {
                Some(list) if !list.is_empty() => Seen::List(list.clone()),
                _ => Seen::Nothing,
            }),
            MicroOp::Write(..) => unreachable!("lists are appended to, and never written"),
        }
    }
    TxnRead(read)
}

fn encode(list: &[i64]) -> Bytes {
    let texts: Vec<String> = list.iter().map(i64::to_string).collect();
    Bytes::from(texts.join(" "))
}
