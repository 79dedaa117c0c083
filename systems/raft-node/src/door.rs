//! The way in: a request becomes a command or a query, goes to the replica, and its outcome becomes
//! an answer.
//!
//! What only reads takes no place in the log. A read is linearizable unless the client said that this
//! node's own state will do (`serializable`). Everything else becomes one command. Nothing here tries
//! again: whether that is safe, only the client knows.

use std::sync::Arc;

use bytes::Bytes;
use kv::{Answer, Command, Query, ReadOnly, Reply, Revision, Store, check, codec};
use raft::NodeId;
use replica::Outcome;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};
use wire::etcdserverpb as pb;
use wire::etcdserverpb::kv_server::Kv;

use crate::ids::Ids;
use crate::outgoing::{Budget, Unsent};
use crate::refusal::{self, MAX_REQUEST, Rejected};
use crate::{mapping, request_id};

/// What all services of a node share.
#[derive(Clone)]
pub struct Door {
    handle: node::Handle<Store>,
    who: Arc<Who>,
    outgoing: Budget,
}

/// Who is answering.
#[derive(Debug)]
struct Who {
    /// The two ids at the head of every answer; hashed once.
    cluster_id: u64,
    member_id: u64,
    ids: Ids,
}

impl Door {
    /// A door to the replica behind `handle`, which is `node` of a cluster with these ids.
    pub fn new(handle: node::Handle<Store>, node: NodeId, ids: Ids) -> Door {
        let (cluster_id, member_id) = (ids.cluster(), ids.member(node));
        let who = Arc::new(Who { cluster_id, member_id, ids });
        Door { handle, who, outgoing: Budget::new() }
    }

    /// Where this node stands.
    pub(crate) fn standing(&self) -> replica::Status {
        self.handle.status().replica
    }

    /// The node behind this door.
    pub(crate) fn handle(&self) -> &node::Handle<Store> {
        &self.handle
    }

    /// The numbers of members and cluster.
    pub(crate) fn ids(&self) -> &Ids {
        &self.who.ids
    }

    /// The head of an answer.
    pub(crate) fn header(&self, revision: Revision) -> pb::ResponseHeader {
        pb::ResponseHeader {
            cluster_id: self.who.cluster_id,
            member_id: self.who.member_id,
            revision: revision.0,
            raft_term: self.standing().term.0,
        }
    }

    async fn write(&self, metadata: &MetadataMap, command: Command) -> Result<Done, Status> {
        let request = request_id::read(metadata)?;
        check::command(&command).map_err(|why| refusal::refused(&why))?;
        let command = bounded(codec::encode(&command))?;
        self.done(self.handle.write(command, request).await)
    }

    pub(crate) async fn read(&self, query: Query, stale_will_do: bool) -> Result<Done, Status> {
        check::query(&query).map_err(|why| refusal::refused(&why))?;
        self.done(if stale_will_do { self.handle.stale(query).await } else { self.handle.read(query).await })
    }

    pub(crate) fn done(&self, outcome: Outcome<Reply>) -> Result<Done, Status> {
        match outcome {
            Outcome::Done(reply) => {
                let answer = reply.result.map_err(|why| refusal::refused(&why))?;
                Ok(Done { header: self.header(reply.revision), answer })
            }
            Outcome::Leads(_) | Outcome::Members(_) => Err(Status::internal("an answer of another kind")),
            Outcome::Failed(why) => Err(refusal::failed(why)),
            Outcome::Unknown(why) => Err(refusal::unknown(why)),
        }
    }
}

fn bounded(command: Bytes) -> Result<Bytes, Rejected> {
    if command.len() > MAX_REQUEST { Err(Rejected::TooLarge) } else { Ok(command) }
}

/// An answer and its head.
pub(crate) struct Done {
    pub(crate) header: pb::ResponseHeader,
    pub(crate) answer: Answer,
}

impl Done {
    /// The store answered a question of one kind with an answer of another: we are wrong, and say so
    /// without taking the whole node down.
    pub(crate) fn mismatch(&self) -> Status {
        Status::internal(format!("the store gave an answer of another kind: {:?}", self.answer))
    }
}

#[tonic::async_trait]
impl Kv for Door {
    async fn range(&self, request: Request<pb::RangeRequest>) -> Result<Response<pb::RangeResponse>, Status> {
        let unsent = Unsent::of(request.extensions());
        let request = request.into_inner();
        let stale_will_do = request.serializable;
        let done = self.read(Query::Range(mapping::range(request)?), stale_will_do).await?;
        match done.answer {
            Answer::Range(kvs) => self.outgoing.answer(&unsent, mapping::range_response(done.header, kvs)),
            _ => Err(done.mismatch()),
        }
    }

    async fn put(&self, request: Request<pb::PutRequest>) -> Result<Response<pb::PutResponse>, Status> {
        let unsent = Unsent::of(request.extensions());
        let (metadata, _, request) = request.into_parts();
        let done = self.write(&metadata, Command::Put(mapping::put(request)?)).await?;
        match done.answer {
            Answer::Put(replaced) => {
                let answer = mapping::put_response(done.header, replaced);
                Ok(self.outgoing.answer_always(&unsent, answer))
            }
            _ => Err(done.mismatch()),
        }
    }

    async fn delete_range(
        &self,
        request: Request<pb::DeleteRangeRequest>,
    ) -> Result<Response<pb::DeleteRangeResponse>, Status> {
        let unsent = Unsent::of(request.extensions());
        let (metadata, _, request) = request.into_parts();
        let done = self.write(&metadata, Command::DeleteRange(mapping::delete_range(request))).await?;
        match done.answer {
            Answer::DeleteRange(deleted) => {
                let answer = mapping::delete_range_response(done.header, deleted);
                Ok(self.outgoing.answer_always(&unsent, answer))
            }
            _ => Err(done.mismatch()),
        }
    }

    async fn txn(&self, request: Request<pb::TxnRequest>) -> Result<Response<pb::TxnResponse>, Status> {
        let unsent = Unsent::of(request.extensions());
        let (metadata, _, request) = request.into_parts();
        let stale_will_do = mapping::is_serializable(&request);
        let (done, executed) = match ReadOnly::new(mapping::txn(request)?) {
            Ok(txn) => (self.read(Query::Txn(txn), stale_will_do).await?, false),
            Err(txn) => (self.write(&metadata, Command::Txn(txn)).await?, true),
        };
        match done.answer {
            Answer::Txn(answer) => {
                let answer = mapping::txn_response(done.header, answer);
                if executed {
                    Ok(self.outgoing.answer_always(&unsent, answer))
                } else {
                    self.outgoing.answer(&unsent, answer)
                }
            }
            _ => Err(done.mismatch()),
        }
    }

    async fn compact(
        &self,
        request: Request<pb::CompactionRequest>,
    ) -> Result<Response<pb::CompactionResponse>, Status> {
        // `physical` asks us to wait until the space is free. It always is: the store forgets at once.
        let (metadata, _, request) = request.into_parts();
        let done = self.write(&metadata, Command::Compact(Revision(request.revision))).await?;
        match done.answer {
            Answer::Compacted => Ok(Response::new(pb::CompactionResponse { header: Some(done.header) })),
            _ => Err(done.mismatch()),
        }
    }
}
