//! The shipped Raft core under the checker.
//!
//! A state is a whole cluster: each node with its disk, what is under way, what clients were told, what the
//! invariants know, and what is left of the budget. A step is one thing that happens: a message arrives, a timer
//! runs out, a write is done, a node crashes, a client asks. The core decides what comes of it; nothing here looks into
//! a message or a log.
//!
//! **Time stands still**, and the shortest election timeout is zero. So any timer may run out at any moment, and
//! nobody is loyal to a leader, or silent after a start. Those rules only ever *forbid* a step: without
//! them the cluster does everything that it does with them, whatever its clocks are like, and more. (What rests on
//! clocks for its safety, as leases do, needs a model in which they move.) So a profile may have [`Clocks`]: then time
//! passes in steps, paid for by the budget, and no election timer runs out before it may. Each clock runs at a rate of
//! its own, as wrong as is allowed, and the same throughout: the leader's slow, the others' fast. Between two steps
//! anything may happen, at that very moment.
//!
//! **What is judged**: [`Invariants`], the same value that watches over scripts and simulated lives, is told of
//! every step; what it knows is a part of the state, since a property may be about what was once true. (It costs
//! little: two clusters that have done different things are seldom in the same state.) Beside it, what clients are told
//! must be possible for a register; no node may fence itself, since no disk is lost; no assertion of the core may
//! fail; and where a story ends, the cluster that is left in peace must come to serve.
//!
//! **What is not tried twice**, and why nothing is missed:
//! - *Steps from which nothing comes.* If a message changes nothing and is answered by nothing, the state after it
//!   is the state before without the message, and without it no more can happen.
//! - *Nodes in another order.* Nodes are told apart by their names only, and no name counts more than
//!   another. So the nodes of any story can be renamed in the order in which they first do something, and then it
//!   is a story in which n1 does so first, n2 next; only those are tried. (After an opening, none is renamed.)
//! - *Losing a message*, where messages may overtake each other: not arriving for ever is as good.
//! - *Being down*, and *a crash that keeps some of the writes*: see `node.rs`.
//! - *Dead messages*: see `burial.rs`.
mod burial;
mod cause;
pub(crate) mod explore;
pub(crate) mod milestone;
mod node;
mod opening;
pub(crate) mod profile;
mod rest;
mod state;
pub(crate) mod story;

use std::fmt;
use std::sync::Arc;

use raft::{Bugs, Diverged, Envelope, Invariants, NodeId, Violation, Voters};
use smallvec::SmallVec;
use stateright::{Model, Property};

use crate::mark::{Mark, Memo, Pool};
use crate::ops::{MOST, Ops};
use crate::panics;
use cause::{
    ABANDON, BEAT, CHANGE, CRASH, ELECT, FETCH, LARGE, PASS, READ, SNAPSHOT, SYNC, TEAR, TRANSFER, WRITE,
};
use milestone::{Met, Milestone, Milestones};
use node::{Cause, Heard, Make, Node, Played, Told};
use profile::Profile;
pub use state::{Letter, Move, State};
use state::{Traits, place};

/// What went wrong.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum End {
    /// A property of the cluster does not hold.
    Broken(Violation),
    /// A node fenced itself, though no disk was lost.
    Halted(NodeId, Diverged),
    /// An assertion of the core failed.
    Asserted(NodeId, String),
    /// Clients were told what no register can have done.
    NotLinearizable(String),
    /// Left in peace, the cluster does not come to serve: how the nodes stand then.
    Stuck(String),
}

impl End {
    /// The name of what was broken.
    pub fn against(&self) -> &'static str {
        match self {
            End::Broken(violation) => violation.property().name(),
            End::Halted(..) => HALTED,
            End::Asserted(..) => ASSERTED,
            End::NotLinearizable(_) => LINEARIZABLE,
            End::Stuck(_) => SERVES,
        }
    }
}

/// What `stateright` is asked to hold. What was broken when it does not is a matter of the [`End`].
const NOTHING_WRONG: &str = "nothing goes wrong";
const HALTED: &str = "no node is fenced";
const ASSERTED: &str = "assertions hold";
const LINEARIZABLE: &str = "linearizable";
const SERVES: &str = "left in peace, the cluster serves";

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Broken(violation) => violation.fmt(f),
            End::Halted(node, why) => write!(f, "{node} halts: {why}"),
            End::Asserted(node, said) => write!(f, "{node} asserts: {said}"),
            End::Stuck(nodes) => write!(f, "left in peace, the cluster does not come to serve: {nodes}"),
            End::NotLinearizable(ops) => write!(f, "no register can have answered like this: {ops}"),
        }
    }
}

/// What comes of something that happens to a node: the same whatever the rest of the cluster is like.
struct Turn {
    node: Mark,
    sent: Box<[Mark]>,
    heard: SmallVec<[Heard; 1]>,
    met: Milestones,
    end: Option<Mark>,
    /// The node is as before, and said nothing to anybody.
    quiet: bool,
    /// It heard a message which it will never make anything of.
    dead: bool,
}

/// Every cluster of a profile.
pub struct RaftModel {
    profile: Profile,
    make: Make,
    nodes: Pool<Node>,
    letters: Pool<Envelope>,
    laws: Pool<Invariants>,
    ends: Pool<End>,
    turns: Memo<(Mark, Mark), Arc<Turn>>,
    verdicts: Memo<(Mark, Mark, Mark), Result<Mark, Mark>>,
    peace: Memo<SmallVec<[Mark; 3]>, Option<Mark>>,
    met: Met,
    /// Whether dead messages are taken away.
    burying: bool,
}

impl RaftModel {
    /// The clusters of `profile`, whose nodes make these mistakes.
    pub fn new(profile: Profile, bugs: Bugs) -> RaftModel {
        let budget = profile.budget;
        assert!(usize::from(budget.writes) + usize::from(budget.reads) <= MOST, "a profile has few ops");
        RaftModel {
            profile,
            make: Make {
                voters: Voters::new((1..=profile.voters).map(NodeId)),
                append_bytes: if profile.small_appends { 1 } else { 1 << 20 },
                tail: profile.tail,
                bugs,
                clocks: profile.clocks,
                changes: profile.all_changes().into_iter().map(cause::changes).collect(),
                quick_disks: profile.quick_disks,
            },
            nodes: Pool::new(),
            letters: Pool::new(),
            laws: Pool::new(),
            ends: Pool::new(),
            turns: Memo::new(),
            verdicts: Memo::new(),
            peace: Memo::new(),
            met: Met::default(),
            burying: !profile.in_order,
        }
    }

    /// The bounds.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// What went wrong in `state`, if anything did.
    pub fn end(&self, state: &State) -> Option<Arc<End>> {
        state.end.map(|end| self.ends.get(end))
    }

    /// What the profile is there for, and no state that was looked at has met so far.
    pub fn missed(&self) -> Vec<Milestone> {
        self.profile.meets.iter().copied().filter(|milestone| !self.has_met(*milestone)).collect()
    }

    /// Whether this has happened in any state so far.
    pub fn has_met(&self, milestone: Milestone) -> bool {
        self.met.so_far().has(milestone)
    }

    /// How many different nodes, messages and states of the invariants there were, and how many turns were really
    /// played and judged.
    pub fn parts(&self) -> [(&'static str, usize); 5] {
        [
            ("nodes", self.nodes.len()),
            ("messages", self.letters.len()),
            ("histories", self.laws.len()),
            ("steps", self.turns.len()),
            ("judgements", self.verdicts.len()),
        ]
    }

    fn keep_node(&self, node: Node) -> Mark {
        let tag = Traits::tag(&node, &self.make);
        self.nodes.keep(node, tag)
    }

    /// What happens to the node of that mark, by the mark of what happens.
    fn play(&self, node: Mark, cause: Mark, make: &Make) -> Result<Played, String> {
        let node = self.nodes.get(node);
        let envelope;
        let number = cause.0 >> 8;
        let [_, small, ..] = cause.0.to_le_bytes();
        let cause = match cause.0 & 0xff {
            _ if cause.0 >= LARGE => {
                envelope = self.letters.get(cause);
                Cause::Hear(&envelope)
            }
            ELECT => Cause::Elect,
            BEAT => Cause::Beat,
            SYNC => Cause::Sync,
            CRASH => Cause::Crash,
            TEAR => Cause::Tear,
            WRITE => Cause::Write(number),
            READ => Cause::Read(number),
            CHANGE => Cause::Change(number),
            TRANSFER => Cause::Transfer(NodeId(small.into())),
            ABANDON => Cause::Abandon,
            SNAPSHOT => Cause::Snapshot,
            FETCH => Cause::Fetch(small),
            _ => Cause::Pass,
        };
        panics::caught(|| node.play(cause, make))
    }

    fn turn(&self, node: Mark, cause: Mark) -> Arc<Turn> {
        self.turns.answer((node, cause), |_| {
            let mut turn = self.find_turn(node, self.play(node, cause, &self.make));
            turn.dead = turn.quiet && cause.0 >= LARGE && self.is_old(node, cause);
            let arrives = |sent: &&Mark| !self.profile.parts(Letter(**sent).from(), Letter(**sent).to());
            turn.sent = turn.sent.iter().filter(arrives).copied().collect();
            Arc::new(turn)
        })
    }

    fn find_turn(&self, before: Mark, played: Result<Played, String>) -> Turn {
        let id = self.nodes.get(before).core().id();
        let nothing = Turn {
            node: before,
            sent: Box::default(),
            heard: SmallVec::new(),
            met: Milestones::default(),
            end: None,
            quiet: false,
            dead: false,
        };
        let played = match played {
            Ok(played) => played,
            Err(said) => return Turn { end: Some(self.keep_end(End::Asserted(id, said))), ..nothing },
        };
        // A node that nobody has started yet hears nothing.
        let there = |sent: &&Envelope| sent.to.0 <= self.profile.nodes;
        let sent = played.sent().filter(there);
        let sent: Box<[Mark]> = sent.map(|sent| self.letters.keep(sent.clone(), Letter::tag(sent))).collect();
        let end = played.halted.map(|why| self.keep_end(End::Halted(id, why)));
        let node = self.keep_node(played.node);
        let quiet = node == before && sent.is_empty() && played.heard.is_empty() && end.is_none();
        Turn { node, sent, heard: played.heard.into(), met: played.met, end, quiet, dead: false }
    }

    fn keep_end(&self, end: End) -> Mark {
        self.ends.keep(end, 0)
    }

    /// What the invariants know after `cause` happened to `node`, or what they say is broken.
    fn judge(&self, law: Mark, node: Mark, cause: Mark) -> Result<Mark, Mark> {
        self.verdicts.answer((law, node, cause), |_| match self.play(node, cause, &self.make) {
            Ok(played) => self.find_verdict(law, node, &played),
            // That is an end of its own.
            Err(_) => Ok(law),
        })
    }

    fn find_verdict(&self, law: Mark, node: Mark, played: &Played) -> Result<Mark, Mark> {
        let id = self.nodes.get(node).core().id();
        let mut law = (*self.laws.get(law)).clone();
        let verdict = played.told.iter().try_for_each(|told| match told {
            Told::Asked(read) => {
                law.asked(*read);
                Ok(())
            }
            Told::Stepped(core) => law.observe(core),
            Told::Started(core) => law.restarted(core),
            Told::Sent(envelope) if self.profile.remember_messages => law.sent(envelope),
            Told::Sent(_) => Ok(()),
            Told::Executed(entry) => law.applied(id, entry),
            Told::Answered(answer) => law.answered(id, answer),
        });
        match verdict {
            Ok(()) => Ok(self.laws.keep(law, 0)),
            Err(violation) => Err(self.keep_end(End::Broken(violation))),
        }
    }

    /// The cluster before anything happened.
    fn blank(&self) -> State {
        let mut law = Invariants::default();
        let nodes = self.ids().map(|id| {
            let node = Node::blank(id, &self.make);
            law.restarted(node.core()).expect("a blank node breaks nothing");
            self.keep_node(node)
        });
        let nodes = nodes.collect();
        State {
            nodes,
            mail: Box::default(),
            law: self.laws.keep(law, 0),
            ops: Ops::default(),
            left: self.profile.budget,
            awake: 0,
            end: None,
        }
    }

    /// Everybody who runs, whether a member or not.
    fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (1..=self.profile.nodes).map(NodeId)
    }

    /// Whether its election timer may run out at all.
    fn runs(&self, node: NodeId) -> bool {
        self.profile.runs.is_empty() || self.profile.runs.contains(&node.0)
    }

    /// What a node gets that fetches the snapshot it was offered, if that is still to be had.
    fn offered(&self, nodes: &[Mark], node: NodeId) -> Option<Mark> {
        let (from, index) = self.nodes.get(nodes[place(node)]).wanted()?;
        let value = self.nodes.get(nodes[place(from)]).saved(index)?;
        Some(Mark(FETCH | u64::from(value) << 8))
    }

    /// Whether `node` may do something: those that have done nothing yet are alike, so they begin in the order of
    /// their names.
    fn may_act(state: &State, node: NodeId) -> bool {
        place(node) <= usize::from(state.awake)
    }

    /// The messages that may arrive next.
    fn deliverable<'a>(&'a self, state: &'a State) -> impl Iterator<Item = Letter> + 'a {
        let in_order = self.profile.in_order;
        state
            .mail
            .iter()
            .enumerate()
            .filter(move |(at, mark)| {
                let before = at.checked_sub(1).map(|before| state.mail[before]);
                match before {
                    // Sorted by links, in the order in which they were sent: the first of each may arrive.
                    Some(before) if in_order => before.tag() != mark.tag(),
                    // Sorted by marks: of equal messages one is enough.
                    Some(before) => before != **mark,
                    None => true,
                }
            })
            .map(|(_, mark)| Letter(*mark))
    }

    /// What comes of a move; `None` if nothing does.
    fn moved(&self, state: &State, step: Move) -> Option<State> {
        let mut next = state.clone();
        next.left.spend(step);
        if step == Move::Pass {
            for node in &mut next.nodes {
                *node = self.turn(*node, Mark(PASS)).node;
            }
            next.end = if self.is_over(&next) { self.stuck(&next.nodes) } else { None };
            return Some(next);
        }
        let (node, cause) = self.cause(state, step);
        if let Move::Lose(letter) = step {
            self.met.add(Milestones::of(Milestone::Lost));
            next.mail = without(&state.mail, letter.0);
            next.end = if self.is_over(&next) { self.stuck(&next.nodes) } else { None };
            return Some(next);
        }
        let before = state.nodes[place(node)];
        let turn = self.turn(before, cause);
        let opens = matches!(step, Move::Deliver(_)) && self.profile.in_order;
        if turn.quiet && !opens {
            return None;
        }
        let mail = match step {
            Move::Deliver(letter) => without(&state.mail, letter.0),
            _ => state.mail.clone(),
        };
        next.mail = self.with(mail, &turn.sent);
        next.nodes[place(node)] = turn.node;
        if self.burying {
            self.bury(&mut next, node, &turn.sent);
        }
        next.awake = next.awake.max(u8::try_from(node.0).expect("nodes are few"));
        match step {
            Move::Write(_) => {
                next.ops.write();
            }
            Move::Read(_) => next.ops.read(),
            _ => {}
        }
        next.end = turn.end;
        match self.judge(state.law, before, cause) {
            Ok(law) => next.law = law,
            Err(end) => next.end = Some(end),
        }
        self.answer(&mut next, &turn.heard);
        self.note(state, step, &turn);
        if next.end.is_none() && self.is_over(&next) {
            next.end = self.stuck(&next.nodes);
        }
        Some(next)
    }

    /// Clients hear this.
    fn answer(&self, state: &mut State, heard: &[Heard]) {
        for heard in heard {
            if !state.ops.answered(heard.number, heard.found) && state.end.is_none() {
                state.end = Some(self.keep_end(End::NotLinearizable(state.ops.to_string())));
            }
        }
    }

    fn note(&self, state: &State, step: Move, turn: &Turn) {
        let mut met = turn.met;
        if met.has(Milestone::Leader) && state.nodes.iter().any(|node| Traits::of(*node).leads()) {
            met.add(Milestone::TwoLeaders);
        }
        if let Move::Twice(_) = step {
            met.add(Milestone::Twice);
        }
        self.met.add(met);
    }

    fn with(&self, mail: Box<[Mark]>, sent: &[Mark]) -> Box<[Mark]> {
        if sent.is_empty() {
            return mail;
        }
        let mut mail = mail.into_vec();
        mail.extend_from_slice(sent);
        if self.profile.in_order {
            // Stable: what was sent later on a link stays behind.
            mail.sort_by_key(|mark| mark.tag());
        } else {
            mail.sort_unstable();
        }
        mail.into()
    }
}

/// The mail without the first message of that mark.
fn without(mail: &[Mark], letter: Mark) -> Box<[Mark]> {
    let at = mail.iter().position(|mark| *mark == letter).expect("a message that arrives was under way");
    mail.iter().enumerate().filter(|(place, _)| *place != at).map(|(_, mark)| *mark).collect()
}

impl Model for RaftModel {
    type State = State;
    type Action = Move;

    fn init_states(&self) -> Vec<State> {
        vec![self.opened().state]
    }

    fn actions(&self, state: &State, moves: &mut Vec<Move>) {
        if state.end.is_some() {
            return;
        }
        let left = state.left;
        for letter in self.deliverable(state).filter(|letter| RaftModel::may_act(state, letter.to())) {
            moves.push(Move::Deliver(letter));
            if left.duplicates > 0 {
                moves.push(Move::Twice(letter));
            }
            if left.losses > 0 {
                moves.push(Move::Lose(letter));
            }
        }
        if left.time > 0 {
            moves.push(Move::Pass);
        }
        for node in self.ids().filter(|node| RaftModel::may_act(state, *node)) {
            let traits = Traits::of(state.nodes[place(node)]);
            let asked = traits.leads() || self.profile.ask_anyone;
            let can = [
                (left.elections > 0 && traits.is_ripe() && self.runs(node), Move::Elect(node)),
                (left.heartbeats > 0 && traits.leads(), Move::Beat(node)),
                (traits.writes(), Move::Sync(node)),
                (left.crashes > 0, Move::Crash(node)),
                (left.crashes > 0 && traits.can_tear(), Move::Tear(node)),
                (left.writes > 0 && asked, Move::Write(node)),
                (left.reads > 0 && asked, Move::Read(node)),
                (traits.gives_away(), Move::Abandon(node)),
                (left.snapshots > 0, Move::Snapshot(node)),
                (traits.wants() && self.offered(&state.nodes, node).is_some(), Move::Fetch(node)),
            ];
            moves.extend(can.into_iter().filter(|(can, _)| *can).map(|(_, step)| step));
            if left.changes > 0 && traits.leads() {
                moves.extend((0..).zip(self.profile.changes).map(|(number, _)| Move::Change(node, number)));
            }
            if left.transfers > 0 && traits.leads() {
                let others = self.ids().filter(|other| *other != node);
                moves.extend(others.map(|other| Move::Transfer(node, other)));
            }
        }
    }

    fn next_state(&self, state: &State, step: Move) -> Option<State> {
        self.moved(state, step)
    }

    fn properties(&self) -> Vec<Property<RaftModel>> {
        vec![Property::always(NOTHING_WRONG, |_, state: &State| state.end.is_none())]
    }
}
