//! Who belongs to the cluster, and how that changes (§6).
//!
//! The members are an entry of the log like any other, and a node goes by the latest one in its log, committed or
//! not. Two nodes may then go by different members for a while, and if both could find a majority among theirs,
//! there would be two leaders. Two rules prevent it:
//!
//! - **One voter at a time, or both majorities.** If one voter comes or goes, any majority of before shares a voter
//!   with any majority of after (dissertation §4.1). If more change at once, the members become *joint*: every
//!   decision needs a majority of the old voters and one of the new, until the joint membership is committed and
//!   its leader has written its end (dissertation §4.3).
//! - **One change at a time, and only by a leader that knows how far the log is committed**: no change while
//!   another is uncommitted, and none before an entry of the leader's own term is. Without the latter, two leaders can
//!   each make a change of one voter to different ends; the dissertation's first print had that bug.
//!
//! A *learner* receives the log and decides nothing. A new voter should start as one: its empty log would
//! otherwise count in majorities that nobody can reach until it has caught up (dissertation §4.2.1).
//!
//! A number names one node for good: whoever was removed and wants to come back does so under a new number, with a
//! blank disk. So a node that is not in a membership can tell whether it is not *yet* or no *longer* there.
//! A number is given when the change that gives it is committed. Before that the change may be cut off, and the next
//! who comes gets the same number; so nobody starts a node under a number that he has not seen committed.
//!
//! ```
//! use raft::{Change, Membership, NodeId};
//!
//! let three = Membership::of([NodeId(1), NodeId(2), NodeId(3)]);
//! let swap = [Change::AddVoter { context: "n4".into() }, Change::Remove(NodeId(1))];
//! let joint = three.change(&swap).unwrap();
//! assert_eq!(joint.to_string(), "n2 n3 n4 from n1 n2 n3");
//! assert_eq!(joint.end().unwrap().to_string(), "n2 n3 n4");
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;

use crate::ids::{Index, NodeId};
use crate::quorum::Voters;

/// The most members there may be: each costs the leader a stream of appends.
pub const MEMBERS: usize = 64;

/// Those who belong to the cluster.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Membership {
    voters: Voters,
    /// The voters of before, while both decide.
    before: Option<Voters>,
    learners: BTreeSet<NodeId>,
    /// What the nodes should know of each other: where they are reached. It means nothing here.
    contexts: BTreeMap<NodeId, Bytes>,
    /// The greatest number that was ever given away.
    last: NodeId,
}

/// One thing to change. Several can be changed in one step.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Change {
    /// A new node, which decides from the start. It gets the next free number.
    AddVoter {
        /// Where it is reached.
        context: Bytes,
    },
    /// A new node, which only learns. It gets the next free number.
    AddLearner {
        /// Where it is reached.
        context: Bytes,
    },
    /// A learner becomes a voter.
    Promote(NodeId),
    /// A voter becomes a learner.
    Demote(NodeId),
    /// A member is one no longer, for good.
    Remove(NodeId),
    /// A member is reached elsewhere.
    Describe {
        /// Which.
        node: NodeId,
        /// Where it is reached.
        context: Bytes,
    },
    /// No change, but a condition of those beside it: the members are still those that this entry named, or, with 0,
    /// those of the beginning. What was read before can so be the reason for a change.
    Since(Index),
}

/// Why members cannot be changed so.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, thiserror::Error)]
pub enum Unfit {
    /// Nothing is asked for.
    #[error("no change is asked for")]
    Nothing,
    /// The end of a joint membership has to come first.
    #[error("the members are changing already")]
    Joint,
    /// No such member.
    #[error("{0} is not a member")]
    Stranger(NodeId),
    /// Only a learner can be made a voter.
    #[error("{0} is not a learner")]
    NoLearner(NodeId),
    /// Only a voter can be made a learner.
    #[error("{0} is not a voter")]
    NoVoter(NodeId),
    /// Nobody would be left to decide.
    #[error("no voter would be left")]
    LastVoter,
    /// More members than there may be, or no number is left for a new one.
    #[error("there are too many members")]
    Full,
}

impl Membership {
    /// These voters, as a cluster starts. Nobody knows yet where they are reached.
    pub fn of(voters: impl IntoIterator<Item = NodeId>) -> Membership {
        let voters = Voters::new(voters);
        let last = voters.iter().last().unwrap_or_default();
        Membership { voters, last, ..Membership::default() }
    }

    /// From its parts; `None` if they contradict each other. For those who read one from bytes.
    pub fn from_parts(
        voters: Voters,
        before: Option<Voters>,
        learners: BTreeSet<NodeId>,
        contexts: BTreeMap<NodeId, Bytes>,
        last: NodeId,
    ) -> Option<Membership> {
        let membership = Membership { voters, before, learners, contexts, last };
        let apart = membership.learners.iter().all(|node| !membership.voters.contains(*node));
        let known = membership.contexts.keys().all(|node| membership.contains(*node));
        let given = membership.nodes().iter().all(|node| *node <= last && *node != NodeId(0));
        let decides = membership.before.as_ref().is_none_or(|before| !before.is_empty());
        (apart && known && given && decides).then_some(membership)
    }

    /// The voters; of the two sets of a joint membership, the new one.
    pub fn voters(&self) -> &Voters {
        &self.voters
    }

    /// The voters of before, if they still decide too.
    pub fn before(&self) -> Option<&Voters> {
        self.before.as_ref()
    }

    /// Those who only learn. Who was a voter before and will be a learner is among them already.
    pub fn learners(&self) -> &BTreeSet<NodeId> {
        &self.learners
    }

    /// Whether two sets of voters decide.
    pub fn is_joint(&self) -> bool {
        self.before.is_some()
    }

    /// Whether its vote counts, in either set.
    pub fn votes(&self, node: NodeId) -> bool {
        self.voters.contains(node) || self.before.as_ref().is_some_and(|before| before.contains(node))
    }

    /// Whether it belongs to the cluster, in whatever role.
    pub fn contains(&self, node: NodeId) -> bool {
        self.votes(node) || self.learners.contains(&node)
    }

    /// Whether it belonged to the cluster once and does no longer.
    pub fn removed(&self, node: NodeId) -> bool {
        node <= self.last && !self.contains(node)
    }

    /// All that belong to it, in order.
    pub fn nodes(&self) -> BTreeSet<NodeId> {
        let before = self.before.iter().flat_map(Voters::iter);
        self.voters.iter().chain(before).chain(self.learners.iter().copied()).collect()
    }

    /// Where a member is reached, if that was ever said.
    pub fn context(&self, node: NodeId) -> Option<&Bytes> {
        self.contexts.get(&node)
    }

    /// The same, and this is where a member is reached. Of one that is none, nothing is noted.
    #[must_use]
    pub fn described(mut self, node: NodeId, context: Bytes) -> Membership {
        if self.contains(node) {
            self.contexts.insert(node, context);
        }
        self
    }

    /// The greatest number that was ever given to a member.
    pub fn last_id(&self) -> NodeId {
        self.last
    }

    /// Whether these nodes can decide: a majority of the voters, and of those of before if they decide too.
    pub fn decide(&self, nodes: &BTreeSet<NodeId>) -> bool {
        self.sets().all(|voters| voters.decide(nodes))
    }

    /// The greatest value that those who can decide have reached, each voter having reached `of(voter)`.
    pub fn reached<T: Ord + Default>(&self, of: impl Fn(NodeId) -> T) -> T {
        self.sets().map(|voters| voters.reached(&of)).min().unwrap_or_default()
    }

    fn sets(&self) -> impl Iterator<Item = &Voters> {
        std::iter::once(&self.voters).chain(self.before.as_ref())
    }

    /// What the members are after these changes, in their order. It is joint if more than one voter comes or goes.
    ///
    /// # Errors
    /// Why they cannot be changed so. Nothing is changed by halves.
    pub fn change(&self, changes: &[Change]) -> Result<Membership, Unfit> {
        if self.is_joint() {
            return Err(Unfit::Joint);
        }
        if changes.is_empty() {
            return Err(Unfit::Nothing);
        }
        let mut next = self.clone();
        let mut voters: BTreeSet<NodeId> = self.voters.iter().collect();
        for change in changes {
            next.apply(change, &mut voters)?;
        }
        if voters.is_empty() {
            return Err(Unfit::LastVoter);
        }
        next.voters = Voters::new(voters);
        if next.nodes().len() > MEMBERS {
            return Err(Unfit::Full);
        }
        let moved = self.voters.iter().filter(|node| !next.voters.contains(*node)).count()
            + next.voters.iter().filter(|node| !self.voters.contains(*node)).count();
        next.before = (moved > 1).then(|| self.voters.clone());
        next.forget_strangers();
        Ok(next)
    }

    fn apply(&mut self, change: &Change, voters: &mut BTreeSet<NodeId>) -> Result<(), Unfit> {
        match change {
            Change::AddVoter { context } => {
                let node = self.number()?;
                voters.insert(node);
                self.contexts.insert(node, context.clone());
            }
            Change::AddLearner { context } => {
                let node = self.number()?;
                self.learners.insert(node);
                self.contexts.insert(node, context.clone());
            }
            Change::Promote(node) if self.learners.remove(node) => {
                voters.insert(*node);
            }
            Change::Promote(node) => {
                return Err(self.unless_stranger(*node, voters, Unfit::NoLearner(*node)));
            }
            Change::Demote(node) if voters.remove(node) => {
                self.learners.insert(*node);
            }
            Change::Demote(node) => return Err(self.unless_stranger(*node, voters, Unfit::NoVoter(*node))),
            Change::Remove(node) => {
                if !voters.remove(node) && !self.learners.remove(node) {
                    return Err(Unfit::Stranger(*node));
                }
            }
            Change::Since(_) => {}
            Change::Describe { node, context } => {
                if !voters.contains(node) && !self.learners.contains(node) {
                    return Err(Unfit::Stranger(*node));
                }
                self.contexts.insert(*node, context.clone());
            }
        }
        Ok(())
    }

    fn unless_stranger(&self, node: NodeId, voters: &BTreeSet<NodeId>, otherwise: Unfit) -> Unfit {
        let known = voters.contains(&node) || self.learners.contains(&node);
        if known { otherwise } else { Unfit::Stranger(node) }
    }

    /// The next free number.
    fn number(&mut self) -> Result<NodeId, Unfit> {
        self.last = NodeId(self.last.0.checked_add(1).ok_or(Unfit::Full)?);
        Ok(self.last)
    }

    /// What a joint membership ends in: the new voters decide alone. `None` if it is not joint.
    pub fn end(&self) -> Option<Membership> {
        self.before.as_ref()?;
        let mut end = Membership { before: None, ..self.clone() };
        end.forget_strangers();
        Some(end)
    }

    fn forget_strangers(&mut self) {
        let nodes = self.nodes();
        self.contexts.retain(|node, _| nodes.contains(node));
    }

    /// The contexts, in order of the nodes.
    pub fn contexts(&self) -> &BTreeMap<NodeId, Bytes> {
        &self.contexts
    }

    /// The same, by somebody who cannot count: `Bug::CountHalf`.
    pub(crate) fn miscounted(self) -> Membership {
        let before = self.before.map(Voters::miscounted);
        Membership { voters: self.voters.miscounted(), before, ..self }
    }

    /// The same, by somebody who forgets one set of a joint membership: `Bug::CountNewOnly`.
    pub(crate) fn new_only(self) -> Membership {
        // Whoever was a voter stays somebody to send to.
        let leaving = self.before.iter().flat_map(Voters::iter).filter(|node| !self.voters.contains(*node));
        let learners = self.learners.iter().copied().chain(leaving).collect();
        Membership { before: None, learners, ..self.clone() }
    }

    /// The same, by somebody for whom a voter stays one for good: `Bug::CountRemoved`.
    pub(crate) fn nobody_leaves(self) -> Membership {
        let ever = (1..=self.last.0).map(NodeId).filter(|node| !self.learners.contains(node));
        Membership { voters: Voters::new(ever), ..self }
    }

    /// The same, by somebody who lets learners decide: `Bug::CountLearners`.
    pub(crate) fn all_vote(self) -> Membership {
        let voters = Voters::new(self.voters.iter().chain(self.learners.iter().copied()));
        Membership { voters, learners: BTreeSet::new(), ..self }
    }
}

/// `n1 n2 n3`, then learners and the voters of before, if there are any: `n2 n4 learning n5 from n1 n2`.
impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |nodes: &mut dyn Iterator<Item = NodeId>| {
            nodes.map(|node| node.to_string()).collect::<Vec<_>>().join(" ")
        };
        f.write_str(&list(&mut self.voters.iter()))?;
        if !self.learners.is_empty() {
            write!(f, " learning {}", list(&mut self.learners.iter().copied()))?;
        }
        match &self.before {
            Some(before) => write!(f, " from {}", list(&mut before.iter())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(ids: &[u16]) -> BTreeSet<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    fn three() -> Membership {
        Membership::of(nodes(&[1, 2, 3]))
    }

    fn voter() -> Change {
        Change::AddVoter { context: Bytes::from_static(b"there") }
    }

    fn learner() -> Change {
        Change::AddLearner { context: Bytes::from_static(b"there") }
    }

    #[test]
    fn one_voter_more_or_less_takes_one_step() {
        let four = three().change(&[voter()]).unwrap();
        assert_eq!(four.to_string(), "n1 n2 n3 n4");
        assert_eq!(four.change(&[Change::Remove(NodeId(1))]).unwrap().to_string(), "n2 n3 n4");
        assert_eq!(four.change(&[Change::Demote(NodeId(1))]).unwrap().to_string(), "n2 n3 n4 learning n1");
    }

    #[test]
    fn learners_come_and_go_in_one_step_in_any_number() {
        let many = three().change(&[learner(), learner(), voter()]).unwrap();
        assert_eq!(many.to_string(), "n1 n2 n3 n6 learning n4 n5");
        let fewer = many.change(&[Change::Remove(NodeId(4)), Change::Remove(NodeId(5))]).unwrap();
        assert_eq!(fewer.to_string(), "n1 n2 n3 n6");
    }

    #[test]
    fn two_voters_at_once_make_it_joint() {
        let joint = three().change(&[voter(), Change::Remove(NodeId(1)), Change::Demote(NodeId(2))]).unwrap();
        assert_eq!(joint.to_string(), "n3 n4 learning n2 from n1 n2 n3");
        assert!(joint.decide(&nodes(&[3, 4, 1])), "two of the new, two of the old");
        assert!(!joint.decide(&nodes(&[1, 2, 3])), "one of the new is not enough");
        assert!(!joint.decide(&nodes(&[3, 4])), "one of the old is not enough");
        let has = |node: NodeId| [9_u64, 7, 5, 3][usize::from(node.0) - 1];
        assert_eq!(joint.reached(has), 3, "n3 and n4 have 3; n1 and n2 have 7");
        assert_eq!(joint.change(&[voter()]), Err(Unfit::Joint));
        assert_eq!(joint.end().unwrap().to_string(), "n3 n4 learning n2");
        assert_eq!(three().end(), None);
    }

    /// The reason for both rules, on every pair of memberships of up to four nodes.
    #[test]
    fn what_may_follow_each_other_share_a_voter() {
        let all: Vec<BTreeSet<NodeId>> = (1_u32..16)
            .map(|mask| (1..=4).filter(|id| mask >> (id - 1) & 1 == 1).map(NodeId).collect())
            .collect();
        for from in &all {
            for to in &all {
                let old = Membership { last: NodeId(4), ..Membership::of(from.clone()) };
                let moved = from.symmetric_difference(to).count();
                let new = Membership {
                    before: (moved > 1).then(|| old.voters.clone()),
                    ..Membership::of(to.clone())
                };
                for (a, b) in all.iter().flat_map(|a| all.iter().map(move |b| (a, b))) {
                    let two_deciders = old.decide(a) && new.decide(b);
                    assert!(!two_deciders || !a.is_disjoint(b), "{a:?} of {old}, {b:?} of {new}");
                }
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let cluster = three().change(&[learner()]).unwrap();
        let refused = |changes: &[Change]| cluster.change(changes).unwrap_err();
        assert_eq!(refused(&[]), Unfit::Nothing);
        assert_eq!(refused(&[Change::Promote(NodeId(1))]), Unfit::NoLearner(NodeId(1)));
        assert_eq!(refused(&[Change::Promote(NodeId(9))]), Unfit::Stranger(NodeId(9)));
        assert_eq!(refused(&[Change::Demote(NodeId(4))]), Unfit::NoVoter(NodeId(4)));
        assert_eq!(refused(&[Change::Remove(NodeId(9))]), Unfit::Stranger(NodeId(9)));
        let all = [1, 2, 3].map(|id| Change::Remove(NodeId(id)));
        assert_eq!(refused(&all), Unfit::LastVoter);
        let crowd = vec![learner(); MEMBERS];
        assert_eq!(refused(&crowd), Unfit::Full);
    }

    #[test]
    fn a_number_is_never_given_twice() {
        let cluster = three().change(&[voter()]).unwrap().change(&[Change::Remove(NodeId(4))]).unwrap();
        assert!(cluster.removed(NodeId(4)));
        assert!(!cluster.removed(NodeId(5)), "it never was a member");
        let again = cluster.change(&[voter()]).unwrap();
        assert_eq!(again.to_string(), "n1 n2 n3 n5");
        assert_eq!(again.context(NodeId(4)), None);
    }

    #[test]
    fn parts_that_contradict_each_other_are_refused() {
        let voters = || Voters::new(nodes(&[1, 2]));
        let parts = |before, learners: &[u16], last| {
            Membership::from_parts(voters(), before, nodes(learners), BTreeMap::new(), NodeId(last))
        };
        assert!(parts(None, &[3], 3).is_some());
        assert_eq!(parts(None, &[2], 3), None, "a voter is no learner");
        assert_eq!(parts(None, &[3], 2), None, "a number that was not given away");
        assert_eq!(parts(Some(Voters::default()), &[], 2), None, "nobody decides");
    }
}
