//! Models, the search, verdicts.
#![forbid(unsafe_code)]

mod seam;
mod verdict;

pub use seam::{Budget, Checker, Interval, Model};
pub use verdict::{KeyOrder, Linearization, Verdict, Why, Witness, WitnessOp};
