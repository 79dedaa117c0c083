//! A client of the etcd v3 API, and what its errors mean.
//!
//! Which calls an op takes, one or two to the same node, its workload [says](workload::store); here they are made.
//! Each is tried once. A retry turns a definite answer into a guess: the first attempt may have taken effect
//! before the second was refused. So nothing here tries again, neither our code nor the library's, and every error
//! is one of two things:
//!
//! * *fail*: it certainly did not happen. Either the request never left this machine, because there
//!   was no connection to send it on, or the answer is in the closed table [`DEFINITE`]: code **and**
//!   text must agree, so that no error made up along the way is taken for the node's word.
//! * *info*: everything else. In doubt, no: an `info` costs time, a false `fail` costs the truth.
//!
//! A call that only looks and was not answered changed nothing, so its op may be called `fail`; that keeps its
//! process.

mod messages;

use std::error::Error as _;
use std::future::Future;
use std::net::SocketAddr;

use history::{Key, Outcome};
use nemesis::NodeId;
use tokio::time::{Instant, timeout_at};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, ConnectError, Status};
use wire::etcdserverpb::kv_client::KvClient;
use workload::store::{Asked, Asking, Nonsense, Reply, Request, unanswered};
use workload::{PATIENCE, Workload};

use crate::error::Error;

/// The answers after which an op certainly did not happen, as etcd words them. The node checked the
/// request and refused it, or had nobody to give it to, before anything could take effect.
///
/// It has to hold for `raft-node` and for etcd itself, from 3.4 on, and is shorter than the list of
/// errors that sound definite. `etcdserver: mvcc: database space exceeded` is not in it: etcd checks
/// the space twice, and when it runs out between the check and the log, the put is carried out *and*
/// answered with that error. `etcdserver: rpc not supported for learner` is not in it either: what a
/// learner refuses is decided anew in each version, and no run here has one to learn it from.
pub const DEFINITE: [(Code, &str); 10] = [
    (Code::InvalidArgument, "etcdserver: key is not provided"),
    (Code::InvalidArgument, "etcdserver: key not found"),
    (Code::InvalidArgument, "etcdserver: value is provided"),
    (Code::InvalidArgument, "etcdserver: lease is provided"),
    (Code::InvalidArgument, "etcdserver: too many operations in txn request"),
    (Code::InvalidArgument, "etcdserver: duplicate key given in txn request"),
    (Code::InvalidArgument, "etcdserver: request is too large"),
    (Code::NotFound, "etcdserver: requested lease not found"),
    (Code::ResourceExhausted, "etcdserver: too many requests"),
    (Code::Unavailable, "etcdserver: no leader"),
];

/// Whoever can carry out a workload's ops on a system.
pub trait Client<W: Workload>: Send + Sized + 'static {
    /// A client of this node. Nothing is sent yet.
    fn new(node: NodeId, address: SocketAddr) -> Self;

    /// Asks once, and says what became of it. An error is none of the system: it ends the run.
    fn invoke(
        &mut self,
        workload: &W,
        key: Option<&Key>,
        op: &W::Op,
    ) -> impl Future<Output = Result<Outcome<W::Ret>, Error>> + Send;
}

/// A client of one node, over a connection of its own.
#[derive(Clone, Debug)]
pub struct Etcd {
    node: NodeId,
    kv: KvClient<Channel>,
}

/// A channel that connects when it is first used, and again when its connection broke.
pub(crate) fn channel(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}"));
    let endpoint = endpoint.expect("an address with a port makes a valid URL");
    endpoint.connect_timeout(PATIENCE).tcp_nodelay(true).connect_lazy()
}

impl<W: Asking> Client<W> for Etcd {
    fn new(node: NodeId, address: SocketAddr) -> Etcd {
        Etcd { node, kv: KvClient::new(channel(address)) }
    }

    async fn invoke(
        &mut self,
        workload: &W,
        key: Option<&Key>,
        op: &W::Op,
    ) -> Result<Outcome<W::Ret>, Error> {
        let node = self.node;
        let nonsense = move |Nonsense(what)| Error::Nonsense { node, what };
        let deadline = Instant::now() + PATIENCE;
        let (mut request, mut open) = workload.begin(op, key);
        loop {
            let changes = request.changes();
            let reply = match timeout_at(deadline, self.call(request)).await {
                Ok(Ok(reply)) => reply.map_err(nonsense)?,
                Ok(Err(status)) => return Ok(judge(changes, &status)),
                Err(_elapsed) => return Ok(unanswered(changes, format!("no answer within {PATIENCE:?}"))),
            };
            match workload.replied(op, key, open, reply).map_err(nonsense)? {
                Asked::Over(outcome) => return Ok(outcome),
                Asked::Again(next, remembered) => (request, open) = (next, remembered),
            }
        }
    }
}

impl Etcd {
    /// The inner result is what the answer says, if it says anything.
    async fn call(&mut self, request: Request) -> Result<Result<Reply, Nonsense>, Status> {
        match request {
            Request::Range(keys) => {
                let response = self.kv.range(messages::range_request(keys)).await?;
                Ok(Ok(messages::range_reply(response.into_inner())))
            }
            Request::Put(put) => {
                let response = self.kv.put(messages::put_request(put)).await?;
                Ok(Ok(messages::put_reply(response.get_ref())))
            }
            Request::Txn(txn) => {
                let response = self.kv.txn(messages::txn_request(txn)).await?;
                Ok(messages::txn_reply(response.into_inner()))
            }
        }
    }
}

/// What an error says about the op whose call it is an answer to.
fn judge<Ret>(changes: bool, status: &Status) -> Outcome<Ret> {
    if !was_sent(status) {
        return Outcome::Fail(format!("not sent: {}", root(status)));
    }
    if DEFINITE.contains(&(status.code(), status.message())) {
        return Outcome::Fail(status.message().to_owned());
    }
    unanswered(changes, format!("{:?}: {}", status.code(), status.message()))
}

/// Whether the request may have left. It has not if there was no connection to send it on.
fn was_sent(status: &Status) -> bool {
    !causes(status).any(<dyn std::error::Error>::is::<ConnectError>)
}

/// The innermost cause, which says most: `Connection refused` rather than `transport error`.
fn root(status: &Status) -> String {
    causes(status).last().map_or_else(|| status.message().to_owned(), ToString::to_string)
}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(status.source(), |cause: &&(dyn std::error::Error + 'static)| (*cause).source())
}

#[cfg(test)]
mod tests;
