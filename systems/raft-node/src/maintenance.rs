//! How this node is doing.

use kv::{Answer, Query};
use tonic::{Request, Response, Status};
use wire::etcdserverpb as pb;
use wire::etcdserverpb::maintenance_server::Maintenance;

use crate::door::Door;

/// The version of etcd's API that is served, as its clients want to read it. What came with 3.5 and
/// later is not there, and they should not look for it.
pub const VERSION: &str = "3.4.0";

#[tonic::async_trait]
impl Maintenance for Door {
    async fn status(
        &self,
        _request: Request<pb::StatusRequest>,
    ) -> Result<Response<pb::StatusResponse>, Status> {
        let done = self.read(Query::Size, true).await?;
        let Answer::Size(bytes) = done.answer else { return Err(done.mismatch()) };
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let status = self.standing();
        let errors =
            if status.leader.is_none() { vec!["etcdserver: no leader".to_owned()] } else { Vec::new() };
        Ok(Response::new(pb::StatusResponse {
            header: Some(done.header),
            version: VERSION.to_owned(),
            db_size: bytes,
            db_size_in_use: bytes,
            leader: status.leader.map_or(0, |leader| self.members().member_id(leader)),
            raft_index: status.commit.0,
            raft_term: status.term.0,
            raft_applied_index: status.applied.0,
            errors,
            ..pb::StatusResponse::default()
        }))
    }
}
