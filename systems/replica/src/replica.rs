//! The replica: every input of it, and the order in which things are done.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use raft::{
    Answer, Bug, Bugs, Checkpoint, Entry, Envelope, Index, Input, Log, Membership, Message, Mono, NodeId,
    Now, Output, Payload, PersistId, Proposal, Raft, Refusal, Request, RequestId, Restored, SessionId,
    StateMachine, Suffix,
};
use wal::{Completion, Disk, Group, Identity, Ticket, Wal};

use crate::seam::{
    Call, CallId, Effects, Event, Failed, Fate, Halt, Members, Noted, Outcome, Status, Timer, Wait,
};
use crate::sessions::{self, Sessions, Verdict};
use crate::snapshots::{self, Rule, Snapshots};
use crate::waiting::Waiting;

/// What a replica must know before it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whose data the disk must hold.
    pub identity: Identity,
    /// How the log is laid out.
    pub log: wal::Options,
    /// Who belongs to the cluster when its first log begins; nobody, for a node that waits to be made a member.
    pub membership: Membership,
    /// Drawn at random for each start: names this node's session.
    pub boot: SessionId,
    /// How often a leader shows that it is there.
    pub heartbeat: Duration,
    /// How long to wait for a leader: at least the first, less than the second, drawn anew each time.
    pub election: (Duration, Duration),
    /// How long a call waits for its answer.
    pub patience: Duration,
    /// How many calls may wait at once.
    pub calls: usize,
    /// The most bytes of entries in one append, and how much may be under way to one follower.
    pub append: (usize, raft::Window),
    /// When a snapshot is taken.
    pub snapshots: Rule,
    /// How much of the log is kept behind it.
    pub tail: raft::Tail,
    /// Whether a leader may answer reads by its lease, and how far clocks are trusted for it.
    pub lease: Option<raft::Lease>,
    /// Mistakes to make.
    pub bugs: Bugs,
}

impl Config {
    /// The usual: heartbeats every 50 ms, elections after 300 to 600 ms, 5 s of patience, 8,192 calls, appends
    /// of 256 KiB of which 64, or 4 MiB, may be under way to a follower; a snapshot every 10,000 entries or 64 MiB,
    /// with 5,000 entries kept behind it; no leases.
    pub fn new(identity: Identity, membership: Membership, boot: SessionId) -> Config {
        Config {
            identity,
            log: wal::Options::default(),
            membership,
            boot,
            heartbeat: Duration::from_millis(50),
            election: (Duration::from_millis(300), Duration::from_millis(600)),
            patience: Duration::from_secs(5),
            calls: 8192,
            append: (256 << 10, raft::Window { messages: 64, bytes: 4 << 20 }),
            snapshots: Rule::default(),
            tail: raft::Tail::default(),
            lease: None,
            bugs: Bugs::none(),
        }
    }
}

/// Why a replica does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] wal::OpenError),
    /// The log's entries do not follow each other: no log of ours ever looked so.
    #[error("the log on disk has a gap, or terms or stamps that fall")]
    Disorder,
    /// The snapshot is sound, and makes no state.
    #[error("{0}")]
    Snapshot(Halt),
}

/// Looking for calls whose time is up: this often.
const LOOK: Duration = Duration::from_millis(100);
/// A disk that had nothing to do for so long may note how far it is synced.
const IDLE: Duration = Duration::from_millis(10);

/// How many messages may wait for a disk that is stuck. The oldest go first, as if lost on their way.
const HELD: usize = 4096;

/// One node's share of a replicated state machine.
pub struct Replica<M: StateMachine, D: Disk> {
    pub(crate) config: Config,
    pub(crate) raft: Raft,
    pub(crate) wal: Wal<D>,
    pub(crate) machine: M,
    pub(crate) sessions: Sessions<M::Reply>,
    pub(crate) snapshots: Snapshots<M::Frozen>,
    waiting: Waiting<M::Query>,
    pub(crate) own: OwnSession,
    pub(crate) applied: Index,
    /// Who belongs to the cluster, as far as the log is executed.
    pub(crate) members: Members,
    /// Writes of the core that are not yet under way, and the last of them.
    unwritten: (Group, PersistId),
    /// The last write of the core that is under way.
    writing: Option<PersistId>,
    /// Messages that must not leave before that write is on disk.
    held: VecDeque<(PersistId, Envelope)>,
    /// Calls of this turn: they go to the core together.
    turn: Turn,
    halted: bool,
    torn: Option<wal::recovery::Cut>,
    pub(crate) journal: Option<Journal<M>>,
}

/// What happened inside since somebody last looked.
pub(crate) struct Journal<M: StateMachine> {
    pub(crate) noted: Vec<Noted<M::Reply>>,
    pub(crate) wanted: Wanted<M>,
}

/// What shall stand in a journal besides what is executed, asked and answered.
pub struct Wanted<M: StateMachine> {
    /// All that the core is given.
    pub inputs: bool,
    /// The whole state, as a number that this makes of it.
    pub state: fn(&M, &Sessions<M::Reply>) -> u64,
    /// After how many entries, each time.
    pub every: u64,
}

/// This node's session, under which its clients' writes are numbered.
#[derive(Debug)]
pub(crate) struct OwnSession {
    pub(crate) id: SessionId,
    next: u64,
    state: Opening,
    /// How long to wait for it the next time.
    pause: Duration,
    /// Writes that wait for it.
    parked: Vec<(RequestId, raft::Wanted)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Opening {
    Closed,
    /// Of the leader that is known. Not again before then, unless there is another.
    Asked(Mono),
    Open,
}

#[derive(Debug, Default)]
struct Turn {
    proposals: Vec<Proposal>,
    reads: Vec<RequestId>,
}

impl<M: StateMachine, D: Disk> Replica<M, D> {
    /// Opens the log on `disk`, creating it on the first start, and begins as a follower with
    /// `machine` in its first state, or in that of the latest snapshot. Blocks until recovery is done.
    ///
    /// # Errors
    /// A disk of another node or cluster, or a log or a snapshot that is damaged where it was synced; nothing is
    /// changed then.
    pub fn open(
        config: Config,
        mut machine: M,
        disk: D,
        now: Now,
        effects: &mut Effects<M::Reply>,
    ) -> Result<Replica<M, D>, OpenError> {
        let options = wal::Options { bugs: config.bugs, ..config.log };
        let (wal, recovered) = Wal::open(disk, &config.identity, options)?;
        let torn = recovered.cut;
        let (base, sessions) = match recovered.snapshot {
            Some(checkpoint) => {
                (checkpoint, snapshots::read(&wal, &mut machine).map_err(OpenError::Snapshot)?)
            }
            None => (Checkpoint::genesis(config.membership.clone()), Sessions::new(sessions::LIMIT)),
        };
        let (applied, members) = (base.index(), Members { now: base.membership.clone(), since: base.since });
        let suffix = Suffix::new(base.id, recovered.entries).ok_or(OpenError::Disorder)?;
        let log = Log::new(base, suffix).ok_or(OpenError::Disorder)?;
        let restored = Restored { hard: recovered.hard, log };
        let mut core = raft::Config::new(config.identity.node);
        core.election_min = config.election.0;
        (core.append_bytes, core.window) = config.append;
        core.tail = config.tail;
        core.lease = config.lease;
        core.bugs = config.bugs;
        let mut out = Output::default();
        let raft = Raft::restart(core, restored, now, &mut out);
        let own = OwnSession::new(config.boot);
        let waiting = Waiting::new(config.bugs);
        let mut replica = Replica {
            config,
            raft,
            wal,
            machine,
            sessions,
            snapshots: Snapshots::new(applied),
            waiting,
            own,
            applied,
            members,
            unwritten: (Group::default(), PersistId(0)),
            writing: None,
            held: VecDeque::new(),
            turn: Turn::default(),
            halted: false,
            torn,
            journal: None,
        };
        replica.perform(out, effects);
        Ok(replica)
    }

    /// Takes one event. Calls are only noted; [`Replica::flush`] hands them on.
    pub fn step(&mut self, now: Now, event: Event<M::Query>, effects: &mut Effects<M::Reply>) {
        if self.halted {
            if let Event::Call(call, _) = event {
                effects.reply.push((call, Outcome::Failed(Failed::Halted)));
            }
            return;
        }
        match event {
            Event::Peer(envelope) => self.on_peer(now, envelope, effects),
            Event::Timer(Timer::Fetch) => self.ask_for_piece(effects),
            Event::Timer(Timer::Raft(timer)) => self.drive(now, Input::Timeout(timer), effects),
            Event::Timer(Timer::Calls) => self.look_after_calls(now, effects),
            Event::Timer(Timer::Idle) => self.rest(),
            Event::Disk(ticket, result) => self.on_disk(now, ticket, result, effects),
            Event::Call(id, call) => self.on_call(now, id, call, effects),
            Event::Removed => self.halt(Halt::Removed, effects),
        }
    }

    /// Pieces of snapshots go from replica to replica; the core knows nothing of them.
    fn on_peer(&mut self, now: Now, envelope: Envelope, effects: &mut Effects<M::Reply>) {
        let Envelope { from, to, message, .. } = envelope;
        let here = to == self.raft.id();
        match message {
            Message::Fetch { id, offset } if here => self.give_piece(from, id, offset, effects),
            Message::Piece { id, offset, total, bytes } if here => self.on_piece(id, offset, total, bytes),
            message => self.drive(now, Input::Receive(Envelope { message, ..envelope }), effects),
        }
    }

    /// Ends a turn: hands its calls to the core, and begins the next write if the disk is free.
    pub fn flush(&mut self, now: Now, effects: &mut Effects<M::Reply>) {
        if self.halted {
            return;
        }
        self.open_own_session(now);
        let mut turn = std::mem::take(&mut self.turn);
        let waiting = &self.waiting;
        turn.proposals.retain(|proposal| {
            // In the same turn, an answer to an earlier attempt may have ended this one.
            matches!(proposal.wanted, raft::Wanted::Session) || waiting.is_here(proposal.request.id)
        });
        if !turn.proposals.is_empty() {
            self.drive(now, Input::Propose(turn.proposals), effects);
        }
        if !turn.reads.is_empty() {
            self.drive(now, Input::Read(turn.reads), effects);
        }
        self.write(effects);
        self.tell_of_snapshot(now, effects);
        self.take_snapshot();
    }

    /// Notes on disk how far it is synced, and gives it back. For a graceful stop, after a flush.
    ///
    /// # Errors
    /// What the disk said. Nothing acknowledged is lost by it.
    pub fn close(self) -> Result<D, wal::Failure> {
        self.wal.close()
    }

    /// What others may see.
    pub fn status(&self) -> Status {
        Status {
            id: self.raft.id(),
            term: self.raft.term(),
            role: self.raft.role(),
            leader: self.raft.leader(),
            last: self.raft.log().last(),
            commit: self.raft.commit(),
            applied: self.applied,
            snapshot: self.wal.snapshot().map_or(Index(0), Checkpoint::index),
            base: self.raft.log().base().index(),
            heard: self.raft.heard(),
            waiting: self.waiting.len(),
        }
    }

    /// Who belongs to the cluster, as far as this node has executed the log. The core goes by the latest entry of its
    /// log, executed or not: see [`Raft::membership`].
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// The state machine, as far as this node has executed the log.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// Where the log was torn when it was opened, if it was: there the power had interrupted a write of which
    /// nobody had been told.
    pub fn torn(&self) -> Option<&wal::recovery::Cut> {
        self.torn.as_ref()
    }

    /// Whether it is fetching a snapshot from a peer.
    pub fn fetches(&self) -> bool {
        self.wal.draft(wal::Source::Fetched).is_some()
    }

    /// What it remembers of the requests it executed.
    pub fn sessions(&self) -> &Sessions<M::Reply> {
        &self.sessions
    }

    /// From now on writes down what happens inside, for those who check it. Whoever asks for it must take it
    /// away, or it grows.
    pub fn keep_journal(&mut self, wanted: Wanted<M>) {
        self.journal = Some(Journal { noted: Vec::new(), wanted });
    }

    /// What was written down since the last time.
    pub fn take_journal(&mut self) -> Vec<Noted<M::Reply>> {
        self.journal.as_mut().map(|journal| std::mem::take(&mut journal.noted)).unwrap_or_default()
    }

    /// The core, for those who check it.
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    // --- calls --------------------------------------------------------------------------------

    fn on_call(&mut self, now: Now, id: CallId, call: Call<M::Query>, effects: &mut Effects<M::Reply>) {
        let deadline = now.mono.after(self.config.patience);
        if self.waiting.is_empty() {
            effects.arm.insert(Timer::Calls, Wait::Exactly(LOOK));
        }
        match call {
            Call::Stale(query) => effects.reply.push((id, Outcome::Done(self.machine.query(&query)))),
            _ if self.waiting.len() >= self.config.calls => {
                effects.reply.push((id, Outcome::Failed(Failed::Busy)));
            }
            Call::Read(query) => self.ask(id, Some(query), deadline),
            Call::Members => self.ask(id, None, deadline),
            Call::Write { request: Some(request), command } => {
                if self.waiting.add_write(request, id, deadline) {
                    // A client numbers its requests one after the other: what came before is answered.
                    let request = Request { id: request, floor: request.seq };
                    self.turn.proposals.push(Proposal { request, wanted: raft::Wanted::Command(command) });
                }
            }
            Call::Write { request: None, command } => self.park(id, raft::Wanted::Command(command), deadline),
            Call::Change(changes) => self.park(id, raft::Wanted::Change(changes), deadline),
            Call::Transfer(to) => {
                let request = self.own.mint();
                self.waiting.add_transfer(request, id);
                self.drive(now, Input::Transfer { id: request, to }, effects);
            }
        }
    }

    /// A question waits until a leader has said how much must be executed first.
    fn ask(&mut self, id: CallId, query: Option<M::Query>, deadline: Mono) {
        let request = self.own.mint();
        self.waiting.add_read(request, id, query, deadline);
        self.turn.reads.push(request);
    }

    /// A write under this node's own name waits for its session.
    fn park(&mut self, id: CallId, wanted: raft::Wanted, deadline: Mono) {
        let request = self.own.mint();
        self.waiting.add_write(request, id, deadline);
        self.own.parked.push((request, wanted));
    }

    /// Moves this node's writes into the turn if its session is open; opens it otherwise.
    fn open_own_session(&mut self, now: Now) {
        match self.own.state {
            Opening::Open => {
                for (id, wanted) in std::mem::take(&mut self.own.parked) {
                    if self.waiting.is_here(id) {
                        let floor = self.waiting.floor(self.own.id).unwrap_or(id.seq);
                        let request = Request { id, floor };
                        self.turn.proposals.push(Proposal { request, wanted });
                    }
                }
            }
            Opening::Closed if self.raft.leader().is_some() => {
                self.own.asked(now.mono, self.config.patience);
                let request = Request { id: self.own.opening(), floor: 1 };
                self.turn.proposals.push(Proposal { request, wanted: raft::Wanted::Session });
            }
            Opening::Closed | Opening::Asked(_) => {}
        }
    }

    /// Without a leader nothing is parked: whoever calls learns it at once.
    fn refuse_parked(&mut self, effects: &mut Effects<M::Reply>) {
        for (id, _) in std::mem::take(&mut self.own.parked) {
            self.waiting.refused(id, Refusal::NoLeader, &mut effects.reply);
        }
    }

    fn look_after_calls(&mut self, now: Now, effects: &mut Effects<M::Reply>) {
        self.waiting.expire(now.mono, &mut effects.reply);
        let waiting = &self.waiting;
        self.own.parked.retain(|(id, _)| waiting.is_here(*id));
        self.own.doubt(now.mono);
        if !self.waiting.is_empty() {
            effects.arm.insert(Timer::Calls, Wait::Exactly(LOOK));
        }
    }

    // --- the core -----------------------------------------------------------------------------

    pub(crate) fn drive(&mut self, now: Now, input: Input, effects: &mut Effects<M::Reply>) {
        let before = (self.raft.term(), self.raft.leader());
        let mut out = Output::default();
        self.note_input(&input);
        self.raft.step(now, input, &mut out);
        self.perform(out, effects);
        if (self.raft.term(), self.raft.leader()) != before {
            self.on_leader_change(before.1, effects);
        }
        if self.raft.removed() {
            self.halt(Halt::Removed, effects);
        }
    }

    fn note_input(&mut self, input: &Input) {
        let Some(journal) = &mut self.journal else { return };
        if let Input::Read(reads) = input {
            journal.noted.push(Noted::Asked(reads.clone()));
        }
        if journal.wanted.inputs {
            journal.noted.push(Noted::Given(input.clone()));
        }
    }

    fn on_leader_change(&mut self, before: Option<NodeId>, effects: &mut Effects<M::Reply>) {
        if before.is_some() {
            self.waiting.leader_changed(&mut effects.reply);
        }
        self.own.ask_anew();
    }

    /// Does what the core owes, and holds back what must wait for the disk.
    fn perform(&mut self, out: Output, effects: &mut Effects<M::Reply>) {
        effects.send.extend(out.send_now);
        for persist in out.persist {
            self.unwritten.1 = persist.id;
            self.unwritten.0.add(persist);
        }
        let last_write = self.last_write();
        for envelope in out.send_after {
            match last_write {
                Some(write) => self.held.push_back((write, envelope)),
                None => effects.send.push(envelope),
            }
        }
        let surplus = self.held.len().saturating_sub(HELD);
        self.held.drain(..surplus);
        if let Some(checkpoint) = &out.install {
            self.install(checkpoint, effects);
        }
        for entry in out.apply {
            self.apply(&entry, effects);
        }
        for answer in out.answer {
            if let Some(journal) = &mut self.journal {
                journal.noted.push(Noted::Answered(answer));
            }
            self.on_answer(answer, effects);
        }
        self.answer_due_reads(effects);
        for timer in out.arm {
            effects.arm.insert(Timer::Raft(timer), self.wait_for(timer));
        }
        if let Some(offer) = out.fetch {
            self.on_offer(offer, effects);
        }
        if let Some(why) = out.halt {
            self.halt(why.into(), effects);
        }
    }

    fn wait_for(&self, timer: raft::Timer) -> Wait {
        match timer {
            raft::Timer::Heartbeat => Wait::Exactly(self.config.heartbeat),
            raft::Timer::Transfer => Wait::Exactly(self.config.election.0),
            raft::Timer::Election if self.config.bugs.has(Bug::FixElectionTimer) => {
                Wait::Exactly(self.config.election.0)
            }
            raft::Timer::Election => Wait::Between(self.config.election.0, self.config.election.1),
        }
    }

    /// Executes a committed entry, unless its request was executed before.
    pub(crate) fn apply(&mut self, entry: &Entry, effects: &mut Effects<M::Reply>) {
        self.applied = entry.id.index;
        self.snapshots.executed(entry.weight());
        self.waiting.committed(entry, &mut effects.reply);
        if let Payload::Membership(membership) = &entry.payload {
            self.members = Members { now: Arc::clone(membership), since: entry.id.index };
        }
        let fate = self.fate(entry);
        if let Some(journal) = &mut self.journal {
            journal.noted.push(Noted::Executed(entry.clone(), fate.clone()));
            if self.applied.0.is_multiple_of(journal.wanted.every) {
                let state = (journal.wanted.state)(&self.machine, &self.sessions);
                journal.noted.push(Noted::Reached(self.applied, state));
            }
        }
        let Some((request, outcome)) = entry.request.as_ref().zip(fate.outcome()) else { return };
        if request.id.session == self.own.id && !self.sessions.knows(self.own.id) {
            self.own.lost();
        }
        self.waiting.settle(request.id, &outcome, &mut effects.reply);
    }

    fn fate(&mut self, entry: &Entry) -> Fate<M::Reply> {
        let Some(request) = &entry.request else {
            if let Payload::Membership(membership) = &entry.payload {
                self.machine.membership(entry, membership);
            }
            return Fate::Passed;
        };
        match self.sessions.judge(request, entry.stamp, entry.id.index.0) {
            Verdict::Repeat(_) if self.config.bugs.has(Bug::IgnoreSessions) => {
                self.execute(request.id, entry)
            }
            Verdict::Repeat(reply) => Fate::Repeated(reply),
            Verdict::Forgotten => Fate::Forgotten,
            Verdict::Execute => self.execute(request.id, entry),
        }
    }

    /// Hands a command to the machine; an entry that is none has no reply.
    fn execute(&mut self, id: RequestId, entry: &Entry) -> Fate<M::Reply> {
        let reply = match &entry.payload {
            Payload::Command(command) => self.machine.apply(entry, command),
            Payload::Membership(membership) => self.machine.membership(entry, membership),
            Payload::Noop | Payload::OpenSession => {
                self.sessions.record(id, None);
                self.own.opened(id);
                return Fate::Opened;
            }
        };
        self.sessions.record(id, Some(reply.clone()));
        Fate::Done(reply)
    }

    fn on_answer(&mut self, answer: Answer, effects: &mut Effects<M::Reply>) {
        match answer {
            Answer::Accepted { id, entry } => {
                self.waiting.accepted(id, entry);
                if self.config.bugs.has(Bug::ExecuteBeforeCommit) {
                    self.execute_early(entry.index, effects);
                }
            }
            Answer::Forwarded { id, .. } => self.waiting.forwarded(id),
            Answer::ReadAt { id, index } => self.waiting.read_at(id, index),
            Answer::Transferred { id, to } => {
                self.waiting.transferred(id, Outcome::Leads(to), &mut effects.reply);
            }
            Answer::Refused { id, why } => {
                // Our session's opening is not asked for again at once: a node that believes in a leader
                // which is none would do nothing else. The next leader is soon enough, or the end of the pause.
                self.own.refused(id);
                self.waiting.refused(id, why, &mut effects.reply);
            }
        }
    }

    /// What no replica should do: executes an entry of its own log that may yet be overwritten. The
    /// session table sees to it that it is not executed again when it is committed
    /// (`Bug::ExecuteBeforeCommit`).
    fn execute_early(&mut self, index: Index, effects: &mut Effects<M::Reply>) {
        if let Some(entry) = self.raft.log().get(index).cloned() {
            self.apply(&entry, effects);
        }
    }

    fn answer_due_reads(&mut self, effects: &mut Effects<M::Reply>) {
        for (call, query) in self.waiting.due(self.applied) {
            let outcome = match query {
                Some(query) => Outcome::Done(self.machine.query(&query)),
                None => Outcome::Members(self.members.clone()),
            };
            effects.reply.push((call, outcome));
        }
    }

    // --- the disk -----------------------------------------------------------------------------

    /// The last write that the core asked for and that is not on disk yet.
    fn last_write(&self) -> Option<PersistId> {
        if self.unwritten.0.is_empty() { self.writing } else { Some(self.unwritten.1) }
    }

    fn write(&mut self, effects: &mut Effects<M::Reply>) {
        if self.raft.leader().is_none() {
            self.refuse_parked(effects);
        }
        if self.writing.is_some() || self.unwritten.0.is_empty() {
            return;
        }
        let group = std::mem::take(&mut self.unwritten.0);
        // What the core keeps no more goes, but for the entry that this write continues.
        let base = self.raft.log().base().index();
        self.wal.forget(group.after().map_or(base, |after| base.min(after.index)));
        self.writing = Some(self.unwritten.1);
        if let Err(why) = self.wal.append(group) {
            self.halt(why.into(), effects);
        }
    }

    fn on_disk(&mut self, now: Now, ticket: Ticket, result: io::Result<()>, effects: &mut Effects<M::Reply>) {
        match self.wal.completed(ticket, result) {
            Some(Completion::Failed(why)) => self.halt(why.into(), effects),
            Some(Completion::Durable(_)) => self.on_durable(now, effects),
            Some(Completion::Written(source)) => self.on_draft_written(source, effects),
            Some(Completion::GivenUp(source, _)) => self.on_draft_given_up(source),
            Some(Completion::Snapshot(source, checkpoint)) => {
                self.on_snapshot(now, source, checkpoint, effects);
            }
            None => {}
        }
    }

    fn on_durable(&mut self, now: Now, effects: &mut Effects<M::Reply>) {
        let Some(written) = self.writing.take() else { return };
        while self.held.front().is_some_and(|(needs, _)| *needs <= written) {
            effects.send.extend(self.held.pop_front().map(|(_, envelope)| envelope));
        }
        self.drive(now, Input::Persisted(written), effects);
        if self.last_write().is_none() {
            effects.arm.insert(Timer::Idle, Wait::Exactly(IDLE));
        }
    }

    fn rest(&mut self) {
        if self.last_write().is_none() {
            self.wal.idle();
        }
    }

    /// Fences this node. Everything that waits is answered; nothing is sent or taken in any more.
    pub(crate) fn halt(&mut self, why: Halt, effects: &mut Effects<M::Reply>) {
        self.halted = true;
        self.held.clear();
        self.waiting.abandon(&mut effects.reply);
        effects.halt.get_or_insert(why);
    }
}

impl OwnSession {
    fn new(id: SessionId) -> OwnSession {
        OwnSession { id, next: 2, state: Opening::Closed, pause: LOOK, parked: Vec::new() }
    }

    /// The request that opens it.
    fn opening(&self) -> RequestId {
        RequestId { session: self.id, seq: 1 }
    }

    fn mint(&mut self) -> RequestId {
        let seq = self.next;
        self.next += 1;
        RequestId { session: self.id, seq }
    }

    fn opened(&mut self, id: RequestId) {
        if id == self.opening() {
            self.state = Opening::Open;
        }
    }

    /// A leader was asked to open it. The request may get lost on its way, and a second one does no harm; but each is
    /// an entry of the log, and where executing takes long because the log does, a second one every moment would make
    /// it longer for ever. So the pauses double, up to a quarter of the callers' patience: a write that waits for it
    /// outlives two requests that got lost.
    fn asked(&mut self, now: Mono, patience: Duration) {
        self.state = Opening::Asked(now.after(self.pause));
        self.pause = (self.pause * 2).min(patience / 4).max(LOOK);
    }

    /// What is refused is in no log: there is no reason to ask less often.
    fn refused(&mut self, id: RequestId) {
        if id == self.opening() {
            self.pause = LOOK;
        }
    }

    /// A request that has had its time counts as lost.
    fn doubt(&mut self, now: Mono) {
        if matches!(self.state, Opening::Asked(until) if until <= now) {
            self.state = Opening::Closed;
        }
    }

    /// Another leader knows nothing of what the last one was asked.
    fn ask_anew(&mut self) {
        self.pause = LOOK;
        if let Opening::Asked(_) = self.state {
            self.state = Opening::Closed;
        }
    }

    /// The session table is another one, which may know this session.
    pub(crate) fn look(&mut self, known: bool) {
        match (self.state, known) {
            (_, true) => self.state = Opening::Open,
            (Opening::Open, false) => self.lost(),
            (_, false) => {}
        }
    }

    /// It had to make room for others: go on under the next number.
    fn lost(&mut self) {
        self.id = SessionId(self.id.0.wrapping_add(1));
        self.next = 2;
        self.state = Opening::Closed;
        self.pause = LOOK;
    }
}
