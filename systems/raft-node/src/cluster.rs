//! Who is in the cluster, and how that is changed.
//!
//! The members stand in the log, each with what the others should know of it ([`node::About`]). Whoever is added is known
//! by its address alone, as with etcd; its name and where its clients find it, it says itself once it has started.
//!
//! A change is made by the leader, whichever member is asked, and is answered once it is committed. Two changes never
//! overlap: the second waits for its turn. What a change must not do is etcd's rule and one more. It must
//! not leave a cluster in which too few of those who decide have been heard of; and a learner that is to decide must have
//! caught up first. etcd refuses a second learner; here there may be more.
//!
//! With etcd a new voter counts from the moment it is added, and a cluster of one that adds a second stands still until
//! that one has started. Here every new member begins as a learner, and is listed as one. One that was
//! added to vote asks for its vote itself once it has started and caught up.

use bytes::Bytes;
use kv::{Answer, Revision};
use node::About;
use prost::Message;
use raft::{Change, Membership, NodeId};
use replica::Outcome;
use tonic::{Request, Response, Status};
use wire::etcdserverpb as pb;
use wire::etcdserverpb::cluster_server::Cluster;

use crate::args::host_and_port;
use crate::door::Door;
use crate::refusal::{self, Rejected};

impl Door {
    /// Changes the members, and says who they are then.
    async fn change(&self, change: Change) -> Result<Members, Status> {
        let done = self.done(self.handle().change(vec![change]).await)?;
        match &done.answer {
            Answer::Members(members) => Ok(self.described(members)),
            _ => Err(done.mismatch()),
        }
    }

    /// The members, no older than the question.
    async fn members_now(&self) -> Result<std::sync::Arc<Membership>, Status> {
        match self.handle().members().await {
            Outcome::Members(members) => Ok(members),
            Outcome::Failed(why) => Err(refusal::failed(why)),
            Outcome::Unknown(why) => Err(refusal::unknown(why)),
            Outcome::Done(_) | Outcome::Leads(_) => Err(Status::internal("an answer of another kind")),
        }
    }

    fn described(&self, members: &Membership) -> Members {
        let mut list: Vec<pb::Member> =
            members.nodes().into_iter().map(|node| self.member(node, members)).collect();
        list.sort_unstable_by_key(|member| member.id); // as etcd
        // As etcd: the list is no part of the store.
        Members { header: self.header(Revision(0)), list, last: self.ids().member(members.last_id()) }
    }

    fn member(&self, node: NodeId, members: &Membership) -> pb::Member {
        let About { name, peer_urls, client_urls, .. } = about(node, members);
        let is_learner = members.learners().contains(&node);
        pb::Member { id: self.ids().member(node), name, peer_urls, client_urls, is_learner }
    }
}

/// Who belongs to the cluster, as it is told.
struct Members {
    header: pb::ResponseHeader,
    list: Vec<pb::Member>,
    /// The id of the member that was added last.
    last: u64,
}

fn about(node: NodeId, members: &Membership) -> About {
    members.context(node).and_then(|context| About::decode(&context[..]).ok()).unwrap_or_default()
}

/// Where a member shall be found: nowhere that another one is.
fn peer_urls(urls: &[String], node: Option<NodeId>, members: &Membership) -> Result<Vec<String>, Rejected> {
    if urls.is_empty() || urls.iter().any(|url| host_and_port("peer-urls", url).is_err()) {
        return Err(Rejected::BadUrls);
    }
    let urls: Vec<String> = urls.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
    let taken = |other: &NodeId| {
        Some(*other) != node && about(*other, members).peer_urls.iter().any(|url| urls.contains(url))
    };
    if members.nodes().iter().any(taken) { Err(Rejected::UrlTaken) } else { Ok(urls) }
}

#[tonic::async_trait]
impl Cluster for Door {
    async fn member_list(
        &self,
        request: Request<pb::MemberListRequest>,
    ) -> Result<Response<pb::MemberListResponse>, Status> {
        let members = if request.into_inner().linearizable {
            self.members_now().await?
        } else {
            self.handle().known_members()
        };
        let Members { header, list: members, .. } = self.described(&members);
        Ok(Response::new(pb::MemberListResponse { header: Some(header), members }))
    }

    async fn member_add(
        &self,
        request: Request<pb::MemberAddRequest>,
    ) -> Result<Response<pb::MemberAddResponse>, Status> {
        let request = request.into_inner();
        let peer_urls = peer_urls(&request.peer_urls, None, &*self.members_now().await?)?;
        let about = About { peer_urls, to_vote: !request.is_learner, ..About::default() };
        let context = Bytes::from(about.encode_to_vec());
        let Members { header, list: members, last } = self.change(Change::AddLearner { context }).await?;
        let member = members.iter().find(|member| member.id == last).cloned();
        Ok(Response::new(pb::MemberAddResponse { header: Some(header), member, members }))
    }

    async fn member_remove(
        &self,
        request: Request<pb::MemberRemoveRequest>,
    ) -> Result<Response<pb::MemberRemoveResponse>, Status> {
        let node = self.node(request.into_inner().id).await?;
        let Members { header, list: members, .. } = self.change(Change::Remove(node)).await?;
        Ok(Response::new(pb::MemberRemoveResponse { header: Some(header), members }))
    }

    async fn member_update(
        &self,
        request: Request<pb::MemberUpdateRequest>,
    ) -> Result<Response<pb::MemberUpdateResponse>, Status> {
        let request = request.into_inner();
        let now = self.members_now().await?;
        let node = self.ids().node(request.id, &now).ok_or(Rejected::NoMember)?;
        let about =
            About { peer_urls: peer_urls(&request.peer_urls, Some(node), &now)?, ..about(node, &now) };
        let context = Bytes::from(about.encode_to_vec());
        let Members { header, list: members, .. } = self.change(Change::Describe { node, context }).await?;
        Ok(Response::new(pb::MemberUpdateResponse { header: Some(header), members }))
    }

    async fn member_promote(
        &self,
        request: Request<pb::MemberPromoteRequest>,
    ) -> Result<Response<pb::MemberPromoteResponse>, Status> {
        let node = self.node(request.into_inner().id).await?;
        let Members { header, list: members, .. } = self.change(Change::Promote(node)).await?;
        Ok(Response::new(pb::MemberPromoteResponse { header: Some(header), members }))
    }
}

impl Door {
    /// The member of this id.
    async fn node(&self, id: u64) -> Result<NodeId, Status> {
        let members = self.members_now().await?;
        Ok(self.ids().node(id, &members).ok_or(Rejected::NoMember)?)
    }
}
