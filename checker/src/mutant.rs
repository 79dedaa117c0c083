//! Mistakes planted in the checker itself, for its own tests.
//!
//! A property test that compares the checker with brute force proves something only if it would notice
//! a broken checker. In ordinary builds `Mutant` has one value, which changes nothing.

use history::Operation;

use crate::span::Span;

/// A checker's mistake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mutant {
    /// No mistake.
    None,
    /// Ops may take effect before their invocation and after their end.
    #[cfg(test)]
    DropsRealTime,
    /// An op whose end nobody knows is required to have happened.
    #[cfg(test)]
    TakesInfoAsOk,
    /// An op that failed is required to have happened.
    #[cfg(test)]
    TakesFailAsOk,
    /// The memo forgets in which state the same ops left the model.
    #[cfg(test)]
    RemembersNoState,
    /// The memo forgets which of the open ops took effect.
    #[cfg(test)]
    RemembersNoOpenOps,
}

impl Mutant {
    /// Whether everything overlaps everything.
    pub(crate) fn drops_real_time(self) -> bool {
        match self {
            Mutant::None => false,
            #[cfg(test)]
            other => other == Mutant::DropsRealTime,
        }
    }

    /// Whether failed ops are among those to be explained.
    pub(crate) fn keeps_failed(self) -> bool {
        match self {
            Mutant::None => false,
            #[cfg(test)]
            other => other == Mutant::TakesFailAsOk,
        }
    }

    /// Whether the memo takes all states for one.
    pub(crate) fn forgets_state(self) -> bool {
        match self {
            Mutant::None => false,
            #[cfg(test)]
            other => other == Mutant::RemembersNoState,
        }
    }

    /// Whether the memo looks only at the ops that are required.
    pub(crate) fn forgets_open_ops(self) -> bool {
        match self {
            Mutant::None => false,
            #[cfg(test)]
            other => other == Mutant::RemembersNoOpenOps,
        }
    }

    /// The span as the mistake sees it.
    pub(crate) fn apply<O: Operation>(self, span: Span<'_, O>) -> Span<'_, O> {
        let takes_as_ok = match self {
            Mutant::None => false,
            #[cfg(test)]
            Mutant::TakesInfoAsOk => span.attempt.is_open(),
            #[cfg(test)]
            other => other == Mutant::TakesFailAsOk && span.attempt.failed(),
        };
        if takes_as_ok { Span { to: span.attempt.completed.map(|at| at.index), ..span } } else { span }
    }
}
