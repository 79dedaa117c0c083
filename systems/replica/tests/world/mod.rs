//! A world of three replicas whose clients' history is written down and judged, and whose cores are held
//! against the invariants.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses its part of the world"
)]

pub(crate) mod lives;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use raft::machine::Unreadable;
use raft::{
    Bug, Bugs, Command, Entry, Envelope, Invariants, Membership, Mono, NodeId, Now, RequestId, SessionId,
    StateMachine, Violation, Wall,
};
use replica::{Call, CallId, Config, Effects, Event, Outcome, Replica, Timer, Unknown, Wait};
use wal::{Identity, MemoryDisk};

const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// The node of this number, taken modulo what there is.
pub(crate) fn node(number: usize) -> NodeId {
    NODES[number % NODES.len()]
}

/// Remembers all lines in order. A write is answered with its line's place, counted from 1; a query with
/// how many lines there are.
#[derive(Default)]
struct Journal(Vec<u64>);

impl StateMachine for Journal {
    type Query = ();
    type Reply = usize;
    type Frozen = std::vec::IntoIter<Bytes>;

    fn apply(&mut self, _: &Entry, command: &Command) -> usize {
        self.0.push(u64::from_le_bytes(command[..].try_into().unwrap()));
        self.0.len()
    }

    fn membership(&mut self, _: &Entry, _: &Membership) -> usize {
        self.0.len()
    }

    fn query(&self, (): &()) -> usize {
        self.0.len()
    }

    fn freeze(&self) -> std::vec::IntoIter<Bytes> {
        let pieces: Vec<Bytes> = self
            .0
            .chunks(3)
            .map(|lines| lines.iter().flat_map(|line| line.to_le_bytes()).collect())
            .collect();
        pieces.into_iter()
    }

    fn restore(&mut self, pieces: &mut dyn Iterator<Item = Bytes>) -> Result<(), Unreadable> {
        let lines = pieces.flat_map(|piece| {
            piece.chunks(8).map(|line| u64::from_le_bytes(line.try_into().unwrap())).collect::<Vec<_>>()
        });
        self.0 = lines.collect();
        Ok(())
    }

    fn encode_reply(reply: &usize, out: &mut Vec<u8>) {
        out.extend(reply.to_le_bytes());
    }

    fn decode_reply(from: &mut Bytes) -> Result<usize, Unreadable> {
        Ok(usize::from_le_bytes(from.split_to(8)[..].try_into().unwrap()))
    }
}

struct Node {
    replica: Replica<Journal, MemoryDisk>,
    timers: BTreeMap<Timer, Mono>,
    /// How many of its lines were compared with the truth.
    compared: usize,
    /// Events gather without a flush: their effects are still owed.
    gathering: Option<Effects<usize>>,
}

/// A call that was made, and how much was known to its client then.
#[derive(Clone, Copy)]
struct Asked {
    node: NodeId,
    line: Option<u64>,
    /// The client that has a name for it, and may have asked before.
    client: Option<usize>,
    known: usize,
}

/// A client that names its requests. It repeats one until it has an answer that it can live with.
#[derive(Default)]
struct Client {
    /// How many sessions it has had.
    sessions: u64,
    seq: u64,
    line: u64,
    open: bool,
}

pub(crate) struct World {
    nodes: BTreeMap<NodeId, Node>,
    disks: BTreeMap<NodeId, MemoryDisk>,
    mail: VecDeque<Envelope>,
    /// What was sent lately, delivered or not.
    sent: VecDeque<Envelope>,
    cut: BTreeSet<(NodeId, NodeId)>,
    now: Now,
    clients: Vec<Client>,
    calls: u64,
    lines: u64,
    boots: u64,
    open: BTreeMap<CallId, Asked>,
    done: BTreeSet<CallId>,
    /// The lines in their order, as the first node that executed them has them.
    truth: Vec<u64>,
    /// Lines that were acknowledged, with their places.
    acknowledged: BTreeMap<u64, usize>,
    /// How often each line was asked for without an answer that says that it failed. At 0 it must not be.
    hopes: BTreeMap<u64, usize>,
    /// How many lines some client has been told of.
    known: usize,
    forgotten: Option<Timer>,
    draw: u64,
    bugs: Bugs,
    /// After how many entries a snapshot is taken.
    every: u64,
    /// How each timer was armed last.
    pub(crate) waits: BTreeMap<Timer, Wait>,
    /// What the cores must not do. Without it only what clients see is judged.
    pub(crate) invariants: Option<Invariants>,
}

impl World {
    pub(crate) fn new() -> World {
        World::with(None)
    }

    /// A world in which everybody makes this mistake.
    pub(crate) fn with(bug: Option<Bug>) -> World {
        World::with_snapshots(bug, u64::MAX)
    }

    /// A world in which everybody makes this mistake, and takes a snapshot after so many entries.
    pub(crate) fn with_snapshots(bug: Option<Bug>, every: u64) -> World {
        let mut world = World {
            nodes: BTreeMap::new(),
            disks: NODES.map(|id| (id, MemoryDisk::new())).into(),
            mail: VecDeque::new(),
            sent: VecDeque::new(),
            cut: BTreeSet::new(),
            now: Now { mono: Mono(0), wall: Wall(1) },
            clients: (0..3).map(|_| Client::default()).collect(),
            calls: 0,
            lines: 0,
            boots: 0,
            open: BTreeMap::new(),
            done: BTreeSet::new(),
            truth: Vec::new(),
            acknowledged: BTreeMap::new(),
            hopes: BTreeMap::new(),
            known: 0,
            forgotten: None,
            draw: 1,
            waits: BTreeMap::new(),
            bugs: bug.map_or(Bugs::none(), |bug| Bugs::of([bug])),
            every,
            invariants: Some(Invariants::default()),
        };
        for id in NODES {
            world.start(id);
        }
        world
    }

    fn start(&mut self, id: NodeId) {
        self.boots += 1;
        let identity =
            Identity { cluster: "world".into(), name: id.to_string(), node: id, members: Vec::new() };
        let mut config = Config::new(identity, Membership::of(NODES), SessionId(self.boots << 32));
        config.log.segment_size = 2048;
        config.log.zeros_ahead = 256;
        config.bugs = self.bugs;
        config.snapshots = replica::Rule {
            entries: self.every,
            bytes: u64::MAX,
            small: u64::MAX,
            large: u64::MAX,
            piece: 100,
        };
        config.tail = raft::Tail { usual: 2, most: 6 };
        let mut effects = Effects::default();
        let disk = self.disks[&id].clone();
        let opened = Replica::open(config, Journal::default(), disk, self.now, &mut effects);
        let replica = opened.unwrap_or_else(|why| panic!("{id} does not start: {why}"));
        self.hold(|invariants| invariants.restarted(replica.raft()));
        let node = Node { replica, timers: BTreeMap::new(), compared: 0, gathering: None };
        self.nodes.insert(id, node);
        self.carry_out(id, effects);
    }

    /// A dice that needs no seed: what comes depends on how often it was thrown.
    fn throw(&mut self) -> u64 {
        self.draw = self.draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.draw >> 33
    }

    // --- what happens -------------------------------------------------------------------------

    pub(crate) fn deliver(&mut self, at: usize) {
        // Mostly the oldest, so that something gets done; sometimes any.
        let place = if at.is_multiple_of(4) { (at / 4) % self.mail.len().max(1) } else { 0 };
        let Some(envelope) = self.mail.remove(place) else { return };
        if !self.cut.contains(&(envelope.from, envelope.to)) {
            self.step(envelope.to, Event::Peer(envelope));
        }
    }

    pub(crate) fn lose(&mut self, at: usize) {
        self.mail.remove(at % self.mail.len().max(1));
    }

    pub(crate) fn repeat(&mut self, at: usize) {
        let again = self.sent.get(at % self.sent.len().max(1)).cloned();
        self.mail.extend(again);
    }

    pub(crate) fn disk(&mut self, id: NodeId) {
        if let Some((ticket, result)) = self.disks[&id].run_one() {
            self.step(id, Event::Disk(ticket, result));
        }
    }

    /// Time passes until the next timer of this node runs out.
    pub(crate) fn time(&mut self, id: NodeId) {
        let first = self.nodes[&id].timers.iter().min_by_key(|(_, at)| **at).map(|(timer, at)| (*timer, *at));
        let Some((timer, at)) = first else { return };
        self.now.mono = self.now.mono.max(at);
        self.now.wall = Wall(self.now.mono.0);
        self.nodes.get_mut(&id).unwrap().timers.remove(&timer);
        self.step(id, Event::Timer(timer));
    }

    pub(crate) fn write(&mut self, id: NodeId) {
        self.lines += 1;
        let line = self.lines;
        self.call(id, Some(line), None);
    }

    pub(crate) fn ask(&mut self, client: usize, id: NodeId) {
        let known = &mut self.clients[client];
        if !known.open {
            self.lines += 1;
            (known.seq, known.line, known.open) = (known.seq + 1, self.lines, true);
        }
        let session = SessionId(known.sessions * 10 + client as u64 + 1);
        let (request, line) = (RequestId { session, seq: known.seq }, known.line);
        self.call(id, Some(line), Some((client, request)));
    }

    pub(crate) fn read(&mut self, id: NodeId) {
        self.call(id, None, None);
    }

    fn call(&mut self, id: NodeId, line: Option<u64>, named: Option<(usize, RequestId)>) {
        self.calls += 1;
        let name = CallId(self.calls);
        let (client, request) = named.unzip();
        let asked = Asked { node: id, line, client, known: self.known };
        if let Some(line) = line {
            *self.hopes.entry(line).or_default() += 1;
        }
        self.open.insert(name, asked);
        let call = match line {
            Some(line) => Call::Write { request, command: Bytes::copy_from_slice(&line.to_le_bytes()) },
            None => Call::Read(()),
        };
        self.step(id, Event::Call(name, call));
    }

    pub(crate) fn crash(&mut self, id: NodeId, keep: u64) {
        let mut dice = keep | 1;
        self.nodes.remove(&id);
        self.disks[&id].cut_power(|| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            keep != 0 && dice >> 62 != 0
        });
        self.come_back(id);
    }

    pub(crate) fn kill(&mut self, id: NodeId) {
        self.nodes.remove(&id);
        self.disks[&id].kill();
        self.come_back(id);
    }

    fn come_back(&mut self, id: NodeId) {
        self.open.retain(|_, asked| asked.node != id);
        self.start(id);
    }

    pub(crate) fn cut(&mut self, from: NodeId, to: NodeId) {
        self.cut.insert((from, to));
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }

    /// From now on the events of this node gather, until this is called again.
    pub(crate) fn gather(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).unwrap();
        if let Some(effects) = node.gathering.take() {
            self.flush(id, effects);
        } else {
            node.gathering = Some(Effects::default());
        }
    }

    pub(crate) fn lie_about_sync(&mut self) {
        self.disks.values().for_each(MemoryDisk::lie_about_sync);
    }

    pub(crate) fn forget(&mut self, timer: Timer) {
        self.forgotten = Some(timer);
        for node in self.nodes.values_mut() {
            node.timers.remove(&timer);
        }
    }

    // --- driving ------------------------------------------------------------------------------

    fn step(&mut self, id: NodeId, event: Event<()>) {
        let now = self.now;
        let node = self.nodes.get_mut(&id).unwrap();
        if let Some(mut effects) = node.gathering.take() {
            node.replica.step(now, event, &mut effects);
            node.gathering = Some(effects);
            self.observe(id);
        } else {
            let mut effects = Effects::default();
            node.replica.step(now, event, &mut effects);
            self.observe(id);
            self.flush(id, effects);
        }
    }

    fn observe(&mut self, id: NodeId) {
        let raft = self.nodes[&id].replica.raft();
        let verdict = self.invariants.as_mut().map_or(Ok(()), |invariants| invariants.observe(raft));
        World::accept(verdict);
    }

    fn hold(&mut self, law: impl FnOnce(&mut Invariants) -> Result<(), Violation>) {
        World::accept(self.invariants.as_mut().map_or(Ok(()), law));
    }

    fn accept(verdict: Result<(), Violation>) {
        if let Err(violation) = verdict {
            panic!("against {}: {violation}", violation.property());
        }
    }

    fn flush(&mut self, id: NodeId, mut effects: Effects<usize>) {
        let now = self.now;
        self.nodes.get_mut(&id).unwrap().replica.flush(now, &mut effects);
        self.observe(id);
        self.carry_out(id, effects);
    }

    fn carry_out(&mut self, id: NodeId, effects: Effects<usize>) {
        assert!(effects.halt.is_none(), "{id} halts: {:?}", effects.halt);
        for envelope in effects.send {
            self.hold(|invariants| invariants.sent(&envelope));
            self.sent.push_back(envelope.clone());
            self.mail.push_back(envelope);
        }
        while self.sent.len() > 2000 {
            self.sent.pop_front();
        }
        for (timer, wait) in effects.arm {
            self.waits.insert(timer, wait);
            let wait = match wait {
                Wait::Exactly(wait) => wait,
                Wait::Between(least, most) => {
                    let spread = u64::try_from(most.checked_sub(least).unwrap().as_millis()).unwrap();
                    least + Duration::from_millis(self.throw() % spread)
                }
            };
            if self.forgotten != Some(timer) {
                let at = self.now.mono.after(wait);
                self.nodes.get_mut(&id).unwrap().timers.insert(timer, at);
            }
        }
        self.compare(id);
        for (call, outcome) in effects.reply {
            let asked = self.open.remove(&call).expect("a call is answered once");
            self.answer(call, asked, &outcome);
        }
    }

    /// Mends everything, and lets time pass until every node serves again: within seconds, or never.
    pub(crate) fn run_until_served(&mut self) {
        self.heal();
        for id in NODES {
            if let Some(effects) = self.nodes.get_mut(&id).unwrap().gathering.take() {
                self.flush(id, effects);
            }
        }
        for _ in 0..8 {
            self.run(1);
            let before = self.calls;
            for id in NODES {
                self.write(id);
                self.read(id);
            }
            self.run(1);
            let served = self.done.split_off(&CallId(before + 1)).len();
            if served == 2 * NODES.len() {
                // Whoever waited before has had all the patience there is.
                self.run(6);
                assert_eq!(self.open.len(), 0, "some calls are never answered");
                return;
            }
        }
        panic!("a node does not serve, though nothing is broken any more");
    }

    /// Lets everybody work for so many seconds.
    pub(crate) fn run(&mut self, seconds: u64) {
        let end = self.now.mono.after(Duration::from_secs(seconds));
        loop {
            self.settle();
            let timers = |id: &NodeId| self.nodes[id].timers.values().min().copied().unwrap_or(end);
            let first = NODES.into_iter().min_by_key(timers).unwrap();
            if timers(&first) >= end {
                self.now.mono = end;
                return;
            }
            self.time(first);
        }
    }

    fn settle(&mut self) {
        for _ in 0..100_000 {
            let before = self.mail.len();
            self.deliver(1);
            let mut worked = before > 0;
            for id in NODES {
                if let Some((ticket, result)) = self.disks[&id].run_one() {
                    self.step(id, Event::Disk(ticket, result));
                    worked = true;
                }
            }
            if !worked {
                return;
            }
        }
        panic!("the world never falls silent");
    }

    // --- what is right ------------------------------------------------------------------------

    /// All nodes have executed the same lines in the same order, none of them twice.
    fn compare(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).unwrap();
        let lines = &node.replica.machine().0;
        for (place, line) in lines.iter().enumerate().skip(node.compared) {
            if let Some(truth) = self.truth.get(place) {
                assert_eq!(line, truth, "{id} has another line in place {}", place + 1);
            } else {
                assert!(!self.truth.contains(line), "line {line} is executed twice");
                assert_ne!(self.hopes[line], 0, "line {line} is executed, and was said to have failed");
                self.truth.push(*line);
            }
        }
        node.compared = lines.len();
    }

    fn answer(&mut self, call: CallId, asked: Asked, outcome: &Outcome<usize>) {
        match (outcome, asked.line) {
            (Outcome::Done(length), None) => {
                assert!(*length >= asked.known, "a read sees {length} of {} known lines", asked.known);
                self.known = self.known.max(*length);
                self.done.insert(call);
            }
            (Outcome::Done(place), Some(line)) => {
                assert_eq!(
                    self.truth.get(place - 1),
                    Some(&line),
                    "a line is not in the place {place} it was given"
                );
                let first = *self.acknowledged.entry(line).or_insert(*place);
                assert_eq!(first, *place, "a repeated request is answered as the first time");
                assert!(asked.client.is_some() || *place > asked.known, "a write went into the past");
                self.known = self.known.max(*place);
                self.done.insert(call);
            }
            (Outcome::Failed(_), Some(line)) => {
                let hopes = self.hopes.get_mut(&line).unwrap();
                *hopes -= 1;
                let hope = *hopes > 0 || !self.truth.contains(&line);
                assert!(hope, "line {line} was executed, and is said to have failed");
            }
            (Outcome::Unknown(_), Some(_)) | (Outcome::Failed(_), None) => {}
            (Outcome::Unknown(_), None) => panic!("a read has changed nothing: it fails, or does not"),
            (Outcome::Leads(_) | Outcome::Members(_), _) => panic!("that was not the question"),
        }
        if let Some(client) = asked.client.map(|client| &mut self.clients[client])
            && asked.line == Some(client.line)
        {
            match outcome {
                Outcome::Done(_) => client.open = false,
                Outcome::Unknown(Unknown::Forgotten) => {
                    *client = Client { sessions: client.sessions + 1, ..Client::default() };
                }
                // Sometimes it gives up, and goes on with its next request.
                Outcome::Unknown(_) => client.open = call.0.is_multiple_of(2),
                Outcome::Failed(_) | Outcome::Leads(_) | Outcome::Members(_) => {}
            }
        }
    }

    /// What was acknowledged is everywhere.
    pub(crate) fn judge(&self) {
        for (id, node) in &self.nodes {
            let lines = &node.replica.machine().0;
            for (line, place) in &self.acknowledged {
                assert_eq!(lines.get(place - 1), Some(line), "{id} lost line {line} in place {place}");
            }
        }
    }
}
