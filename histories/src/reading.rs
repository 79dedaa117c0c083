//! What a line means where its format leaves a choice.
//!
//! Two people may read one line and be right both, since the clients that they speak of were different.
//! Jepsen's `:fail` says that an op did not happen, and of a compare-and-set nothing more; but where it is
//! known that a client fails one only because it found another value, the line is evidence. A `nil` that
//! was read may be the absence of a value, or the absence of an answer.

use serde_json::Value;

use crate::foreign::Found;
use crate::json::Type;

/// How to take a refused compare-and-set, and a `nil` that was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// A refused compare-and-set is an answer: the register held another value at some moment in between.
    /// A `nil` that was read says that nothing was there.
    ///
    /// Right for the logs of Jepsen's test of etcd in 2014. Wrong for a client that fails for other reasons too:
    /// then it finds contradictions that are none.
    Literal,
    /// As Knossos does: a refused compare-and-set did not happen, and says no more than that. A `nil` that
    /// was read may have been anything; such a read is left out, as one that failed.
    ///
    /// Always safe. The price: what a wrong refusal or a lost value would give away is missed.
    Knossos,
}

impl Reading {
    /// Its name on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Reading::Literal => "literal",
            Reading::Knossos => "knossos",
        }
    }
}

/// A compare-and-set that was refused, without any other reason.
pub(crate) fn refused_cas(found: Found, reading: Reading) -> Found {
    match reading {
        Reading::Literal => Found { kind: Type::Ok, result: Some(Value::Bool(false)), ..found },
        Reading::Knossos => Found { kind: Type::Fail, error: Some("refused".to_owned()), ..found },
    }
}

/// A read that was answered with `nil`.
pub(crate) fn read_nil(found: Found, reading: Reading) -> Found {
    match reading {
        Reading::Literal => found,
        Reading::Knossos => {
            Found { kind: Type::Fail, error: Some("nil was read, which may be anything".to_owned()), ..found }
        }
    }
}
