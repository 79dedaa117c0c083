//! Ops, generators, and which checker judges them; pure.
#![forbid(unsafe_code)]

mod seam;

pub use seam::{Generator, Next, Now, Workload};
