//! What can be asked: commands, which go through the log, and queries, which do not.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Bound;

use bytes::Bytes;

/// The store's count of its own changes. A new store is at 1; 0 or less in a request means "now".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Revision(pub i64);

impl Revision {
    /// The revision of the next change.
    #[must_use]
    pub fn next(self) -> Revision {
        Revision(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The name of a lease; 0 is no lease.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct LeaseId(pub i64);

impl LeaseId {
    /// No lease.
    pub const NONE: LeaseId = LeaseId(0);
}

/// As an ordered map takes them.
pub(crate) type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// One key or a run of keys, in the order of their bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Keys {
    /// This key.
    One(Bytes),
    /// From the first on, up to and without the second. Empty if they stand the wrong way round.
    Between(Bytes, Bytes),
    /// This key and all after it.
    From(Bytes),
}

impl Keys {
    /// Reads etcd's notation: no end for one key, a zero byte for all that follow.
    pub fn new(key: Bytes, end: Bytes) -> Keys {
        match end[..] {
            [] => Keys::One(key),
            [0] => Keys::From(key),
            _ => Keys::Between(key, end),
        }
    }

    /// The first of them.
    pub fn first(&self) -> &Bytes {
        match self {
            Keys::One(key) | Keys::Between(key, _) | Keys::From(key) => key,
        }
    }

    /// As bounds for an ordered map, which must not be asked for a run that ends before it begins.
    pub(crate) fn bounds(&self) -> Option<Bounds<'_>> {
        match self {
            Keys::One(key) => Some((Bound::Included(key), Bound::Included(key))),
            Keys::Between(from, to) if from < to => Some((Bound::Included(from), Bound::Excluded(to))),
            Keys::Between(..) => None,
            Keys::From(from) => Some((Bound::Included(from), Bound::Unbounded)),
        }
    }
}

/// What the log carries.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Command {
    /// Write one key.
    Put(Put),
    /// Delete keys.
    DeleteRange(DeleteRange),
    /// Decide, and act accordingly, in one step.
    Txn(Txn),
    /// Forget what was there before this revision.
    Compact(Revision),
}

/// What can be answered without the log.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Query {
    /// Read keys.
    Range(Range),
    /// Decide, and read accordingly, in one step.
    Txn(ReadOnly),
    /// How much memory the store takes.
    Size,
    /// All of it, as it is now.
    Image,
}

/// Write one key.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Put {
    /// Which.
    pub key: Bytes,
    /// Its new value; `None` keeps the one it has, and is refused if there is none.
    pub value: Option<Bytes>,
    /// Its new lease; `None` keeps the one it has, and is refused if there is no such key.
    pub lease: Option<LeaseId>,
    /// Answer with what was there before.
    pub previous: bool,
}

/// Delete keys.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct DeleteRange {
    /// Which.
    pub keys: Keys,
    /// Answer with what was there before.
    pub previous: bool,
}

/// Read keys.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Range {
    /// Which.
    pub keys: Keys,
    /// As of when; 0 or less for now.
    pub revision: Revision,
    /// At most so many; 0 or less for all.
    pub limit: i64,
    /// In which order, before the limit cuts; `None` for the order of keys.
    pub sort: Option<Sort>,
    /// Leave the values out.
    pub keys_only: bool,
    /// Only count them.
    pub count_only: bool,
    /// List only what was changed at this revision or later; 0 for no bound.
    pub min_mod: Revision,
    /// List only what was changed at this revision or earlier; 0 for no bound.
    pub max_mod: Revision,
    /// List only what was created at this revision or later; 0 for no bound.
    pub min_create: Revision,
    /// List only what was created at this revision or earlier; 0 for no bound.
    pub max_create: Revision,
}

impl Range {
    /// All of `keys`, as they are now.
    pub fn of(keys: Keys) -> Range {
        Range {
            keys,
            revision: Revision(0),
            limit: 0,
            sort: None,
            keys_only: false,
            count_only: false,
            min_mod: Revision(0),
            max_mod: Revision(0),
            min_create: Revision(0),
            max_create: Revision(0),
        }
    }
}

/// The order of an answer. Equals stay in the order of their keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sort {
    /// By what.
    pub by: SortBy,
    /// Which way.
    pub order: Order,
}

/// What an answer is sorted by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SortBy {
    /// The key.
    Key,
    /// How often it was put.
    Version,
    /// When it was created.
    Create,
    /// When it was last changed.
    Mod,
    /// What it holds.
    Value,
}

/// Which way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Order {
    /// The least first.
    Ascending,
    /// The greatest first.
    Descending,
}

/// If all conditions hold, `success`, else `failure`; in one revision. Every decision, in nested
/// transactions too, is made on the state before the first step; the steps see each other's writes.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Txn {
    /// What must hold.
    pub conditions: Vec<Condition>,
    /// What to do if all of it holds.
    pub success: Vec<Step>,
    /// What to do if not.
    pub failure: Vec<Step>,
}

impl Txn {
    /// Whether no step on any branch could write.
    pub fn is_read_only(&self) -> bool {
        self.success.iter().chain(&self.failure).all(|step| match step {
            Step::Range(_) => true,
            Step::Put(_) | Step::DeleteRange(_) => false,
            Step::Txn(inner) => inner.is_read_only(),
        })
    }
}

/// A transaction that cannot write, and so need not go through the log.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ReadOnly(Txn);

impl ReadOnly {
    /// Gives the transaction back if it could write.
    pub fn new(txn: Txn) -> Result<ReadOnly, Txn> {
        if txn.is_read_only() { Ok(ReadOnly(txn)) } else { Err(txn) }
    }

    /// The transaction.
    pub fn txn(&self) -> &Txn {
        &self.0
    }
}

/// One step of a transaction.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// Read keys.
    Range(Range),
    /// Write one key.
    Put(Put),
    /// Delete keys.
    DeleteRange(DeleteRange),
    /// Decide again.
    Txn(Txn),
}

/// Something that must hold of every key named. If there is none of them, it must hold of a key
/// with version, revisions and lease 0; a condition on values then fails.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Condition {
    /// Which keys.
    pub keys: Keys,
    /// How what they have must compare to the operand.
    pub comparison: Comparison,
    /// With what.
    pub operand: Operand,
}

/// How two things compare.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Comparison {
    /// They are the same.
    Equal,
    /// They differ.
    NotEqual,
    /// What the key has is greater.
    Greater,
    /// What the key has is less.
    Less,
}

impl Comparison {
    /// Whether this is how they compare.
    pub fn holds(self, found: Ordering) -> bool {
        match self {
            Comparison::Equal => found == Ordering::Equal,
            Comparison::NotEqual => found != Ordering::Equal,
            Comparison::Greater => found == Ordering::Greater,
            Comparison::Less => found == Ordering::Less,
        }
    }
}

/// What of a key is compared, and with what.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Operand {
    /// How often it was put since it was created.
    Version(i64),
    /// When it was created.
    Create(Revision),
    /// When it was last changed.
    Mod(Revision),
    /// What it holds.
    Value(Bytes),
    /// The lease it hangs on.
    Lease(LeaseId),
}
