//! How a system is started: data about programs and flags.

mod etcd;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use nemesis::{Kind, Link, NodeId};
use nemesis_net::Launch;

use crate::error::Error;
use crate::plan::{Disk, Plan};

pub use etcd::Etcd;

/// Where everything is: what a node must be told to find the others.
#[derive(Clone, Debug)]
pub struct Map {
    /// The cluster's name, different in every run.
    pub token: String,
    /// Every node, and where it listens.
    pub nodes: BTreeMap<NodeId, Doors>,
    /// Where `from` must dial to reach `to`: the entrance of that link's proxy. With
    /// [`Links::PerDestination`] it is the same for all who dial `to`.
    pub dial: BTreeMap<Link, SocketAddr>,
}

/// Where a node listens, and its folder.
#[derive(Clone, Debug)]
pub struct Doors {
    /// For clients.
    pub client: SocketAddr,
    /// For the other nodes, through the proxies.
    pub peer: SocketAddr,
    /// For metrics and health.
    pub metrics: SocketAddr,
    /// Its part of the run folder: its output, and `data`.
    pub folder: PathBuf,
}

impl Doors {
    /// How many bytes of a node's writes are in its memory alone, or were when it died. Only a lossy disk
    /// counts them.
    pub fn unsynced(&self) -> Option<u64> {
        std::fs::read_to_string(self.folder.join("data/.unsynced")).ok()?.trim().parse().ok()
    }
}

/// How far a system can be told where to find its peers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Links {
    /// Each node has addresses of its own for the others, so each link has an entrance of its own.
    PerPair,
    /// All nodes know each other by the same addresses, so all links to a node share one entrance.
    PerDestination,
}

/// A system is data about how to start it. One cluster starts, stops, kills and connects all of them.
pub trait System: Send + Sync {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// What it is, in a line.
    fn story(&self) -> &'static str;

    /// The faults that it can be given.
    fn faults(&self) -> &'static [Kind];

    /// How its nodes can be told to find each other.
    fn links(&self) -> Links {
        Links::PerPair
    }

    /// Settings that differ from its own defaults. What the plan says takes precedence.
    fn settings(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// Refuses what this system cannot do here, its own absence included.
    fn check(&self, _plan: &Plan) -> Result<(), Error> {
        Ok(())
    }

    /// What starts this node. Where its output goes is the cluster's to say.
    fn launch(&self, node: NodeId, map: &Map, plan: &Plan) -> Launch;

    /// The address by which the other members know this node, as a URL.
    fn known_as(&self, node: NodeId, map: &Map) -> String {
        url(map.nodes[&node].peer)
    }

    /// What starts a new member in the place of the one that is started so, in a cluster that runs already and has
    /// the same members otherwise.
    fn joining(&self, mut launch: Launch) -> Launch {
        launch.arguments.extend(["--initial-cluster-state", "existing"].map(OsString::from));
        launch
    }
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// The systems there are.
pub static SYSTEMS: [&dyn System; 2] = [&Raft, &Etcd];

/// The system of that name.
pub fn find(name: &str) -> Result<&'static dyn System, Error> {
    SYSTEMS.into_iter().find(|system| system.name() == name).ok_or_else(|| {
        let known: Vec<&str> = SYSTEMS.iter().map(|system| system.name()).collect();
        Error::Plan(format!("unknown system `{name}`; known: {}", known.join(", ")))
    })
}

/// `raft-node`: the flags of etcd, and one of our own for the proxies.
///
/// Unless another build is given, it is this very program under another name: `harness` carries its
/// servers in itself, so that one installed file is enough and both sides are of one build.
pub struct Raft;

impl System for Raft {
    fn name(&self) -> &'static str {
        "raft"
    }

    fn story(&self) -> &'static str {
        "raft-node: a replicated key-value store that speaks etcd v3"
    }

    fn faults(&self) -> &'static [Kind] {
        &Kind::REAL
    }

    fn launch(&self, node: NodeId, map: &Map, plan: &Plan) -> Launch {
        let doors = &map.nodes[&node];
        let members = map.nodes.iter().map(|(member, doors)| format!("{member}={}", url(doors.peer)));
        let mut flags: Vec<(String, OsString)> = vec![
            ("name".into(), node.to_string().into()),
            ("initial-cluster".into(), members.collect::<Vec<_>>().join(",").into()),
            ("initial-cluster-token".into(), map.token.clone().into()),
            ("listen-client-urls".into(), url(doors.client).into()),
            ("advertise-client-urls".into(), url(doors.client).into()),
            ("listen-peer-urls".into(), url(doors.peer).into()),
            ("listen-metrics-urls".into(), url(doors.metrics).into()),
            ("data-dir".into(), doors.folder.join("data").into()),
        ];
        let links = map.dial.iter().filter(|(link, _)| link.from == node);
        flags.extend(
            links.map(|(link, door)| ("peer-dial".into(), format!("{}={}", link.to, url(*door)).into())),
        );
        if plan.disk == Disk::Lossy {
            flags.push(("disk".into(), plan.disk.as_str().into()));
        }
        flags.extend(plan.bugs.iter().map(|bug| ("bug".into(), bug.into())));
        flags.extend(plan.settings_of(node).into_iter().map(|(key, value)| (key.to_owned(), value.into())));
        let arguments = flags.into_iter().flat_map(|(flag, value)| [format!("--{flag}").into(), value]);
        let (program, name) = match &plan.bin {
            Some(path) => (path.clone(), None),
            None => (PathBuf::from("/proc/self/exe"), Some("raft-node".into())),
        };
        Launch { program, name, arguments: arguments.collect(), ..Launch::default() }
    }
}

#[cfg(test)]
mod tests {
    use nemesis::ids::cluster;

    use super::*;

    #[test]
    fn a_node_is_told_the_same_members_as_the_others_and_dials_its_own_proxies() {
        let door = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let doors = |node: NodeId| Doors {
            client: door(1000 + node.0),
            peer: door(2000 + node.0),
            metrics: door(3000 + node.0),
            folder: PathBuf::from(format!("run/{node}")),
        };
        let links = [(1, 2), (2, 1)].map(|(from, to)| Link::new(NodeId(from), NodeId(to)));
        let map = Map {
            token: "t".to_owned(),
            nodes: cluster(2).into_iter().map(|node| (node, doors(node))).collect(),
            dial: links.into_iter().zip([door(4012), door(4021)]).collect(),
        };
        let plan = Plan { bugs: vec!["skip-read-quorum".to_owned()], ..Plan::default() };
        let launch = Raft.launch(NodeId(2), &map, &plan);
        let said: Vec<String> =
            launch.arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
        assert_eq!(
            said.join(" "),
            "--name n2 --initial-cluster n1=http://127.0.0.1:2001,n2=http://127.0.0.1:2002 \
             --initial-cluster-token t --listen-client-urls http://127.0.0.1:1002 \
             --advertise-client-urls http://127.0.0.1:1002 --listen-peer-urls http://127.0.0.1:2002 \
             --listen-metrics-urls http://127.0.0.1:3002 --data-dir run/n2/data \
             --peer-dial n1=http://127.0.0.1:4021 --bug skip-read-quorum"
        );
        assert_eq!(launch.name, Some("raft-node".into()));
        assert_eq!(Raft.known_as(NodeId(2), &map), "http://127.0.0.1:2002");
        let joining = Raft.joining(launch.clone()).arguments;
        assert!(joining.starts_with(&launch.arguments) && joining.ends_with(&["existing".into()]));
        let lossy = Raft.launch(NodeId(2), &map, &Plan { disk: Disk::Lossy, ..plan.clone() });
        assert!(lossy.arguments.windows(2).any(|pair| pair == ["--disk", "lossy"]), "{lossy:?}");
        let other = Raft.launch(NodeId(2), &map, &Plan { bin: Some("/opt/raft-node".into()), ..plan });
        assert_eq!((other.program, other.name), (PathBuf::from("/opt/raft-node"), None));
    }
}
