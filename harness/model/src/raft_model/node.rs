//! One node: its core, its disk, and who waits for it; and what it does when something happens to it.
//!
//! This is what `replica` is to the core, as small as it can be: it writes what the core wants written,
//! holds back what must wait for the disk, executes what is committed, and tells clients. It asks the shipped
//! [`Raft`] what to do, and knows nothing of elections or logs itself.
//!
//! The disk is a queue: a write is handed over, and done when the checker says so. A crash loses the queue. What
//! the checker need not try is a crash that keeps a part of it: the same disk comes of completing those
//! writes first, and of then delivering nothing of what that set free. One thing cannot be had that way, a
//! write of which only the first half is there, term and vote without the entries; so that is tried.
//!
//! A node that is down does nothing, and so does one that was started and to which nothing happens yet. So a
//! crash and the start after it are one thing here, and nothing is lost by it.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use raft::{
    Answer, Bugs, Checkpoint, Config, Diverged, Entry, Envelope, HardState, Index, Input, Log, Membership,
    NodeId, Now, Output, Payload, Persist, PersistId, Proposal, Raft, Request, RequestId, Restored, Role,
    SessionId, Suffix, Term, Timer, Voters, Wanted,
};

use super::milestone::{Milestone, Milestones};
use crate::ops::Value;

/// How the nodes of a cluster are made.
#[derive(Clone, Debug)]
pub(crate) struct Make {
    pub(crate) voters: Voters,
    pub(crate) append_bytes: usize,
    pub(crate) bugs: Bugs,
    /// A write is done as soon as it is handed over.
    pub(crate) quick_disks: bool,
}

impl Make {
    /// Nobody is loyal for any time at all: time stands still, and every timer may fire at any moment.
    fn config(&self, id: NodeId) -> Config {
        let mut config = Config::new(id);
        config.election_min = Duration::ZERO;
        config.append_bytes = self.append_bytes;
        config.bugs = self.bugs;
        config
    }
}

/// What survives a crash.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Disk {
    hard: HardState,
    /// What the log stands on; the beginning, as long as nobody takes snapshots.
    base: Checkpoint,
    log: Vec<Entry>,
}

impl Disk {
    fn write(&mut self, write: &Persist) {
        if let Some(base) = &write.base {
            self.base = base.clone();
            self.log.clear();
        }
        self.hard = write.hard.unwrap_or(self.hard);
        if let Some(suffix) = &write.suffix {
            let keep = suffix.after().index.0 - self.base.index().0;
            let keep = usize::try_from(keep).expect("a log is countable");
            assert!(keep <= self.log.len(), "a write continues what is on disk");
            self.log.truncate(keep);
            self.log.extend_from_slice(suffix.entries());
        }
    }
}

/// An op of this node's clients that has no answer yet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Waiting {
    /// Until an entry with this request is executed.
    Write(u64),
    /// Until the core says from where on.
    Read(u64),
    /// Until so much is executed.
    ReadAt(u64, Index),
}

/// A node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Node {
    core: Raft,
    disk: Disk,
    /// Handed over, not yet on disk.
    writing: VecDeque<Persist>,
    /// Until that write is on disk.
    held: VecDeque<(PersistId, Envelope)>,
    waiting: Vec<Waiting>,
    executed: Index,
    /// What the last write that was executed wrote.
    value: Value,
}

/// What happens to a node.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cause<'a> {
    /// It hears this.
    Hear(&'a Envelope),
    /// It has heard no leader for long enough.
    Elect,
    /// It leads, and it is time to say so.
    Beat,
    /// Its oldest write is done.
    Sync,
    /// It ends, and starts again with what its disk has.
    Crash,
    /// The same, and of the oldest write under way term and vote are on disk.
    Tear,
    /// A client asks for the write of this number.
    Write(u64),
    /// A client asks for the read of this number.
    Read(u64),
}

/// What the invariants are told, in its order.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    Asked(RequestId),
    Stepped(Raft),
    Started(Raft),
    Sent(Envelope),
    Executed(Entry),
    Answered(Answer),
}

/// A client hears that the op of this number is done; what a read found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Heard {
    pub(crate) number: u64,
    pub(crate) found: Value,
}

/// A node after something happened to it, and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Played {
    pub(crate) node: Node,
    pub(crate) told: Vec<Told>,
    pub(crate) heard: Vec<Heard>,
    pub(crate) met: Milestones,
    /// How many writes were done.
    pub(crate) written: usize,
    pub(crate) halted: Option<Diverged>,
}

/// The one moment that there is.
const NOW: Now = Now { mono: raft::Mono(0), wall: raft::Wall(0) };

/// All clients number their requests together; nothing is made of sessions below `replica`.
fn request(number: u64) -> RequestId {
    RequestId { session: SessionId(1), seq: number }
}

impl Node {
    /// A node with a blank disk.
    pub(crate) fn blank(id: NodeId, make: &Make) -> Node {
        let base = Checkpoint::genesis(Membership::of(make.voters.iter()));
        Node::start(make.config(id), Disk { hard: HardState::default(), base, log: Vec::new() })
    }

    fn start(config: Config, disk: Disk) -> Node {
        let suffix = Suffix::new(disk.base.id, disk.log.clone()).expect("a disk holds a log");
        let log = Log::new(disk.base.clone(), suffix).expect("a disk holds a log");
        let restored = Restored { hard: disk.hard, log };
        // All that a start wants is a timer, and every timer may fire at any moment.
        let mut core = Raft::restart(config, restored, NOW, &mut Output::default());
        core.forget_counts();
        Node {
            core,
            disk,
            writing: VecDeque::new(),
            held: VecDeque::new(),
            waiting: Vec::new(),
            executed: Index(0),
            value: 0,
        }
    }

    pub(crate) fn core(&self) -> &Raft {
        &self.core
    }

    /// The term that it will know after a crash.
    pub(crate) fn term_on_disk(&self) -> Term {
        self.disk.hard.term
    }

    /// What the last write that was executed wrote.
    pub(crate) fn value(&self) -> Value {
        self.value
    }

    pub(crate) fn leads(&self) -> bool {
        self.core.role() == Role::Leader
    }

    /// Whether something is under way to its disk.
    pub(crate) fn writes(&self) -> bool {
        !self.writing.is_empty()
    }

    /// Whether what is under way first can be torn.
    pub(crate) fn can_tear(&self) -> bool {
        self.writing.front().is_some_and(|write| write.hard.is_some() && write.suffix.is_some())
    }

    /// The core in its own notation, and what is around it.
    pub(crate) fn describe(&self) -> String {
        let mut text = self.core.to_string();
        if self.writes() {
            let (writing, held) = (self.writing.len(), self.held.len());
            let _ = write!(text, ", {writing} under way to its disk, {held} held back");
        }
        if self.value != 0 {
            let _ = write!(text, ", x={}", self.value);
        }
        text
    }

    /// What comes of `cause`.
    pub(crate) fn play(self: &Node, cause: Cause<'_>, make: &Make) -> Played {
        let mut played = Played {
            node: self.clone(),
            told: Vec::new(),
            heard: Vec::new(),
            met: Milestones::default(),
            written: 0,
            halted: None,
        };
        match cause {
            Cause::Hear(envelope) => played.step(Input::Receive(envelope.clone())),
            Cause::Elect => played.step(Input::Timeout(Timer::Election)),
            Cause::Beat => played.step(Input::Timeout(Timer::Heartbeat)),
            Cause::Sync => played.complete(),
            Cause::Crash => played.crash(false, make),
            Cause::Tear => played.crash(true, make),
            Cause::Write(number) => played.write(number),
            Cause::Read(number) => played.read(number),
        }
        while make.quick_disks && played.node.writes() && played.halted.is_none() {
            played.complete();
        }
        played.settle();
        played
    }
}

impl Played {
    /// What left.
    pub(crate) fn sent(&self) -> impl Iterator<Item = &Envelope> {
        self.told.iter().filter_map(|told| match told {
            Told::Sent(envelope) => Some(envelope),
            _ => None,
        })
    }

    fn step(&mut self, input: Input) {
        let core = &mut self.node.core;
        let (role, term, last) = (core.role(), core.term(), core.log().last());
        let mut out = Output::default();
        core.step(NOW, input, &mut out);
        if core.role() == Role::Leader && (role != Role::Leader || core.term() != term) {
            self.met.add(Milestone::Leader);
        }
        if role == Role::Leader && core.role() != Role::Leader {
            self.met.add(Milestone::Deposed);
        }
        if !core.log().has(last) {
            self.met.add(Milestone::Overwritten);
        }
        self.told.push(Told::Stepped(self.node.core.clone()));
        self.perform(out);
    }

    fn perform(&mut self, out: Output) {
        if out.halt.is_some() {
            self.halted = out.halt;
            return;
        }
        self.told.extend(out.send_now.into_iter().map(Told::Sent));
        self.node.writing.extend(out.persist);
        match self.node.writing.back().map(|write| write.id) {
            None => self.told.extend(out.send_after.into_iter().map(Told::Sent)),
            Some(id) => self.node.held.extend(out.send_after.into_iter().map(|envelope| (id, envelope))),
        }
        for entry in out.apply {
            self.execute(entry);
        }
        for answer in out.answer {
            self.told.push(Told::Answered(answer));
            self.hear(answer);
        }
    }

    fn execute(&mut self, entry: Entry) {
        let node = &mut self.node;
        node.executed = entry.id.index;
        if let Payload::Command(command) = &entry.payload {
            node.value = command.first().copied().unwrap_or_default();
        }
        if node.leads() && entry.id.term < node.core.term() {
            self.met.add(Milestone::OldEntryCommitted);
        }
        if let Some(request) = entry.request {
            self.finish(Waiting::Write(request.id.seq));
        }
        let executed = self.node.executed;
        let ready: Vec<Waiting> = self.node.waiting.iter().copied().filter(|op| op.ready(executed)).collect();
        for op in ready {
            self.finish(op);
        }
        self.told.push(Told::Executed(entry));
    }

    fn hear(&mut self, answer: Answer) {
        match answer {
            Answer::Accepted { .. } | Answer::Transferred { .. } => {}
            Answer::Forwarded { .. } => self.met.add(Milestone::Forwarded),
            // A copy of it may be under way, so the op stays open; but nobody waits for it.
            Answer::Refused { id, .. } => {
                self.node.waiting.retain(|op| ![Waiting::Write(id.seq), Waiting::Read(id.seq)].contains(op));
            }
            Answer::ReadAt { id, index } => {
                let Some(place) = self.node.waiting.iter().position(|op| *op == Waiting::Read(id.seq)) else {
                    return;
                };
                let op = Waiting::ReadAt(id.seq, index);
                self.node.waiting[place] = op;
                if op.ready(self.node.executed) {
                    self.finish(op);
                }
            }
        }
    }

    /// Answers an op, if its client is here and waits.
    fn finish(&mut self, op: Waiting) {
        let Some(place) = self.node.waiting.iter().position(|waiting| *waiting == op) else { return };
        self.node.waiting.remove(place);
        let (number, milestone) = match op {
            Waiting::Write(number) => (number, Milestone::WriteAnswered),
            Waiting::Read(number) | Waiting::ReadAt(number, _) => (number, Milestone::ReadAnswered),
        };
        self.met.add(milestone);
        self.heard.push(Heard { number, found: self.node.value });
    }

    fn write(&mut self, number: u64) {
        self.node.waiting.push(Waiting::Write(number));
        let value = Value::try_from(number).expect("ops are few");
        let wanted = Wanted::Command(vec![value].into());
        let request = Request { id: request(number), floor: 0 };
        self.step(Input::Propose(vec![Proposal { request, wanted }]));
    }

    fn read(&mut self, number: u64) {
        self.node.waiting.push(Waiting::Read(number));
        self.told.push(Told::Asked(request(number)));
        self.step(Input::Read(vec![request(number)]));
    }

    /// The oldest write is done: what waited for it leaves, and the core is told.
    fn complete(&mut self) {
        let Some(write) = self.node.writing.pop_front() else { return };
        self.node.disk.write(&write);
        self.written += 1;
        while self.node.held.front().is_some_and(|(needs, _)| *needs <= write.id) {
            let freed = self.node.held.pop_front();
            self.told.extend(freed.map(|(_, envelope)| Told::Sent(envelope)));
        }
        self.step(Input::Persisted(write.id));
    }

    fn crash(&mut self, torn: bool, make: &Make) {
        let node = &mut self.node;
        let lost = node.writing.front();
        if lost.is_some() {
            self.met.add(if torn { Milestone::WriteTorn } else { Milestone::WriteLost });
        }
        if let Some(write) = lost.filter(|_| torn) {
            node.disk.write(&Persist { suffix: None, ..write.clone() });
        }
        if node.disk.hard != HardState::default() {
            self.met.add(Milestone::Restarted);
        }
        *node = Node::start(make.config(node.core.id()), node.disk.clone());
        self.told.push(Told::Started(node.core.clone()));
    }

    /// Takes away what only counts. The invariants see the core once more, since they remember how often its log
    /// was written to.
    fn settle(&mut self) {
        let node = &mut self.node;
        let lower = node.core.forget_counts();
        for write in &mut node.writing {
            write.id.0 -= lower;
        }
        for (needs, _) in &mut node.held {
            needs.0 -= lower;
        }
        node.waiting.sort_unstable();
        self.told.push(Told::Stepped(node.core.clone()));
    }
}

impl Waiting {
    fn ready(self, executed: Index) -> bool {
        matches!(self, Waiting::ReadAt(_, index) if index <= executed)
    }
}
