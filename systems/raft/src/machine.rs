//! What a committed entry is applied to.

use crate::entry::{Command, Entry};
use crate::membership::Membership;

/// A deterministic state machine: the same entries in the same order give the same state and the
/// same replies on every node, at any time. It has no clock; the time of an entry is its stamp.
pub trait StateMachine {
    /// A question that changes nothing.
    type Query;
    /// What an entry or a query is answered with. Replies to entries are kept in the session table,
    /// in case a client asks twice.
    type Reply: Clone;

    /// Executes a committed command. `entry` gives its id and stamp. A command that makes no sense
    /// is answered, not refused: it is in the log, and every node must pass it alike.
    fn apply(&mut self, entry: &Entry, command: &Command) -> Self::Reply;

    /// Learns who belongs to the cluster from now on, and answers whoever wanted it so.
    fn membership(&mut self, entry: &Entry, membership: &Membership) -> Self::Reply;

    /// Answers from the present state.
    fn query(&self, query: &Self::Query) -> Self::Reply;
}
