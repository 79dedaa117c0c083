//! Seats: who asks next, of whom, who rests, and who follows whom.
//!
//! A generator says what is asked, and a driver asks it: the runner of real nodes, the simulator of simulated
//! ones. What lies between is the same in both worlds and stands here, so that what one of them finds can be
//! looked for in the other.
//!
//! * There are as many seats as ops may be open at once. In each sits a process, with at most one op open.
//! * When nobody knows how an op ended, its process is *retired*: the op may still take effect, and whoever
//!   asked next under the same number would be ordered after it. The next process in the seat has the old number
//!   plus the number of seats.
//! * Process p talks to node p mod n, of the n nodes that clients talk to.
//! * Whoever was not served *rests* before it is given work again, longer each time in a row. Otherwise a dead
//!   node, which refuses thousands of times a second, would fill the history with nothing. A successor rests
//!   too: it has another number, and sits in front of the same node or of one that is no better known.
//! * A client waits [`PATIENCE`] for the end of an op, however many calls it takes. Then the op has ended for
//!   it, whatever becomes of it.
//!
//! [`Seats`] is a value, as generators are: it is told the time and the lines of the history, and says what to
//! do. How an op ended it reads from its line, so it knows nothing that does not stand in the history. A driver
//! does this, for each of the two phases:
//!
//! ```text
//! loop   next(now)   Ask    write down the invocation, observe it, send
//!                    Wait   until then, or until something has ended; write down how, observe it
//!                    Done   the phase is over: everything asked, everything ended
//! ```
//!
//! Left out: who resets a connection, and when. That is a matter of sockets, and those are the driver's.

use std::time::Duration;

use history::{Key, Kind, NodeId, Observation, Process};

use crate::seam::{Generator, Next, Now};

/// How long a client waits for the end of an op.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// The rest after a first refusal; it doubles with each further one.
pub const FIRST_REST: Duration = Duration::from_millis(50);
/// The longest rest.
pub const LONGEST_REST: Duration = Duration::from_millis(500);

/// What a driver is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Turn<Op> {
    /// This process asks this node, now.
    Ask {
        /// Who asks. From now on it is busy.
        process: Process,
        /// Whom.
        node: NodeId,
        /// About what.
        key: Option<Key>,
        /// What.
        op: Op,
    },
    /// Nothing yet. Come again at that time, or when an op has ended, whichever is sooner; without a time, only
    /// then.
    Wait {
        /// Nanoseconds since the start of the run.
        until: Option<u64>,
    },
    /// The phase is over: there is nothing more to ask, and no op is open.
    Done,
}

/// A place for one process after another.
#[derive(Clone, Debug)]
struct Seat {
    process: Process,
    /// Whether its op is open.
    busy: bool,
    /// How often in a row it was not served.
    refusals: u32,
    rests_until: u64,
}

/// The clients of a run: a generator, and the processes that ask what it says.
///
/// The law: whoever asks is free and rested; no process asks again after an op of which nobody knows how it
/// ended; and seat s only ever holds processes that are s modulo the number of seats.
#[derive(Clone, Debug)]
pub struct Seats<G> {
    generator: G,
    nodes: Vec<NodeId>,
    rows: Vec<Seat>,
    /// Whether there is nothing more to ask in this phase.
    closed: bool,
}

impl<G: Generator> Seats<G> {
    /// So many seats, whose processes talk to these nodes: at least one of each.
    pub fn new(concurrency: usize, nodes: Vec<NodeId>, generator: G) -> Seats<G> {
        assert!(concurrency > 0 && !nodes.is_empty(), "somebody asks somebody");
        let seat = |number| Seat { process: Process(number), busy: false, refusals: 0, rests_until: 0 };
        Seats { generator, nodes, rows: (0..concurrency as u64).map(seat).collect(), closed: false }
    }

    /// What to do now, in nanoseconds since the start of the run.
    pub fn next(&mut self, now: u64) -> Turn<G::Op> {
        if self.closed {
            return if self.idle() { Turn::Done } else { Turn::Wait { until: None } };
        }
        let free = self.rows.iter().filter(|seat| !seat.busy && seat.rests_until <= now);
        let mut free: Vec<Process> = free.map(|seat| seat.process).collect();
        free.sort_unstable();
        match self.generator.next(Now { time: now, free: &free }) {
            Next::Invoke { process, key, op } => {
                assert!(free.contains(&process), "a generator gives work only to those who are free");
                self.seat(process).busy = true;
                Turn::Ask { process, node: self.node_of(process), key, op }
            }
            Next::Wait { until } => {
                let resting = self.rows.iter().filter(|seat| !seat.busy && seat.rests_until > now);
                Turn::Wait { until: resting.map(|seat| seat.rests_until).chain(until).min() }
            }
            Next::Done => {
                self.close();
                self.next(now)
            }
        }
    }

    /// A line of the history: an invocation of what was asked, or how it ended.
    pub fn observe(&mut self, seen: &Observation<G::Op, G::Ret>) {
        let served = match seen.kind {
            Kind::Invoke(_) => None,
            Kind::Ok(_) => Some(true),
            Kind::Fail(_) | Kind::Info(_) => Some(false),
        };
        if let Some(served) = served {
            let retired = matches!(seen.kind, Kind::Info(_));
            let concurrency = self.rows.len() as u64;
            let seat = self.seat(seen.process);
            assert!(seat.busy, "{:?} has nothing open that could end", seen.process);
            seat.busy = false;
            seat.refusals = if served { 0 } else { seat.refusals + 1 };
            seat.rests_until = seen.time.saturating_add(rest(seat.refusals));
            if retired {
                seat.process = Process(seen.process.0 + concurrency);
            }
        }
        self.generator.observe(seen);
    }

    /// The time is up: nothing more is asked in this phase, and what is open may end.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// The faults are healed and no op is open: from now on, only the final reads.
    pub fn conclude(&mut self) {
        assert!(self.idle(), "what is open ends first");
        self.closed = false;
        self.generator.conclude();
    }

    /// From now on clients talk to these nodes.
    pub fn talk_to(&mut self, nodes: Vec<NodeId>) {
        assert!(!nodes.is_empty(), "somebody must be talked to");
        self.nodes = nodes;
    }

    /// Which seat a process sits in, or sat.
    pub fn place(&self, process: Process) -> usize {
        let place = process.0 % self.rows.len() as u64;
        usize::try_from(place).expect("there are few seats")
    }

    /// Whom a process talks to.
    pub fn node_of(&self, process: Process) -> NodeId {
        let turn = process.0 % self.nodes.len() as u64;
        self.nodes[usize::try_from(turn).expect("there are few nodes")]
    }

    /// Whether no op is open.
    pub fn idle(&self) -> bool {
        self.rows.iter().all(|seat| !seat.busy)
    }

    /// Who says what is asked.
    pub fn generator(&self) -> &G {
        &self.generator
    }

    fn seat(&mut self, process: Process) -> &mut Seat {
        let place = self.place(process);
        let seat = &mut self.rows[place];
        assert_eq!(seat.process, process, "who was retired neither asks nor hears");
        seat
    }
}

/// None after an answer; then doubling up to the longest. In nanoseconds.
fn rest(refusals: u32) -> u64 {
    let rest = match refusals {
        0 => Duration::ZERO,
        some => FIRST_REST.saturating_mul(1 << (some - 1).min(8)).min(LONGEST_REST),
    };
    u64::try_from(rest.as_nanos()).expect("a rest is short")
}
