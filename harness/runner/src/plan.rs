//! What a run is to be: all of it decided before anything starts.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use nemesis::{Kinds, Schedule};

/// A run, fully decided. The seed fixes every choice; the processes still race.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is tested.
    pub system: SystemName,
    /// What its clients do: a name that `workload` knows.
    pub workload: String,
    /// The faults to mix.
    pub faults: Kinds,
    /// How many nodes.
    pub nodes: u16,
    /// How many clients at once, each with at most one op open.
    pub concurrency: usize,
    /// Ops per second over all clients; none for as fast as they are answered.
    pub rate: Option<f64>,
    /// How long clients and faults go on, before healing and the final reads.
    pub time_limit: Duration,
    /// How long an op may stay without an answer.
    pub op_timeout: Duration,
    /// How long a fault lasts, and how long the calm after it.
    pub interval: (Duration, Duration),
    /// Fixes every choice.
    pub seed: u64,
    /// Faults written down beforehand, in place of drawn ones.
    pub schedule: Option<Schedule>,
    /// Another build of the system than the one that is part of this program.
    pub program: Option<PathBuf>,
    /// Mistakes that the system is told to make.
    pub bugs: Vec<String>,
    /// Where run folders are made.
    pub out: PathBuf,
    /// The command line, for the record.
    pub argv: Vec<String>,
}

/// What can be tested.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SystemName {
    /// Our own key-value store on Raft.
    Raft,
}

impl SystemName {
    /// All of them.
    pub const ALL: [SystemName; 1] = [SystemName::Raft];

    /// The name on command lines.
    pub fn name(self) -> &'static str {
        match self {
            SystemName::Raft => "raft",
        }
    }

    /// What it is, in a line.
    pub fn story(self) -> &'static str {
        match self {
            SystemName::Raft => "raft-node: a replicated key-value store that speaks etcd v3",
        }
    }
}

impl fmt::Display for SystemName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
