//! A register is a key, and its value is a number as text.
//!
//! A compare-and-set is a transaction on the value. One that found another value happened, and says so.

use checker::register::{Op, Ret};
use history::{Key, Outcome};

use super::reply::only;
use super::request::{object, text, whole};
use super::{Asked, Asking, Condition, Expected, KeyValue, Keys, Nonsense, Put, Reply, Request, Step, Txn};
use crate::Registers;

impl Asking for Registers {
    type Open = ();

    fn begin(&self, op: &Op, key: Option<&Key>) -> (Request, ()) {
        let key = whole(object(key));
        let request = match *op {
            Op::Read => Request::Range(Keys::One(key)),
            Op::Write(value) => Request::Put(Put { key, value: text(value) }),
            Op::Cas { from, to } => Request::Txn(Txn {
                conditions: vec![Condition { key: key.clone(), expected: Expected::Value(text(from)) }],
                steps: vec![Step::Put(Put { key, value: text(to) })],
            }),
        };
        (request, ())
    }

    fn replied(&self, op: &Op, key: Option<&Key>, (): (), reply: Reply) -> Result<Asked<Self>, Nonsense> {
        let ret = match op {
            Op::Read => {
                let found = only(reply.range()?, object(key))?;
                Ret::Value(found.as_ref().map(KeyValue::number).transpose()?)
            }
            Op::Write(_) => {
                reply.put()?;
                Ret::Written
            }
            Op::Cas { .. } => Ret::Swapped(reply.txn()?.succeeded),
        };
        Ok(Asked::Over(Outcome::Ok(ret)))
    }
}
