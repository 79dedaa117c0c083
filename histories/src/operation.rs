//! How a workload's ops and answers become JSON, and come back.

use serde_json::Value;

/// What a workload's clients can ask, and the answer that belongs to it.
///
/// A history must read without tools, so an op is written as two plain fields: `f`, its name, and
/// `value`, its argument. The line that ends an op repeats both, so that it can be understood alone;
/// a read's `ok` line has the value read instead of the `null` that was asked with.
pub trait Operation: Sized + Clone {
    /// What an op that happened answers.
    type Ret: Clone;

    /// This op as the fields of its lines.
    fn ask(&self) -> Asked;

    /// The op that those fields ask for.
    fn read_ask(asked: &Asked) -> Result<Self, Unreadable>;

    /// The fields of the `ok` line with this answer.
    fn answer(&self, ret: &Self::Ret) -> Answered;

    /// The answer that those fields give to this op.
    fn read_answer(&self, answered: &Answered) -> Result<Self::Ret, Unreadable>;
}

/// An op's name and its argument.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// The name: `read`, `write`, `cas`, …
    pub f: String,
    /// The argument; `null` when there is none.
    pub value: Value,
}

/// What an `ok` line says beside the op's name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answered {
    /// The argument again, or what was read.
    pub value: Value,
    /// The answer of an op that has both an argument and an answer, such as a compare-and-set: it
    /// stands in a field of its own, `result`.
    pub result: Option<Value>,
}

/// Fields that mean nothing as an op, or as the answer to one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unreadable {
    /// No such op.
    #[error("unknown f `{f}`: this model knows {known}")]
    UnknownF {
        /// What was asked.
        f: String,
        /// What can be asked.
        known: &'static str,
    },
    /// A value of the wrong shape.
    #[error("the {field} of `{f}` must be {expected}, found {found}")]
    BadValue {
        /// Which field: `value` or `result`.
        field: &'static str,
        /// Of which op.
        f: String,
        /// What it should have been.
        expected: &'static str,
        /// What stood there, as JSON.
        found: String,
    },
}
