//! Ops, put together from their lines: what checkers take.

use crate::names::{Key, Moment, NodeId, Process};
use crate::observation::{NemesisOp, Outcome};

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
}

impl<Op, Ret> Default for History<Op, Ret> {
    fn default() -> History<Op, Ret> {
        History { attempts: Vec::new(), nemesis: Vec::new(), lines: 0 }
    }
}
