//! How ops are asked of a replicated [`kv::Store`], and what its answers mean.
//!
//! A real client speaks the store's protocol over a socket. A simulated one speaks to the replica itself: it
//! makes a [`Call`], and gets an [`Outcome`](replica::Outcome). Between an op and its answer stand one call or
//! two, one after the other, always to the same node; which ones, each workload says in a file of its own:
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
//! * **fail**: the call that could change something was never made, or the replica knows that it did nothing,
//!   or the transaction found that somebody came between. Nobody here tries again: without a name a retry turns a
//!   definite answer into a guess. The price is that ops on a hot key often fail. Who has a session and asks
//!   again under the same name does so [behind all this](crate::request), and comes back with one outcome.
//! * **info**: the call that could change something was made, and nobody knows.
//! * [`Nonsense`]: an answer that no store gives which does what it was asked. The run is invalid, whatever
//!   the checkers say of the rest.
//!
//! A call that only looks changes nothing, so an op whose look was not answered is a *fail*.
//!
//! Left out: stale reads. Whoever asks for an old state cannot complain about it.

mod banks;
mod calls;
mod counters;
mod growing;
mod list_append;
mod registers;
mod replies;
mod sets;
mod unique_ids;

#[cfg(test)]
mod tests;

use std::fmt;

use history::{Key, Outcome};
use kv::{Query, Reply};
use workload::{Banks, Counters, ListAppend, Name, Registers, Sets, Simulated, UniqueIds, Workload};

/// What a client wants of a replica.
pub(crate) type Call = replica::Call<Query>;

/// A workload whose ops a replicated store can be asked. An op is carried out by calls to one node, one after
/// the other; a driver
/// 1. makes the call that [`begin`](Asking::begin) gives it;
/// 2. hands what becomes of it to [`answered`](Asking::answered), and makes the next call if it is given one;
/// 3. if no outcome can come any more, since the node is gone, asks [`unanswered`](Asking::unanswered) instead.
pub(crate) trait Asking:
    Workload<Op: fmt::Debug + Send + 'static, Ret: Clone + fmt::Debug + Send + 'static>
{
    /// What must be remembered while a call is under way.
    type Open: Clone + fmt::Debug + Send;

    /// The first call.
    fn begin(&self, op: &Self::Op, key: Option<&Key>) -> (Call, Self::Open);

    /// Whether the call under way could change something.
    fn changes(&self, op: &Self::Op, open: &Self::Open) -> bool;

    /// What it means that the call under way was carried out with this reply.
    fn replied(
        &self,
        op: &Self::Op,
        key: Option<&Key>,
        open: Self::Open,
        reply: Reply,
    ) -> Result<Asked<Self>, Nonsense>;

    /// What the outcome of the call under way means.
    fn answered(
        &self,
        op: &Self::Op,
        key: Option<&Key>,
        open: Self::Open,
        outcome: replica::Outcome<Reply>,
    ) -> Result<Asked<Self>, Nonsense> {
        match outcome {
            replica::Outcome::Done(reply) => self.replied(op, key, open, reply),
            // No workload asks for another leader, or who the members are.
            replica::Outcome::Leads(node) => Ok(Asked::Over(Outcome::Fail(format!("{node} leads")))),
            replica::Outcome::Members(members) => Ok(Asked::Over(Outcome::Fail(members.now.to_string()))),
            replica::Outcome::Failed(why) => Ok(Asked::Over(Outcome::Fail(why.to_string()))),
            replica::Outcome::Unknown(why) => Ok(Asked::Over(self.unanswered(op, &open, why.to_string()))),
        }
    }

    /// What it means that nobody knows what became of the call under way.
    fn unanswered(&self, op: &Self::Op, open: &Self::Open, why: String) -> Outcome<Self::Ret> {
        if self.changes(op, open) { Outcome::Info(why) } else { Outcome::Fail(why) }
    }
}

/// What an answer means.
#[derive(Clone, Debug)]
pub(crate) enum Asked<W: Asking + ?Sized> {
    /// The op is over, and ended like this.
    Over(Outcome<W::Ret>),
    /// There is more to ask of the same node.
    Again(Call, W::Open),
}

/// An answer that can never be one: of the wrong kind, or with something in it that no client wrote.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Nonsense(pub(crate) String);

/// The reason why an op failed whose transaction found something else than it had seen.
const OVERTAKEN: &str = "somebody came between its look and its change";

/// Whoever is interested in a workload, whatever its ops are.
pub(crate) trait Visitor {
    /// What comes of it.
    type Out;

    /// Goes on with the workload.
    fn visit<W: Asking + Clone + Send + Sync + 'static>(self, workload: W) -> Self::Out;
}

/// A change that no workload asks for, and that none of them sees.
pub(crate) fn a_change() -> Call {
    calls::write(&kv::Command::Put(calls::put(bytes::Bytes::from_static(b"\0proof"), bytes::Bytes::new())))
}

/// Finds the workload of that name, with its defaults. The one place where a name becomes a type.
pub(crate) fn with_workload<V: Visitor>(name: Simulated, visitor: V) -> V::Out {
    match name {
        Simulated::Real(Name::Register) => visitor.visit(Registers::register()),
        Simulated::Real(Name::CasRegister) => visitor.visit(Registers::cas_register()),
        Simulated::Set => visitor.visit(Sets::default()),
        Simulated::Counter => visitor.visit(Counters::default()),
        Simulated::UniqueIds => visitor.visit(UniqueIds),
        Simulated::Bank => visitor.visit(Banks::default()),
        Simulated::ListAppend => visitor.visit(ListAppend::default()),
    }
}
