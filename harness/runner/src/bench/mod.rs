//! How fast, against whom: throughput, latency, and what they cost.
//!
//! A figure without a peer says little, and on a shared machine less: its speed changes from minute to
//! minute. So both systems run side by side, the same client loads them in turns, and what is reported
//! is the median of the *ratios* of turns that were neighbours. Who comes first alternates (A B, B A, …),
//! so that whatever the first leaves behind is not always the other's to pay. Beside throughput stands
//! CPU time, which depends less on what else the machine does.
//!
//! Clients are closed loops: each sends its next request when it has the answer to the last. They
//! ask the leader, on a few shared connections. All systems have the same timers. No proxy stands
//! between the nodes, and nothing is checked: whether the answers are right is the business of a run.
//!
//! A turn has figures only if it measured what it was meant to. If the lead passed on meanwhile, if a
//! request failed or if none was answered, it has none: a system that refuses everything would be the
//! fastest of all. Such a turn is taken again a few times, and every attempt is reported with its reason.
//! When a node dies, the measurement ends.

mod failover;
mod load;
mod table;
mod usage;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use crate::cluster::Cluster;
use crate::error::Error;
use crate::folder::Folder;
use crate::plan::Plan;
use crate::probe::Sighting;
use crate::system::System;
pub use failover::{Failover, Outage, Outages, failover};
pub use load::Kind;
use load::{Done, Load};
use table::count;
pub use table::{Ratio, Row, Sample, Spoilt, Table};
use usage::Usage;

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Bench {
    /// A system, and the peer to hold it against, if any.
    pub systems: Vec<Contender>,
    /// How many nodes of each.
    pub nodes: u16,
    /// How many clients at once, one row each.
    pub clients: Vec<usize>,
    /// What they ask, one row each.
    pub kinds: Vec<Kind>,
    /// How long a turn is.
    pub turn: Duration,
    /// How many turns each system gets for a row.
    pub rounds: usize,
    /// How many keys are written and read.
    pub keys: u64,
    /// How long the last answers of a turn are waited for.
    pub patience: Duration,
    /// Where nodes keep their data meanwhile.
    pub out: PathBuf,
}

/// A system that is measured.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Contender {
    /// Its name.
    pub system: String,
    /// Another build of it than the one that runs are given.
    pub bin: Option<PathBuf>,
    /// Its settings, beside the timers that all have.
    pub settings: BTreeMap<String, String>,
}

/// How values look: what the field uses.
const VALUE: usize = 256;
/// The part of a turn that is not counted: connections and caches warm up.
const WARM: Duration = Duration::from_millis(300);
/// How often a turn is tried before it is left without figures.
const ATTEMPTS: usize = 3;
/// How long an election may take.
const ELECTION: Duration = Duration::from_secs(20);
/// How often to look whether it is over.
const GLANCE: Duration = Duration::from_millis(100);

/// The timers that etcd has by itself, for everybody. Runs shorten them, so that elections fit between
/// faults.
const TIMERS: [(&str, &str); 2] = [("heartbeat-interval", "100"), ("election-timeout", "1000")];

impl Bench {
    /// What each system is started with. Refuses what cannot be measured before anything is started.
    fn plans(&self) -> Result<Vec<(&'static dyn System, Plan)>, Error> {
        let plan = |contender: &Contender| {
            let timers = TIMERS.map(|(key, value)| (key.to_owned(), value.to_owned()));
            let mut settings = BTreeMap::from(timers);
            settings.extend(contender.settings.clone());
            let plan = Plan {
                system: contender.system.clone(),
                bin: contender.bin.clone(),
                nodes: self.nodes,
                concurrency: self.clients.iter().max().copied(),
                direct: true,
                settings,
                out: self.out.clone(),
                ..Plan::default()
            };
            plan.check().map(|system| (system, plan))
        };
        self.systems.iter().map(plan).collect()
    }
}

/// Measures. `tell` hears a line before each row.
pub async fn bench(bench: &Bench, tell: impl Fn(&str)) -> Result<Table, Error> {
    let mut subjects = Vec::new();
    for (system, plan) in bench.plans()? {
        tell(&format!("starting {}", plan.system));
        subjects.push(Subject::start(system, plan, bench.keys).await?);
    }
    let rows = measure(bench, &mut subjects, tell).await;
    let contender = |subject: &Subject| Contender {
        system: subject.plan.system.clone(),
        bin: subject.plan.bin.clone(),
        settings: subject.plan.settings.clone(),
    };
    let systems = subjects.iter().map(contender).collect();
    for mut subject in subjects {
        let stopped = tokio::task::spawn_blocking(move || subject.cluster.stop()).await;
        stopped.expect("stopping nodes does not panic");
    }
    Ok(Table { systems, turn: bench.turn, rounds: bench.rounds, rows: rows? })
}

async fn measure(bench: &Bench, subjects: &mut [Subject], tell: impl Fn(&str)) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    for kind in &bench.kinds {
        for clients in &bench.clients {
            tell(&format!("{kind} with {}", count(*clients as u64, "client")));
            let (mut turns, mut spoilt) = (vec![Vec::new(); subjects.len()], Vec::new());
            for round in 0..bench.rounds {
                for at in order(round, subjects.len()) {
                    let subject = &mut subjects[at];
                    let system = subject.plan.system.clone();
                    let note = |why: String| {
                        tell(&format!("{system}: a turn does not count: {why}"));
                        spoilt.push(Spoilt { system: system.clone(), round: round + 1, why });
                    };
                    turns[at].push(subject.counted_turn(*kind, *clients, bench, note).await?);
                }
            }
            rows.push(Row::new(*kind, *clients, turns, spoilt));
        }
    }
    Ok(rows)
}

/// Who comes when: there and back again.
fn order(round: usize, subjects: usize) -> Vec<usize> {
    let forth = 0..subjects;
    if round.is_multiple_of(2) { forth.collect() } else { forth.rev().collect() }
}

/// A system under load.
struct Subject {
    plan: Plan,
    cluster: Cluster,
}

impl Subject {
    async fn start(system: &dyn System, plan: Plan, keys: u64) -> Result<Subject, Error> {
        let folder = Folder::create(&plan, SystemTime::now())?;
        let cluster = Cluster::start(system, &plan, &folder).await?;
        let mut subject = Subject { plan, cluster };
        let address = subject.cluster.addresses()[&subject.lead().await?.leader];
        let system = subject.plan.system.clone();
        load::fill(address, keys, VALUE).await.map_err(|what| Error::Fill { system, what })?;
        subject.all_alive()?;
        Ok(subject)
    }

    /// A turn that counts, if one of a few does. `note` hears why the others do not.
    async fn counted_turn(
        &mut self,
        kind: Kind,
        clients: usize,
        bench: &Bench,
        mut note: impl FnMut(String),
    ) -> Result<Option<Sample>, Error> {
        for _ in 0..ATTEMPTS {
            match self.turn(kind, clients, bench).await? {
                Ok(sample) => return Ok(Some(sample)),
                Err(why) => note(why),
            }
        }
        Ok(None)
    }

    /// One turn: a load on the leader for so long, and what it cost all nodes; or why it does not count.
    async fn turn(
        &mut self,
        kind: Kind,
        clients: usize,
        bench: &Bench,
    ) -> Result<Result<Sample, String>, Error> {
        let before = self.lead().await?;
        let pids: Vec<u32> = self.cluster.table().values().filter_map(|(_, _, pid)| *pid).collect();
        let pids = Arc::new(pids);
        let load = Load {
            address: self.cluster.addresses()[&before.leader],
            kind,
            clients,
            keys: bench.keys,
            value: VALUE,
            warm: WARM,
            length: bench.turn,
            drain: bench.patience,
        };
        let (done, began, ended) = load.run(move || Usage::of(&pids)).await;
        self.all_alive()?;
        let machine = |source: io::Error| Error::Machine { what: "what a node has used", source };
        let (began, ended) = (began.map_err(machine)?, ended.map_err(machine)?);
        let after = self.lead().await?;
        Ok(spoiler(before, after, &done).map_or_else(|| Ok(sample(&done, began, ended)), Err))
    }

    /// Who leads, when somebody does.
    async fn lead(&mut self) -> Result<Sighting, Error> {
        let deadline = Instant::now() + ELECTION;
        loop {
            if let Some(seen) = self.cluster.probes().sighting().await {
                return Ok(seen);
            }
            self.all_alive()?;
            if Instant::now() >= deadline {
                let missing = format!("a leader of {}", self.plan.system);
                return Err(Error::NotReady { seconds: ELECTION.as_secs(), missing });
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    fn all_alive(&mut self) -> Result<(), Error> {
        match self.cluster.obituaries().into_iter().next() {
            None => Ok(()),
            Some(obituary) => Err(Error::Died { system: self.plan.system.clone(), obituary }),
        }
    }
}

/// Why a turn does not count.
fn spoiler(before: Sighting, after: Sighting, done: &Done) -> Option<String> {
    if before != after {
        return Some(format!("the lead passed from {before} to {after}"));
    }
    if done.errors > 0 {
        let complaint = done.complaint.as_deref().unwrap_or_default();
        return Some(format!("{} failed, the first with: {complaint}", count(done.errors.into(), "request")));
    }
    (done.ops == 0).then(|| "no request was answered in it".to_owned())
}

fn sample(done: &Done, began: Usage, ended: Usage) -> Sample {
    Sample {
        ops_per_second: f64::from(done.ops) / done.seconds,
        p50: done.latencies.permille(500).unwrap_or_default(),
        p99: done.latencies.permille(990).unwrap_or_default(),
        cpu_per_op: ended.cpu.saturating_sub(began.cpu).checked_div(done.ops).unwrap_or_default(),
        memory: ended.memory,
    }
}

#[cfg(test)]
mod tests {
    use nemesis::NodeId;

    use super::*;

    #[test]
    fn who_comes_first_alternates() {
        let orders: Vec<Vec<usize>> = (0..3).map(|round| order(round, 2)).collect();
        assert_eq!(orders, [[0, 1], [1, 0], [0, 1]]);
    }

    #[test]
    fn a_turn_counts_only_under_one_leader_with_answers_and_without_errors() {
        let lead = |term, node| Sighting { term, leader: NodeId(node) };
        let done = |ops, errors| Done {
            ops,
            errors,
            complaint: (errors > 0).then(|| "no".to_owned()),
            ..Done::default()
        };
        let why = |after, ops, errors| spoiler(lead(2, 1), after, &done(ops, errors));
        assert_eq!(why(lead(2, 1), 9, 0), None);
        assert_eq!(why(lead(3, 2), 9, 0).unwrap(), "the lead passed from n1@t2 to n2@t3");
        assert_eq!(why(lead(4, 1), 9, 0).unwrap(), "the lead passed from n1@t2 to n1@t4");
        assert_eq!(why(lead(2, 1), 9, 1).unwrap(), "1 request failed, the first with: no");
        assert_eq!(why(lead(2, 1), 0, 0).unwrap(), "no request was answered in it");
    }
}
