//! A real folder that forgets what was not synced as soon as its process dies: for tests.
//!
//! # The problem
//! `kill -9` can never show a missing sync. What a process has written lies in the kernel's cache and
//! outlives the process; only a power cut takes it away, and nobody wants to cut the power of the machine
//! that runs the test.
//!
//! # The idea
//! So the cache moves into the process. Changes are kept in memory, where reads see them, and go down to
//! a [`FolderDisk`] when they are synced: the bytes of a file with [`sync`](Disk::sync), names with
//! [`sync_dir`](Disk::sync_dir). Whatever ends the process takes with it what no sync had taken down,
//! and exactly that. Until its name is synced a new file has a private one in the folder, which the next
//! start removes.
//!
//! A sync that is under way when the process dies may have been done or not, as on any disk.
//!
//! # Evidence
//! How many bytes are in memory alone also stands in the small file [`COUNT`], in the kernel's cache: it
//! is there after `kill -9`, and says what was lost, or a little more if a sync was under way.
//!
//! # Left out
//! Losing in part: a power cut tears writes and keeps some names without others. The simulator's disk does
//! that; here, all goes or stays. And the machine's own crash, which takes the count along.

// As `folder.rs`, this is a real disk behind the seam.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a thread does the changes, and one file counts what would be lost"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;

use crate::disk::{DRAFT, Disk, FileId, Ticket};
use crate::folder::{FolderDisk, FolderError, SyncTimes};

/// The file that says, in decimal digits, how many bytes a kill would take.
pub const COUNT: &str = ".unsynced";
/// How the names of files begin that have no certain name yet.
const PRIVATE: &str = ".unnamed-";

/// A folder whose unsynced changes die with this value, and with its process.
pub struct LossyDisk {
    shared: Arc<Shared>,
    queue: Option<Sender<(Ticket, Change)>>,
    last_ticket: u64,
    worker: Option<JoinHandle<()>>,
}

enum Change {
    Edit(FileId, Edit),
    Sync(FileId),
    Rename(String, String),
    Remove(String),
    SyncDir,
}

enum Edit {
    Write(u64, Bytes),
    SetLen(u64),
}

struct Shared {
    cache: Mutex<Cache>,
    progress: Mutex<Progress>,
    moved: Condvar,
    sync_times: Arc<SyncTimes>,
    unsynced: Arc<AtomicU64>,
    lost_before: u64,
}

/// How far the thread is, for those who wait.
#[derive(Default)]
struct Progress {
    done: Option<Ticket>,
    failure: Option<(Ticket, io::ErrorKind, String)>,
}

/// What the process sees: the folder below, and what has not gone down to it.
struct Cache {
    below: FolderDisk,
    files: BTreeMap<FileId, CachedFile>,
    names: BTreeMap<String, FileId>,
    /// What leads from the names below to these: from which name to which, or out of the folder.
    unsynced_names: Vec<(String, Option<String>)>,
    private: u64,
    count: Count,
}

struct CachedFile {
    length: u64,
    unsynced: Vec<Edit>,
}

struct Count {
    file: File,
    bytes: Arc<AtomicU64>,
}

impl LossyDisk {
    /// Takes the folder, making it if need be. Every sync takes `sync_delay` longer, while what it shall
    /// save is still in memory. `report` is called as [`FolderDisk`] does.
    pub fn open(
        folder: impl Into<PathBuf>,
        sync_delay: Duration,
        report: impl FnMut(Ticket, io::Result<()>) + Send + 'static,
    ) -> Result<LossyDisk, FolderError> {
        let folder = folder.into();
        let io = |error| FolderError::Io { folder: folder.clone(), error };
        let below = FolderDisk::open(folder.clone(), |_, _| {})?;
        let lost_before = LossyDisk::unsynced_in(&folder).unwrap_or_default();
        let unsynced = Arc::default();
        let count = Count::new(&folder.join(COUNT), Arc::clone(&unsynced)).map_err(io)?;
        let sync_times = below.sync_times();
        let shared = Arc::new(Shared {
            cache: Mutex::new(Cache::new(below, count).map_err(io)?),
            progress: Mutex::default(),
            moved: Condvar::new(),
            sync_times,
            unsynced,
            lost_before,
        });
        let (queue, changes) = channel();
        let seen = Arc::clone(&shared);
        let worker = std::thread::Builder::new()
            .name("lossy disk".into())
            .spawn(move || work(&changes, &seen, sync_delay, report))
            .map_err(io)?;
        Ok(LossyDisk { shared, queue: Some(queue), last_ticket: 0, worker: Some(worker) })
    }

    /// How many bytes died with the last process that had this folder.
    pub fn lost_before(&self) -> u64 {
        self.shared.lost_before
    }

    /// How many bytes would die now; goes on counting while the disk lives.
    pub fn unsynced(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.shared.unsynced)
    }

    /// How long the syncs of the folder below take.
    pub fn sync_times(&self) -> Arc<SyncTimes> {
        Arc::clone(&self.shared.sync_times)
    }

    /// What the count in a folder says, whoever has or had it; nothing if there is none.
    pub fn unsynced_in(folder: &Path) -> Option<u64> {
        std::fs::read_to_string(folder.join(COUNT)).ok()?.trim().parse().ok()
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.shared.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&mut self, change: Change) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        let queue = self.queue.as_ref().expect("the queue is open until the disk is dropped");
        queue.send((ticket, change)).expect("the disk's thread runs until the queue is closed");
        ticket
    }
}

/// As on the real disk, nothing is tried after a failure.
fn work(
    changes: &Receiver<(Ticket, Change)>,
    shared: &Shared,
    sync_delay: Duration,
    mut report: impl FnMut(Ticket, io::Result<()>),
) {
    let mut failed: Option<(io::ErrorKind, String)> = None;
    while let Ok((ticket, change)) = changes.recv() {
        if matches!(change, Change::Sync(_)) {
            std::thread::sleep(sync_delay);
        }
        let mut draft = false;
        let result = if let Some((kind, text)) = &failed {
            Err(io::Error::new(*kind, text.clone()))
        } else {
            let mut cache = shared.cache.lock().unwrap_or_else(PoisonError::into_inner);
            draft = cache.is_draft(&change);
            cache.execute(change)
        };
        let mut progress = shared.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Err(error), None, false) = (&result, &failed, draft) {
            failed = Some((error.kind(), error.to_string()));
            progress.failure = Some((ticket, error.kind(), error.to_string()));
        }
        progress.done = Some(ticket);
        drop(progress);
        shared.moved.notify_all();
        report(ticket, result);
    }
}

impl Count {
    fn new(path: &Path, bytes: Arc<AtomicU64>) -> io::Result<Count> {
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        let count = Count { file, bytes };
        count.write()?;
        Ok(count)
    }

    fn add(&self, bytes: u64) -> io::Result<()> {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.write()
    }

    fn take(&self, bytes: u64) -> io::Result<()> {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.write()
    }

    /// Always as long as before, so that no reader sees the end of another number.
    fn write(&self) -> io::Result<()> {
        let text = format!("{:020}\n", self.bytes.load(Ordering::Relaxed));
        self.file.write_all_at(text.as_bytes(), 0)
    }
}

impl Cache {
    /// Takes what is there, but for files that never got a name.
    fn new(mut below: FolderDisk, count: Count) -> io::Result<Cache> {
        let (mut files, mut names) = (BTreeMap::new(), BTreeMap::new());
        for name in below.list()? {
            if name.starts_with(PRIVATE) {
                let removal = below.remove(&name);
                below.wait(removal)?;
            } else if name != COUNT {
                let file = below.open(&name)?;
                files.insert(file, CachedFile { length: below.len(file)?, unsynced: Vec::new() });
                names.insert(name, file);
            }
        }
        Ok(Cache { below, files, names, unsynced_names: Vec::new(), private: 0, count })
    }

    fn file(&self, file: FileId) -> &CachedFile {
        self.files.get(&file).expect("a file is used only while it is there")
    }

    fn open(&mut self, name: &str) -> io::Result<FileId> {
        if let Some(&file) = self.names.get(name) {
            return Ok(file);
        }
        self.private += 1;
        let private = format!("{PRIVATE}{}", self.private);
        let file = self.below.open(&private)?;
        self.files.insert(file, CachedFile { length: 0, unsynced: Vec::new() });
        self.names.insert(name.to_owned(), file);
        self.unsynced_names.push((private, Some(name.to_owned())));
        Ok(file)
    }

    fn read(&self, file: FileId, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let cached = self.file(file);
        let there = usize::try_from(cached.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = self.below.read_at(file, offset, length.min(there))?;
        bytes.resize(length.min(there), 0);
        for edit in &cached.unsynced {
            edit.show(offset, &mut bytes);
        }
        Ok(bytes)
    }

    fn is_draft(&self, change: &Change) -> bool {
        let (Change::Edit(file, _) | Change::Sync(file)) = change else { return false };
        self.names.iter().any(|(name, id)| id == file && name.ends_with(DRAFT))
    }

    fn execute(&mut self, change: Change) -> io::Result<()> {
        match change {
            Change::Edit(file, edit) => self.edit(file, edit),
            Change::Sync(file) => self.sync(file),
            Change::Rename(from, to) => {
                let file = self.names.remove(&from).ok_or(io::ErrorKind::NotFound)?;
                self.names.insert(to.clone(), file);
                self.unsynced_names.push((from, Some(to)));
                Ok(())
            }
            Change::Remove(name) => {
                self.names.remove(&name).ok_or(io::ErrorKind::NotFound)?;
                self.unsynced_names.push((name, None));
                Ok(())
            }
            Change::SyncDir => self.sync_dir(),
        }
    }

    fn edit(&mut self, file: FileId, edit: Edit) -> io::Result<()> {
        self.count.add(edit.bytes())?;
        let cached = self.files.get_mut(&file).expect("a file is used only while it is there");
        cached.length = edit.length_after(cached.length);
        cached.unsynced.push(edit);
        Ok(())
    }

    fn sync(&mut self, file: FileId) -> io::Result<()> {
        let cached = self.files.get_mut(&file).expect("a file is used only while it is there");
        let edits = std::mem::take(&mut cached.unsynced);
        let bytes = edits.iter().map(Edit::bytes).sum();
        for edit in edits {
            match edit {
                Edit::Write(offset, bytes) => self.below.write_at(file, offset, bytes),
                Edit::SetLen(length) => self.below.set_len(file, length),
            };
        }
        let sync = self.below.sync(file);
        self.below.wait(sync)?;
        self.count.take(bytes)
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        for (from, to) in std::mem::take(&mut self.unsynced_names) {
            match to {
                Some(to) => self.below.rename(&from, &to),
                None => self.below.remove(&from),
            };
        }
        let sync = self.below.sync_dir();
        self.below.wait(sync)?;
        self.forget_the_nameless()
    }

    /// Nobody can open them again, and whoever has one open has no use for it.
    fn forget_the_nameless(&mut self) -> io::Result<()> {
        let named: Vec<FileId> = self.names.values().copied().collect();
        let nameless: Vec<FileId> = self.files.keys().copied().filter(|file| !named.contains(file)).collect();
        for file in nameless {
            if let Some(cached) = self.files.remove(&file) {
                self.count.take(cached.unsynced.iter().map(Edit::bytes).sum())?;
            }
            self.below.close(file);
        }
        Ok(())
    }
}

impl Edit {
    fn bytes(&self) -> u64 {
        match self {
            Edit::Write(_, bytes) => bytes.len() as u64,
            Edit::SetLen(_) => 0,
        }
    }

    fn length_after(&self, length: u64) -> u64 {
        match self {
            Edit::Write(offset, bytes) => length.max(offset + bytes.len() as u64),
            Edit::SetLen(length) => *length,
        }
    }

    /// Makes the change in a part of the file that begins at `offset`.
    fn show(&self, offset: u64, part: &mut [u8]) {
        let within =
            |place: u64| usize::try_from(place.saturating_sub(offset)).unwrap_or(usize::MAX).min(part.len());
        match self {
            Edit::SetLen(length) => {
                let end = within(*length);
                part[end..].fill(0);
            }
            Edit::Write(start, bytes) => {
                let (from, to) = (within(*start), within(start + bytes.len() as u64));
                let skipped = usize::try_from(offset.saturating_sub(*start)).unwrap_or(usize::MAX);
                if from < to {
                    part[from..to].copy_from_slice(&bytes[skipped..skipped + (to - from)]);
                }
            }
        }
    }
}

impl Disk for LossyDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.cache().names.keys().cloned().collect())
    }

    fn open(&mut self, path: &str) -> io::Result<FileId> {
        self.cache().open(path)
    }

    /// The file stays open below as long as it has a name: it may hold what is not synced.
    fn close(&mut self, _file: FileId) {}

    fn len(&self, file: FileId) -> io::Result<u64> {
        Ok(self.cache().file(file).length)
    }

    fn read_at(&self, file: FileId, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.cache().read(file, offset, length)
    }

    fn write_at(&mut self, file: FileId, offset: u64, bytes: Bytes) -> Ticket {
        self.ask(Change::Edit(file, Edit::Write(offset, bytes)))
    }

    fn set_len(&mut self, file: FileId, length: u64) -> Ticket {
        self.ask(Change::Edit(file, Edit::SetLen(length)))
    }

    fn sync(&mut self, file: FileId) -> Ticket {
        self.ask(Change::Sync(file))
    }

    fn rename(&mut self, from: &str, to: &str) -> Ticket {
        self.ask(Change::Rename(from.to_owned(), to.to_owned()))
    }

    fn remove(&mut self, path: &str) -> Ticket {
        self.ask(Change::Remove(path.to_owned()))
    }

    fn sync_dir(&mut self) -> Ticket {
        self.ask(Change::SyncDir)
    }

    fn wait(&mut self, ticket: Ticket) -> io::Result<()> {
        let progress = self.shared.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let progress = self
            .shared
            .moved
            .wait_while(progress, |progress| progress.done < Some(ticket))
            .unwrap_or_else(PoisonError::into_inner);
        match &progress.failure {
            Some((failed, kind, text)) if *failed <= ticket => Err(io::Error::new(*kind, text.clone())),
            _ => Ok(()),
        }
    }
}

impl Drop for LossyDisk {
    /// Everything that was asked for is still done. What was not synced by it is forgotten.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(worker) = self.worker.take() {
            // A panic of the callback has been printed where it happened; there is nothing to add.
            let _ = worker.join();
        }
    }
}
