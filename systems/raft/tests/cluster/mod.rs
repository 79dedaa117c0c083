//! A cluster in a box: the cores, a disk and a mailbox for each, and the invariants, which must hold
//! after every step. Nothing happens unless a test asks for it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test file uses its part of the box")]

pub mod lives;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use raft::{
    Answer, Config, Diverged, Entry, Envelope, HardState, Input, Invariants, Mono, NodeId, Now, Output,
    Payload, Persist, PersistId, Proposal, Raft, Request, RequestId, Restored, Role, SessionId, Suffix,
    Timer, Violation, Voters, Wall,
};

/// One node: its core while it runs, and what survives a crash.
pub struct Node {
    pub raft: Option<Raft>,
    pub hard: HardState,
    pub log: Vec<Entry>,
    /// Handed over, not yet on disk.
    writing: VecDeque<Persist>,
    /// Held back until that write is on disk.
    held: VecDeque<(PersistId, Envelope)>,
    last_write: PersistId,
    pub applied: Vec<Entry>,
}

/// The whole cluster, its network included.
pub struct Cluster {
    pub nodes: BTreeMap<NodeId, Node>,
    pub mail: VecDeque<Envelope>,
    /// Directed links on which nothing passes.
    pub cut: BTreeSet<(NodeId, NodeId)>,
    /// What meets a cut link waits for its mending instead of being lost.
    pub holds: bool,
    pub now: Now,
    pub answers: Vec<(NodeId, Answer)>,
    /// What was sent since the last look, as text, if somebody reads it.
    pub sent: Option<Vec<String>>,
    /// Writes stay under way until `complete` is called.
    pub slow_disks: bool,
    /// Goes on after a broken property, so that a story with a bug can be told to its end.
    pub tolerant: bool,
    /// The first property that did not hold. What comes after it is not judged.
    pub violation: Option<Violation>,
    /// The first node that was fenced.
    pub halted: Option<(NodeId, Diverged)>,
    invariants: Invariants,
    adjust: Box<dyn Fn(&mut Config)>,
    next_request: u64,
}

impl Cluster {
    pub fn new(count: u16, adjust: impl Fn(&mut Config) + 'static) -> Cluster {
        let ids = (1..=count).map(NodeId);
        let mut cluster = Cluster {
            nodes: ids
                .clone()
                .map(|id| {
                    let node = Node {
                        raft: None,
                        hard: HardState::default(),
                        log: Vec::new(),
                        writing: VecDeque::new(),
                        held: VecDeque::new(),
                        last_write: PersistId(0),
                        applied: Vec::new(),
                    };
                    (id, node)
                })
                .collect(),
            mail: VecDeque::new(),
            cut: BTreeSet::new(),
            holds: false,
            now: Now { mono: Mono(1), wall: Wall(1) },
            answers: Vec::new(),
            sent: None,
            slow_disks: false,
            tolerant: false,
            violation: None,
            halted: None,
            invariants: Invariants::new(Voters::new(ids.clone())),
            adjust: Box::new(adjust),
            next_request: 0,
        };
        for id in ids {
            cluster.start(id);
        }
        cluster
    }

    /// Starts a node with what its disk has.
    pub fn start(&mut self, id: NodeId) {
        let voters = Voters::new(self.nodes.keys().copied());
        let mut config = Config::new(id, voters);
        (self.adjust)(&mut config);
        let node = self.nodes.get_mut(&id).unwrap();
        let log = Suffix::new(raft::EntryId::default(), node.log.clone()).expect("a disk holds a log");
        let restored = Restored { hard: node.hard, log };
        let mut out = Output::default();
        let raft = node.raft.insert(Raft::restart(config, restored, self.now, &mut out));
        let verdict = self.invariants.restarted(raft);
        self.judge(verdict);
        self.perform(id, out);
    }

    /// Ends a node: what was not on disk is gone.
    pub fn crash(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).unwrap();
        node.raft = None;
        node.writing.clear();
        node.held.clear();
        node.last_write = PersistId(0);
        node.applied.clear();
    }

    pub fn advance(&mut self, by: Duration) {
        self.now.mono = self.now.mono.after(by);
        self.now.wall = Wall(self.now.wall.0 + u64::try_from(by.as_nanos()).unwrap());
    }

    pub fn step(&mut self, id: NodeId, input: Input) {
        let Some(raft) = &mut self.nodes.get_mut(&id).unwrap().raft else { return };
        let mut out = Output::default();
        if let Input::Read(reads) = &input {
            for read in reads {
                self.invariants.asked(*read);
            }
        }
        raft.step(self.now, input, &mut out);
        let verdict = self.invariants.observe(raft);
        self.judge(verdict);
        self.perform(id, out);
    }

    fn judge(&mut self, verdict: Result<(), Violation>) {
        if let Err(violation) = verdict {
            assert!(self.tolerant, "against {}: {violation}", violation.property());
            self.violation.get_or_insert(violation);
        }
    }

    /// A message leaves its node.
    fn send(&mut self, envelope: Envelope) {
        let verdict = self.invariants.sent(&envelope);
        self.judge(verdict);
        if let Some(sent) = &mut self.sent {
            sent.push(envelope.to_string());
        }
        self.mail.push_back(envelope);
    }

    pub fn timeout(&mut self, id: NodeId, timer: Timer) {
        self.step(id, Input::Timeout(timer));
    }

    /// Asks a node to have a command in the log.
    pub fn propose(&mut self, id: NodeId, command: &str) -> RequestId {
        let request = self.request();
        let payload = Payload::Command(command.to_owned().into_bytes().into());
        let proposal = Proposal { request: Request { id: request, floor: 0 }, payload };
        self.step(id, Input::Propose(vec![proposal]));
        request
    }

    /// Asks a node to read.
    pub fn read(&mut self, id: NodeId) -> RequestId {
        let request = self.request();
        self.step(id, Input::Read(vec![request]));
        request
    }

    fn request(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId { session: SessionId(1), seq: self.next_request }
    }

    /// Hands over one message, unless its link is cut.
    pub fn deliver(&mut self, envelope: Envelope) {
        if !self.cut.contains(&(envelope.from, envelope.to)) {
            self.step(envelope.to, Input::Receive(envelope));
        } else if self.holds {
            self.mail.push_back(envelope);
        }
    }

    /// Delivers until nothing is under way.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            let Some(envelope) = self.mail.pop_front() else { return };
            self.deliver(envelope);
        }
        panic!("the cluster never falls silent");
    }

    pub fn isolate(&mut self, id: NodeId) {
        let others: Vec<NodeId> = self.nodes.keys().copied().filter(|other| *other != id).collect();
        for other in others {
            self.cut.insert((id, other));
            self.cut.insert((other, id));
        }
    }

    /// Completes the oldest write of a node.
    pub fn complete(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).unwrap();
        let Some(write) = node.writing.pop_front() else { return };
        if let Some(hard) = write.hard {
            node.hard = hard;
        }
        if let Some(suffix) = write.suffix {
            let keep = usize::try_from(suffix.after().index.0).unwrap();
            assert!(keep <= node.log.len(), "a write continues what is on disk");
            node.log.truncate(keep);
            node.log.extend(suffix.into_entries());
        }
        let ready = node.held.iter().take_while(|(needs, _)| *needs <= write.id).count();
        let ready: Vec<_> = node.held.drain(..ready).collect();
        for (_, envelope) in ready {
            self.send(envelope);
        }
        self.step(id, Input::Persisted(write.id));
    }

    fn perform(&mut self, id: NodeId, out: Output) {
        if let Some(why) = &out.halt {
            assert!(self.tolerant, "{id} was fenced: {why}");
            self.sent.get_or_insert_default().push(format!("{id} halts: {why}"));
            self.halted.get_or_insert((id, why.clone()));
            self.crash(id);
            return;
        }
        for envelope in out.send_now {
            self.send(envelope);
        }
        let node = self.nodes.get_mut(&id).unwrap();
        for write in out.persist {
            assert!(write.id > node.last_write, "writes are numbered in order");
            node.last_write = write.id;
            node.writing.push_back(write);
        }
        if node.writing.is_empty() {
            for envelope in out.send_after {
                self.send(envelope);
            }
        } else {
            let needs = node.last_write;
            node.held.extend(out.send_after.into_iter().map(|envelope| (needs, envelope)));
        }
        for entry in out.apply {
            let verdict = self.invariants.applied(id, &entry);
            self.judge(verdict);
            self.nodes.get_mut(&id).unwrap().applied.push(entry);
        }
        for answer in out.answer {
            let verdict = self.invariants.answered(id, &answer);
            self.judge(verdict);
            self.answers.push((id, answer));
        }
        while !self.slow_disks && !self.nodes[&id].writing.is_empty() {
            self.complete(id);
        }
    }

    pub fn display(&self, id: NodeId) -> String {
        self.nodes[&id].raft.as_ref().map_or_else(|| format!("{id} down"), Raft::to_string)
    }

    /// The leader of the greatest term, if a running node leads.
    pub fn leader(&self) -> Option<NodeId> {
        let leaders = self.nodes.values().filter_map(|node| node.raft.as_ref());
        leaders.filter(|raft| raft.role() == Role::Leader).max_by_key(|raft| raft.term()).map(Raft::id)
    }

    pub fn writing(&self, id: NodeId) -> usize {
        self.nodes[&id].writing.len()
    }
}
