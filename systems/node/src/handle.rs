//! How a door talks to its node.

use std::sync::Arc;

use raft::{Command, Envelope, NodeId, RequestId, StateMachine};
use replica::{Call, Failed, Outcome, Unknown};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::shared::{Shared, Status};
use crate::shutdown::End;

/// A state machine that can live in a node: it, its questions and its replies may move between threads.
/// Every state machine that can is one.
pub trait Machine: StateMachine<Query: Send + 'static, Reply: Send + 'static> + Send + 'static {}

impl<M> Machine for M where M: StateMachine<Query: Send + 'static, Reply: Send + 'static> + Send + 'static {}

/// What waits in the queue of a replica.
pub(crate) enum Request<Q, R> {
    Peer(Envelope),
    Call(Call<Q>, oneshot::Sender<Outcome<R>>),
}

/// The queue of a replica, from the outside.
pub(crate) type Queue<M> = mpsc::Sender<Request<<M as StateMachine>::Query, <M as StateMachine>::Reply>>;

/// A node, to be asked. Clones ask the same node.
pub struct Handle<M: StateMachine> {
    pub(crate) queue: Queue<M>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) stop: CancellationToken,
    pub(crate) end: watch::Receiver<Option<End>>,
}

impl<M: StateMachine> Clone for Handle<M> {
    fn clone(&self) -> Handle<M> {
        Handle {
            queue: self.queue.clone(),
            shared: Arc::clone(&self.shared),
            stop: self.stop.clone(),
            end: self.end.clone(),
        }
    }
}

impl<M: StateMachine> Handle<M> {
    /// Has a command executed. A client that has a session gives its request's id, and may then ask again
    /// without fear.
    pub async fn write(&self, command: Command, request: Option<RequestId>) -> Outcome<M::Reply> {
        self.shared.counters.writes.add(1);
        self.call(Call::Write { request, command }, Outcome::Unknown(Unknown::Halted)).await
    }

    /// Asks something of a state that is no older than this moment.
    pub async fn read(&self, query: M::Query) -> Outcome<M::Reply> {
        self.shared.counters.reads.add(1);
        self.call(Call::Read(query), Outcome::Failed(Failed::Halted)).await
    }

    /// Asks something of the state this node happens to have.
    pub async fn stale(&self, query: M::Query) -> Outcome<M::Reply> {
        self.shared.counters.stale_reads.add(1);
        self.call(Call::Stale(query), Outcome::Failed(Failed::Halted)).await
    }

    /// Where the node stands.
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// Where clients find a peer, as it said when it last called. Nothing if it has not called since
    /// this node started.
    pub fn client_urls(&self, peer: NodeId) -> Vec<String> {
        self.shared.client_urls(peer)
    }

    /// Stops the node in good order, and waits for it.
    pub async fn stop(&self) -> End {
        self.stop.cancel();
        self.ended().await
    }

    /// Waits until the node has stopped, for whatever reason.
    pub async fn ended(&self) -> End {
        let mut end = self.end.clone();
        let ended = end.wait_for(Option::is_some).await;
        ended.ok().and_then(|end| (*end).clone()).unwrap_or(End::Broken)
    }

    /// A full queue refuses at once. If the node goes away without an answer, `gone` is all there is to say.
    async fn call(&self, call: Call<M::Query>, gone: Outcome<M::Reply>) -> Outcome<M::Reply> {
        let (reply, answer) = oneshot::channel();
        match self.queue.try_send(Request::Call(call, reply)) {
            Ok(()) => answer.await.unwrap_or(gone),
            Err(TrySendError::Full(_)) => {
                self.shared.counters.refused_calls.add(1);
                Outcome::Failed(Failed::Busy)
            }
            Err(TrySendError::Closed(_)) => Outcome::Failed(Failed::Halted),
        }
    }
}
