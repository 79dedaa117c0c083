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

use crate::args::uri;
use crate::door::Door;
use crate::refusal::{self, Rejected};

impl Door {
    /// Changes the members as is decided in view of them, and says who they are then.
    async fn change(
        &self,
        decide: impl Fn(&Membership) -> Result<Change, Rejected>,
    ) -> Result<Members, Status> {
        let done = self.done(self.handle().change(decide).await?)?;
        match &done.answer {
            Answer::Members(members) => Ok(self.described(members)),
            _ => Err(done.mismatch()),
        }
    }

    /// The members, no older than the question.
    async fn members_now(&self) -> Result<replica::Members, Status> {
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
    let bad = |url: &String| url.len() > node::URL || uri("peer-urls", url).is_err();
    if urls.is_empty() || urls.len() > node::URLS || urls.iter().any(bad) {
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
            self.members_now().await?.now
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
        let add = |members: &Membership| {
            let peer_urls = peer_urls(&request.peer_urls, None, members)?;
            let about = About { peer_urls, to_vote: !request.is_learner, ..About::default() };
            Ok(Change::AddLearner { context: Bytes::from(about.encode_to_vec()) })
        };
        let Members { header, list: members, last } = self.change(add).await?;
        let member = members.iter().find(|member| member.id == last).cloned();
        Ok(Response::new(pb::MemberAddResponse { header: Some(header), member, members }))
    }

    async fn member_remove(
        &self,
        request: Request<pb::MemberRemoveRequest>,
    ) -> Result<Response<pb::MemberRemoveResponse>, Status> {
        let id = request.into_inner().id;
        let remove = |members: &Membership| Ok(Change::Remove(self.node(id, members)?));
        let Members { header, list: members, .. } = self.change(remove).await?;
        Ok(Response::new(pb::MemberRemoveResponse { header: Some(header), members }))
    }

    async fn member_update(
        &self,
        request: Request<pb::MemberUpdateRequest>,
    ) -> Result<Response<pb::MemberUpdateResponse>, Status> {
        let request = request.into_inner();
        let update = |members: &Membership| {
            let node = self.node(request.id, members)?;
            let peer_urls = peer_urls(&request.peer_urls, Some(node), members)?;
            let context = Bytes::from(About { peer_urls, ..about(node, members) }.encode_to_vec());
            Ok(Change::Describe { node, context })
        };
        let Members { header, list: members, .. } = self.change(update).await?;
        Ok(Response::new(pb::MemberUpdateResponse { header: Some(header), members }))
    }

    async fn member_promote(
        &self,
        request: Request<pb::MemberPromoteRequest>,
    ) -> Result<Response<pb::MemberPromoteResponse>, Status> {
        let id = request.into_inner().id;
        let promote = |members: &Membership| Ok(Change::Promote(self.node(id, members)?));
        let Members { header, list: members, .. } = self.change(promote).await?;
        Ok(Response::new(pb::MemberPromoteResponse { header: Some(header), members }))
    }
}

impl Door {
    /// The member of this id.
    fn node(&self, id: u64, members: &Membership) -> Result<NodeId, Rejected> {
        self.ids().node(id, members).ok_or(Rejected::NoMember)
    }
}
