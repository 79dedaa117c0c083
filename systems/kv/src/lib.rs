//! The replicated map with etcd's semantics: revisions, ranges, transactions; pure.
//!
//! **Problem.** Clients coordinate through this map: they take locks, elect leaders, watch keys. For
//! that, "the value of a key" is not enough. They must be able to say *if nobody changed it since I
//! looked*, and *what was there when that happened*.
//!
//! **Idea.** The store counts its own changes. Every command that changes something gets the next
//! [`Revision`], and all it changes carries that one number: a transaction is one revision. Each key
//! keeps its versions ([`KeyHistory`]), so that a read can name any revision that has not been
//! compacted away, and finds exactly what was there (multi-version concurrency control). A delete
//! is a version too, a tombstone.
//!
//! ```text
//! revision   2        3        4          5
//!            put a=1  put b=1  txn        delete a
//!                              put a=2
//!                              put c=1
//! a          1        1        2          -          created 2, changed 2, then 4; versions 1, 2
//! ```
//!
//! **Why all replicas agree.** The state is a function of the commands and nothing else: no clock,
//! no dice, ordered collections only. What can be judged without the state ([`check`]) is refused
//! before a command enters the log; what cannot is judged in [`apply`](raft::StateMachine::apply),
//! and a refusal there changes nothing, on any replica. [`Store::digest`] lets replicas compare.
//!
//! **Left out.** Leases cannot be granted yet, so a put that names one is refused: a key that should
//! expire and never does would be worse. History is kept in memory until somebody compacts it, as in
//! etcd; the price is memory in proportion to the number of changes. In two corners we are stricter
//! or simpler than etcd, each time on the side of its documentation: within one transaction a put
//! collides with *every* delete of its key, also with one that is open-ended or stands in a later
//! sibling; a sort target without an order sorts before the limit cuts.
#![forbid(unsafe_code)]

pub mod check;
mod chunks;
pub mod codec;
mod command;
mod history;
mod range;
mod reply;
mod snapshot;
mod store;
mod txn;

pub use command::{
    Command, Comparison, Condition, DeleteRange, Keys, LeaseId, Operand, Order, Put, Query, Range, ReadOnly,
    Revision, Sort, SortBy, Step, Txn,
};
pub use history::KeyHistory;
pub use reply::{Answer, Deleted, Image, KeyValue, Kvs, Refusal, Replaced, Reply, TxnAnswer};
pub use snapshot::Frozen;
pub use store::{Change, Store};
