//! What a person wants to see while a run goes on.

use std::path::Path;
use std::time::Duration;

use nemesis::NodeId;

use crate::recorder::Counts;

/// Where a run stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Nodes start.
    Starting,
    /// Clients ask, faults come and go.
    Running,
    /// Everything is healed; the cluster gets time to recover.
    Healing,
    /// Every key is read once more.
    FinalReads,
    /// Nodes stop.
    Stopping,
    /// The history is judged.
    Checking,
}

impl Phase {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Running => "running",
            Phase::Healing => "healing",
            Phase::FinalReads => "final reads",
            Phase::Stopping => "stopping",
            Phase::Checking => "checking",
        }
    }
}

/// A moment of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Live {
    /// Since the clients began.
    pub time: Duration,
    /// How their ops ended so far.
    pub counts: Counts,
    /// What is broken now, as people read it.
    pub faults: Vec<String>,
    /// Who leads, as far as can be seen.
    pub leader: Option<NodeId>,
}

/// Told how a run goes. Called from several threads; must return soon.
pub trait Progress: Send + Sync {
    /// The plan is accepted, and this is the folder.
    fn begun(&self, _seed: u64, _folder: &Path) {}
    /// The next phase began.
    fn phase(&self, _phase: Phase) {}
    /// A fault was injected, healed or given up: one line for people.
    fn fault(&self, _time: Duration, _line: &str) {}
    /// Several times a second.
    fn tick(&self, _live: &Live) {}
}

/// Tells nobody.
pub struct Silent;

impl Progress for Silent {}
