//! A cluster in a box: the cores, a disk and a mailbox for each, and the invariants, which are asked
//! after every step. Nothing happens unless somebody asks for it.
//!
//! Its disks are as simple as a disk can be: writes reach them one after the other and whole, and what reached
//! them stays. What a real one may do besides is not for the core to survive, but for its log.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::{
    Answer, Change, Checkpoint, Config, Diverged, Entry, EntryId, Envelope, HardState, Input, Invariants,
    Log, Membership, Mono, NodeId, Now, Offer, Output, Persist, PersistId, Proposal, Raft, Request,
    RequestId, Restored, Role, SessionId, Suffix, Timer, Violation, Wall, Wanted,
};

/// One node: its core while it runs, and what survives a crash.
#[derive(Default)]
pub struct Node {
    /// The core, while it runs.
    pub raft: Option<Raft>,
    /// Term and vote, as they are on disk.
    pub hard: HardState,
    /// What the log on disk stands on.
    pub base: Checkpoint,
    /// The log, as it is on disk.
    pub log: Vec<Entry>,
    /// The snapshots on disk, and what had been executed in each.
    pub snapshots: BTreeMap<EntryId, (Checkpoint, Vec<Entry>)>,
    /// A snapshot that it should fetch.
    pub wanted: Option<Offer>,
    /// How far its clock is ahead of the others'.
    ahead: Duration,
    /// Handed over, not yet on disk.
    writing: VecDeque<Persist>,
    /// Held back until that write is on disk.
    held: VecDeque<(PersistId, Envelope)>,
    last_write: PersistId,
    /// What it has executed, by itself or by way of a snapshot.
    pub applied: Vec<Entry>,
}

impl Node {
    /// A blank disk, in a cluster that starts with these members.
    fn blank(membership: Membership) -> Node {
        Node { base: Checkpoint::genesis(membership), ..Node::default() }
    }

    /// What its disk holds, as recovery reads it: the log behind the latest snapshot. A log that does not have the
    /// snapshot's last entry is of an earlier time, and begins anew.
    fn restored(&mut self) -> (Restored, Vec<Entry>) {
        let (base, applied) = match self.snapshots.last_key_value() {
            Some((_, (checkpoint, applied))) => (checkpoint.clone(), applied.clone()),
            None => (self.base.clone(), Vec::new()),
        };
        let whole = Suffix::new(self.base.id, self.log.clone()).expect("a disk holds a log");
        let mut log = Log::new(self.base.clone(), whole).expect("a log continues what it stands on");
        if log.has(base.id) {
            log.compact(base.index());
        } else {
            log.reset(base.clone());
            self.log.clear();
            self.base = base;
        }
        (Restored { hard: self.hard, log }, applied)
    }
}

/// The whole cluster, its network included.
pub struct Cluster {
    /// The nodes, those that are down among them.
    pub nodes: BTreeMap<NodeId, Node>,
    /// What is under way, the oldest first.
    pub mail: VecDeque<Envelope>,
    /// What was handed over last on each link.
    heard: BTreeMap<(NodeId, NodeId), Envelope>,
    /// Directed links on which nothing passes.
    pub cut: BTreeSet<(NodeId, NodeId)>,
    /// What meets a cut link waits for its mending instead of being lost.
    pub holds: bool,
    /// The time, for all of them.
    pub now: Now,
    /// What the cores answered since the last look.
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
    /// So many nodes with blank disks, all of them started. `adjust` has the last word on how they are set up.
    pub fn new(count: u16, adjust: impl Fn(&mut Config) + 'static) -> Cluster {
        let ids = (1..=count).map(NodeId);
        let mut cluster = Cluster {
            nodes: ids.clone().map(|id| (id, Node::blank(Membership::of(ids.clone())))).collect(),
            mail: VecDeque::new(),
            heard: BTreeMap::new(),
            cut: BTreeSet::new(),
            holds: false,
            now: Now { mono: Mono(1), wall: Wall(1) },
            answers: Vec::new(),
            sent: None,
            slow_disks: false,
            tolerant: false,
            violation: None,
            halted: None,
            invariants: Invariants::default(),
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
        let mut config = Config::new(id);
        (self.adjust)(&mut config);
        let now = self.clock(id);
        let node = known(&mut self.nodes, id);
        let (restored, applied) = node.restored();
        node.applied = applied;
        let mut out = Output::default();
        let raft = node.raft.insert(Raft::restart(config, restored, now, &mut out));
        let verdict = self.invariants.restarted(raft);
        self.judge(verdict);
        self.perform(id, out);
    }

    /// Ends a node: what was not on disk is gone.
    pub fn crash(&mut self, id: NodeId) {
        let node = known(&mut self.nodes, id);
        node.raft = None;
        node.writing.clear();
        node.held.clear();
        node.wanted = None;
        node.last_write = PersistId(0);
        node.applied.clear();
    }

    /// A node that belongs to no cluster yet starts with a blank disk; one that has a disk, with that.
    pub fn join(&mut self, id: NodeId) {
        self.nodes.entry(id).or_insert_with(|| Node::blank(Membership::default()));
        self.start(id);
    }

    /// Has a node take a snapshot of what it has executed. It is on disk at once.
    pub fn snapshot(&mut self, id: NodeId) {
        let node = known(&mut self.nodes, id);
        let Some(raft) = &node.raft else { return };
        let Some(checkpoint) = raft.log().checkpoint(raft.applied()) else { return };
        let index = checkpoint.index();
        if node.applied.len() as u64 == index.0 {
            node.snapshots.insert(checkpoint.id, (checkpoint, node.applied.clone()));
        }
        self.step(id, Input::Snapshotted(index));
        self.drop_prefix(id);
    }

    /// The disk keeps no more of the log than the core does.
    fn drop_prefix(&mut self, id: NodeId) {
        let node = known(&mut self.nodes, id);
        let Some(raft) = &node.raft else { return };
        let base = raft.log().base();
        let on_disk = node.log.iter().any(|entry| entry.id == base.id);
        if node.writing.is_empty() && on_disk {
            node.log.retain(|entry| entry.id.index > base.index());
            node.base = base.clone();
        }
    }

    /// A node fetches the snapshot it was offered, if whoever offered it still runs, is heard, and has it.
    pub fn fetch(&mut self, id: NodeId) {
        let Some(offer) = known(&mut self.nodes, id).wanted.take() else { return };
        let from = &self.nodes[&offer.from];
        let there = from.raft.is_some() && !self.cut.contains(&(offer.from, id));
        let index = offer.checkpoint.index();
        let found = from.snapshots.values().find(|(checkpoint, _)| checkpoint.index() == index);
        let Some((_, executed)) = found.filter(|_| there) else { return };
        let copy = (offer.checkpoint.clone(), executed.clone());
        known(&mut self.nodes, id).snapshots.insert(offer.checkpoint.id, copy);
        self.step(id, Input::Fetched(offer.checkpoint));
    }

    /// Asks a node to change the members.
    pub fn change(&mut self, id: NodeId, changes: Vec<Change>) -> RequestId {
        self.want(id, Wanted::Change(changes))
    }

    /// Asks a node to give the lead away.
    pub fn transfer(&mut self, id: NodeId, to: Option<NodeId>) -> RequestId {
        let request = self.request();
        self.step(id, Input::Transfer { id: request, to });
        request
    }

    /// Lets time pass for one node alone: its clock runs fast.
    pub fn hurry(&mut self, id: NodeId, by: Duration) {
        known(&mut self.nodes, id).ahead += by;
    }

    /// What the clock of a node shows.
    fn clock(&self, id: NodeId) -> Now {
        let ahead = self.nodes[&id].ahead;
        Now { mono: self.now.mono.after(ahead), ..self.now }
    }

    /// Lets time pass.
    pub fn advance(&mut self, by: Duration) {
        self.now.mono = self.now.mono.after(by);
        self.now.wall =
            Wall(self.now.wall.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)));
    }

    /// Gives a node something, if it runs.
    pub fn step(&mut self, id: NodeId, input: Input) {
        let now = self.clock(id);
        let Some(raft) = &mut known(&mut self.nodes, id).raft else { return };
        let mut out = Output::default();
        if let Input::Read(reads) = &input {
            for read in reads {
                self.invariants.asked(*read);
            }
        }
        raft.step(now, input, &mut out);
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

    /// A timer of a node runs out.
    pub fn timeout(&mut self, id: NodeId, timer: Timer) {
        self.step(id, Input::Timeout(timer));
    }

    /// Asks a node to have a command in the log.
    pub fn propose(&mut self, id: NodeId, command: &str) -> RequestId {
        self.want(id, Wanted::Command(command.to_owned().into_bytes().into()))
    }

    fn want(&mut self, id: NodeId, wanted: Wanted) -> RequestId {
        let request = self.request();
        let proposal = Proposal { request: Request { id: request, floor: 0 }, wanted };
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

    /// Hands over one message, unless its link is cut, or nobody is there.
    pub fn deliver(&mut self, envelope: Envelope) {
        if !self.nodes.contains_key(&envelope.to) {
            return;
        }
        if !self.cut.contains(&(envelope.from, envelope.to)) {
            self.heard.insert((envelope.from, envelope.to), envelope.clone());
            self.step(envelope.to, Input::Receive(envelope));
        } else if self.holds {
            self.mail.push_back(envelope);
        }
    }

    /// Delivers until nothing is under way.
    pub fn settle(&mut self) {
        assert!(self.falls_silent(), "the cluster never falls silent");
    }

    /// Delivers until nothing is under way. Not if that never happens.
    pub(super) fn falls_silent(&mut self) -> bool {
        for _ in 0..10_000 {
            let Some(envelope) = self.mail.pop_front() else { return true };
            self.deliver(envelope);
        }
        false
    }

    /// Cuts all links of a node.
    pub fn isolate(&mut self, id: NodeId) {
        let others: Vec<NodeId> = self.nodes.keys().copied().filter(|other| *other != id).collect();
        for other in others {
            self.cut.insert((id, other));
            self.cut.insert((other, id));
        }
    }

    /// What was handed over last on this link.
    pub fn last_heard(&self, from: NodeId, to: NodeId) -> Option<&Envelope> {
        self.heard.get(&(from, to))
    }

    /// Completes the oldest write of a node.
    pub fn complete(&mut self, id: NodeId) {
        self.complete_together(id, 1);
    }

    /// Completes the oldest writes of a node, so many of them with one sync: the core hears of the last.
    pub fn complete_together(&mut self, id: NodeId, count: usize) {
        let Some(last) = self.reach_disk(id, count) else { return };
        let node = known(&mut self.nodes, id);
        let ready = node.held.iter().take_while(|(needs, _)| *needs <= last).count();
        let ready: Vec<_> = node.held.drain(..ready).collect();
        for (_, envelope) in ready {
            self.send(envelope);
        }
        self.step(id, Input::Persisted(last));
    }

    /// How many writes of a node are under way up to this one.
    pub(super) fn writes_upto(&self, id: NodeId, upto: PersistId) -> usize {
        self.nodes[&id].writing.iter().take_while(|write| write.id <= upto).count()
    }

    /// What a node's disk would hold with so many more of its writes: term and vote, and how the log ends.
    pub(super) fn disk_after(&self, id: NodeId, count: usize) -> (HardState, EntryId) {
        let node = &self.nodes[&id];
        let hard = node.writing.iter().take(count).filter_map(|write| write.hard).next_back();
        let log = node.writing.iter().take(count).filter_map(|write| write.suffix.as_ref()).next_back();
        let end = node.log.last().map_or(node.base.id, |entry| entry.id);
        (hard.unwrap_or(node.hard), log.map_or(end, Suffix::last))
    }

    /// So many of the oldest writes of a node reach its disk, and nobody is told. The last of them.
    pub fn reach_disk(&mut self, id: NodeId, count: usize) -> Option<PersistId> {
        let node = known(&mut self.nodes, id);
        let count = count.min(node.writing.len());
        let writes: Vec<Persist> = node.writing.drain(..count).collect();
        let last = writes.last()?.id;
        for write in writes {
            if let Some(base) = write.base {
                node.log.clear();
                node.base = base;
            }
            node.hard = write.hard.unwrap_or(node.hard);
            if let Some(suffix) = write.suffix {
                let behind = suffix.after().index.0 - node.base.index().0;
                let keep = usize::try_from(behind).expect("a log in memory is countable");
                assert!(keep <= node.log.len(), "a write continues what is on disk");
                node.log.truncate(keep);
                node.log.extend(suffix.into_entries());
            }
        }
        Some(last)
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
        let node = known(&mut self.nodes, id);
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
        if let Some(offer) = out.fetch {
            known(&mut self.nodes, id).wanted = Some(offer);
        }
        if let Some(checkpoint) = out.install {
            let node = known(&mut self.nodes, id);
            node.applied.clone_from(&node.snapshots[&checkpoint.id].1);
        }
        for entry in out.apply {
            let verdict = self.invariants.applied(id, &entry);
            self.judge(verdict);
            known(&mut self.nodes, id).applied.push(entry);
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

    /// How a node stands.
    pub fn display(&self, id: NodeId) -> String {
        self.nodes[&id].raft.as_ref().map_or_else(|| format!("{id} down"), Raft::to_string)
    }

    /// The leader of the greatest term, if a running node leads.
    pub fn leader(&self) -> Option<NodeId> {
        let leaders = self.nodes.values().filter_map(|node| node.raft.as_ref());
        leaders.filter(|raft| raft.role() == Role::Leader).max_by_key(|raft| raft.term()).map(Raft::id)
    }

    /// How many writes of a node are under way.
    pub fn writing(&self, id: NodeId) -> usize {
        self.nodes[&id].writing.len()
    }
}

fn known(nodes: &mut BTreeMap<NodeId, Node>, id: NodeId) -> &mut Node {
    nodes.get_mut(&id).expect("a box is asked for the nodes that it has")
}
