//! The clients: who asks what is decided by a generator, as in a run against real processes.
//!
//! A process has at most one op open. If nobody knows how it ended, the process is retired, and the next one
//! in its seat has the old number plus the concurrency; process p talks to node p mod n, where n is the number
//! of nodes, or of those that clients crowd to in this life. An op that is not
//! answered within [`PATIENCE`] has ended for its client, whatever becomes of it. A process that was refused
//! rests, longer each time.
//!
//! A call reaches a node that lives, even one that stands still: it then waits in that node's queue. Where
//! nobody listens it is refused, and certainly did nothing. When a node's process ends, its clients learn it a
//! moment later, when what was already under way to them has arrived.

use std::collections::BTreeMap;
use std::hash::Hash;

use history::{History, Key, Kind, Line, NemesisOp, Observation, Outcome, Pairing, Process};
use nemesis::{NodeId, Nodes};
use raft::StateMachine;
use replica::CallId;
use serde::Serialize;
use workload::{Generator, Next, Now};

use crate::asking::{Asked, Asking, Nonsense};
use crate::world::World;

/// How long a client waits for an answer, in nanoseconds.
pub(crate) const PATIENCE: u64 = 1_000_000_000;
/// The rest after a first refusal, in nanoseconds; it doubles with each further one.
const FIRST_REST: u64 = 50_000_000;
/// The longest rest.
const LONGEST_REST: u64 = 500_000_000;

/// How ops ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counts {
    /// They happened.
    pub ok: u64,
    /// They certainly did not.
    pub fail: u64,
    /// Nobody knows.
    pub info: u64,
}

impl Counts {
    /// All that ended.
    pub fn all(&self) -> u64 {
        self.ok + self.fail + self.info
    }
}

/// How far clients have come at a moment, as seen from some nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Moment {
    /// Ops that were invoked so far.
    pub(crate) invoked: u64,
    /// Ops that are open.
    pub(crate) open: u64,
    /// Those of them that were asked of these nodes.
    pub(crate) open_here: u64,
    /// Ops that were asked of these nodes, and that nobody will ever know the end of.
    pub(crate) lost_here: u64,
}

struct Seat<W: Asking> {
    process: Process,
    open: Option<Open<W>>,
    refusals: u32,
    rests_until: u64,
}

struct Open<W: Asking> {
    call: CallId,
    op: W::Op,
    key: Option<Key>,
    state: W::Open,
}

/// All clients of a life, and what they saw.
pub(crate) struct Clients<W: Asking> {
    workload: W,
    /// The nodes they talk to.
    crowd: Vec<NodeId>,
    seats: Vec<Seat<W>>,
    /// Whose call it is.
    calls: BTreeMap<CallId, usize>,
    last_call: u64,
    /// Time 0 of the history, on the world's clock.
    start: u64,
    lines: Vec<Line<W::Op, W::Ret>>,
    counts: Counts,
    invoked: u64,
    /// How many ops ended `info`, by the node they were asked of.
    lost: Vec<u64>,
    nonsense: Option<String>,
}

/// What handing out came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Given {
    /// The generator has nothing more to ask.
    Done,
    /// Ask again at that time, if nothing happens before.
    Until(Option<u64>),
}

impl<W: Asking> Clients<W> {
    pub(crate) fn new(workload: W, nodes: u16, crowd: u16, concurrency: usize, start: u64) -> Clients<W> {
        let seats = (0..concurrency as u64).map(|number| Seat {
            process: Process(number),
            open: None,
            refusals: 0,
            rests_until: 0,
        });
        Clients {
            workload,
            crowd: (1..=crowd.min(nodes)).map(NodeId).collect(),
            seats: seats.collect(),
            calls: BTreeMap::new(),
            last_call: 0,
            start,
            lines: Vec::new(),
            counts: Counts::default(),
            invoked: 0,
            lost: vec![0; usize::from(nodes)],
            nonsense: None,
        }
    }

    /// Gives work to the free until there is none of either.
    pub(crate) fn hand_out<M>(
        &mut self,
        world: &mut World<M>,
        generator: &mut dyn Generator<Op = W::Op, Ret = W::Ret>,
    ) -> Given
    where
        M: StateMachine<Query = kv::Query, Reply = kv::Reply>,
    {
        loop {
            let time = world.now - self.start;
            let free = |seat: &&Seat<W>| seat.open.is_none() && seat.rests_until <= world.now;
            let mut free: Vec<Process> = self.seats.iter().filter(free).map(|seat| seat.process).collect();
            free.sort_unstable();
            match generator.next(Now { time, free: &free }) {
                Next::Done => return Given::Done,
                Next::Invoke { process, key, op } => self.begin(world, generator, process, key, op),
                Next::Wait { until } => {
                    let resting = self.seats.iter().filter(|seat| seat.open.is_none());
                    let rested = resting.map(|seat| seat.rests_until).filter(|until| *until > world.now);
                    let wake = until.map(|time| time + self.start).into_iter().chain(rested).min();
                    return Given::Until(wake);
                }
            }
        }
    }

    fn begin<M>(
        &mut self,
        world: &mut World<M>,
        generator: &mut dyn Generator<Op = W::Op, Ret = W::Ret>,
        process: Process,
        key: Option<Key>,
        op: W::Op,
    ) where
        M: StateMachine<Query = kv::Query, Reply = kv::Reply>,
    {
        let seat = self.seats.iter().position(|seat| seat.process == process && seat.open.is_none());
        let seat = seat.expect("a generator gives work only to those who are free");
        let seen = self.line(world.now, process, key.clone(), Kind::Invoke(op.clone()));
        world.tell(|| {
            format!("process {} asks {:?} of {}", process.0, op, key.as_ref().map_or("", Key::as_str))
        });
        generator.observe(&seen);
        self.invoked += 1;
        let (call, state) = self.workload.begin(&op, key.as_ref());
        let id = self.send(world, seat, call);
        self.seats[seat].open = Some(Open { call: id, op, key, state });
        world.wake_at(world.now + PATIENCE, Alarm::Patience(id).name());
    }

    fn send<M>(&mut self, world: &mut World<M>, seat: usize, call: crate::asking::Call) -> CallId
    where
        M: StateMachine<Query = kv::Query, Reply = kv::Reply>,
    {
        self.last_call += 1;
        let id = CallId(self.last_call);
        self.calls.insert(id, seat);
        world.call(raft::NodeId(self.node(self.seats[seat].process).0), id, call);
        id
    }

    /// A call's outcome has arrived. If its client still waits for it, that may end the op.
    pub(crate) fn answer<M>(
        &mut self,
        world: &mut World<M>,
        generator: &mut dyn Generator<Op = W::Op, Ret = W::Ret>,
        call: CallId,
        outcome: replica::Outcome<kv::Reply>,
    ) where
        M: StateMachine<Query = kv::Query, Reply = kv::Reply>,
    {
        let Some((seat, open)) = self.take(call) else { return };
        let Open { op, key, state, .. } = open;
        match self.workload.answered(&op, key.as_ref(), state, outcome) {
            Ok(Asked::Over(outcome)) => self.end(world, generator, seat, outcome),
            Ok(Asked::Again(next, state)) => {
                let call = self.send(world, seat, next);
                world.wake_at(world.now + PATIENCE, Alarm::Patience(call).name());
                self.seats[seat].open = Some(Open { call, op, key, state });
            }
            Err(Nonsense(said)) => {
                let node = self.node(self.seats[seat].process);
                self.nonsense.get_or_insert_with(|| format!("{node} answered {op:?} with {said}"));
                self.end(world, generator, seat, Outcome::Info(format!("answered with {said}")));
            }
        }
    }

    /// Nobody listened where the call went.
    pub(crate) fn refused<M: StateMachine<Reply: Hash>>(
        &mut self,
        world: &mut World<M>,
        generator: &mut dyn Generator<Op = W::Op, Ret = W::Ret>,
        call: CallId,
    ) {
        if let Some((seat, _)) = self.take(call) {
            self.end(world, generator, seat, Outcome::Fail("connection refused".into()));
        }
    }

    /// A call has waited too long.
    pub(crate) fn out_of_patience<M: StateMachine<Reply: Hash>>(
        &mut self,
        world: &mut World<M>,
        generator: &mut dyn Generator<Op = W::Op, Ret = W::Ret>,
        call: CallId,
    ) {
        self.give_up(world, generator, call, "no answer within 1s");
    }

    /// The connections to a node broke whose process has ended.
    pub(crate) fn disconnected<M: StateMachine<Reply: Hash>>(
        &mut self,
        world: &mut World<M>,
        generator: &mut dyn Generator<Op = W::Op, Ret = W::Ret>,
        node: NodeId,
    ) {
        let theirs = self.seats.iter().filter(|seat| self.node(seat.process) == node);
        let theirs = theirs.filter_map(|seat| seat.open.as_ref()).map(|open| open.call);
        for call in theirs.collect::<Vec<_>>() {
            self.give_up(world, generator, call, "the connection broke");
        }
    }

    fn give_up<M: StateMachine<Reply: Hash>>(
        &mut self,
        world: &mut World<M>,
        generator: &mut dyn Generator<Op = W::Op, Ret = W::Ret>,
        call: CallId,
        why: &str,
    ) {
        if let Some((seat, open)) = self.take(call) {
            let outcome = self.workload.unanswered(&open.op, &open.state, why.into());
            self.end(world, generator, seat, outcome);
        }
    }

    fn end<M: StateMachine<Reply: Hash>>(
        &mut self,
        world: &mut World<M>,
        generator: &mut dyn Generator<Op = W::Op, Ret = W::Ret>,
        seat: usize,
        outcome: Outcome<W::Ret>,
    ) {
        let concurrency = self.seats.len() as u64;
        let process = self.seats[seat].process;
        world.tell(|| format!("process {} hears {outcome:?}", process.0));
        match &outcome {
            Outcome::Ok(_) => self.counts.ok += 1,
            Outcome::Fail(_) => self.counts.fail += 1,
            Outcome::Info(_) => self.counts.info += 1,
        }
        let happy = matches!(outcome, Outcome::Ok(_));
        let retired = matches!(outcome, Outcome::Info(_));
        let node = self.node(process);
        let seen = self.line(world.now, process, None, outcome.into());
        if retired {
            self.lost[usize::from(node.0) - 1] += 1;
        }
        let seat = &mut self.seats[seat];
        seat.refusals = if happy { 0 } else { seat.refusals + 1 };
        seat.rests_until = world.now + rest(seat.refusals);
        if retired {
            seat.process = Process(process.0 + concurrency);
        }
        generator.observe(&seen);
    }

    fn take(&mut self, call: CallId) -> Option<(usize, Open<W>)> {
        let seat = self.calls.remove(&call)?;
        let open = self.seats[seat].open.take_if(|open| open.call == call)?;
        Some((seat, open))
    }

    /// Whom a process talks to.
    fn node(&self, process: Process) -> NodeId {
        let turn = process.0 % self.crowd.len() as u64;
        self.crowd[usize::try_from(turn).expect("there are few nodes")]
    }

    fn line(
        &mut self,
        now: u64,
        process: Process,
        key: Option<Key>,
        kind: Kind<W::Op, W::Ret>,
    ) -> Observation<W::Op, W::Ret> {
        let node = Some(history::NodeId(self.node(process).0));
        let (index, time) = (self.lines.len() as u64, now - self.start);
        let seen = Observation { index, time, process, node, key, kind };
        self.lines.push(Line::Client(seen.clone()));
        seen
    }

    /// A line of the nemesis.
    pub(crate) fn nemesis(&mut self, now: u64, f: &str, value: serde_json::Value) {
        let (index, time) = (self.lines.len() as u64, now - self.start);
        let op = NemesisOp { index, time, f: f.to_owned(), value, error: None };
        self.lines.push(Line::Nemesis(op));
    }

    /// From now on clients talk to these nodes, wherever they crowded before: those may be down for good.
    pub(crate) fn disperse(&mut self, nodes: Vec<NodeId>) {
        if !nodes.is_empty() {
            self.crowd = nodes;
        }
    }

    /// Whether no op is open.
    pub(crate) fn idle(&self) -> bool {
        self.seats.iter().all(|seat| seat.open.is_none())
    }

    /// How ops ended so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// How many ops were invoked so far.
    pub(crate) fn invoked(&self) -> u64 {
        self.invoked
    }

    /// An answer that can never be one, if there was one.
    pub(crate) fn nonsense(&self) -> Option<&str> {
        self.nonsense.as_deref()
    }

    /// How far clients have come, as seen from these nodes.
    pub(crate) fn moment(&self, nodes: &Nodes) -> Moment {
        let open = self.seats.iter().filter(|seat| seat.open.is_some());
        let here = open.clone().filter(|seat| nodes.contains(&self.node(seat.process)));
        Moment {
            invoked: self.invoked,
            open: open.count() as u64,
            open_here: here.count() as u64,
            lost_here: nodes.iter().map(|node| self.lost[usize::from(node.0) - 1]).sum(),
        }
    }

    /// What they saw so far, line by line.
    pub(crate) fn lines(&self) -> &[Line<W::Op, W::Ret>] {
        &self.lines
    }

    /// What they saw, line by line.
    pub(crate) fn into_lines(self) -> Vec<Line<W::Op, W::Ret>> {
        self.lines
    }
}

/// The lines as a history.
pub(crate) fn paired<Op: Clone, Ret: Clone>(lines: &[Line<Op, Ret>]) -> History<Op, Ret> {
    let mut pairing = Pairing::default();
    lines.iter().cloned().for_each(|line| pairing.push(line));
    pairing.finish()
}

/// What the drivers of a life want to be woken for, as the name of an alarm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Alarm {
    /// Something may be done now.
    Look,
    /// This call has waited long enough.
    Patience(CallId),
    /// The connections to this node break.
    Broken(NodeId),
}

impl Alarm {
    const KIND: u64 = 1 << 62;

    /// As a number, since the world knows nothing of clients.
    pub(crate) fn name(self) -> u64 {
        match self {
            Alarm::Look => 0,
            Alarm::Patience(call) => Alarm::KIND | call.0,
            Alarm::Broken(node) => (2 * Alarm::KIND) | u64::from(node.0),
        }
    }

    /// The alarm of that name.
    pub(crate) fn named(name: u64) -> Alarm {
        let number = name & (Alarm::KIND - 1);
        match name / Alarm::KIND {
            1 => Alarm::Patience(CallId(number)),
            2 => Alarm::Broken(NodeId(u16::try_from(number).expect("a node's number is small"))),
            _ => Alarm::Look,
        }
    }
}

/// None after a success; then doubling up to the longest.
fn rest(refusals: u32) -> u64 {
    match refusals {
        0 => 0,
        some => (FIRST_REST << (some - 1).min(8)).min(LONGEST_REST),
    }
}
