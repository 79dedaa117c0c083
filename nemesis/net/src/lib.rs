//! The networks and processes that carry faults out.
//!
//! `nemesis` says what is to be broken; this crate breaks it, on one machine, without privileges:
//!
//! * [`proxy`] stands between every two nodes, once per direction, and can hold or cut what passes;
//! * [`process`] starts, kills, pauses and stops the nodes, and sees to it that none outlives the harness;
//! * [`ports`] finds ports that stay ours, so that two runs side by side do not meet.
//!
//! It is the only crate of the workspace in which `unsafe` may stand, and only for what happens
//! between `fork` and `exec`.

pub mod ports;
pub mod process;
pub mod proxy;

pub use ports::Port;
pub use process::{Launch, LaunchError, Process, Supervisor};
pub use proxy::{Network, NetworkError};
