//! A client of the etcd v3 API, and what its errors mean.
//!
//! It tries each op once. A retry turns a definite answer into a guess: the first attempt may have
//! taken effect before the second was refused. So nothing here tries again, neither our code nor the
//! library's, and every error is one of two things:
//!
//! * *fail*: it certainly did not happen. Either the request never left this machine, because there
//!   was no connection to send it on, or the answer is in the closed table [`DEFINITE`]: code **and**
//!   text must agree, so that no error made up along the way is taken for the node's word.
//! * *info*: everything else. In doubt, no: an `info` costs time, a false `fail` costs the truth.
//!
//! A read that was not answered changed nothing and may be called `fail`; that keeps its process.

use std::error::Error as _;
use std::future::Future;
use std::net::SocketAddr;

use checker::register::{Op, Ret};
use history::{Key, Operation, Outcome};
use nemesis::NodeId;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, ConnectError, Status};
use wire::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use wire::etcdserverpb::kv_client::KvClient;
use wire::etcdserverpb::request_op::Request;
use wire::etcdserverpb::{Compare, PutRequest, RangeRequest, RequestOp, TxnRequest};
use workload::PATIENCE;

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
pub trait Client<O: Operation>: Send + Sized + 'static {
    /// A client of this node. Nothing is sent yet.
    fn new(node: NodeId, address: SocketAddr) -> Self;

    /// Asks once, and says what became of it. An error is none of the system: it ends the run.
    fn invoke(
        &mut self,
        key: Option<&Key>,
        op: &O,
    ) -> impl Future<Output = Result<Outcome<O::Ret>, Error>> + Send;
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

impl Client<Op> for Etcd {
    fn new(node: NodeId, address: SocketAddr) -> Etcd {
        Etcd { node, kv: KvClient::new(channel(address)) }
    }

    async fn invoke(&mut self, key: Option<&Key>, op: &Op) -> Result<Outcome<Ret>, Error> {
        let node = self.node;
        match tokio::time::timeout(PATIENCE, self.ask(key, *op)).await {
            Ok(Ok(answer)) => answer.map(Outcome::Ok).map_err(|what| Error::Nonsense { node, what }),
            Ok(Err(status)) => Ok(judge(*op, &status)),
            Err(_elapsed) => Ok(unanswered(*op, format!("no answer within {PATIENCE:?}"))),
        }
    }
}

impl Etcd {
    /// The inner result is what the answer means, if it means anything.
    async fn ask(&mut self, key: Option<&Key>, op: Op) -> Result<Result<Ret, String>, Status> {
        let key = key.map_or("register", Key::as_str).as_bytes().to_vec();
        match op {
            Op::Read => {
                let request = RangeRequest { key: key.into(), ..RangeRequest::default() };
                let answer = self.kv.range(request).await?.into_inner();
                let value = answer.kvs.first().map(|found| number(&found.value)).transpose();
                Ok(value.map(Ret::Value))
            }
            Op::Write(value) => {
                self.kv.put(put(key, value)).await?;
                Ok(Ok(Ret::Written))
            }
            Op::Cas { from, to } => {
                let answer = self.kv.txn(compare_and_set(key, from, to)).await?.into_inner();
                Ok(Ok(Ret::Swapped(answer.succeeded)))
            }
        }
    }
}

fn number(text: &[u8]) -> Result<u64, String> {
    let number = str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| format!("a value that no client wrote: `{}`", text.escape_ascii()))
}

fn put(key: Vec<u8>, value: u64) -> PutRequest {
    PutRequest { key: key.into(), value: value.to_string().into(), ..PutRequest::default() }
}

fn compare_and_set(key: Vec<u8>, from: u64, to: u64) -> TxnRequest {
    let expected = Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Value.into(),
        key: key.clone().into(),
        target_union: Some(TargetUnion::Value(from.to_string().into())),
        ..Compare::default()
    };
    let set = RequestOp { request: Some(Request::RequestPut(put(key, to))) };
    TxnRequest { compare: vec![expected], success: vec![set], failure: Vec::new() }
}

/// What an error says about the op.
fn judge(op: Op, status: &Status) -> Outcome<Ret> {
    if !was_sent(status) {
        return Outcome::Fail(format!("not sent: {}", root(status)));
    }
    if DEFINITE.contains(&(status.code(), status.message())) {
        return Outcome::Fail(status.message().to_owned());
    }
    unanswered(op, format!("{:?}: {}", status.code(), status.message()))
}

fn unanswered(op: Op, why: String) -> Outcome<Ret> {
    match op {
        Op::Read => Outcome::Fail(why),
        Op::Write(_) | Op::Cas { .. } => Outcome::Info(why),
    }
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
mod tests {
    use nemesis_net::Port;
    use tokio::net::TcpListener;

    use super::*;

    const OPS: [Op; 3] = [Op::Read, Op::Write(1), Op::Cas { from: 1, to: 2 }];

    fn changes(op: Op) -> bool {
        op != Op::Read
    }

    #[test]
    fn an_error_of_the_table_is_a_definite_no_and_no_other_is() {
        for op in OPS {
            for (code, text) in DEFINITE {
                assert_eq!(judge(op, &Status::new(code, text)), Outcome::Fail(text.to_owned()));
            }
            let doubtful = [
                (Code::Unavailable, "etcdserver: leader changed"),
                (Code::Unavailable, "etcdserver: request timed out"),
                (Code::Unavailable, "etcdserver: server stopped"),
                (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded"),
                (Code::FailedPrecondition, "etcdserver: rpc not supported for learner"),
                (Code::Unavailable, "transport error"),
                (Code::Unknown, "h2 protocol error: error reading a body from connection"),
                // The right text under another code is not the node's word.
                (Code::Unknown, "etcdserver: no leader"),
                (Code::Unavailable, "etcdserver: no leader yet"),
            ];
            for (code, text) in doubtful {
                let outcome = judge(op, &Status::new(code, text));
                assert_eq!(matches!(outcome, Outcome::Info(_)), changes(op), "{op:?} {text}");
                assert!(!matches!(outcome, Outcome::Ok(_)));
            }
        }
    }

    #[tokio::test]
    async fn a_refused_connection_is_a_definite_no_because_nothing_was_sent() {
        let port = Port::reserve().unwrap();
        let mut client = Etcd::new(NodeId(1), port.address());
        for op in OPS {
            let outcome = client.invoke(None, &op).await.unwrap();
            let Outcome::Fail(why) = outcome else { panic!("{outcome:?}") };
            assert!(why.starts_with("not sent: ") && why.contains("refused"), "{why}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_breaks_after_it_was_made_leaves_a_write_in_doubt() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut greeting = [0; 24]; // the client's preface: the connection stands
                let _ = stream.readable().await;
                let _ = stream.try_read(&mut greeting);
                drop(stream);
            }
        });
        for op in OPS {
            let outcome = Etcd::new(NodeId(1), address).invoke(None, &op).await.unwrap();
            assert_eq!(matches!(outcome, Outcome::Info(_)), changes(op), "{op:?}: {outcome:?}");
        }
    }

    #[tokio::test]
    async fn an_unanswered_write_is_in_doubt_and_an_unanswered_read_is_not() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ask =
            async |op| Etcd::new(NodeId(1), silent.local_addr().unwrap()).invoke(None, &op).await.unwrap();
        let outcomes = futures_util::future::join_all(OPS.map(ask)).await;
        for (op, outcome) in OPS.into_iter().zip(outcomes) {
            let expected = "no answer within 1s".to_owned();
            let expected = if changes(op) { Outcome::Info(expected) } else { Outcome::Fail(expected) };
            assert_eq!(outcome, expected);
        }
    }
}
