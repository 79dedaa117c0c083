//! The clients: who asks whom, who rests and who is retired, [`Seats`] say, as in a run against real processes.
//! Here is what a simulated client does with that: it makes calls, and understands what becomes of them.
//!
//! A call reaches a node that lives, even one that stands still: it then waits in that node's queue. Where
//! nobody listens it is refused, and certainly did nothing. When a node's process ends, its clients learn it a
//! moment later, when what was already under way to them has arrived.
//!
//! In some lives clients have sessions, and ask again what they do not know: [`request`](crate::request) says
//! when. Only the last attempt is listened to, as by a client that has hung up on the node before.

use std::collections::BTreeMap;
use std::time::Duration;

use history::{History, Key, Kind, Line, NemesisOp, Observation, Outcome, Pairing, Process};
use nemesis::{NodeId, Nodes};
use replica::CallId;
use serde::Serialize;
use workload::store::{Asked, Nonsense, unanswered};
use workload::{Generator, PATIENCE, Seats, Turn};

use crate::asking::{Asking, Call, answered, call, changes};
use crate::request::{Heard, PAUSE, Request, SILENCE, Session};
use crate::world::{World, place};

/// The cluster that is asked.
type Cluster = World<kv::Store>;

/// Who decides what is asked.
pub(crate) type Asks<W> =
    Box<dyn Generator<Op = <W as workload::Workload>::Op, Ret = <W as workload::Workload>::Ret>>;

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

/// An op under way.
struct Open<W: Asking> {
    process: Process,
    /// Its name among the ops of a life.
    number: u64,
    op: W::Op,
    key: Option<Key>,
    /// The call under way, and what must be remembered while it is.
    request: Request<kv::Query>,
    state: W::Open,
    /// The last attempt, and whom it was made at.
    call: CallId,
    node: NodeId,
}

/// All clients of a life, and what they saw.
pub(crate) struct Clients<W: Asking> {
    workload: W,
    seats: Seats<Asks<W>>,
    /// By seat.
    open: Vec<Option<Open<W>>>,
    /// By seat, in lives in which clients have sessions.
    sessions: Option<Vec<Session>>,
    /// The nodes they talk to.
    crowd: Vec<NodeId>,
    last_call: u64,
    /// Time 0 of the history, on the world's clock.
    start: u64,
    lines: Vec<Line<W::Op, W::Ret>>,
    counts: Counts,
    invoked: u64,
    /// How many ops ended `info`, by the node they were asked of.
    lost: BTreeMap<NodeId, u64>,
    nonsense: Option<String>,
}

/// What handing out came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Given {
    /// The phase is over.
    Done,
    /// Come again at that time, if nothing happens before.
    Until(Option<u64>),
}

impl<W: Asking> Clients<W> {
    /// So many, who talk to nodes 1 to `crowd`, with sessions or without.
    pub(crate) fn new(
        workload: W,
        asks: Asks<W>,
        crowd: u16,
        concurrency: usize,
        sessions: bool,
    ) -> Clients<W> {
        let session = |number| Session::of(Process(number));
        Clients {
            workload,
            seats: Seats::new(concurrency, (1..=crowd).map(history::NodeId).collect(), asks),
            open: (0..concurrency).map(|_| None).collect(),
            sessions: sessions.then(|| (0..concurrency as u64).map(session).collect()),
            crowd: (1..=crowd).map(NodeId).collect(),
            last_call: 0,
            start: 0,
            lines: Vec::new(),
            counts: Counts::default(),
            invoked: 0,
            lost: BTreeMap::new(),
            nonsense: None,
        }
    }

    /// Time 0 of the history is now.
    pub(crate) fn begin_history(&mut self, now: u64) {
        self.start = now;
    }

    /// Gives work to the free until there is none of either.
    pub(crate) fn hand_out(&mut self, world: &mut Cluster) -> Given {
        loop {
            match self.seats.next(world.now - self.start) {
                Turn::Ask { process, node, key, op } => self.begin(world, process, NodeId(node.0), key, op),
                Turn::Wait { until } => return Given::Until(until.map(|until| self.start + until)),
                Turn::Done => return Given::Done,
            }
        }
    }

    fn begin(&mut self, world: &mut Cluster, process: Process, node: NodeId, key: Option<Key>, op: W::Op) {
        world.tell(|| {
            let of = key.as_ref().map_or_else(String::new, |key| format!(" of {key}"));
            format!("process {} asks {node} {op:?}{of}", process.0)
        });
        self.see(world.now, process, node, key.clone(), Kind::Invoke(op.clone()));
        self.invoked += 1;
        let number = self.invoked;
        world.wake_at(world.now + nanoseconds(PATIENCE), Alarm::Patience(number).name());
        let (request, state) = self.workload.begin(&op, key.as_ref());
        let request = self.named(process, call(request));
        self.attempt(world, Open { process, number, op, key, request, state, call: CallId(0), node });
    }

    /// The call as its process makes it.
    fn named(&mut self, process: Process, mut call: Call) -> Request<kv::Query> {
        let place = self.seats.place(process);
        if let Some(session) = self.sessions.as_mut().map(|sessions| &mut sessions[place]) {
            if !session.belongs_to(process) {
                *session = Session::of(process);
            }
            session.name(&mut call);
        }
        Request::new(call)
    }

    /// Makes the call, once or once more.
    fn attempt(&mut self, world: &mut Cluster, mut open: Open<W>) {
        self.last_call += 1;
        open.call = CallId(self.last_call);
        world.call(place(open.node), open.call, open.request.attempt());
        if open.request.is_named() {
            world.wake_at(world.now + SILENCE, Alarm::Silence(open.call).name());
        }
        let place = self.seats.place(open.process);
        self.open[place] = Some(open);
    }

    /// A client hears of a call. If it still waits for it, that may end the op.
    pub(crate) fn hear(&mut self, world: &mut Cluster, call: CallId, heard: Heard<kv::Reply>) {
        let Some(open) = self.open.iter_mut().flatten().find(|open| open.call == call) else { return };
        if open.request.again(&heard) {
            let node = open.node;
            world.tell(|| format!("process {} hears {heard:?} of {node}, and asks again", open.process.0));
            // Whatever comes of that attempt now, it is nothing to the next.
            self.last_call += 1;
            open.call = CallId(self.last_call);
            world.wake_at(world.now + PAUSE, Alarm::Again(open.call).name());
            return;
        }
        let Some(open) = self.take(call) else { return };
        match heard {
            Heard::Said(outcome) => self.answered(world, open, outcome),
            Heard::Refused => self.end(world, &open, Outcome::Fail("connection refused".into())),
            Heard::Nothing(why) => {
                let outcome = unanswered(changes(open.request.call()), why.into());
                self.end(world, &open, outcome);
            }
        }
    }

    fn answered(&mut self, world: &mut Cluster, open: Open<W>, outcome: replica::Outcome<kv::Reply>) {
        if open.request.is_named() && matches!(outcome, replica::Outcome::Done(_)) {
            world.coverage.answered_again += u64::from(open.request.attempts() > 1);
            let place = self.seats.place(open.process);
            self.sessions.iter_mut().for_each(|sessions| sessions[place].replied());
        }
        let Open { op, key, state, request, .. } = &open;
        let changes = changes(request.call());
        match answered(&self.workload, op, key.as_ref(), state.clone(), changes, outcome) {
            Ok(Asked::Over(outcome)) => self.end(world, &open, outcome),
            Ok(Asked::Again(next, state)) => {
                let request = self.named(open.process, call(next));
                self.attempt(world, Open { request, state, ..open });
            }
            Err(Nonsense(said)) => {
                self.nonsense.get_or_insert_with(|| format!("{} answered {op:?} with {said}", open.node));
                self.end(world, &open, Outcome::Info(format!("answered with {said}")));
            }
        }
    }

    /// The time has come to make a call once more: at the next node.
    pub(crate) fn ask_again(&mut self, world: &mut Cluster, call: CallId) {
        let Some(mut open) = self.take(call) else { return };
        let place = self.crowd.iter().position(|node| *node == open.node).map_or(0, |place| place + 1);
        open.node = self.crowd[place % self.crowd.len()];
        world.tell(|| format!("process {} asks {} again", open.process.0, open.node));
        self.attempt(world, open);
    }

    /// An op has waited too long.
    pub(crate) fn out_of_patience(&mut self, world: &mut Cluster, number: u64) {
        let waits = self.open.iter().flatten().find(|open| open.number == number).map(|open| open.call);
        if let Some(open) = waits.and_then(|call| self.take(call)) {
            let outcome = unanswered(changes(open.request.call()), "no answer within 1s".into());
            self.end(world, &open, outcome);
        }
    }

    /// The connections to a node broke whose process has ended.
    pub(crate) fn disconnected(&mut self, world: &mut Cluster, node: NodeId) {
        let theirs = self.open.iter().flatten().filter(|open| open.node == node).map(|open| open.call);
        for call in theirs.collect::<Vec<_>>() {
            self.hear(world, call, Heard::Nothing("the connection broke"));
        }
    }

    fn end(&mut self, world: &mut Cluster, open: &Open<W>, outcome: Outcome<W::Ret>) {
        world.tell(|| format!("process {} hears {outcome:?}", open.process.0));
        match &outcome {
            Outcome::Ok(_) => self.counts.ok += 1,
            Outcome::Fail(_) => self.counts.fail += 1,
            Outcome::Info(_) => {
                self.counts.info += 1;
                *self.lost.entry(open.node).or_default() += 1;
            }
        }
        let node = NodeId(self.seats.node_of(open.process).0);
        self.see(world.now, open.process, node, None, outcome.into());
    }

    fn take(&mut self, call: CallId) -> Option<Open<W>> {
        let place = self.open.iter().position(|open| open.as_ref().is_some_and(|open| open.call == call))?;
        self.open[place].take()
    }

    /// Writes a line, and tells those who decide what comes next.
    fn see(&mut self, now: u64, process: Process, node: NodeId, key: Option<Key>, kind: Kind<W::Op, W::Ret>) {
        let node = Some(history::NodeId(node.0));
        let (index, time) = (self.lines.len() as u64, now - self.start);
        let seen = Observation { index, time, process, node, key, kind };
        self.seats.observe(&seen);
        self.lines.push(Line::Client(seen));
    }

    /// A line of the nemesis.
    pub(crate) fn nemesis(&mut self, now: u64, f: &str, value: serde_json::Value) {
        let (index, time) = (self.lines.len() as u64, now - self.start);
        let op = NemesisOp { index, time, f: f.to_owned(), value, error: None };
        self.lines.push(Line::Nemesis(op));
    }

    /// From now on there are only final reads, and clients talk to these nodes, wherever they crowded before: those
    /// may be down for good.
    pub(crate) fn conclude(&mut self, nodes: Vec<NodeId>) {
        if !nodes.is_empty() {
            self.seats.talk_to(nodes.iter().map(|node| history::NodeId(node.0)).collect());
            self.crowd = nodes;
        }
        self.seats.conclude();
    }

    /// How many final reads nobody answered.
    pub(crate) fn given_up(&self) -> usize {
        self.seats.generator().given_up()
    }

    /// Whether no op is open.
    pub(crate) fn idle(&self) -> bool {
        self.seats.idle()
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
        let open = self.open.iter().flatten();
        let here = open.clone().filter(|open| nodes.contains(&open.node));
        Moment {
            invoked: self.invoked,
            open: open.count() as u64,
            open_here: here.count() as u64,
            lost_here: nodes.iter().filter_map(|node| self.lost.get(node)).sum(),
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
    /// This op has waited long enough.
    Patience(u64),
    /// This call is not answered for long.
    Silence(CallId),
    /// A call is to be made once more.
    Again(CallId),
    /// The connections to this node break.
    Broken(NodeId),
    /// The operator looks around.
    Operator,
}

impl Alarm {
    const KIND: u64 = 1 << 60;

    /// As a number, since the world knows nothing of clients.
    pub(crate) fn name(self) -> u64 {
        match self {
            Alarm::Look => 0,
            Alarm::Patience(op) => Alarm::KIND | op,
            Alarm::Broken(node) => (2 * Alarm::KIND) | u64::from(node.0),
            Alarm::Silence(call) => (3 * Alarm::KIND) | call.0,
            Alarm::Again(call) => (4 * Alarm::KIND) | call.0,
            Alarm::Operator => 5 * Alarm::KIND,
        }
    }

    /// The alarm of that name.
    pub(crate) fn named(name: u64) -> Alarm {
        let number = name & (Alarm::KIND - 1);
        match name / Alarm::KIND {
            1 => Alarm::Patience(number),
            3 => Alarm::Silence(CallId(number)),
            4 => Alarm::Again(CallId(number)),
            5 => Alarm::Operator,
            2 => Alarm::Broken(NodeId(u16::try_from(number).expect("a node's number is small"))),
            _ => Alarm::Look,
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("clients have no patience for centuries")
}
