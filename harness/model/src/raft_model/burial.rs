//! Dead messages are buried: a reduction that is not believed, but checked.
//!
//! Where messages may overtake each other, one that never arrives stays under way for ever, and two
//! states that differ in such a message alone are two states. Most of them are answers to questions of a term
//! that is over: whoever gets one does nothing and says nothing, now and later.
//!
//! *Now* can be seen: the step is played, and changes nothing. *Later* is a promise of the core: "an answer to a
//! question of another term answers nothing", and a term that is on disk never comes back. So a message is
//! buried when its receiver has a later term on disk, and would do nothing about it now.
//!
//! The promise may be broken; `Bug::CountOldAnswers` does just that, and what it breaks is then seen only by who
//! keeps such messages. Therefore, after a search that found nothing, every buried message is handed to
//! every state of its receiver that was ever met with a later term on disk ([`RaftModel::burials_hold`]). They are
//! few thousands, and each is one step. If one of them is not indifferent, or if a term on disk ever fell, the
//! search is done again without burials. If all are: suppose that some story has a message arrive after
//! its burial, and that something comes of it; take the first such arrival. Up to there the story is the
//! same without the buried messages, so its receiver was met in the state in which it now is. There the
//! message was tried.

use raft::NodeId;

use super::RaftModel;
use super::cause::LARGE;
use super::state::{Letter, State, place};
use crate::mark::Mark;

impl RaftModel {
    /// The same clusters, in which no message is ever taken away.
    #[must_use]
    pub fn without_burials(mut self) -> RaftModel {
        self.burying = false;
        self
    }

    /// Whether dead messages are taken away.
    pub fn buries(&self) -> bool {
        self.burying
    }

    /// Whether this message is of a term that is over for good for this node.
    pub(super) fn is_old(&self, node: Mark, letter: Mark) -> bool {
        self.letters.get(letter).term < self.nodes.get(node).term_on_disk()
    }

    /// Takes dead messages away: among those to a node that has changed, and among those that are new.
    pub(super) fn bury(&self, state: &mut State, changed: NodeId, sent: &[Mark]) {
        let nodes = &state.nodes;
        let dead = |mark: &Mark| {
            let to = Letter(*mark).to();
            (to == changed || sent.contains(mark)) && self.turn(nodes[place(to)], *mark).dead
        };
        if state.mail.iter().any(dead) {
            state.mail = state.mail.iter().copied().filter(|mark| !dead(mark)).collect();
        }
    }

    /// Whether nothing would ever have come of any message that was buried, and no term on disk ever fell.
    pub fn burials_hold(&self) -> bool {
        if !self.burying {
            return true;
        }
        let questions = self.turns.questions();
        let buried =
            questions.iter().filter(|(node, letter)| letter.0 >= LARGE && self.turn(*node, *letter).dead);
        let mut buried: Vec<Mark> = buried.map(|(_, letter)| *letter).collect();
        buried.sort_unstable();
        buried.dedup();
        let fell = |(node, cause): &(Mark, Mark)| {
            self.nodes.get(self.turn(*node, *cause).node).term_on_disk()
                < self.nodes.get(*node).term_on_disk()
        };
        if questions.iter().any(fell) {
            return false;
        }
        let nodes: Vec<(Mark, NodeId)> =
            self.nodes.marks().into_iter().map(|node| (node, self.nodes.get(node).core().id())).collect();
        buried.into_iter().all(|letter| {
            let own = nodes.iter().filter(|(_, id)| *id == Letter(letter).to()).map(|(node, _)| *node);
            own.filter(|node| self.is_old(*node, letter)).all(|node| self.turn(node, letter).quiet)
        })
    }
}
