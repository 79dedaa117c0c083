//! The search for an order (Wing & Gong 1993, with the memo of Lowe 2017).
//!
//! Given the ops of one key as intervals, is there an order of them in which each takes effect within
//! its interval and answers what it did answer? The problem is NP-complete, but histories are kind:
//! few ops overlap.
//!
//! All invocations and ends stand in one list, in the order of their lines. The search takes ops out
//! of it, one after the other, in the order in which they are supposed to have taken effect:
//!
//! 1. Walk from the head of the list. An op whose invocation comes before the first end still in the
//!    list may be next: nothing that is left had ended before it began.
//! 2. If the model allows its answer in the current state, take its two entries out, go on in the state
//!    it leaves, and walk from the head again.
//! 3. At an end, no op before it could be next. The last choice was wrong: put that op's entries back
//!    and walk on behind it. If there is no choice left to undo, there is no order.
//! 4. When no end is left in the list, the ops taken out are the order. Open ops may stay: they never
//!    took effect.
//!
//! Two orders of the same ops that leave the same state have the same future. So each place (the set of
//! ops taken out, and the state) is entered once; [`Memo`] knows them. This is what makes the search
//! feasible: places grow with the number of *overlapping* ops, orders with its factorial.
//!
//! Two liberties are taken with the textbook. Only ends are required, so an open op is an invocation
//! without an end. And an open op that would change nothing is not taken: any order that has it there
//! is an order without it.
//!
//! When there is no order, every place that can be reached was reached. So the farthest end that the
//! walk ever met is telling: up to the line before it there is an order (the one that led there), and
//! the states in which it was met are all that can have been. [`crate::linearizable`] makes evidence of
//! that.
//!
//! Left out, as this is the reference that every faster engine is tested against: symmetry of open ops,
//! dominance, and anything that knows what a register is. The price is memory on long histories with
//! many open ops and no order; then the answer is *unknown*.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::certificate::small;
use crate::engine::{Found, MOST_STATES, Task};
use crate::memo::{Bits, Memo};
use crate::meter::{Meter, STRIDE, Stop};
use crate::mutant::Mutant;
use crate::seam::Model;
use crate::setup::Setup;
use crate::span::Span;

/// Carries out a task.
pub(crate) fn search<M: Model>(task: &Task<'_, M>) -> Result<Found<M::State>, Stop> {
    let mut search = Search::new(task);
    for state in task.initial {
        search.state = search.states.number(task.model, state.clone())?;
        if let Some(order) = search.run()? {
            return Ok(Found::Order(order));
        }
    }
    Ok(search.nothing())
}

/// An entry of the list. Number 0 is the head, which comes before all.
#[derive(Clone, Copy, Debug)]
enum Entry {
    Head,
    Invocation(usize),
    End(usize),
}

/// The state that an op left, as a number.
type StateId = u32;

/// An op that was taken out.
struct Choice {
    span: usize,
    /// The state before it.
    before: StateId,
    /// Other states that it may have left, not tried yet.
    others: SmallVec<[StateId; 1]>,
}

struct Search<'a, M: Model> {
    model: &'a M,
    spans: &'a [Span<'a, M::Op>],
    meter: &'a Meter,
    turn: usize,
    mutant: Mutant,
    list: List,
    /// Where a span's bit stands: required and open ops are counted apart.
    bit: Vec<usize>,
    required: Bits,
    open: Bits,
    no_open: Bits,
    /// How many ends are left in the list.
    ends: usize,
    memo: Memo<'a>,
    states: States<'a, M>,
    state: StateId,
    choices: Vec<Choice>,
    /// The farthest end met, as an entry, and the states in which it was met.
    farthest: usize,
    met_in: Vec<StateId>,
    steps: u32,
}

impl<'a, M: Model> Search<'a, M> {
    fn new(task: &Task<'a, M>) -> Search<'a, M> {
        let Task { model, spans, meter, turn, setup: Setup { mutant, .. }, .. } = *task;
        let (mut required, mut open) = (0, 0);
        let bit = spans.iter().map(|span| {
            let count = if span.is_open() { &mut open } else { &mut required };
            *count += 1;
            *count - 1
        });
        let bit = bit.collect();
        Search {
            model,
            spans,
            meter,
            turn,
            mutant,
            list: List::new(spans, mutant),
            bit,
            required: Bits::new(required),
            open: Bits::new(open),
            no_open: Bits::new(0),
            ends: required,
            memo: Memo::new(meter),
            states: States::new(meter),
            state: 0,
            choices: Vec::new(),
            farthest: 0,
            met_in: Vec::new(),
            steps: 0,
        }
    }

    fn run(&mut self) -> Result<Option<Vec<u32>>, Stop> {
        let mut at = self.list.after(HEAD);
        while self.ends > 0 {
            self.breathe()?;
            at = match self.list.entries[at] {
                Entry::Head => unreachable!("the head is before the first entry"),
                Entry::Invocation(span) => {
                    let taken = self.take(span)?;
                    self.list.after(if taken { HEAD } else { at })
                }
                Entry::End(_) => {
                    self.meet(at);
                    let Some(next) = self.undo()? else { return Ok(None) };
                    next
                }
            };
        }
        let number = |choice: &Choice| small(choice.span);
        Ok(Some(self.choices.iter().map(number).collect()))
    }

    /// Looks at the clock now and then: a look costs more than a step.
    fn breathe(&mut self) -> Result<(), Stop> {
        self.steps = self.steps.wrapping_add(1);
        if self.steps % STRIDE == 1 { self.meter.check(self.turn) } else { Ok(()) }
    }

    /// Takes a span out as the next one, if its answer fits and this leads to a new place.
    fn take(&mut self, span: usize) -> Result<bool, Stop> {
        let asked = &self.spans[span];
        let mut next = SmallVec::new();
        let state = self.states.get(self.state);
        self.model.step(state, &asked.attempt.op, asked.ret(), asked.when(), &mut next);
        let mut others: SmallVec<[StateId; 1]> = SmallVec::new();
        for state in next {
            let state = self.states.number(self.model, state)?;
            if !(asked.is_open() && state == self.state) {
                others.push(state);
            }
        }
        if others.is_empty() {
            return Ok(false);
        }
        self.mark(span);
        match self.new_place(&mut others)? {
            None => {
                self.unmark(span);
                Ok(false)
            }
            Some(state) => {
                self.list.take(span);
                self.choices.push(Choice { span, before: self.state, others });
                self.state = state;
                Ok(true)
            }
        }
    }

    /// The first of these states in which the search has not been with the ops now taken out. It and
    /// those before it are removed.
    fn new_place(&mut self, states: &mut SmallVec<[StateId; 1]>) -> Result<Option<StateId>, Stop> {
        let open = if self.mutant == Mutant::RemembersNoOpenOps { &self.no_open } else { &self.open };
        while let Some(state) = states.pop() {
            let noted = if self.mutant == Mutant::RemembersNoState { 0 } else { state };
            if self.memo.insert(noted, &self.required, open)? {
                return Ok(Some(state));
            }
        }
        Ok(None)
    }

    /// Undoes the last choice, or makes it in another way. Where the walk goes on, if there was one.
    fn undo(&mut self) -> Result<Option<usize>, Stop> {
        let Some(mut choice) = self.choices.pop() else { return Ok(None) };
        if let Some(state) = self.new_place(&mut choice.others)? {
            self.choices.push(choice);
            self.state = state;
            return Ok(Some(self.list.after(HEAD)));
        }
        self.state = choice.before;
        self.unmark(choice.span);
        self.list.put_back(choice.span);
        Ok(Some(self.list.after(self.list.invocation[choice.span])))
    }

    fn mark(&mut self, span: usize) {
        if self.spans[span].is_open() {
            self.open.insert(self.bit[span]);
        } else {
            self.required.insert(self.bit[span]);
            self.ends -= 1;
        }
    }

    fn unmark(&mut self, span: usize) {
        if self.spans[span].is_open() {
            self.open.remove(self.bit[span]);
        } else {
            self.required.remove(self.bit[span]);
            self.ends += 1;
        }
    }

    /// The walk met an end. The farthest one is remembered, with the states in which it was met.
    fn meet(&mut self, end: usize) {
        if end > self.farthest {
            self.farthest = end;
            self.met_in.clear();
        }
        if end == self.farthest && self.met_in.len() < MOST_STATES && !self.met_in.contains(&self.state) {
            self.met_in.push(self.state);
        }
    }

    fn nothing(self) -> Found<M::State> {
        let Entry::End(span) = self.list.entries[self.farthest] else {
            unreachable!("a search without a result met an end")
        };
        let states = self.met_in.iter().map(|&state| self.states.get(state).clone()).collect();
        let last = self.spans.iter().filter_map(Span::to).max().expect("an end was met");
        Found::Nothing { stuck: self.spans[span].end(), bad: last, states }
    }
}

/// States as numbers, so that places are small.
struct States<'m, M: Model> {
    meter: &'m Meter,
    numbers: FxHashMap<M::State, StateId>,
    known: Vec<M::State>,
    charged: usize,
}

impl<'m, M: Model> States<'m, M> {
    fn new(meter: &'m Meter) -> States<'m, M> {
        States { meter, numbers: FxHashMap::default(), known: Vec::new(), charged: 0 }
    }

    fn number(&mut self, model: &M, state: M::State) -> Result<StateId, Stop> {
        if let Some(&number) = self.numbers.get(&state) {
            return Ok(number);
        }
        let bytes = model.heap(&state);
        self.meter.charge(bytes)?;
        self.charged += bytes;
        let number = StateId::try_from(self.known.len()).expect("memory ends before four billion states");
        self.known.push(state.clone());
        self.numbers.insert(state, number);
        Ok(number)
    }

    fn get(&self, number: StateId) -> &M::State {
        &self.known[number as usize]
    }
}

impl<M: Model> Drop for States<'_, M> {
    fn drop(&mut self) {
        self.meter.release(self.charged);
    }
}

/// The head's place in the list.
const HEAD: usize = 0;

/// Invocations and ends in the order of their lines, linked, so that taking out and putting back in
/// reverse order cost nothing.
struct List {
    entries: Vec<Entry>,
    before: Vec<usize>,
    after: Vec<usize>,
    /// The entry that is a span's invocation.
    invocation: Vec<usize>,
    /// The entry that is its end; [`HEAD`] if it has none.
    end: Vec<usize>,
}

impl List {
    fn new<O: history::Operation>(spans: &[Span<'_, O>], mutant: Mutant) -> List {
        let mut lines: Vec<(u64, Entry)> = Vec::with_capacity(2 * spans.len());
        for (number, span) in spans.iter().enumerate() {
            let from = if mutant == Mutant::DropsRealTime { 0 } else { span.from() };
            lines.push((from, Entry::Invocation(number)));
            lines.extend(span.to().map(|to| (to, Entry::End(number))));
        }
        lines.sort_by_key(|&(line, _)| line);
        let mut entries = vec![Entry::Head];
        entries.extend(lines.into_iter().map(|(_, entry)| entry));
        let mut invocation = vec![HEAD; spans.len()];
        let mut end = vec![HEAD; spans.len()];
        for (at, entry) in entries.iter().enumerate() {
            match *entry {
                Entry::Head => {}
                Entry::Invocation(span) => invocation[span] = at,
                Entry::End(span) => end[span] = at,
            }
        }
        let before = (0..=entries.len()).map(|at| at.saturating_sub(1)).collect();
        let after = (1..=entries.len() + 1).collect();
        List { entries, before, after, invocation, end }
    }

    fn after(&self, at: usize) -> usize {
        self.after[at]
    }

    fn take(&mut self, span: usize) {
        self.unlink(self.invocation[span]);
        if self.end[span] != HEAD {
            self.unlink(self.end[span]);
        }
    }

    fn put_back(&mut self, span: usize) {
        if self.end[span] != HEAD {
            self.relink(self.end[span]);
        }
        self.relink(self.invocation[span]);
    }

    fn unlink(&mut self, at: usize) {
        let (before, after) = (self.before[at], self.after[at]);
        self.after[before] = after;
        self.before[after] = before;
    }

    fn relink(&mut self, at: usize) {
        let (before, after) = (self.before[at], self.after[at]);
        self.after[before] = at;
        self.before[after] = at;
    }
}
