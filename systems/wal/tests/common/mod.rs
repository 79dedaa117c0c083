//! What the tests of the log share: short ways to write groups and to read logs.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use bytes::Bytes;
use raft::{Entry, EntryId, HardState, NodeId, Payload, Persist, PersistId, Suffix, Term, Wall};
use wal::{Completion, Group, Identity, MemoryDisk, OpenError, Options, Recovered, Wal};

pub fn identity() -> Identity {
    Identity {
        cluster: "test".into(),
        name: "n1".into(),
        node: NodeId(1),
        members: vec!["n1".into(), "n2".into()],
    }
}

/// Small segments, so that a short log has several.
pub fn options() -> Options {
    Options { segment_size: 600, zeros_ahead: 64, ..Options::default() }
}

pub fn open(disk: &MemoryDisk) -> Result<(Wal<MemoryDisk>, Recovered), OpenError> {
    Wal::open(disk.clone(), &identity(), options())
}

pub fn entry(index: u64, term: u64, size: usize) -> Entry {
    let byte = u8::try_from((index * 31 + term * 7) % 251).unwrap();
    Entry {
        id: EntryId::new(index, term),
        stamp: Wall(index),
        request: None,
        payload: Payload::Command(Bytes::from(vec![byte; size])),
    }
}

/// A term, and entries of that term after `after`, one for each size.
pub fn group(after: EntryId, term: u64, sizes: &[usize]) -> Group {
    let indexes = after.index.0 + 1..;
    let entries = indexes.zip(sizes).map(|(index, &size)| entry(index, term, size)).collect();
    let mut group = Group::default();
    group.add(Persist {
        id: PersistId(1),
        base: None,
        hard: Some(HardState { term: Term(term), vote: None }),
        suffix: Some(Suffix::new(after, entries).unwrap()),
    });
    group
}

/// Writes a group and waits until it is safe.
pub fn write(wal: &mut Wal<MemoryDisk>, group: Group) {
    let number = wal.append(group).unwrap();
    assert_eq!(wal.settle(), Some(Completion::Durable(number)));
}

/// Appends behind the last entry, in its own group.
pub fn extend(wal: &mut Wal<MemoryDisk>, term: u64, sizes: &[usize]) {
    write(wal, group(wal.last(), term, sizes));
}

pub fn names(recovered: &Recovered) -> String {
    recovered.entries.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
