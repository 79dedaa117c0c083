//! How ops are asked of a store like etcd, and what its answers mean.
//!
//! A real client speaks etcd's protocol over a socket, a simulated one hands commands to a replica. What they
//! ask is the same. So it is said once, here, in values that belong to neither world: a [`Request`] and a
//! [`Reply`]. Each world translates them into what it speaks, and says for itself how a call can fail there.
//!
//! Between an op and its outcome stand one call or two, one after the other, always to the same node. Which
//! ones, each workload says in a file of its own:
//!
//! | Workload | kept as | what changes it | what looks at it |
//! |---|---|---|---|
//! | register, cas-register | one key, the value as text | a put; a transaction on the value | a range |
//! | set | a key for each element | a put | a range |
//! | counter | a key for each number that can be added | a put, whose version counts | a range |
//! | unique-ids | one key | a put, whose revision is the id | – |
//! | bank | a key for each account | a range, then a transaction on revisions | a range |
//! | list-append | a key for each list | ranges, then a transaction on revisions | the same, or ranges |
//!
//! Where the store can do an op in one blind step it is done so: it then never fails for a race, and a command
//! that is lost, or carried out twice, leaves a mark. Where it cannot, the op looks first and changes what it
//! saw *if nobody changed it since*.
//!
//! What is told apart, as everywhere:
//! * **fail**: the call that could change something was never made, or the node knows that it did nothing, or
//!   the transaction found that somebody came between. Nobody here tries again: without a name a retry turns a
//!   definite answer into a guess. The price is that ops on a hot key often fail.
//! * **info**: the call that could change something was made, and nobody knows.
//! * [`Nonsense`]: an answer that no store gives which does what it was asked. The run is invalid, whatever
//!   the checkers say of the rest.
//!
//! A call that only looks changes nothing, so an op whose look was not answered is a *fail*: [`unanswered`].
//!
//! Left out: stale reads. Whoever asks for an old state cannot complain about it.

mod banks;
mod counters;
mod growing;
mod list_append;
mod registers;
mod reply;
mod request;
mod sets;
mod unique_ids;

use std::fmt::Debug;

use history::{Key, Outcome};

use crate::seam::Workload;

pub use reply::{Answer, KeyValue, Reply, TxnAnswer};
pub use request::{Condition, Expected, Keys, Put, Request, Revision, Step, Txn};

/// A workload whose ops a store can be asked. A driver
/// 1. makes the call that [`begin`](Asking::begin) gives it;
/// 2. hands the reply to [`replied`](Asking::replied), and makes the next call if it is given one;
/// 3. if no reply comes, knows itself whether the call did nothing; if not, [`unanswered`] says what it means.
pub trait Asking: Workload + Clone {
    /// What must be remembered while a call is under way.
    type Open: Clone + Debug + Send;

    /// The first call.
    fn begin(&self, op: &Self::Op, key: Option<&Key>) -> (Request, Self::Open);

    /// What it means that the call under way was carried out with this reply.
    fn replied(
        &self,
        op: &Self::Op,
        key: Option<&Key>,
        open: Self::Open,
        reply: Reply,
    ) -> Result<Asked<Self>, Nonsense>;
}

/// What an answer means.
#[derive(Clone, Debug)]
pub enum Asked<W: Asking> {
    /// The op is over, and ended like this.
    Over(Outcome<W::Ret>),
    /// There is more to ask of the same node.
    Again(Request, W::Open),
}

/// An answer that can never be one: of the wrong kind, or with something in it that no client wrote.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Nonsense(pub String);

/// The reason why an op failed whose transaction found something else than it had seen.
pub const OVERTAKEN: &str = "somebody came between its look and its change";

/// What it means that nobody knows what became of a call that [could change something](Request::changes), or
/// could not.
pub fn unanswered<Ret>(changes: bool, why: String) -> Outcome<Ret> {
    if changes { Outcome::Info(why) } else { Outcome::Fail(why) }
}
