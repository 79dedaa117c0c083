//! What the servers share: event loop, timers, peer links, admin port, shutdown.
//!
//! A [`Replica`](replica::Replica) decides; here is what moves its bytes. [`start`] opens the log, binds
//! the replica to a clock, a disk and its peers, and gives back a [`Handle`], through which a door (etcd's
//! API, Redis's, Kurrent's) writes and reads. Nothing here knows what a command means.
//!
//! # One loop
//! Each replica has one task, and nobody else touches it. In each turn it takes everything that is
//! ready, up to a bound; *then* reads the clock, so that a pause cannot make an old fact look fresh; steps
//! the replica through all of it; flushes once; and hands out messages and replies. Under load a turn
//! carries hundreds of calls, and they share one write, one sync and one message per peer. Without load
//! nothing waits for company.
//!
//! Everything runs on the runtime that [`start`] is called in. Programs use one with a single thread: on
//! the small machines that this is measured on it beats two by up to 1.7 times, since handing a request
//! from one thread to another costs more than serving it. The disk alone has a thread of its own, for a
//! stuck disk must not silence the heartbeats.
//!
//! # Bounded
//! Calls and peers share one bounded queue. A call that finds it full fails at once; a peer waits, so
//! that its own queue fills up and its oldest messages are dropped, and counted. Nothing else queues.
//!
//! # Members come and go
//! Whom a node talks to stands in its log, with the membership: `peers` follows it. A member says itself who it is
//! (`publish`), and finds out which one it is when it joins a cluster that runs ([`roster`]).
//!
//! # Left out so far
//! There is no TLS; connections are plain TCP.
#![forbid(unsafe_code)]

mod admin;
mod clock;
mod config;
mod event_loop;
mod handle;
pub mod logs;
mod peers;
mod publish;
mod roster;
mod shared;
mod shutdown;
mod start;
mod timers;

pub use config::{Config, DiskKind, Doors, Retry};
pub use handle::{Handle, Machine};
pub use peers::{URL, URLS};
pub use roster::{Roster, Silence, roster, rosters};
pub use shared::Status;
pub use shutdown::{End, asked_to_stop};
pub use start::{StartError, start};
pub use wire::peer::About;
