//! A world of one disk: it does what is due, when it is due.

use std::collections::BTreeSet;
use std::io;

use bytes::Bytes;
use sim::disk::SimDisk;
use wal::{Disk, FileId, Ticket};

/// The changes under way, and the time.
#[derive(Default)]
pub(crate) struct Clock {
    pub(crate) now: u64,
    pub(crate) due: BTreeSet<(u64, Ticket)>,
}

impl Clock {
    /// Begins all that waits; does the first change that is due.
    pub(crate) fn one(&mut self, disk: &SimDisk) -> Option<(Ticket, io::Result<()>)> {
        self.begin(disk);
        let (at, ticket) = self.due.pop_first()?;
        self.now = at;
        Some((ticket, disk.finish(ticket)))
    }

    /// Does everything that will ever be done; says in which order and how it went.
    pub(crate) fn all(&mut self, disk: &SimDisk) -> Vec<(Ticket, io::Result<()>)> {
        std::iter::from_fn(|| self.one(disk)).collect()
    }

    pub(crate) fn begin(&mut self, disk: &SimDisk) {
        while let Some((ticket, at)) = disk.begin_next(self.now) {
            if at < u64::MAX {
                self.due.insert((at, ticket));
            }
        }
    }
}

/// Does everything, and expects no trouble.
pub(crate) fn settle(disk: &SimDisk) {
    for (ticket, result) in Clock::default().all(disk) {
        result.unwrap_or_else(|error| panic!("{ticket:?}: {error}"));
    }
}

/// A file with these bytes, for certain.
pub(crate) fn put(disk: &mut SimDisk, name: &str, bytes: &[u8]) -> FileId {
    let file = disk.open(name).unwrap();
    disk.write_at(file, 0, Bytes::copy_from_slice(bytes));
    disk.sync(file);
    disk.sync_dir();
    settle(disk);
    file
}

/// What a process reads of a file; nothing if there is none.
pub(crate) fn read(disk: &SimDisk, name: &str) -> Option<Vec<u8>> {
    disk.image().remove(name)
}
