//! The Raft consensus algorithm as a value: inputs in, outputs out.
#![forbid(unsafe_code)]

pub mod bug;
pub mod codec;
pub mod entry;
pub mod ids;
pub mod machine;
pub mod message;
pub mod seam;

pub use bug::{Bug, Bugs};
pub use entry::{Command, Entry, Payload, Proposal, Request, Suffix};
pub use ids::{EntryId, Index, Mono, NodeId, Now, RequestId, SessionId, Term, Wall};
pub use machine::StateMachine;
pub use message::{Envelope, Message};
pub use seam::{Answer, Diverged, HardState, Input, Output, Persist, PersistId, Role, Timer, Timers};
