//! The receiving side of links.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use raft::{NodeId, StateMachine, codec};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};
use wire::peer::peer_server::{Peer, PeerServer};
use wire::peer::{Frames, Nothing};

use crate::config::Config;
use crate::handle::{self, Machine, Queue};
use crate::shared::Shared;
use crate::start::Tasks;

/// The largest frame that is read. One entry can be as large as the core allows a command to be.
const LARGEST: usize = 64 << 20;
/// What a peer may have under way before this node has read it.
const WINDOW: u32 = 4 << 20;

/// Takes in what peers say.
pub(crate) struct Incoming<M: StateMachine> {
    door: Door,
    queue: Queue<M>,
    shared: Arc<Shared>,
    tasks: Tasks,
}

/// Who may come in.
#[derive(Clone, Debug)]
struct Door {
    cluster: String,
    id: NodeId,
    peers: BTreeSet<NodeId>,
}

impl Door {
    /// The sender of these frames, if it is one of ours.
    fn admit(&self, frames: &Frames) -> Result<NodeId, String> {
        let sender = u16::try_from(frames.from).map(NodeId);
        let name = sender.map_or_else(|_| frames.from.to_string(), |sender| sender.to_string());
        if frames.cluster != self.cluster {
            return Err(format!(
                "{name} of cluster {:?} calls {} of cluster {:?}",
                frames.cluster, self.id, self.cluster
            ));
        }
        sender.ok().filter(|sender| self.peers.contains(sender)).ok_or_else(|| {
            format!("{name} calls {}, and is no peer of it in cluster {:?}", self.id, self.cluster)
        })
    }
}

impl<M: StateMachine> Incoming<M> {
    pub(crate) fn new(config: &Config, queue: Queue<M>, shared: Arc<Shared>, tasks: Tasks) -> Incoming<M> {
        let id = config.id();
        let peers = config.replica.membership.nodes().into_iter().filter(|peer| *peer != id).collect();
        let door = Door { cluster: config.replica.identity.cluster.clone(), id, peers };
        Incoming { door, queue, shared, tasks }
    }
}

#[tonic::async_trait]
impl<M: Machine> Peer for Incoming<M> {
    type LinkStream = Pin<Box<dyn Stream<Item = Result<Nothing, Status>> + Send>>;

    async fn link(&self, request: Request<Streaming<Frames>>) -> Result<Response<Self::LinkStream>, Status> {
        let address = request.remote_addr();
        let mut frames = request.into_inner();
        let mut first = frames.message().await?.ok_or_else(|| Status::invalid_argument("no frame came"))?;
        let peer = self.door.admit(&first).map_err(|why| {
            self.shared.counters.refused_links.add(1);
            tracing::warn!(?address, why, "link refused");
            Status::permission_denied(why)
        })?;
        tracing::info!(node = %self.door.id, %peer, boot = first.boot, "peer has linked");
        self.shared.introduce(peer, std::mem::take(&mut first.client_urls));
        let (answer, answers) = mpsc::channel(1);
        let (door, queue, shared) = (self.door.clone(), self.queue.clone(), Arc::clone(&self.shared));
        self.tasks.spawn(async move {
            let end = receive::<M>(&door, peer, first, &mut frames, &queue, &shared).await;
            if let Err(status) = end {
                tracing::info!(node = %door.id, %peer, reason = status.message(), "peer's link ended");
                // The connection may be gone; then nobody needs to be told.
                let _ = answer.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }
}

/// Reads frames until there are no more, or one that does not belong here.
async fn receive<M: StateMachine>(
    door: &Door,
    peer: NodeId,
    first: Frames,
    frames: &mut Streaming<Frames>,
    queue: &Queue<M>,
    shared: &Shared,
) -> Result<(), Status> {
    let mut next = Some(first);
    while let Some(frame) = next {
        if door.admit(&frame).map_err(Status::permission_denied)? != peer {
            return Err(Status::permission_denied(format!(
                "a link of {peer} carries frames of another node"
            )));
        }
        shared.counters.received.add(frame.envelope.len());
        for bytes in frame.envelope {
            let envelope = codec::decode_envelope(bytes)
                .map_err(|error| Status::invalid_argument(format!("an envelope of {peer} {error}")))?;
            if envelope.from != peer || envelope.to != door.id {
                return Err(Status::invalid_argument(format!(
                    "a link from {peer} to {} carries {envelope}",
                    door.id
                )));
            }
            if queue.send(handle::Request::Peer(envelope)).await.is_err() {
                return Ok(());
            }
        }
        next = frames.message().await?;
    }
    Ok(())
}

/// Listens for peers until the node stops.
pub(crate) async fn listen<M: Machine>(
    listener: TcpListener,
    incoming: Incoming<M>,
    stop: CancellationToken,
) {
    let service = PeerServer::new(incoming).max_decoding_message_size(LARGEST);
    let served = Server::builder()
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .add_service(service)
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            stop.cancelled_owned(),
        )
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the peers' door has closed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(cluster: &str, from: u32) -> Frames {
        Frames { cluster: cluster.into(), from, boot: 1, ..Frames::default() }
    }

    #[test]
    fn strangers_are_refused_with_both_names() {
        let door = Door { cluster: "ours".into(), id: NodeId(1), peers: [NodeId(2), NodeId(3)].into() };
        assert_eq!(door.admit(&frames("ours", 2)), Ok(NodeId(2)));
        let other = door.admit(&frames("theirs", 2)).unwrap_err();
        assert!(other.contains("ours") && other.contains("theirs"), "{other}");
        for stranger in [1, 4, 70_000] {
            let refusal = door.admit(&frames("ours", stranger)).unwrap_err();
            assert!(refusal.contains("no peer"), "{refusal}");
        }
    }
}
