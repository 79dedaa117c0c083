//! A register: one value that is read, written, and compared-and-set.
//!
//! It starts absent, which a read answers with `null`. A compare-and-set that found another value is
//! an answer like any other and is held against the history: `ok` with the result false says that the
//! register was *not* what was expected, at some moment in between. Knossos drops those; the mistakes
//! that hide there are dropped with them.
//!
//! As JSON:
//!
//! | op | asked | answered |
//! |---|---|---|
//! | read | `"f":"read","value":null` | `"value":7`, or `"value":null` when absent |
//! | write | `"f":"write","value":7` | `"value":7` |
//! | cas | `"f":"cas","value":[7,8]` | `"value":[7,8],"result":true` or `false` |

use history::{Answered, Asked, Operation, Unreadable};
use serde_json::{Value, json};
use smallvec::SmallVec;

use crate::explain::{Explanation, Refuted};
use crate::linearizable::Linearizable;
use crate::register_explain;
use crate::register_thin;
use crate::rules;
use crate::seam::{Interval, Model};
use crate::span::Span;

/// What can be asked of a register.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// What is in it?
    Read,
    /// Put this in.
    Write(u64),
    /// Put `to` in if `from` is in it.
    Cas {
        /// What must be in it.
        from: u64,
        /// What shall be in it.
        to: u64,
    },
}

/// What a register answers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ret {
    /// A read's answer.
    Value(Option<u64>),
    /// A write's answer.
    Written,
    /// A compare-and-set's answer: whether it found what it expected, and set.
    Swapped(bool),
}

impl Operation for Op {
    type Ret = Ret;

    fn ask(&self) -> Asked {
        let (f, value) = match *self {
            Op::Read => ("read", Value::Null),
            Op::Write(value) => ("write", json!(value)),
            Op::Cas { from, to } => ("cas", json!([from, to])),
        };
        Asked { f: f.to_owned(), value }
    }

    fn read_ask(asked: &Asked) -> Result<Op, Unreadable> {
        match asked.f.as_str() {
            "read" if asked.value.is_null() => Ok(Op::Read),
            "read" => Err(bad("value", "read", "null where it is asked", &asked.value)),
            "write" => match asked.value.as_u64() {
                Some(value) => Ok(Op::Write(value)),
                None => Err(bad("value", "write", "a number from 0", &asked.value)),
            },
            "cas" => match pair(&asked.value) {
                Some((from, to)) => Ok(Op::Cas { from, to }),
                None => Err(bad("value", "cas", "two numbers, [from, to]", &asked.value)),
            },
            other => Err(Unreadable::UnknownF { f: other.to_owned(), known: "read, write, cas" }),
        }
    }

    fn answer(&self, ret: &Ret) -> Answered {
        match *ret {
            Ret::Value(value) => Answered { value: json!(value), result: None },
            Ret::Written => Answered { value: self.ask().value, result: None },
            Ret::Swapped(swapped) => Answered { value: self.ask().value, result: Some(json!(swapped)) },
        }
    }

    fn read_answer(&self, answered: &Answered) -> Result<Ret, Unreadable> {
        let Answered { value, result } = answered;
        match self {
            Op::Read if value.is_null() => Ok(Ret::Value(None)),
            Op::Read => match value.as_u64() {
                Some(value) => Ok(Ret::Value(Some(value))),
                None => Err(bad("value", "read", "null or a number from 0", value)),
            },
            _ if !value.is_null() && *value != self.ask().value => {
                Err(bad("value", &self.ask().f, "what was asked, or null", value))
            }
            Op::Write(_) => Ok(Ret::Written),
            Op::Cas { .. } => match result {
                Some(Value::Bool(swapped)) => Ok(Ret::Swapped(*swapped)),
                other => Err(bad("result", "cas", "true or false", &json!(other))),
            },
        }
    }
}

fn bad(field: &'static str, f: &str, expected: &'static str, found: &Value) -> Unreadable {
    Unreadable::BadValue { field, f: f.to_owned(), expected, found: found.to_string() }
}

fn pair(value: &Value) -> Option<(u64, u64)> {
    match value.as_array()?.as_slice() {
        [from, to] => Some((from.as_u64()?, to.as_u64()?)),
        _ => None,
    }
}

/// The model of a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Register;

impl Model for Register {
    type Op = Op;
    type State = Option<u64>;

    fn init(&self) -> Option<u64> {
        None
    }

    fn step(
        &self,
        state: &Option<u64>,
        op: &Op,
        ret: Option<&Ret>,
        when: Interval,
        next: &mut SmallVec<[Option<u64>; 1]>,
    ) {
        let mut state = *state;
        if self.advance(&mut state, op, ret, when) == Some(true) {
            next.push(state);
        }
    }

    fn advance(&self, state: &mut Option<u64>, op: &Op, ret: Option<&Ret>, _: Interval) -> Option<bool> {
        let (answer, after) = match *op {
            Op::Read => (Ret::Value(*state), *state),
            Op::Write(value) => (Ret::Written, Some(value)),
            Op::Cas { from, to } if *state == Some(from) => (Ret::Swapped(true), Some(to)),
            Op::Cas { .. } => (Ret::Swapped(false), *state),
        };
        *state = after;
        Some(ret.is_none_or(|heard| *heard == answer))
    }

    fn only_looks(&self, op: &Op, ret: Option<&Ret>) -> bool {
        matches!((op, ret), (Op::Read, _) | (Op::Cas { .. }, Some(Ret::Swapped(false))))
    }

    fn thin(&self, ops: &mut Vec<Span<'_, Op>>) {
        register_thin::thin(ops);
    }

    fn left_by(&self, earlier: &[Span<'_, Op>], later: &[Span<'_, Op>]) -> Option<Vec<Option<u64>>> {
        Some(register_thin::left_by(earlier, later))
    }

    fn show(&self, state: &Option<u64>) -> String {
        state.map_or_else(|| "nothing".to_owned(), |value| value.to_string())
    }

    fn explain(&self, refuted: &Refuted<'_, Register>) -> Explanation {
        register_explain::explain(refuted)
    }
}

/// Judges a register that is read and written.
pub fn register() -> Linearizable<Register> {
    Linearizable::new("register", Register).ruled_by(&rules::REGISTER)
}

/// Judges a register that is also compared-and-set. It is the same model under the name of its
/// workload.
pub fn cas_register() -> Linearizable<Register> {
    Linearizable::new("cas-register", Register).ruled_by(&rules::REGISTER)
}
