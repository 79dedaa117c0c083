//! From what cores were given, in whichever world they live, to a script that tells the same.
//!
//! A simulated life knows of each core what went into it, and when. That is told again to a [`Cluster`], move by
//! move: a message that was received is looked up among those under way; a write that was on disk is persisted; a
//! restart keeps as many writes as make the disk what it was. Where a move cannot be told it is left out, and
//! whether the story still holds is seen at its end: the same property must break.
//!
//! Then as many moves are left out as can be. What is left is told with time, and if it holds without, without.
//!
//! # What it cannot tell
//! Moves whose cause lies outside of the core and its writes: a disk that tore, forgot or rotted, answers that
//! never left the node. The story then ends well, and is no story.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::cluster::Cluster;
use super::command::{Command, Link, Shape};
use super::play::Wrong;
use crate::entry::Wanted;
use crate::ids::{EntryId, NodeId};
use crate::invariants::{Property, Violation};
use crate::message::Envelope;
use crate::raft::Raft;
use crate::seam::{HardState, Input, Role, Timer};

/// Something that a core was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Move {
    /// When, in nanoseconds.
    pub at: u64,
    /// Whose core.
    pub node: NodeId,
    /// What.
    pub what: What,
}

/// What a core was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// It started, on a disk with this term and vote, and a log that ends so.
    Started(HardState, EntryId),
    /// It ended.
    Ended,
    /// It took a step.
    Given(Input),
}

/// Moves, told again.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Told {
    /// What happens, without the cluster.
    commands: Vec<Command>,
    /// The first property that did not hold. Nothing is told after that.
    violation: Option<Violation>,
}

/// How many moves are told before what is left is taken as it is.
const BUDGET: usize = 2_000_000;

/// Tells a life again, and leaves out what does not matter for `property` to break: as much of it as comes to light
/// in two million moves, or until `stop` says so. `None` if it does not break.
///
/// # Errors
/// A cluster that this build cannot start.
pub fn retell(
    shape: &Shape,
    moves: &[Move],
    property: Property,
    stop: &dyn Fn() -> bool,
) -> Result<Option<String>, Wrong> {
    let breaks = |told: &Told| told.violation.as_ref().is_some_and(|broken| broken.property() == property);
    for clock in [Clock::Still, Clock::Runs] {
        let mut moves = moves.to_vec();
        if !breaks(&tell(shape, &moves, clock)?) {
            continue;
        }
        leave_out(&mut moves, stop, &mut |fewer| Ok(breaks(&tell(shape, fewer, clock)?)))?;
        return tell(shape, &moves, clock).map(|told| Some(written(shape, &told)));
    }
    Ok(None)
}

/// What becomes of the time between moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Clock {
    /// It is not told; an election timer that runs out takes as long as it takes at least.
    Still,
    /// It is told to the millisecond.
    Runs,
}

/// Tells these moves again, up to the first property that does not hold. Moves torn out of their order may bring
/// a core with a mistake to an assertion: that is another story.
fn tell(shape: &Shape, moves: &[Move], clock: Clock) -> Result<Told, Wrong> {
    let told = catch_unwind(AssertUnwindSafe(|| try_to_tell(shape, moves, clock)));
    told.unwrap_or(Ok(Told { commands: Vec::new(), violation: None }))
}

fn try_to_tell(shape: &Shape, moves: &[Move], clock: Clock) -> Result<Told, Wrong> {
    let mut teller = Teller { cluster: shape.start()?, commands: Vec::new(), clock, told: 0 };
    for next in moves {
        teller.tell(next);
        if teller.cluster.violation.is_some() {
            break;
        }
    }
    Ok(Told { commands: teller.commands, violation: teller.cluster.violation })
}

struct Teller {
    cluster: Cluster,
    commands: Vec<Command>,
    clock: Clock,
    /// How far time was told, in nanoseconds.
    told: u64,
}

impl Teller {
    fn tell(&mut self, next: &Move) {
        self.wait(next.at);
        let node = next.node;
        if !self.cluster.nodes.contains_key(&node) {
            return;
        }
        match &next.what {
            What::Started(hard, last) => self.start(node, *hard, *last),
            // What its disk kept is seen when it starts again.
            What::Ended => {}
            What::Given(input) => self.give(node, input),
        }
    }

    fn wait(&mut self, until: u64) {
        let passed = Duration::from_millis(until.saturating_sub(self.told) / 1_000_000);
        if self.clock == Clock::Runs && !passed.is_zero() {
            self.told += u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX);
            self.obey(Command::Wait(passed));
        }
    }

    fn give(&mut self, node: NodeId, input: &Input) {
        match input {
            Input::Receive(envelope) => self.receive(envelope),
            Input::Timeout(Timer::Election) => {
                let still = Duration::from_millis(300);
                let after = if self.clock == Clock::Still { still } else { Duration::ZERO };
                self.obey(Command::Timeout(node, after));
            }
            Input::Timeout(Timer::Heartbeat) => self.obey(Command::Heartbeat(node)),
            Input::Timeout(Timer::Transfer) => self.obey(Command::Abandon(node)),
            Input::Transfer { to, .. } => self.obey(Command::Transfer(node, *to)),
            Input::Snapshotted(_) => self.obey(Command::Snapshot(node)),
            Input::Fetched(_) => self.obey(Command::Fetch(node)),
            Input::Persisted(upto) => {
                let count = self.cluster.writes_upto(node, *upto);
                if count > 0 {
                    self.obey(Command::Persist(node, count));
                }
            }
            Input::Propose(proposals) => {
                for proposal in proposals {
                    let seq = proposal.request.id.seq;
                    self.obey(match &proposal.wanted {
                        Wanted::Session => Command::Propose(node, format!("open{seq}")),
                        Wanted::Command(_) => Command::Propose(node, format!("x{seq}")),
                        Wanted::Change(changes) => Command::Change(node, changes.clone()),
                    });
                }
            }
            Input::Read(reads) => {
                for _ in reads {
                    self.obey(Command::Read(node));
                }
            }
        }
    }

    /// The message is looked up by what it says, without the content of its entries: those have other names here.
    fn receive(&mut self, envelope: &Envelope) {
        let link = Link { from: envelope.from, to: envelope.to };
        let says = envelope.to_string();
        let mine = self.cluster.mail.iter().filter(|mail| link.has(mail));
        let which = mine.map(ToString::to_string).position(|mail| mail == says);
        if let Some(which) = which {
            self.obey(Command::DeliverOne(link, which + 1));
        } else if self.cluster.last_heard(link.from, link.to).is_some_and(|last| last.to_string() == says) {
            self.obey(Command::Repeat(link));
        }
    }

    /// A node starts for the first time, which a script need not say, or again: then as many writes reached the disk
    /// as make it what it was.
    fn start(&mut self, node: NodeId, hard: HardState, last: EntryId) {
        let Some(known) = self.cluster.nodes.get(&node) else {
            self.obey(Command::Join(node));
            return;
        };
        let blank = (HardState::default(), EntryId::default());
        let untouched =
            |raft: &Raft| (raft.hard(), raft.log().last()) == blank && raft.role() == Role::Follower;
        if known.raft.as_ref().is_some_and(untouched) && (hard, last) == blank {
            return;
        }
        let counts = 0..=self.cluster.writing(node);
        let kept = counts.into_iter().find(|count| self.cluster.disk_after(node, *count) == (hard, last));
        if let Some(kept) = kept.filter(|kept| *kept > 0) {
            self.obey(Command::Crash(node, kept));
        }
        self.obey(Command::Restart(node));
    }

    fn obey(&mut self, command: Command) {
        if self.cluster.obey(&command).is_ok() {
            self.commands.push(command);
        }
    }
}

/// Leaves out as many as `holds` allows: halves first, then ever smaller pieces, then one by one.
fn leave_out(
    moves: &mut Vec<Move>,
    stop: &dyn Fn() -> bool,
    holds: &mut dyn FnMut(&[Move]) -> Result<bool, Wrong>,
) -> Result<(), Wrong> {
    let mut piece = moves.len().div_ceil(2).max(1);
    let mut left = BUDGET;
    loop {
        let before = moves.len();
        let mut end = moves.len();
        while end > 0 {
            if stop() || left < moves.len() {
                return Ok(());
            }
            left -= moves.len();
            let from = end.saturating_sub(piece);
            let fewer: Vec<Move> = moves[..from].iter().chain(&moves[end..]).cloned().collect();
            if holds(&fewer)? {
                *moves = fewer;
            }
            end = from;
        }
        if piece == 1 && moves.len() == before {
            return Ok(());
        }
        piece = piece.div_ceil(2);
    }
}

/// A paragraph for each thing that begins something, with what is delivered and persisted after it.
fn written(shape: &Shape, told: &Told) -> String {
    let mut text = String::new();
    if let Some(broken) = &told.violation {
        text = format!("# Against {}: {broken}.\n\n", broken.property());
    }
    text.push_str(&Command::Cluster(shape.clone()).to_string());
    text.push('\n');
    let mut follows = true;
    for command in &told.commands {
        let consequence =
            matches!(command, Command::DeliverOne(..) | Command::Repeat(_) | Command::Persist(..));
        if follows && !consequence {
            text.push('\n');
        }
        follows = consequence;
        text.push_str(&command.to_string());
        text.push('\n');
    }
    text
}
