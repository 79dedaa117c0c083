//! One line of a history.

use serde_json::Value;

use crate::names::{Key, NodeId, Process};

/// What was seen of one client's op: that it was asked, or how it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observation<Op, Ret> {
    /// The line's number, dense from 0.
    pub index: u64,
    /// Nanoseconds since the start of the run.
    pub time: u64,
    /// Who asked.
    pub process: Process,
    /// Whom it asked.
    pub node: Option<NodeId>,
    /// About what, in workloads that have keys.
    pub key: Option<Key>,
    /// Asked, or ended how.
    pub kind: Kind<Op, Ret>,
}

/// Asked; happened; did *not* happen; nobody knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind<Op, Ret> {
    /// The process asked. Written down *before* the client sends.
    Invoke(Op),
    /// It happened, some time between its invocation and this line, and this was the answer.
    Ok(Ret),
    /// It certainly did not happen and never will.
    Fail(String),
    /// Nobody knows: it may take effect at any later time, or never.
    Info(String),
}

/// How an op ended, as a client tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome<Ret> {
    /// It happened, and this was the answer.
    Ok(Ret),
    /// It certainly did not happen and never will. In doubt, say [`Outcome::Info`]: that costs time,
    /// a false `fail` costs the truth.
    Fail(String),
    /// Nobody knows.
    Info(String),
}

impl<Op, Ret> From<Outcome<Ret>> for Kind<Op, Ret> {
    fn from(outcome: Outcome<Ret>) -> Kind<Op, Ret> {
        match outcome {
            Outcome::Ok(ret) => Kind::Ok(ret),
            Outcome::Fail(why) => Kind::Fail(why),
            Outcome::Info(why) => Kind::Info(why),
        }
    }
}

/// A line of the nemesis: a fault or its healing, asked for (first line) or carried out (second line,
/// with the evidence). Kept as the JSON it is; what faults mean is `nemesis`'s to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NemesisOp {
    /// The line's number, dense from 0.
    pub index: u64,
    /// Nanoseconds since the start of the run.
    pub time: u64,
    /// The fault's name.
    pub f: String,
    /// Its particulars, resolved; then its effect and the evidence for it.
    pub value: Value,
    /// What went wrong in carrying it out.
    pub error: Option<String>,
}

/// A line, whoever wrote it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Line<Op, Ret> {
    /// A client's.
    Client(Observation<Op, Ret>),
    /// The nemesis's.
    Nemesis(NemesisOp),
}
