//! Histories out of nothing: as many ops as wanted, right by construction, or with one mistake in them.
//!
//! A checker must be tried on histories that nobody has: ten million ops, a hundred that were never
//! answered, one wrong read at nine tenths. So play them. Clients ask; at some later moment the op takes
//! effect on the data type itself, all at once; later still the client is told. Whatever comes out of
//! that is linearizable, since the moments of effect are the order. An op that is to stay without an
//! answer takes effect at some moment after its invocation, maybe long after the client gave up, or
//! never; one that is to fail never does.
//!
//! Then [`Planted`] says what goes wrong, if anything: one answer that is not the true one, or a write
//! that is acknowledged and does nothing.
//!
//! The same plan gives the same history, everywhere.

mod play;
mod subjects;

use history::History;

use crate::{kv, log, register};
use play::play;
use subjects::{Logs, Registers, Texts};

/// What a history shall be like.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// How many ops.
    pub ops: usize,
    /// How many clients ask at the same time.
    pub clients: usize,
    /// How many keys they ask about, `k0`, `k1`, …
    pub keys: usize,
    /// What they put in.
    pub values: Values,
    /// How many of a hundred ops are never answered.
    pub info: f64,
    /// How many of a hundred ops fail.
    pub fail: f64,
    /// Fixes the rest.
    pub seed: u64,
    /// What goes wrong.
    pub planted: Planted,
}

/// What clients put in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Values {
    /// Something new each time.
    Unique,
    /// One of so many.
    Few(u64),
}

/// What goes wrong in a history. `at` says from where on, as a part of all ops: 0.9 is near the end.
///
/// With unique values, what is planted is a contradiction for certain (if there is an occasion for it after
/// `at`, which in a history of some length there is). With few values it may by chance be the truth.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Planted {
    /// Nothing.
    Nothing,
    /// One read is answered with something else.
    WrongRead {
        /// Where.
        at: f64,
        /// What with.
        value: WrongValue,
    },
    /// Writes are acknowledged and lost, until one read has shown it.
    LostWrite {
        /// Where.
        at: f64,
    },
    /// One read is answered with what was there before the last acknowledged write.
    StaleRead {
        /// Where.
        at: f64,
    },
}

/// What a wrong read is answered with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WrongValue {
    /// What nobody put in.
    NeverWritten,
    /// What was acknowledged first of all, and has long been overwritten.
    Old,
    /// Anything that was ever put in; by chance, what is there.
    Any,
}

impl Default for Plan {
    /// A thousand ops of ten clients on one key; every value is new; all are answered; nothing goes wrong.
    fn default() -> Plan {
        Plan {
            ops: 1000,
            clients: 10,
            keys: 1,
            values: Values::Unique,
            info: 0.0,
            fail: 0.0,
            seed: 0,
            planted: Planted::Nothing,
        }
    }
}

impl Plan {
    /// A register that is read and written.
    pub fn register(&self) -> History<register::Op, register::Ret> {
        play(self, &Registers { cas: false, values: self.values })
    }

    /// A register that is also compared-and-set. A cas that found another value is answered so if values
    /// are few, and fails if they are unique.
    pub fn cas_register(&self) -> History<register::Op, register::Ret> {
        play(self, &Registers { cas: true, values: self.values })
    }

    /// A map of texts. A put comes often enough that texts stay short.
    pub fn kv(&self) -> History<kv::Op, kv::Ret> {
        play(self, &Texts { values: self.values })
    }

    /// A log. Reads begin near its end.
    pub fn log(&self) -> History<log::Op, log::Ret> {
        play(self, &Logs { values: self.values })
    }
}
