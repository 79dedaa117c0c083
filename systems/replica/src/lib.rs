//! Raft, its log on disk and a state machine put together; no socket, no timer.
//!
//! The core says what it owes ([`raft::Output`]); here it is done, in the right order. A
//! [`Replica`] writes what must be written, holds back what must not leave before that, executes what
//! is committed, and knows which client waits for what. It is still a function of its inputs: peers'
//! messages, timers, calls and the disk's reports come in as [`Event`]s, everything for the outside
//! goes out as [`Effects`]. So a server drives it with sockets and a clock, and a simulator drives the
//! same code, recovery and the decision between *failed* and *unknown* included.
//!
//! # Persist and send
//! A message that promises something (a vote, an acknowledgement) waits until all writes so far are
//! on disk. Writes that come while one is under way are merged: one write and one sync for all of
//! them, as soon as the disk is free. The caller steps once for each event it has, then calls
//! [`Replica::flush`]; that is where calls are handed to the core, all together, and where the
//! next write begins.
//!
//! # Exactly once
//! Every write is given a request id, the client's own or one of this node's session
//! ([`sessions`] says how that works). A node opens a session when it first sees a leader, under the
//! number that its caller drew at random; writes wait until it is open.
//!
//! # A log that does not grow for ever
//! Now and then the state and the session table go to disk as a snapshot, and the log keeps no more than its tail
//! ([`snapshots`]). A replica that starts takes on its latest snapshot and executes the log behind it, as the leader
//! tells it how much of that is committed.
//!
//! # When a quorum is lost for good
//! A new cluster can begin with what one node has left: [`recover`].
#![forbid(unsafe_code)]

pub mod recover;
mod replica;
pub mod seam;
pub mod sessions;
pub mod snapshots;
mod waiting;

pub use recover::Salvaged;
pub use replica::{Config, OpenError, Replica, Wanted};
pub use seam::{
    Call, CallId, Effects, Event, Failed, Fate, Halt, Members, Noted, Outcome, Status, Timer, Unknown, Wait,
};
pub use sessions::Sessions;
pub use snapshots::Rule;
