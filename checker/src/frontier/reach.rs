//! What cannot be, in whatever order.
//!
//! Forget the order, and how often: which states can be left at all by the ops invoked so far? They are
//! few where values are few. An answer that fits none of them cannot be explained, and to see that takes
//! no search, however many ops are open. It is the last resort before guessing: a value that nobody wrote is
//! found like this among hundreds of clients, where everything that may be true does not fit anywhere.

use super::book::{Book, ClassId, StateId};
use super::events::{Event, Events};
use crate::engine::Task;
use crate::meter::Stop;
use crate::seam::Model;

/// More states or classes than these are not few.
const MANY: usize = 256;

/// The line of the first answer that fits no state which the ops before it can leave, if that can be told.
pub(crate) fn impossible<M: Model>(task: &Task<'_, M>) -> Result<Option<u64>, Stop> {
    let mut reach =
        Reach { book: Book::new(task.model, task.meter), states: Vec::new(), classes: Vec::new() };
    for state in task.initial {
        let state = reach.book.number(state.clone())?;
        reach.add(state)?;
    }
    let mut fits: Vec<ClassId> = Vec::new();
    let mut events = Events::new();
    while let Some(event) = events.next(task.spans, task.setup.mutant) {
        let (Event::Invoked(number) | Event::Acknowledged(number)) = event;
        let span = &task.spans[number as usize];
        let class = reach.book.class(span)?;
        if matches!(event, Event::Invoked(_)) {
            reach.allow(class)?;
        } else if !fits.contains(&class) {
            if !reach.fits(class)? {
                return Ok(span.to());
            }
            fits.push(class);
        }
        if reach.states.len() > MANY || reach.classes.len() > MANY {
            return Ok(None);
        }
    }
    Ok(None)
}

struct Reach<'a, M: Model> {
    book: Book<'a, M>,
    /// What can be left.
    states: Vec<StateId>,
    /// By whom.
    classes: Vec<ClassId>,
}

impl<M: Model> Reach<'_, M> {
    /// An op of this class was invoked.
    fn allow(&mut self, class: ClassId) -> Result<(), Stop> {
        if self.classes.contains(&class) {
            return Ok(());
        }
        self.classes.push(class);
        for at in 0..self.states.len() {
            for state in self.book.next(self.states[at], class)? {
                self.add(state)?;
            }
        }
        Ok(())
    }

    /// A state can be left, and so can those that follow from it.
    fn add(&mut self, state: StateId) -> Result<(), Stop> {
        let mut new = vec![state];
        while let Some(state) = new.pop() {
            if self.states.len() > MANY || self.states.contains(&state) {
                continue;
            }
            self.states.push(state);
            for &class in &self.classes {
                new.extend(self.book.next(state, class)?);
            }
        }
        Ok(())
    }

    /// Whether an op of this class can have answered so.
    fn fits(&mut self, class: ClassId) -> Result<bool, Stop> {
        for &state in &self.states {
            if !self.book.next(state, class)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::meter::Meter;
    use crate::mutant::Mutant;
    use crate::reference::{Values, explainable, histories, runner};
    use crate::register::Register;
    use crate::seam::Budget;
    use crate::setup::Setup;
    use crate::span::{by_key, spans};

    #[test]
    fn what_can_be_explained_is_never_impossible() {
        let found = std::cell::Cell::new(0);
        let outcome = runner(8_000).run(&histories(Values::Unique), |history| {
            for attempts in by_key(&history).into_values() {
                let (meter, spans) =
                    (Meter::new(&Budget::default()), spans(&attempts, u64::MAX, Mutant::None));
                let (model, setup) = (&Register, Setup::default());
                let task = Task { model, spans: &spans, initial: &[None], setup, meter: &meter, turn: 0 };
                if let Some(line) = impossible(&task).expect("a minute is enough") {
                    found.set(found.get() + 1);
                    prop_assert!(!explainable(&attempts, line), "up to {}", line);
                }
            }
            Ok(())
        });
        outcome.unwrap();
        assert!(found.get() > 100, "{} were impossible", found.get());
    }
}
