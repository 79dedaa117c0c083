//! The log itself: what is asked for becomes steps, and a step begins when the one before is on disk.
//!
//! The order of the steps is the whole safety argument.
//!
//! 1. A new term or vote is synced before the entries of that term are written, so that the log is never
//!    ahead of the term.
//! 2. A truncation moves the mark back, synced, before a byte is overwritten (see [`crate::hard`]); then
//!    the segments that nothing is left of go.
//! 3. Entries are written and synced, segment by segment. A new segment is made only when the one before
//!    is synced, and a record is written to it only when its header is.
//!
//! A log that begins anew behind a snapshot that is on disk moves the mark back to its beginning, synced; from then
//! on nothing that is there counts. Then it is removed. Segments that end before the snapshot go one by one, each
//! synced, from the front: no power cut leaves a hole.
//!
//! Only then is the group reported. One group is under way at a time; the owner collects the next one
//! meanwhile. After a failure no group is ever reported again.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use bytes::Bytes;
use raft::{Bug, Bugs, Checkpoint, Entry, EntryId, HardState, Index, Term, codec};

use crate::disk::{Disk, FileId, Ticket};
use crate::error::{Corrupt, Failure, OpenError, Reason};
use crate::group::{Group, Run};
use crate::hard::{self, Hard, Mark, Position};
use crate::identity::Identity;
use crate::record;
use crate::recovery::{self, Before, Place, Recovered, Scan};
use crate::segment::{Chain, Header, SegmentNumber};
use crate::snapshot::{self, Draft, Source, Stored};

/// Numbers the groups of a node: one write and one sync each. They only grow, across truncation and
/// restart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct GroupNumber(pub u64);

impl GroupNumber {
    fn next(self) -> GroupNumber {
        GroupNumber(self.0 + 1)
    }
}

impl fmt::Display for GroupNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {}", self.0)
    }
}

/// What may be chosen. The segment size must be the same on all nodes of a cluster, and for all time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// How long a segment is. An entry that does not fit gets a longer one for itself.
    pub segment_size: u64,
    /// How far ahead of the log zeros are written, so that a sync finds its blocks already allocated
    /// (a quarter to a third faster on ext4). 0 for never.
    pub zeros_ahead: u64,
    /// Mistakes to make.
    pub bugs: Bugs,
}

impl Default for Options {
    fn default() -> Options {
        Options { segment_size: 64 << 20, zeros_ahead: 256 << 10, bugs: Bugs::none() }
    }
}

/// What became of the group that was under way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Completion {
    /// It survives a crash, and so does every one before it.
    Durable(GroupNumber),
    /// The disk failed. What is on it is unknown; the node has to stop.
    Failed(Failure),
    /// All that was added to this draft so far is written: it may go on.
    Written(Source),
    /// This draft cannot be written, and is gone. Nothing else is.
    GivenUp(Source, Failure),
    /// This snapshot survives a crash: what the log has up to there need not be kept.
    Snapshot(Source, Checkpoint),
}

/// A log on a disk.
pub struct Wal<D: Disk> {
    pub(crate) disk: D,
    options: Options,
    pub(crate) cluster: [u8; 16],
    /// Those on disk, the latest last.
    pub(crate) snapshots: Vec<Stored>,
    pub(crate) drafts: BTreeMap<Source, Draft>,
    hard_file: FileId,
    /// As it will be when all steps are done, as everything below.
    hard: Hard,
    /// What stands before the first entry.
    before: Before,
    segments: Vec<OpenSegment>,
    places: Vec<Place>,
    group: GroupNumber,
    under_way: Option<GroupNumber>,
    steps: VecDeque<Step>,
    waiting: BTreeMap<Ticket, String>,
    failed: Option<Failure>,
}

struct OpenSegment {
    number: SegmentNumber,
    first: Index,
    /// There once its step has begun.
    file: Option<FileId>,
    length: u64,
    /// Up to where data or zeros were written.
    zeroed: u64,
    /// Up to where there may be remains: of what was torn, or was cut away by a truncation.
    remains: u64,
}

impl OpenSegment {
    fn into_file(self) -> (String, Option<FileId>) {
        (self.number.file_name(), self.file)
    }
}

enum Step {
    Hard(Hard),
    Remove(Vec<(String, Option<FileId>)>),
    Name { from: String, to: String },
    Named(Source),
    Create { number: SegmentNumber, length: u64, header: Header },
    Write { number: SegmentNumber, offset: u64, records: Bytes, zeros: Option<(u64, usize)> },
    Done(GroupNumber),
}

impl<D: Disk> Wal<D> {
    /// Opens the log of `identity`; makes a new one if the disk is blank. Waits for the disk. When it
    /// returns, everything in [`Recovered`] survives a crash. An error leaves the disk as it was.
    pub fn open(disk: D, identity: &Identity, options: Options) -> Result<(Wal<D>, Recovered), OpenError> {
        let mut disk = disk;
        let (hard_file, hard, is_held_twice) = match find_identity(&mut disk)? {
            None => create(&mut disk, identity)?,
            Some(found) if found != *identity => {
                let (found, wanted) = (Box::new(found), Box::new(identity.clone()));
                return Err(OpenError::WrongIdentity { found, wanted });
            }
            Some(_) => read_hard(&mut disk)?,
        };
        let found = snapshot::find(&mut disk, identity.cluster_hash())?;
        let base = found.latest.as_ref().map_or(EntryId::default(), |stored| stored.checkpoint.id);
        let mut scan = recovery::scan(&mut disk, identity.cluster_hash(), hard.mark, base, options.bugs)?;
        let last = scan.places.last().map_or(Term::default(), |place| place.id.term);
        if last > hard.state.term {
            return Err(corrupt(hard::FILE, Reason::TermBehindLog).into());
        }
        let mut entries = std::mem::take(&mut scan.entries);
        let cut = scan.cut.take();
        let useless = scan.useless.iter().map(|number| number.file_name()).chain(found.useless);
        let useless = useless.map(|name| (name, None)).collect();
        let mut wal = Wal::from_scan(disk, options, identity, (hard_file, hard), scan);
        wal.snapshots.extend(found.latest);
        if wal.id_at(base.index) == Some(base) {
            entries.retain(|entry| entry.id.index > base.index);
        } else {
            entries.clear();
        }
        if !is_held_twice {
            wal.plan_hard_once(wal.hard);
        }
        wal.make_sure(useless, base)?;
        let recovered = Recovered { hard: wal.hard.state, snapshot: wal.snapshot().cloned(), entries, cut };
        Ok((wal, recovered))
    }

    fn from_scan(
        disk: D,
        options: Options,
        identity: &Identity,
        (hard_file, hard): (FileId, Hard),
        scan: Scan,
    ) -> Wal<D> {
        let last = scan.torn.then(|| scan.files.last().map(|&(number, _)| number)).flatten();
        let segments = scan
            .files
            .iter()
            .map(|&(number, file)| {
                let before = scan.places.partition_point(|place| place.end.segment < number);
                let first = scan.places[before].id.index;
                let length = disk.len(file).unwrap_or(options.segment_size).max(options.segment_size);
                let remains = if Some(number) == last { length } else { 0 };
                OpenSegment { number, first, file: Some(file), length, zeroed: 0, remains }
            })
            .collect();
        Wal {
            disk,
            options,
            cluster: identity.cluster_hash(),
            snapshots: Vec::new(),
            drafts: BTreeMap::new(),
            hard_file,
            hard,
            before: scan.before,
            segments,
            places: scan.places,
            group: scan.group,
            under_way: None,
            steps: VecDeque::new(),
            waiting: BTreeMap::new(),
            failed: None,
        }
    }

    /// Makes what was read survive a crash, and declares the rest dead.
    fn make_sure(&mut self, useless: Vec<(String, Option<FileId>)>, base: EntryId) -> Result<(), Failure> {
        let mut tickets = vec![self.disk.sync(self.hard_file)];
        if let Some(file) = self.segments.last().and_then(|segment| segment.file) {
            tickets.push(self.disk.sync(file));
        }
        tickets.push(self.disk.sync_dir());
        for ticket in tickets {
            self.disk.wait(ticket).map_err(|error| Failure::new("syncing the log that was found", &error))?;
        }
        if self.hard.state.term < base.term {
            // The term was under way when the power went; nobody was promised anything in it.
            self.plan_hard(Hard { state: HardState { term: base.term, vote: None }, ..self.hard });
        }
        if self.id_at(base.index) == Some(base) {
            self.raise_mark();
        } else {
            self.plan_anew(base);
        }
        self.remove_later(useless);
        self.settle();
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Begins to write a group. Its number comes back from [`completed`](Wal::completed) when it is safe.
    ///
    /// There must be something in it, and nothing else under way.
    pub fn append(&mut self, group: Group) -> Result<GroupNumber, Failure> {
        if let Some(failure) = &self.failed {
            return Err(failure.clone());
        }
        assert!(
            self.under_way.is_none(),
            "one unsynced group at a time, so that a torn one can be told from a hole"
        );
        assert!(!group.is_empty(), "a group holds something to write");
        let complete = self.group;
        self.group = complete.next();
        self.under_way = Some(self.group);
        self.plan(group, complete);
        self.steps.push_back(Step::Done(self.group));
        if self.waiting.is_empty() {
            let early = self.advance();
            debug_assert!(!matches!(early, Some(Completion::Durable(_))), "a group takes at least one sync");
        }
        self.failed.clone().map_or(Ok(self.group), Err)
    }

    /// Whether a group is under way.
    pub fn is_busy(&self) -> bool {
        self.under_way.is_some()
    }

    /// Takes a report of the disk; one about a ticket that is not ours is ignored.
    pub fn completed(&mut self, ticket: Ticket, result: std::io::Result<()>) -> Option<Completion> {
        if let Some(draft) = self.draft_of(ticket) {
            return self.draft_completed(draft, ticket, &result);
        }
        let what = self.waiting.remove(&ticket)?;
        if self.failed.is_some() {
            return None;
        }
        if let Err(error) = result
            && !self.options.bugs.has(Bug::IgnoreFailedSync)
        {
            return Some(self.fail(Failure::new(what, &error)));
        }
        if self.waiting.is_empty() { self.advance() } else { None }
    }

    /// To be called when nothing was appended for a while (10 ms): moves the mark up to the end, so that
    /// damage to the last group is noticed, too. Does nothing if it stands there already.
    pub fn idle(&mut self) {
        if self.under_way.is_some() || self.failed.is_some() {
            return;
        }
        self.raise_mark();
        if self.waiting.is_empty() {
            self.advance();
        }
    }

    /// Waits until nothing is under way, and says what became of the group that was.
    pub fn settle(&mut self) -> Option<Completion> {
        let mut completion = if self.waiting.is_empty() { self.advance() } else { None };
        while let Some((&ticket, _)) = self.waiting.first_key_value() {
            let result = self.disk.wait(ticket);
            completion = self.completed(ticket, result).or(completion);
        }
        completion
    }

    /// The first that the log waits for.
    pub(crate) fn first_waiting(&self) -> Option<Ticket> {
        self.waiting.first_key_value().map(|(&ticket, _)| ticket)
    }

    /// Stops in good order: waits for what is under way, and moves the mark up to the end.
    pub fn close(mut self) -> Result<D, Failure> {
        self.settle();
        self.idle();
        self.settle();
        match self.failed {
            None => Ok(self.disk),
            Some(failure) => Err(failure),
        }
    }

    /// The last entry, under way or not.
    pub fn last(&self) -> EntryId {
        self.places.last().map_or(self.before.id, |place| place.id)
    }

    /// The running hash of the log up to an entry; `None` if there is no such entry.
    pub fn chain_at(&self, index: Index) -> Option<Chain> {
        if index == self.before.id.index {
            return Some(self.before.chain);
        }
        self.place(index).map(|place| place.chain)
    }

    /// The entry before the first one that is here. Its term may be forgotten.
    pub fn before(&self) -> Index {
        self.before.id.index
    }

    /// What the log says up to here is in a snapshot on disk: segments that hold nothing else go, one after the
    /// other from the front, so that a power cut never leaves a hole. The last segment stays.
    pub fn forget(&mut self, upto: Index) {
        let whole = self.segments.windows(2).take_while(|pair| pair[1].first <= upto.next()).count();
        let Some(first) = self.segments.get(whole).filter(|_| whole > 0).map(|segment| segment.first) else {
            return;
        };
        let last = self.place(first.previous()).expect("a segment begins behind an entry");
        self.before = Before { id: last.id, chain: last.chain };
        let gone: Vec<OpenSegment> = self.segments.drain(..whole).collect();
        self.places.retain(|place| place.id.index >= first);
        for segment in gone {
            self.steps.push_back(Step::Remove(vec![segment.into_file()]));
        }
        if self.waiting.is_empty() && self.failed.is_none() {
            self.advance();
        }
    }

    pub(crate) fn remove_later(&mut self, files: Vec<(String, Option<FileId>)>) {
        if !files.is_empty() {
            self.do_later([Step::Remove(files)]);
        }
    }

    pub(crate) fn name_later(&mut self, source: Source, from: String, to: String) {
        self.do_later([Step::Name { from, to }, Step::Named(source)]);
    }

    /// Whether this draft is whole, and waits for its name.
    pub(crate) fn names_draft(&self, source: Source) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Named(other) if *other == source))
    }

    fn do_later(&mut self, steps: impl IntoIterator<Item = Step>) {
        self.steps.extend(steps);
        if self.waiting.is_empty() && self.failed.is_none() {
            let early = self.advance();
            debug_assert!(early.is_none(), "what is to be done takes a sync");
        }
    }

    /// Up to where damage would be noticed even with nothing behind it.
    pub fn mark(&self) -> Mark {
        self.hard.mark
    }

    /// The disk it writes to.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    // --- planning: what is to be done, decided at once, from what the log will be ----------------------

    fn end(&self) -> Position {
        self.places.last().map_or(Position::default(), |place| place.end)
    }

    fn plan(&mut self, group: Group, complete: GroupNumber) {
        if let Some(base) = group.base.filter(|base| *base != self.last() || !self.places.is_empty()) {
            self.plan_anew_after(base, complete);
        }
        let run = group.run.map(|run| self.without_what_is_there(run));
        let mut next = self.hard;
        next.state = group.hard.unwrap_or(next.state);
        let mut removed = Vec::new();
        if let Some(run) = run.as_ref().filter(|run| run.after.index < self.last().index) {
            removed = self.cut(run.after.index);
            if !self.options.bugs.has(Bug::KeepMark) {
                next.mark = Mark { synced: self.end(), group: complete };
            }
        }
        let entries = run.map_or(Vec::new(), |run| run.entries);
        if next != self.hard || entries.is_empty() {
            self.plan_hard(next);
        }
        if !removed.is_empty() {
            self.steps.push_back(Step::Remove(removed));
        }
        self.plan_entries(&entries, complete);
    }

    /// The log begins anew behind an entry whose snapshot is on disk. First the mark goes back, so that nothing
    /// that is there counts any more; then it is removed. Whenever the power goes, the snapshot is there.
    fn plan_anew(&mut self, base: EntryId) {
        self.plan_anew_after(base, self.group);
    }

    fn plan_anew_after(&mut self, base: EntryId, complete: GroupNumber) {
        self.places.clear();
        self.before = Before::anew(base);
        let gone: Vec<_> = self.segments.drain(..).map(OpenSegment::into_file).collect();
        self.plan_hard(Hard { mark: Mark { synced: Position::default(), group: complete }, ..self.hard });
        if !gone.is_empty() {
            self.steps.push_back(Step::Remove(gone));
        }
    }

    /// Drops from the front of a run what the log already holds. Writing it again would first truncate it,
    /// and a crash in between would forget what was acknowledged.
    fn without_what_is_there(&self, mut run: Run) -> Run {
        assert_eq!(
            self.id_at(run.after.index),
            Some(run.after),
            "a run continues an entry that is not in the log"
        );
        let known =
            run.entries.iter().take_while(|entry| self.id_at(entry.id.index) == Some(entry.id)).count();
        if let Some(entry) = run.entries.drain(..known).next_back() {
            run.after = entry.id;
        }
        run
    }

    fn id_at(&self, index: Index) -> Option<EntryId> {
        if index == self.before.id.index {
            return Some(self.before.id);
        }
        self.place(index).map(|place| place.id)
    }

    fn place(&self, index: Index) -> Option<&Place> {
        let distance = index.0.checked_sub(self.before.id.index.next().0)?;
        self.places.get(usize::try_from(distance).ok()?)
    }

    /// Forgets everything after `last`, and gives back the segments of which nothing is left.
    fn cut(&mut self, last: Index) -> Vec<(String, Option<FileId>)> {
        let kept = self.segments.partition_point(|segment| segment.first <= last);
        if let Some(segment) = self.segments[..kept].last_mut() {
            let places = self.places.partition_point(|place| place.end.segment <= segment.number);
            segment.remains = segment.remains.max(self.places[places - 1].end.offset);
        }
        self.places.retain(|place| place.id.index <= last);
        self.segments.drain(kept..).map(OpenSegment::into_file).collect()
    }

    /// Writes this into one slot, or into both if nobody may go back to what stands there now.
    fn plan_hard(&mut self, next: Hard) {
        let withdraws = next.withdraws(&self.hard);
        self.plan_hard_once(next);
        if withdraws {
            self.plan_hard_once(next);
        }
    }

    fn plan_hard_once(&mut self, next: Hard) {
        self.hard = Hard { sequence: self.hard.sequence + 1, ..next };
        self.steps.push_back(Step::Hard(self.hard));
    }

    fn raise_mark(&mut self) {
        let mark = Mark { synced: self.end(), group: self.group };
        if mark != self.hard.mark {
            self.plan_hard(Hard { mark, ..self.hard });
        }
    }

    /// One write for each segment that the entries touch.
    fn plan_entries(&mut self, entries: &[Entry], complete: GroupNumber) {
        let mut encoded = Vec::new();
        let mut records = Vec::new();
        let mut start = self.end().offset;
        for entry in entries {
            encoded.clear();
            codec::encode_entry(entry, &mut encoded);
            let size = (record::HEADER + encoded.len()) as u64;
            if !self.fits(size) {
                self.plan_write(start, std::mem::take(&mut records));
                self.plan_segment(entry.id, size, complete);
                start = Header::LENGTH as u64;
            }
            let offset = start + records.len() as u64;
            record::put(&encoded, offset, self.group, start, &mut records);
            let segment = self.segments.last().expect("a segment was made if there was none").number;
            let end = Position { segment, offset: offset + size };
            let chain = self.chain_at(entry.id.index.previous()).unwrap_or_default().with(&encoded);
            self.places.push(Place { id: entry.id, end, chain });
        }
        self.plan_write(start, records);
    }

    /// Whether the next record still goes into the last segment: a rule made of entries alone, so that
    /// all nodes roll alike. A segment that exists has at least one entry.
    fn fits(&self, size: u64) -> bool {
        !self.segments.is_empty() && self.end().offset + size <= self.options.segment_size
    }

    fn plan_segment(&mut self, first: EntryId, size: u64, complete: GroupNumber) {
        let synced = self.end();
        if synced > self.hard.mark.synced {
            // Of the group under way, a part may be in the old segment: only what was before it is complete.
            self.plan_hard(Hard { mark: Mark { synced, group: complete }, ..self.hard });
        }
        self.plan_sweep(synced.offset);
        let number = synced.segment.next();
        let length = self.options.segment_size.max(Header::LENGTH as u64 + size);
        assert!(u32::try_from(length).is_ok(), "a segment is far below 4 GiB");
        let chain = self.chain_at(first.index.previous()).expect("the entry before is in the log");
        let header = Header { cluster: self.cluster, first, chain };
        let zeroed = Header::LENGTH as u64;
        self.segments.push(OpenSegment {
            number,
            first: first.index,
            file: None,
            length,
            zeroed,
            remains: 0,
        });
        self.steps.push_back(Step::Create { number, length, header });
    }

    /// A segment that is left behind has nothing after its last record. The mark moves on with the log,
    /// so it could no longer tell remains there from entries. It is raised to the end of this segment before:
    /// until then the mark tells, and from then on what is swept beside is known to be whole.
    fn plan_sweep(&mut self, end: u64) {
        let Some(segment) = self.segments.last_mut().filter(|segment| segment.remains > end) else { return };
        let length = usize::try_from(segment.remains - end).expect("a segment fits into memory");
        segment.remains = 0;
        self.steps.push_back(Step::Write {
            number: segment.number,
            offset: end,
            records: Bytes::from(vec![0; length]),
            zeros: None,
        });
    }

    fn plan_write(&mut self, offset: u64, records: Vec<u8>) {
        let (false, Some(segment)) = (records.is_empty(), self.segments.last_mut()) else { return };
        let end = offset + records.len() as u64;
        segment.zeroed = segment.zeroed.max(end);
        let ahead = (end + self.options.zeros_ahead).min(segment.length);
        let mut zeros = None;
        if end + self.options.zeros_ahead / 2 > segment.zeroed && ahead > segment.zeroed {
            let length = usize::try_from(ahead - segment.zeroed).expect("zeros ahead fit into memory");
            zeros = Some((segment.zeroed, length));
            segment.zeroed = ahead;
        }
        self.steps.push_back(Step::Write {
            number: segment.number,
            offset,
            records: Bytes::from(records),
            zeros,
        });
    }

    // --- doing: one step at a time -----------------------------------------------------------------------

    /// Begins steps until one has to be waited for.
    fn advance(&mut self) -> Option<Completion> {
        let mut completion = None;
        while self.waiting.is_empty() && self.failed.is_none() {
            let Some(step) = self.steps.pop_front() else { break };
            match self.begin(step) {
                Ok(None) => {}
                Ok(Some(done)) => completion = Some(done),
                Err(failure) => return Some(self.fail(failure)),
            }
        }
        completion
    }

    fn begin(&mut self, step: Step) -> Result<Option<Completion>, Failure> {
        match step {
            Step::Hard(hard) => {
                let write = self.disk.write_at(self.hard_file, hard.offset(), Bytes::from(hard.encode()));
                let sync = self.sync(self.hard_file);
                self.wait_for([write].into_iter().chain(sync), "writing", hard::FILE);
            }
            Step::Remove(files) => {
                for (name, file) in files {
                    if let Some(file) = file {
                        self.disk.close(file);
                    }
                    let removal = self.disk.remove(&name);
                    self.wait_for([removal], "removing", &name);
                }
                let sync = self.disk.sync_dir();
                self.wait_for([sync], "syncing", "the data folder");
            }
            Step::Name { from, to } => {
                let named = self.disk.rename(&from, &to);
                let sync = self.disk.sync_dir();
                self.wait_for([named, sync], "naming", &to);
            }
            Step::Named(source) => return Ok(Some(self.draft_named(source))),
            Step::Create { number, length, header } => {
                let name = number.file_name();
                let file =
                    self.disk.open(&name).map_err(|error| Failure::new(format!("making {name}"), &error))?;
                let grow = self.disk.set_len(file, length);
                let write = self.disk.write_at(file, 0, Bytes::from(header.encode()));
                let sync = self.sync(file);
                self.wait_for([grow, write].into_iter().chain(sync), "making", &name);
                if !self.options.bugs.has(Bug::SkipFolderSync) {
                    let named = self.disk.sync_dir();
                    self.wait_for([named], "making", &name);
                }
                self.segment(number).file = Some(file);
            }
            Step::Write { number, offset, records, zeros } => {
                let file = self.segment(number).file.expect("a segment is made before it is written to");
                let write = self.disk.write_at(file, offset, records);
                let zeros = zeros.map(|(from, n)| self.disk.write_at(file, from, Bytes::from(vec![0; n])));
                let sync = self.sync(file);
                let tickets = [write].into_iter().chain(zeros).chain(sync);
                self.wait_for(tickets, "writing", &number.file_name());
            }
            Step::Done(group) => {
                self.under_way = None;
                return Ok(Some(Completion::Durable(group)));
            }
        }
        Ok(None)
    }

    /// Syncs a file, but for `Bug::SkipSync`.
    fn sync(&mut self, file: FileId) -> Option<Ticket> {
        (!self.options.bugs.has(Bug::SkipSync)).then(|| self.disk.sync(file))
    }

    fn segment(&mut self, number: SegmentNumber) -> &mut OpenSegment {
        let place = self.segments.binary_search_by_key(&number, |segment| segment.number);
        &mut self.segments[place.expect("a segment that has steps is in the log")]
    }

    fn wait_for(&mut self, tickets: impl IntoIterator<Item = Ticket>, doing: &str, name: &str) {
        for ticket in tickets {
            self.waiting.insert(ticket, format!("{doing} {name}"));
        }
    }

    fn fail(&mut self, failure: Failure) -> Completion {
        self.failed = Some(failure.clone());
        self.steps.clear();
        Completion::Failed(failure)
    }
}

// --- the two small files ------------------------------------------------------------------------------

fn corrupt(file: &str, reason: Reason) -> Corrupt {
    Corrupt { file: file.to_owned(), offset: 0, entry: None, reason }
}

fn exists<D: Disk>(disk: &D, name: &str) -> Result<bool, Failure> {
    let names = disk.list().map_err(|error| Failure::new("listing the data folder", &error))?;
    Ok(names.iter().any(|there| there == name))
}

fn find_identity<D: Disk>(disk: &mut D) -> Result<Option<Identity>, OpenError> {
    if !exists(disk, Identity::FILE)? {
        return Ok(None);
    }
    let (file, bytes) = recovery::read_file(disk, Identity::FILE)?;
    disk.close(file);
    let identity = std::str::from_utf8(&bytes).ok().and_then(Identity::from_text);
    identity.map(Some).ok_or_else(|| corrupt(Identity::FILE, Reason::Identity).into())
}

/// The file, the newest that stands in it, and whether it stands there twice.
fn read_hard<D: Disk>(disk: &mut D) -> Result<(FileId, Hard, bool), OpenError> {
    if !exists(disk, hard::FILE)? {
        return Err(corrupt(hard::FILE, Reason::Missing).into());
    }
    let (file, bytes) = recovery::read_file(disk, hard::FILE)?;
    match Hard::newest(&bytes) {
        Ok(Some(hard)) => Ok((file, hard, Hard::is_held_twice(&bytes))),
        Ok(None) | Err(hard::NoSoundSlot) => Err(corrupt(hard::FILE, Reason::HardState).into()),
    }
}

/// Makes a new log. The identity comes last and all at once: while it is missing, a folder with no more
/// than a first `hard` in it was never used, and a crash in between does no harm. The folder is synced
/// before, since names reach the disk in any order, and after.
fn create<D: Disk>(disk: &mut D, identity: &Identity) -> Result<(FileId, Hard, bool), OpenError> {
    let making = |error| Failure::new("making the data folder", &error);
    let names = disk.list().map_err(making)?;
    let has_log = names.iter().any(|name| SegmentNumber::from_file_name(name).is_some());
    let was_used = exists(disk, hard::FILE)? && {
        let (_, bytes) = recovery::read_file(disk, hard::FILE)?;
        matches!(Hard::newest(&bytes), Ok(Some(hard)) if hard.sequence > 1)
    };
    if has_log || was_used {
        return Err(corrupt(Identity::FILE, Reason::Missing).into());
    }
    let first = Hard { sequence: 1, ..Hard::default() };
    let mut bytes = vec![0; hard::LENGTH];
    let slot = usize::try_from(first.offset()).expect("a slot is within its file");
    bytes.splice(slot..slot + first.encode().len(), first.encode());
    let file = disk.open(hard::FILE).map_err(making)?;
    disk.write_at(file, 0, Bytes::from(bytes));
    disk.sync(file);
    let draft = disk.open(Identity::DRAFT).map_err(making)?;
    disk.set_len(draft, 0);
    disk.write_at(draft, 0, Bytes::from(identity.to_text()));
    disk.sync(draft);
    let ready = disk.sync_dir();
    disk.wait(ready).map_err(making)?;
    disk.close(draft);
    disk.rename(Identity::DRAFT, Identity::FILE);
    let named = disk.sync_dir();
    disk.wait(named).map_err(making)?;
    Ok((file, first, true))
}
