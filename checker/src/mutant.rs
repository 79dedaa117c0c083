//! Mistakes planted in the checker itself, for its own tests.
//!
//! A property test that compares the checker with brute force proves something only if it would notice
//! a broken checker. Outside of tests nothing sets another value than [`Mutant::None`], which changes
//! nothing.

use history::Operation;

use crate::span::Span;

/// A checker's mistake.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Mutant {
    /// No mistake.
    #[default]
    None,
    /// Ops may take effect before their invocation and after their end.
    DropsRealTime,
    /// An op whose end nobody knows is required to have happened.
    TakesInfoAsOk,
    /// An op that failed is required to have happened.
    TakesFailAsOk,
    /// The memo forgets in which state the same ops left the model.
    RemembersNoState,
    /// The memo forgets which of the open ops took effect.
    RemembersNoOpenOps,
}

impl Mutant {
    /// The span as the mistake sees it.
    pub(crate) fn apply<O: Operation>(self, span: Span<'_, O>) -> Span<'_, O> {
        let takes_as_ok = (self == Mutant::TakesInfoAsOk && span.attempt.is_open())
            || (self == Mutant::TakesFailAsOk && span.attempt.failed());
        if takes_as_ok { Span::new(span.attempt, span.attempt.completed.map(|at| at.index)) } else { span }
    }
}
