//! The seam between those who decide what is asked next and those who ask it.
//!
//! A generator is a value: it is told the time and who is free, and says what comes next. It never
//! waits, sends or looks at a clock, so the runner (real time) and the simulator (virtual time) drive
//! the same one, and with the same seed and the same observations it says the same things.
//!
//! A driver does this, and [`Seats`](crate::Seats) do most of it for every driver:
//! 1. while clients and faults go on: call [`next`](Generator::next) whenever a process got free, an
//!    observation came in or the time of the last [`Next::Wait`] has come; write down and send what it
//!    says; hand every line of the history to [`observe`](Generator::observe), invocations too;
//! 2. at [`Next::Done`]: let the open ops end, heal, wait until the system answers;
//! 3. call [`conclude`](Generator::conclude), and do 1 again until the next `Done`, or until a deadline:
//!    a system that does not come back after the heal answers no final read;
//! 4. ask how many final reads were [given up](Generator::given_up): what was not read was not checked.

use std::fmt::Debug;

use checker::Checker;
use history::{Key, Observation, Operation, Process};

/// What a generator is told: the time, and who could be given work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now<'a> {
    /// Nanoseconds since the start of the run.
    pub time: u64,
    /// The processes without an open op, in ascending order. A process that is backing off after a
    /// refusal is not among them; nor is one that was retired.
    pub free: &'a [Process],
}

/// What comes next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next<Op> {
    /// This process, one of the free ones, asks this, now.
    Invoke {
        /// Who asks.
        process: Process,
        /// About what.
        key: Option<Key>,
        /// What.
        op: Op,
    },
    /// Nothing yet. Ask again at that time, or when something was observed, or when a process got
    /// free, whichever comes first; without a time, only then.
    Wait {
        /// Nanoseconds since the start of the run.
        until: Option<u64>,
    },
    /// Nothing more in this phase.
    Done,
}

/// Decides what is asked next.
pub trait Generator: Send {
    /// What is asked.
    type Op;
    /// What is answered.
    type Ret;

    /// What comes next.
    fn next(&mut self, now: Now<'_>) -> Next<Self::Op>;

    /// A line of the history, in order: an invocation that it asked for, or how one ended.
    fn observe(&mut self, _seen: &Observation<Self::Op, Self::Ret>) {}

    /// The faults are healed and no op is open: from now on, only the final reads.
    fn conclude(&mut self);

    /// How many final reads nobody answered, however often they were asked.
    fn given_up(&self) -> usize {
        0
    }
}

impl<G: Generator + ?Sized> Generator for Box<G> {
    type Op = G::Op;
    type Ret = G::Ret;

    fn next(&mut self, now: Now<'_>) -> Next<G::Op> {
        (**self).next(now)
    }

    fn observe(&mut self, seen: &Observation<G::Op, G::Ret>) {
        (**self).observe(seen);
    }

    fn conclude(&mut self) {
        (**self).conclude();
    }

    fn given_up(&self) -> usize {
        (**self).given_up()
    }
}

/// What clients do, and what they are promised.
pub trait Workload: Send + Sync + 'static {
    /// What is asked.
    type Op: Operation<Ret = Self::Ret> + Debug + Send + Sync + 'static;
    /// What is answered.
    type Ret: Clone + Debug + Send + 'static;

    /// Who decides what is asked. The seed fixes all of its choices.
    fn generator(&self, seed: u64) -> Box<dyn Generator<Op = Self::Op, Ret = Self::Ret>>;

    /// Who judges the history.
    fn checkers(&self) -> Vec<Box<dyn Checker<Self::Op, Self::Ret>>>;
}
