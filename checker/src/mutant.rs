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
    /// The frontier keeps those that spent most.
    DominanceInverted,
    /// The frontier forgets what was spent.
    ForgetsWhatWasSpent,
    /// An unanswered op may be spent twice.
    CountsAClassTwice,
    /// Unanswered ops take effect only where a single one enables an answer.
    SpendsOneByOne,
    /// Ops that change something take effect as soon as they fit, like those that do not.
    GreedyForAll,
    /// An op that was acknowledged leaves its bit behind for the next one.
    LeavesItsBit,
    /// An op need not have taken effect when it is acknowledged.
    AsksForNothing,
    /// Judging line by line does not wait for ops to end.
    JudgesTooSoon,
    /// Shrinking leaves ops out, instead of their answers.
    DropsOthers,
    /// Shrinking to what came after a line leaves out what was in flight there.
    DropsInFlight,
    /// Shrinking to what came after a line takes it that nothing had happened before.
    StartsEmpty,
    /// Forward zones may overlap by one line.
    OverlapOffByOne,
    /// A backward zone may lie inside a forward one.
    LetsBackwardPass,
    /// An unanswered write ended as soon as it began.
    EndsOpenWrites,
    /// Two cas may take the same value away.
    TakesTwice,
    /// The ops of a block are in the right order, whatever their lines say.
    TrustsChains,
    /// A text that is as long as the start of another one is the start of it.
    ComparesOnlyLengths,
    /// The offsets of a log are the order, whatever the lines of the ops say.
    IgnoresRealTime,
}

impl Mutant {
    /// The span as the mistake sees it.
    pub(crate) fn apply<O: Operation>(self, span: Span<'_, O>) -> Span<'_, O> {
        let takes_as_ok = (self == Mutant::TakesInfoAsOk && span.attempt.is_open())
            || (self == Mutant::TakesFailAsOk && span.attempt.failed());
        if takes_as_ok { Span::new(span.attempt, span.attempt.completed.map(|at| at.index)) } else { span }
    }
}
