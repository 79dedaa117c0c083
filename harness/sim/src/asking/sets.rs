//! Each element of a set is a key of its own, so that an add is one blind put and a read is one range.
//!
//! To keep the set in one value would need a look before each add, and most adds to a hot set would fail.
//! Nothing is lost by keys: an add that is lost is missing in the range. What cannot be seen is an add that is
//! carried out twice, which is true of any set.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use checker::set::{Op, Ret};
use history::{Key, Outcome};
use kv::{Command, Reply};
use workload::Sets;

use super::calls::{object, part, parts, put, read, write};
use super::{Asked, Asking, Call, Nonsense, replies};

impl Asking for Sets {
    type Open = ();

    fn begin(&self, op: &Op, key: Option<&Key>) -> (Call, ()) {
        let set = object(key);
        let call = match *op {
            Op::Add(element) => write(&Command::Put(put(part(set, element), Bytes::new()))),
            Op::Read => read(parts(set)),
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
            Op::Read => {
                let found = replies::range(reply)?;
                let elements = found.iter().map(|kv| replies::part(object(key), kv));
                Ret::Elements(Arc::new(elements.collect::<Result<BTreeSet<u64>, _>>()?))
            }
        };
        Ok(Asked::Over(Outcome::Ok(ret)))
    }
}
