//! A register server that keeps everything in memory: the smallest system that the runner can test.
//!
//! Alone and left in peace it is linearizable. Killed, it forgets what it had acknowledged; and several
//! of them know nothing of each other. So it shows both ends of the harness's scale: a valid run, and
//! invalid ones that it must not miss. It takes the flags of `raft-node` and heeds two of them.
//!
//! With `--mood` it misbehaves in ways that a harness has to notice: see [`Mood`].

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tonic::transport::Server;
use tonic::{Request, Response, Status};
use wire::etcdserverpb as pb;
use wire::etcdserverpb::compare::TargetUnion;
use wire::etcdserverpb::kv_server::{Kv, KvServer};
use wire::etcdserverpb::maintenance_server::{Maintenance, MaintenanceServer};
use wire::etcdserverpb::request_op::Request as Step;
use wire::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse,
    RangeRequest, RangeResponse, ResponseHeader, StatusRequest, StatusResponse, TxnRequest, TxnResponse,
};
use wire::mvccpb::KeyValue;

/// How it behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// As it should.
    Even,
    /// Answers reads of what it knows with words.
    Babbling,
    /// Answers reads of what it knows with a number that nobody wrote.
    Inventive,
    /// Refuses every other read.
    Sullen,
    /// Takes every read, and answers none.
    Mute,
    /// Begins a term with every question about it.
    Restless,
    /// Begins the second term with the third question about it, and stays in it.
    Promoted,
}

impl Mood {
    const ALL: [(&'static str, Mood); 7] = [
        ("even", Mood::Even),
        ("babbling", Mood::Babbling),
        ("inventive", Mood::Inventive),
        ("sullen", Mood::Sullen),
        ("mute", Mood::Mute),
        ("restless", Mood::Restless),
        ("promoted", Mood::Promoted),
    ];
}

/// All that it knows.
struct Memory {
    map: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
    mood: Mood,
    reads: AtomicU64,
}

#[tonic::async_trait]
impl Kv for Memory {
    async fn range(&self, request: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        let key = request.into_inner().key;
        let read = self.reads.fetch_add(1, Ordering::Relaxed);
        let health = key.as_ref() == b"health";
        match self.mood {
            Mood::Sullen if !health && read.is_multiple_of(2) => return Err(Status::unavailable("not now")),
            Mood::Mute if !health => std::future::pending().await,
            _ => {}
        }
        let map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        let found = map.get(key.as_ref()).map(|value| KeyValue {
            key: key.clone(),
            value: match self.mood {
                Mood::Babbling => "blah".into(),
                Mood::Inventive => "4711000".into(),
                _ => value.clone().into(),
            },
            ..KeyValue::default()
        });
        Ok(Response::new(RangeResponse { kvs: found.into_iter().collect(), ..RangeResponse::default() }))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let PutRequest { key, value, .. } = request.into_inner();
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        map.insert(key.to_vec(), value.to_vec());
        Ok(Response::new(PutResponse::default()))
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        let TxnRequest { compare, success, .. } = request.into_inner();
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        let succeeded = compare.iter().all(|compare| match &compare.target_union {
            Some(TargetUnion::Value(value)) => {
                map.get(compare.key.as_ref()).is_some_and(|found| found == value)
            }
            _ => false,
        });
        for step in success.into_iter().filter(|_| succeeded).filter_map(|step| step.request) {
            if let Step::RequestPut(PutRequest { key, value, .. }) = step {
                map.insert(key.to_vec(), value.to_vec());
            }
        }
        Ok(Response::new(TxnResponse { succeeded, ..TxnResponse::default() }))
    }

    async fn delete_range(
        &self,
        _request: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        Err(Status::unimplemented("it never forgets on purpose"))
    }

    async fn compact(
        &self,
        _request: Request<CompactionRequest>,
    ) -> Result<Response<CompactionResponse>, Status> {
        Err(Status::unimplemented("it has no past"))
    }
}

/// It is its own leader, in a term that nobody else disputes.
struct Alone {
    number: u64,
    mood: Mood,
    asked: AtomicU64,
}

#[tonic::async_trait]
impl Maintenance for Alone {
    async fn status(&self, _request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        let raft_term = match self.mood {
            Mood::Restless => asked + 1,
            Mood::Promoted => 1 + u64::from(asked >= 2),
            _ => 1,
        };
        let header = Some(ResponseHeader { member_id: self.number, ..ResponseHeader::default() });
        let version = "forgetful".to_owned();
        Ok(Response::new(StatusResponse {
            header,
            leader: self.number,
            raft_term,
            version,
            ..StatusResponse::default()
        }))
    }

    async fn hash(&self, _request: Request<pb::HashRequest>) -> Result<Response<pb::HashResponse>, Status> {
        Err(elsewhere())
    }

    async fn hash_kv(
        &self,
        _request: Request<pb::HashKvRequest>,
    ) -> Result<Response<pb::HashKvResponse>, Status> {
        Err(elsewhere())
    }

    type SnapshotStream = futures_util::stream::Empty<Result<pb::SnapshotResponse, Status>>;

    async fn snapshot(
        &self,
        _request: Request<pb::SnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        Err(elsewhere())
    }

    async fn move_leader(
        &self,
        _request: Request<pb::MoveLeaderRequest>,
    ) -> Result<Response<pb::MoveLeaderResponse>, Status> {
        Err(elsewhere())
    }
}

fn elsewhere() -> Status {
    Status::unimplemented("it only says how it is")
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let flag = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name);
        place.and_then(|place| arguments.get(place + 1)).ok_or_else(|| format!("{name} is missing"))
    };
    let mood = flag("--mood").map_or("even", String::as_str);
    let mood = Mood::ALL.into_iter().find(|(name, _)| *name == mood).ok_or("no such mood")?.1;
    let number = flag("--name")?.trim_start_matches('n').parse()?;
    let address = flag("--listen-client-urls")?.trim_start_matches("http://").parse()?;
    let memory = Memory { map: Mutex::default(), mood, reads: AtomicU64::new(0) };
    let alone = Alone { number, mood, asked: AtomicU64::new(0) };
    let server =
        Server::builder().add_service(KvServer::new(memory)).add_service(MaintenanceServer::new(alone));
    Ok(server.serve(address).await?)
}
