//! Commands as bytes, as they stand in the log.
//!
//! Numbers are little-endian and of fixed width. The first byte is a version; a reader refuses one
//! that it does not know instead of guessing. Whatever the bytes are, reading them ends in a command
//! or in an error: counts are not trusted with memory, and nesting is bounded. Keys and values share
//! the buffer they came in.

use bytes::{Buf, BufMut, Bytes};

use crate::command::{
    Command, Comparison, Condition, DeleteRange, Keys, LeaseId, Operand, Order, Put, Range, Revision, Sort,
    SortBy, Step, Txn,
};

/// The layout that this build writes.
pub const VERSION: u8 = 1;

/// How deep transactions may nest. What passes [`check`](crate::check) nests no deeper.
const MAX_DEPTH: usize = crate::check::MAX_OPS + 1;

/// Why bytes are no command.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Malformed {
    /// It ends too early.
    #[error("ends too early")]
    Short,
    /// A version from another time.
    #[error("has version {0}, this build reads {VERSION}")]
    Version(u8),
    /// A kind that this build does not know.
    #[error("has a {what} of unknown kind {kind}")]
    Kind {
        /// What has that kind.
        what: &'static str,
        /// The number found.
        kind: u8,
    },
    /// Transactions in transactions in transactions.
    #[error("nests deeper than {MAX_DEPTH}")]
    Deep,
    /// More bytes than meaning.
    #[error("has {0} bytes too many")]
    Trailing(usize),
}

/// A command as bytes.
pub fn encode(command: &Command) -> Bytes {
    let mut out = Vec::with_capacity(64 + weight(command));
    out.put_u8(VERSION);
    match command {
        Command::Put(put) => {
            out.put_u8(PUT);
            put_put(put, &mut out);
        }
        Command::DeleteRange(delete) => {
            out.put_u8(DELETE_RANGE);
            put_delete(delete, &mut out);
        }
        Command::Txn(txn) => {
            out.put_u8(TXN);
            put_txn(txn, &mut out);
        }
        Command::Compact(revision) => {
            out.put_u8(COMPACT);
            out.put_i64_le(revision.0);
        }
    }
    Bytes::from(out)
}

/// Reads a command that fills `from` exactly.
pub fn decode(mut from: Bytes) -> Result<Command, Malformed> {
    match get_u8(&mut from)? {
        VERSION => {}
        other => return Err(Malformed::Version(other)),
    }
    let command = match get_u8(&mut from)? {
        PUT => Command::Put(get_put(&mut from)?),
        DELETE_RANGE => Command::DeleteRange(get_delete(&mut from)?),
        TXN => Command::Txn(get_txn(&mut from, MAX_DEPTH)?),
        COMPACT => Command::Compact(get_revision(&mut from)?),
        kind => return Err(Malformed::Kind { what: "command", kind }),
    };
    if from.has_remaining() { Err(Malformed::Trailing(from.remaining())) } else { Ok(command) }
}

// --- one kind byte each, never reused; the same for commands and for steps ------------------------

const RANGE: u8 = 1;
const PUT: u8 = 2;
const DELETE_RANGE: u8 = 3;
const TXN: u8 = 4;
const COMPACT: u8 = 5;

/// What a put takes beside some fixed numbers; enough to get the common case into one allocation.
fn weight(command: &Command) -> usize {
    match command {
        Command::Put(put) => put.key.len() + put.value.as_ref().map_or(0, Bytes::len),
        Command::DeleteRange(_) | Command::Txn(_) | Command::Compact(_) => 0,
    }
}

fn put_put(put: &Put, out: &mut Vec<u8>) {
    put_bytes(&put.key, out);
    put_option(put.value.as_ref(), out, put_bytes);
    put_option(put.lease.as_ref(), out, |lease, out| out.put_i64_le(lease.0));
    put_bool(put.previous, out);
}

fn get_put(from: &mut Bytes) -> Result<Put, Malformed> {
    Ok(Put {
        key: get_bytes(from)?,
        value: get_option(from, get_bytes)?,
        lease: get_option(from, |from| Ok(LeaseId(get_i64(from)?)))?,
        previous: get_bool(from)?,
    })
}

fn put_delete(delete: &DeleteRange, out: &mut Vec<u8>) {
    put_keys(&delete.keys, out);
    put_bool(delete.previous, out);
}

fn get_delete(from: &mut Bytes) -> Result<DeleteRange, Malformed> {
    Ok(DeleteRange { keys: get_keys(from)?, previous: get_bool(from)? })
}

fn put_txn(txn: &Txn, out: &mut Vec<u8>) {
    put_list(&txn.conditions, out, put_condition);
    put_list(&txn.success, out, put_step);
    put_list(&txn.failure, out, put_step);
}

fn get_txn(from: &mut Bytes, depth: usize) -> Result<Txn, Malformed> {
    let depth = depth.checked_sub(1).ok_or(Malformed::Deep)?;
    Ok(Txn {
        conditions: get_list(from, get_condition)?,
        success: get_list(from, |from| get_step(from, depth))?,
        failure: get_list(from, |from| get_step(from, depth))?,
    })
}

fn put_step(step: &Step, out: &mut Vec<u8>) {
    match step {
        Step::Range(range) => {
            out.put_u8(RANGE);
            put_range(range, out);
        }
        Step::Put(put) => {
            out.put_u8(PUT);
            put_put(put, out);
        }
        Step::DeleteRange(delete) => {
            out.put_u8(DELETE_RANGE);
            put_delete(delete, out);
        }
        Step::Txn(txn) => {
            out.put_u8(TXN);
            put_txn(txn, out);
        }
    }
}

fn get_step(from: &mut Bytes, depth: usize) -> Result<Step, Malformed> {
    Ok(match get_u8(from)? {
        RANGE => Step::Range(get_range(from)?),
        PUT => Step::Put(get_put(from)?),
        DELETE_RANGE => Step::DeleteRange(get_delete(from)?),
        TXN => Step::Txn(get_txn(from, depth)?),
        kind => return Err(Malformed::Kind { what: "step", kind }),
    })
}

fn put_range(range: &Range, out: &mut Vec<u8>) {
    put_keys(&range.keys, out);
    out.put_i64_le(range.revision.0);
    out.put_i64_le(range.limit);
    put_option(range.sort.as_ref(), out, |sort, out| {
        out.put_u8(match sort.by {
            SortBy::Key => 0,
            SortBy::Version => 1,
            SortBy::Create => 2,
            SortBy::Mod => 3,
            SortBy::Value => 4,
        });
        put_bool(sort.order == Order::Descending, out);
    });
    put_bool(range.keys_only, out);
    put_bool(range.count_only, out);
    for bound in [range.min_mod, range.max_mod, range.min_create, range.max_create] {
        out.put_i64_le(bound.0);
    }
}

fn get_range(from: &mut Bytes) -> Result<Range, Malformed> {
    Ok(Range {
        keys: get_keys(from)?,
        revision: get_revision(from)?,
        limit: get_i64(from)?,
        sort: get_option(from, get_sort)?,
        keys_only: get_bool(from)?,
        count_only: get_bool(from)?,
        min_mod: get_revision(from)?,
        max_mod: get_revision(from)?,
        min_create: get_revision(from)?,
        max_create: get_revision(from)?,
    })
}

fn get_sort(from: &mut Bytes) -> Result<Sort, Malformed> {
    let by = match get_u8(from)? {
        0 => SortBy::Key,
        1 => SortBy::Version,
        2 => SortBy::Create,
        3 => SortBy::Mod,
        4 => SortBy::Value,
        kind => return Err(Malformed::Kind { what: "sort target", kind }),
    };
    let order = if get_bool(from)? { Order::Descending } else { Order::Ascending };
    Ok(Sort { by, order })
}

fn put_condition(condition: &Condition, out: &mut Vec<u8>) {
    put_keys(&condition.keys, out);
    out.put_u8(match condition.comparison {
        Comparison::Equal => 0,
        Comparison::NotEqual => 1,
        Comparison::Greater => 2,
        Comparison::Less => 3,
    });
    let (kind, number) = match &condition.operand {
        Operand::Version(number) => (0, *number),
        Operand::Create(revision) => (1, revision.0),
        Operand::Mod(revision) => (2, revision.0),
        Operand::Lease(lease) => (3, lease.0),
        Operand::Value(value) => {
            out.put_u8(4);
            return put_bytes(value, out);
        }
    };
    out.put_u8(kind);
    out.put_i64_le(number);
}

fn get_condition(from: &mut Bytes) -> Result<Condition, Malformed> {
    let keys = get_keys(from)?;
    let comparison = match get_u8(from)? {
        0 => Comparison::Equal,
        1 => Comparison::NotEqual,
        2 => Comparison::Greater,
        3 => Comparison::Less,
        kind => return Err(Malformed::Kind { what: "comparison", kind }),
    };
    let operand = match get_u8(from)? {
        0 => Operand::Version(get_i64(from)?),
        1 => Operand::Create(get_revision(from)?),
        2 => Operand::Mod(get_revision(from)?),
        3 => Operand::Lease(LeaseId(get_i64(from)?)),
        4 => Operand::Value(get_bytes(from)?),
        kind => return Err(Malformed::Kind { what: "operand", kind }),
    };
    Ok(Condition { keys, comparison, operand })
}

fn put_keys(keys: &Keys, out: &mut Vec<u8>) {
    match keys {
        Keys::One(key) => {
            out.put_u8(0);
            put_bytes(key, out);
        }
        Keys::Between(key, end) => {
            out.put_u8(1);
            put_bytes(key, out);
            put_bytes(end, out);
        }
        Keys::From(key) => {
            out.put_u8(2);
            put_bytes(key, out);
        }
    }
}

fn get_keys(from: &mut Bytes) -> Result<Keys, Malformed> {
    Ok(match get_u8(from)? {
        0 => Keys::One(get_bytes(from)?),
        1 => Keys::Between(get_bytes(from)?, get_bytes(from)?),
        2 => Keys::From(get_bytes(from)?),
        kind => return Err(Malformed::Kind { what: "run of keys", kind }),
    })
}

// --- the small parts --------------------------------------------------------------------------------

pub(crate) fn put_bytes(bytes: &Bytes, out: &mut Vec<u8>) {
    put_len(bytes.len(), out);
    out.put_slice(bytes);
}

pub(crate) fn get_bytes(from: &mut Bytes) -> Result<Bytes, Malformed> {
    let length = get_u32(from)? as usize;
    need(from, length)?;
    Ok(from.split_to(length))
}

fn put_len(length: usize, out: &mut Vec<u8>) {
    out.put_u32_le(u32::try_from(length).expect("the door bounds requests far below 4 GiB"));
}

pub(crate) fn put_list<T>(items: &[T], out: &mut Vec<u8>, put: fn(&T, &mut Vec<u8>)) {
    put_len(items.len(), out);
    for item in items {
        put(item, out);
    }
}

/// Reads a count and that many items, one by one: the bytes run out before the memory does.
pub(crate) fn get_list<T>(
    from: &mut Bytes,
    mut item: impl FnMut(&mut Bytes) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let count = get_u32(from)?;
    (0..count).map(|_| item(from)).collect()
}

pub(crate) fn put_option<T>(value: Option<&T>, out: &mut Vec<u8>, put: impl FnOnce(&T, &mut Vec<u8>)) {
    put_bool(value.is_some(), out);
    if let Some(value) = value {
        put(value, out);
    }
}

pub(crate) fn get_option<T>(
    from: &mut Bytes,
    get: impl FnOnce(&mut Bytes) -> Result<T, Malformed>,
) -> Result<Option<T>, Malformed> {
    Ok(if get_bool(from)? { Some(get(from)?) } else { None })
}

pub(crate) fn put_bool(value: bool, out: &mut Vec<u8>) {
    out.put_u8(u8::from(value));
}

pub(crate) fn get_bool(from: &mut Bytes) -> Result<bool, Malformed> {
    match get_u8(from)? {
        0 => Ok(false),
        1 => Ok(true),
        kind => Err(Malformed::Kind { what: "truth", kind }),
    }
}

fn get_revision(from: &mut Bytes) -> Result<Revision, Malformed> {
    Ok(Revision(get_i64(from)?))
}

fn need(from: &Bytes, bytes: usize) -> Result<(), Malformed> {
    if from.remaining() < bytes { Err(Malformed::Short) } else { Ok(()) }
}

pub(crate) fn get_u8(from: &mut Bytes) -> Result<u8, Malformed> {
    need(from, 1)?;
    Ok(from.get_u8())
}

pub(crate) fn get_u32(from: &mut Bytes) -> Result<u32, Malformed> {
    need(from, 4)?;
    Ok(from.get_u32_le())
}

pub(crate) fn get_i64(from: &mut Bytes) -> Result<i64, Malformed> {
    need(from, 8)?;
    Ok(from.get_i64_le())
}

/// What can have an unknown kind, so that a reader finds the very text.
const KINDS: [&str; 7] = ["command", "comparison", "operand", "run of keys", "sort target", "step", "truth"];

pub(crate) fn put_malformed(why: &Malformed, out: &mut Vec<u8>) {
    match why {
        Malformed::Short => out.put_u8(0),
        Malformed::Version(version) => out.put_slice(&[1, *version]),
        Malformed::Kind { what, kind } => {
            let place = KINDS.iter().position(|known| known == what);
            let place = place.expect("what a command can have an unknown kind of is in the table");
            out.put_slice(&[2, u8::try_from(place).expect("the table is short"), *kind]);
        }
        Malformed::Deep => out.put_u8(3),
        Malformed::Trailing(bytes) => {
            out.put_u8(4);
            out.put_u64_le(*bytes as u64);
        }
    }
}

pub(crate) fn get_malformed(from: &mut Bytes) -> Result<Malformed, Malformed> {
    Ok(match get_u8(from)? {
        0 => Malformed::Short,
        1 => Malformed::Version(get_u8(from)?),
        2 => {
            let place = get_u8(from)?;
            let unknown = Malformed::Kind { what: "kind", kind: place };
            let what = KINDS.get(usize::from(place)).ok_or(unknown)?;
            Malformed::Kind { what, kind: get_u8(from)? }
        }
        3 => Malformed::Deep,
        4 => Malformed::Trailing(usize::try_from(get_i64(from)?).map_err(|_| Malformed::Short)?),
        kind => return Err(Malformed::Kind { what: "mistake", kind }),
    })
}
