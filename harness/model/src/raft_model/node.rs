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
//! A snapshot is taken in one step, and fetched in one: the pieces in which it travels are none of the core's business.
//! What the fetcher gets is what the node that offered it has on its disk at that moment.
//!
//! A node that is down does nothing, and so does one that was started and to which nothing happens yet. So a
//! crash and the start after it are one thing here, and nothing is lost by it.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use raft::{
    Answer, Bugs, Change, Checkpoint, Config, Diverged, Entry, Envelope, HardState, Index, Input, Lease, Log,
    Membership, Mono, NodeId, Now, Offer, Output, Payload, Persist, PersistId, Proposal, Raft, Refusal,
    Request, RequestId, Restored, Role, SessionId, Suffix, Tail, Term, Timer, Voters, Wall, Wanted,
};

use super::milestone::{Milestone, Milestones};
use super::profile::Clocks;
use crate::ops::Value;

/// How the nodes of a cluster are made.
#[derive(Clone, Debug)]
pub(crate) struct Make {
    /// Who decides in the beginning. Whoever else there is waits to be made a member.
    pub(crate) voters: Voters,
    pub(crate) append_bytes: usize,
    /// How many entries are kept behind a snapshot.
    pub(crate) tail: Option<u64>,
    pub(crate) bugs: Bugs,
    /// Time, if it does not stand still.
    pub(crate) clocks: Option<Clocks>,
    /// What members can be changed to, in the words of scripts.
    pub(crate) changes: Vec<Vec<Change>>,
    /// A write is done as soon as it is handed over.
    pub(crate) quick_disks: bool,
}

impl Make {
    /// Where time stands still, nobody is loyal for any time at all, and every timer may fire at any moment.
    fn config(&self, id: NodeId) -> Config {
        let mut config = Config::new(id);
        config.election_min = self.patience();
        config.lease = self.clocks.map(|clocks| Lease { drift: clocks.drift });
        if let Some(usual) = self.tail {
            config.tail = Tail { usual, most: 2 * usual };
        }
        config.append_bytes = self.append_bytes;
        config.bugs = self.bugs;
        config
    }

    fn patience(&self) -> Duration {
        self.clocks.map_or(Duration::ZERO, |clocks| Duration::from_millis(clocks.patience))
    }
}

/// What survives a crash.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Disk {
    hard: HardState,
    /// What the log stands on; the beginning, as long as nobody takes snapshots.
    base: Checkpoint,
    log: Vec<Entry>,
    /// The latest snapshot.
    snapshot: Option<Saved>,
}

/// A snapshot of the one register that there is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Saved {
    checkpoint: Checkpoint,
    value: Value,
}

impl Disk {
    /// The log behind the latest snapshot. A log that does not have the snapshot's last entry is of an earlier time,
    /// and begins anew.
    fn recover(&mut self) -> Log {
        let suffix = Suffix::new(self.base.id, self.log.clone()).expect("a disk holds a log");
        let mut log = Log::new(self.base.clone(), suffix).expect("a disk holds a log");
        let Some(Saved { checkpoint, .. }) = &self.snapshot else { return log };
        if log.has(checkpoint.id) {
            log.compact(checkpoint.index());
        } else {
            log.reset(checkpoint.clone());
            self.log.clear();
            self.base = checkpoint.clone();
        }
        log
    }

    /// Keeps no more of the log than the core does.
    fn forget(&mut self, base: &Checkpoint) {
        if base.index() > self.base.index() && self.log.iter().any(|entry| entry.id == base.id) {
            self.log.retain(|entry| entry.id.index > base.index());
            self.base = base.clone();
        }
    }

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
    /// A snapshot that it should fetch.
    wanted: Option<Offer>,
    /// What its clock shows, in milliseconds. It stands at 0 where time stands still.
    clock: u64,
    /// When its election timer was armed.
    armed: u64,
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
    /// Somebody asks for the change of this number.
    Change(u64),
    /// Somebody asks it to give the lead to that node.
    Transfer(NodeId),
    /// The time for a transfer is over.
    Abandon,
    /// It takes a snapshot.
    Snapshot,
    /// It gets the snapshot that it should fetch, with this in it.
    Fetch(Value),
    /// Some time passes.
    Pass,
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

/// The stamps of entries decide nothing here.
fn moment(clock: u64) -> Now {
    Now { mono: Mono(0).after(Duration::from_millis(clock)), wall: Wall(0) }
}

/// All clients number their requests together; nothing is made of sessions below `replica`.
fn request(number: u64) -> RequestId {
    RequestId { session: CLIENTS, seq: number }
}

const CLIENTS: SessionId = SessionId(1);
/// Whoever asks for other members, or another leader.
const OPERATOR: SessionId = SessionId(2);

impl Node {
    /// A node with a blank disk.
    pub(crate) fn blank(id: NodeId, make: &Make) -> Node {
        let members =
            if make.voters.contains(id) { Membership::of(make.voters.iter()) } else { Membership::default() };
        let base = Checkpoint::genesis(members);
        let disk = Disk { hard: HardState::default(), base, log: Vec::new(), snapshot: None };
        Node::start(make.config(id), disk, 0)
    }

    fn start(config: Config, mut disk: Disk, clock: u64) -> Node {
        let restored = Restored { hard: disk.hard, log: disk.recover() };
        let executed = restored.log.base().index();
        // All that a start wants is an election timer.
        let mut core = Raft::restart(config, restored, moment(clock), &mut Output::default());
        core.forget_counts();
        Node {
            core,
            writing: VecDeque::new(),
            held: VecDeque::new(),
            wanted: None,
            clock,
            armed: clock,
            waiting: Vec::new(),
            executed,
            value: disk.snapshot.as_ref().map_or(0, |saved| saved.value),
            disk,
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

    /// Whether its election timer may run out: not before the shortest time is over.
    pub(crate) fn may_run_out(&self, make: &Make) -> bool {
        moment(self.clock).mono.since(moment(self.armed).mono) >= make.patience()
    }

    /// Who has the snapshot that it should fetch, and where that ends.
    pub(crate) fn wanted(&self) -> Option<(NodeId, Index)> {
        self.wanted.as_ref().map(|offer| (offer.from, offer.checkpoint.index()))
    }

    /// What is in its snapshot, if that ends there.
    pub(crate) fn saved(&self, index: Index) -> Option<Value> {
        self.disk.snapshot.as_ref().filter(|saved| saved.checkpoint.index() == index).map(|saved| saved.value)
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
        if let Some(offer) = &self.wanted {
            let _ = write!(text, ", should fetch {} of {}", offer.checkpoint, offer.from);
        }
        if self.clock != 0 {
            let _ = write!(text, ", at {} ms", self.clock);
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
            Cause::Change(number) => played.change(number, make),
            Cause::Transfer(to) => {
                let id = RequestId { session: OPERATOR, seq: 0 };
                played.step(Input::Transfer { id, to: Some(to) });
            }
            Cause::Abandon => played.step(Input::Timeout(Timer::Transfer)),
            Cause::Snapshot => played.take_snapshot(),
            Cause::Fetch(value) => played.fetch(value),
            Cause::Pass => {
                let rate = make.clocks.map_or(0, |clocks| clocks.rate(played.node.core.id()));
                played.node.clock += rate;
                return played;
            }
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
        let (base, members) = (core.log().base().index(), core.log().checkpoint(core.applied()));
        let mut out = Output::default();
        core.step(moment(self.node.clock), input, &mut out);
        if core.role() == Role::Leader && (role != Role::Leader || core.term() != term) {
            self.met.add(Milestone::Leader);
        }
        if role == Role::Leader && core.role() != Role::Leader {
            self.met.add(Milestone::Deposed);
        }
        if !core.log().has(last) && core.log().base().index() == base {
            self.met.add(Milestone::Overwritten);
        }
        if out.install.is_some() {
            self.met.add(Milestone::SnapshotInstalled);
        } else if core.log().base().index() > base {
            self.met.add(Milestone::Compacted);
        }
        if let Some(Checkpoint { membership, .. }) = members {
            self.notice_changes(membership, &out.apply);
        }
        self.told.push(Told::Stepped(self.node.core.clone()));
        self.perform(out);
    }

    /// What became of the members, by the entries that are executed now.
    fn notice_changes(&mut self, mut known: std::sync::Arc<Membership>, executed: &[Entry]) {
        for now in executed.iter().filter_map(Entry::membership) {
            let (before, after) = (known.nodes(), now.nodes());
            let learned = |node| known.learners().contains(node) && now.voters().contains(*node);
            for (has, milestone) in [
                (after.difference(&before).next().is_some(), Milestone::Added),
                (before.difference(&after).next().is_some(), Milestone::Removed),
                (after.iter().any(learned), Milestone::Promoted),
                (known.is_joint() && !now.is_joint(), Milestone::JointLeft),
            ] {
                if has {
                    self.met.add(milestone);
                }
            }
            known = now.clone();
        }
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
        if out.arm.contains(&Timer::Election) {
            self.node.armed = self.node.clock;
        }
        if let Some(offer) = out.fetch {
            self.node.wanted = Some(offer);
        }
        if let Some(checkpoint) = out.install {
            self.install(checkpoint.index());
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
        if let Some(request) = entry.request.filter(|request| request.id.session == CLIENTS) {
            self.finish(Waiting::Write(request.id.seq));
        }
        self.finish_reads();
        self.told.push(Told::Executed(entry));
    }

    fn finish_reads(&mut self) {
        let executed = self.node.executed;
        let ready: Vec<Waiting> = self.node.waiting.iter().copied().filter(|op| op.ready(executed)).collect();
        for op in ready {
            self.finish(op);
        }
    }

    fn hear(&mut self, answer: Answer) {
        match answer {
            Answer::Accepted { .. } => {}
            Answer::Transferred { .. } => self.met.add(Milestone::HandedOver),
            Answer::Forwarded { .. } => self.met.add(Milestone::Forwarded),
            Answer::Refused { id, why } if id.session == OPERATOR => {
                if why == Refusal::Untransferred {
                    self.met.add(Milestone::Untransferred);
                }
            }
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
        let sent = self.sent().count();
        self.step(Input::Read(vec![request(number)]));
        let answered = self.heard.iter().any(|heard| heard.number == number);
        if answered && self.sent().count() == sent {
            self.met.add(Milestone::LeaseRead);
        }
    }

    fn change(&mut self, number: u64, make: &Make) {
        let place = usize::try_from(number).expect("changes are few");
        let wanted = Wanted::Change(make.changes[place].clone());
        let request = Request { id: RequestId { session: OPERATOR, seq: number + 1 }, floor: 0 };
        self.step(Input::Propose(vec![Proposal { request, wanted }]));
    }

    /// What was executed is on disk at once, and the core is told.
    fn take_snapshot(&mut self) {
        let node = &mut self.node;
        let Some(checkpoint) = node.core.log().checkpoint(node.executed) else { return };
        let newer = |saved: &Saved| saved.checkpoint.index() >= checkpoint.index();
        if !node.disk.snapshot.as_ref().is_some_and(newer) {
            node.disk.snapshot = Some(Saved { checkpoint, value: node.value });
        }
        self.step(Input::Snapshotted(self.node.executed));
    }

    /// What it should fetch is on disk at once. A snapshot of which the core makes nothing is thrown away.
    fn fetch(&mut self, value: Value) {
        let Some(Offer { checkpoint, .. }) = self.node.wanted.take() else { return };
        let before = self.node.disk.snapshot.replace(Saved { checkpoint: checkpoint.clone(), value });
        let base = self.node.core.log().base().clone();
        self.step(Input::Fetched(checkpoint));
        if *self.node.core.log().base() == base {
            self.node.disk.snapshot = before;
        }
    }

    /// The state gives way to that of the snapshot on disk.
    fn install(&mut self, upto: Index) {
        let node = &mut self.node;
        node.executed = upto;
        node.value = node.disk.snapshot.as_ref().map_or(0, |saved| saved.value);
        self.finish_reads();
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
        *node = Node::start(make.config(node.core.id()), node.disk.clone(), node.clock);
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
        if node.writing.is_empty() {
            node.disk.forget(node.core.log().base());
        }
        self.told.push(Told::Stepped(node.core.clone()));
    }
}

impl Waiting {
    fn ready(self, executed: Index) -> bool {
        matches!(self, Waiting::ReadAt(_, index) if index <= executed)
    }
}
