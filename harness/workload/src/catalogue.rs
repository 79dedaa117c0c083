//! The workloads there are.

use std::fmt;
use std::str::FromStr;

use crate::store::Asking;
use crate::{Banks, Counters, ListAppend, Registers, Sets, UniqueIds};

/// A workload, by name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Name {
    /// [`Registers`]: reads and writes; every value is written once.
    Register,
    /// [`Registers`]: reads, writes and compare-and-sets over few values.
    CasRegister,
    /// [`Sets`].
    Set,
    /// [`Counters`].
    Counter,
    /// [`UniqueIds`].
    UniqueIds,
    /// [`Banks`].
    Bank,
    /// [`ListAppend`].
    ListAppend,
}

/// Whoever is interested in a workload, whatever its ops are. Since ops differ in type from workload to workload, a
/// name does not lead to a value, but to a visit.
pub trait Visitor {
    /// What comes of it.
    type Out;

    /// Goes on with the workload.
    fn visit<W: Asking>(self, workload: W) -> Self::Out;
}

impl Name {
    /// All of them.
    pub const ALL: [Name; 7] = [
        Name::Register,
        Name::CasRegister,
        Name::Set,
        Name::Counter,
        Name::UniqueIds,
        Name::Bank,
        Name::ListAppend,
    ];

    /// The name used on command lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Name::Register => "register",
            Name::CasRegister => "cas-register",
            Name::Set => "set",
            Name::Counter => "counter",
            Name::UniqueIds => "unique-ids",
            Name::Bank => "bank",
            Name::ListAppend => "list-append",
        }
    }

    /// What its clients do and what they are promised, in one sentence.
    pub fn description(self) -> &'static str {
        match self {
            Name::Register => {
                "reads and writes of unique values on rotating keys; promised is linearizability per key"
            }
            Name::CasRegister => {
                "reads, writes and compare-and-sets of few values on rotating keys; promised is linearizability per key"
            }
            Name::Set => {
                "adds of unique values to rotating sets and reads of whole ones; promised is linearizability per set"
            }
            Name::Counter => {
                "adds of small numbers to rotating counters and reads of sums; promised is linearizability per counter"
            }
            Name::UniqueIds => "ids are asked for; promised is that no two are the same",
            Name::Bank => {
                "transfers between the accounts of rotating banks and reads of all balances; promised is linearizability per bank"
            }
            Name::ListAppend => {
                "transactions that append to lists and read them, on rotating keys; nobody judges them yet"
            }
        }
    }

    /// Shows the visitor the workload of that name, with its defaults. The one place where a name becomes a type.
    pub fn visit<V: Visitor>(self, visitor: V) -> V::Out {
        match self {
            Name::Register => visitor.visit(Registers::register()),
            Name::CasRegister => visitor.visit(Registers::cas_register()),
            Name::Set => visitor.visit(Sets::default()),
            Name::Counter => visitor.visit(Counters::default()),
            Name::UniqueIds => visitor.visit(UniqueIds),
            Name::Bank => visitor.visit(Banks::default()),
            Name::ListAppend => visitor.visit(ListAppend::default()),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No workload of that name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown workload `{asked}`: there is {known}", known = Name::ALL.map(Name::as_str).join(", "))]
pub struct UnknownWorkload {
    /// The name that was asked for.
    pub asked: String,
}

impl FromStr for Name {
    type Err = UnknownWorkload;

    fn from_str(text: &str) -> Result<Name, UnknownWorkload> {
        let found = Name::ALL.into_iter().find(|name| name.as_str() == text);
        found.ok_or_else(|| UnknownWorkload { asked: text.to_owned() })
    }
}
