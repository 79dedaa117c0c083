//! Changing who belongs to a cluster, as an operator of etcd does it.
//!
//! A request to change members can be refused, and may be tried again; or its outcome stays unknown, and then the list
//! of members tells. So each change here is a loop that first looks whether what is wanted is so, and only then asks
//! for it. That is safe because each step names its member by a number that is never given twice, or by an address that
//! only one member can have: asked twice, it is done once.
//!
//! Who is asked changes from attempt to attempt. Any member may be down, or alone with the past; whoever answers passes
//! the request on to the leader.
//!
//! The list of members is asked for after a linearizable read of the same member: etcd 3.4 answers it from what that
//! member has heard so far, which may still name somebody who is gone.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Response, Status};
use wire::etcdserverpb::cluster_client::ClusterClient;
use wire::etcdserverpb::kv_client::KvClient;
use wire::etcdserverpb::{
    Member, MemberAddRequest, MemberListRequest, MemberPromoteRequest, MemberRemoveRequest, RangeRequest,
};

use crate::etcd;

/// How long one request may take. etcd gives itself seven seconds for a change that finds no quorum.
const ANSWER: Duration = Duration::from_secs(2);
/// How long to wait before the next attempt.
const PAUSE: Duration = Duration::from_millis(50);

/// What became of a change.
pub(crate) enum Changed {
    /// It is so. Whom it made is told with it.
    Done(Member),
    /// It is not so, and this is the last that was heard about it.
    Refused(String),
    /// Nobody could be asked how it ended.
    Unknown(String),
}

/// Those that can be asked about the members of a cluster.
pub(crate) struct Council {
    voices: Vec<Channel>,
    turn: usize,
    /// What was said last, by whoever did not do what was asked.
    last: String,
}

impl Council {
    /// Of the nodes whose clients connect there, in the order in which they are asked.
    pub(crate) fn of(addresses: impl IntoIterator<Item = SocketAddr>) -> Council {
        let voices = addresses.into_iter().map(etcd::channel).collect();
        Council { voices, turn: 0, last: "nobody answered".to_owned() }
    }

    /// The members now, if one of those who are asked answers.
    pub(crate) async fn members(&mut self) -> Option<Vec<Member>> {
        for _ in 0..self.voices.len() {
            let list = async |voice: Channel| {
                let read = RangeRequest { key: "health".into(), ..RangeRequest::default() };
                KvClient::new(voice.clone()).range(read).await?;
                ClusterClient::new(voice).member_list(MemberListRequest { linearizable: true }).await
            };
            if let Some(answer) = self.ask(list).await {
                return Some(answer.members);
            }
        }
        None
    }

    /// Who is found at this address, if anyone: none, if nobody answers.
    pub(crate) async fn at(&mut self, url: &str) -> Option<Option<Member>> {
        Some(self.members().await?.into_iter().find(|member| is_at(member, url)))
    }

    /// Takes this member out.
    pub(crate) async fn remove(&mut self, member: &Member, deadline: Instant) -> Changed {
        let id = member.id;
        let wanted = |members: &[Member]| {
            let gone = members.iter().all(|other| other.id != id);
            gone.then(|| member.clone())
        };
        let remove =
            async |voice: Channel| ClusterClient::new(voice).member_remove(MemberRemoveRequest { id }).await;
        self.change(wanted, remove, deadline).await
    }

    /// Adds a member that will be found at this address, as a learner. Whoever was there is none any more.
    pub(crate) async fn add(&mut self, url: &str, deadline: Instant) -> Changed {
        let wanted = |members: &[Member]| members.iter().find(|member| is_at(member, url)).cloned();
        let add = async |voice: Channel| {
            let request = MemberAddRequest { peer_urls: vec![url.to_owned()], is_learner: true };
            ClusterClient::new(voice).member_add(request).await
        };
        self.change(wanted, add, deadline).await
    }

    /// Gives this learner a vote, as soon as it has caught up. `watch` is called between attempts, and may end them.
    pub(crate) async fn promote(
        &mut self,
        id: u64,
        deadline: Instant,
        mut watch: impl FnMut() -> std::io::Result<()>,
    ) -> std::io::Result<Changed> {
        let wanted =
            |members: &[Member]| members.iter().find(|member| member.id == id && !member.is_learner).cloned();
        let promote = async |voice: Channel| {
            ClusterClient::new(voice).member_promote(MemberPromoteRequest { id }).await
        };
        while Instant::now() < deadline {
            watch()?;
            if let Some(member) = self.attempt(wanted, promote).await {
                return Ok(Changed::Done(member));
            }
        }
        Ok(self.outcome(wanted).await)
    }

    /// Looks and asks in turns until it is so or time is up; looks once more at the end.
    async fn change<T>(
        &mut self,
        wanted: impl Fn(&[Member]) -> Option<Member>,
        request: impl AsyncFn(Channel) -> Result<Response<T>, Status>,
        deadline: Instant,
    ) -> Changed {
        while Instant::now() < deadline {
            if let Some(member) = self.attempt(&wanted, &request).await {
                return Changed::Done(member);
            }
        }
        self.outcome(wanted).await
    }

    /// Looks whether it is so, and asks for it if it is not, however long the look took.
    async fn attempt<T>(
        &mut self,
        wanted: impl Fn(&[Member]) -> Option<Member>,
        request: impl AsyncFn(Channel) -> Result<Response<T>, Status>,
    ) -> Option<Member> {
        let members = self.members().await;
        let done = members.as_deref().and_then(wanted);
        if done.is_none() && self.ask(request).await.is_none() {
            tokio::time::sleep(PAUSE).await;
        }
        done
    }

    /// Whether it is so in the end.
    async fn outcome(&mut self, wanted: impl Fn(&[Member]) -> Option<Member>) -> Changed {
        match self.members().await {
            None => Changed::Unknown(self.last.clone()),
            Some(members) => match wanted(&members) {
                Some(member) => Changed::Done(member),
                None => Changed::Refused(self.last.clone()),
            },
        }
    }

    /// Asks the next one in turn. Who does not do it leaves its word.
    async fn ask<T>(&mut self, request: impl AsyncFn(Channel) -> Result<Response<T>, Status>) -> Option<T> {
        let voice = self.voices.get(self.turn)?.clone();
        self.turn = (self.turn + 1) % self.voices.len();
        match timeout(ANSWER, request(voice)).await {
            Ok(Ok(answer)) => return Some(answer.into_inner()),
            Ok(Err(status)) => status.message().clone_into(&mut self.last),
            Err(_elapsed) => self.last = format!("no answer within {ANSWER:?}"),
        }
        None
    }
}

/// A member's number as etcd writes it.
pub(crate) fn number(id: u64) -> String {
    format!("{id:x}")
}

fn is_at(member: &Member, url: &str) -> bool {
    member.peer_urls.iter().any(|known| known.trim_end_matches('/') == url)
}
