//! Rules: what a data type can decide faster than any search, while its assumptions hold.
//!
//! A general search has to be ready for everything. Most histories are tame: where every value is
//! written once, a read says which write it saw, and what is left is to compare intervals. A rule looks
//! at one key's ops, declines if they are not of its kind, and else decides. Nobody has to trust it: an
//! order is verified, and a contradiction is a handful of ops that the plain search can be asked about.

use std::fmt;

use crate::meter::{Meter, Stop};
use crate::mutant::Mutant;
use crate::seam::Model;
use crate::span::Span;
use crate::verdict::By;

/// What a rule says of one key's ops. They stand in the order of their invocations; those that failed
/// are left out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Ruling {
    /// They are not of the rule's kind.
    Declined,
    /// An order that explains them: spans by their place in the input. Open ops may be missing.
    Order(Vec<u32>),
    /// There is none.
    Contradiction(Clash),
}

/// A few ops that contradict each other by themselves, whatever the others did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Clash {
    /// Spans by their place in the input, in the order of their invocations.
    pub ops: Vec<u32>,
    /// The line up to which they do so already. Those that end later need not have been answered.
    pub bad: u64,
    /// Whether up to the line before, all ops can be explained.
    pub earliest: bool,
}

impl<M: Model> Rule<M> {
    pub(crate) fn by(&self) -> By {
        By { engine: self.name.into(), since: self.assumes.into() }
    }
}

impl<M: Model> fmt::Debug for Rule<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A rule, its name, and what it assumes, as the end of a sentence: "judged by zones, since …".
pub(crate) struct Rule<M: Model> {
    /// Its name.
    pub name: &'static str,
    /// "every value is written once".
    pub assumes: &'static str,
    /// Decides.
    pub decide: Decide<M>,
}

/// Given the model, one key's ops, and what may still be used.
type Decide<M> = fn(&M, &[Span<'_, <M as Model>::Op>], &Meter, Mutant) -> Result<Ruling, Stop>;
