//! A disk that forgets: for tests, and for anyone who wants a node without a folder.
//!
//! It keeps, for each file, what is certain and, in order, what was changed since the last sync. Cutting
//! the power keeps the certain part and, of the rest, what the caller chooses, piece by piece: real disks
//! write the pages of one request in any order. Names are handled alike: a file that came, went or was
//! renamed may be as before until the folder is synced.
//!
//! Changes wait in a queue until [`run_one`](MemoryDisk::run_one) executes them, so a test decides how
//! late the disk is. A value is a handle: clones see the same disk, and a test keeps one to pull the plug.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::disk::{DRAFT, Disk, FileId, Ticket};

/// What a change does: to say which ones shall fail.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Operation {
    /// Writing bytes.
    Write,
    /// Cutting or lengthening a file.
    SetLen,
    /// Syncing a file.
    Sync,
    /// Renaming a file.
    Rename,
    /// Removing a file.
    Remove,
    /// Syncing the folder.
    SyncDir,
}

/// A handle to a disk in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Names as a running process sees them, and as they would be after a power cut.
    names: BTreeMap<String, FileId>,
    certain_names: BTreeMap<String, FileId>,
    files: BTreeMap<FileId, File>,
    queue: VecDeque<(Ticket, Change)>,
    last_file: u64,
    last_ticket: u64,
    failed: Option<(Ticket, io::ErrorKind)>,
    /// Operations that fail, and after how many that still succeed.
    failing: Option<(Operation, usize, io::ErrorKind)>,
    capacity: Option<u64>,
    lies_about_sync: bool,
}

#[derive(Clone, Debug, Default)]
struct File {
    now: Vec<u8>,
    certain: Vec<u8>,
    /// What leads from `certain` to `now`.
    unsynced: Vec<Edit>,
}

#[derive(Clone, Debug)]
enum Edit {
    Write(usize, Bytes),
    SetLen(usize),
}

#[derive(Clone, Debug)]
enum Change {
    Edit(FileId, Edit),
    Sync(FileId),
    Rename(String, String),
    Remove(String),
    SyncDir,
}

impl Change {
    fn operation(&self) -> Operation {
        match self {
            Change::Edit(_, Edit::Write(..)) => Operation::Write,
            Change::Edit(_, Edit::SetLen(_)) => Operation::SetLen,
            Change::Sync(_) => Operation::Sync,
            Change::Rename(..) => Operation::Rename,
            Change::Remove(_) => Operation::Remove,
            Change::SyncDir => Operation::SyncDir,
        }
    }
}

impl File {
    fn apply(bytes: &mut Vec<u8>, edit: &Edit) {
        match edit {
            Edit::SetLen(length) => bytes.resize(*length, 0),
            Edit::Write(offset, written) => {
                let end = offset + written.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*offset..end].copy_from_slice(written);
            }
        }
    }

    fn edit(&mut self, edit: Edit) {
        File::apply(&mut self.now, &edit);
        self.unsynced.push(edit);
    }

    fn sync(&mut self) {
        for edit in self.unsynced.drain(..) {
            File::apply(&mut self.certain, &edit);
        }
    }

    /// The bytes that are left when the power goes, `keep` deciding about each piece.
    fn cut(&mut self, keep: &mut dyn FnMut() -> bool) {
        const PIECE: usize = 7;
        for edit in std::mem::take(&mut self.unsynced) {
            match edit {
                Edit::SetLen(_) if keep() => File::apply(&mut self.certain, &edit),
                Edit::SetLen(_) => {}
                Edit::Write(offset, bytes) => {
                    for (place, piece) in (offset..).step_by(PIECE).zip(bytes.chunks(PIECE)) {
                        if keep() {
                            let piece = Edit::Write(place, Bytes::copy_from_slice(piece));
                            File::apply(&mut self.certain, &piece);
                        }
                    }
                }
            }
        }
        self.now.clone_from(&self.certain);
    }
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> MemoryDisk {
        MemoryDisk::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Executes the oldest queued change, and says how it went.
    pub fn run_one(&self) -> Option<(Ticket, io::Result<()>)> {
        let mut state = self.state();
        let (ticket, change) = state.queue.pop_front()?;
        let draft = state.is_draft(&change);
        let result = state.execute(change);
        if let (Err(error), None, false) = (&result, state.failed, draft) {
            state.failed = Some((ticket, error.kind()));
        }
        Some((ticket, result))
    }

    /// The power goes: queued changes never happen, and of each unsynced one only those pieces stay that
    /// `keep` says yes to. What opens the disk afterwards must be a new owner.
    pub fn cut_power(&self, mut keep: impl FnMut() -> bool) {
        let mut state = self.state();
        state.queue.clear();
        state.failed = None;
        state.settle_names(&mut keep);
        for file in state.files.values_mut() {
            file.cut(&mut keep);
        }
    }

    /// The process dies, the machine does not: what was executed stays, synced or not.
    pub fn kill(&self) {
        self.state().queue.clear();
    }

    /// After `successes` more of them, operations of this kind fail, for good.
    pub fn fail(&self, operation: Operation, successes: usize, with: io::ErrorKind) {
        self.state().failing = Some((operation, successes, with));
    }

    /// Writing fails when all files together would be longer than this.
    pub fn set_capacity(&self, bytes: u64) {
        self.state().capacity = Some(bytes);
    }

    /// From now on, a sync does nothing and reports success. No log can stand on such a disk; a test that
    /// does not notice it proves nothing.
    pub fn lie_about_sync(&self) {
        self.state().lies_about_sync = true;
    }

    /// A bit rots.
    pub fn flip(&self, path: &str, bit: usize) {
        let mut state = self.state();
        let file = state.file_named(path);
        file.now[bit / 8] ^= 1 << (bit % 8);
        file.certain[bit / 8] ^= 1 << (bit % 8);
    }

    /// Zeros take the place of some bytes: a write that the disk confirmed and never made.
    pub fn blank(&self, path: &str, range: std::ops::Range<usize>) {
        let mut state = self.state();
        let file = state.file_named(path);
        file.now[range.clone()].fill(0);
        file.certain[range].fill(0);
    }

    /// A file disappears, or a new one appears, for good.
    pub fn put(&self, path: &str, bytes: Option<&[u8]>) {
        let mut state = self.state();
        state.names.remove(path);
        state.certain_names.remove(path);
        if let Some(bytes) = bytes {
            let file = File { now: bytes.to_vec(), certain: bytes.to_vec(), unsynced: Vec::new() };
            let id = state.add(file);
            state.names.insert(path.to_owned(), id);
            state.certain_names.insert(path.to_owned(), id);
        }
    }

    /// What is in a file, as a process would see it.
    pub fn contents(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(path).map(|id| state.files[id].now.clone())
    }

    /// All files: to see that nothing has changed.
    pub fn image(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state();
        state.names.iter().map(|(name, id)| (name.clone(), state.files[id].now.clone())).collect()
    }

    /// A disk of its own with the same certain contents.
    #[must_use]
    pub fn copy(&self) -> MemoryDisk {
        let copy = MemoryDisk::new();
        for (name, bytes) in self.image() {
            copy.put(&name, Some(&bytes));
        }
        copy
    }

    fn ask(&self, change: Change) -> Ticket {
        let mut state = self.state();
        state.last_ticket += 1;
        let ticket = Ticket(state.last_ticket);
        state.queue.push_back((ticket, change));
        ticket
    }
}

impl State {
    fn add(&mut self, file: File) -> FileId {
        self.last_file += 1;
        let id = FileId(self.last_file);
        self.files.insert(id, file);
        id
    }

    fn file(&mut self, id: FileId) -> &mut File {
        self.files.get_mut(&id).expect("a file lives as long as the disk")
    }

    fn file_named(&mut self, path: &str) -> &mut File {
        let id = *self.names.get(path).expect("a test names files that are there");
        self.file(id)
    }

    fn is_draft(&self, change: &Change) -> bool {
        let (Change::Edit(file, _) | Change::Sync(file)) = change else { return false };
        self.names.iter().any(|(name, id)| id == file && name.ends_with(DRAFT))
    }

    fn execute(&mut self, change: Change) -> io::Result<()> {
        if let Some((_, kind)) = self.failed {
            return Err(kind.into());
        }
        match &mut self.failing {
            Some((operation, successes, kind)) if *operation == change.operation() => {
                if *successes == 0 {
                    return Err((*kind).into());
                }
                *successes -= 1;
            }
            _ => {}
        }
        match change {
            Change::Edit(file, edit) => {
                self.check_capacity(file, &edit)?;
                self.file(file).edit(edit);
            }
            Change::Sync(file) if !self.lies_about_sync => self.file(file).sync(),
            Change::SyncDir if !self.lies_about_sync => self.certain_names.clone_from(&self.names),
            Change::Sync(_) | Change::SyncDir => {}
            Change::Rename(from, to) => {
                let file = self.names.remove(&from).ok_or(io::ErrorKind::NotFound)?;
                self.names.insert(to, file);
            }
            Change::Remove(path) => {
                self.names.remove(&path).ok_or(io::ErrorKind::NotFound)?;
            }
        }
        Ok(())
    }

    fn check_capacity(&self, file: FileId, edit: &Edit) -> io::Result<()> {
        let Some(capacity) = self.capacity else { return Ok(()) };
        let length = match edit {
            Edit::Write(offset, bytes) => offset + bytes.len(),
            Edit::SetLen(length) => *length,
        };
        let others = self.names.values().filter(|&&id| id != file).map(|id| self.files[id].now.len());
        let total = others.sum::<usize>() + length.max(self.files[&file].now.len());
        if total as u64 > capacity { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// Each name is as it was at the last sync of the folder, or as it is now.
    fn settle_names(&mut self, keep: &mut dyn FnMut() -> bool) {
        let touched: Vec<String> = self.names.keys().chain(self.certain_names.keys()).cloned().collect();
        for name in touched {
            if self.names.get(&name) != self.certain_names.get(&name) && keep() {
                match self.names.get(&name) {
                    Some(&id) => self.certain_names.insert(name, id),
                    None => self.certain_names.remove(&name),
                };
            }
        }
        self.names.clone_from(&self.certain_names);
    }
}

impl Disk for MemoryDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn open(&mut self, path: &str) -> io::Result<FileId> {
        let mut state = self.state();
        if let Some(&id) = state.names.get(path) {
            return Ok(id);
        }
        let id = state.add(File::default());
        state.names.insert(path.to_owned(), id);
        Ok(id)
    }

    fn close(&mut self, _file: FileId) {}

    fn len(&self, file: FileId) -> io::Result<u64> {
        Ok(self.state().file(file).now.len() as u64)
    }

    fn read_at(&self, file: FileId, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        let bytes = &state.file(file).now;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let end = start.saturating_add(length).min(bytes.len());
        Ok(bytes[start..end].to_vec())
    }

    fn write_at(&mut self, file: FileId, offset: u64, bytes: Bytes) -> Ticket {
        let offset = usize::try_from(offset).expect("a file in memory is addressable");
        self.ask(Change::Edit(file, Edit::Write(offset, bytes)))
    }

    fn set_len(&mut self, file: FileId, length: u64) -> Ticket {
        let length = usize::try_from(length).expect("a file in memory is addressable");
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
        while self.state().queue.front().is_some_and(|(next, _)| *next <= ticket) {
            self.run_one();
        }
        match self.state().failed {
            Some((failed, kind)) if failed <= ticket => Err(kind.into()),
            _ => Ok(()),
        }
    }
}
