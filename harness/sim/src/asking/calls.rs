//! Calls, and the names of what they ask about.
//!
//! An object that is one key of the store has the key's own name; one that is several has `name/part` for
//! each of them, all in one range. No key that a generator makes up has a slash in it.

use std::fmt::Display;

use bytes::Bytes;
use history::Key;
use kv::{
    Command, Comparison, Condition, Keys, LeaseId, Operand, Put, Query, Range, ReadOnly, Revision, Step, Txn,
};

use super::Call;

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

/// A number as text, which is how real clients write it.
pub(super) fn text(number: impl Display) -> Bytes {
    Bytes::from(number.to_string())
}

pub(super) fn read(keys: Keys) -> Call {
    Call::Read(Query::Range(Range::of(keys)))
}

/// Reads several keys at once.
pub(super) fn read_each(keys: impl Iterator<Item = Bytes>) -> Call {
    let txn = Txn { success: keys.map(look).collect(), ..Txn::default() };
    Call::Read(Query::Txn(ReadOnly::new(txn).expect("ranges do not write")))
}

pub(super) fn write(command: &Command) -> Call {
    Call::Write { request: None, command: kv::codec::encode(command) }
}

/// A step that reads a key.
pub(super) fn look(key: Bytes) -> Step {
    Step::Range(Range::of(Keys::One(key)))
}

/// No lease is said aloud: not to say so would keep the one that is there, and there is no such key at first.
pub(super) fn put(key: Bytes, value: Bytes) -> Put {
    Put { key, value: Some(value), lease: Some(LeaseId::NONE), previous: false }
}

/// That the key was last changed at that revision; 0 if it is not there.
pub(super) fn unchanged(key: Bytes, since: Revision) -> Condition {
    Condition { keys: Keys::One(key), comparison: Comparison::Equal, operand: Operand::Mod(since) }
}
