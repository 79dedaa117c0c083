//! Which member of which cluster this node is.
//!
//! Its folder says, if it has one: who has started once stays who he is, whatever the flags say of the others by now. A
//! blank node looks at `--initial-cluster`. If the cluster is new, all of that list are numbered alike by all of
//! them, and the log begins with them as its members. If it exists, the list only says whom to ask: the cluster has
//! given this node its number when it was added, and knows it by its address.
//!
//! **A blank node must not take the place of one that has lived.** What that one promised, a vote say, is
//! forgotten with its disk, and under the same number the promise could be broken. So a blank node asks, in either case,
//! whether its place was taken before: a member that has started once has told the cluster where its clients find it.
//! Everybody is asked, and says what its log says if no leader can be asked; one proof counts against any number of those who
//! know nothing. If there is none, a new cluster is believed to be new. What remains is a member whose disk is lost
//! while nobody who answers has heard yet that it started.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use node::{About, Roster, Silence};
use prost::Message;
use raft::{Membership, NodeId};
use wal::Identity;

use crate::args::{ClusterState, Plan};
use crate::members::{BadMembers, Members};

/// How long a node that joins asks who the members are.
const JOINING: Duration = Duration::from_secs(15);

/// Where a node belongs.
#[derive(Debug)]
pub struct Place {
    /// Who it is.
    pub identity: Identity,
    /// Who the members are where the log begins.
    pub membership: Membership,
    /// Where others are found, until the log says it.
    pub told: BTreeMap<NodeId, String>,
}

/// Why a node has no place.
#[derive(Debug, thiserror::Error)]
pub enum Misplaced {
    /// Whose folder it is cannot be read.
    #[error("{folder}: {source}")]
    Folder {
        /// The folder.
        folder: String,
        /// Why.
        source: io::Error,
    },
    /// The first start has written down members that are none.
    #[error("{folder}: the members of its first start: {source}")]
    Members {
        /// The folder.
        folder: String,
        /// Why.
        source: BadMembers,
    },
    /// It has lived before, elsewhere.
    #[error(
        "as the list of members counts, this is {node} at {url}, which has been a started member of this cluster, and \
         {folder} has no data of it: what it has promised is lost; remove that member and add a new one. Or if this \
         node was just added, start it with --initial-cluster-state existing"
    )]
    Blank {
        /// Who it would be.
        node: NodeId,
        /// Where it is found.
        url: String,
        /// The folder.
        folder: String,
    },
    /// The cluster is there, and goes on without it.
    #[error(
        "cluster {cluster:?} exists, and as the list of members counts, this is {node} at {url}, which is no member of it \
         (any more); add a new one there (`etcdctl member add`), if that is not done, and start it with \
         --initial-cluster-state existing"
    )]
    NotNew {
        /// The cluster.
        cluster: String,
        /// Who it would be.
        node: NodeId,
        /// Where it is found.
        url: String,
    },
    /// Nobody has added it.
    #[error(
        "no member of the cluster is at {url}; add one there first (`etcdctl member add`); members are {members}"
    )]
    NotAdded {
        /// Where it is found.
        url: String,
        /// Who the members are.
        members: String,
    },
    /// Nobody says who the members are.
    #[error("cannot join: {0}")]
    Silence(#[from] Silence),
}

/// Finds out where this node belongs.
///
/// # Errors
/// See [`Misplaced`].
pub async fn find(plan: &Plan) -> Result<Place, Misplaced> {
    let folder = plan.data_dir.display().to_string();
    let found = Identity::in_folder(&plan.data_dir);
    match found.map_err(|source| Misplaced::Folder { folder: folder.clone(), source })? {
        Some(found) => {
            let mut place = known(plan, found).map_err(|source| Misplaced::Members { folder, source })?;
            if place.identity.members.is_empty() {
                place.told = others(plan, place.identity.node).await;
            }
            Ok(place)
        }
        None if plan.state == ClusterState::Existing => joining(plan, folder).await,
        None => beginning(plan, folder).await,
    }
}

/// As the folder says. Whether it is this node's, the log compares.
fn known(plan: &Plan, found: Identity) -> Result<Place, BadMembers> {
    let token = plan.members.token();
    let cluster = if found.token() == token { found.cluster.clone() } else { token.to_owned() };
    let members = Members::parse(token, &found.members.join(","))?;
    if !found.members.is_empty() && found.members != lines(&plan.members) {
        tracing::info!("--initial-cluster counts for the first start only: the members are those of the log");
    }
    let identity = Identity { cluster, name: plan.name.clone(), node: found.node, members: found.members };
    Ok(Place { told: urls(&members, found.node), membership: first_membership(&members), identity })
}

async fn joining(plan: &Plan, folder: String) -> Result<Place, Misplaced> {
    let token = plan.members.token();
    let roster = node::roster(token, &plan.others(), &plan.detours, JOINING).await?;
    let url = plan.peer_urls[0].clone();
    let Some(node) = roster.at(&url) else {
        let shown =
            roster.members.iter().map(|(node, about)| format!("{node} at {}", about.peer_urls.join(" ")));
        let members = shown.collect::<Vec<_>>().join(", ");
        return Err(Misplaced::NotAdded { url, members });
    };
    refuse_second_life(&roster, node, url, folder)?;
    let told = told_by(&roster, node);
    let identity = Identity { cluster: roster.cluster, name: plan.name.clone(), node, members: Vec::new() };
    tracing::info!(%identity, "joining");
    Ok(Place { identity, membership: Membership::default(), told })
}

async fn beginning(plan: &Plan, folder: String) -> Result<Place, Misplaced> {
    let members = &plan.members;
    let cluster = members.token().to_owned();
    let (rosters, _) = node::rosters(&cluster, &plan.others(), &plan.detours).await;
    for roster in rosters {
        let (node, url) = (plan.node, plan.peer_urls[0].clone());
        let stranger = roster.last >= node && !roster.members.contains_key(&node);
        if stranger || roster.cluster != cluster {
            return Err(Misplaced::NotNew { cluster: roster.cluster, node, url });
        }
        refuse_second_life(&roster, node, url, folder.clone())?;
    }
    let identity = Identity { cluster, name: plan.name.clone(), node: plan.node, members: lines(members) };
    Ok(Place { told: urls(members, plan.node), membership: first_membership(members), identity })
}

/// Where the others are, for a node that joined and may have been stopped before it heard so by itself.
async fn others(plan: &Plan, own: NodeId) -> BTreeMap<NodeId, String> {
    let (rosters, _) = node::rosters(plan.members.token(), &plan.others(), &plan.detours).await;
    rosters.iter().flat_map(|roster| told_by(roster, own)).collect()
}

fn told_by(roster: &Roster, own: NodeId) -> BTreeMap<NodeId, String> {
    let others = roster.members.iter().filter(|(member, _)| **member != own);
    others.filter_map(|(member, about)| Some((*member, about.peer_urls.first()?.clone()))).collect()
}

fn refuse_second_life(roster: &Roster, node: NodeId, url: String, folder: String) -> Result<(), Misplaced> {
    let lived = roster.members.get(&node).is_some_and(|about| !about.client_urls.is_empty());
    if lived { Err(Misplaced::Blank { node, url, folder }) } else { Ok(()) }
}

/// The members as a folder remembers them: each as `--initial-cluster` had it.
fn lines(members: &Members) -> Vec<String> {
    let line = |name: &str, urls: &[String]| {
        let items: Vec<String> = urls.iter().map(|url| format!("{name}={url}")).collect();
        items.join(",")
    };
    members.iter().map(|member| line(&member.name, &member.peer_urls)).collect()
}

fn urls(members: &Members, own: NodeId) -> BTreeMap<NodeId, String> {
    let others = members.iter().filter(|member| member.node != own);
    others.map(|member| (member.node, member.peer_urls[0].clone())).collect()
}

/// The same on all members, to the byte: it stands at the beginning of all their logs.
pub(crate) fn first_membership(members: &Members) -> Membership {
    let membership = Membership::of(members.iter().map(|member| member.node));
    members.iter().fold(membership, |membership, member| {
        let (name, peer_urls) = (member.name.clone(), member.peer_urls.clone());
        let about = About { name, peer_urls, ..About::default() };
        membership.described(member.node, Bytes::from(about.encode_to_vec()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_remembers_the_members_as_they_were_listed() {
        let list = "a=http://h:1,a=http://h:2,b=http://h:3";
        let members = Members::parse("t", list).unwrap();
        assert_eq!(lines(&members), ["a=http://h:1,a=http://h:2", "b=http://h:3"]);
        assert_eq!(Members::parse("t", &lines(&members).join(",")), Ok(members));
    }
}
