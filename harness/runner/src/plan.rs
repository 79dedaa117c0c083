//! What is to be run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use nemesis::{Kinds, NodeId, Rhythm, Schedule, ids};

use crate::error::Error;
use crate::system::{self, System};

/// Everything that a run is asked for. Its seed fixes what clients ask and which faults come when;
/// the processes still race.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The system under test, by name.
    pub system: String,
    /// What its clients do.
    pub workload: workload::Name,
    /// The faults to mix.
    pub nemesis: Kinds,
    /// Faults at given times, instead of drawn ones.
    pub schedule: Option<Schedule>,
    /// How calm and fault take turns when they are drawn.
    pub rhythm: Rhythm,
    /// How many nodes.
    pub nodes: u16,
    /// How many clients at a time; twice as many as nodes if not given.
    pub concurrency: Option<usize>,
    /// Ops per second, all clients together; as fast as they are answered if 0.
    pub rate: f64,
    /// How long clients and faults go on, before healing and the final reads.
    pub time_limit: Duration,
    /// End the run at the first broken promise.
    pub fail_fast: bool,
    /// Fixes the plan.
    pub seed: u64,
    /// Mistakes to switch on in the system.
    pub bugs: Vec<String>,
    /// What a kill does to what nodes did not sync.
    pub disk: Disk,
    /// Another build of the system, instead of the one that this program carries.
    pub bin: Option<PathBuf>,
    /// Settings of the system.
    pub settings: BTreeMap<String, String>,
    /// How much longer everything takes from node to node, each way.
    pub link_delay: Duration,
    /// Whether nodes reach each other without proxies between them: for measurements. No link can be cut.
    pub direct: bool,
    /// Where run folders go.
    pub out: PathBuf,
    /// The command line, for the record and for repeating it.
    pub argv: Vec<String>,
}

/// What becomes of unsynced writes when a node is killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Disk {
    /// The kernel keeps them, so that no kill ever shows a missing sync.
    #[default]
    Real,
    /// They die with the process.
    Lossy,
}

impl Disk {
    /// As flags and records call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Disk::Real => "real",
            Disk::Lossy => "lossy",
        }
    }
}

impl Default for Plan {
    /// The register of our own Raft, three nodes, half a minute, no faults.
    fn default() -> Plan {
        Plan {
            system: "raft".to_owned(),
            workload: workload::Name::Register,
            nemesis: Kinds::default(),
            schedule: None,
            rhythm: Rhythm::default(),
            nodes: 3,
            concurrency: None,
            rate: 0.0,
            fail_fast: false,
            time_limit: Duration::from_secs(30),
            seed: 0,
            bugs: Vec::new(),
            disk: Disk::Real,
            bin: None,
            settings: BTreeMap::new(),
            link_delay: Duration::ZERO,
            direct: false,
            out: PathBuf::from("histories/runs"),
            argv: Vec::new(),
        }
    }
}

/// More nodes than this do not fit one machine usefully, and need n·(n-1) proxies.
pub const MOST_NODES: u16 = 15;
/// A drawn schedule of more faults than this is a slip of the pen, and would fill the memory.
const MOST_FAULTS: u128 = 1_000_000;
/// A schedule that leaves faults to chance draws up to ten a second for at most so long, for the same reason.
const LONGEST_CHANCE: Duration = Duration::from_hours(24);
/// More clients than this say nothing that fewer do not.
pub const MOST_CLIENTS: usize = 10_000;

impl Plan {
    /// How many clients at a time.
    pub fn concurrency(&self) -> usize {
        self.concurrency.unwrap_or(2 * usize::from(self.nodes))
    }

    /// The faults that this run will meet, whoever chose them.
    pub fn faults(&self) -> Kinds {
        self.schedule.as_ref().map_or_else(|| self.nemesis.clone(), Schedule::kinds)
    }

    /// The settings of this node: those of all, and those that are named after it (`n1:sync-delay`).
    pub fn settings_of(&self, node: NodeId) -> BTreeMap<&str, &str> {
        let (own, common): (Vec<_>, Vec<_>) = self
            .settings
            .iter()
            .map(|(name, value)| (name.split_once(':').unwrap_or(("", name)), value.as_str()))
            .filter(|((whose, _), _)| whose.is_empty() || *whose == node.to_string())
            .partition(|((whose, _), _)| !whose.is_empty());
        common.into_iter().chain(own).map(|((_, name), value)| (name, value)).collect()
    }

    /// Whether a setting that is named after a node has that node.
    fn has_node_of(&self, name: &str) -> bool {
        let whose = name.split_once(':').map(|(whose, _)| whose);
        whose.is_none_or(|whose| ids::cluster(self.nodes).iter().any(|node| node.to_string() == whose))
    }

    /// `raft-register-partition+kill`: what a run is called together with others like it.
    pub fn title(&self) -> String {
        let faults = self.faults().to_string().replace(',', "+");
        format!("{}-{}-{faults}", self.system, self.workload)
    }

    /// The plan with all settings that the system is started with.
    #[must_use]
    pub fn settled(mut self, system: &dyn System) -> Plan {
        let mut settings = system.settings();
        settings.append(&mut self.settings);
        Plan { settings, ..self }
    }

    /// Refuses what cannot be run, before anything is started.
    pub fn check(&self) -> Result<&'static dyn System, Error> {
        let system = system::find(&self.system)?;
        let turn = self.rhythm.on.saturating_add(self.rhythm.off);
        let in_the_way = if self.nodes == 0 || self.nodes > MOST_NODES {
            format!("{} nodes: a cluster has 1 to {MOST_NODES}", self.nodes)
        } else if self.concurrency() == 0 || self.concurrency() > MOST_CLIENTS {
            format!("{} clients at a time: say 1 to {MOST_CLIENTS}", self.concurrency())
        } else if !self.nemesis.is_empty()
            && self.time_limit.as_nanos() / turn.as_nanos().max(1) > MOST_FAULTS
        {
            format!("a fault every {turn:?} for {:?}: no more than {MOST_FAULTS} of them", self.time_limit)
        } else if self.schedule.as_ref().is_some_and(|schedule| schedule.random.is_some())
            && self.time_limit > LONGEST_CHANCE
        {
            format!("faults by chance for {:?}: no longer than {LONGEST_CHANCE:?}", self.time_limit)
        } else if let Some(name) = self.settings.keys().find(|name| !self.has_node_of(name)) {
            let nodes = itertools::join(ids::cluster(self.nodes), " ");
            format!("--set {name}: there is no such node among {nodes}")
        } else if let Some(kind) =
            self.faults().as_slice().iter().find(|kind| !system.faults().contains(kind))
        {
            format!("{} has no fault `{kind}`", self.system)
        } else {
            return system.check(self).map(|()| system);
        };
        Err(Error::Plan(in_the_way))
    }
}

#[cfg(test)]
mod tests {
    use nemesis::Kind;

    use super::*;

    #[test]
    fn the_default_plan_can_be_run_and_is_titled_after_what_it_does() {
        let plan = Plan::default();
        assert!(plan.check().is_ok());
        assert_eq!((plan.title().as_str(), plan.concurrency()), ("raft-register-none", 6));
        let faults = Plan { nemesis: Kinds::of([Kind::Partition, Kind::Kill, Kind::Pause]), ..plan };
        assert_eq!(faults.title(), "raft-register-partition+kill+pause");
    }

    #[test]
    fn a_setting_is_for_all_nodes_or_for_the_one_it_is_named_after() {
        let settings = [("sync-delay", "1"), ("n2:sync-delay", "80"), ("n2:read-lease", "50")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let plan = Plan { settings: settings.into(), ..Plan::default() };
        assert!(plan.check().is_ok());
        assert_eq!(plan.settings_of(NodeId(1)), [("sync-delay", "1")].into());
        assert_eq!(plan.settings_of(NodeId(2)), [("sync-delay", "80"), ("read-lease", "50")].into());
        let error = Plan { nodes: 1, ..plan }.check().err().expect("there is no n2");
        assert_eq!(error.to_string(), "--set n2:read-lease: there is no such node among n1");
    }

    #[test]
    fn what_cannot_be_run_is_refused_by_name_as_the_users_doing() {
        let refused = |plan: Plan| {
            let error = plan.check().err().expect("this cannot be run");
            assert_eq!(error.exit_code(), 254);
            error.to_string()
        };
        let unknown = Plan { system: "rift".to_owned(), ..Plan::default() };
        assert_eq!(refused(unknown), "unknown system `rift`; known: raft, etcd");
        let none = Plan { nodes: 0, ..Plan::default() };
        assert_eq!(refused(none), "0 nodes: a cluster has 1 to 15");
        let idle = Plan { concurrency: Some(0), ..Plan::default() };
        assert_eq!(refused(idle), "0 clients at a time: say 1 to 10000");
        let nano = Duration::from_nanos(1);
        let rhythm = Rhythm { on: nano, off: nano, ..Rhythm::default() };
        let hail = Plan { nemesis: Kinds::of([Kind::Kill]), rhythm, ..Plan::default() };
        assert_eq!(refused(hail), "a fault every 2ns for 30s: no more than 1000000 of them");
        let chance = |kinds: &str, hours| {
            let text = format!("[random]\nkinds = \"{kinds}\"");
            let schedule = Some(Schedule::parse(&text, &nemesis::cluster(3)).unwrap());
            Plan { schedule, time_limit: Duration::from_hours(hours), ..Plan::default() }
        };
        assert!(chance("kill", 24).check().is_ok());
        assert_eq!(refused(chance("kill", 25)), "faults by chance for 90000s: no longer than 86400s");
        assert_eq!(refused(chance("kill,power", 1)), "raft has no fault `power`");
    }
}
