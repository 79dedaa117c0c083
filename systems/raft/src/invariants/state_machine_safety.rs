//! No two nodes execute different entries in one place (§5.4.3).
//!
//! It is checked where it is decided: no two nodes *call* different entries of one place committed, and
//! no log loses an entry that its own node called so, while that node lives. What a node then executes must
//! be what was committed, by name and by content.
//!
//! A log may lose a committed entry of which its node does not *know* that it is. A node that was cut off as
//! the leader of an old term may hold an entry which others then committed in a later term, without its
//! help. If the first it hears is an append of yet another leader, from between the two, that came late, it
//! follows it, as it must, and writes over the entry. That hurts nobody as long as a quorum holds it, which is
//! what is checked then; `a_late_leader_takes_back_what_others_committed.txt` tells the story.

use std::sync::Arc;

use super::Violation;
use super::log_matching::Chronicle;
use crate::entry::Entry;
use crate::ids::{EntryId, Index, NodeId, Term};
use crate::membership::Membership;

/// What is committed, as far as any node ever knew.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Agreed(Vec<Committed>);

/// A committed entry.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Committed {
    pub(super) id: EntryId,
    /// The lowest term in which a node knew it: it was committed in that term, or before. Never falls
    /// from one place to the next, since whoever knows of one entry knows of those before it.
    pub(super) term: Term,
    by: NodeId,
    /// Who belonged to the cluster, in the eyes of that node.
    pub(super) members: Arc<Membership>,
}

impl Agreed {
    /// How far.
    pub(super) fn upto(&self) -> Index {
        Index(self.0.len() as u64)
    }

    pub(super) fn last(&self) -> Option<&Committed> {
        self.0.last()
    }

    /// What is committed in the place that is counted from 0 as `at`.
    pub(super) fn at(&self, at: usize) -> Option<&Committed> {
        self.0.get(at)
    }

    /// The names of what is committed, from the place that is counted from 0 as `from`.
    pub(super) fn names(&self, from: usize, upto: Index) -> impl Iterator<Item = EntryId> {
        let known = self.0.iter().skip(from).map(|committed| committed.id);
        known.take_while(move |id| id.index <= upto)
    }

    /// The last entry that was surely committed before `term`.
    pub(super) fn before(&self, term: Term) -> Option<&Committed> {
        let count = self.0.partition_point(|committed| committed.term < term);
        self.at(count.checked_sub(1)?)
    }

    /// `node`, in `term`, calls the entry in the place `at` committed.
    pub(super) fn commit(
        &mut self,
        node: NodeId,
        term: Term,
        at: usize,
        id: EntryId,
        members: &Arc<Membership>,
    ) -> Result<(), Violation> {
        let Some(known) = self.0.get_mut(at) else {
            self.0.push(Committed { id, term, by: node, members: members.clone() });
            return Ok(());
        };
        if known.id != id {
            return Err(Violation::TwoCommitted { node, entry: id, first: known.by, other: known.id });
        }
        known.term = known.term.min(term);
        Ok(())
    }

    /// The log of `node`, which called all up to `commit` committed, no longer has `lost`.
    pub(super) fn dropped(node: NodeId, commit: Index, lost: EntryId) -> Result<(), Violation> {
        if lost.index <= commit { Err(Violation::CommittedDropped { node, entry: lost }) } else { Ok(()) }
    }

    /// The last of these entries that is committed, of which the first stood in the place `at`.
    pub(super) fn among(&self, at: usize, lost: &[EntryId]) -> Option<&Committed> {
        let known = self.0.get(at..).unwrap_or_default().iter();
        known.zip(lost).take_while(|(known, lost)| known.id == **lost).map(|(known, _)| known).last()
    }

    /// `node` executes `entry`.
    pub(super) fn execute(
        &self,
        node: NodeId,
        entry: &Entry,
        chronicle: &Chronicle,
    ) -> Result<(), Violation> {
        let at = entry.id.index.0.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        let committed = at.and_then(|at| self.at(at)).map(|committed| committed.id);
        let right = committed == Some(entry.id) && chronicle.entry(entry.id) == Some(entry);
        if right { Ok(()) } else { Err(Violation::ExecutedOther { node, entry: entry.id, committed }) }
    }
}
