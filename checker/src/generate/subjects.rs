//! The data types as they are: what clients ask of them, and what they answer.

use std::sync::Arc;

use history::Operation;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::Values;
use crate::{kv, log, register};

/// A data type that can be played.
pub(super) trait Subject {
    type Op: Operation<Ret = Self::Ret>;
    type Ret: Clone + PartialEq;
    /// What one key holds.
    type State: Default;
    /// What was there at some moment, as far as a wrong read needs it.
    type Mark: Clone + Default;

    /// The next op. `fresh` is a number that no op had before.
    fn ask(&self, state: &Self::State, fresh: u64, rng: &mut ChaCha8Rng) -> Self::Op;

    /// Carries it out. None if it is refused.
    fn effect(&self, state: &mut Self::State, op: &Self::Op) -> Option<Self::Ret>;

    /// What an op that is acknowledged and lost is answered.
    fn pretend(&self, state: &Self::State, op: &Self::Op) -> Self::Ret;

    /// Whether it puts something in, whatever was there.
    fn writes(op: &Self::Op) -> bool;

    /// What is there.
    fn mark(state: &Self::State) -> Self::Mark;

    /// What a read would have answered then; none if it is no read.
    fn read_at(op: &Self::Op, mark: &Self::Mark, state: &Self::State) -> Option<Self::Ret>;

    /// What no read could answer; none if it is no read.
    fn read_never(&self, op: &Self::Op, state: &Self::State) -> Option<Self::Ret>;

    /// What was put in by one of so many ops; none if it is no read.
    fn read_any(&self, op: &Self::Op, state: &Self::State, number: u64) -> Option<Self::Ret>;
}

impl Values {
    fn of(self, fresh: u64, rng: &mut ChaCha8Rng) -> u64 {
        match self {
            Values::Unique => fresh,
            Values::Few(few) => rng.random_range(0..few.max(1)),
        }
    }

    /// One that may have been put in, whatever the number.
    pub(super) fn one_of(self, number: u64) -> u64 {
        match self {
            Values::Unique => number,
            Values::Few(few) => number % few.max(1),
        }
    }
}

/// More than any history has.
const NEVER: u64 = 1 << 40;

// --- registers ------------------------------------------------------------------------------------

pub(super) struct Registers {
    pub cas: bool,
    pub values: Values,
}

impl Subject for Registers {
    type Op = register::Op;
    type Ret = register::Ret;
    type State = Option<u64>;
    type Mark = Option<u64>;

    fn ask(&self, state: &Option<u64>, fresh: u64, rng: &mut ChaCha8Rng) -> register::Op {
        let to = self.values.of(fresh, rng);
        match rng.random_range(0..if self.cas { 6 } else { 4 }) {
            0 | 1 => register::Op::Read,
            2 | 3 => register::Op::Write(to),
            _ => match (self.values, *state) {
                // Whoever compares has seen what is there. By the time it is done, it may be gone.
                (Values::Unique, Some(from)) => register::Op::Cas { from, to },
                (Values::Unique, None) => register::Op::Write(to),
                (Values::Few(_), _) => register::Op::Cas { from: self.values.of(fresh, rng), to },
            },
        }
    }

    fn effect(&self, state: &mut Option<u64>, op: &register::Op) -> Option<register::Ret> {
        match *op {
            register::Op::Read => Some(register::Ret::Value(*state)),
            register::Op::Write(value) => {
                *state = Some(value);
                Some(register::Ret::Written)
            }
            register::Op::Cas { from, to } if *state == Some(from) => {
                *state = Some(to);
                Some(register::Ret::Swapped(true))
            }
            register::Op::Cas { .. } => {
                (self.values != Values::Unique).then_some(register::Ret::Swapped(false))
            }
        }
    }

    fn pretend(&self, _: &Option<u64>, _: &register::Op) -> register::Ret {
        register::Ret::Written
    }

    fn writes(op: &register::Op) -> bool {
        matches!(op, register::Op::Write(_))
    }

    fn mark(state: &Option<u64>) -> Option<u64> {
        *state
    }

    fn read_at(op: &register::Op, mark: &Option<u64>, _: &Option<u64>) -> Option<register::Ret> {
        (*op == register::Op::Read).then_some(register::Ret::Value(*mark))
    }

    fn read_never(&self, op: &register::Op, state: &Option<u64>) -> Option<register::Ret> {
        Registers::read_at(op, &Some(NEVER), state)
    }

    fn read_any(&self, op: &register::Op, state: &Option<u64>, number: u64) -> Option<register::Ret> {
        Registers::read_at(op, &Some(number), state)
    }
}

// --- texts ----------------------------------------------------------------------------------------

pub(super) struct Texts {
    pub values: Values,
}

impl Texts {
    /// No such text is the start of another one.
    fn text(number: u64) -> Arc<str> {
        format!("{number};").into()
    }
}

impl Subject for Texts {
    type Op = kv::Op;
    type Ret = kv::Ret;
    type State = String;
    type Mark = Arc<str>;

    fn ask(&self, _: &String, fresh: u64, rng: &mut ChaCha8Rng) -> kv::Op {
        let text = |rng: &mut ChaCha8Rng| Texts::text(self.values.of(fresh, rng));
        match rng.random_range(0..40) {
            0..20 => kv::Op::Get,
            20 => kv::Op::Put(text(rng)),
            _ => kv::Op::Append(text(rng)),
        }
    }

    fn effect(&self, state: &mut String, op: &kv::Op) -> Option<kv::Ret> {
        match op {
            kv::Op::Get => return Some(kv::Ret::Value(state.as_str().into())),
            kv::Op::Put(text) => text.as_ref().clone_into(state),
            kv::Op::Append(text) => state.push_str(text),
        }
        Some(kv::Ret::Done)
    }

    fn pretend(&self, _: &String, _: &kv::Op) -> kv::Ret {
        kv::Ret::Done
    }

    fn writes(op: &kv::Op) -> bool {
        *op != kv::Op::Get
    }

    fn mark(state: &String) -> Arc<str> {
        state.as_str().into()
    }

    fn read_at(op: &kv::Op, mark: &Arc<str>, _: &String) -> Option<kv::Ret> {
        (*op == kv::Op::Get).then(|| kv::Ret::Value(Arc::clone(mark)))
    }

    fn read_never(&self, op: &kv::Op, state: &String) -> Option<kv::Ret> {
        let more = format!("{state}{NEVER};");
        Texts::read_at(op, &more.into(), state)
    }

    fn read_any(&self, op: &kv::Op, state: &String, number: u64) -> Option<kv::Ret> {
        Texts::read_at(op, &Texts::text(number), state)
    }
}

// --- logs -----------------------------------------------------------------------------------------

pub(super) struct Logs {
    pub values: Values,
}

impl Logs {
    fn read(op: &log::Op, state: &[u64], length: usize) -> Option<log::Ret> {
        let log::Op::Read { from } = *op else { return None };
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(length);
        Some(log::Ret::Values(state[from..length].into()))
    }
}

impl Subject for Logs {
    type Op = log::Op;
    type Ret = log::Ret;
    type State = Vec<u64>;
    /// How long it was.
    type Mark = usize;

    fn ask(&self, state: &Vec<u64>, fresh: u64, rng: &mut ChaCha8Rng) -> log::Op {
        if rng.random_bool(0.5) {
            return log::Op::Append(self.values.of(fresh, rng));
        }
        let back = rng.random_range(0..8);
        log::Op::Read { from: (state.len() as u64 + 2).saturating_sub(back) }
    }

    fn effect(&self, state: &mut Vec<u64>, op: &log::Op) -> Option<log::Ret> {
        let answer = self.pretend(state, op);
        if let log::Op::Append(value) = *op {
            state.push(value);
        }
        Some(answer)
    }

    fn pretend(&self, state: &Vec<u64>, op: &log::Op) -> log::Ret {
        Logs::read(op, state, state.len()).unwrap_or(log::Ret::Offset(state.len() as u64))
    }

    fn writes(op: &log::Op) -> bool {
        matches!(op, log::Op::Append(_))
    }

    fn mark(state: &Vec<u64>) -> usize {
        state.len()
    }

    /// Only a read that would have shown something more says that there was less.
    fn read_at(op: &log::Op, mark: &usize, state: &Vec<u64>) -> Option<log::Ret> {
        let log::Op::Read { from } = *op else { return None };
        (from <= *mark as u64).then(|| Logs::read(op, state, *mark))?
    }

    fn read_never(&self, op: &log::Op, state: &Vec<u64>) -> Option<log::Ret> {
        self.read_any(op, state, NEVER)
    }

    fn read_any(&self, op: &log::Op, state: &Vec<u64>, number: u64) -> Option<log::Ret> {
        let log::Ret::Values(mut values) = Logs::read(op, state, state.len())? else { return None };
        *Arc::make_mut(&mut values).last_mut()? = number;
        Some(log::Ret::Values(values))
    }
}
