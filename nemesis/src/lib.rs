//! Faults: what is broken, on whom, when, and what proves that it was; pure.
//!
//! A nemesis is the opponent of a cluster: it cuts links, kills and stops nodes while clients work, so that
//! a promise that only holds in fine weather shows it. This room decides and does not act. The same
//! values break real processes (through `nemesis-net`) and simulated ones (through assignments),
//! because all they know of a world is the [`Target`] it offers.
//!
//! Four ideas carry it.
//!
//! * **Asked by role, written down by name.** "Cut off the leader" is an [`Aim`]. It is resolved to a
//!   [`Fault`], which names nodes and links, *before* anything happens; the fault is what the history
//!   and `schedule.toml` record. A replay thus repeats what was done, not what was meant.
//! * **A fault proves itself.** Inject and heal return [`Evidence`]: bytes held on a cut link, a wait
//!   status, a new process id. [`bite()`] reads it; a run in which nothing bit proves nothing.
//! * **Chance is an argument.** A [`Schedule`] is a function of a seed, and [`Nemesis`], which plays
//!   it, of the time and of what it is told of the cluster. Same seed, same sights, same faults.
//! * **What lasts at once leaves each other alone.** A fault [claims](fault::Claim) what it works on, so
//!   that no heal undoes another fault.
//!
//! A node here is a *seat*: a name, an address, a disk. Who sits there may change, since one fault replaces the
//! member in a seat by a new one; what it is called by the system is in that fault's evidence.
//!
//! Left out: clusters that grow or shrink for good. Every seat that a fault empties is taken again, so that
//! schedules, roles and proxies know all nodes there will be.
#![forbid(unsafe_code)]

pub mod aim;
pub mod bite;
mod chance;
pub mod evidence;
pub mod fault;
pub mod file;
pub mod ids;
pub mod kind;
pub mod play;
pub mod route;
pub mod schedule;
pub mod shape;
pub mod span;
pub mod storm;

pub use aim::{Aim, Unresolved, Who};
pub use bite::{Bite, Met, bite};
pub use evidence::{
    Birth, ClockReading, Death, DiskCounts, Evidence, Joining, LinkCounts, Loss, Offsets, PacketCounts,
    ProcessState, Refusal, Removal, Rot,
};
pub use fault::{Claim, Fault, Grudge, Harm, Pace, Sever, Skew, Target, Trouble, Weather};
pub use file::BadSchedule;
pub use ids::{Link, NodeId, Nodes, Time, cluster};
pub use kind::{Kind, Kinds, UnknownFault};
pub use play::{Action, GivenUp, Nemesis, Seen};
pub use route::Route;
pub use schedule::{Deed, End, Happening, Rhythm, Schedule, Start, Step};
pub use shape::{Impossible, Shape};
pub use span::{Shift, Span, Wait};
pub use storm::{Storm, Weights};
