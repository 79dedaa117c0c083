//! What a node must be told before it starts.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use raft::NodeId;
use tonic::transport::Uri;
use wire::peer::About;

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
    /// Where other members are found, as far as the log has not said it yet.
    pub peers: BTreeMap<NodeId, String>,
    /// By URLs of other members, where this node dials instead: the way through a proxy.
    pub detours: BTreeMap<String, Uri>,
    /// What the others should know of this node.
    pub about: About,
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
    pub fn new(
        replica: replica::Config,
        folder: impl Into<PathBuf>,
        peers: BTreeMap<NodeId, String>,
    ) -> Config {
        Config {
            replica,
            folder: folder.into(),
            disk: DiskKind::Real,
            sync_delay: Duration::ZERO,
            peers,
            detours: BTreeMap::new(),
            about: About::default(),
            queue: 8192,
            retry: Retry { first: Duration::from_millis(20), longest: Duration::from_millis(500) },
        }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.replica.identity.node
    }
}

/// The detour to an address, if there is one.
pub(crate) fn detour(detours: &BTreeMap<String, Uri>, url: &str) -> Option<Uri> {
    detours.get(url).or_else(|| detours.get(url.trim_end_matches('/'))).cloned()
}

/// Where a node listens. Bound by the caller, who can say best what to do when a port is in use.
#[derive(Debug)]
pub struct Doors {
    /// For peers.
    pub peers: TcpListener,
    /// For operators: health and metrics.
    pub admin: Option<TcpListener>,
}
