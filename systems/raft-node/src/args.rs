//! The command line: some of etcd's flags and a few more, checked before anything is touched.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use raft::{Bugs, Lease, NodeId};
use tonic::codegen::http::uri::InvalidUri;
use tonic::transport::Uri;
use tracing_subscriber::EnvFilter;
use wal::Identity;

use crate::members::{BadMembers, Members};
use crate::recover::Recover;

/// One node of a replicated key-value store that speaks the etcd v3 API.
///
/// Its flags are a subset of etcd's, and a few of its own; etcd's environment variables (`ETCD_NAME` and
/// so on) are not read. Without any flag, it is a cluster of one node on etcd's ports, and keeps its data
/// in ./default.raft.
#[derive(Parser, Clone, Debug)]
#[command(name = "raft-node", version, after_help = AFTER_HELP, max_term_width = 110, args_override_self = true)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct CommandLine {
    /// What to do offline; to run a node, nothing.
    #[command(subcommand)]
    pub command: Option<Offline>,
    /// The node to run.
    #[command(flatten)]
    pub args: Args,
}

/// What is done to data without a node.
#[derive(Subcommand, Clone, Debug)]
pub enum Offline {
    /// Begin a new cluster.
    Recover(Recover),
}

/// The flags of a node.
#[derive(Parser, Clone, Debug)]
pub struct Args {
    /// This node's name; it must stand in --initial-cluster
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub name: String,

    /// All nodes of the cluster and where they reach each other
    ///
    /// All nodes of a new cluster must be given the same list: they are numbered n1, n2, … by sorted name. A node that
    /// joins a cluster asks those on the list; a node that has data goes by that, and does not look at the list.
    /// [default: this node alone, at --initial-advertise-peer-urls]
    #[arg(long, value_name = "NAME=URL,…")]
    pub initial_cluster: Option<String>,

    /// The cluster's own name, so that nodes of two clusters never mix
    #[arg(long, value_name = "TEXT", default_value = "etcd-cluster")]
    pub initial_cluster_token: String,

    /// Whether the cluster begins now, or runs and has added this node; counts for the first start only
    #[arg(long, value_name = "STATE", default_value = "new")]
    pub initial_cluster_state: ClusterState,

    /// Where clients are served
    #[arg(long, value_name = "URL,…", value_delimiter = ',', default_value = "http://127.0.0.1:2379")]
    pub listen_client_urls: Vec<String>,

    /// Where clients are told to find this node [default: as --listen-client-urls]
    #[arg(long, value_name = "URL,…", value_delimiter = ',')]
    pub advertise_client_urls: Vec<String>,

    /// Where the other nodes are heard
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:2380")]
    pub listen_peer_urls: String,

    /// Where the other nodes find this one [default: as in --initial-cluster]
    #[arg(long, value_name = "URL,…", value_delimiter = ',')]
    pub initial_advertise_peer_urls: Vec<String>,

    /// Where metrics and health are served over HTTP [default: nowhere]
    #[arg(long, value_name = "URL")]
    pub listen_metrics_urls: Option<String>,

    /// The folder of this node's data; made if it is missing [default: NAME.raft]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// How often a leader shows that it is there, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub heartbeat_interval: u64,

    /// How much longer than the disk needs every sync takes, in milliseconds: for measurements only
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub sync_delay: u64,

    /// What becomes of unsynced writes when this process is killed; for tests
    #[arg(long, value_name = "KIND", default_value = "real")]
    pub disk: Disk,

    /// How long a node waits for a leader, in milliseconds; each time drawn between once and twice this
    #[arg(long, value_name = "MS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(5..=600_000))]
    pub election_timeout: u64,

    /// Answer reads by a lease: trust that no clock is faster or slower than another by so many thousandths
    ///
    /// A leader then need not ask the others for each read. It rests on all nodes having the same --election-timeout, and
    /// clocks that keep to this. [default: no leases]
    #[arg(long, value_name = "THOUSANDTHS", value_parser = clap::value_parser!(u32).range(0..=400))]
    pub read_lease: Option<u32>,

    /// After how many entries of the log a snapshot is taken, and the log cut
    #[arg(long, value_name = "ENTRIES", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub snapshot_count: u64,

    /// How many entries the log keeps behind a snapshot, so that a node that was away for a while need not fetch it
    #[arg(long, value_name = "ENTRIES", default_value_t = 5_000)]
    pub snapshot_catchup_entries: u64,

    /// How much of a snapshot is sent at once to a node that fetches it; one piece is under way at a time
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 10, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub snapshot_piece: u32,

    /// Where this node dials another one, instead of where --initial-cluster says (repeatable)
    #[arg(long, value_name = "NAME=URL")]
    pub peer_dial: Vec<String>,

    /// Make a famous mistake on purpose (repeatable); for testing those who should notice
    #[arg(long, value_name = "NAME")]
    pub bug: Vec<String>,

    /// How much is logged on standard error
    ///
    /// off, error, warn, info, debug, trace; or by part: `info,raft_node=debug`. The environment
    /// variable `RUST_LOG` has the last word.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: String,

    /// How it is logged
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

const AFTER_HELP: &str = "\
Exit code: 0 stopped (SIGINT, SIGTERM) or removed from the cluster, 3 fenced itself because data had been lost
           somewhere, 254 what was given is wrong (flags, a port in use, another node's data, no place in the
           cluster), 1 anything else.
Example:   raft-node --name n1 --initial-cluster n1=http://127.0.0.1:2380,n2=http://127.0.0.1:2480 \\
             --listen-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380";

/// Whether the cluster begins now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ClusterState {
    /// It begins with this list of nodes.
    New,
    /// It runs, and has added this node as a member.
    Existing,
}

/// What a kill does to what was not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Disk {
    /// The kernel keeps it, as always.
    Real,
    /// It dies with the process, so that a missing sync shows.
    Lossy,
}

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What to run, after all checks that need no network and no disk.
#[derive(Clone, Debug)]
pub struct Plan {
    /// This node's number, if the cluster begins now.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Whether the cluster begins now.
    pub state: ClusterState,
    /// Everyone, if the cluster begins now; else those who know everyone.
    pub members: Members,
    /// Where to listen for clients.
    pub client_listen: Vec<Listen>,
    /// Where clients are told to go.
    pub client_urls: Vec<String>,
    /// Where to listen for the other nodes.
    pub peer_listen: Listen,
    /// Where the other nodes find this one.
    pub peer_urls: Vec<String>,
    /// By addresses of other nodes, where to dial instead.
    pub detours: BTreeMap<String, Uri>,
    /// How much longer every sync takes.
    pub sync_delay: Duration,
    /// What a kill does to unsynced writes.
    pub disk: Disk,
    /// Where to serve metrics and health.
    pub metrics_listen: Option<Listen>,
    /// Where the data is.
    pub data_dir: PathBuf,
    /// How often a leader shows that it is there.
    pub heartbeat: Duration,
    /// How long to wait for a leader.
    pub election: (Duration, Duration),
    /// Whether reads rest on a lease.
    pub lease: Option<Lease>,
    /// After how many entries a snapshot is taken.
    pub snapshot_every: u64,
    /// How many are kept behind it.
    pub tail: u64,
    /// How many bytes of it are sent at once.
    pub snapshot_piece: usize,
    /// Mistakes to make.
    pub bugs: Bugs,
}

/// An address to listen on, and the words in which it was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listen {
    /// As it was given.
    pub url: String,
    /// What it means here.
    pub address: SocketAddr,
}

/// What is wrong with the flags.
#[derive(Debug, thiserror::Error)]
pub enum BadArgs {
    /// The list of nodes.
    #[error("--initial-cluster: {0}")]
    Members(#[from] BadMembers),
    /// This node is not in it.
    #[error("--name {name}: no such node in --initial-cluster ({known})")]
    NotAMember {
        /// The name.
        name: String,
        /// Those there are.
        known: String,
    },
    /// Two flags say different things about where this node is.
    #[error(
        "--initial-cluster says that {name} is at {listed}, --initial-advertise-peer-urls says {advertised}"
    )]
    Contradiction {
        /// The node.
        name: String,
        /// What one says.
        listed: String,
        /// What the other says.
        advertised: String,
    },
    /// An address that cannot be used.
    #[error("--{flag} {url}: {why}")]
    Url {
        /// Which flag.
        flag: &'static str,
        /// Its value.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A dialling rule for nobody, or for nowhere.
    #[error("--peer-dial {0}: not of the form NAME=URL, or no other node has that name")]
    PeerDial(String),
    /// Elections would start while the leader is well.
    #[error("--election-timeout {election} is less than five times --heartbeat-interval {heartbeat}")]
    Hasty {
        /// In milliseconds.
        election: u64,
        /// In milliseconds.
        heartbeat: u64,
    },
    /// Joining nobody.
    #[error("--initial-cluster-state existing: --initial-cluster names no other node to ask")]
    Alone,
    /// A name that says that the cluster was recovered.
    #[error("--initial-cluster-token {0}: must not contain `#`, which stands before the count of recoveries")]
    Token(String),
    /// Not a level of logging.
    #[error(
        "--log-level {given}: `{word}` is no level; levels are {}, and one for a part is raft_node=debug",
        LEVELS.join(", ")
    )]
    LogLevel {
        /// What was given.
        given: String,
        /// What of it is wrong.
        word: String,
    },
    /// No such mistake.
    #[error("--bug: {0}")]
    Bug(String),
}

/// How much can be logged, from nothing to everything.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Refuses what is no level. A filter takes a word that it does not know for the name of a part, and then logs
/// nothing but that.
fn log_level(given: &str) -> Result<(), BadArgs> {
    let bad = |word: &str| BadArgs::LogLevel { given: given.to_owned(), word: word.to_owned() };
    for directive in given.split(',') {
        let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level).trim();
        if !LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level)) {
            return Err(bad(level));
        }
    }
    EnvFilter::builder().parse(given).map(|_| ()).map_err(|_| bad(given))
}

impl Args {
    /// Checks what can be checked by looking at the flags.
    pub fn plan(&self) -> Result<Plan, BadArgs> {
        if !Identity::is_token(&self.initial_cluster_token) {
            return Err(BadArgs::Token(self.initial_cluster_token.clone()));
        }
        if self.election_timeout < 5 * self.heartbeat_interval {
            let (election, heartbeat) = (self.election_timeout, self.heartbeat_interval);
            return Err(BadArgs::Hasty { election, heartbeat });
        }
        log_level(&self.log_level)?;
        let peer_listen = listen("listen-peer-urls", &self.listen_peer_urls)?;
        let members = self.members()?;
        let own = members.named(&self.name).ok_or_else(|| {
            let known: Vec<&str> = members.iter().map(|member| &member.name[..]).collect();
            BadArgs::NotAMember { name: self.name.clone(), known: known.join(", ") }
        })?;
        if self.initial_cluster_state == ClusterState::Existing && members.iter().count() == 1 {
            return Err(BadArgs::Alone);
        }
        let election = Duration::from_millis(self.election_timeout);
        Ok(Plan {
            node: own.node,
            name: self.name.clone(),
            state: self.initial_cluster_state,
            peer_urls: own.peer_urls.iter().map(|url| url.trim_end_matches('/').to_owned()).collect(),
            client_listen: self.client_listen()?,
            client_urls: self.client_urls()?,
            peer_listen,
            detours: self.detours(&members, own.node)?,
            sync_delay: Duration::from_millis(self.sync_delay),
            disk: self.disk,
            metrics_listen: self.metrics_listen()?,
            data_dir: self.data_dir.clone().unwrap_or_else(|| PathBuf::from(format!("{}.raft", self.name))),
            heartbeat: Duration::from_millis(self.heartbeat_interval),
            election: (election, election * 2),
            lease: self.read_lease.map(|drift| Lease { drift }),
            snapshot_every: self.snapshot_count,
            tail: self.snapshot_catchup_entries,
            snapshot_piece: self.snapshot_piece as usize,
            bugs: bugs(&self.bug)?,
            members,
        })
    }

    fn members(&self) -> Result<Members, BadArgs> {
        let advertised = &self.initial_advertise_peer_urls;
        for url in advertised {
            host_and_port("initial-advertise-peer-urls", url)?;
        }
        let alone = || {
            let own = std::slice::from_ref(&self.listen_peer_urls);
            let urls = if advertised.is_empty() { own } else { advertised };
            let items: Vec<String> = urls.iter().map(|url| format!("{}={url}", self.name)).collect();
            items.join(",")
        };
        let list = self.initial_cluster.clone().unwrap_or_else(alone);
        let members = Members::parse(&self.initial_cluster_token, &list)?;
        if let Some(member) = members.named(&self.name)
            && !advertised.is_empty()
            && member.peer_urls != *advertised
        {
            return Err(BadArgs::Contradiction {
                name: self.name.clone(),
                listed: member.peer_urls.join(","),
                advertised: advertised.join(","),
            });
        }
        for url in members.iter().flat_map(|member| &member.peer_urls) {
            host_and_port("initial-cluster", url)?;
        }
        Ok(members)
    }

    fn client_urls(&self) -> Result<Vec<String>, BadArgs> {
        for url in &self.advertise_client_urls {
            host_and_port("advertise-client-urls", url)?;
        }
        let given = !self.advertise_client_urls.is_empty();
        Ok(if given { self.advertise_client_urls.clone() } else { self.listen_client_urls.clone() })
    }

    fn client_listen(&self) -> Result<Vec<Listen>, BadArgs> {
        self.listen_client_urls.iter().map(|url| listen("listen-client-urls", url)).collect()
    }

    fn metrics_listen(&self) -> Result<Option<Listen>, BadArgs> {
        self.listen_metrics_urls.as_ref().map(|url| listen("listen-metrics-urls", url)).transpose()
    }

    fn detours(&self, members: &Members, own: NodeId) -> Result<BTreeMap<String, Uri>, BadArgs> {
        let mut detours = BTreeMap::new();
        for rule in &self.peer_dial {
            let bad = || BadArgs::PeerDial(rule.clone());
            let (name, url) = rule.split_once('=').ok_or_else(bad)?;
            let member = members.named(name).filter(|member| member.node != own).ok_or_else(bad)?;
            let uri = uri("peer-dial", url)?;
            let urls = member.peer_urls.iter().map(|url| url.trim_end_matches('/').to_owned());
            detours.extend(urls.map(|url| (url, uri.clone())));
        }
        Ok(detours)
    }
}

impl Plan {
    /// Where the other nodes on the list are.
    pub(crate) fn others(&self) -> Vec<String> {
        let others = self.members.iter().filter(|member| member.node != self.node);
        others.map(|member| member.peer_urls[0].clone()).collect()
    }
}

/// `http://host:port`, and nothing behind it but perhaps a slash. TLS is not served.
pub(crate) fn host_and_port<'a>(flag: &'static str, url: &'a str) -> Result<&'a str, BadArgs> {
    let bad = |why: &str| BadArgs::Url { flag, url: url.to_owned(), why: why.to_owned() };
    let rest = match url.split_once("://") {
        Some(("http", rest)) => rest.trim_end_matches('/'),
        Some(("https", _)) => return Err(bad("TLS is not served; use http://")),
        _ => return Err(bad("not of the form http://host:port")),
    };
    match rest.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() && !rest.contains('/') => {
            Ok(rest)
        }
        _ => Err(bad("not of the form http://host:port")),
    }
}

pub(crate) fn uri(flag: &'static str, url: &str) -> Result<Uri, BadArgs> {
    host_and_port(flag, url)?;
    url.parse().map_err(|why: InvalidUri| BadArgs::Url { flag, url: url.to_owned(), why: why.to_string() })
}

fn listen(flag: &'static str, url: &str) -> Result<Listen, BadArgs> {
    let bad = |why: String| BadArgs::Url { flag, url: url.to_owned(), why };
    let mut found = host_and_port(flag, url)?.to_socket_addrs().map_err(|why| bad(why.to_string()))?;
    let address = found.next().ok_or_else(|| bad("the host has no address".to_owned()))?;
    Ok(Listen { url: url.to_owned(), address })
}

#[cfg(feature = "bugs")]
fn bugs(names: &[String]) -> Result<Bugs, BadArgs> {
    let parse =
        |name: &String| name.parse().map_err(|why: raft::bug::UnknownBug| BadArgs::Bug(why.to_string()));
    Ok(Bugs::of(names.iter().map(parse).collect::<Result<Vec<raft::Bug>, _>>()?))
}

#[cfg(not(feature = "bugs"))]
fn bugs(names: &[String]) -> Result<Bugs, BadArgs> {
    match names.first() {
        None => Ok(Bugs::none()),
        Some(name) => Err(BadArgs::Bug(format!("{name}: this build has no bugs to switch on"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(flags: &[&str]) -> Result<Plan, BadArgs> {
        Args::try_parse_from(std::iter::once(&"raft-node").chain(flags)).unwrap().plan()
    }

    fn complaint(flags: &[&str]) -> String {
        plan(flags).expect_err("these flags are wrong").to_string()
    }

    #[test]
    fn without_any_flag_it_is_a_cluster_of_one_on_the_ports_of_etcd() {
        let plan = plan(&[]).unwrap();
        assert_eq!((plan.node, &plan.name[..]), (NodeId(1), "default"));
        assert_eq!(plan.client_listen[0].address.port(), 2379);
        assert_eq!(plan.peer_listen.address.port(), 2380);
        assert_eq!(plan.data_dir, PathBuf::from("default.raft"));
        assert!(plan.others().is_empty() && plan.detours.is_empty() && plan.metrics_listen.is_none());
        assert_eq!(plan.client_urls, ["http://127.0.0.1:2379"]);
    }

    const THREE: &str = "n1=http://127.0.0.1:1,n2=http://127.0.0.1:2,n3=http://127.0.0.1:3";

    #[test]
    fn a_node_dials_all_others_where_it_is_told() {
        let flags = ["--name", "n2", "--initial-cluster", THREE, "--peer-dial", "n3=http://127.0.0.1:9"];
        let plan = plan(&flags).unwrap();
        let at = |port| format!("http://127.0.0.1:{port}");
        assert_eq!(plan.others(), [at(1), at(3)]);
        assert_eq!(plan.detours, BTreeMap::from([(at(3), Uri::try_from(at(9)).unwrap())]));
        assert_eq!(plan.data_dir, PathBuf::from("n2.raft"));
    }

    #[test]
    fn a_wrong_flag_is_named() {
        let cluster = |flags: &[&'static str]| {
            complaint(&[&["--name", "n1", "--initial-cluster", THREE][..], flags].concat())
        };
        assert!(complaint(&["--initial-cluster", THREE]).contains("--name default: no such node"));
        assert!(complaint(&["--initial-cluster", "default"]).contains("--initial-cluster: \"default\""));
        assert!(cluster(&["--peer-dial", "n1=http://127.0.0.1:9"]).contains("--peer-dial n1="), "itself");
        assert!(cluster(&["--peer-dial", "n9=http://127.0.0.1:9"]).contains("--peer-dial n9="));
        assert!(complaint(&["--listen-client-urls", "https://127.0.0.1:1"]).contains("TLS"));
        assert!(complaint(&["--listen-peer-urls", "127.0.0.1:1"]).contains("--listen-peer-urls 127.0.0.1:1"));
        assert!(complaint(&["--advertise-client-urls", "http://h:1/path"]).contains("http://host:port"));
        assert!(complaint(&["--election-timeout", "100"]).contains("--election-timeout 100"));
        assert!(complaint(&["--initial-cluster-state", "existing"]).contains("no other node to ask"));
        assert!(complaint(&["--initial-cluster-token", "a#1"]).contains("--initial-cluster-token a#1"));
        assert!(complaint(&["--log-level", "raft_node=loud"]).contains("--log-level raft_node=loud: `loud`"));
        let misspelt = complaint(&["--log-level", "inof"]);
        assert!(misspelt.contains("--log-level inof: `inof` is no level; levels are off, error, warn, info"));
        assert!(complaint(&["--log-level", "info,raft_node"]).contains("`raft_node` is no level"));
        assert!(complaint(&["--bug", "off-by-one"]).contains("off-by-one"));
        let elsewhere = ["--initial-advertise-peer-urls", "http://127.0.0.1:7"];
        assert!(cluster(&elsewhere).contains("http://127.0.0.1:7"));
    }

    #[cfg(feature = "bugs")]
    #[test]
    fn bugs_are_switched_on_by_name() {
        let plan = plan(&["--bug", "skip-read-quorum"]).unwrap();
        assert!(plan.bugs.has(raft::Bug::SkipReadQuorum));
        assert!(!plan.bugs.has(raft::Bug::AckBeforeQuorum));
    }
}
