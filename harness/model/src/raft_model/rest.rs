//! Left in peace, the cluster serves.
//!
//! A cluster that does nothing breaks no property of safety. So wherever a story ends, that is where its budget is
//! spent and nothing is under way, peace begins: no message is lost, disks are quick, leaders send heartbeats,
//! and where nobody leads one node after the other runs for election. Within a few rounds all must
//! follow one leader, and execute what it is then asked to write.
//!
//! This is one fair way to go on, not all of them: it finds clusters that are stuck for good, and says
//! nothing of how long an election may take. A cluster in peace does the same whatever its past was, so the
//! answer is written down for each set of nodes.

use raft::{NodeId, Role};
use smallvec::SmallVec;

use super::node::Make;
use super::state::{Letter, State, Traits, place};
use super::{BEAT, ELECT, RaftModel, WRITE};
use crate::mark::Mark;
use crate::ops::Value;

/// A write that no client of a profile asks for.
const LAST: Value = Value::MAX;

/// More than any cluster needs: each node may have to learn a term, and then to run in vain, before one wins.
const ROUNDS: u16 = 6;

/// More messages than one round of any cluster needs.
const MOST: usize = 2_000;

impl RaftModel {
    /// Whether nothing more can happen within the budget.
    pub(super) fn is_over(&self, state: &State) -> bool {
        let idle = |mark: &Mark| self.turn(state.nodes[place(Letter(*mark).to())], *mark).quiet;
        state.left.is_spent()
            && state.nodes.iter().all(|node| !Traits::of(*node).writes())
            && if self.profile.in_order { state.mail.is_empty() } else { state.mail.iter().all(idle) }
    }

    /// How these nodes stand if they cannot serve, though they are left in peace.
    pub(super) fn stuck(&self, nodes: &SmallVec<[Mark; 3]>) -> Option<Mark> {
        self.peace.answer(nodes.clone(), |nodes| {
            let make = Make { quick_disks: true, ..self.make.clone() };
            let mut peace = Peace { model: self, make, nodes: nodes.clone(), mail: Vec::new() };
            let rounds = ROUNDS * self.profile.nodes;
            let serves = (0..rounds).any(|round| {
                peace.round(round);
                peace.serves()
            });
            (!serves).then(|| self.keep_end(super::End::Stuck(peace.to_string())))
        })
    }
}

struct Peace<'a> {
    model: &'a RaftModel,
    make: Make,
    nodes: SmallVec<[Mark; 3]>,
    mail: Vec<Mark>,
}

impl Peace<'_> {
    fn leaders(&self) -> Vec<NodeId> {
        let leads = |node: &NodeId| Traits::of(self.nodes[place(*node)]).leads();
        self.make.voters.iter().filter(leads).collect()
    }

    fn round(&mut self, round: u16) {
        let leaders = self.leaders();
        for leader in &leaders {
            self.happen(*leader, Mark(BEAT));
        }
        if leaders.is_empty() {
            self.happen(NodeId(round % self.model.profile.nodes + 1), Mark(ELECT));
        }
        self.settle();
    }

    fn settle(&mut self) {
        for _ in 0..MOST {
            if self.mail.is_empty() {
                return;
            }
            let mark = self.mail.remove(0);
            self.happen(Letter(mark).to(), mark);
        }
    }

    /// Asks the leader that all follow for a write, and whether all have executed it.
    fn serves(&mut self) -> bool {
        let [leader] = self.leaders()[..] else { return false };
        let follows = |mark: &Mark| self.model.nodes.get(*mark).core().leader() == Some(leader);
        if !self.nodes.iter().all(follows) {
            return false;
        }
        self.happen(leader, Mark(WRITE | u64::from(LAST) << 8));
        self.settle();
        self.happen(leader, Mark(BEAT));
        self.settle();
        self.nodes.iter().all(|mark| self.model.nodes.get(*mark).value() == LAST)
    }

    fn happen(&mut self, node: NodeId, cause: Mark) {
        let before = self.nodes[place(node)];
        let turn = self.model.find_turn(before, self.model.play(before, cause, &self.make));
        self.nodes[place(node)] = turn.node;
        self.mail.extend_from_slice(&turn.sent);
    }
}

impl std::fmt::Display for Peace<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, node) in self.nodes.iter().enumerate() {
            let gap = if place == 0 { "" } else { "; " };
            write!(f, "{gap}{}", self.model.nodes.get(*node).core())?;
        }
        let leads =
            self.nodes.iter().filter(|node| self.model.nodes.get(**node).core().role() == Role::Leader);
        write!(f, " ({} of them lead)", leads.count())
    }
}
