//! How fast, against whom: throughput, latency, and what they cost.
//!
//! A figure without a peer says little, and on a shared machine less: its speed changes from minute to
//! minute. So both systems run side by side, the same client loads them in turns (A B A B …), and what
//! is reported is the median of the *ratios* of turns that were neighbours. Beside throughput stands
//! CPU time, which depends less on what else the machine does.
//!
//! Clients are closed loops: each sends its next request when it has the answer to the last. They
//! ask the leader, on a few shared connections. No proxy stands between the nodes, and nothing is
//! checked: whether the answers are right is the business of a run.

mod load;
mod table;
mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nemesis::NodeId;

use crate::cluster::Cluster;
use crate::error::Error;
use crate::folder::Folder;
use crate::plan::Plan;
use crate::system;
pub use load::Kind;
pub use table::{Row, Sample, Table};
use usage::Usage;

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Bench {
    /// The system, and the peer to hold it against, if any.
    pub systems: Vec<String>,
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
    /// Settings of our own system.
    pub settings: BTreeMap<String, String>,
    /// Where nodes keep their data meanwhile.
    pub out: std::path::PathBuf,
}

/// How values look: what the field uses.
const VALUE: usize = 256;
/// How many keys are written and read.
const KEYS: u64 = 10_000;
/// The part of a turn that is not counted: connections and caches warm up.
const WARM: Duration = Duration::from_millis(300);

/// A system under load.
struct Subject {
    name: String,
    cluster: Cluster,
    leader: NodeId,
}

/// Measures. `tell` hears a line before each row.
pub async fn bench(bench: &Bench, tell: impl Fn(&str)) -> Result<Table, Error> {
    let mut subjects = Vec::new();
    for name in &bench.systems {
        tell(&format!("starting {name}"));
        subjects.push(start(bench, name).await?);
    }
    let mut rows = Vec::new();
    for kind in &bench.kinds {
        for clients in &bench.clients {
            tell(&format!("{kind} with {clients} clients"));
            let mut samples: Vec<Vec<Sample>> = subjects.iter().map(|_| Vec::new()).collect();
            for _ in 0..bench.rounds {
                for (subject, samples) in subjects.iter_mut().zip(&mut samples) {
                    samples.push(turn(subject, *kind, *clients, bench.turn).await);
                }
            }
            rows.push(Row::new(*kind, *clients, samples));
        }
    }
    let names = subjects.iter().map(|subject| subject.name.clone()).collect();
    for mut subject in subjects {
        let stopped = tokio::task::spawn_blocking(move || subject.cluster.stop()).await;
        stopped.expect("stopping nodes does not panic");
    }
    Ok(Table { systems: names, turn: bench.turn, rounds: bench.rounds, rows })
}

/// The timers that etcd has by itself. Runs shorten them, so that elections fit between faults.
fn etcds_own() -> BTreeMap<String, String> {
    let setting = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    [("heartbeat-interval", "100"), ("election-timeout", "1000")].map(setting).into()
}

async fn start(bench: &Bench, name: &str) -> Result<Subject, Error> {
    let plan = Plan {
        system: name.to_owned(),
        nodes: bench.nodes,
        direct: true,
        settings: if name == "raft" { bench.settings.clone() } else { etcds_own() },
        out: bench.out.clone(),
        ..Plan::default()
    };
    let system = system::find(name)?;
    let folder = Folder::create(&plan, std::time::SystemTime::now())?;
    let cluster = Cluster::start(system, &plan, &folder).await?;
    let leader = cluster
        .probes()
        .leader()
        .await
        .ok_or_else(|| Error::NotReady { seconds: 0, missing: format!("a leader of {name}") })?;
    let subject = Subject { name: name.to_owned(), cluster, leader };
    let address = subject.cluster.addresses()[&subject.leader];
    load::fill(address, KEYS, VALUE).await.map_err(|what| Error::Nonsense { node: leader, what })?;
    Ok(subject)
}

/// One turn: a load on the leader for so long, and what it cost all nodes.
async fn turn(subject: &mut Subject, kind: Kind, clients: usize, length: Duration) -> Sample {
    let address = subject.cluster.addresses()[&subject.leader];
    let pids: Vec<u32> = subject.cluster.table().values().filter_map(|(_, _, pid)| *pid).collect();
    let pids = Arc::new(pids);
    let marks = Arc::clone(&pids);
    let load = load::Load { address, kind, clients, keys: KEYS, value: VALUE, warm: WARM, length };
    let (done, before, after) = load.run(move || Usage::of(&marks)).await;
    Sample {
        ops_per_second: f64::from(done.ops) / done.seconds,
        p50: done.latencies.permille(500).unwrap_or_default(),
        p99: done.latencies.permille(990).unwrap_or_default(),
        errors: done.errors,
        cpu_per_op: after.cpu.saturating_sub(before.cpu).checked_div(done.ops).unwrap_or_default(),
        memory: after.memory,
    }
}
