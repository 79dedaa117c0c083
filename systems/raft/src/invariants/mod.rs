//! What must be true of a cluster, whatever happens to it: Figure 3 of the paper, and what follows from it.
//!
//! Whoever drives several nodes and sees all of them (scripts, random lives, the simulator, the model
//! checker) tells [`Invariants`] what happens, as it happens. It answers with the first [`Violation`].
//!
//! | Told | When |
//! |---|---|
//! | [`observe`](Invariants::observe) | after every step of a node |
//! | [`sent`](Invariants::sent) | when a message leaves its node for good, held back or not |
//! | [`applied`](Invariants::applied) | when a node executes an entry, after the step that committed it was observed |
//! | [`restarted`](Invariants::restarted) | when a node is there again, with what its disk had |
//! | [`lost_disk`](Invariants::lost_disk) | when a node will come back with nothing |
//! | [`asked`](Invariants::asked), [`answered`](Invariants::answered) | when a read is asked of the core, and when the core answers |
//!
//! Not all of them need be told: who leaves out `sent` loses the promises and the terms that must be granted,
//! and nothing else.
//!
//! # What it costs
//! It runs after every step, millions of times. A step that changes nothing costs one look-up and a few
//! comparisons. Else the cost is that of what changed: a log says from which index on it was written to
//! ([`Log::touched_since`](crate::Log::touched_since)), and only those entries are looked at. No check
//! walks a whole log but that of a restart.
//!
//! # What it cannot see
//! Whether a message was sent too early, unless a crash follows; time; what clients are told. And after
//! [`lost_disk`](Invariants::lost_disk) all bets are off: a node that forgot what it promised can break
//! every property without a mistake in the code.

mod applied_in_order;
mod election_safety;
mod leader_append_only;
mod leader_completeness;
mod log_matching;
mod no_way_back;
mod one_change;
mod promises;
mod quorum_holds;
mod reads_are_current;
mod state_machine_safety;
mod terms_are_granted;
#[cfg(test)]
mod tests;
mod violation;

use std::collections::BTreeMap;

pub use violation::{Property, Violation};

use crate::aside::Aside;
use crate::entry::Entry;
use crate::ids::{EntryId, Index, NodeId, RequestId};
use crate::log::Log;
use crate::message::Envelope;
use crate::raft::Raft;
use crate::seam::{Answer, HardState, Role};
use election_safety::Leaders;
use log_matching::Chronicle;
use promises::Promises;
use reads_are_current::Reads;
use state_machine_safety::{Agreed, Committed};
use terms_are_granted::Consents;

/// What is known of a cluster: enough to tell whether the next step breaks a property. In the beginning nobody has
/// done anything.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Invariants {
    nodes: BTreeMap<NodeId, View>,
    leaders: Leaders,
    chronicle: Chronicle,
    agreed: Agreed,
    reads: Reads,
    consents: Consents,
    broken: Option<Box<Violation>>,
}

/// A node as it was last seen. It is kept while the node is down.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct View {
    brief: Brief,
    /// The names of its entries, from the first.
    log: Vec<EntryId>,
    /// How often its log had been written to.
    writes: Aside<u64>,
    applied: Index,
    promises: Promises,
}

/// The small part of a node's state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Brief {
    hard: HardState,
    role: Role,
    commit: Index,
}

impl Brief {
    fn of(node: &Raft) -> Brief {
        Brief { hard: node.hard(), role: node.role(), commit: node.commit() }
    }

    /// Whether a lead begins between this and `now`.
    fn begins_to_lead(self, now: Brief) -> bool {
        now.role == Role::Leader && (self.role != Role::Leader || self.hard.term != now.hard.term)
    }
}

impl View {
    /// A node of which nothing is known yet but what it said in an earlier life.
    fn blank(promises: Promises) -> View {
        let brief = Brief { hard: HardState::default(), role: Role::Follower, commit: Index(0) };
        View { brief, log: Vec::new(), writes: Aside(0), applied: Index(0), promises }
    }

    fn has(&self, id: EntryId) -> bool {
        has(&self.log, id)
    }
}

/// Whether a log with these names, from the first, has this one in its place.
fn has(log: &[EntryId], id: EntryId) -> bool {
    let place = id.index.0.checked_sub(1).and_then(|place| usize::try_from(place).ok());
    place.and_then(|place| log.get(place)) == Some(&id)
}

impl Invariants {
    /// `node` took a step. Nothing is asked of a node that is seen for the first time: it started.
    pub fn observe(&mut self, node: &Raft) -> Result<(), Violation> {
        self.unless_broken(|whole| whole.on_step(node))
    }

    /// `envelope` leaves its sender, whose last step was observed.
    pub fn sent(&mut self, envelope: &Envelope) -> Result<(), Violation> {
        self.consents.sent(envelope);
        self.unless_broken(|whole| match whole.nodes.get_mut(&envelope.from) {
            Some(view) => view.promises.sent(envelope, view.brief, &view.log),
            None => Ok(()),
        })
    }

    /// `node` executes `entry`.
    pub fn applied(&mut self, node: NodeId, entry: &Entry) -> Result<(), Violation> {
        self.unless_broken(|whole| {
            let view = whole.nodes.entry(node).or_insert_with(|| View::blank(Promises::default()));
            applied_in_order::check(node, view.applied, entry.id)?;
            view.applied = entry.id.index;
            whole.agreed.execute(node, entry, &whole.chronicle)
        })
    }

    /// `node` is there again. What it had in memory is forgotten; what it promised is not.
    pub fn restarted(&mut self, node: &Raft) -> Result<(), Violation> {
        self.unless_broken(|whole| whole.on_start(node))
    }

    /// The disk of `node` is gone, and its promises with it.
    pub fn lost_disk(&mut self, node: NodeId) {
        self.nodes.remove(&node);
    }

    /// A read is asked of the core, anywhere.
    pub fn asked(&mut self, read: RequestId) {
        self.reads.asked(read, self.agreed.upto());
    }

    /// The core of `node` gives an answer.
    pub fn answered(&mut self, node: NodeId, answer: &Answer) -> Result<(), Violation> {
        self.unless_broken(|whole| whole.reads.answered(node, answer))
    }

    /// How far the log is committed, as far as any node ever knew.
    pub fn committed(&self) -> Index {
        self.agreed.upto()
    }

    /// Once a property is broken nothing that follows proves anything: the answer stays what it was.
    fn unless_broken(
        &mut self,
        look: impl FnOnce(&mut Invariants) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        if let Some(violation) = &self.broken {
            return Err((**violation).clone());
        }
        let verdict = look(self);
        self.broken = verdict.as_ref().err().cloned().map(Box::new);
        verdict
    }

    fn on_step(&mut self, node: &Raft) -> Result<(), Violation> {
        let id = node.id();
        let Some(view) = self.nodes.get_mut(&id) else { return self.on_start(node) };
        let (before, now) = (view.brief, Brief::of(node));
        let touched = node.log().touched_since(view.writes.0);
        if before == now && touched.is_none() {
            return Ok(());
        }
        no_way_back::check(id, before, now, node.log().last())?;
        self.consents.check(node.log().membership(), id, before, now)?;
        view.brief = now;
        if let Some(from) = touched {
            self.read_log(node, from, before)?;
        }
        if before.begins_to_lead(now) {
            self.on_lead(id)?;
        }
        if now.commit > before.commit {
            self.on_commit(node, before.commit)?;
        }
        one_change::check(id, node.log(), self.agreed.upto())
    }

    fn on_start(&mut self, node: &Raft) -> Result<(), Violation> {
        let id = node.id();
        let old = self.nodes.remove(&id).unwrap_or_else(|| View::blank(Promises::default()));
        old.promises.kept(id, node.hard(), node.log(), &old.log)?;
        let had = |id| has(&old.log, id);
        let mut view = View::blank(old.promises);
        let before = view.brief;
        view.brief = Brief::of(node);
        self.nodes.insert(id, view);
        self.read_log(node, Index(1), before)?;
        let lost = |committed: &&Committed| had(committed.id) && !self.nodes[&id].has(committed.id);
        match self.agreed.last().filter(lost) {
            Some(committed) => quorum_holds::check(&self.nodes, committed, id),
            None => Ok(()),
        }
    }

    /// The log of `node` was written to, from index `from` on.
    fn read_log(&mut self, node: &Raft, from: Index, before: Brief) -> Result<(), Violation> {
        let (id, log) = (node.id(), node.log());
        self.settle(id, log, before.commit)?;
        let from = from.max(log.base().index().next());
        let view = self.nodes.get_mut(&id).expect("only nodes that are known are read");
        let from = usize::try_from(from.previous().0).expect("a log is countable").min(view.log.len());
        let written = log.between(Index(from as u64), log.last().index);
        let same = view.log[from..].iter().zip(written).take_while(|(old, new)| **old == new.id).count();
        let kept = from + same;
        let mut taken_back = None;
        if let Some(lost) = view.log.get(kept).copied() {
            leader_append_only::check(id, before, view.brief, lost)?;
            Agreed::dropped(id, before.commit, lost)?;
            taken_back = self.agreed.among(kept, &view.log[kept..]);
            view.promises.dropped(kept);
        }
        view.log.truncate(from);
        view.writes = Aside(log.writes());
        for entry in written {
            let last = view.log.last().copied().unwrap_or_default();
            let place = Index(view.log.len() as u64).next();
            self.chronicle.enter(id, place, last, entry)?;
            view.log.push(entry.id);
        }
        match taken_back {
            Some(committed) => quorum_holds::check(&self.nodes, committed, id),
            None => Ok(()),
        }
    }

    /// The log of `id` stands on a snapshot that ends where it knew of nothing, or of something else: from there on
    /// back it has what is committed, which must be what the snapshot ends with.
    fn settle(&mut self, id: NodeId, log: &Log, commit: Index) -> Result<(), Violation> {
        let base = log.base().id;
        let view = self.nodes.get_mut(&id).expect("only nodes that are known are read");
        if base == EntryId::default() || view.has(base) {
            return Ok(());
        }
        let end = usize::try_from(base.index.0).expect("a log is countable");
        let committed = self.agreed.at(end - 1).map(|committed| committed.id);
        if committed != Some(base) {
            return Err(Violation::OtherBase { node: id, base, committed });
        }
        let same =
            view.log.iter().zip(self.agreed.names(0, base.index)).take_while(|(a, b)| **a == *b).count();
        if let Some(lost) = view.log.get(same).copied() {
            Agreed::dropped(id, commit, lost)?;
        }
        view.promises.dropped(same);
        view.log.truncate(same);
        view.log.extend(self.agreed.names(same, base.index));
        view.applied = base.index;
        Ok(())
    }

    fn on_lead(&mut self, id: NodeId) -> Result<(), Violation> {
        let view = &self.nodes[&id];
        let term = view.brief.hard.term;
        self.leaders.claim(term, id)?;
        self.agreed.before(term).map_or(Ok(()), |committed| leader_completeness::check(id, view, committed))
    }

    /// `node` has moved its commit index, from `before` on.
    fn on_commit(&mut self, node: &Raft, before: Index) -> Result<(), Violation> {
        let id = node.id();
        let view = &self.nodes[&id];
        let known = self.agreed.upto();
        let place = |index: Index| usize::try_from(index.0).expect("a log in memory is countable");
        for at in place(before)..place(view.brief.commit) {
            self.agreed.commit(id, view.brief.hard.term, at, view.log[at], node.log().membership())?;
        }
        let last = self.agreed.at(place(view.brief.commit) - 1).expect("it was just committed");
        for (other, view) in &self.nodes {
            leader_completeness::check(*other, view, last)?;
        }
        if view.brief.commit > known {
            quorum_holds::check(&self.nodes, last, id)?;
        }
        Ok(())
    }
}
