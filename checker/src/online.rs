//! Judging while the history is still being written.
//!
//! The frontier never looks back, so it can run beside a test: lines come in, and as soon as an answer
//! cannot be explained, the run is over and nobody waits for its end. Two things are different from
//! judging a finished history.
//!
//! - What an op will answer is not known when it is invoked. But the frontier has to know: a read that is
//!   open may have taken effect in a state that is gone when its answer comes. So lines wait until all ops
//!   invoked before have ended. The verdict lags behind by the longest op that is open, and what waits is
//!   bounded by the budget.
//! - Nothing is known of the future: not that a value is written only once, nor what is never read. So
//!   no rule applies; and states and classes that nobody can come back to are forgotten on the way, so
//!   that memory follows the number of keys and open ops, and not the length.
//!
//! Nothing is kept that could explain a violation in full. The verdict names the answer that nobody can
//! explain and the states that were possible; who has the history asks [`Checker::check`](crate::Checker::check) for the rest.

use std::collections::VecDeque;

use history::{Attempt, Key, Kind, Line, Moment, Observation, Outcome, Process};
use rustc_hash::FxHashMap;

use crate::engine::MOST_STATES;
use crate::explain;
use crate::frontier::{Books, Moved, Sweep};
use crate::linearizable::Linearizable;
use crate::meter::{Meter, Stop};
use crate::mutant::Mutant;
use crate::seam::{Budget, Model, RetOf};
use crate::span::{Span, seen_from};
use crate::verdict::{By, Verdict, Why, Witness};

/// Words of bits: as many ops of one key may be open at once, 64 times that.
const WORDS: usize = 4;

/// More configurations than these take longer than lines may wait.
const MOST_CONFIGS: usize = 1 << 16;

/// What waits costs roughly that much, besides itself.
const OVERHEAD: usize = 32;

/// Judges lines as they come.
pub(crate) struct Online<'a, M: Model + 'static> {
    checker: &'a Linearizable<M>,
    meter: &'a Meter,
    keys: FxHashMap<Option<Key>, Watched<'a, M>>,
    /// Where each process has its op.
    asked: FxHashMap<Process, Option<Key>>,
    /// How many keys are busy.
    busy: usize,
    /// Some key could not be judged.
    unknown: Option<Why>,
}

/// So many keys stay ready for more although nothing is open.
const READY: usize = 64;

/// What is known of a key.
enum Watched<'a, M: Model> {
    /// Nothing is open: the states that it may be in.
    Idle(Vec<M::State>),
    Busy(Box<Busy<'a, M>>),
    /// The budget ran out.
    GivenUp,
}

struct Busy<'a, M: Model> {
    sweep: Sweep<'a, M, WORDS>,
    meter: &'a Meter,
    /// Lines that wait, the first one for its op to end.
    waiting: VecDeque<Waiting>,
    /// Ops that did not end, or whose end waits, by the line that invokes them.
    ops: FxHashMap<u64, Attempt<M::Op, RetOf<M>>>,
    /// The open op of each process, by the line that invokes it.
    open: FxHashMap<Process, u64>,
    charged: usize,
    /// [`Mutant::JudgesTooSoon`].
    too_soon: bool,
}

/// A line that waits: an invocation, or the end of the op that was invoked on that line.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    Invoked(u64),
    Ended { invoked: u64, line: u64 },
}

impl Waiting {
    fn line(self) -> u64 {
        match self {
            Waiting::Invoked(line) | Waiting::Ended { line, .. } => line,
        }
    }
}

impl<'a, M: Model> Online<'a, M> {
    pub(crate) fn new(checker: &'a Linearizable<M>, meter: &'a Meter) -> Online<'a, M> {
        Online {
            checker,
            meter,
            keys: FxHashMap::default(),
            asked: FxHashMap::default(),
            busy: 0,
            unknown: None,
        }
    }

    /// Takes the next line. The verdict, if it breaks the promise.
    pub(crate) fn see(
        &mut self,
        line: Observation<M::Op, RetOf<M>>,
        judged: &mut dyn FnMut(u64),
    ) -> Option<Verdict> {
        let key = match &line.kind {
            Kind::Invoke(_) => {
                self.asked.insert(line.process, line.key.clone());
                line.key.clone()
            }
            _ => self.asked.remove(&line.process)?,
        };
        let watched =
            self.keys.entry(key.clone()).or_insert_with(|| Watched::Idle(vec![self.checker.model().init()]));
        let was_busy = matches!(watched, Watched::Busy(_));
        let seen = watched.see(self.checker, self.meter, line, judged, self.busy > READY);
        self.busy = self.busy + usize::from(matches!(watched, Watched::Busy(_))) - usize::from(was_busy);
        match seen {
            Ok(None) => None,
            Ok(Some(broken)) => Some(broken.verdict(self.checker, key)),
            Err(stop) => {
                if let Watched::Busy(busy) = watched {
                    self.busy -= 1;
                    busy.waiting.iter().for_each(|waiting| judged(waiting.line()));
                }
                *watched = Watched::GivenUp;
                self.give_up(stop);
                None
            }
        }
    }

    fn give_up(&mut self, stop: Stop) {
        let why = if let Stop::Budget(why) = stop { why } else { Why::OutOfTime };
        self.unknown = self.unknown.or(Some(why));
    }

    /// There are no more lines: whatever is open stays so.
    pub(crate) fn finish(mut self, judged: &mut dyn FnMut(u64)) -> Verdict {
        let mut keys: Vec<_> = std::mem::take(&mut self.keys).into_iter().collect();
        keys.sort_by(|(one, _), (two, _)| one.cmp(two));
        for (key, watched) in keys {
            let Watched::Busy(mut busy) = watched else { continue };
            match busy.judge(true, judged) {
                Ok(None) => {}
                Ok(Some(broken)) => return broken.verdict(self.checker, key),
                Err(stop) => self.give_up(stop),
            }
        }
        match self.unknown {
            Some(why) => Verdict::Unknown { why },
            None => Verdict::Valid { linearization: None },
        }
    }
}

/// An answer that cannot be explained.
struct Broken<M: Model> {
    /// That one, and those open then, in the order of their invocations.
    attempts: Vec<Attempt<M::Op, RetOf<M>>>,
    /// The line that invokes it.
    culprit: u64,
    states: Vec<M::State>,
}

impl<'a, M: Model> Watched<'a, M> {
    fn see(
        &mut self,
        checker: &'a Linearizable<M>,
        meter: &'a Meter,
        line: Observation<M::Op, RetOf<M>>,
        judged: &mut dyn FnMut(u64),
        many: bool,
    ) -> Result<Option<Broken<M>>, Stop> {
        if let Watched::Idle(states) = self {
            *self = Watched::Busy(Box::new(Busy::new(checker, meter, states)?));
        }
        let Watched::Busy(busy) = self else {
            judged(line.index);
            return Ok(None);
        };
        busy.take(line)?;
        if let Some(broken) = busy.judge(false, judged)? {
            return Ok(Some(broken));
        }
        if many && busy.ops.is_empty() && busy.sweep.is_quiet() {
            *self = Watched::Idle(busy.sweep.states(usize::MAX));
        } else {
            busy.sweep.tidy()?;
        }
        Ok(None)
    }
}

impl<'a, M: Model> Busy<'a, M> {
    fn new(
        checker: &'a Linearizable<M>,
        meter: &'a Meter,
        initial: &[M::State],
    ) -> Result<Busy<'a, M>, Stop> {
        let mut sweep = Sweep::new(checker.model(), meter, checker.setup(), 0, Books::Exact, MOST_CONFIGS);
        sweep.begin(initial)?;
        let (ops, open) = (FxHashMap::default(), FxHashMap::default());
        Ok(Busy {
            sweep,
            meter,
            waiting: VecDeque::new(),
            ops,
            open,
            charged: 0,
            too_soon: checker.setup().mutant == Mutant::JudgesTooSoon,
        })
    }

    /// A line joins those that wait.
    fn take(&mut self, line: Observation<M::Op, RetOf<M>>) -> Result<(), Stop> {
        let Observation { index, time, process, node, key, kind } = line;
        let at = Moment { index, time };
        let bytes = OVERHEAD + size_of::<Attempt<M::Op, RetOf<M>>>();
        let outcome = match kind {
            Kind::Invoke(op) => {
                self.meter.charge(bytes)?;
                self.charged += bytes;
                let outcome = Outcome::Info(String::new());
                self.ops
                    .insert(index, Attempt { process, node, key, op, invoked: at, completed: None, outcome });
                self.open.insert(process, index);
                self.waiting.push_back(Waiting::Invoked(index));
                return Ok(());
            }
            Kind::Ok(ret) => Outcome::Ok(ret),
            Kind::Fail(why) => Outcome::Fail(why),
            Kind::Info(why) => Outcome::Info(why),
        };
        let invoked = self.open.remove(&process).expect("only what was invoked ends");
        let attempt = self.ops.get_mut(&invoked).expect("an op waits for its end");
        (attempt.completed, attempt.outcome) = (Some(at), outcome);
        self.waiting.push_back(Waiting::Ended { invoked, line: index });
        Ok(())
    }

    /// Judges the lines of which enough is known; at the end, all.
    fn judge(&mut self, end: bool, judged: &mut dyn FnMut(u64)) -> Result<Option<Broken<M>>, Stop> {
        while let Some(&first) = self.waiting.front() {
            match first {
                Waiting::Invoked(line) => {
                    let attempt = &self.ops[&line];
                    if attempt.completed.is_none() && !end && !self.too_soon {
                        break;
                    }
                    if !attempt.failed() {
                        let to = attempt.ret().and(attempt.completed).map(|at| at.index);
                        self.sweep.invoke(number(line), &Span::new(attempt, to))?;
                    }
                    judged(line);
                }
                Waiting::Ended { invoked, line } => {
                    let attempt = self.ops.remove(&invoked).expect("an op ends once");
                    let bytes = OVERHEAD + size_of::<Attempt<M::Op, RetOf<M>>>();
                    self.meter.release(bytes);
                    self.charged -= bytes;
                    let explained = attempt.ret().is_none() || self.acknowledge(invoked)?;
                    judged(line);
                    if !explained {
                        return Ok(Some(self.broken(attempt, line)));
                    }
                }
            }
            self.waiting.pop_front();
        }
        Ok(None)
    }
}

/// What the sweep calls the op that was invoked on this line. Never are two open whose lines are so far
/// apart that they would be called the same.
fn number(line: u64) -> u32 {
    u32::try_from(line & u64::from(u32::MAX)).expect("it was cut to fit")
}

impl<M: Model> Busy<'_, M> {
    fn acknowledge(&mut self, invoked: u64) -> Result<bool, Stop> {
        match self.sweep.acknowledge(number(invoked))? {
            Moved::On => Ok(true),
            Moved::Stuck => Ok(false),
            Moved::Large => Err(Stop::out_of_memory()),
        }
    }

    /// The answer that could not be explained, and those of ops that were open then: they were held to
    /// what they answered later.
    fn broken(&mut self, culprit: Attempt<M::Op, RetOf<M>>, line: u64) -> Broken<M> {
        let number = culprit.invoked.index;
        let open = self.ops.drain().map(|(_, attempt)| attempt);
        let mut attempts: Vec<_> =
            open.filter(|open| open.invoked.index < line && open.ret().is_some()).collect();
        attempts.push(culprit);
        attempts.sort_by_key(|attempt| attempt.invoked.index);
        Broken { attempts, culprit: number, states: self.sweep.states(MOST_STATES) }
    }
}

impl<M: Model> Drop for Busy<'_, M> {
    fn drop(&mut self) {
        self.meter.release(self.charged);
    }
}

impl<M: Model> Broken<M> {
    fn verdict(self, checker: &Linearizable<M>, key: Option<Key>) -> Verdict {
        let ends = self.attempts.iter().filter_map(|attempt| attempt.completed);
        let cut = ends.map(|at| at.index).max().expect("the one that cannot be explained was answered");
        let spans: Vec<_> = self.attempts.iter().map(|attempt| seen_from(attempt, cut)).collect();
        let culprit = spans.iter().find(|span| span.from() == self.culprit);
        let culprit = culprit.expect("the one that cannot be explained is among them");
        let states: Vec<String> = self.states.iter().map(|state| checker.model().show(state)).collect();
        let witness = Witness {
            sentence: explain::by_states(culprit, &states),
            key,
            by: By { engine: "frontier".into(), since: "the history was still being written".into() },
            prefix_ends: cut,
            shortest: false,
            ops: spans
                .iter()
                .map(|span| explain::witness_op(span, false, span.from() == self.culprit))
                .collect(),
            others: 0,
            minimal: false,
            since: None,
            states,
        };
        Verdict::Invalid { witness: Box::new(witness) }
    }
}

/// Judges lines as they come; see [`Checker::watch`](crate::Checker::watch).
pub(crate) fn watch<M: Model>(
    checker: &Linearizable<M>,
    lines: &mut dyn Iterator<Item = Line<M::Op, RetOf<M>>>,
    budget: &Budget,
    judged: &mut dyn FnMut(u64),
) -> Verdict {
    let meter = Meter::new(budget);
    let mut online = Online::new(checker, &meter);
    for line in lines {
        match line {
            Line::Nemesis(op) => judged(op.index),
            Line::Client(seen) => {
                if let Some(verdict) = online.see(seen, judged) {
                    return verdict;
                }
            }
        }
    }
    online.finish(judged)
}
