//! What a data type has to say for itself, and what a checker has to answer.

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Duration;

use history::{History, Line, Moment, Operation, Pairing};
use smallvec::SmallVec;

use crate::explain::{self, Explanation, Refuted};
use crate::span::Span;
use crate::verdict::Verdict;

/// What a model's ops answer.
pub type RetOf<M> = <<M as Model>::Op as Operation>::Ret;

/// What a data type promises when it is used by one client at a time. Pure.
///
/// Linearizability says: the concurrent history can be explained by running its ops one after the
/// other, each at some moment between its invocation and its end. A model knows the "one after the
/// other" part; the search finds the moments.
pub trait Model: Sized + Send + Sync {
    /// What is asked, and with it what is answered.
    type Op: Operation<Ret: Eq + Hash + Sync> + Eq + Hash + Sync;
    /// What the data type remembers.
    type State: Clone + Eq + Hash + Debug + Send;
    /// Whether [`Model::step`] looks at the op's interval. If not, ops that ask and answer the same are
    /// the same.
    const TIMED: bool = false;

    /// The state before the first op.
    fn init(&self) -> Self::State;

    /// Pushes the states that `op` may leave if it answered `ret`; none if it could not have. Without
    /// `ret` nobody heard the answer, and whatever it was is allowed.
    ///
    /// `when` is the op's interval, for models in which time counts.
    fn step(
        &self,
        state: &Self::State,
        op: &Self::Op,
        ret: Option<&RetOf<Self>>,
        when: Interval,
        next: &mut SmallVec<[Self::State; 1]>,
    );

    /// What [`Model::step`] does, in place, for walks along an order in which nobody looks back: whether
    /// the op may have answered so. None if `step` has to be asked, since it may leave several states.
    /// Worth it where states are large.
    fn advance(
        &self,
        _state: &mut Self::State,
        _op: &Self::Op,
        _ret: Option<&RetOf<Self>>,
        _when: Interval,
    ) -> Option<bool> {
        None
    }

    /// Whether an op that answered so leaves every state as it is. Such an op takes effect as soon as its
    /// answer fits, and one of them that nobody heard of is left out. In doubt, no.
    fn only_looks(&self, _op: &Self::Op, _ret: Option<&RetOf<Self>>) -> bool {
        false
    }

    /// Leaves out of these ops, of which some were not answered, unanswered ones that make no difference:
    /// if there is an order without them, there is one with them, and the other way round. They stand in
    /// the order of their invocations, and stay so. In doubt, nothing.
    fn thin(&self, ops: &mut Vec<Span<'_, Self::Op>>) {
        ops.retain(|op| !(op.is_open() && self.only_looks(&op.attempt.op, None)));
    }

    /// States that stand for all which ops like these may have left, whatever was answered, as far as
    /// `later` can tell the difference. Ops that failed are among them, and left nothing. None if there
    /// are too many to be worth it.
    fn left_by(
        &self,
        _earlier: &[Span<'_, Self::Op>],
        _later: &[Span<'_, Self::Op>],
    ) -> Option<Vec<Self::State>> {
        None
    }

    /// How many bytes this state keeps outside of itself, each state counted for itself. They count
    /// towards [`Budget::memory`].
    fn heap(&self, _state: &Self::State) -> usize {
        0
    }

    /// How people write this state.
    fn show(&self, state: &Self::State) -> String {
        format!("{state:?}")
    }

    /// Why no order explains the history, in one sentence that names at least two ops. The search only
    /// knows that there is none; a data type knows what its ops say of each other.
    fn explain(&self, refuted: &Refuted<'_, Self>) -> Explanation {
        explain::in_general(refuted)
    }
}

/// From an op's invocation to its acknowledgement, or to the end of time if it is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interval {
    /// The line that invokes it.
    pub from: Moment,
    /// The line that acknowledges it.
    pub to: Option<Moment>,
}

/// What a search may use before it has to say *unknown*.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// How long it may take.
    pub time: Duration,
    /// How many bytes it may remember, over all keys together.
    pub memory: usize,
    /// How many steps it may take, over all keys together, to a few hundred. Unlike time they are the same on every
    /// machine; so that the verdict is, too, a search whose steps are limited keeps to one thread.
    pub steps: u64,
}

impl Default for Budget {
    /// A minute and a gibibyte: what a laptop has to spare.
    fn default() -> Budget {
        Budget { time: Duration::from_mins(1), memory: 1 << 30, steps: u64::MAX }
    }
}

/// Judges histories of one kind.
pub trait Checker<Op, Ret>: Send + Sync {
    /// What it holds them against, in a word.
    fn name(&self) -> &'static str;

    /// Did the system keep its promise?
    fn check(&self, history: &History<Op, Ret>, budget: &Budget) -> Verdict;

    /// Judges a history while it is being written: ends at the first answer that cannot be explained, or
    /// where there are no more lines. `judged` is told of each line when it is done with; they lag behind, and those of
    /// different keys come out of order. Time of the budget is the time of the whole run.
    ///
    /// A checker that needs the whole history waits for it, and then judges.
    fn watch(
        &self,
        lines: &mut dyn Iterator<Item = Line<Op, Ret>>,
        budget: &Budget,
        judged: &mut dyn FnMut(u64),
    ) -> Verdict {
        let mut pairing = Pairing::default();
        lines.for_each(|line| pairing.push(line));
        let history = pairing.finish();
        let verdict = self.check(&history, budget);
        (0..history.lines).for_each(judged);
        verdict
    }
}
