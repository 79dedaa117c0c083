//! The receiving side of links.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::Stream;
use prost::Message as _;
use raft::{Membership, NodeId, StateMachine, codec};
use replica::{Call, Outcome};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};
use wire::peer::peer_server::{Peer, PeerServer};
use wire::peer::{About, Frames, Nothing, RosterMember, RosterRequest, RosterResponse};

use super::link::LEFT;
use crate::config::Config;
use crate::handle::{self, Machine, Queue};
use crate::shared::Shared;
use crate::start::Tasks;

/// The largest frame that is read. One entry can be as large as the core allows a command to be.
const LARGEST: usize = 64 << 20;
/// How often a link that is silent is looked at: whether its peer is still a member.
const LOOK: Duration = Duration::from_secs(1);
/// What a peer may have under way before this node has read it.
const WINDOW: u32 = 4 << 20;

/// How many reasons for turning somebody away are remembered.
const REASONS: usize = 16;
/// And how much of each, in characters.
const LENGTH: usize = 300;

/// Takes in what peers say.
pub(crate) struct Incoming<M: StateMachine> {
    door: Door,
    turned_away: Mutex<Reasons>,
    queue: Queue<M>,
    shared: Arc<Shared>,
    tasks: Tasks,
}

/// Who may come in.
#[derive(Clone, Debug)]
struct Door {
    identity: wal::Identity,
}

impl Door {
    /// Whether it is this node that is called. Another one may have been found at this address.
    fn reached(&self, first: &Frames) -> Result<(), Status> {
        let id = self.identity.node;
        if first.to == u32::from(id.0) {
            return Ok(());
        }
        Err(Status::permission_denied(format!("n{} is called, and this is {id}", first.to)))
    }

    /// Whether a peer has not been removed.
    fn still(&self, peer: NodeId, members: &Membership) -> Result<(), Status> {
        if !members.removed(peer) {
            return Ok(());
        }
        let wal::Identity { node, cluster, .. } = &self.identity;
        let why = format!("{peer} calls {node}, and was removed from cluster {cluster:?}");
        Err(Status::new(LEFT, why))
    }

    /// The sender of these frames, if it may be one of ours.
    fn admit(&self, frames: &Frames, members: &Membership) -> Result<NodeId, Status> {
        let (id, cluster) = (self.identity.node, &self.identity.cluster);
        let sender = u16::try_from(frames.from).map(NodeId);
        let name = sender.map_or_else(|_| frames.from.to_string(), |sender| sender.to_string());
        if frames.cluster != *cluster {
            let why = format!("{name} of cluster {:?} calls {id} of cluster {cluster:?}", frames.cluster);
            return Err(Status::permission_denied(why));
        }
        match sender {
            Ok(sender) if sender != id && sender != NodeId(0) => self.still(sender, members).map(|()| sender),
            _ => {
                let why = format!("{name} calls {id}, and can be no peer of it in cluster {cluster:?}");
                Err(Status::permission_denied(why))
            }
        }
    }
}

/// Why strangers were turned away lately. They come again and again, for hours, and each reason names who came: it is
/// news once.
#[derive(Debug, Default)]
struct Reasons(VecDeque<String>);

impl Reasons {
    /// Whether nobody was turned away for this reason lately. Now somebody was.
    fn news(&mut self, why: &str) -> bool {
        // It holds words of the stranger, who may have many.
        let why: String = why.chars().take(LENGTH).collect();
        let known = self.0.contains(&why);
        if !known {
            self.0.truncate(REASONS - 1);
            self.0.push_front(why);
        }
        !known
    }
}

impl<M: StateMachine> Incoming<M> {
    pub(crate) fn new(config: &Config, queue: Queue<M>, shared: Arc<Shared>, tasks: Tasks) -> Incoming<M> {
        let door = Door { identity: config.replica.identity.clone() };
        Incoming { door, turned_away: Mutex::default(), queue, shared, tasks }
    }

    /// Counts whoever is turned away, and says so if that is news.
    fn turn_away(&self, address: Option<SocketAddr>, why: &str) {
        self.shared.counters.refused_links.add(1);
        if self.turned_away.lock().unwrap_or_else(PoisonError::into_inner).news(why) {
            tracing::warn!(?address, why, "link refused; the next ones for this reason are only counted");
        }
    }
}

#[tonic::async_trait]
impl<M: Machine> Peer for Incoming<M> {
    type LinkStream = Pin<Box<dyn Stream<Item = Result<Nothing, Status>> + Send>>;

    async fn link(&self, request: Request<Streaming<Frames>>) -> Result<Response<Self::LinkStream>, Status> {
        let address = request.remote_addr();
        let mut frames = request.into_inner();
        let first = frames.message().await?.ok_or_else(|| Status::invalid_argument("no frame came"))?;
        let admitted = self
            .door
            .admit(&first, &self.shared.members())
            .and_then(|peer| self.door.reached(&first).map(|()| peer));
        let peer = admitted.inspect_err(|why| self.turn_away(address, why.message()))?;
        tracing::info!(node = %self.door.identity.node, %peer, boot = first.boot, "peer has linked");
        self.shared.links.introduce(peer, &first.peer_urls);
        let (answer, answers) = mpsc::channel(1);
        let (door, queue, shared) = (self.door.clone(), self.queue.clone(), Arc::clone(&self.shared));
        self.tasks.spawn(async move {
            let end = receive::<M>(&door, peer, first, &mut frames, &queue, &shared).await;
            if let Err(status) = end {
                tracing::info!(node = %door.identity.node, %peer, reason = status.message(), "peer's link ended");
                // The connection may be gone; then nobody needs to be told.
                let _ = answer.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    async fn roster(&self, request: Request<RosterRequest>) -> Result<Response<RosterResponse>, Status> {
        let identity = &self.door.identity;
        let asked = request.into_inner().cluster;
        if asked != identity.token() {
            let why =
                format!("{} belongs to cluster {:?}, not to {asked:?}", identity.node, identity.token());
            return Err(Status::permission_denied(why));
        }
        let (reply, answer) = oneshot::channel();
        let full = |_| Status::unavailable(format!("{} has too much to do", identity.node));
        self.queue.try_send(handle::Request::Call(Call::Members, reply)).map_err(full)?;
        match answer.await {
            Ok(Outcome::Members(members)) => Ok(Response::new(roster(&identity.cluster, &members, false))),
            Ok(Outcome::Failed(_)) => {
                Ok(Response::new(roster(&identity.cluster, &self.shared.latest_members(), true)))
            }
            _ => Err(Status::unavailable(format!("{} has stopped", identity.node))),
        }
    }
}

fn roster(cluster: &str, members: &Membership, stale: bool) -> RosterResponse {
    let member = |node: NodeId| RosterMember {
        node: u32::from(node.0),
        learner: members.learners().contains(&node),
        about: members.context(node).and_then(|context| About::decode(&context[..]).ok()),
    };
    let (cluster, last) = (cluster.to_owned(), u32::from(members.last_id().0));
    RosterResponse { cluster, members: members.nodes().into_iter().map(member).collect(), stale, last }
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
        if door.admit(&frame, &shared.members())? != peer {
            return Err(Status::permission_denied(format!(
                "a link of {peer} carries frames of another node"
            )));
        }
        shared.counters.received.add(frame.envelope.len());
        for bytes in frame.envelope {
            let envelope = codec::decode_envelope(bytes)
                .map_err(|error| Status::invalid_argument(format!("an envelope of {peer} {error}")))?;
            if envelope.from != peer || envelope.to != door.identity.node {
                return Err(Status::invalid_argument(format!(
                    "a link from {peer} to {} carries {envelope}",
                    door.identity.node
                )));
            }
            if queue.send(handle::Request::Peer(envelope)).await.is_err() {
                return Ok(());
            }
        }
        // One that has nothing to say must hear, too, that it was removed.
        next = loop {
            tokio::select! {
                frame = frames.message() => break frame?,
                () = tokio::time::sleep(LOOK) => door.still(peer, &shared.members())?,
            }
        };
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
    fn a_reason_to_turn_strangers_away_is_news_once() {
        let mut reasons = Reasons::default();
        assert!(reasons.news("n2 of another cluster"));
        assert!(!reasons.news("n2 of another cluster"));
        assert!(reasons.news("n3 of another cluster"));
        assert!(!reasons.news("n2 of another cluster"), "they take turns");
        for stranger in 0..REASONS {
            assert!(reasons.news(&format!("stranger {stranger}")));
        }
        assert_eq!(reasons.0.len(), REASONS, "no more are remembered");
        assert!(reasons.news("n2 of another cluster"), "so an old one is news again");
        assert!(reasons.news(&"long ".repeat(1000)));
        assert_eq!(reasons.0[0].len(), LENGTH);
    }

    #[test]
    fn strangers_are_refused_with_both_names() {
        let (door, members) = (door(), Membership::of([1, 2, 3].map(NodeId)));
        assert_eq!(door.admit(&frames("ours", 2), &members).unwrap(), NodeId(2));
        let other = door.admit(&frames("theirs", 2), &members).unwrap_err();
        assert!(other.message().contains("ours") && other.message().contains("theirs"), "{other}");
        for nobody in [0, 1, 70_000] {
            let refusal = door.admit(&frames("ours", nobody), &members).unwrap_err();
            assert!(refusal.message().contains("can be no peer"), "{refusal}");
        }
    }

    #[test]
    fn who_was_removed_is_told_so_and_who_is_not_known_yet_is_let_in() {
        let two = Membership::of([1, 2, 3].map(NodeId)).change(&[raft::Change::Remove(NodeId(3))]).unwrap();
        let left = door().admit(&frames("ours", 3), &two).unwrap_err();
        assert!(left.code() == LEFT && left.message().contains("n3"), "{left}");
        assert_eq!(door().admit(&frames("ours", 4), &two).unwrap(), NodeId(4));
        let other = door().admit(&frames("theirs", 3), &two).unwrap_err();
        assert_ne!(other.code(), LEFT, "its n3 is not ours");
    }

    fn door() -> Door {
        let (cluster, name) = ("ours".into(), "n1".into());
        Door { identity: wal::Identity { cluster, name, node: NodeId(1), members: Vec::new() } }
    }
}
