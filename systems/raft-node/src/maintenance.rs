//! How this node is doing, what it holds, and who leads.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _};
use kv::{Answer, Image, Query, Revision};
use replica::Outcome;
use tonic::{Request, Response, Status};
use wire::etcdserverpb as pb;
use wire::etcdserverpb::maintenance_server::Maintenance;

use crate::door::Door;
use crate::refusal::{self, Rejected};
use crate::saved;

/// The version of etcd's API that is served, as its clients want to read it. What came with 3.5 and
/// later is not there, and they should not look for it.
pub const VERSION: &str = "3.4.0";

impl Door {
    /// All that this node holds, as it is now.
    async fn image(&self) -> Result<(pb::ResponseHeader, Image), Status> {
        let done = self.read(Query::Image, true).await?;
        match done.answer {
            Answer::Image(image) => Ok((done.header, image)),
            _ => Err(done.mismatch()),
        }
    }
}

/// The hash of an image. It takes as long as there is much, so another thread makes it.
async fn hashed(image: &Image, at: Revision) -> Result<u32, Status> {
    let image = image.clone();
    let hash = tokio::task::spawn_blocking(move || image.store().hash(at)).await;
    hash.map_err(|_| refusal::stopped())?.map_err(|why| refusal::refused(&why))
}

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
            leader: status.leader.map_or(0, |leader| self.ids().member(leader)),
            raft_index: status.commit.0,
            raft_term: status.term.0,
            raft_applied_index: status.applied.0,
            errors,
            is_learner: self.handle().known_members().learners().contains(&status.id),
            ..pb::StatusResponse::default()
        }))
    }

    async fn hash(&self, _request: Request<pb::HashRequest>) -> Result<Response<pb::HashResponse>, Status> {
        let (header, image) = self.image().await?;
        let hash = hashed(&image, Revision(0)).await?;
        Ok(Response::new(pb::HashResponse { header: Some(header), hash }))
    }

    async fn hash_kv(
        &self,
        request: Request<pb::HashKvRequest>,
    ) -> Result<Response<pb::HashKvResponse>, Status> {
        let (header, image) = self.image().await?;
        let asked = Revision(request.into_inner().revision);
        let at = if asked.0 <= 0 { image.store().revision() } else { asked };
        let compact_revision = image.store().compacted().0;
        let hash = hashed(&image, at).await?;
        let header = Some(header);
        Ok(Response::new(pb::HashKvResponse { header, hash, compact_revision, hash_revision: at.0 }))
    }

    type SnapshotStream = Pin<Box<dyn Stream<Item = Result<pb::SnapshotResponse, Status>> + Send>>;

    async fn snapshot(
        &self,
        _request: Request<pb::SnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        let (header, image) = self.image().await?;
        let image = saved::Image::new(self.ids().name(), image.store());
        let pieces = futures_util::stream::iter(image).map(move |piece| {
            let saved::Piece { blob, remaining_bytes } = piece;
            let version = VERSION.to_owned();
            Ok(pb::SnapshotResponse { header: Some(header), remaining_bytes, blob, version })
        });
        Ok(Response::new(Box::pin(pieces)))
    }

    async fn move_leader(
        &self,
        request: Request<pb::MoveLeaderRequest>,
    ) -> Result<Response<pb::MoveLeaderResponse>, Status> {
        let members = self.handle().known_members();
        let to = self.ids().node(request.into_inner().target_id, &members).ok_or(Rejected::BadTransferee)?;
        if self.standing().leader != Some(self.standing().id) {
            return Err(Rejected::NotLeader.into());
        }
        match self.handle().transfer(Some(to)).await {
            Outcome::Leads(_) => {
                Ok(Response::new(pb::MoveLeaderResponse { header: Some(self.header(Revision(0))) }))
            }
            Outcome::Failed(why) => Err(refusal::failed(why)),
            Outcome::Unknown(why) => Err(refusal::unknown(why)),
            Outcome::Done(_) | Outcome::Members(_) => Err(Status::internal("an answer of another kind")),
        }
    }
}
