//! What is asked of a store in one call, and the names of what it is about.
//!
//! An object that is one key of the store has the key's own name; one that is several has `name/part` for
//! each of them, all in one range. No key that a generator makes up has a slash in it.

use std::fmt::Display;

use bytes::Bytes;
use history::Key;

/// One call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Look at keys, as they are now.
    Range(Keys),
    /// Write one key.
    Put(Put),
    /// Several steps at once.
    Txn(Txn),
}

/// One key or a run of keys, in the order of their bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Keys {
    /// This key.
    One(Bytes),
    /// From the first on, up to and without the second.
    Between(Bytes, Bytes),
}

/// Write one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Put {
    /// Which.
    pub key: Bytes,
    /// What it is to hold.
    pub value: Bytes,
}

/// If all conditions hold, all steps, in one revision; else none of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Txn {
    /// What must hold.
    pub conditions: Vec<Condition>,
    /// What to do then.
    pub steps: Vec<Step>,
}

/// Something that must hold of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Condition {
    /// Which.
    pub key: Bytes,
    /// What is expected of it.
    pub expected: Expected,
}

/// What is expected of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expected {
    /// That it holds this.
    Value(Bytes),
    /// That it was last changed then; at revision 0 if it is not there.
    Modified(Revision),
}

/// One step of a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Look at keys.
    Range(Keys),
    /// Write one key.
    Put(Put),
}

/// A store's count of its own changes. 0 is before there was any store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Revision(pub i64);

impl Request {
    /// Whether carrying it out could change something.
    pub fn changes(&self) -> bool {
        match self {
            Request::Range(_) => false,
            Request::Put(_) => true,
            Request::Txn(txn) => txn.steps.iter().any(|step| matches!(step, Step::Put(_))),
        }
    }

    /// Looks at several keys at once.
    pub(super) fn look_at_each(keys: impl Iterator<Item = Bytes>) -> Request {
        Request::Txn(Txn { conditions: Vec::new(), steps: keys.map(look).collect() })
    }
}

/// The name of the object that an op is about. Ops without a key are about the only one there is.
pub(super) fn object(key: Option<&Key>) -> &str {
    key.map_or("object", Key::as_str)
}

/// An object that is one key.
pub(super) fn whole(object: &str) -> Bytes {
    Bytes::copy_from_slice(object.as_bytes())
}

/// One part of an object.
pub(super) fn part(object: &str, part: impl Display) -> Bytes {
    Bytes::from(format!("{object}/{part}"))
}

/// All parts of an object. They end where the byte after the slash would begin, which is a zero digit.
pub(super) fn parts(object: &str) -> Keys {
    Keys::Between(Bytes::from(format!("{object}/")), Bytes::from(format!("{object}0")))
}

/// A number as text.
pub(super) fn text(number: impl Display) -> Bytes {
    Bytes::from(number.to_string())
}

/// A step that looks at a key.
pub(super) fn look(key: Bytes) -> Step {
    Step::Range(Keys::One(key))
}

/// That nobody has changed the key since.
pub(super) fn unchanged(key: Bytes, since: Revision) -> Condition {
    Condition { key, expected: Expected::Modified(since) }
}
