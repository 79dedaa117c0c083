//! How a door talks to its node.

use std::sync::Arc;
use std::time::Duration;

use raft::{
    Change, Command, Envelope, Membership, NodeId, Refusal, RequestId, StateMachine, Unchanged, Unfit,
};
use replica::{Call, Failed, Outcome, Unknown};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
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

/// How long a change of the members waits for its turn.
const TURN: Duration = Duration::from_secs(5);
/// How long until it is tried again.
const AGAIN: Duration = Duration::from_millis(20);

/// Whether a change was refused only because it came too soon. A leader that refuses one takes it no further, so it may
/// be asked for again.
fn refused_for_now<R>(outcome: &Outcome<R>) -> bool {
    let (Outcome::Failed(Failed::Refused(Refusal::Change(why)))
    | Outcome::Unknown(Unknown::Refused(Refusal::Change(why)))) = outcome
    else {
        return false;
    };
    matches!(
        why,
        Unchanged::Early | Unchanged::Pending | Unchanged::Outdated | Unchanged::Unfit(Unfit::Joint)
    )
}

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

    /// Changes who belongs to the cluster, in one step: as `decide` says, when it is shown who they are. The change is made
    /// only if they are still those then. There is one change at a time: while another is under way, or the leader
    /// is too new to make one, or the members have changed meanwhile, it waits for its turn, for some seconds, and
    /// decides anew. A change that was made cannot be made again by that, since the members are others by then.
    ///
    /// # Errors
    /// Those of `decide`.
    pub async fn change<E>(
        &self,
        decide: impl Fn(&Membership) -> Result<Change, E>,
    ) -> Result<Outcome<M::Reply>, E> {
        let start = Instant::now();
        loop {
            let members = match self.members().await {
                Outcome::Members(members) => members,
                other => return Ok(other),
            };
            let call = Call::Change(vec![Change::Since(members.since), decide(&members)?]);
            let outcome = self.call(call, Outcome::Unknown(Unknown::Halted)).await;
            if !refused_for_now(&outcome) || start.elapsed() > TURN {
                return Ok(outcome);
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Has another node lead, or the one that is furthest. Only a leader can give the lead away.
    pub async fn transfer(&self, to: Option<NodeId>) -> Outcome<M::Reply> {
        self.call(Call::Transfer(to), Outcome::Unknown(Unknown::Halted)).await
    }

    /// Asks who belongs to the cluster, no older than this moment.
    pub async fn members(&self) -> Outcome<M::Reply> {
        self.call(Call::Members, Outcome::Failed(Failed::Halted)).await
    }

    /// Who belongs to the cluster, as far as this node has executed the log.
    pub fn known_members(&self) -> Arc<Membership> {
        self.shared.members()
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
