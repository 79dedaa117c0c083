//! Ops and states as small numbers, and what leads from one state to the next.
//!
//! Histories ask the same things again and again. Ops that ask and answer the same are one *class*, and
//! what a class makes of a state is asked of the model once.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use rustc_hash::{FxBuildHasher, FxHashMap};
use smallvec::SmallVec;

use crate::meter::{Meter, Stop};
use crate::seam::{Interval, Model, RetOf};
use crate::span::Span;

/// A state as a number.
pub(crate) type StateId = u32;
/// What is asked and answered, as a number.
pub(crate) type ClassId = u32;
/// The states that a class may leave. Mostly one.
pub(crate) type Next = SmallVec<[StateId; 1]>;

/// What is known of a class.
struct Class<M: Model> {
    op: M::Op,
    ret: Option<RetOf<M>>,
    when: Interval,
    only_looks: bool,
}

pub(crate) struct Book<'a, M: Model> {
    model: &'a M,
    meter: &'a Meter,
    states: Vec<M::State>,
    state_numbers: HashTable<StateId>,
    classes: Vec<Class<M>>,
    class_numbers: HashTable<ClassId>,
    /// State by state, class by class: what was asked of the model already.
    dense: Vec<u32>,
    /// For how many classes there is room in each state's row.
    row: usize,
    /// The same, when there are too many states and classes for that.
    sparse: FxHashMap<(StateId, ClassId), u32>,
    several: Vec<Next>,
    charged: usize,
}

/// Nobody asked yet.
const UNKNOWN: u32 = u32::MAX;
/// The class cannot have answered so.
const NONE: u32 = u32::MAX - 1;
/// More than one state; the rest is a place in `several`.
const SEVERAL: u32 = 1 << 31;
/// How many numbers the dense table may have.
const DENSE: usize = 1 << 16;
/// How many the other one.
const SPARSE: usize = 1 << 16;

impl<'a, M: Model> Book<'a, M> {
    pub(crate) fn new(model: &'a M, meter: &'a Meter) -> Book<'a, M> {
        Book {
            model,
            meter,
            states: Vec::new(),
            state_numbers: HashTable::new(),
            classes: Vec::new(),
            class_numbers: HashTable::new(),
            dense: Vec::new(),
            row: 0,
            sparse: FxHashMap::default(),
            several: Vec::new(),
            charged: 0,
        }
    }

    pub(crate) fn state(&self, number: StateId) -> &M::State {
        &self.states[number as usize]
    }

    /// The number of a state.
    pub(crate) fn number(&mut self, state: M::State) -> Result<StateId, Stop> {
        let hash = FxBuildHasher.hash_one(&state);
        let states = &self.states;
        if let Some(&known) = self.state_numbers.find(hash, |&known| states[known as usize] == state) {
            return Ok(known);
        }
        self.charge(2 * size_of::<M::State>() + 16 + self.model.heap(&state))?;
        let number = StateId::try_from(self.states.len()).ok().filter(|&number| number < SEVERAL);
        let number = number.ok_or_else(Stop::out_of_memory)?;
        self.states.push(state);
        let states = &self.states;
        self.state_numbers
            .insert_unique(hash, number, |&known| FxBuildHasher.hash_one(&states[known as usize]));
        Ok(number)
    }

    /// The class of a span's op.
    pub(crate) fn class(&mut self, span: &Span<'_, M::Op>) -> Result<ClassId, Stop> {
        self.class_of(&span.attempt.op, span.ret(), span.when())
    }

    fn class_of(&mut self, op: &M::Op, ret: Option<&RetOf<M>>, when: Interval) -> Result<ClassId, Stop> {
        let hash = hash_of::<M>(op, ret);
        let classes = &self.classes;
        let same = |&known: &ClassId| {
            let class = &classes[known as usize];
            class.op == *op && class.ret.as_ref() == ret
        };
        // Where time counts, no two ops are the same.
        if let Some(&known) = self.class_numbers.find(hash, same).filter(|_| !M::TIMED) {
            return Ok(known);
        }
        self.charge(2 * size_of::<Class<M>>() + 16)?;
        let number = ClassId::try_from(self.classes.len()).map_err(|_| Stop::out_of_memory())?;
        let only_looks = self.model.only_looks(op, ret);
        self.classes.push(Class { op: op.clone(), ret: ret.cloned(), when, only_looks });
        let classes = &self.classes;
        self.class_numbers.insert_unique(hash, number, |&known| {
            let class = &classes[known as usize];
            hash_of::<M>(&class.op, class.ret.as_ref())
        });
        Ok(number)
    }

    /// The class that is this one in another book.
    pub(crate) fn adopt(&mut self, from: &Book<'_, M>, class: ClassId) -> Result<ClassId, Stop> {
        let Class { op, ret, when, .. } = &from.classes[class as usize];
        self.class_of(op, ret.as_ref(), *when)
    }

    /// How many states and classes are known.
    pub(crate) fn size(&self) -> usize {
        self.states.len() + self.classes.len()
    }

    pub(crate) fn only_looks(&self, class: ClassId) -> bool {
        self.classes[class as usize].only_looks
    }

    /// The states that an op of this class may leave; none if it cannot have answered so.
    pub(crate) fn next(&mut self, state: StateId, class: ClassId) -> Result<Next, Stop> {
        let code = self.code(state, class)?;
        Ok(match code {
            NONE => Next::new(),
            one if one < SEVERAL => Next::from_buf([one]),
            some => self.several[(some - SEVERAL) as usize].clone(),
        })
    }

    fn code(&mut self, state: StateId, class: ClassId) -> Result<u32, Stop> {
        let place = state as usize * self.row + class as usize;
        if (class as usize) < self.row && place < self.dense.len() {
            let known = self.dense[place];
            if known != UNKNOWN {
                return Ok(known);
            }
        } else if let Some(&known) = self.sparse.get(&(state, class)) {
            return Ok(known);
        }
        let code = self.ask(state, class)?;
        self.remember(state, class, code);
        Ok(code)
    }

    fn ask(&mut self, state: StateId, class: ClassId) -> Result<u32, Stop> {
        let mut left = SmallVec::new();
        let Class { op, ret, when, .. } = &self.classes[class as usize];
        self.model.step(&self.states[state as usize], op, ret.as_ref(), *when, &mut left);
        let mut next = Next::new();
        for state in left {
            let number = self.number(state)?;
            if !next.contains(&number) {
                next.push(number);
            }
        }
        Ok(match next[..] {
            [] => NONE,
            [one] => one,
            _ => {
                self.charge(size_of::<Next>() + next.len() * size_of::<StateId>())?;
                self.several.push(next);
                SEVERAL + u32::try_from(self.several.len() - 1).map_err(|_| Stop::out_of_memory())?
            }
        })
    }

    fn remember(&mut self, state: StateId, class: ClassId, code: u32) {
        let place = |row| state as usize * row + class as usize;
        if (class as usize) < self.row && place(self.row) < self.dense.len() {
            self.dense[place(self.row)] = code;
            return;
        }
        let (states, classes) =
            (self.states.len().next_power_of_two(), self.classes.len().next_power_of_two());
        if states * classes > DENSE {
            // It only remembers what can be asked again.
            if self.sparse.len() >= SPARSE {
                self.sparse.clear();
            }
            self.sparse.insert((state, class), code);
            return;
        }
        let mut dense = vec![UNKNOWN; states * classes];
        for (number, row) in self.dense.chunks(self.row.max(1)).enumerate() {
            dense[number * classes..][..row.len()].copy_from_slice(row);
        }
        (self.dense, self.row) = (dense, classes);
        self.dense[place(self.row)] = code;
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Stop> {
        self.meter.charge(bytes)?;
        self.charged += bytes;
        Ok(())
    }
}

impl<M: Model> Drop for Book<'_, M> {
    fn drop(&mut self) {
        self.meter.release(self.charged);
    }
}

fn hash_of<M: Model>(op: &M::Op, ret: Option<&RetOf<M>>) -> u64 {
    FxBuildHasher.hash_one((op, ret))
}
