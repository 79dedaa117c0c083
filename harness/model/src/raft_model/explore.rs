//! The clusters as `stateright`'s explorer shows them: states that can be read.

use std::fmt;
use std::hash::{Hash, Hasher};

use stateright::{Checker, Model, Property};

use super::RaftModel;
use super::milestone::Milestone;
use super::state::{Move, State};

/// A model whose states carry their picture along. Only for people: it is several times as slow.
pub struct Explored(pub RaftModel);

/// A state and what it looks like.
#[derive(Clone)]
pub struct Seen {
    state: State,
    picture: Vec<String>,
}

impl PartialEq for Seen {
    fn eq(&self, other: &Seen) -> bool {
        self.state == other.state
    }
}

impl Hash for Seen {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.state.hash(hasher);
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.picture.join("\n"))
    }
}

impl Explored {
    fn seen(&self, state: State) -> Seen {
        Seen { picture: self.0.picture(&state), state }
    }

    /// Serves the explorer at that address, on this machine alone, until the program is ended.
    ///
    /// # Panics
    /// If nobody can listen there.
    pub fn serve(self, address: std::net::SocketAddr) {
        // It waits for requests and never comes back.
        let _ = self.checker().serve(address).unique_state_count();
    }
}

impl Model for Explored {
    type State = Seen;
    type Action = Move;

    fn init_states(&self) -> Vec<Seen> {
        self.0.init_states().into_iter().map(|state| self.seen(state)).collect()
    }

    fn actions(&self, seen: &Seen, moves: &mut Vec<Move>) {
        self.0.actions(&seen.state, moves);
    }

    fn next_state(&self, seen: &Seen, step: Move) -> Option<Seen> {
        self.0.next_state(&seen.state, step).map(|state| self.seen(state))
    }

    fn format_action(&self, step: &Move) -> String {
        self.0.words(*step)
    }

    fn properties(&self) -> Vec<Property<Explored>> {
        vec![
            Property::always(super::NOTHING_WRONG, |_, seen: &Seen| seen.state.end.is_none()),
            Property::sometimes("a leader", |model: &Explored, _| model.0.has_met(Milestone::Leader)),
            Property::sometimes("two leaders at once", |model: &Explored, _| {
                model.0.has_met(Milestone::TwoLeaders)
            }),
            Property::sometimes("entries overwritten", |model: &Explored, _| {
                model.0.has_met(Milestone::Overwritten)
            }),
            Property::sometimes("a read answered", |model: &Explored, _| {
                model.0.has_met(Milestone::ReadAnswered)
            }),
            Property::sometimes("a joint membership left", |model: &Explored, _| {
                model.0.has_met(Milestone::JointLeft)
            }),
            Property::sometimes("a snapshot installed", |model: &Explored, _| {
                model.0.has_met(Milestone::SnapshotInstalled)
            }),
            Property::sometimes("the lead handed over", |model: &Explored, _| {
                model.0.has_met(Milestone::HandedOver)
            }),
        ]
    }
}
