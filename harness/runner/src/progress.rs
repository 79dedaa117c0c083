//! What a run tells while it goes on.

use std::path::Path;
use std::time::Duration;

use history::NodeId;

/// Who wants to know. Calls come from the run's own thread, a few times a second; they should not block.
pub trait Progress: Send {
    /// The run's folder exists; nothing has started yet.
    fn begin(&mut self, _folder: &Path) {}

    /// Another stage of the run.
    fn stage(&mut self, _stage: Stage) {}

    /// How it stands.
    fn tick(&mut self, _tally: &Tally) {}

    /// The nemesis did something, or a node died by itself; one line.
    fn note(&mut self, _time: Duration, _line: &str) {}
}

/// Nobody wants to know.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {}

/// The stages of a run, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stage {
    /// Processes start; waiting until they answer.
    Starting,
    /// Clients and faults go on.
    Running,
    /// All faults are healed; waiting until the system answers everywhere.
    Healing,
    /// Final reads.
    FinalReads,
    /// Processes stop.
    Stopping,
    /// The history is judged.
    Checking,
}

/// Counts so far.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Tally {
    /// Since the start of the run.
    pub time: Duration,
    /// How long clients and faults go on, all in all.
    pub limit: Duration,
    /// Ops that happened.
    pub ok: u64,
    /// Ops that certainly did not.
    pub fail: u64,
    /// Ops nobody knows about.
    pub info: u64,
    /// Who leads, as far as anyone told.
    pub leader: Option<NodeId>,
    /// How often that changed.
    pub leader_changes: u64,
    /// The faults that are active, as text.
    pub faults: Vec<String>,
}
