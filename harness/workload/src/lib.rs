//! Ops, generators, how they are asked of a store, and which checker judges them; pure.
//!
//! A workload is what clients do and what they are promised: a [`Generator`] that decides what is asked
//! next, and the checkers that judge the answers. It knows nothing of processes, sockets or clocks; the
//! runner asks real processes, the simulator asks simulated ones, with the same generator.
//!
//! Generators are built from small ones. Most begin with [`per_key`], which asks a [`Subject`]'s ops of
//! [`Keys`] that rotate; [`FinalReads`] look at everything in the end. Around them stand [`stagger`] (how
//! fast), [`until`] (how long), [`mix`], [`phases`] and [`reserve`] (several as one). Each states the law that
//! it obeys.
//!
//! How its ops are asked of a store like etcd, in which calls and with which keys, stands in [`store`], in values that
//! both worlds translate into what they speak.
//!
//! Whoever drives a generator sits its processes in [`Seats`], which say who asks whom, who rests and who is
//! followed by whom.
#![forbid(unsafe_code)]

mod banks;
mod catalogue;
mod combine;
mod counters;
mod final_reads;
mod keys;
mod list_append;
mod pace;
mod per_key;
mod registers;
mod seam;
mod seats;
mod sets;
pub mod store;
mod unique_ids;

pub use banks::Banks;
pub use catalogue::{Name, UnknownWorkload, Visitor};
pub use combine::{Mix, Phases, Reserve, mix, phases, reserve};
pub use counters::Counters;
pub use final_reads::FinalReads;
pub use keys::{Keys, Share, Spread};
pub use list_append::ListAppend;
pub use pace::{Stagger, Until, stagger, until};
pub use per_key::{PerKey, Subject, per_key};
pub use registers::{Registers, Values};
pub use seam::{Generator, Next, Now, Workload};
pub use seats::{FIRST_REST, LONGEST_REST, PATIENCE, Seats, Turn};
pub use sets::Sets;
pub use unique_ids::UniqueIds;
