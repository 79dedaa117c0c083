//! Everything together: ports first, then the place in the cluster, then the node, then the doors; and down again in good order.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use futures_util::TryStreamExt;
use kv::Store;
use node::{About, DiskKind, Doors, End, StartError};
use raft::SessionId;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use wire::etcdserverpb::auth_server::AuthServer;
use wire::etcdserverpb::cluster_server::ClusterServer;
use wire::etcdserverpb::kv_server::KvServer;
use wire::etcdserverpb::maintenance_server::MaintenanceServer;

use crate::args::{Disk, Listen, Plan};
use crate::connection::Connection;
use crate::door::Door;
use crate::ids::Ids;
use crate::outgoing;
use crate::place::{self, Misplaced, Place};
use crate::refusal::MAX_REQUEST;
use crate::unserved::Names;

/// The largest message that is read at all. As in etcd, half a MiB more than a command may have, so
/// that most of what is too large is refused in etcd's words and not in the library's.
const MAX_MESSAGE: usize = MAX_REQUEST + 512 * 1024;
/// The largest answer. Whoever wants more must read in pages.
const MAX_ANSWER: usize = 256 * 1024 * 1024;
/// How many requests of one connection are worked on at once; the others wait in the client.
const MAX_STREAMS: u32 = 1024;
/// A client that says nothing for so long is asked whether it is there, and must answer as quickly.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// How long requests that are under way may take when the node is asked to stop.
const GRACE: Duration = Duration::from_secs(1);

/// Why the program does not run, or runs no more.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A port is in use, or not ours to use.
    #[error("cannot listen on {url}: {source}")]
    Listen {
        /// As it was given.
        url: String,
        /// What the system says.
        source: io::Error,
    },
    /// It does not belong where it was started.
    #[error(transparent)]
    Place(#[from] Misplaced),
    /// The data folder cannot be had.
    #[error(transparent)]
    Folder(wal::FolderError),
    /// The node does not start.
    #[error("{folder}: {source}")]
    Start {
        /// Its data folder.
        folder: String,
        /// Why.
        source: StartError,
    },
    /// The system withholds something that every program gets.
    #[error(transparent)]
    System(#[from] io::Error),
    /// A door has closed by itself.
    #[error("the door for clients has closed: {0}")]
    Door(#[from] tonic::transport::Error),
}

/// Runs a node until it is asked to stop, or cannot go on.
pub async fn serve(plan: Plan) -> Result<End, ServeError> {
    let clients: Vec<TcpListener> = plan.client_listen.iter().map(bind).collect::<Result<_, _>>()?;
    let admin = plan.metrics_listen.as_ref().map(bind).transpose()?;
    let folder = plan.data_dir.display().to_string();
    let place = place::find(&plan).await?;
    // Not before: others who begin at the same time ask this node, and shall hear at once that nobody is there yet.
    let doors = Doors { peers: bind(&plan.peer_listen)?, admin };
    let (own, ids) = (place.identity.node, Ids::of(&place.identity.cluster[..]));
    let started = node::start(config(&plan, place), doors, Store::new()).await;
    let handle = started.map_err(|why| match why {
        StartError::Folder(why) => ServeError::Folder(why),
        source => ServeError::Start { folder, source },
    })?;
    tracing::info!(node = %own, name = plan.name, clients = ?plan.client_urls, "ready");

    let door = Door::new(handle.clone(), own, ids);
    let closing = CancellationToken::new();
    let mut open = open(clients, &door, &closing)?;
    let end = tokio::select! {
        asked = node::asked_to_stop() => asked.map(|()| None)?,
        end = handle.ended() => Some(end),
        closed = first(&mut open) => return closed.map(|()| End::Broken),
    };
    closing.cancel();
    // Whoever does not finish in time is told by the node, which answers all who wait when it stops.
    let _ =
        tokio::time::timeout(GRACE, async { while first(&mut open).await.is_ok() && !open.is_empty() {} })
            .await;
    Ok(match end {
        Some(end) => end,
        None => handle.stop().await,
    })
}

fn bind(listen: &Listen) -> Result<TcpListener, ServeError> {
    let bound = TcpListener::bind(listen.address).and_then(|bound| {
        bound.set_nonblocking(true)?;
        Ok(bound)
    });
    bound.map_err(|source| ServeError::Listen { url: listen.url.clone(), source })
}

fn config(plan: &Plan, place: Place) -> node::Config {
    let Place { identity, membership, told } = place;
    let mut replica = replica::Config::new(identity, membership, SessionId(rand::random()));
    replica.heartbeat = plan.heartbeat;
    replica.election = plan.election;
    replica.lease = plan.lease;
    replica.snapshots.entries = plan.snapshot_every;
    replica.snapshots.piece = plan.snapshot_piece;
    replica.tail.usual = plan.tail;
    replica.tail.most = replica.tail.most.max(plan.tail);
    replica.bugs = plan.bugs;
    let mut config = node::Config::new(replica, plan.data_dir.clone(), told);
    config.detours.clone_from(&plan.detours);
    config.sync_delay = plan.sync_delay;
    config.disk = match plan.disk {
        Disk::Real => DiskKind::Real,
        Disk::Lossy => DiskKind::Lossy,
    };
    let (name, peer_urls, client_urls) =
        (plan.name.clone(), plan.peer_urls.clone(), plan.client_urls.clone());
    config.about = About { name, peer_urls, client_urls, ..About::default() };
    config
}

type Open = JoinSet<Result<(), tonic::transport::Error>>;

/// Opens one door for clients on each of these.
fn open(clients: Vec<TcpListener>, door: &Door, closing: &CancellationToken) -> Result<Open, ServeError> {
    let mut open = JoinSet::new();
    for listener in clients {
        let (_, health) = tonic_health::server::health_reporter();
        let services = Server::builder()
            .max_concurrent_streams(MAX_STREAMS)
            .concurrency_limit_per_connection(MAX_STREAMS as usize)
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .layer(tower::util::MapResponseLayer::new(outgoing::hold))
            .layer(Names)
            .add_service(health)
            .add_service(bounded_kv(door))
            .add_service(ClusterServer::new(door.clone()).max_decoding_message_size(MAX_MESSAGE))
            .add_service(MaintenanceServer::new(door.clone()).max_decoding_message_size(MAX_MESSAGE))
            .add_service(AuthServer::new(door.clone()).max_decoding_message_size(MAX_MESSAGE));
        let incoming =
            TcpIncoming::from(tokio::net::TcpListener::from_std(listener)?).with_nodelay(Some(true));
        let incoming = incoming.map_ok(Connection::new);
        open.spawn(services.serve_with_incoming_shutdown(incoming, closing.clone().cancelled_owned()));
    }
    Ok(open)
}

fn bounded_kv(door: &Door) -> KvServer<Door> {
    KvServer::new(door.clone()).max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_ANSWER)
}

/// Waits for the first door to close.
async fn first(open: &mut Open) -> Result<(), ServeError> {
    match open.join_next().await {
        Some(Ok(closed)) => Ok(closed?),
        Some(Err(broken)) => Err(ServeError::System(io::Error::other(broken))),
        None => Ok(()),
    }
}
