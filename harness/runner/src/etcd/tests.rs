//! What the client makes of answers, of errors, and of silence.

use std::sync::Mutex;

use checker::bank;
use checker::register::{Op, Ret};
use nemesis_net::Port;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request as Incoming, Response};
use wire::etcdserverpb::kv_server::{Kv, KvServer};
use wire::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse,
    RangeRequest, RangeResponse, TxnRequest, TxnResponse,
};
use workload::{Banks, Registers};

use super::*;

const OPS: [Op; 3] = [Op::Read, Op::Write(1), Op::Cas { from: 1, to: 2 }];

fn changes(op: Op) -> bool {
    op != Op::Read
}

async fn ask(address: SocketAddr, op: Op) -> Outcome<Ret> {
    invoke(&Registers::cas_register(), address, &op).await.unwrap()
}

async fn invoke<W: Asking>(workload: &W, address: SocketAddr, op: &W::Op) -> Result<Outcome<W::Ret>, Error> {
    let mut client = <Etcd as Client<W>>::new(NodeId(1), address);
    client.invoke(workload, None, op).await
}

#[test]
fn an_error_of_the_table_is_a_definite_no_and_no_other_is() {
    for changes in [false, true] {
        for (code, text) in DEFINITE {
            let outcome: Outcome<Ret> = judge(changes, &Status::new(code, text));
            assert_eq!(outcome, Outcome::Fail(text.to_owned()));
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
            let outcome: Outcome<Ret> = judge(changes, &Status::new(code, text));
            assert_eq!(matches!(outcome, Outcome::Info(_)), changes, "{text}");
            assert!(!matches!(outcome, Outcome::Ok(_)));
        }
    }
}

#[tokio::test]
async fn a_refused_connection_is_a_definite_no_because_nothing_was_sent() {
    let port = Port::reserve().unwrap();
    for op in OPS {
        let outcome = ask(port.address(), op).await;
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
        let outcome = ask(address, op).await;
        assert_eq!(matches!(outcome, Outcome::Info(_)), changes(op), "{op:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn an_unanswered_write_is_in_doubt_and_an_unanswered_read_is_not() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let outcomes = futures_util::future::join_all(OPS.map(|op| ask(address, op))).await;
    for (op, outcome) in OPS.into_iter().zip(outcomes) {
        let expected = "no answer within 1s".to_owned();
        let expected = if changes(op) { Outcome::Info(expected) } else { Outcome::Fail(expected) };
        assert_eq!(outcome, expected);
    }
}

/// What a node says to a call.
enum Said {
    This(TxnResponse),
    That(Status),
    Nothing,
}

/// A node whose keys are not there, and whose first transaction is answered like this.
struct Node {
    looks: bool,
    says: Mutex<Option<Said>>,
}

impl Node {
    /// Where it listens.
    async fn start(looks: bool, says: Said) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let node = KvServer::new(Node { looks, says: Mutex::new(Some(says)) });
        tokio::spawn(Server::builder().add_service(node).serve_with_incoming(TcpIncoming::from(listener)));
        address
    }
}

#[tonic::async_trait]
impl Kv for Node {
    async fn range(&self, _: Incoming<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        if !self.looks {
            std::future::pending::<()>().await;
        }
        Ok(Response::new(RangeResponse::default()))
    }

    async fn put(&self, _: Incoming<PutRequest>) -> Result<Response<PutResponse>, Status> {
        Ok(Response::new(PutResponse::default()))
    }

    async fn txn(&self, _: Incoming<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        let says = self.says.lock().unwrap().take();
        match says.expect("a change is asked for once") {
            Said::This(response) => Ok(Response::new(response)),
            Said::That(status) => Err(status),
            Said::Nothing => std::future::pending().await,
        }
    }

    async fn delete_range(
        &self,
        _: Incoming<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        Err(Status::unimplemented("nobody deletes"))
    }

    async fn compact(&self, _: Incoming<CompactionRequest>) -> Result<Response<CompactionResponse>, Status> {
        Err(Status::unimplemented("nobody forgets"))
    }
}

/// A transfer is two calls: the look at what is there, and the change.
async fn transfer(looks: bool, says: Said) -> Result<Outcome<bank::Ret>, Error> {
    let address = Node::start(looks, says).await;
    invoke(&Banks::default(), address, &bank::Op::Transfer { from: 0, to: 1, amount: 4 }).await
}

#[tokio::test]
async fn of_an_op_of_two_calls_the_one_under_way_decides_what_silence_means() {
    let silence = || "no answer within 1s".to_owned();
    let (look, change) = tokio::join!(transfer(false, Said::Nothing), transfer(true, Said::Nothing));
    assert_eq!(look.unwrap(), Outcome::Fail(silence()), "a look that is not answered changed nothing");
    assert_eq!(change.unwrap(), Outcome::Info(silence()), "a change that is not answered may have");
}

#[tokio::test]
async fn what_is_said_to_the_second_call_is_what_became_of_the_op() {
    let succeeded = |succeeded| Said::This(TxnResponse { succeeded, ..TxnResponse::default() });
    let outcome = transfer(true, succeeded(true)).await.unwrap();
    assert_eq!(outcome, Outcome::Ok(bank::Ret::Moved(true)));
    let outcome = transfer(true, succeeded(false)).await.unwrap();
    assert_eq!(outcome, Outcome::Fail(workload::store::OVERTAKEN.to_owned()));
    let refused = Status::unavailable("etcdserver: no leader");
    let outcome = transfer(true, Said::That(refused)).await.unwrap();
    assert_eq!(outcome, Outcome::Fail("etcdserver: no leader".to_owned()));
    let doubtful = Status::unavailable("etcdserver: leader changed");
    let outcome = transfer(true, Said::That(doubtful)).await.unwrap();
    assert_eq!(outcome, Outcome::Info("Unavailable: etcdserver: leader changed".to_owned()));
}

#[tokio::test]
async fn an_answer_that_is_none_is_nonsense_and_names_the_node() {
    let address = Node::start(true, Said::Nothing).await;
    let error = invoke(&workload::UniqueIds, address, &checker::unique_ids::Generate).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "n1 answered nonsense: a change at revision 0, before there was any",
        "an answer without a header has no revision"
    );
}
