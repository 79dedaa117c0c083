//! Links between the nodes of a cluster.
//!
//! A link goes one way. Node a dials node b and sends its envelopes in one call that never ends; b
//! answers on a link of its own. So a network that is cut one way is cut one way for us too, and one
//! stream with batches costs a twentieth of a call per message.
//!
//! Raft expects its network to lose messages, so a link may drop them, but not block anyone: each has a
//! bounded queue from which the *oldest* goes when it is full, since the newest tells a peer most. What is
//! dropped is counted. A link that breaks, or says nothing to a ping for a while, is dialled again, after
//! a short wait that grows to half a second.
//!
//! The first frame names the cluster and the sender, and where the sender is found. A node of another cluster is refused
//! before anything it says is looked at, with a log line that names both sides; so is one that was removed, which is
//! told so and stops. A node that is not known is let in: it may have become a member, or the leader, since
//! this node last heard.

mod incoming;
mod link;
mod links;
mod queue;

pub(crate) use incoming::{Incoming, listen};
pub(crate) use link::chain;
pub(crate) use links::Links;
pub use links::{URL, URLS};
