//! How long nobody is served when a leader dies, as a client sees it.
//!
//! Again and again the leader is killed by SIGKILL, and a client that knows all nodes tries to write through each of
//! those that are left, all at once and again as soon as one refuses. What counts is the time from the signal to the
//! first acknowledgement. Then the dead one is started again, and the next kill waits until all serve.
//!
//! All systems have the settings that they have by themselves: how soon the dead are missed is what an election timeout
//! is for, and a longer one is a choice, with its price. Who is killed first alternates, as everywhere in a
//! measurement, and no proxy stands between the nodes.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use nemesis::{NodeId, Target as _};
use serde::Serialize;
use tokio::time::timeout;
use wire::etcdserverpb::PutRequest;
use wire::etcdserverpb::kv_client::KvClient;

use super::{Contender, ELECTION, GLANCE, order};
use crate::cluster::Cluster;
use crate::error::Error;
use crate::etcd;
use crate::folder::Folder;
use crate::plan::Plan;

/// How long the client waits for one answer before it asks that node again.
const ANSWER: Duration = Duration::from_secs(1);
/// How soon it asks again where it was refused.
const AGAIN: Duration = Duration::from_millis(2);
/// When it gives up, and the measurement with it.
const LONGEST: Duration = Duration::from_secs(30);
/// How long all is left in peace between a recovery and the next kill.
const PEACE: Duration = Duration::from_millis(500);

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Failover {
    /// Whose leaders die.
    pub systems: Vec<Contender>,
    /// How many nodes of each.
    pub nodes: u16,
    /// How many leaders of each.
    pub kills: usize,
    /// Where nodes keep their data meanwhile.
    pub out: PathBuf,
}

/// How long each system served nobody.
#[derive(Clone, Debug, Serialize)]
pub struct Outages {
    /// By system, in the order asked for.
    pub systems: Vec<Outage>,
}

/// How long one system served nobody.
#[derive(Clone, Debug, Serialize)]
pub struct Outage {
    /// Which.
    pub system: Contender,
    /// Each time, in milliseconds, in the order of the kills.
    pub millis: Vec<f64>,
    /// Half of them were at most this.
    pub median_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// Measures. `tell` hears a line after each kill.
pub async fn failover(asked: &Failover, tell: impl Fn(&str)) -> Result<Outages, Error> {
    let mut subjects = Vec::new();
    for contender in &asked.systems {
        let plan = Plan {
            system: contender.system.clone(),
            bin: contender.bin.clone(),
            nodes: asked.nodes,
            direct: true,
            settings: contender.settings.clone(),
            out: asked.out.clone(),
            ..Plan::default()
        };
        let system = plan.check()?;
        let folder = Folder::create(&plan, SystemTime::now())?;
        tell(&format!("starting {}", plan.system));
        subjects.push((Cluster::start(system, &plan, &folder).await?, Vec::new()));
    }
    for round in 0..asked.kills {
        for at in order(round, subjects.len()) {
            let system = &asked.systems[at].system;
            let (cluster, times) = subjects.remove(at);
            let (cluster, outage) = once(cluster, system).await;
            let millis = outage?.as_secs_f64() * 1e3;
            tell(&format!("{system}: kill {} of {}: {millis:.0} ms", round + 1, asked.kills));
            let times: Vec<f64> = times.into_iter().chain([millis]).collect();
            subjects.insert(at, (cluster, times));
        }
    }
    let mut systems = Vec::new();
    for ((mut cluster, millis), system) in subjects.into_iter().zip(&asked.systems) {
        let stopped = tokio::task::spawn_blocking(move || cluster.stop()).await;
        stopped.expect("stopping nodes does not panic");
        systems.push(Outage::new(system.clone(), millis));
    }
    Ok(Outages { systems })
}

/// One leader dies, and comes back. The cluster is handed back, whatever came of it.
async fn once(mut cluster: Cluster, system: &str) -> (Cluster, Result<Duration, Error>) {
    let leader = match lead(&mut cluster, system).await {
        Ok(leader) => leader,
        Err(error) => return (cluster, Err(error)),
    };
    let others: Vec<SocketAddr> = cluster
        .addresses()
        .into_iter()
        .filter(|(node, _)| *node != leader)
        .map(|(_, address)| address)
        .collect();
    // The connections are there before, as those of a client that has been served would be.
    let clients: Vec<_> = others.into_iter().map(|address| KvClient::new(etcd::channel(address))).collect();
    for client in &clients {
        let _ = timeout(ANSWER, client.clone().put(put())).await;
    }
    let fault = |source| Error::Fault { fault: format!("kill {leader}"), source };
    let killing = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        let killed = cluster.kill(&[leader].into());
        (cluster, began, killed)
    });
    let (mut cluster, began, killed) = killing.await.expect("killing does not panic");
    if let Err(source) = killed {
        return (cluster, Err(fault(source)));
    }
    let mut trying: FuturesUnordered<_> = clients.into_iter().map(write).collect();
    let served = timeout(LONGEST, trying.next()).await.is_ok();
    let outage = began.elapsed();
    drop(trying);
    let starting = tokio::task::spawn_blocking(move || {
        let started = cluster.restart(&[leader].into());
        (cluster, started)
    });
    let (back, started) = starting.await.expect("starting does not panic");
    cluster = back;
    let missing = |missing| Error::NotReady { seconds: LONGEST.as_secs(), missing };
    let result = match started {
        Err(source) => Err(fault(source)),
        Ok(_) if !served => Err(missing(format!("{system} without {leader}"))),
        Ok(_) => Ok(outage),
    };
    let unhealthy = cluster.await_health(LONGEST).await;
    if result.is_ok() && !unhealthy.is_empty() {
        let who = itertools::join(unhealthy, " ");
        return (cluster, Err(missing(format!("{who} of {system}"))));
    }
    tokio::time::sleep(PEACE).await;
    (cluster, result)
}

/// Until it is acknowledged.
async fn write(client: KvClient<tonic::transport::Channel>) {
    loop {
        match timeout(ANSWER, client.clone().put(put())).await {
            Ok(Ok(_)) => return,
            Ok(Err(_)) => tokio::time::sleep(AGAIN).await,
            Err(_elapsed) => {}
        }
    }
}

fn put() -> PutRequest {
    PutRequest { key: "failover".into(), value: "1".into(), ..PutRequest::default() }
}

async fn lead(cluster: &mut Cluster, system: &str) -> Result<NodeId, Error> {
    let deadline = Instant::now() + ELECTION;
    loop {
        if let Some(seen) = cluster.probes().sighting().await {
            return Ok(seen.leader);
        }
        if let Some(obituary) = cluster.obituaries().into_iter().next() {
            return Err(Error::Died { system: system.to_owned(), obituary });
        }
        if Instant::now() >= deadline {
            let missing = format!("a leader of {system}");
            return Err(Error::NotReady { seconds: ELECTION.as_secs(), missing });
        }
        tokio::time::sleep(GLANCE).await;
    }
}

impl Outage {
    fn new(system: Contender, millis: Vec<f64>) -> Outage {
        let mut sorted = millis.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |place: usize| sorted.get(place).copied().unwrap_or_default();
        let last = sorted.len().saturating_sub(1);
        let median_ms = f64::midpoint(at(last / 2), at(sorted.len() / 2));
        Outage { system, median_ms, max_ms: at(last), millis }
    }
}

impl fmt::Display for Outages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:12} {:>6} {:>10} {:>10}", "system", "kills", "median ms", "max ms")?;
        for Outage { system, millis, median_ms, max_ms } in &self.systems {
            write!(f, "\n{:12} {:>6} {median_ms:>10.0} {max_ms:>10.0}", system.system, millis.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle_and_the_longest_is_named() {
        let contender = || Contender { system: "raft".to_owned(), bin: None, settings: [].into() };
        let outage = Outage::new(contender(), vec![900.0, 300.0, 500.0, 400.0]);
        assert_eq!((outage.median_ms, outage.max_ms), (450.0, 900.0));
        let outage = Outage::new(contender(), vec![700.0]);
        let table = Outages { systems: vec![outage] }.to_string();
        assert!(table.lines().nth(1).is_some_and(|row| row.ends_with("700        700")), "{table}");
    }
}
