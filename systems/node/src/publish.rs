//! Telling the cluster who one is, and asking to vote.
//!
//! A member is added by its address alone. What else the others should know of it, its name and where clients find it,
//! only the member itself knows, when it has started. So each node compares what the membership says of it with what it
//! was started with, and asks for a change where they differ: a change that makes nobody a member and touches no
//! majority. Where the *others* find it is not for a node to say, for a node that nobody reaches could say anything.
//!
//! A member that is to vote starts as a learner. Had it a vote from the start, its vote would be missing until it has
//! started, been found and caught up; a cluster of one that grows could decide nothing any more. So it asks for its vote
//! itself, when it is there; as long as it lacks too much, the leader says no.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use raft::{Change, Membership, NodeId};
use replica::Outcome;
use wire::peer::About;

use crate::handle::{Handle, Machine};

/// How often a node looks whether there is something to say, while there is.
const LOOK: Duration = Duration::from_millis(100);
/// And how often at most, when there is nothing, or when it is refused.
const REST: Duration = Duration::from_secs(2);

/// Sees to it that the membership says of this node what it was started with, for as long as it runs.
pub(crate) async fn publish<M: Machine>(handle: Handle<M>, own: NodeId, about: About) {
    let mut wait = LOOK;
    let mut last = String::new();
    loop {
        tokio::time::sleep(wait).await;
        let lacking = lacking(&handle.known_members(), own, &about);
        if handle.status().replica.leader.is_none() || lacking.is_err() {
            // Whoever has just become a member, or has a leader again, need not wait long.
            wait = if lacking == Err(Nothing::ToSay) { REST } else { LOOK };
            continue;
        }
        let outcome = handle.change(|members| self::lacking(members, own, &about)).await;
        wait = (wait * 2).min(REST);
        let why = match outcome {
            Ok(Outcome::Failed(why)) => why.to_string(),
            Ok(Outcome::Unknown(why)) => why.to_string(),
            Ok(_) | Err(_) => {
                wait = LOOK;
                continue;
            }
        };
        // Once for each new reason.
        if why != last {
            tracing::info!(node = %own, why, "the cluster does not take down who this node is, or give it its vote, yet");
            last = why;
        }
    }
}

/// Why nothing is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Nothing {
    ToSay,
    NoMember,
}

/// What the members lack of this node.
fn lacking(members: &Membership, own: NodeId, about: &About) -> Result<Change, Nothing> {
    if !members.contains(own) {
        return Err(Nothing::NoMember);
    }
    let written =
        members.context(own).and_then(|context| About::decode(&context[..]).ok()).unwrap_or_default();
    let peer_urls = if written.peer_urls.is_empty() { &about.peer_urls } else { &written.peer_urls };
    let wanted = About { peer_urls: peer_urls.clone(), to_vote: written.to_vote, ..about.clone() };
    if wanted != written {
        Ok(Change::Describe { node: own, context: Bytes::from(wanted.encode_to_vec()) })
    } else if wanted.to_vote && members.learners().contains(&own) {
        Ok(Change::Promote(own))
    } else {
        Err(Nothing::ToSay)
    }
}
