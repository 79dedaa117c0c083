//! Objects that only grow: a key for each number that can be added, so that an add is one blind put and a look is
//! one range.
//!
//! To keep all that was added in one value would need a look before each add, and most adds to a hot object
//! would fail. Nothing is lost by keys: an add that is lost is missing in the range. And nothing is hidden: the
//! store gives every key a version, which counts its puts, so that who cares how often a number was added can
//! tell. A fresh key for each add could not.
//!
//! What the numbers come to, each workload says: a set that they are there, a counter what they add up to.

use std::fmt::Display;
use std::str::FromStr;

use bytes::Bytes;
use history::{Key, Outcome};

use super::request::{object, part, parts};
use super::{Asked, Asking, Nonsense, Put, Reply, Request};
use crate::seam::Workload;

/// A workload of such objects.
pub trait Growing: Workload + Clone {
    /// What is added.
    type Number: Display + FromStr;

    /// What an op adds; `None` if it looks.
    fn added(op: &Self::Op) -> Option<Self::Number>;

    /// The answer to an add.
    fn acknowledged() -> Self::Ret;

    /// The answer to a look that found these numbers, each added so often.
    fn found(numbers: Vec<(Self::Number, i64)>) -> Self::Ret;
}

impl<W: Growing> Asking for W {
    type Open = ();

    fn begin(&self, op: &Self::Op, key: Option<&Key>) -> (Request, ()) {
        let request = match W::added(op) {
            Some(number) => Request::Put(Put { key: part(object(key), number), value: Bytes::new() }),
            None => Request::Range(parts(object(key))),
        };
        (request, ())
    }

    fn replied(
        &self,
        op: &Self::Op,
        key: Option<&Key>,
        (): (),
        reply: Reply,
    ) -> Result<Asked<Self>, Nonsense> {
        if W::added(op).is_some() {
            reply.put()?;
            return Ok(Asked::Over(Outcome::Ok(W::acknowledged())));
        }
        let found = reply.range()?;
        let numbers = found.iter().map(|kv| Ok((kv.part(object(key))?, kv.version)));
        Ok(Asked::Over(Outcome::Ok(W::found(numbers.collect::<Result<_, _>>()?))))
    }
}
