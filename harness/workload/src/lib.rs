//! Ops, generators, and which checker judges them; pure.
//!
//! A workload is what clients do and what they are promised: a [`Generator`] that decides what is asked
//! next, and the checkers that judge the answers. It knows nothing of systems, sockets or clocks; the
//! runner asks real processes, the simulator asks simulated ones, with the same generator.
#![forbid(unsafe_code)]

mod catalogue;
mod pace;
mod registers;
mod seam;

pub use catalogue::{Name, UnknownWorkload, names};
pub use pace::{Stagger, Until, stagger, until};
pub use registers::{Registers, Values};
pub use seam::{Generator, Next, Now, Workload};
