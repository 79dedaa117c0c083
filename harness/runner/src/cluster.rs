//! The nodes of a run: started, killed, paused, cut off from each other, and stopped.
//!
//! A cluster is what faults are carried out on. It holds the ports for the whole run, so that a killed
//! node finds its own again, and everything in it dies with it, and with the harness.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use itertools::Itertools as _;
use nemesis::{
    Birth, Death, Joining, Link, LinkCounts, NodeId, Nodes, ProcessState, Removal, Sever, Target, ids,
};
use nemesis_net::process::{Ending, describe};
use nemesis_net::{Launch, Network, Port, Process, Supervisor};
use tokio::runtime::Handle;

use crate::error::Error;
use crate::folder::Folder;
use crate::plan::Plan;
use crate::probe::Probes;
use crate::seats::Seats;
use crate::system::{Doors, Links, Map, System};

/// How long a cluster may take to come up.
const START: Duration = Duration::from_secs(30);
/// How long a restarted node may take to answer before the run goes on without waiting for it.
const RESTART: Duration = Duration::from_secs(10);
/// How long a node that is asked to stop may take, at the end of a run or in the middle of it.
const STOP: Duration = Duration::from_secs(5);
/// How often to look whether what is waited for has come.
const GLANCE: Duration = Duration::from_millis(20);
/// How much of a node's output goes into an error.
const LAST_LINES: usize = 12;

/// The nodes of a run.
pub struct Cluster {
    pub(crate) runtime: Handle,
    supervisor: Supervisor,
    network: Network,
    members: BTreeMap<NodeId, Member>,
    probes: Probes,
    /// Of those that had ended before the nemesis came for them.
    obituaries: Vec<String>,
    /// Who sits where, if it is not as it was at the start.
    pub(crate) seats: Seats,
    /// Bytes that kills took, since they were not synced; of nodes whose disk counts them.
    lost: BTreeMap<NodeId, u64>,
}

struct Member {
    launch: Launch,
    /// What starts a new member in its place.
    joining: Launch,
    /// Where the others find it.
    url: String,
    doors: Doors,
    /// None before the start, and from its death by the nemesis to its restart.
    process: Option<Process>,
    /// Bound as long as the cluster lives.
    _ports: Vec<Port>,
}

impl Cluster {
    /// Starts all nodes, and returns when each of them serves.
    pub async fn start(system: &dyn System, plan: &Plan, folder: &Folder) -> Result<Cluster, Error> {
        let nodes = ids::cluster(plan.nodes);
        let mut doors = BTreeMap::new();
        let mut ports = BTreeMap::new();
        for node in &nodes {
            let (found, kept) = open_doors(folder.node(*node)?)?;
            doors.insert(*node, found);
            ports.insert(*node, kept);
        }
        let pairs = nodes.iter().copied().permutations(2).map(|pair| Link::new(pair[0], pair[1]));
        let links: Vec<(Link, SocketAddr)> = pairs.map(|link| (link, doors[&link.to].peer)).collect();
        let network = match system.links() {
            _ if plan.direct => Network::open([]).await?,
            Links::PerPair => Network::open(links.iter().copied()).await?,
            Links::PerDestination => {
                let peers = doors.iter().map(|(node, doors)| (*node, doors.peer)).collect();
                Network::open_shared(&peers).await?
            }
        };
        network.lengthen(plan.link_delay);
        let entrance = |(link, peer): &(Link, SocketAddr)| {
            let through = network.entrance(*link);
            (*link, if plan.direct { *peer } else { through.expect("every link was just opened") })
        };
        let dial = links.iter().map(entrance).collect();
        let map = Map { token: token(plan, folder), nodes: doors, dial };

        let member = |node: NodeId| {
            let doors = map.nodes[&node].clone();
            let output = |name: &str| doors.folder.join(name);
            let launch = system.launch(node, &map, plan);
            let launch = Launch { stdout: output("stdout"), stderr: output("stderr"), ..launch };
            let (joining, url) = (system.joining(launch.clone()), system.known_as(node, &map));
            let ports = ports.remove(&node).expect("every node has ports");
            (node, Member { launch, joining, url, doors, process: None, _ports: ports })
        };
        let members: BTreeMap<NodeId, Member> = nodes.iter().copied().map(member).collect();
        let probes = Probes::new(members.iter().map(|(node, member)| (*node, member.doors.client)));
        let supervisor = Supervisor::start()?;
        let runtime = Handle::current();
        let (obituaries, seats, lost) = (Vec::new(), Seats::default(), BTreeMap::new());
        let mut cluster = Cluster { runtime, supervisor, network, members, probes, obituaries, seats, lost };
        for (node, member) in &mut cluster.members {
            let process = cluster.supervisor.spawn(member.launch.clone())?;
            cluster.network.owns(*node, process.pid());
            member.process = Some(process);
        }
        cluster.await_start().await?;
        Ok(cluster)
    }

    async fn await_start(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + START;
        loop {
            let missing = self.probes.missing().await;
            if missing.is_empty() {
                return Ok(());
            }
            if let Some((node, status)) = self.ended().into_iter().next() {
                let stderr = self.members[&node].launch.stderr.clone();
                let output = last_lines(&stderr);
                return Err(Error::Start { node, status, stderr, output });
            }
            if Instant::now() >= deadline {
                let missing = missing.iter().join(" ");
                return Err(Error::NotReady { seconds: START.as_secs(), missing });
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Waits until every node serves, at most so long, and not for the dead. Tells who does not.
    pub async fn await_health(&mut self, patience: Duration) -> Vec<NodeId> {
        let deadline = Instant::now() + patience;
        loop {
            let missing = self.probes.missing().await;
            let ended = self.ended();
            if missing.iter().all(|node| ended.contains_key(node)) || Instant::now() >= deadline {
                return missing;
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Every node that ended of something else than the nemesis, with its last words; those that a heal
    /// has started again since are not forgotten.
    pub fn obituaries(&mut self) -> Vec<String> {
        let mut all = self.obituaries.clone();
        let ended = self.ended().into_iter().filter(|(node, _)| !self.seats.is_doubtful(*node));
        all.extend(ended.map(|(node, status)| self.obituary(node, &describe(status))));
        all
    }

    /// What else makes a history without contradiction prove nothing: a seat that stayed empty, say.
    pub fn doubts(&self) -> Vec<String> {
        self.seats.doubts().to_vec()
    }

    /// What kills took from lossy disks, in words; nothing if there are none.
    pub fn losses(&self) -> Option<String> {
        if self.lost.is_empty() {
            return None;
        }
        let each = self.lost.iter().map(|(node, bytes)| format!("{bytes} on {node}"));
        Some(format!("bytes that were not synced and died in kills, at most: {}", each.format(", ")))
    }

    fn obituary(&self, node: NodeId, status: &str) -> String {
        let output = self.members.get(&node).map(|member| last_lines(&member.launch.stderr));
        let words = output.as_deref().and_then(|output| output.lines().last()).unwrap_or_default();
        format!("{node} ended by itself ({status}), saying: {words}")
    }

    /// Asks whom the nodes are, and who leads.
    pub fn probes(&self) -> Probes {
        self.probes.clone()
    }

    /// Where clients of each node connect.
    pub fn addresses(&self) -> BTreeMap<NodeId, SocketAddr> {
        self.members.iter().map(|(node, member)| (*node, member.doors.client)).collect()
    }

    /// What starts each node, where it listens, and its process.
    pub fn table(&self) -> BTreeMap<NodeId, (&Launch, &Doors, Option<u32>)> {
        let row = |member| {
            let Member { launch, doors, process, .. }: &Member = member;
            (launch, doors, process.as_ref().map(Process::pid))
        };
        self.members.iter().map(|(node, member)| (*node, row(member))).collect()
    }

    /// The nodes whose process has ended, and how, except those that the nemesis killed.
    fn ended(&mut self) -> BTreeMap<NodeId, ExitStatus> {
        let members = self.members.iter_mut();
        let ended = members.filter_map(|(node, member)| {
            let status = member.process.as_mut()?.ended().ok()??;
            Some((*node, status))
        });
        ended.collect()
    }

    /// Asks all nodes to stop, and kills those that will not.
    pub fn stop(&mut self) {
        std::thread::scope(|scope| {
            for process in self.members.values_mut().filter_map(|member| member.process.as_mut()) {
                scope.spawn(|| {
                    if let Err(error) = process.stop(STOP) {
                        tracing::warn!(pid = process.pid(), %error, "a node could not be stopped");
                    }
                });
            }
        });
    }

    /// Where the others find it.
    pub(crate) fn known_as(&mut self, node: NodeId) -> io::Result<String> {
        Ok(self.member(node)?.url.clone())
    }

    /// Its data.
    pub(crate) fn data(&mut self, node: NodeId) -> io::Result<PathBuf> {
        Ok(self.member(node)?.doors.folder.join("data"))
    }

    /// Its process, which is nobody's from now on.
    pub(crate) fn take(&mut self, node: NodeId) -> io::Result<Option<Process>> {
        Ok(self.member(node)?.process.take())
    }

    /// Starts the first process of a new member there, and tells its number. From now on, it is started like that.
    pub(crate) fn seat(&mut self, node: NodeId) -> io::Result<u32> {
        let member = self.member(node)?;
        member.launch = member.joining.clone();
        self.spawn(node)
    }

    /// Starts a process of the member there, and tells its number.
    pub(crate) fn spawn(&mut self, node: NodeId) -> io::Result<u32> {
        let supervisor = self.supervisor.clone();
        let member = self.member(node)?;
        let process = supervisor.spawn(member.launch.clone()).map_err(io::Error::other)?;
        let pid = process.pid();
        member.process = Some(process);
        self.network.owns(node, pid); // at once: it may dial before the next one is started
        Ok(pid)
    }

    /// Whether no process of the member there is running.
    pub(crate) fn has_ended(&mut self, node: NodeId) -> io::Result<bool> {
        match &mut self.member(node)?.process {
            Some(process) => Ok(process.ended()?.is_some()),
            None => Ok(true),
        }
    }

    /// Waits for what is asked of the nodes. Not for threads of the async runtime.
    pub(crate) fn wait_for<T>(&self, answer: impl Future<Output = T>) -> T {
        self.runtime.block_on(answer)
    }

    fn member(&mut self, node: NodeId) -> io::Result<&mut Member> {
        let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("there is no {node}"));
        self.members.get_mut(&node).ok_or_else(unknown)
    }

    /// What `ask` says of the processes of these nodes, without those that have ended.
    fn ask(
        &mut self,
        nodes: &Nodes,
        mut ask: impl FnMut(&mut Process) -> io::Result<Option<char>>,
    ) -> io::Result<Vec<ProcessState>> {
        let mut states = Vec::new();
        for node in nodes {
            if let Some(process) = &mut self.member(*node)?.process
                && let Some(state) = ask(process)?
            {
                states.push(ProcessState { node: *node, pid: process.pid(), state });
            }
        }
        Ok(states)
    }

    /// Waits until these answer at all: they may have no quorum to serve with.
    fn await_answer(&self, nodes: &Nodes) {
        let answer = async {
            for node in nodes {
                while self.probes.of(*node).status().await.is_none() {
                    tokio::time::sleep(GLANCE).await;
                }
            }
        };
        let late = self.wait_for(async { tokio::time::timeout(RESTART, answer).await });
        if late.is_err() {
            tracing::warn!(?nodes, "restarted, but not all of them answer");
        }
    }
}

/// Its calls wait, so they must not come from a thread of the async runtime.
impl Target for Cluster {
    fn sever(&mut self, links: &BTreeSet<Link>, how: Sever) -> io::Result<()> {
        self.network.sever(links, how)
    }

    fn mend(&mut self, links: &BTreeSet<Link>) -> io::Result<BTreeMap<Link, LinkCounts>> {
        self.network.mend(links)
    }

    fn kill(&mut self, nodes: &Nodes) -> io::Result<Vec<Death>> {
        let mut struck = Vec::new();
        for node in nodes {
            if let Some(mut process) = self.member(*node)?.process.take() {
                let earlier = process.strike()?;
                struck.push((*node, process, earlier));
            }
        }
        let mut deaths = Vec::new();
        for (node, mut process, earlier) in struck {
            let ending = process.wait(earlier)?;
            let (pid, status, killed) = (process.pid(), describe(ending.status), ending.killed());
            if !killed && !self.seats.is_doubtful(node) {
                self.obituaries.push(self.obituary(node, &status));
            }
            if let Some(bytes) = self.member(node)?.doors.unsynced() {
                *self.lost.entry(node).or_default() += bytes;
            }
            deaths.push(Death { node, pid, status, killed });
        }
        Ok(deaths)
    }

    fn stop(&mut self, nodes: &Nodes) -> io::Result<Vec<Death>> {
        let mut asked = Vec::new();
        for node in nodes {
            asked.extend(self.member(*node)?.process.take().map(|process| (*node, process)));
        }
        let endings: Vec<io::Result<Ending>> = std::thread::scope(|scope| {
            let stop = |(_, process): &mut (NodeId, Process)| process.stop(STOP);
            let threads: Vec<_> = asked.iter_mut().map(|asked| scope.spawn(move || stop(asked))).collect();
            threads.into_iter().map(|thread| thread.join().expect("stopping does not panic")).collect()
        });
        let mut deaths = Vec::new();
        for ((node, process), ending) in asked.into_iter().zip(endings) {
            let ending = ending?;
            let (pid, status, killed) = (process.pid(), describe(ending.status), ending.stopped());
            if ending.earlier && !self.seats.is_doubtful(node) {
                self.obituaries.push(self.obituary(node, &status));
            }
            deaths.push(Death { node, pid, status, killed });
        }
        Ok(deaths)
    }

    fn restart(&mut self, nodes: &Nodes) -> io::Result<Vec<Birth>> {
        let mut births = Vec::new();
        let taken: Nodes = nodes.iter().copied().filter(|node| !self.seats.is_empty(*node)).collect();
        for node in &taken {
            if self.has_ended(*node)? {
                births.push(Birth { node: *node, pid: self.spawn(*node)? });
            }
        }
        self.await_answer(&taken);
        Ok(births)
    }

    fn remove(&mut self, node: NodeId) -> io::Result<(Removal, Vec<Death>)> {
        self.remove_member(node)
    }

    fn join(&mut self, node: NodeId) -> io::Result<(Option<Joining>, Vec<Birth>)> {
        self.join_member(node)
    }

    fn pause(&mut self, nodes: &Nodes) -> io::Result<Vec<ProcessState>> {
        for node in nodes {
            if let Some(process) = &mut self.member(*node)?.process {
                process.pause()?;
            }
        }
        self.ask(nodes, Process::await_standstill)
    }

    fn states(&mut self, nodes: &Nodes) -> io::Result<Vec<ProcessState>> {
        self.ask(nodes, Process::state)
    }

    fn resume(&mut self, nodes: &Nodes) -> io::Result<Vec<ProcessState>> {
        self.ask(nodes, Process::resume)
    }
}

fn open_doors(folder: PathBuf) -> Result<(Doors, Vec<Port>), Error> {
    let reserve = || {
        let what = "a free port on loopback";
        Port::reserve().map_err(|source| Error::Machine { what, source })
    };
    let ports = [reserve()?, reserve()?, reserve()?];
    let [client, peer, metrics] = [0, 1, 2].map(|door: usize| ports[door].address());
    Ok((Doors { client, peer, metrics, folder }, ports.into()))
}

/// Different in every run on this machine, so that a node that strays is turned away.
fn token(plan: &Plan, folder: &Folder) -> String {
    let run = folder.path().file_name().unwrap_or_default().to_string_lossy();
    format!("{}-{run}-{}", plan.title(), std::process::id())
}

fn last_lines(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}
