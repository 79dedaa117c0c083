//! The node as a value, and the one function that moves it.
//!
//! `step` does all the branching that depends on *what came in*: the modules beside this one say
//! what each role does with it. Here stands what every step has in common: a greater term deposes,
//! writes are numbered and handed over at the end, and a reply that promises something waits for
//! the disk.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use crate::bug::{Bug, Bugs};
use crate::entry::Suffix;
use crate::ids::{EntryId, Index, Mono, NodeId, Now, Term};
use crate::leader::Leader;
use crate::log::Log;
use crate::message::{Envelope, Message};
use crate::progress::Window;
use crate::quorum::Voters;
use crate::seam::{Diverged, HardState, Input, Output, Persist, PersistId, Role, Timer};

/// What a node must know before it starts.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Config {
    /// Who we are.
    pub id: NodeId,
    /// Who decides, we among them.
    pub voters: Voters,
    /// The shortest time without a leader after which a node may run for election. As long as a node
    /// heard from a leader within it, it helps nobody else to become one (dissertation §4.2.3).
    pub election_min: Duration,
    /// The most bytes of entries in one append.
    pub append_bytes: usize,
    /// How much may be under way to one follower.
    pub window: Window,
    /// The most bytes a leader takes in before they are committed.
    pub uncommitted_bytes: usize,
    /// Mistakes to make.
    pub bugs: Bugs,
}

impl Config {
    /// The usual limits for this cluster: 256 KiB an append, 64 appends or 4 MiB under way to a
    /// follower, 64 MiB uncommitted, elections after 300 ms.
    pub fn new(id: NodeId, voters: Voters) -> Config {
        Config {
            id,
            voters,
            election_min: Duration::from_millis(300),
            append_bytes: 256 << 10,
            window: Window { messages: 64, bytes: 4 << 20 },
            uncommitted_bytes: 64 << 20,
            bugs: Bugs::none(),
        }
    }
}

/// What the disk remembered.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Restored {
    /// Term and vote.
    pub hard: HardState,
    /// The log, from its first entry.
    pub log: Suffix,
}

impl Default for Restored {
    fn default() -> Restored {
        let log = Suffix::new(EntryId::default(), Vec::new()).expect("an empty run has no gaps");
        Restored { hard: HardState::default(), log }
    }
}

/// A Raft node: everything it knows, and nothing that acts.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Raft {
    pub(crate) config: Config,
    pub(crate) now: Now,
    pub(crate) hard: HardState,
    pub(crate) log: Log,
    pub(crate) commit: Index,
    pub(crate) standing: Standing,
    /// When a leader was last heard; while that is fresh, nobody else gets our vote.
    pub(crate) heard: Option<Mono>,
    /// No vote before this moment: after a restart we have forgotten whom we heard.
    silent_until: Option<Mono>,
    applied: Index,
    writes: Writes,
}

/// What we are in this term.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Standing {
    Follower {
        leader: Option<NodeId>,
    },
    PreCandidate {
        granted: BTreeSet<NodeId>,
    },
    /// Our own vote counts like any other: once it is on disk, with this write.
    Candidate {
        granted: BTreeSet<NodeId>,
        own: PersistId,
    },
    Leader(Leader),
}

/// What this step wants written, and what earlier steps wanted and has not been reported done.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Writes {
    /// The hard state as it was last handed over.
    handed: HardState,
    /// The suffix that this step writes.
    suffix: Option<Suffix>,
    /// Numbers the writes.
    last: PersistId,
    /// Outstanding, in order: the first index each touches (if any) and whether it holds a hard state.
    outstanding: VecDeque<(PersistId, Option<Index>, bool)>,
}

impl Raft {
    /// A node that starts, or starts again with what its disk remembered. It begins as a follower;
    /// its first output arms the election timer.
    pub fn restart(mut config: Config, restored: Restored, now: Now, out: &mut Output) -> Raft {
        let used = restored != Restored::default();
        let silent_until = used.then(|| now.mono.after(config.election_min));
        out.arm.insert(Timer::Election);
        let mut hard = restored.hard;
        if config.bugs.has(Bug::ForgetVote) {
            hard.vote = None;
        }
        if config.bugs.has(Bug::ForgetTerm) && hard.term > restored.log.last().term {
            hard = HardState { term: restored.log.last().term, vote: None };
        }
        if config.bugs.has(Bug::CountHalf) {
            config.voters = config.voters.miscounted();
        }
        Raft {
            now,
            hard,
            log: Log::new(restored.log),
            commit: Index(0),
            standing: Standing::Follower { leader: None },
            heard: None,
            silent_until,
            applied: Index(0),
            writes: Writes { handed: hard, ..Writes::default() },
            config,
        }
    }

    /// Takes one input and says what is owed for it. Inputs that a correct cluster cannot produce
    /// end in [`Output::halt`], never in a panic; the asserts guard what only this code could break.
    pub fn step(&mut self, now: Now, input: Input, out: &mut Output) {
        self.now = now.max(self.now);
        match input {
            Input::Receive(envelope) => self.receive(envelope, out),
            Input::Timeout(Timer::Election) => self.on_election_timeout(out),
            Input::Timeout(Timer::Heartbeat) => self.on_heartbeat_timeout(out),
            Input::Persisted(id) => self.on_persisted(id, out),
            Input::Propose(proposals) => self.propose(proposals, out),
            Input::Read(ids) => self.read(ids, out),
        }
        self.hand_over_committed(out);
        self.hand_over_writes(out);
    }

    fn receive(&mut self, envelope: Envelope, out: &mut Output) {
        let Envelope { from, to, term, message } = envelope;
        let ours = to == self.config.id && from != to && self.config.voters.contains(from);
        if !ours || term >= Term::BEYOND {
            return;
        }
        let asks_for_vote = matches!(message, Message::RequestVote { .. } | Message::RequestPreVote { .. });
        if asks_for_vote && term >= self.hard.term && self.loyal() {
            return;
        }
        let deaf = self.leading().is_some() && self.config.bugs.has(Bug::IgnoreGreaterTerm);
        if term > self.hard.term && !deaf {
            self.enter(term, out);
        }
        let current = term == self.hard.term;
        match message {
            Message::Forward { proposals } => self.on_forward(from, proposals, out),
            Message::ForwardRead { ids } => self.on_forward_read(from, ids, out),
            Message::Refused { ids } => self.on_refused(ids, out),
            Message::ReadAt { ids, index } => self.on_read_at(ids, index, out),
            Message::RequestPreVote { .. }
            | Message::RequestVote { .. }
            | Message::Append { .. }
            | Message::Heartbeat { .. }
                if !current =>
            {
                self.send_now(from, Message::Outdated, out);
            }
            Message::RequestPreVote { last } => self.on_request_pre_vote(from, last, out),
            Message::RequestVote { last } => self.on_request_vote(from, last, out),
            Message::Append { suffix, commit } => self.on_append(from, suffix, commit, out),
            Message::Heartbeat { round, commit } => self.on_heartbeat(from, round, commit, out),
            // An answer to a question of another term answers nothing.
            _ if !current && !self.config.bugs.has(Bug::CountOldAnswers) => {}
            Message::PreVote { granted } => self.on_pre_vote(from, granted, out),
            Message::Vote { granted } => self.on_vote(from, granted, out),
            Message::Matched { upto } => self.on_matched(from, upto, out),
            Message::Diverged { after, probe } => self.on_diverged(from, after, probe, out),
            Message::HeartbeatReply { round } => self.on_heartbeat_reply(from, round, out),
            Message::Outdated => {}
        }
    }

    /// A term greater than ours exists: whatever we were, we follow in it, and have not voted in it.
    pub(crate) fn enter(&mut self, term: Term, out: &mut Output) {
        assert!(term > self.hard.term, "terms only grow");
        self.hard = HardState { term, vote: None };
        self.follow(None, out);
    }

    /// Follows `leader`, or waits for one, in the present term.
    pub(crate) fn follow(&mut self, leader: Option<NodeId>, out: &mut Output) {
        let before = std::mem::replace(&mut self.standing, Standing::Follower { leader });
        if let Standing::Leader(leader) = before {
            leader.resign(self, out);
            out.arm.insert(Timer::Election);
        }
    }

    /// Whether we believe in a leader so firmly that we help nobody against it. A leader believes in
    /// itself; a node that just restarted may have promised and forgotten.
    fn loyal(&self) -> bool {
        let silent = self.silent_until.is_some_and(|until| self.now.mono < until);
        let heard = self.heard.is_some_and(|at| self.now.mono.since(at) < self.config.election_min);
        silent || heard || matches!(self.standing, Standing::Leader(_))
    }

    fn on_persisted(&mut self, id: PersistId, out: &mut Output) {
        while self.writes.outstanding.front().is_some_and(|(first, ..)| *first <= id) {
            self.writes.outstanding.pop_front();
        }
        match &mut self.standing {
            Standing::Candidate { granted, own } if *own <= id => {
                granted.insert(self.config.id);
                self.count_votes(out);
            }
            Standing::Leader(_) => self.advance_commit(out),
            _ => {}
        }
    }

    /// How much of our own log is surely on disk: below every index that an outstanding write
    /// touches. An entry's name could not tell: 7@t1 may be written, truncated and written again.
    pub(crate) fn durable(&self) -> Index {
        if self.config.bugs.has(Bug::CountUnsynced) {
            return self.log.last().index;
        }
        let touched = self.writes.outstanding.iter().filter_map(|(_, first, _)| *first).min();
        touched.map_or(self.log.last().index, Index::previous)
    }

    /// The number that this step's write will have.
    pub(crate) fn this_write(&self) -> PersistId {
        PersistId(self.writes.last.0 + 1)
    }

    /// Puts `suffix` into the log, and onto this step's bill.
    pub(crate) fn write(&mut self, suffix: Suffix) {
        assert!(self.writes.suffix.is_none(), "a step writes one run of entries");
        self.log.replace(suffix.clone());
        self.writes.suffix = Some(suffix);
    }

    fn hand_over_writes(&mut self, out: &mut Output) {
        let hard = (self.hard != self.writes.handed).then_some(self.hard);
        let suffix = self.writes.suffix.take();
        if hard.is_none() && suffix.is_none() {
            return;
        }
        let id = self.this_write();
        self.writes.last = id;
        self.writes.handed = self.hard;
        self.writes.outstanding.push_back((id, suffix.as_ref().map(Suffix::first_index), hard.is_some()));
        out.persist.push(Persist { id, hard, suffix });
    }

    fn hand_over_committed(&mut self, out: &mut Output) {
        assert!(self.commit <= self.log.last().index, "what is committed is in the log");
        out.apply.extend_from_slice(self.log.between(self.applied, self.commit));
        self.applied = self.commit;
    }

    /// Moves the commit index, never back.
    pub(crate) fn commit_upto(&mut self, index: Index) {
        self.commit = self.commit.max(index);
    }

    /// Sends something that promises nothing the disk does not hold yet.
    pub(crate) fn send_now(&self, to: NodeId, message: Message, out: &mut Output) {
        out.send_now.push(self.envelope(to, message));
    }

    /// Sends something once all writes so far are on disk.
    pub(crate) fn send_after(&self, to: NodeId, message: Message, out: &mut Output) {
        out.send_after.push(self.envelope(to, message));
    }

    /// Sends something that speaks for our term: at once if the disk knows the term, else after it does.
    pub(crate) fn send_in_term(&self, to: NodeId, message: Message, out: &mut Output) {
        let hard_under_way = self.writes.outstanding.iter().any(|(_, _, hard)| *hard);
        if hard_under_way || self.hard != self.writes.handed {
            self.send_after(to, message, out);
        } else {
            self.send_now(to, message, out);
        }
    }

    fn envelope(&self, to: NodeId, message: Message) -> Envelope {
        Envelope { from: self.config.id, to, term: self.hard.term, message }
    }

    /// Fences this node: what was said cannot be true.
    pub(crate) fn halt(why: Diverged, out: &mut Output) {
        out.halt.get_or_insert(why);
    }
}

/// What others may see.
impl Raft {
    /// Who we are.
    pub fn id(&self) -> NodeId {
        self.config.id
    }

    /// The present term.
    pub fn term(&self) -> Term {
        self.hard.term
    }

    /// The present role.
    pub fn role(&self) -> Role {
        match &self.standing {
            Standing::Follower { .. } => Role::Follower,
            Standing::PreCandidate { .. } => Role::PreCandidate,
            Standing::Candidate { .. } => Role::Candidate,
            Standing::Leader(_) => Role::Leader,
        }
    }

    /// Who leads, as far as we know.
    pub fn leader(&self) -> Option<NodeId> {
        match &self.standing {
            Standing::Follower { leader } => *leader,
            Standing::Leader(_) => Some(self.config.id),
            Standing::PreCandidate { .. } | Standing::Candidate { .. } => None,
        }
    }

    /// How far the log is committed, as far as we know.
    pub fn commit(&self) -> Index {
        self.commit
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Term and vote.
    pub fn hard(&self) -> HardState {
        self.hard
    }

    /// Who decides.
    pub fn voters(&self) -> &Voters {
        &self.config.voters
    }
}

/// `n2@t3 follower(n1) vote=n1 log=7@t3 commit=6`: role, then only what is not at its beginning.
impl fmt::Display for Raft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{} ", self.config.id, self.hard.term)?;
        let voters = self.config.voters.len();
        match &self.standing {
            Standing::Follower { leader: None } => f.write_str("follower")?,
            Standing::Follower { leader: Some(leader) } => write!(f, "follower({leader})")?,
            Standing::PreCandidate { granted } => write!(f, "pre-candidate({}/{voters})", granted.len())?,
            Standing::Candidate { granted, .. } => write!(f, "candidate({}/{voters})", granted.len())?,
            Standing::Leader(_) => f.write_str("leader")?,
        }
        if let Some(vote) = self.hard.vote {
            write!(f, " vote={vote}")?;
        }
        if self.log.last() != EntryId::default() {
            write!(f, " log={}", self.log.last())?;
        }
        if self.commit != Index(0) {
            write!(f, " commit={}", self.commit)?;
        }
        Ok(())
    }
}
