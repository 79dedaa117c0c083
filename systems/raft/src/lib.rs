//! The Raft consensus algorithm as a value: inputs in, outputs out.
//!
//! A few computers shall act like one that does not fail. Raft does it by keeping one log on all of
//! them: whoever leads decides what comes next in the log, and an entry that a majority has on disk
//! is decided for good. This crate is that protocol and nothing else. It knows no clock, disk, socket
//! or key: [`Raft::step`] takes what happened ([`Input`]) and says what is owed for it ([`Output`]).
//! So the same code runs in a process, in a simulator and under a model checker, and the same inputs
//! always give the same outputs.
//!
//! Where to read: [`seam`] says what goes in and out; `raft.rs` has the one `step`; then
//! `election.rs`, `leader.rs`, `follower.rs`, `read.rs` in the order in which a cluster comes to life.
//! [`invariants`] says what must be true of a cluster whatever happens to it, and [`bug`] how to make it false.
//! Section numbers (§5.2) are those of the Raft paper, extended version; "dissertation" is Ongaro's.
//!
//! What a cluster needs to live long: `membership.rs` and `change.rs` (who belongs to it), `snapshot.rs` and
//! `checkpoint.rs` (a log that does not grow for ever), `transfer.rs` (a lead given away), `lease.rs` (reads that
//! trust a clock).
#![forbid(unsafe_code)]

pub mod bug;
pub mod checkpoint;
pub mod codec;
pub mod entry;
pub mod ids;
pub mod invariants;
pub mod lease;
pub mod log;
pub mod machine;
pub mod membership;
pub mod message;
pub mod progress;
pub mod quorum;
#[cfg(feature = "script")]
pub mod script;
pub mod seam;
pub mod snapshot;

mod aside;
mod change;
mod election;
mod follower;
mod leader;
mod raft;
mod read;
mod transfer;

pub use bug::{Bug, Bugs};
pub use checkpoint::Checkpoint;
pub use entry::{Command, Entry, Payload, Proposal, Request, Suffix, Wanted};
pub use ids::{EntryId, Index, Mono, NodeId, Now, RequestId, SessionId, Term, Wall};
pub use invariants::{Invariants, Property, Violation};
pub use lease::Lease;
pub use log::Log;
pub use machine::StateMachine;
pub use membership::{Change, Membership, Unfit};
pub use message::{Envelope, Message};
pub use progress::Window;
pub use quorum::Voters;
pub use raft::{Config, Raft, Restored};
pub use seam::{
    Answer, Diverged, HardState, Input, Offer, Output, Persist, PersistId, Refusal, Role, Timer, Timers,
    Unchanged,
};
pub use snapshot::Tail;
