//! The node as a value, and the one function that moves it.
//!
//! `step` does all the branching that depends on *what came in*: the modules beside this one say
//! what each role does with it. Here stands what every step has in common: a greater term deposes,
//! writes are numbered and handed over at the end, and a reply that promises something waits for
//! the disk.

mod canonical;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::bug::{Bug, Bugs};
use crate::checkpoint::Checkpoint;
use crate::entry::Suffix;
use crate::ids::{EntryId, Index, Mono, NodeId, Now, Term};
use crate::leader::Leader;
use crate::lease::Lease;
use crate::log::Log;
use crate::membership::Membership;
use crate::message::{Envelope, Message};
use crate::progress::Window;
use crate::seam::{Diverged, HardState, Input, Output, Persist, PersistId, Role, Timer};
use crate::snapshot::Tail;
use crate::transfer::Transfer;

/// What a node must know before it starts. Who else there is stands in its log.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Config {
    /// Who we are.
    pub id: NodeId,
    /// The shortest time without a leader after which a node may run for election. As long as a node
    /// heard from a leader within it, it helps nobody else to become one (dissertation §4.2.3).
    pub election_min: Duration,
    /// The most bytes of entries in one append.
    pub append_bytes: usize,
    /// The most bytes in one entry.
    pub entry_bytes: usize,
    /// How much may be under way to one follower.
    pub window: Window,
    /// The most bytes a leader takes in before they are committed.
    pub uncommitted_bytes: usize,
    /// How many entries a learner may lack and still be made a voter.
    pub catch_up: u64,
    /// How much of the log is kept behind a snapshot.
    pub tail: Tail,
    /// Whether reads may rest on a lease, and how far clocks are trusted for it.
    pub lease: Option<Lease>,
    /// Mistakes to make.
    pub bugs: Bugs,
}

impl Config {
    /// The usual limits: 256 KiB an append, 32 MiB an entry, 64 appends or 4 MiB under way to a follower, 64 MiB
    /// uncommitted, elections after 300 ms, voters that lack at most 1,000 entries, no leases.
    pub fn new(id: NodeId) -> Config {
        Config {
            id,
            election_min: Duration::from_millis(300),
            append_bytes: 256 << 10,
            entry_bytes: 32 << 20,
            window: Window { messages: 64, bytes: 4 << 20 },
            uncommitted_bytes: 64 << 20,
            catch_up: 1000,
            tail: Tail::default(),
            lease: None,
            bugs: Bugs::none(),
        }
    }
}

/// What the disk remembered.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Restored {
    /// Term and vote.
    pub hard: HardState,
    /// The log, on the checkpoint of the snapshot that the state machine was restored from.
    pub log: Log,
}

impl Restored {
    /// A blank disk, in a cluster that starts with these members; with none, a node that waits to be made one.
    pub fn blank(membership: Membership) -> Restored {
        let log = Log::new(Checkpoint::genesis(membership), Suffix::default());
        Restored { hard: HardState::default(), log: log.expect("nothing continues the beginning") }
    }

    /// Whether the node has lived before.
    fn used(&self) -> bool {
        self.hard != HardState::default() || self.log.last() != EntryId::default()
    }
}

/// A Raft node: everything it knows, and nothing that acts.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Raft {
    pub(crate) config: Config,
    pub(crate) now: Now,
    pub(crate) hard: HardState,
    pub(crate) log: Log,
    /// Who belongs to the cluster, by the log; or by a bug's reading of it.
    pub(crate) membership: Arc<Membership>,
    pub(crate) commit: Index,
    pub(crate) standing: Standing,
    /// The lead is being given away.
    pub(crate) transfer: Option<Transfer>,
    /// When a leader was last heard; while that is fresh, nobody else gets our vote.
    pub(crate) heard: Option<Mono>,
    /// No vote before this moment: after a restart we have forgotten whom we heard.
    silent_until: Option<Mono>,
    /// The latest snapshot that can be offered.
    pub(crate) snapshot: Checkpoint,
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
    /// The checkpoint on which this step puts the log.
    base: Option<Checkpoint>,
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
    pub fn restart(config: Config, restored: Restored, now: Now, out: &mut Output) -> Raft {
        let silent_until = restored.used().then(|| now.mono.after(config.election_min));
        out.arm.insert(Timer::Election);
        let Restored { mut hard, log } = restored;
        if config.bugs.has(Bug::ForgetVote) {
            hard.vote = None;
        }
        if config.bugs.has(Bug::ForgetTerm) && hard.term > log.last().term {
            hard = HardState { term: log.last().term, vote: None };
        }
        let base = log.base().clone();
        let mut raft = Raft {
            now,
            hard,
            membership: Arc::default(),
            commit: base.index(),
            standing: Standing::Follower { leader: None },
            transfer: None,
            heard: None,
            silent_until,
            applied: base.index(),
            snapshot: base,
            writes: Writes { handed: hard, ..Writes::default() },
            log,
            config,
        };
        raft.read_membership();
        raft
    }

    /// The log may name other members now.
    fn read_membership(&mut self) {
        let bugs = self.config.bugs;
        self.membership = self.log.membership().clone();
        if bugs.has(Bug::CountHalf) {
            self.membership = Arc::new(Membership::clone(&self.membership).miscounted());
        }
        if bugs.has(Bug::CountNewOnly) {
            self.membership = Arc::new(Membership::clone(&self.membership).new_only());
        }
        if bugs.has(Bug::CountLearners) {
            self.membership = Arc::new(Membership::clone(&self.membership).all_vote());
        }
        if bugs.has(Bug::CountRemoved) {
            self.membership = Arc::new(Membership::clone(&self.membership).nobody_leaves());
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
            Input::Timeout(Timer::Transfer) => self.on_transfer_timeout(out),
            Input::Transfer { id, to } => self.transfer(id, to, out),
            Input::Snapshotted(index) => self.on_snapshotted(index),
            Input::Fetched(checkpoint) => self.on_fetched(&checkpoint, out),
        }
        self.hand_over_committed(out);
        self.hand_over_writes(out);
    }

    fn receive(&mut self, envelope: Envelope, out: &mut Output) {
        let Envelope { from, to, term, message } = envelope;
        if to != self.config.id || from == to || term >= Term::BEYOND {
            return;
        }
        if self.disturbs(from, term, &message) {
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
            Message::Refused { ids, why } => self.refuse(None, ids, why, out),
            Message::ReadAt { ids, index } => self.on_read_at(ids, index, out),
            Message::RequestPreVote { .. }
            | Message::RequestVote { .. }
            | Message::Append { .. }
            | Message::Heartbeat { .. }
            | Message::Snapshot { .. }
                if !current =>
            {
                self.send_now(from, Message::Outdated, out);
            }
            Message::RequestPreVote { last } => self.on_request_pre_vote(from, last, out),
            Message::RequestVote { last, .. } => self.on_request_vote(from, last, out),
            Message::Append { suffix, commit } => self.on_append(from, suffix, commit, out),
            Message::Heartbeat { round, commit } => self.on_heartbeat(from, round, commit, out),
            // An answer to a question of another term answers nothing.
            _ if !current && !self.config.bugs.has(Bug::CountOldAnswers) => {}
            Message::PreVote { granted } => self.on_pre_vote(from, granted, out),
            Message::Vote { granted } => self.on_vote(from, granted, out),
            Message::Matched { upto } => self.on_matched(from, upto, out),
            Message::Diverged { after, probe } => self.on_diverged(from, after, probe, out),
            Message::HeartbeatReply { round } => self.on_heartbeat_reply(from, round, out),
            Message::Snapshot { checkpoint } => self.on_snapshot(from, checkpoint, out),
            Message::TimeoutNow => self.on_timeout_now(from, out),
            Message::Outdated | Message::Fetch { .. } | Message::Piece { .. } => {}
        }
    }

    /// Whether a message can only do harm: it asks for votes while we have a leader, unless that leader wants it;
    /// or it comes from a node that was removed, and speaks of a term that nobody else knows.
    fn disturbs(&self, from: NodeId, term: Term, message: &Message) -> bool {
        match message {
            Message::RequestVote { called: false, .. } | Message::RequestPreVote { .. } => {
                term >= self.hard.term && self.loyal()
            }
            // Who leads does so by somebody's votes, and may know more than we do of who belongs to the cluster.
            Message::RequestVote { called: true, .. }
            | Message::Append { .. }
            | Message::Heartbeat { .. }
            | Message::Snapshot { .. } => false,
            _ => term > self.hard.term && self.membership.removed(from),
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
        if let Some(leader) = leader {
            self.transferred(leader, out);
        }
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

    /// Puts `suffix` into the log, and onto this step's bill. What continues what this step wrote already becomes
    /// one run with it.
    pub(crate) fn write(&mut self, suffix: Suffix) {
        self.log.replace(suffix.clone());
        self.read_membership();
        self.writes.suffix = Some(match self.writes.suffix.take() {
            Some(first) => first.followed_by(suffix).expect("what a step writes twice continues itself"),
            None => suffix,
        });
    }

    /// Puts the log onto `base`, whose snapshot is on disk: it is executed, and committed.
    pub(crate) fn begin_anew(&mut self, base: Checkpoint, out: &mut Output) {
        assert!(self.writes.suffix.is_none(), "a step that begins anew wrote nothing before");
        self.log.reset(base.clone());
        self.read_membership();
        self.commit = base.index();
        self.applied = base.index();
        self.snapshot = base.clone();
        self.writes.base = Some(base.clone());
        out.install = Some(base);
    }

    fn hand_over_writes(&mut self, out: &mut Output) {
        let hard = (self.hard != self.writes.handed).then_some(self.hard);
        let base = self.writes.base.take();
        let suffix = self.writes.suffix.take();
        if hard.is_none() && suffix.is_none() && base.is_none() {
            return;
        }
        let id = self.this_write();
        self.writes.last = id;
        self.writes.handed = self.hard;
        let first = suffix.as_ref().map(Suffix::first_index);
        let touched = base.as_ref().map(|base| base.index().next()).or(first);
        self.writes.outstanding.push_back((id, touched, hard.is_some()));
        out.persist.push(Persist { id, base, hard, suffix });
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

    /// Who belongs to the cluster, as far as we know.
    pub fn membership(&self) -> &Arc<Membership> {
        &self.membership
    }

    /// Whether the cluster has decided that we belong to it no longer.
    pub fn removed(&self) -> bool {
        self.log.membership_since() <= self.commit && self.log.membership().removed(self.config.id)
    }

    /// How far the log was handed over to be executed.
    pub fn applied(&self) -> Index {
        self.applied
    }
}

/// `n2@t3 follower(n1) vote=n1 log=7@t3 commit=6`: role, then only what is not at its beginning.
impl fmt::Display for Raft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{} ", self.config.id, self.hard.term)?;
        let voters = self.membership.voters().len();
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
        if self.log.base().index() != Index(0) {
            write!(f, " base={}", self.log.base())?;
        }
        if self.log.membership_since() != Index(0) {
            write!(f, " members=[{}]", self.log.membership())?;
        }
        Ok(())
    }
}
