//! The cores under a model checker: everything that can happen, within printed bounds.
//!
//! Tests try what somebody thought of, and the simulator what its dice show. This looks at *every* order in which
//! messages can arrive, timers run out, disks finish and nodes crash, as long as each of those happens only so often.
//! What is checked is the core that ships: one adapter for each, and no second copy of any protocol.
//!
//! Where to read: [`Profile`] says what is bounded, and by what; `raft_model/mod.rs` is the adapter, and
//! implements `stateright::Model`; `raft_model/node.rs` is what a node does when something happens to it;
//! `raft_model/burial.rs` takes away messages that nobody will make anything of, and checks that it may;
//! `search.rs` is the search itself, and says why it is not one of `stateright`'s; `mark.rs` says why states are
//! small. `docs/the-model-checker.md` is the chapter.
//!
//! What it cannot see: what takes more of anything than the bounds allow; time, which stands still but for a few steps
//! in the profiles of leases; crashes inside a step of the core; and everything above the core: sessions, replies, the
//! log on disk.
#![forbid(unsafe_code)]

mod check;
mod hunt;
mod mark;
mod ops;
mod panics;
mod raft_model;
mod search;

pub use check::{Report, Unknown, Verdict, check};
pub use hunt::{Found, Row, hunt, shows, within};
pub use raft_model::explore::Explored;
pub use raft_model::milestone::Milestone;
pub use raft_model::profile::{Bounds, Budget, CI, Clocks, DEEP, Profile};
pub use raft_model::story::Step;
pub use raft_model::{End, Letter, Move, RaftModel, State};
pub use search::{Figures, GO_ON, Limit, Limits, Outcome, search};
