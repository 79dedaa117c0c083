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
use raft::{Change, NodeId};
use wire::peer::About;

use crate::handle::{Handle, Machine};

/// How often a node looks whether there is something to say.
const LOOK: Duration = Duration::from_millis(100);

/// Sees to it that the membership says of this node what it was started with. Ends when it does.
pub(crate) async fn publish<M: Machine>(handle: Handle<M>, own: NodeId, about: About) {
    loop {
        tokio::time::sleep(LOOK).await;
        let members = handle.known_members();
        if handle.status().replica.leader.is_none() || !members.contains(own) {
            continue;
        }
        let written = members.context(own).and_then(|context| About::decode(&context[..]).ok());
        let written = written.unwrap_or_default();
        let peer_urls =
            if written.peer_urls.is_empty() { about.peer_urls.clone() } else { written.peer_urls.clone() };
        let wanted = About { peer_urls, to_vote: written.to_vote, ..about.clone() };
        let change = if wanted != written {
            Change::Describe { node: own, context: Bytes::from(wanted.encode_to_vec()) }
        } else if wanted.to_vote && members.learners().contains(&own) {
            Change::Promote(own)
        } else {
            return;
        };
        // Whatever becomes of it, the next look will show.
        handle.change(vec![change]).await;
    }
}
