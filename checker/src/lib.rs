//! Models, the search, verdicts.
//!
//! A checker is given a history and nothing else: no cluster, no log, no code of the system. It says
//! whether what the clients were told can be explained by a system that keeps its promise:
//! [`Verdict::Valid`] with the explanation, [`Verdict::Invalid`] with the evidence, or
//! [`Verdict::Unknown`] with the budget that ran out.
//!
//! Where to read: [`Model`] is what a data type promises, [`register`], [`mutex`],
//! [`kv`], [`log`], [`set`], [`counter`], [`bank`] and [`unique_ids`] are eight;
//! `span` says what each outcome means; `rules` decide at once what a data type can decide; `frontier`
//! is the search, and `wgl` the plain one; `certificate` verifies what they find, and `explain`
//! puts what it does not find into words.
#![forbid(unsafe_code)]

pub mod bank;
mod certificate;
pub mod counter;
pub mod draw;
mod engine;
mod explain;
mod explain_states;
mod frontier;
pub mod generate;
pub mod kv;
mod kv_explain;
#[cfg(test)]
mod kv_reference;
mod linearizable;
pub mod log;
mod memo;
mod meter;
mod mutant;
pub mod mutex;
mod online;
#[cfg(test)]
mod online_reference;
#[cfg(test)]
mod played;
#[cfg(test)]
mod reference;
pub mod register;
mod register_explain;
mod register_thin;
mod rule;
mod rules;
mod seam;
pub mod set;
mod set_explain;
mod setup;
mod shrink;
#[cfg(test)]
mod shrink_reference;
mod span;
pub mod unique_ids;
mod verdict;
mod wgl;

pub use certificate::{NotALinearization, verify_linearization};
pub use explain::{Explanation, Refuted};
pub use linearizable::Linearizable;
pub use seam::{Budget, Checker, Interval, Model, RetOf};
pub use setup::{Choice, Reductions, Setup};
pub use shrink::Contradiction;
pub use span::Span;
pub use verdict::{By, KeyOrder, Linearization, Standing, Verdict, Why, Witness, WitnessOp};
