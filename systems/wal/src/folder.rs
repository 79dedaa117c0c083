//! The real disk: one folder, one thread, one lock.
//!
//! All changes are executed by one thread, in the order in which they were asked for. That is enough: at
//! most one group is under way, so there is never much to do at once, and the queue needs no bound of
//! its own.
//!
//! After the first change that fails, nothing is tried any more: every later change fails the same way. A
//! sync that failed must not be repeated. The kernel has dropped the pages it could not write and marked
//! them clean; the second sync would succeed, and the data would be gone. Only a draft may fail alone: nobody relies
//! on it, and whoever writes it begins again from nothing.

// The one place in this crate that touches the world.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "this is the real disk behind the seam"
)]

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::disk::{DRAFT, Disk, FileId, Ticket};

/// The file whose lock says that the folder is in use.
const LOCK: &str = "lock";

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process, or another part of this one, has it.
    #[error("the data folder {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// The operating system says no.
    #[error("the data folder {}: {error}", folder.display())]
    Io {
        /// Which folder.
        folder: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

/// A folder of the real file system, locked for as long as this value lives.
pub struct FolderDisk {
    folder: PathBuf,
    files: BTreeMap<FileId, (Arc<File>, bool)>,
    next_file: u64,
    next_ticket: u64,
    queue: Option<Sender<(Ticket, Change, bool)>>,
    progress: Arc<Progress>,
    worker: Option<JoinHandle<()>>,
    _lock: File,
}

enum Change {
    Write(Arc<File>, u64, Bytes),
    SetLen(Arc<File>, u64),
    Sync(Arc<File>),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    SyncDir(PathBuf),
}

/// How long syncs took, all together: the figure that says most about a disk.
#[derive(Debug, Default)]
pub struct SyncTimes {
    count: AtomicU64,
    nanoseconds: AtomicU64,
}

impl SyncTimes {
    /// How many syncs there were.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// How long they took, added up.
    pub fn total(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }

    fn add(&self, took: Duration) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

/// How far the thread is, for those who wait.
#[derive(Default)]
struct Progress {
    syncs: Arc<SyncTimes>,
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default)]
struct State {
    done: Option<Ticket>,
    failure: Option<(Ticket, io::ErrorKind, String)>,
}

impl FolderDisk {
    /// Takes the folder, making it if need be. `report` is called, on the disk's own thread, for every
    /// change that is done or has failed, in order.
    pub fn open(
        folder: impl Into<PathBuf>,
        report: impl FnMut(Ticket, io::Result<()>) + Send + 'static,
    ) -> Result<FolderDisk, FolderError> {
        FolderDisk::open_slow(folder, Duration::ZERO, report)
    }

    /// The same, on a disk whose every sync takes this much longer: to measure on a machine whose disk is
    /// faster than those that matter.
    pub fn open_slow(
        folder: impl Into<PathBuf>,
        sync_delay: Duration,
        report: impl FnMut(Ticket, io::Result<()>) + Send + 'static,
    ) -> Result<FolderDisk, FolderError> {
        let folder = folder.into();
        let lock = take(&folder).map_err(|error| match error {
            TryLockError::WouldBlock => FolderError::InUse(folder.clone()),
            TryLockError::Error(error) => FolderError::Io { folder: folder.clone(), error },
        })?;
        let (queue, changes) = channel();
        let progress = Arc::new(Progress::default());
        let seen = Arc::clone(&progress);
        let worker = std::thread::Builder::new()
            .name("disk".into())
            .spawn(move || work(&changes, &seen, sync_delay, report))
            .map_err(|error| FolderError::Io { folder: folder.clone(), error })?;
        Ok(FolderDisk {
            folder,
            files: BTreeMap::new(),
            next_file: 0,
            next_ticket: 0,
            queue: Some(queue),
            progress,
            worker: Some(worker),
            _lock: lock,
        })
    }

    /// How long this disk's syncs take; goes on counting while the disk lives.
    pub fn sync_times(&self) -> Arc<SyncTimes> {
        Arc::clone(&self.progress.syncs)
    }

    fn ask(&mut self, change: Change) -> Ticket {
        self.ask_about(change, false)
    }

    fn ask_about(&mut self, change: Change, draft: bool) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        let queue = self.queue.as_ref().expect("the queue is open until the disk is dropped");
        queue.send((ticket, change, draft)).expect("the disk's thread runs until the queue is closed");
        ticket
    }

    /// The file, and whether it was a draft when it was opened.
    fn file(&self, file: FileId) -> (Arc<File>, bool) {
        self.files.get(&file).cloned().expect("a file is used only while it is open")
    }
}

fn take(folder: &Path) -> Result<File, TryLockError> {
    std::fs::create_dir_all(folder).map_err(TryLockError::Error)?;
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join(LOCK))
        .map_err(TryLockError::Error)?;
    lock.try_lock()?;
    Ok(lock)
}

fn work(
    changes: &Receiver<(Ticket, Change, bool)>,
    progress: &Progress,
    sync_delay: Duration,
    mut report: impl FnMut(Ticket, io::Result<()>),
) {
    let mut failed: Option<(io::ErrorKind, String)> = None;
    while let Ok((ticket, change, draft)) = changes.recv() {
        let result = match &failed {
            Some((kind, text)) => Err(io::Error::new(*kind, text.clone())),
            None => execute(change, &progress.syncs, sync_delay),
        };
        let mut state = progress.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Err(error), None, false) = (&result, &failed, draft) {
            failed = Some((error.kind(), error.to_string()));
            state.failure = Some((ticket, error.kind(), error.to_string()));
        }
        state.done = Some(ticket);
        drop(state);
        progress.moved.notify_all();
        report(ticket, result);
    }
}

fn execute(change: Change, syncs: &SyncTimes, sync_delay: Duration) -> io::Result<()> {
    match change {
        Change::Write(file, offset, bytes) => file.write_all_at(&bytes, offset),
        Change::SetLen(file, length) => file.set_len(length),
        Change::Sync(file) => {
            let begin = Instant::now();
            let result = file.sync_data();
            std::thread::sleep(sync_delay);
            syncs.add(begin.elapsed());
            result
        }
        Change::Rename(from, to) => std::fs::rename(from, to),
        Change::Remove(path) => std::fs::remove_file(path),
        Change::SyncDir(folder) => File::open(folder)?.sync_all(),
    }
}

impl Disk for FolderDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            if let (true, Ok(name)) = (entry.file_type()?.is_file(), entry.file_name().into_string()) {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn open(&mut self, path: &str) -> io::Result<FileId> {
        let draft = path.ends_with(DRAFT);
        let path = self.folder.join(path);
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        self.next_file += 1;
        let id = FileId(self.next_file);
        self.files.insert(id, (Arc::new(file), draft));
        Ok(id)
    }

    fn close(&mut self, file: FileId) {
        self.files.remove(&file);
    }

    fn len(&self, file: FileId) -> io::Result<u64> {
        Ok(self.file(file).0.metadata()?.len())
    }

    fn read_at(&self, file: FileId, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let (file, _) = self.file(file);
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match file.read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn write_at(&mut self, file: FileId, offset: u64, bytes: Bytes) -> Ticket {
        let (file, draft) = self.file(file);
        self.ask_about(Change::Write(file, offset, bytes), draft)
    }

    fn set_len(&mut self, file: FileId, length: u64) -> Ticket {
        let (file, draft) = self.file(file);
        self.ask_about(Change::SetLen(file, length), draft)
    }

    fn sync(&mut self, file: FileId) -> Ticket {
        let (file, draft) = self.file(file);
        self.ask_about(Change::Sync(file), draft)
    }

    fn rename(&mut self, from: &str, to: &str) -> Ticket {
        let (from, to) = (self.folder.join(from), self.folder.join(to));
        self.ask(Change::Rename(from, to))
    }

    fn remove(&mut self, path: &str) -> Ticket {
        let path = self.folder.join(path);
        self.ask(Change::Remove(path))
    }

    fn sync_dir(&mut self) -> Ticket {
        let folder = self.folder.clone();
        self.ask(Change::SyncDir(folder))
    }

    fn wait(&mut self, ticket: Ticket) -> io::Result<()> {
        let state = self.progress.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self
            .progress
            .moved
            .wait_while(state, |state| state.done < Some(ticket))
            .unwrap_or_else(PoisonError::into_inner);
        match &state.failure {
            Some((failed, kind, text)) if *failed <= ticket => Err(io::Error::new(*kind, text.clone())),
            _ => Ok(()),
        }
    }
}

impl Drop for FolderDisk {
    /// Everything that was asked for is still done; then the lock goes.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(worker) = self.worker.take() {
            // A panic of the callback has been printed where it happened; there is nothing to add.
            let _ = worker.join();
        }
    }
}
