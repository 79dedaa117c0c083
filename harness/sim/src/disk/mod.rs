//! The disk of one simulated node.
//!
//! # The problem
//! A log is only as good as its worst crash, and real disks crash in ways that no test on a laptop shows.
//! A killed process loses nothing that it wrote; a power cut loses what was not synced, or keeps it, or
//! keeps some sectors of it; a new name may be gone although the bytes behind it were synced; a full disk
//! refuses half of a group; a sync that failed is forgotten by the cache, and the next one succeeds.
//!
//! # The idea
//! A [`SimDisk`] implements [`wal::Disk`], so the log's own code runs on it. It keeps what a process
//! sees, what is certain, and the edits between the two. Changes wait in a queue; the world takes them out
//! with [`begin_next`](SimDisk::begin_next), learns when each will be done, and does it then with
//! [`finish`](SimDisk::finish). So the disk is a list of events under the world's clock, as all else.
//! Changes of one file are done in order; changes of different files, and of the folder, overtake each
//! other.
//!
//! A power cut draws what is left: sector by sector of 512 bytes for what was written, name by name for
//! what was renamed; in one cut of four everything unsynced is lost, in another all is kept.
//!
//! # Each call
//! Every change that is done is counted, and [`cut_after`](SimDisk::cut_after) ends the power after so
//! many. A test that runs one life with every number has cut it at every place that there is.
//!
//! # Cost and left out
//! A change costs what it writes, whatever the size of the file. Zeros at the end of a file take no room;
//! reading them does, so a simulated log wants small segments. Everything random is drawn from one seed.
//! There are no disks that lie about syncs and none that write to the wrong place: no log of one copy can
//! stand on those. Sectors are never torn inside, as their makers promise. A rename may lose both names,
//! or leave both, which journalling file systems rule out and POSIX does not.

mod content;
mod file;
mod names;
mod queue;
mod state;

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::hash::Hasher;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use wal::{Disk, FileId, Ticket};

use self::file::Edit;
use self::queue::Change;
use self::state::{State, Troubles};

/// A handle to a disk. Clones are the same disk: a replica has one, and the world keeps another.
#[derive(Clone, Debug)]
pub struct SimDisk {
    state: Rc<RefCell<State>>,
}

/// What [fails](SimDisk::fail_next) next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failing {
    /// A sync of a file.
    File,
    /// A sync of the folder, or the making, changing or removing of a name in it.
    Folder,
}

/// What a power cut took: the difference to what the process had seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lost {
    /// Bytes that are others now, or none.
    pub bytes: u64,
    /// Names that are as before: not there, there again, or of another file.
    pub names: u64,
}

impl SimDisk {
    /// An empty disk. The seed decides how long things take and what crashes leave.
    pub fn new(seed: u64) -> SimDisk {
        let state = State::new(ChaCha8Rng::seed_from_u64(seed));
        SimDisk { state: Rc::new(RefCell::new(state)) }
    }

    /// The same disk, of a slower make: every sync takes this much longer, all its life.
    #[must_use]
    pub fn slower(self, by: Duration) -> SimDisk {
        self.state().troubles.usual = by;
        self
    }

    fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    // --- what the world does ------------------------------------------------------------------

    /// Begins the next change that waits, and says when it will be done, in the world's nanoseconds:
    /// never, as far as anybody knows, while the disk is stuck ([`u64::MAX`]).
    pub fn begin_next(&self, now: u64) -> Option<(Ticket, u64)> {
        let mut state = self.state();
        let ticket = state.queue.next()?;
        if state.troubles.stuck {
            state.queue.hang(ticket);
            state.slowed += 1;
            return Some((ticket, u64::MAX));
        }
        Some((ticket, state.time(ticket, now)))
    }

    /// Does a change, and says how it went: what the replica is to be told, unless the power
    /// [is gone](SimDisk::is_cut). A change of a process that has died is not done.
    pub fn finish(&self, ticket: Ticket) -> io::Result<()> {
        self.state().finish(ticket)
    }

    /// The process ends, by a signal or by itself; the machine goes on. Of what waited, the kernel had a
    /// part: for each file, the first few changes happen. What was written is seen by the next process,
    /// synced or not, unless a sync of it had failed. To be called before every start but the first.
    pub fn kill(&self) {
        self.state().kill();
    }

    /// The power goes, and comes back: what waited never happens, and what was not synced is lost in
    /// whole, in part or not at all.
    pub fn cut_power(&self) -> Lost {
        self.state().cut_power()
    }

    /// Whether the power [went](SimDisk::cut_after) in the middle of something. Nothing can be read or
    /// written any more, until [`cut_power`](SimDisk::cut_power).
    pub fn is_cut(&self) -> bool {
        self.state().is_cut
    }

    // --- troubles: each stays until it is taken back ------------------------------------------

    /// What is begun from now on is not done before [`release`](SimDisk::release). What has been begun
    /// is with the device, and still is done.
    pub fn stick(&self) {
        self.state().troubles.stuck = true;
    }

    /// The disk moves again: these changes hung, and will be done then.
    pub fn release(&self, now: u64) -> Vec<(Ticket, u64)> {
        let mut state = self.state();
        state.troubles.stuck = false;
        let hanging = state.queue.take_hanging();
        hanging.into_iter().map(|ticket| (ticket, state.time(ticket, now))).collect()
    }

    /// Every sync takes this much longer.
    pub fn slow(&self, by: Option<Duration>) {
        self.state().troubles.slow = by.unwrap_or_default();
    }

    /// The disk is full but for a few kilobytes. Writing over what is there goes on, on half of the
    /// disks; the others copy what they change, and need room for that, too.
    pub fn fill(&self, full: bool) {
        self.state().fill(full);
    }

    /// The next call of this sort fails, once. What a sync should have saved is gone from the disk, and
    /// stays in the cache until the process or the power goes.
    pub fn fail_next(&self, failing: Option<Failing>) {
        self.state().troubles.failing = failing;
    }

    /// Rots a bit of what was synced, and says of which file, and the how-manieth. A byte that the last sync of its
    /// file made certain is too young for it, if `spared` says so of that file and place. Nothing if there is nothing
    /// else.
    pub fn flip_bit(&self, spared: impl Fn(&str, usize) -> bool) -> Option<(String, u64)> {
        self.state().flip_bit(spared)
    }

    /// The bit that [rotted](SimDisk::flip_bit) last, if somebody has read the byte that holds it since.
    pub fn rot_read(&self) -> Option<(String, u64)> {
        self.state().rot.as_ref().filter(|rot| rot.read).map(|rot| (rot.name.clone(), rot.bit))
    }

    /// Another disk is put in its place, with nothing on it. The process must be gone.
    pub fn wipe(&self) {
        self.state().wipe();
    }

    // --- accounts -----------------------------------------------------------------------------

    /// How many changes were done, failed ones among them.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// How many changes failed.
    pub fn refused(&self) -> u64 {
        self.state().refused
    }

    /// How many syncs took longer than they would have, because the disk was slow or stuck.
    pub fn slowed(&self) -> u64 {
        self.state().slowed
    }

    /// Lets the power go when [`calls`](SimDisk::calls) has reached this number and one more change is
    /// due: that one, and every later one, is not done. The world finds out by asking
    /// [`is_cut`](SimDisk::is_cut). A power cut takes this back.
    pub fn cut_after(&self, calls: Option<u64>) {
        self.state().cut_after = calls;
    }

    /// How many bytes a power cut could take.
    pub fn unsynced_bytes(&self) -> u64 {
        self.state().files().map(file::File::unsynced_bytes).sum()
    }

    /// What a power cut would surely leave of a file, if anything leads to it.
    pub fn certain(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let (_, id) = state.names.certain().find(|(there, _)| *there == name)?;
        Some(state.file(id).certain().written().to_vec())
    }

    /// All files, as a process sees them.
    pub fn image(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state();
        let contents = |id| {
            let content = state.file(id).now();
            content.read(0, content.len())
        };
        state.names.iter().map(|(name, id)| (name.clone(), contents(id))).collect()
    }

    /// A number for everything that was done to this disk, in its order: two runs of one seed agree.
    pub fn digest(&self) -> u64 {
        self.state().digest.finish()
    }

    fn ask(&self, change: Change) -> Ticket {
        self.state().queue.add(change)
    }
}

impl State {
    fn time(&mut self, ticket: Ticket, now: u64) -> u64 {
        let Troubles { slow, usual, .. } = self.troubles;
        self.slowed += u64::from(!slow.is_zero() && self.queue.is_sync(ticket));
        self.queue.time(ticket, now, slow + usual, &mut self.rng)
    }
}

fn addressable(number: u64) -> usize {
    usize::try_from(number).expect("a file in memory is addressable")
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let state = self.state();
        state.powered()?;
        Ok(state.names.iter().map(|(name, _)| name.clone()).collect())
    }

    fn open(&mut self, path: &str) -> io::Result<FileId> {
        let mut state = self.state();
        state.powered()?;
        state.open(path)
    }

    fn close(&mut self, _file: FileId) {}

    fn len(&self, file: FileId) -> io::Result<u64> {
        let state = self.state();
        state.powered()?;
        Ok(state.file(file).now().len() as u64)
    }

    fn read_at(&self, file: FileId, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        state.powered()?;
        Ok(state.read(file, addressable(offset), length))
    }

    fn write_at(&mut self, file: FileId, offset: u64, bytes: Bytes) -> Ticket {
        self.ask(Change::Edit(file, Edit::Write(addressable(offset), bytes)))
    }

    fn set_len(&mut self, file: FileId, length: u64) -> Ticket {
        self.ask(Change::Edit(file, Edit::SetLen(addressable(length))))
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

    /// Does everything up to this change at once, whatever the clock says and however stuck the disk is.
    fn wait(&mut self, ticket: Ticket) -> io::Result<()> {
        self.state().finish_upto(ticket)
    }
}
