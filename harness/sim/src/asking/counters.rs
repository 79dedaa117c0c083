//! A counter without increments: the store counts by itself how often a key was put.
//!
//! An add must be one blind step, or most adds to a hot counter would fail. And it must not be one that can
//! be done twice unseen, since an add carried out twice is what counters are there to find; a fresh key for
//! each add would be that. But the store gives every key a version, which counts its puts. So there is a key
//! for each *number* that is added, an add puts it, and the sum is that of all numbers, each times its version.

use bytes::Bytes;
use checker::counter::{Op, Ret};
use history::{Key, Outcome};
use kv::{Command, KeyValue, Reply};
use workload::Counters;

use super::calls::{object, part, parts, put, read, write};
use super::{Asked, Asking, Call, Nonsense, replies};

impl Asking for Counters {
    type Open = ();

    fn begin(&self, op: &Op, key: Option<&Key>) -> (Call, ()) {
        let counter = object(key);
        let call = match *op {
            Op::Add(number) => write(&Command::Put(put(part(counter, number), Bytes::new()))),
            Op::Read => read(parts(counter)),
        };
        (call, ())
    }

    fn changes(&self, op: &Op, (): &()) -> bool {
        *op != Op::Read
    }

    fn replied(&self, op: &Op, key: Option<&Key>, (): (), reply: Reply) -> Result<Asked<Self>, Nonsense> {
        let ret = match op {
            Op::Add(_) => {
                replies::put(reply)?;
                Ret::Added
            }
            Op::Read => Ret::Value(sum(object(key), &replies::range(reply)?)?),
        };
        Ok(Asked::Over(Outcome::Ok(ret)))
    }
}

/// Sums start over where they no longer fit, as in the model.
fn sum(counter: &str, found: &[KeyValue]) -> Result<i64, Nonsense> {
    found.iter().try_fold(0_i64, |sum, kv| {
        let number: i64 = replies::part(counter, kv)?;
        Ok(sum.wrapping_add(number.wrapping_mul(kv.version)))
    })
}
