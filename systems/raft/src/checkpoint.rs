//! What a log said up to one of its entries, in brief.
//!
//! A log cannot grow for ever (§7). What was executed is in the state machine, and what else a log says is little:
//! the name of its last entry, the time, and who belongs to the cluster. That is a checkpoint. A log in memory
//! stands on one, instead of on its first entry; a snapshot is a state machine's state *at* one.

use std::fmt;
use std::sync::Arc;

use crate::ids::{EntryId, Index, Wall};
use crate::membership::Membership;

/// A committed prefix of the log, in brief.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Checkpoint {
    /// Its last entry.
    pub id: EntryId,
    /// When that was written: no later entry has a lesser stamp.
    pub stamp: Wall,
    /// Who belonged to the cluster then.
    pub membership: Arc<Membership>,
    /// The entry that said so; 0 if nobody ever changed it.
    pub since: Index,
}

impl Checkpoint {
    /// Before the first entry: nothing has happened, and these are the members.
    pub fn genesis(membership: Membership) -> Checkpoint {
        Checkpoint { membership: Arc::new(membership), ..Checkpoint::default() }
    }

    /// How far it reaches.
    pub fn index(&self) -> Index {
        self.id.index
    }
}

/// `12@t3`, the name of its last entry.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}
