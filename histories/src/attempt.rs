//! Ops, put together from their lines: what checkers take.

use std::collections::BTreeMap;

use crate::names::{Key, Moment, NodeId, Process};
use crate::observation::{Kind, Line, NemesisOp, Observation, Outcome};

/// One op from its invocation to what is known of its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt<Op, Ret> {
    /// Who asked.
    pub process: Process,
    /// Whom it asked.
    pub node: Option<NodeId>,
    /// About what.
    pub key: Option<Key>,
    /// What was asked.
    pub op: Op,
    /// The line that asks.
    pub invoked: Moment,
    /// The line that ends it; none if the history stops before.
    pub completed: Option<Moment>,
    /// How it ended. Without a line that says so, nobody knows.
    pub outcome: Outcome<Ret>,
}

impl<Op, Ret> Attempt<Op, Ret> {
    /// The answer, if it is known to have happened.
    pub fn ret(&self) -> Option<&Ret> {
        match &self.outcome {
            Outcome::Ok(ret) => Some(ret),
            Outcome::Fail(_) | Outcome::Info(_) => None,
        }
    }

    /// Whether it certainly did not happen.
    pub fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Fail(_))
    }

    /// Whether nobody knows: it may take effect at any time after its invocation, or never.
    pub fn is_open(&self) -> bool {
        matches!(self.outcome, Outcome::Info(_))
    }
}

/// All that is known of a run: its ops in the order of their invocations, and what the nemesis did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct History<Op, Ret> {
    /// In the order of their invocations.
    pub attempts: Vec<Attempt<Op, Ret>>,
    /// In the order of their lines.
    pub nemesis: Vec<NemesisOp>,
    /// How many lines it has: every index is below.
    pub lines: u64,
    /// The last line, if it was not written to its end. It is not among the others.
    pub torn: Option<Torn>,
}

/// A last line that was not written to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Torn {
    /// Its number in the file, counted from 1.
    pub line: u64,
    /// How much of it there is.
    pub bytes: usize,
}

impl<Op, Ret> Default for History<Op, Ret> {
    fn default() -> History<Op, Ret> {
        History { attempts: Vec::new(), nemesis: Vec::new(), lines: 0, torn: None }
    }
}

/// Puts lines together into a [`History`], one by one.
#[derive(Clone, Debug)]
pub struct Pairing<Op, Ret> {
    history: History<Op, Ret>,
    /// Where the open attempt of a process stands.
    open: BTreeMap<Process, usize>,
}

impl<Op, Ret> Default for Pairing<Op, Ret> {
    fn default() -> Pairing<Op, Ret> {
        Pairing { history: History::default(), open: BTreeMap::new() }
    }
}

impl<Op, Ret> Pairing<Op, Ret> {
    /// The next line, as a [`Writer`](crate::Writer) or a [`Reader`](crate::Reader) gave it out.
    pub fn push(&mut self, line: Line<Op, Ret>) {
        self.history.lines += 1;
        match line {
            Line::Nemesis(op) => self.history.nemesis.push(op),
            Line::Client(seen) => self.push_seen(seen),
        }
    }

    fn push_seen(&mut self, seen: Observation<Op, Ret>) {
        let Observation { index, time, process, node, key, kind } = seen;
        let at = Moment { index, time };
        let outcome = match kind {
            Kind::Invoke(op) => {
                self.open.insert(process, self.history.attempts.len());
                // Most ops end: the reason is given to those that did not, when all lines are known.
                let outcome = Outcome::Info(String::new());
                let attempt = Attempt { process, node, key, op, invoked: at, completed: None, outcome };
                return self.history.attempts.push(attempt);
            }
            Kind::Ok(ret) => Outcome::Ok(ret),
            Kind::Fail(why) => Outcome::Fail(why),
            Kind::Info(why) => Outcome::Info(why),
        };
        let open = self.open.remove(&process).expect("writers and readers let only open ops end");
        let attempt = &mut self.history.attempts[open];
        attempt.completed = Some(at);
        attempt.outcome = outcome;
    }

    /// All lines were pushed.
    pub fn finish(mut self) -> History<Op, Ret> {
        for open in self.open.into_values() {
            let outcome = Outcome::Info("still open where the history ends".to_owned());
            self.history.attempts[open].outcome = outcome;
        }
        self.history
    }
}
