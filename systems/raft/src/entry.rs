//! What the log is made of.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::ids::{EntryId, Index, RequestId, SessionId, Wall};
use crate::membership::{Change, Membership};

/// What a client wants done, as bytes that only the state machine understands.
pub type Command = Bytes;

/// The part of a request that makes a retry safe (dissertation §6.3). It travels inside the entry,
/// so every node decides alike whether a command was executed before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Request {
    /// Its name.
    pub id: RequestId,
    /// Everything in this session below this number has been answered: its replies may be forgotten.
    pub floor: u64,
}

/// Something on its way into the log.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Proposal {
    /// Who asks, and which of his requests this is.
    pub request: Request,
    /// What is asked.
    pub wanted: Wanted,
}

/// What a client can ask to have in the log. Its leader makes a [`Payload`] of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Wanted {
    /// That the session of its request be opened, so that its later requests are executed at most once.
    Session,
    /// That this be executed.
    Command(Command),
    /// That the members be changed so, in one step. What they are then, the leader finds out.
    Change(Vec<Change>),
}

impl Wanted {
    /// How many bytes it takes with what goes along with it, nearly.
    pub(crate) fn weight(&self) -> usize {
        FIXED
            + match self {
                Wanted::Session => 0,
                Wanted::Command(command) => command.len(),
                Wanted::Change(changes) => changes.len() * FIXED,
            }
    }
}

/// What an entry takes besides its command, nearly.
const FIXED: usize = 64;

/// What an entry does when it is applied.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Payload {
    /// Nothing. A new leader writes one, to learn how far the log is committed (§5.4.2, §8).
    Noop,
    /// Opens the session of its request, so that its later requests are executed at most once.
    OpenSession,
    /// Something for the state machine.
    Command(Command),
    /// These belong to the cluster from now on: for a node, from the moment it has the entry (§6).
    Membership(Arc<Membership>),
}

impl Payload {
    /// How many bytes it takes with what goes along with it, nearly.
    pub(crate) fn weight(&self) -> usize {
        FIXED
            + match self {
                Payload::Noop | Payload::OpenSession => 0,
                Payload::Command(command) => command.len(),
                Payload::Membership(membership) => {
                    membership.contexts().values().map(|context| FIXED + context.len()).sum()
                }
            }
    }
}

/// One entry of the log, the same on every node that has it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Entry {
    /// Its name.
    pub id: EntryId,
    /// When its leader wrote it; never less than the stamp of the entry before.
    pub stamp: Wall,
    /// Who asked for it; nobody asks for a `Noop`.
    pub request: Option<Request>,
    /// What it does.
    pub payload: Payload,
}

impl Entry {
    /// How many bytes it takes on the wire and on disk, nearly: what queues and batches count.
    pub fn weight(&self) -> usize {
        self.payload.weight()
    }

    /// The members it names, if that is what it does.
    pub fn membership(&self) -> Option<&Arc<Membership>> {
        match &self.payload {
            Payload::Membership(membership) => Some(membership),
            _ => None,
        }
    }

    /// The session this entry opens, if that is what it does.
    pub fn opens(&self) -> Option<SessionId> {
        match (&self.payload, &self.request) {
            (Payload::OpenSession, Some(request)) => Some(request.id.session),
            _ => None,
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)
    }
}

/// A run of entries that continues a log: what a leader sends, and what a follower writes.
///
/// Guaranteed where one enters (`Suffix::new`): indexes are consecutive from `after`, terms and
/// stamps never fall, and no term is below that of `after`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Suffix {
    after: EntryId,
    entries: Vec<Entry>,
}

impl Suffix {
    /// Checks the guarantees above; `None` if the sender broke them.
    pub fn new(after: EntryId, entries: Vec<Entry>) -> Option<Suffix> {
        let mut last = after;
        let mut stamp = Wall(0);
        for entry in &entries {
            let continues = entry.id.index == last.index.next() && entry.id.term >= last.term;
            if !continues || entry.stamp < stamp {
                return None;
            }
            last = entry.id;
            stamp = entry.stamp;
        }
        Some(Suffix { after, entries })
    }

    /// The entry that the run continues.
    pub fn after(&self) -> EntryId {
        self.after
    }

    /// The run itself.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The name of its last entry; of the one it continues if it is empty.
    pub fn last(&self) -> EntryId {
        self.entries.last().map_or(self.after, |entry| entry.id)
    }

    /// The first index it writes.
    pub fn first_index(&self) -> Index {
        self.after.index.next()
    }

    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The same run with `more` behind it; of `more`, only what comes behind its own beginning. `None` if it
    /// does not continue this run.
    #[must_use]
    pub(crate) fn followed_by(self, more: Suffix) -> Option<Suffix> {
        let mut entries = self.entries;
        let kept = entries.partition_point(|entry| entry.id.index <= more.after.index);
        entries.truncate(kept);
        if entries.last().map_or(self.after, |entry| entry.id) != more.after {
            return None;
        }
        entries.extend(more.entries);
        Suffix::new(self.after, entries)
    }

    /// The part behind `index`; all of it if it begins there or later.
    #[must_use]
    pub(crate) fn behind(mut self, index: Index) -> Suffix {
        let count = self.entries.partition_point(|entry| entry.id.index <= index);
        if let Some(last) = self.entries.drain(..count).next_back() {
            self.after = last.id;
        }
        self
    }

    /// Gives the entries away.
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }
}
