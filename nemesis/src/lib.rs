//! Faults: what is broken, on whom, when, and what proves that it was; pure.
//!
//! A nemesis is the opponent of a cluster: it cuts links, kills and stops nodes while clients work, so that
//! a promise that only holds in fine weather shows it. This room decides and does not act. The same
//! values break real processes (through `nemesis-net`) and simulated ones (through assignments),
//! because all they know of a world is the [`Target`] it offers.
//!
//! Three ideas carry it.
//!
//! * **Asked by role, written down by name.** "Cut off the leader" is an [`Aim`]. It is resolved to a
//!   [`Fault`], which names nodes and links, *before* anything happens; the fault is what the history
//!   and `schedule.toml` record. A replay thus repeats what was done, not what was meant.
//! * **A fault proves itself.** Inject and heal return [`Evidence`]: bytes held on a cut link, a wait
//!   status, a new process id. [`bite`] reads it; a run in which nothing bit proves nothing.
//! * **Chance is an argument.** A [`Schedule`] is a function of a seed, and [`Nemesis`], which plays
//!   it, of the time and the leader it is told. Same seed, same leaders, same faults.
//!
//! Left out so far: clocks, packets, disks, membership. Each will be one more variant of
//! [`Fault`] with its own evidence; the compiler then names every place that must learn of it.
#![forbid(unsafe_code)]

pub mod aim;
pub mod evidence;
pub mod fault;
pub mod file;
pub mod ids;
pub mod kind;
pub mod play;
pub mod schedule;
pub mod shape;

pub use aim::{Aim, Unresolved, Who};
pub use evidence::{Birth, Bite, Death, Evidence, LinkCounts, Met, ProcessState, bite};
pub use fault::{Fault, Grudge, Sever, Target};
pub use file::BadSchedule;
pub use ids::{Link, NodeId, Nodes, Time, cluster};
pub use kind::{Kind, Kinds, UnknownFault};
pub use play::{Action, Nemesis};
pub use schedule::{Rhythm, Schedule, Step};
pub use shape::{Impossible, Shape};
