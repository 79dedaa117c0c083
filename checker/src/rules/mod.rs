//! The rules of each data type. What a rule is, [`crate::rule`] says.
//!
//! | rule | of | while |
//! |---|---|---|
//! | [`zones`] | a register | every value is written once, and nobody compares |
//! | [`chains`] | a register | every value is put in once, by a write or by a cas that found what it expected |
//! | [`tokens`] | a map of texts | every text that is put or appended tells which op it came from |
//! | [`offsets`] | a log | every value is appended once |
//!
//! All but the last come down to the same picture, [`zone`]: stretches of time that must be put in a row.

mod chain;
pub(crate) mod chains;
pub(crate) mod offsets;
#[cfg(test)]
mod reference;
pub(crate) mod tokens;
mod values;
mod zone;
pub(crate) mod zones;

use crate::kv::Kv;
use crate::log::Log;
use crate::meter::{Meter, Stop};
use crate::register::Register;
use crate::rule::Rule;

/// Of a register, the simplest first.
pub(crate) static REGISTER: [Rule<Register>; 2] = [zones::RULE, chains::RULE];

/// Of a map of texts.
pub(crate) static KV: [Rule<Kv>; 1] = [tokens::RULE];

/// Of a log.
pub(crate) static LOG: [Rule<Log>; 1] = [offsets::RULE];

/// No number: of no span, of no value.
const NONE: u32 = u32::MAX;

/// Memory that was reserved, and is given back in the end.
struct Reserved<'m> {
    meter: &'m Meter,
    bytes: usize,
}

impl<'m> Reserved<'m> {
    /// So many bytes for each of so many things.
    fn new(meter: &'m Meter, things: usize, bytes: usize) -> Result<Reserved<'m>, Stop> {
        let bytes = things.saturating_mul(bytes);
        meter.charge(bytes)?;
        Ok(Reserved { meter, bytes })
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.meter.release(self.bytes);
    }
}
