//! The disk behind its handles: what a change does, and what goes wrong with it.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::io;
use std::time::Duration;

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use wal::{FileId, Ticket};

use super::file::{Edit, File};
use super::names::Names;
use super::queue::{Change, Queue};
use super::{Failing, Lost, addressable};
use crate::digest::Digest;

/// A full disk has this much room left, at most: it bites after a few writes.
const ROOM: usize = 4096;

#[derive(Debug)]
pub(super) struct State {
    pub(super) rng: ChaCha8Rng,
    pub(super) names: Names,
    files: BTreeMap<FileId, File>,
    last_file: u64,
    pub(super) queue: Queue,
    pub(super) troubles: Troubles,
    /// The changes of this process that failed.
    failures: BTreeMap<Ticket, Failure>,
    /// Up to here, changes belong to processes that are dead.
    dead: Ticket,
    /// How many changes were done, and after how many the power goes.
    pub(super) calls: u64,
    pub(super) cut_after: Option<u64>,
    pub(super) is_cut: bool,
    pub(super) refused: u64,
    /// How many syncs took longer than they would have.
    pub(super) slowed: u64,
    /// The last bit that rotted.
    pub(super) rot: Option<Rot>,
    pub(super) digest: Digest,
}

/// A bit that rotted.
#[derive(Debug)]
pub(super) struct Rot {
    pub(super) name: String,
    pub(super) bit: u64,
    file: FileId,
    /// Whether somebody has read its byte since.
    pub(super) read: bool,
}

#[derive(Debug, Default)]
pub(super) struct Troubles {
    pub(super) stuck: bool,
    pub(super) slow: Duration,
    /// How much longer a sync takes on this disk, trouble or not.
    pub(super) usual: Duration,
    full: Option<Full>,
    pub(super) failing: Option<Failing>,
}

#[derive(Debug)]
struct Full {
    room: usize,
    /// Whether overwriting takes room as well, as on file systems that copy what they change.
    copies: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Failure(io::ErrorKind, &'static str);

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> io::Error {
        io::Error::new(failure.0, failure.1)
    }
}

const POWER: Failure = Failure(io::ErrorKind::Other, "the power is gone");
const DEAD: Failure = Failure(io::ErrorKind::Other, "this change died with its process");
const FULL: Failure = Failure(io::ErrorKind::StorageFull, "no space left on the simulated disk");
const SYNC: Failure = Failure(io::ErrorKind::Other, "input/output error of the simulated disk");
const FOLDER: Failure = Failure(io::ErrorKind::Other, "input/output error of the simulated folder");
const NO_FILE: Failure = Failure(io::ErrorKind::NotFound, "no such file on the simulated disk");

impl State {
    pub(super) fn new(rng: ChaCha8Rng) -> State {
        State {
            rng,
            names: Names::default(),
            files: BTreeMap::new(),
            last_file: 0,
            queue: Queue::default(),
            troubles: Troubles::default(),
            failures: BTreeMap::new(),
            dead: Ticket(0),
            calls: 0,
            cut_after: None,
            is_cut: false,
            refused: 0,
            slowed: 0,
            rot: None,
            digest: Digest::default(),
        }
    }

    // --- looking ------------------------------------------------------------------------------

    pub(super) fn powered(&self) -> io::Result<()> {
        if self.is_cut { Err(POWER.into()) } else { Ok(()) }
    }

    /// The file of this name, which is made if there is none.
    pub(super) fn open(&mut self, name: &str) -> io::Result<FileId> {
        if let Some(file) = self.names.find(name) {
            return Ok(file);
        }
        if self.troubles.fails(Failing::Folder) {
            self.refused += 1;
            return Err(FOLDER.into());
        }
        self.last_file += 1;
        let file = FileId(self.last_file);
        self.files.insert(file, File::default());
        self.names.add(name, file);
        Ok(file)
    }

    pub(super) fn read(&mut self, file: FileId, offset: usize, length: usize) -> Vec<u8> {
        let range = offset..offset.saturating_add(length);
        if let Some(rot) = &mut self.rot {
            rot.read |= rot.file == file && range.contains(&addressable(rot.bit / 8));
        }
        self.file(file).now().read(offset, length)
    }

    pub(super) fn file(&self, id: FileId) -> &File {
        self.files.get(&id).expect("a process uses only files that it has opened in its life")
    }

    fn file_mut(&mut self, id: FileId) -> &mut File {
        self.files.get_mut(&id).expect("a process uses only files that it has opened in its life")
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &File> {
        self.files.values()
    }

    // --- changing -----------------------------------------------------------------------------

    /// Does a change if it is still to be done, and says how it went.
    pub(super) fn finish(&mut self, ticket: Ticket) -> io::Result<()> {
        if ticket <= self.dead {
            return Err(DEAD.into());
        }
        if let Some(change) = self.queue.take(ticket)
            && let Err(failure) = self.do_it(change)
        {
            self.failures.insert(ticket, failure);
        }
        self.failures.get(&ticket).map_or(Ok(()), |&failure| Err(failure.into()))
    }

    /// Does everything up to a change, and says whether any of it ever failed.
    pub(super) fn finish_upto(&mut self, ticket: Ticket) -> io::Result<()> {
        while let Some(oldest) = self.queue.oldest(ticket) {
            // The answer is looked up below, with those of the changes that were done before.
            let _ = self.finish(oldest);
        }
        self.failures.range(..=ticket).next().map_or(Ok(()), |(_, &failure)| Err(failure.into()))
    }

    fn do_it(&mut self, change: Change) -> Result<(), Failure> {
        if self.is_cut || self.cut_after.is_some_and(|calls| self.calls >= calls) {
            self.is_cut = true;
            return Err(POWER);
        }
        self.calls += 1;
        self.note(&change);
        let result = self.execute(change);
        if result.is_err() {
            self.refused += 1;
        }
        result.is_ok().hash(&mut self.digest);
        result
    }

    fn execute(&mut self, change: Change) -> Result<(), Failure> {
        match change {
            Change::Edit(file, edit) => {
                self.make_room(file, &edit)?;
                if self
                    .rot
                    .as_ref()
                    .is_some_and(|rot| rot.file == file && edit.covers(addressable(rot.bit / 8)))
                {
                    self.rot = None;
                }
                self.file_mut(file).edit(edit);
            }
            Change::Sync(file) if self.troubles.fails(Failing::File) => {
                self.file_mut(file).fail_sync();
                return Err(SYNC);
            }
            Change::SyncDir if self.troubles.fails(Failing::Folder) => {
                self.names.fail_sync();
                return Err(FOLDER);
            }
            Change::Rename(..) | Change::Remove(_) if self.troubles.fails(Failing::Folder) => {
                return Err(FOLDER);
            }
            Change::Sync(file) => self.file_mut(file).sync(),
            Change::SyncDir => self.names.sync(),
            Change::Rename(from, to) => self.names.rename(&from, to).map_err(|_| NO_FILE)?,
            Change::Remove(name) => self.names.remove(&name).map_err(|_| NO_FILE)?,
        }
        Ok(())
    }

    fn make_room(&mut self, file: FileId, edit: &Edit) -> Result<(), Failure> {
        let (Some(full), Edit::Write(offset, bytes)) = (&mut self.troubles.full, edit) else { return Ok(()) };
        let content = self.files[&file].now();
        let needs = if full.copies { bytes.len() } else { content.growth(*offset, bytes.len()) };
        full.room = full.room.checked_sub(needs).ok_or(FULL)?;
        Ok(())
    }

    fn note(&mut self, change: &Change) {
        self.calls.hash(&mut self.digest);
        match change {
            Change::Edit(file, Edit::Write(offset, bytes)) => {
                (0, file, offset, &bytes[..]).hash(&mut self.digest);
            }
            Change::Edit(file, Edit::SetLen(length)) => (1, file, length).hash(&mut self.digest),
            Change::Sync(file) => (2, file).hash(&mut self.digest),
            Change::Rename(from, to) => (3, from, to).hash(&mut self.digest),
            Change::Remove(name) => (4, name).hash(&mut self.digest),
            Change::SyncDir => 5.hash(&mut self.digest),
        }
    }

    // --- ends of processes --------------------------------------------------------------------

    pub(super) fn kill(&mut self) {
        for change in self.queue.abandon(&mut self.rng) {
            // Nobody is left to hear how it went.
            let _ = self.do_it(change);
        }
        for file in self.files.values_mut() {
            file.evict();
        }
        self.names.evict();
        self.bury();
    }

    pub(super) fn cut_power(&mut self) -> Lost {
        self.queue.clear();
        let rng = &mut self.rng;
        let fate = Fate::draw(rng);
        let names = self.names.cut(|| fate.keeps(rng));
        let fate = Fate::draw(rng);
        let bytes = self.files.values_mut().map(|file| file.cut(|| fate.keeps(rng))).sum();
        self.names.part(|file| {
            self.last_file += 1;
            let copy = FileId(self.last_file);
            self.files.insert(copy, self.files[&file].clone());
            copy
        });
        self.cut_after = None;
        self.is_cut = false;
        self.bury();
        (bytes, names).hash(&mut self.digest);
        Lost { bytes, names }
    }

    pub(super) fn wipe(&mut self) {
        self.queue.clear();
        self.rot = None;
        self.names = Names::default();
        self.bury();
    }

    /// The process is no more, and neither are the files that no name leads to.
    fn bury(&mut self) {
        self.dead = self.queue.last();
        self.failures.clear();
        let names = &self.names;
        self.files.retain(|&file, _| names.lead_to(file));
    }

    // --- troubles -----------------------------------------------------------------------------

    pub(super) fn fill(&mut self, full: bool) {
        self.troubles.full =
            full.then(|| Full { room: self.rng.random_range(0..ROOM), copies: self.rng.random_ratio(1, 2) });
    }

    /// Flips a bit where it finds data before long: half of the time of any file, or else of any byte, so that large
    /// files rot more often, and small ones often enough.
    pub(super) fn flip_bit(&mut self, spared: impl Fn(&str, usize) -> bool) -> Option<(String, u64)> {
        let all: usize = self.written().map(|(.., length)| length).sum();
        if all == 0 {
            return None;
        }
        let (any_file, mut chosen) = (self.rng.random_bool(0.5), None);
        for _ in 0..64 {
            let (name, file, at) = if any_file { self.byte_of_any_file() } else { self.any_byte(all) };
            if self.files[&file].is_young(at) && spared(&name, at) {
                continue;
            }
            let is_data = self.files[&file].certain().written()[at] != 0;
            chosen = Some((name, file, at));
            if is_data {
                break;
            }
        }
        let (name, file, place) = chosen?;
        let bit = place * 8 + self.rng.random_range(0..8);
        let visible = self.file_mut(file).flip(bit);
        let bit = bit as u64;
        (&name, bit).hash(&mut self.digest);
        self.rot = visible.then(|| Rot { name: name.clone(), bit, file, read: false });
        Some((name, bit))
    }

    /// What a power cut would leave of each file, if anything: how many bytes.
    fn written(&self) -> impl Iterator<Item = (&String, FileId, usize)> {
        let length = |file: FileId| self.files[&file].certain().written().len();
        let files = self.names.certain().map(move |(name, file)| (name, file, length(file)));
        files.filter(|(.., length)| *length > 0)
    }

    fn byte_of_any_file(&mut self) -> (String, FileId, usize) {
        let turn = self.rng.random_range(0..self.written().count());
        let (name, file, length) = self.written().nth(turn).expect("it was counted");
        let name = name.clone();
        (name, file, self.rng.random_range(0..length))
    }

    fn any_byte(&mut self, all: usize) -> (String, FileId, usize) {
        let mut place = self.rng.random_range(0..all);
        for (name, file, length) in self.written() {
            if place < length {
                return (name.clone(), file, place);
            }
            place -= length;
        }
        unreachable!("there are so many bytes")
    }
}

impl Troubles {
    /// Whether this is what fails, which it does once.
    fn fails(&mut self, what: Failing) -> bool {
        let fails = self.failing == Some(what);
        if fails {
            self.failing = None;
        }
        fails
    }
}

/// What a power cut leaves of what was not synced.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Nothing,
    Everything,
    /// Each piece with this chance, in percent.
    Torn(u32),
}

impl Fate {
    fn draw(rng: &mut impl Rng) -> Fate {
        match rng.random_range(0..4) {
            0 => Fate::Nothing,
            1 => Fate::Everything,
            _ => Fate::Torn(rng.random_range(1..100)),
        }
    }

    fn keeps(self, rng: &mut impl Rng) -> bool {
        match self {
            Fate::Nothing => false,
            Fate::Everything => true,
            Fate::Torn(percent) => rng.random_ratio(percent, 100),
        }
    }
}
