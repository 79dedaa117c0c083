//! What is asked of a mutex.
//!
//! | op | asked | answered |
//! |---|---|---|
//! | acquire | `"f":"acquire","value":null` | the same |
//! | release | `"f":"release","value":null` | the same |
//!
//! An acquire that found the mutex held is a `fail`, and so is a release by whom it is not held by: they
//! changed nothing.

use serde_json::Value;

use crate::operation::{Answered, Asked, Operation, Unreadable};

/// What can be asked of a mutex.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MutexOp {
    /// Take it.
    Acquire,
    /// Give it back.
    Release,
}

/// That it was done: a mutex has nothing else to say.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MutexDone;

impl Operation for MutexOp {
    type Ret = MutexDone;

    fn ask(&self) -> Asked {
        let f = match self {
            MutexOp::Acquire => "acquire",
            MutexOp::Release => "release",
        };
        Asked { f: f.to_owned(), value: Value::Null }
    }

    fn read_ask(asked: &Asked) -> Result<MutexOp, Unreadable> {
        match asked.f.as_str() {
            "acquire" => Ok(MutexOp::Acquire),
            "release" => Ok(MutexOp::Release),
            other => Err(Unreadable::UnknownF { f: other.to_owned(), known: "acquire, release" }),
        }
    }

    fn answer(&self, _: &MutexDone) -> Answered {
        Answered { value: Value::Null, result: None }
    }

    /// Whatever a lock service says beside *done* (a lease, a token) is skipped.
    fn read_answer(&self, _: &Answered) -> Result<MutexDone, Unreadable> {
        Ok(MutexDone)
    }
}
