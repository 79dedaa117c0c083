//! The workloads there are.

use std::fmt;
use std::str::FromStr;

use checker::register::{Op, Ret};

use crate::registers::Registers;
use crate::seam::Workload;

/// A workload, by name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Name {
    /// Reads and writes; every value is written once.
    Register,
    /// Reads, writes and compare-and-sets over few values.
    CasRegister,
}

impl Name {
    /// All of them.
    pub const ALL: [Name; 2] = [Name::Register, Name::CasRegister];

    /// The name used on command lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Name::Register => "register",
            Name::CasRegister => "cas-register",
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
        }
    }

    /// The workload itself, with its defaults. So far all workloads ask the ops of a register.
    pub fn workload(self) -> Box<dyn Workload<Op = Op, Ret = Ret>> {
        match self {
            Name::Register => Box::new(Registers::register()),
            Name::CasRegister => Box::new(Registers::cas_register()),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The names of all workloads.
pub fn names() -> impl Iterator<Item = &'static str> {
    Name::ALL.into_iter().map(Name::as_str)
}

/// No workload of that name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown workload `{asked}`: there is {known}", known = names().collect::<Vec<_>>().join(", "))]
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
