//! Who is in the cluster.
//!
//! Left out so far: changes of membership, and so `linearizable`, which has nothing to ask for while
//! the list never changes. A member tells its client URLs to every member that it dials, and nobody
//! writes them down: one that has not called since this node started is listed without, as etcd lists
//! one that never started.

use kv::Revision;
use tonic::{Request, Response, Status};
use wire::etcdserverpb as pb;
use wire::etcdserverpb::cluster_server::Cluster;

use crate::door::Door;

#[tonic::async_trait]
impl Cluster for Door {
    async fn member_list(
        &self,
        _request: Request<pb::MemberListRequest>,
    ) -> Result<Response<pb::MemberListResponse>, Status> {
        let header = self.header(Revision(0)); // as etcd: the list is no part of the store
        let members = self.members().iter().map(|member| pb::Member {
            id: self.members().member_id(member.node),
            name: member.name.clone(),
            peer_urls: member.peer_urls.clone(),
            client_urls: self.client_urls_of(member.node),
            is_learner: false,
        });
        let mut members: Vec<pb::Member> = members.collect();
        members.sort_unstable_by_key(|member| member.id); // as etcd
        Ok(Response::new(pb::MemberListResponse { header: Some(header), members }))
    }
}
