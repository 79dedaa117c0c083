//! Transactions: decide, check, act.
//!
//! All decisions, of nested transactions too, are made on the state before the first step, and give
//! a [`Plan`]. The plan is then checked as a whole: a step that must be refused refuses the whole
//! transaction before anything has changed. Only then is it carried out, and cannot fail any more;
//! so there is nothing to roll back.

use std::cmp::Ordering;

use crate::command::{Condition, DeleteRange, LeaseId, Operand, Put, Range, ReadOnly, Revision, Step, Txn};
use crate::history::Live;
use crate::reply::{Answer, Refusal, TxnAnswer};
use crate::store::{Store, Write};

/// A transaction after its decisions.
struct Plan<'a> {
    succeeded: bool,
    steps: Vec<Planned<'a>>,
}

enum Planned<'a> {
    Range(&'a Range),
    Put(&'a Put),
    Delete(&'a DeleteRange),
    Txn(Plan<'a>),
}

impl Store {
    pub(crate) fn txn(&mut self, txn: &Txn) -> Result<TxnAnswer, Refusal> {
        let plan = self.plan(txn);
        self.may_run(&plan)?;
        let mut write = self.write();
        let answer = write.run(&plan);
        write.finish();
        Ok(answer)
    }

    pub(crate) fn read_txn(&self, txn: &ReadOnly) -> Result<TxnAnswer, Refusal> {
        let plan = self.plan(txn.txn());
        self.may_run(&plan)?;
        Ok(self.answer(&plan))
    }

    fn plan<'a>(&self, txn: &'a Txn) -> Plan<'a> {
        let succeeded = txn.conditions.iter().all(|condition| self.holds(condition));
        let branch = if succeeded { &txn.success } else { &txn.failure };
        let steps = branch
            .iter()
            .map(|step| match step {
                Step::Range(range) => Planned::Range(range),
                Step::Put(put) => Planned::Put(put),
                Step::DeleteRange(delete) => Planned::Delete(delete),
                Step::Txn(inner) => Planned::Txn(self.plan(inner)),
            })
            .collect();
        Plan { succeeded, steps }
    }

    fn holds(&self, condition: &Condition) -> bool {
        let mut living = self.histories(&condition.keys).filter_map(|(_, history)| history.now()).peekable();
        if living.peek().is_none() {
            return absent_holds(condition);
        }
        living.all(|(modified, live)| condition.comparison.holds(compare(&condition.operand, modified, live)))
    }

    fn may_run(&self, plan: &Plan<'_>) -> Result<(), Refusal> {
        plan.steps.iter().try_for_each(|step| match step {
            Planned::Range(range) => self.may_read(range.revision, self.revision()),
            Planned::Put(put) => self.may_put(put),
            Planned::Delete(_) => Ok(()),
            Planned::Txn(inner) => self.may_run(inner),
        })
    }

    /// Carries out a plan that does not write.
    fn answer(&self, plan: &Plan<'_>) -> TxnAnswer {
        let now = self.revision();
        let step = |step: &Planned<'_>| match step {
            Planned::Range(range) => (now, Answer::Range(self.range(range, now).expect("checked before"))),
            Planned::Txn(inner) => (now, Answer::Txn(self.answer(inner))),
            Planned::Put(_) | Planned::Delete(_) => unreachable!("ReadOnly let a write through"),
        };
        TxnAnswer { succeeded: plan.succeeded, answers: plan.steps.iter().map(step).collect() }
    }
}

impl Write<'_> {
    /// Carries out a plan that [`Store::may_run`] has agreed to.
    fn run(&mut self, plan: &Plan<'_>) -> TxnAnswer {
        let answers = plan.steps.iter().map(|step| self.step(step)).collect();
        TxnAnswer { succeeded: plan.succeeded, answers }
    }

    fn step(&mut self, step: &Planned<'_>) -> (Revision, Answer) {
        let answer = match step {
            Planned::Range(range) => {
                let kvs = self.store.range(range, self.revision());
                Answer::Range(kvs.expect("its revision was checked, and reading does not compact"))
            }
            Planned::Put(put) => Answer::Put(self.put(put)),
            Planned::Delete(delete) => Answer::DeleteRange(self.delete(delete)),
            Planned::Txn(inner) => Answer::Txn(self.run(inner)),
        };
        (self.revision(), answer)
    }
}

/// Of nothing, everything is 0, and no value compares.
fn absent_holds(condition: &Condition) -> bool {
    let found = match &condition.operand {
        Operand::Value(_) => return false,
        Operand::Version(number) => 0.cmp(number),
        Operand::Create(revision) | Operand::Mod(revision) => Revision(0).cmp(revision),
        Operand::Lease(lease) => LeaseId::NONE.cmp(lease),
    };
    condition.comparison.holds(found)
}

fn compare(operand: &Operand, modified: Revision, live: &Live) -> Ordering {
    match operand {
        Operand::Version(number) => live.version.cmp(number),
        Operand::Create(revision) => live.create.cmp(revision),
        Operand::Mod(revision) => modified.cmp(revision),
        Operand::Value(value) => live.value.cmp(value),
        Operand::Lease(lease) => live.lease.cmp(lease),
    }
}
