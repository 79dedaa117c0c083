//! Two logs that hold the same entry hold the same entries before it (§5.3).
//!
//! Comparing whole logs would cost their length at every step. It is enough to write down, once for each
//! entry that ever stood in any log, what it contains and which entry it stands behind. If every log
//! agrees with that in each of its entries, then two logs that share an entry share the one before it,
//! and the one before that, down to the first.

use super::Violation;
use crate::entry::Entry;
use crate::ids::{EntryId, Index, NodeId};

/// Every entry that any log ever held.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Chronicle {
    /// By place; in nearly all places there is only ever one.
    places: Vec<Vec<Written>>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Written {
    entry: Entry,
    before: EntryId,
    by: NodeId,
}

impl Chronicle {
    /// `node` has `entry` in its log, in this place, behind `before`.
    pub(super) fn enter(
        &mut self,
        node: NodeId,
        place: Index,
        before: EntryId,
        entry: &Entry,
    ) -> Result<(), Violation> {
        if entry.id.index != place {
            return Err(Violation::OutOfPlace { node, entry: entry.id, place });
        }
        let at = usize::try_from(place.0).expect("a log in memory is countable");
        if self.places.len() <= at {
            self.places.resize(at + 1, Vec::new());
        }
        let here = &mut self.places[at];
        let Some(known) = here.iter().find(|known| known.entry.id == entry.id) else {
            here.push(Written { entry: entry.clone(), before, by: node });
            return Ok(());
        };
        let (entry, first, other) = (entry, known.by, known.before);
        if known.entry != *entry {
            Err(Violation::OneNameTwoEntries { entry: entry.id, first, node })
        } else if other != before {
            Err(Violation::TwoPasts { entry: entry.id, first, other, node, before })
        } else {
            Ok(())
        }
    }

    /// The entry of that name, as it was first seen.
    pub(super) fn entry(&self, id: EntryId) -> Option<&Entry> {
        let here = self.places.get(usize::try_from(id.index.0).ok()?)?;
        here.iter().map(|written| &written.entry).find(|entry| entry.id == id)
    }
}
