//! What a run came to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

/// How a run ended, and all that was counted. `results.json` holds the same.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `valid`, `invalid` or `unknown`: the worst of what the checkers say and of whether the faults bit.
    pub verdict: &'static str,
    /// Why, in a sentence each: contradictions, budgets that ran out, faults that never bit.
    pub reasons: Vec<String>,
    /// What each checker said, by its name.
    pub checkers: BTreeMap<String, checker::Verdict>,
    /// Ops by name, and by how they ended.
    pub ops: BTreeMap<String, Counts>,
    /// Ops that happened while a fault was active.
    pub ok_during_faults: u64,
    /// How often another node was seen to lead.
    pub leader_changes: u64,
    /// Each fault that was carried out.
    pub faults: Vec<FaultReport>,
    /// From asking for the last heal to the first answer of every node.
    #[serde(rename = "recovery_seconds", serialize_with = "seconds")]
    pub recovery: Duration,
    /// Latency of ops that happened: median and 99th percentile, in milliseconds, by name.
    pub latency_ms: BTreeMap<String, (f64, f64)>,
    /// Nodes that ended by themselves, and how.
    pub deaths: Vec<String>,
    /// Where everything lies.
    pub folder: PathBuf,
    /// The command that repeats the faults of this run.
    pub repeat: String,
}

/// How ops ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counts {
    /// Happened.
    pub ok: u64,
    /// Certainly did not.
    pub fail: u64,
    /// Nobody knows.
    pub info: u64,
}

/// A fault that was carried out.
#[derive(Clone, Debug, Serialize)]
pub struct FaultReport {
    /// Resolved, as in `schedule.toml`.
    pub fault: serde_json::Value,
    /// When it was injected and when it was healed, in seconds since the start.
    pub from: f64,
    /// See `from`.
    pub until: f64,
    /// Whether it had an effect, with the evidence in words.
    pub bit: bool,
    /// What shows it, or why nothing does.
    pub evidence: String,
}

fn seconds<S: serde::Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(duration.as_secs_f64())
}
