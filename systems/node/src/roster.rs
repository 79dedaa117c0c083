//! Finding one's place in a cluster that runs already.
//!
//! A member is added before it starts: the cluster gives it a number and writes down where it will be found. When it
//! starts, on an empty folder, it asks those it was told of who the members are, and looks for its own address among
//! them. That answer must be no older than the question. An older one could still list the member that was found at this
//! address before, and a blank node under the number of one that has voted could break promises that it made.
//!
//! Where no leader can be asked, a node says what its own log says. That is enough for one purpose: as proof that
//! somebody *has* been a member, and must not begin again. So everybody is asked, and one proof counts against any number of
//! those who know nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use raft::NodeId;
use tokio::time::Instant;
use tonic::transport::{Endpoint, Uri};
use tonic::{Code, Status};
use wire::peer::peer_client::PeerClient;
use wire::peer::{About, RosterRequest, RosterResponse};

use crate::config::detour;

/// How long one of them may take to answer.
const ANSWER: Duration = Duration::from_secs(1);
/// How long to wait before they are asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// Who belongs to a cluster.
#[derive(Clone, PartialEq, Debug)]
pub struct Roster {
    /// The cluster's name, with what recoveries added to it.
    pub cluster: String,
    /// Whether it is no older than the question.
    pub fresh: bool,
    /// All members, and what is known of them.
    pub members: BTreeMap<NodeId, About>,
    /// The greatest number that was ever given to a member.
    pub last: NodeId,
}

impl Roster {
    /// The member that is found at this address, if there is one.
    pub fn at(&self, peer_url: &str) -> Option<NodeId> {
        let here = |about: &About| about.peer_urls.iter().any(|url| url.trim_end_matches('/') == peer_url);
        self.members.iter().find(|(_, about)| here(about)).map(|(node, _)| *node)
    }
}

/// Nobody told who the members are.
#[derive(Debug, thiserror::Error)]
#[error("none of {asked} told within {seconds} s who the members are; the last answer: {last}")]
pub struct Silence {
    asked: String,
    seconds: u64,
    last: String,
    /// All of them belong to another cluster.
    pub strangers: bool,
}

/// Asks those at `peers`, all at once and again and again, until one of them has a fresh answer or time is up.
/// `detours` leads to some of them; see [`Config::detours`](crate::Config::detours).
///
/// # Errors
/// Nobody answered in time, or all of them belong to other clusters.
pub async fn roster(
    cluster: &str,
    peers: &[String],
    detours: &BTreeMap<String, Uri>,
    patience: Duration,
) -> Result<Roster, Silence> {
    let start = Instant::now();
    loop {
        let (rosters, complaints) = rosters(cluster, peers, detours).await;
        let known = rosters.len();
        if let Some(fresh) = rosters.into_iter().find(|roster| roster.fresh) {
            return Ok(fresh);
        }
        let strangers = known == 0 && complaints.iter().all(|(code, _)| *code == Code::PermissionDenied);
        if strangers || start.elapsed() >= patience {
            let last =
                complaints.into_iter().next_back().map_or("no leader is known".to_owned(), |(_, why)| why);
            let (asked, seconds) = (peers.join(", "), start.elapsed().as_secs());
            return Err(Silence { asked, seconds, last, strangers });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Asks all of them, once: what they say, fresh or not, and the complaints of the others.
pub async fn rosters(
    cluster: &str,
    peers: &[String],
    detours: &BTreeMap<String, Uri>,
) -> (Vec<Roster>, Vec<(Code, String)>) {
    let answers: FuturesUnordered<_> = peers.iter().map(|url| ask(cluster, url, detours)).collect();
    let (mut rosters, mut complaints) = (Vec::new(), Vec::new());
    for answer in answers.collect::<Vec<_>>().await {
        match answer {
            Ok(answer) => rosters.push(read(answer)),
            Err(why) => complaints.push(why),
        }
    }
    (rosters, complaints)
}

/// Asks one.
async fn ask(
    cluster: &str,
    url: &str,
    detours: &BTreeMap<String, Uri>,
) -> Result<RosterResponse, (Code, String)> {
    let Some(uri) = detour(detours, url).or_else(|| url.parse().ok()) else {
        return Err((Code::InvalidArgument, format!("{url}: this is no URL")));
    };
    match tokio::time::timeout(ANSWER, call(cluster, uri)).await {
        Ok(answer) => answer.map_err(|status| (status.code(), format!("{url}: {}", status.message()))),
        Err(_) => Err((Code::DeadlineExceeded, format!("{url}: no answer"))),
    }
}

async fn call(cluster: &str, uri: Uri) -> Result<RosterResponse, Status> {
    let connected = Endpoint::from(uri).connect().await;
    let channel = connected.map_err(|error| Status::unavailable(crate::peers::chain(&error)))?;
    let request = RosterRequest { cluster: cluster.to_owned() };
    Ok(PeerClient::new(channel).roster(request).await?.into_inner())
}

fn read(answer: RosterResponse) -> Roster {
    let member = |member: wire::peer::RosterMember| {
        Some((NodeId(u16::try_from(member.node).ok()?), member.about.unwrap_or_default()))
    };
    let members = answer.members.into_iter().filter_map(member).collect();
    let last = NodeId(u16::try_from(answer.last).unwrap_or(u16::MAX));
    Roster { cluster: answer.cluster, fresh: !answer.stale, members, last }
}
