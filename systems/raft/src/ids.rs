//! The names of things: nodes, terms, entries, requests, moments.
//!
//! A number that means something gets a type of its own, with only the arithmetic that makes sense
//! for it. One notation serves logs, scripts and counterexamples: `n2`, `t3`, `7@t3`.

use std::fmt;
use std::time::Duration;

/// A member of the cluster, written `n2`. Never used again once removed. The default, `n0`, is nobody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct NodeId(pub u16);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

/// A leadership term: Raft's logical clock (§5.1). It only ever grows, and has at most one leader.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Term(pub u64);

impl Term {
    /// No cluster gets so far. Whoever claims to is not believed, for after the last term there is none.
    pub const BEYOND: Term = Term(1 << 63);

    /// The term a candidate opens.
    #[must_use]
    pub fn next(self) -> Term {
        Term(self.0 + 1)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

/// A place in the log. The first entry is at 1; 0 is the place before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Index(pub u64);

impl Index {
    /// The place after this one. No log gets to the last place there is, but a peer may speak of it.
    #[must_use]
    pub fn next(self) -> Index {
        Index(self.0.saturating_add(1))
    }

    /// The place before this one; the place before the first entry has none before it, and stays.
    #[must_use]
    pub fn previous(self) -> Index {
        Index(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The name of an entry, written `7@t3`. A leader never writes an index twice, so two entries with
/// one name are one entry (§5.3). Ordered by term first: the greater name belongs to the more
/// up-to-date log (§5.4.1). The default, `0@t0`, names the place before the first entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct EntryId {
    /// The term of the leader that wrote it.
    pub term: Term,
    /// Its place in the log.
    pub index: Index,
}

impl EntryId {
    /// The entry at `index`, written in `term`.
    pub fn new(index: u64, term: u64) -> EntryId {
        EntryId { term: Term(term), index: Index(index) }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

/// A client's session, or a node's: whoever numbers requests so that a retry is recognised.
/// Drawn at random by its owner.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionId(pub u64);

/// The name of a request: the session and its place in it, written `5f-12` (session in hexadecimal).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId {
    /// Who numbers it.
    pub session: SessionId,
    /// Its number there; the first request of a session is 1, and opens it.
    pub seq: u64,
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.session.0, self.seq)
    }
}

/// A moment on this node's own monotonic clock, in nanoseconds since some start that only this
/// node knows. It stands for nothing on another node, or after a restart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Mono(pub u64);

impl Mono {
    /// How long after `earlier` this is; nothing if it is not.
    #[must_use]
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment `wait` later.
    #[must_use]
    pub fn after(self, wait: Duration) -> Mono {
        Mono(self.0.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// A wall-clock time in nanoseconds since 1970. No decision rests on it: a leader copies it into
/// the entries it writes, never letting it go back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Wall(pub u64);

/// The time as the caller read it: after it took the inputs from its queue, so that a pause cannot
/// make an old fact look fresh.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Now {
    /// For leases and vote stickiness.
    pub mono: Mono,
    /// Only copied, by a leader, into the stamps of entries.
    pub wall: Wall,
}
