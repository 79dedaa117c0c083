//! Left in peace, the cluster serves.
//!
//! A cluster that does nothing breaks no property of safety. So wherever a story ends, that is where its budget is
//! spent and nothing is under way, peace begins: no message is lost, disks are quick, leaders send heartbeats,
//! snapshots that were offered are fetched, a transfer that nobody took over is given up, and where nobody leads one
//! node after the other runs for election. Within a few rounds all members must follow one leader, and execute what it
//! is then asked to write.
//!
//! A profile may ask the same once more for each leader that there is, if the others can decide without it: it is
//! *deaf* then, and hears nobody, but is heard. Who hears a leader does not run; so the leader has to notice.
//!
//! This is one fair way to go on, not all of them: it finds clusters that are stuck for good, and says
//! nothing of how long an election may take. A cluster in peace does the same whatever its past was, so the
//! answer is written down for each set of nodes.

use raft::{NodeId, Role};
use smallvec::SmallVec;

use super::RaftModel;
use super::cause::{ABANDON, BEAT, ELECT, PASS, WRITE};
use super::node::Make;
use super::state::{Letter, State, Traits, place};
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
            && self.ids().all(|node| !self.owes(&state.nodes, node))
            && if self.profile.in_order { state.mail.is_empty() } else { state.mail.iter().all(idle) }
    }

    /// Whether something will happen to this node by itself.
    fn owes(&self, nodes: &[Mark], node: NodeId) -> bool {
        let traits = Traits::of(nodes[place(node)]);
        let gives_up = || traits.gives_away() && !self.turn(nodes[place(node)], Mark(ABANDON)).quiet;
        traits.writes() || gives_up() || (traits.wants() && self.offered(nodes, node).is_some())
    }

    /// How these nodes stand if they cannot serve, though they are left in peace.
    pub(super) fn stuck(&self, nodes: &SmallVec<[Mark; 3]>) -> Option<Mark> {
        self.peace.answer(nodes.clone(), |nodes| {
            let spared = |node: &NodeId| self.profile.deafens && self.can_spare(nodes, *node);
            let deaf = self.ids().filter(spared).map(Some);
            std::iter::once(None).chain(deaf).find_map(|deaf| self.stuck_with(nodes, deaf))
        })
    }

    fn stuck_with(&self, nodes: &SmallVec<[Mark; 3]>, deaf: Option<NodeId>) -> Option<Mark> {
        let make = Make { quick_disks: true, ..self.make.clone() };
        let mut peace = Peace { model: self, make, nodes: nodes.clone(), mail: Vec::new(), deaf };
        let rounds = ROUNDS * self.profile.nodes;
        let serves = (0..rounds).any(|round| {
            peace.round(round);
            peace.serves()
        });
        (!serves).then(|| self.keep_end(super::End::Stuck(peace.to_string())))
    }

    /// Whether `leader` leads, and those who are members by anybody's log can decide without it.
    fn can_spare(&self, nodes: &[Mark], leader: NodeId) -> bool {
        let others = self.ids().filter(|node| *node != leader).collect();
        let decides = |node: &Mark| {
            let node = self.nodes.get(*node);
            let members = node.core().log().membership();
            members.voters().is_empty() || members.decide(&others)
        };
        Traits::of(nodes[place(leader)]).leads() && nodes.iter().all(decides)
    }
}

struct Peace<'a> {
    model: &'a RaftModel,
    make: Make,
    nodes: SmallVec<[Mark; 3]>,
    mail: Vec<Mark>,
    /// A leader that hears nobody.
    deaf: Option<NodeId>,
}

impl Peace<'_> {
    fn leaders(&self) -> Vec<NodeId> {
        let leads = |node: &NodeId| Traits::of(self.nodes[place(*node)]).leads();
        self.model.ids().filter(leads).collect()
    }

    fn round(&mut self, round: u16) {
        self.pass();
        let leaders = self.leaders();
        for leader in &leaders {
            self.happen(*leader, Mark(BEAT));
            if Some(*leader) == self.deaf {
                self.happen(*leader, Mark(ELECT));
            }
        }
        let next = NodeId(round % self.model.profile.nodes + 1);
        if leaders.is_empty() && Some(next) != self.deaf {
            self.happen(next, Mark(ELECT));
        }
        self.settle();
        for node in self.model.ids() {
            if Traits::of(self.nodes[place(node)]).gives_away() {
                self.happen(node, Mark(ABANDON));
            }
            let offered = if Traits::of(self.nodes[place(node)]).wants() {
                self.model.offered(&self.nodes, node)
            } else {
                None
            };
            if let Some(fetch) = offered {
                self.happen(node, fetch);
            }
        }
        self.settle();
    }

    /// Where time passes, so much does that nobody is loyal to a leader that is not heard.
    fn pass(&mut self) {
        let Some(clocks) = self.make.clocks else { return };
        for _ in 0..=clocks.patience / clocks.rates.0.min(clocks.rates.1).max(1) {
            for node in self.model.ids() {
                self.happen(node, Mark(PASS));
            }
        }
    }

    fn settle(&mut self) {
        for _ in 0..MOST {
            if self.mail.is_empty() {
                return;
            }
            let mark = self.mail.remove(0);
            if Some(Letter(mark).to()) != self.deaf {
                self.happen(Letter(mark).to(), mark);
            }
        }
    }

    /// Asks the leader that all members follow for a write, and whether they all have executed it.
    fn serves(&mut self) -> bool {
        let [leader] = self.leaders()[..] else { return false };
        let members = self.model.nodes.get(self.nodes[place(leader)]).core().log().membership().nodes();
        // A member that nobody ever started can do nothing.
        let runs = |node: &NodeId| node.0 <= self.model.profile.nodes && Some(*node) != self.deaf;
        let hearing: Vec<usize> = members.into_iter().filter(runs).map(place).collect();
        let core = |at: &usize| self.model.nodes.get(self.nodes[*at]);
        if Some(leader) == self.deaf || !hearing.iter().all(|at| core(at).core().leader() == Some(leader)) {
            return false;
        }
        self.happen(leader, Mark(WRITE | u64::from(LAST) << 8));
        self.settle();
        self.happen(leader, Mark(BEAT));
        self.settle();
        hearing.iter().all(|at| self.model.nodes.get(self.nodes[*at]).value() == LAST)
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
        write!(f, " ({} of them lead)", leads.count())?;
        self.deaf.map_or(Ok(()), |deaf| write!(f, "; {deaf} is heard, and hears nobody"))
    }
}
