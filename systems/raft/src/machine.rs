//! What a committed entry is applied to.

use bytes::Bytes;

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
    /// Its state at one moment, which gives itself away piece by piece while the machine goes on. Pieces are of
    /// bounded size, and none is empty.
    type Frozen: Iterator<Item = Bytes> + Send + 'static;

    /// Executes a committed command. `entry` gives its id and stamp. A command that makes no sense
    /// is answered, not refused: it is in the log, and every node must pass it alike.
    fn apply(&mut self, entry: &Entry, command: &Command) -> Self::Reply;

    /// Learns who belongs to the cluster from now on, and answers whoever wanted it so.
    fn membership(&mut self, entry: &Entry, membership: &Membership) -> Self::Reply;

    /// Answers from the present state.
    fn query(&self, query: &Self::Query) -> Self::Reply;

    /// Its present state, for a snapshot. Nothing else happens meanwhile, so it must be cheap.
    fn freeze(&self) -> Self::Frozen;

    /// Takes on the state that another one had when it was frozen; what it had itself is forgotten.
    ///
    /// # Errors
    /// The pieces make no state. What this machine holds then is of no use.
    fn restore(&mut self, pieces: &mut dyn Iterator<Item = Bytes>) -> Result<(), Unreadable>;

    /// A reply as bytes: the session table is part of a snapshot.
    fn encode_reply(reply: &Self::Reply, out: &mut Vec<u8>);

    /// Reads one from the front of `from`.
    ///
    /// # Errors
    /// The bytes are no reply.
    fn decode_reply(from: &mut Bytes) -> Result<Self::Reply, Unreadable>;
}

/// Bytes of a snapshot that were written as they are, and make no sense: another build wrote them.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);
