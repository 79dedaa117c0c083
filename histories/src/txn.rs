//! Transactions as data: what Elle's histories are made of.
//!
//! A transaction is a list of micro-ops on keys, carried out together or not at all. Its answer repeats
//! them, with what was read:
//!
//! | micro-op | asked | answered |
//! |---|---|---|
//! | append to a list | `["append",9,1]` | the same |
//! | write a register | `["w",9,1]` | the same |
//! | read either | `["r",9,null]` | `["r",9,[1,2]]` of a list, `["r",9,1]` of a register, `["r",9,null]` if it is not there |
//!
//! As JSON: `"f":"txn","value":[["append",9,1],["r",9,null]]`.

use serde_json::{Value, json};

use crate::names::Key;
use crate::operation::{Answered, Asked, Operation, Unreadable};

/// A transaction: its micro-ops in order.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Txn(pub Vec<MicroOp>);

/// A step of a transaction.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum MicroOp {
    /// Add this to the end of the list.
    Append(Key, i64),
    /// Put this into the register.
    Write(Key, i64),
    /// What is there?
    Read(Key),
}

/// What a transaction read, one for each of its [`MicroOp::Read`]s, in order.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TxnRead(pub Vec<Seen>);

/// What was read of a key.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Seen {
    /// Nothing was there.
    Nothing,
    /// A register's value.
    Value(i64),
    /// A list, from its start.
    List(Vec<i64>),
}

impl Operation for Txn {
    type Ret = TxnRead;

    fn ask(&self) -> Asked {
        let value = self.0.iter().map(|op| op.to_json(&Seen::Nothing)).collect();
        Asked { f: "txn".to_owned(), value: Value::Array(value) }
    }

    fn read_ask(asked: &Asked) -> Result<Txn, Unreadable> {
        if asked.f != "txn" {
            return Err(Unreadable::UnknownF { f: asked.f.clone(), known: "txn" });
        }
        let parts = parts(&asked.value)?;
        parts
            .into_iter()
            .map(|part| part.op().ok_or_else(|| bad(part.whole)))
            .collect::<Result<_, _>>()
            .map(Txn)
    }

    fn answer(&self, ret: &TxnRead) -> Answered {
        let mut seen = ret.0.iter();
        let answered = self.0.iter().map(|op| match op {
            MicroOp::Read(_) => op.to_json(seen.next().unwrap_or(&Seen::Nothing)),
            _ => op.to_json(&Seen::Nothing),
        });
        Answered { value: answered.collect(), result: None }
    }

    fn read_answer(&self, answered: &Answered) -> Result<TxnRead, Unreadable> {
        let parts = parts(&answered.value)?;
        if parts.len() != self.0.len() {
            return Err(bad(&answered.value));
        }
        let mut all = Vec::new();
        for (op, part) in self.0.iter().zip(parts) {
            if part.op().as_ref() != Some(op) {
                return Err(bad(part.whole));
            }
            if let MicroOp::Read(_) = op {
                all.push(seen(part.value).ok_or_else(|| bad(part.whole))?);
            }
        }
        Ok(TxnRead(all))
    }
}

impl MicroOp {
    fn to_json(&self, seen: &Seen) -> Value {
        match self {
            MicroOp::Append(key, element) => json!(["append", name(key), element]),
            MicroOp::Write(key, value) => json!(["w", name(key), value]),
            MicroOp::Read(key) => json!(["r", name(key), seen.to_json()]),
        }
    }
}

impl Seen {
    fn to_json(&self) -> Value {
        match self {
            Seen::Nothing => Value::Null,
            Seen::Value(value) => json!(value),
            Seen::List(all) => json!(all),
        }
    }
}

/// A micro-op as it is written.
struct Part<'a> {
    whole: &'a Value,
    f: &'a str,
    key: Key,
    value: &'a Value,
}

impl Part<'_> {
    fn op(&self) -> Option<MicroOp> {
        let key = self.key.clone();
        match self.f {
            "append" => Some(MicroOp::Append(key, self.value.as_i64()?)),
            "w" => Some(MicroOp::Write(key, self.value.as_i64()?)),
            "r" => Some(MicroOp::Read(key)),
            _ => None,
        }
    }
}

fn parts(value: &Value) -> Result<Vec<Part<'_>>, Unreadable> {
    let all = value.as_array().ok_or_else(|| bad(value))?;
    let part = |whole| part(whole).ok_or_else(|| bad(whole));
    all.iter().map(part).collect()
}

fn part(whole: &Value) -> Option<Part<'_>> {
    let [f, key, value] = whole.as_array()?.as_slice() else { return None };
    let key = match key {
        Value::String(name) => Key::new(name.as_str()),
        Value::Number(number) => Key::new(number.to_string()),
        _ => return None,
    };
    Some(Part { whole, f: f.as_str()?, key, value })
}

fn seen(value: &Value) -> Option<Seen> {
    match value {
        Value::Null => Some(Seen::Nothing),
        Value::Array(all) => all.iter().map(Value::as_i64).collect::<Option<_>>().map(Seen::List),
        other => other.as_i64().map(Seen::Value),
    }
}

/// A key that is a number is written as one.
fn name(key: &Key) -> Value {
    let number = key.as_str().parse::<i64>().ok().filter(|number| number.to_string() == key.as_str());
    number.map_or_else(|| json!(key.as_str()), Value::from)
}

fn bad(found: &Value) -> Unreadable {
    Unreadable::BadValue {
        field: "value",
        f: "txn".to_owned(),
        expected: "micro-ops such as [\"append\",9,1], [\"w\",9,1] or [\"r\",9,null], the same in the answer",
        found: found.to_string(),
    }
}
