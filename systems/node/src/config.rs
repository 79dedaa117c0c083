//! What a node must be told before it starts.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use raft::NodeId;
use tonic::transport::Uri;

/// How a node lives among its peers.
#[derive(Clone, Debug)]
pub struct Config {
    /// The replica's own part: who it is, who votes, how patient it is.
    pub replica: replica::Config,
    /// Where its log is kept.
    pub folder: PathBuf,
    /// What a kill does to it.
    pub disk: DiskKind,
    /// How much longer than the disk needs every sync shall take: nothing, but for measurements.
    pub sync_delay: Duration,
    /// Where the other members listen for peers.
    pub peers: BTreeMap<NodeId, Uri>,
    /// Where this node dials instead, for some of them: the way through a proxy.
    pub peer_dial: BTreeMap<NodeId, Uri>,
    /// Where clients find this node: what it tells the others about itself.
    pub client_urls: Vec<String>,
    /// How many calls and envelopes may wait for the replica.
    pub queue: usize,
    /// How long to wait before a peer that does not answer is dialled again.
    pub retry: Retry,
}

/// What becomes of unsynced writes when the process is killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DiskKind {
    /// The kernel has them, and keeps them.
    #[default]
    Real,
    /// They die with the process, so that a missing sync shows: for tests.
    Lossy,
}

/// Waiting that doubles from one bound to the other, and starts again after a success.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retry {
    /// After the first failure.
    pub first: Duration,
    /// At most.
    pub longest: Duration,
}

impl Config {
    /// The usual queue and patience.
    pub fn new(replica: replica::Config, folder: impl Into<PathBuf>, peers: BTreeMap<NodeId, Uri>) -> Config {
        Config {
            replica,
            folder: folder.into(),
            disk: DiskKind::Real,
            sync_delay: Duration::ZERO,
            peers,
            peer_dial: BTreeMap::new(),
            client_urls: Vec::new(),
            queue: 8192,
            retry: Retry { first: Duration::from_millis(20), longest: Duration::from_millis(500) },
        }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.replica.identity.node
    }

    pub(crate) fn dial(&self, peer: NodeId) -> Option<&Uri> {
        self.peer_dial.get(&peer).or_else(|| self.peers.get(&peer))
    }
}

/// Where a node listens. Bound by the caller, who can say best what to do when a port is in use.
#[derive(Debug)]
pub struct Doors {
    /// For peers.
    pub peers: TcpListener,
    /// For operators: health and metrics.
    pub admin: Option<TcpListener>,
}
