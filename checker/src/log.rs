//! A log: values are appended, each gets the next offset, and reads go from an offset to the end.
//!
//! Nothing in it ever changes, so its histories say much: an append tells its place, and a read tells
//! the places of all that it shows, and that there was no more.
//!
//! As JSON:
//!
//! | op | asked | answered |
//! |---|---|---|
//! | append | `"f":"append","value":7` | `"value":7,"result":3`: its offset, counted from 0 |
//! | read | `"f":"read","value":2` | `"value":2,"result":[9,7]`: all from offset 2 on; `[]` if there is nothing yet |
//!
//! Left out: reads with a limit, which say less, and logs that lose their start.

use std::sync::Arc;

use history::{Answered, Asked, Operation, Unreadable};
use serde_json::{Value, json};
use smallvec::SmallVec;

use crate::linearizable::Linearizable;
use crate::rules;
use crate::seam::{Interval, Model};

/// What can be asked of a log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// Put this at the end.
    Append(u64),
    /// What is there, from this offset to the end?
    Read {
        /// The first offset wanted.
        from: u64,
    },
}

/// What a log answers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Ret {
    /// An append's answer: where the value stands.
    Offset(u64),
    /// A read's answer.
    Values(Arc<[u64]>),
}

impl Operation for Op {
    type Ret = Ret;

    fn ask(&self) -> Asked {
        let (f, value) = match *self {
            Op::Append(value) => ("append", value),
            Op::Read { from } => ("read", from),
        };
        Asked { f: f.to_owned(), value: json!(value) }
    }

    fn read_ask(asked: &Asked) -> Result<Op, Unreadable> {
        let number = || match asked.value.as_u64() {
            Some(number) => Ok(number),
            None => Err(bad("value", &asked.f, "a number from 0", &asked.value)),
        };
        match asked.f.as_str() {
            "append" => Ok(Op::Append(number()?)),
            "read" => Ok(Op::Read { from: number()? }),
            other => Err(Unreadable::UnknownF { f: other.to_owned(), known: "append, read" }),
        }
    }

    fn answer(&self, ret: &Ret) -> Answered {
        let result = match ret {
            Ret::Offset(offset) => json!(offset),
            Ret::Values(values) => json!(**values),
        };
        Answered { value: self.ask().value, result: Some(result) }
    }

    fn read_answer(&self, answered: &Answered) -> Result<Ret, Unreadable> {
        let Answered { value, result } = answered;
        let Asked { f, value: asked } = self.ask();
        if !value.is_null() && *value != asked {
            return Err(bad("value", &f, "what was asked, or null", value));
        }
        let found = result.as_ref().unwrap_or(&Value::Null);
        let (ret, expected) = match self {
            Op::Append(_) => (found.as_u64().map(Ret::Offset), "an offset"),
            Op::Read { .. } => {
                let values = found.as_array().and_then(|all| all.iter().map(Value::as_u64).collect());
                (values.map(Ret::Values), "a list of numbers")
            }
        };
        ret.ok_or_else(|| bad("result", &f, expected, found))
    }
}

fn bad(field: &'static str, f: &str, expected: &'static str, found: &Value) -> Unreadable {
    Unreadable::BadValue { field, f: f.to_owned(), expected, found: found.to_string() }
}

/// The model of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Log;

impl Log {
    /// What an op answers.
    fn answer(values: &[u64], op: Op) -> Ret {
        match op {
            Op::Append(_) => Ret::Offset(values.len() as u64),
            Op::Read { from } => {
                let from = usize::try_from(from).unwrap_or(usize::MAX).min(values.len());
                Ret::Values(values[from..].into())
            }
        }
    }
}

impl Model for Log {
    type Op = Op;
    type State = Arc<Vec<u64>>;

    fn init(&self) -> Arc<Vec<u64>> {
        Arc::default()
    }

    fn step(
        &self,
        state: &Arc<Vec<u64>>,
        op: &Op,
        ret: Option<&Ret>,
        when: Interval,
        next: &mut SmallVec<[Arc<Vec<u64>>; 1]>,
    ) {
        let mut state = Arc::clone(state);
        if self.advance(&mut state, op, ret, when) == Some(true) {
            next.push(state);
        }
    }

    fn advance(&self, state: &mut Arc<Vec<u64>>, op: &Op, ret: Option<&Ret>, _: Interval) -> Option<bool> {
        let fits = ret.is_none_or(|heard| *heard == Log::answer(state, *op));
        if fits && let Op::Append(value) = *op {
            Arc::make_mut(state).push(value);
        }
        Some(fits)
    }

    fn only_looks(&self, op: &Op, _: Option<&Ret>) -> bool {
        matches!(op, Op::Read { .. })
    }

    fn heap(&self, state: &Arc<Vec<u64>>) -> usize {
        size_of_val(state.as_slice())
    }

    fn show(&self, state: &Arc<Vec<u64>>) -> String {
        let last = state.len().saturating_sub(SHOWN);
        let shown: Vec<String> = state[last..].iter().map(u64::to_string).collect();
        let before = if last == 0 { String::new() } else { format!("{last} values, then ") };
        format!("{before}[{}]", shown.join(", "))
    }
}

/// How many values of a log are shown.
const SHOWN: usize = 8;

/// Judges a log.
pub fn log() -> Linearizable<Log> {
    Linearizable::new("log", Log).ruled_by(&rules::LOG)
}
