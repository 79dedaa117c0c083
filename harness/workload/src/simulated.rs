//! The workloads that a simulated system can be asked: those of real ones, and more.
//!
//! A real system is asked by a client that speaks its protocol, and the one there is speaks of registers. A
//! simulated one is asked directly. Since ops differ in type from workload to workload, a name does not lead
//! to a workload by itself: whoever simulates matches on it, and knows how each kind of op is carried out.

use std::fmt;
use std::str::FromStr;

use crate::catalogue::Name;

/// A workload for simulated systems, by name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Simulated {
    /// One that real systems are asked too: [`Registers`](crate::Registers).
    Real(Name),
    /// [`Sets`](crate::Sets).
    Set,
    /// [`Counters`](crate::Counters).
    Counter,
    /// [`UniqueIds`](crate::UniqueIds).
    UniqueIds,
    /// [`Banks`](crate::Banks).
    Bank,
    /// [`ListAppend`](crate::ListAppend).
    ListAppend,
}

impl Simulated {
    /// All of them.
    pub const ALL: [Simulated; 7] = [
        Simulated::Real(Name::Register),
        Simulated::Real(Name::CasRegister),
        Simulated::Set,
        Simulated::Counter,
        Simulated::UniqueIds,
        Simulated::Bank,
        Simulated::ListAppend,
    ];

    /// The name used on command lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Simulated::Real(name) => name.as_str(),
            Simulated::Set => "set",
            Simulated::Counter => "counter",
            Simulated::UniqueIds => "unique-ids",
            Simulated::Bank => "bank",
            Simulated::ListAppend => "list-append",
        }
    }

    /// What its clients do and what they are promised, in one sentence.
    pub fn description(self) -> &'static str {
        match self {
            Simulated::Real(name) => name.description(),
            Simulated::Set => {
                "adds of unique values to rotating sets and reads of whole ones; promised is linearizability per set"
            }
            Simulated::Counter => {
                "adds of small numbers to rotating counters and reads of sums; promised is linearizability per counter"
            }
            Simulated::UniqueIds => "ids are asked for; promised is that no two are the same",
            Simulated::Bank => {
                "transfers between the accounts of rotating banks and reads of all balances; promised is linearizability per bank"
            }
            Simulated::ListAppend => {
                "transactions that append to lists and read them, on rotating keys; nobody judges them yet"
            }
        }
    }
}

impl fmt::Display for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No workload of that name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown workload `{asked}`: there is {known}", known = Simulated::ALL.map(Simulated::as_str).join(", "))]
pub struct UnknownSimulated {
    /// The name that was asked for.
    pub asked: String,
}

impl FromStr for Simulated {
    type Err = UnknownSimulated;

    fn from_str(text: &str) -> Result<Simulated, UnknownSimulated> {
        let found = Simulated::ALL.into_iter().find(|name| name.as_str() == text);
        found.ok_or_else(|| UnknownSimulated { asked: text.to_owned() })
    }
}
