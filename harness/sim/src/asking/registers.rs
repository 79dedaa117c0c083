//! A register is a key, and its value is a number as text: exactly as real systems are asked.
//!
//! A compare-and-set is a transaction on the value. One that found another value happened, and says so.

use checker::register::{Op, Ret};
use history::{Key, Outcome};
use kv::{Command, Comparison, Condition, Keys, Operand, Reply, Step, Txn};
use workload::Registers;

use super::calls::{object, put, read, text, whole, write};
use super::{Asked, Asking, Call, Nonsense, replies};

impl Asking for Registers {
    type Open = ();

    fn begin(&self, op: &Op, key: Option<&Key>) -> (Call, ()) {
        let key = whole(object(key));
        let call = match *op {
            Op::Read => read(Keys::One(key)),
            Op::Write(value) => write(&Command::Put(put(key, text(value)))),
            Op::Cas { from, to } => {
                let expected = Condition {
                    keys: Keys::One(key.clone()),
                    comparison: Comparison::Equal,
                    operand: Operand::Value(text(from)),
                };
                let set = Step::Put(put(key, text(to)));
                let txn = Txn { conditions: vec![expected], success: vec![set], failure: Vec::new() };
                write(&Command::Txn(txn))
            }
        };
        (call, ())
    }

    fn changes(&self, op: &Op, (): &()) -> bool {
        *op != Op::Read
    }

    fn replied(&self, op: &Op, key: Option<&Key>, (): (), reply: Reply) -> Result<Asked<Self>, Nonsense> {
        let ret = match op {
            Op::Read => {
                let found = replies::only(replies::range(reply)?, object(key))?;
                Ret::Value(found.as_ref().map(replies::number).transpose()?)
            }
            Op::Write(_) => {
                replies::put(reply)?;
                Ret::Written
            }
            Op::Cas { .. } => Ret::Swapped(replies::txn(reply)?.succeeded),
        };
        Ok(Asked::Over(Outcome::Ok(ret)))
    }
}
