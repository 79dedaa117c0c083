//! The seam to the disk.
//!
//! Looking is immediate; changing is queued. A change gets a [`Ticket`] and is reported later, because
//! a disk can be stuck for seconds, and a node that waits for it inside a call sends no heartbeats. The
//! caller decides what to do with a report; who carries it (a channel, a callback, a simulator's list of
//! events) is the implementation's business and no part of this trait.
//!
//! Three implementations stand here: [`FolderDisk`](crate::FolderDisk), which is real,
//! [`LossyDisk`](crate::LossyDisk), which is real and forgets with its process what was not synced, and
//! [`MemoryDisk`](crate::MemoryDisk), which forgets it when its power is cut.

use std::io;

use bytes::Bytes;

/// Names a queued change. Handed out in growing order, never twice in the life of one disk value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// An open file of one disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FileId(pub u64);

/// How the name of a draft ends: a file that nobody relies on yet. If it cannot be written or synced, its owner gives
/// it up, and the disk goes on; after any other failure it does not.
pub const DRAFT: &str = ".part";

/// One data folder. All paths are names in it.
pub trait Disk {
    /// The names of the files that are there, in order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens a file for reading and writing; an empty one comes into being if there is none. It may
    /// be gone after a crash, with all it holds, until [`sync_dir`](Disk::sync_dir) is done.
    fn open(&mut self, path: &str) -> io::Result<FileId>;

    /// Forgets an open file. Its queued changes still happen.
    fn close(&mut self, file: FileId);

    /// How long the file is. Queued changes are not seen yet.
    fn len(&self, file: FileId) -> io::Result<u64>;

    /// Up to `length` bytes from `offset`; fewer where the file ends. Queued changes are not seen yet.
    fn read_at(&self, file: FileId, offset: u64, length: usize) -> io::Result<Vec<u8>>;

    /// Writes; lengthens the file if need be.
    fn write_at(&mut self, file: FileId, offset: u64, bytes: Bytes) -> Ticket;

    /// Cuts the file, or lengthens it with zeros.
    fn set_len(&mut self, file: FileId, length: u64) -> Ticket;

    /// Makes all earlier changes of this file survive a crash. If it fails nobody knows which did, and
    /// asking again would not tell: the owner of the disk has to stop.
    fn sync(&mut self, file: FileId) -> Ticket;

    /// Gives a file another name, replacing what had that name.
    fn rename(&mut self, from: &str, to: &str) -> Ticket;

    /// Takes a file out of the folder.
    fn remove(&mut self, path: &str) -> Ticket;

    /// Makes names survive a crash: files that came, went, or were renamed.
    fn sync_dir(&mut self) -> Ticket;

    /// Blocks until this change, and every one before it, is done. For starting and stopping, when there
    /// is nothing else to do. Its report may still arrive in the usual way as well.
    fn wait(&mut self, ticket: Ticket) -> io::Result<()>;
}
