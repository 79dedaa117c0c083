//! Snapshots on disk: what a state machine held when the log had come to some entry.
//!
//! One file each, `<index>-<term>.snap`. It says nothing of the node that wrote it, so a peer that lacks the
//! beginning of the log is sent the file as it is, byte for byte.
//!
//! ```text
//! header   magic "raft-snp", version u16, length of the checkpoint u16, cluster (16), checkpoint, crc32c of all that
//! pieces   length u32 (never 0), crc32c of the piece, the piece; as often as it takes
//! footer   0 u32, length of the whole file u64, crc32c of everything before
//! ```
//!
//! # The order of writes
//! 1. The file is written under another name, a *draft*, and synced. A power cut leaves a draft: it is removed.
//! 2. It gets its name, and the folder is synced. From here on a start finds it; a power cut before leaves the
//!    snapshot of before, and the whole log behind that.
//! 3. Only then is anything removed: what the log held up to its entry, and the snapshot before.
//!
//! So the latest file that has its name is whole, or it rotted. Then this node does not start: an older snapshot
//! would do only if the log behind it were still there, and step 3 says that it is not.
//!
//! A draft is nobody's promise. If it cannot be written, since the disk is full, it is given up, and the log goes on.
//!
//! # Rot under a node that runs
//! A file is read once more when a peer fetches it, perhaps months after it was written. What is given away is held
//! against checksums kept in memory, one for each 16 KiB. A snapshot that does not agree with them is *rotten*: it is
//! given to nobody any more, and its owner, whose state is sound, has to write another in its place, under the same name
//! if nothing was executed since.

use std::collections::BTreeSet;

use bytes::{Buf, BufMut, Bytes};
use raft::{Checkpoint, EntryId, codec};

use crate::disk::{Disk, FileId, Ticket};
use crate::error::{Corrupt, Failure, OpenError, Reason};
use crate::log::{Completion, Wal};

/// Where a snapshot comes from. There is one draft of each kind at a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Source {
    /// This node's own state.
    Taken,
    /// A peer.
    Fetched,
}

impl Source {
    fn draft(self) -> &'static str {
        match self {
            Source::Taken => "taken.part",
            Source::Fetched => "fetched.part",
        }
    }
}

const MAGIC: [u8; 8] = *b"raft-snp";
const VERSION: u16 = 1;
/// Magic, version, length and cluster.
const PREAMBLE: usize = 8 + 2 + 2 + 16;
/// Length and checksum before each piece.
const PIECE_HEADER: u64 = 4 + 4;
const FOOTER: u64 = 4 + 8 + 4;
/// How much is read at once.
const READ: usize = 1 << 20;
/// How much of a file is checked at once when a part of it is given away.
const BLOCK: usize = 16 << 10;

/// A snapshot that has its name.
pub(crate) struct Stored {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) file: FileId,
    length: u64,
    blocks: Vec<u32>,
    /// It is not what was written.
    rotten: bool,
}

/// A snapshot that is being written.
pub(crate) struct Draft {
    checkpoint: Checkpoint,
    file: FileId,
    /// How the file must begin.
    header: Bytes,
    begins_well: bool,
    sum: Sum,
    waiting: BTreeSet<Ticket>,
    whole: bool,
}

/// The length of what was seen, the checksum of all but its last four bytes, and those of its blocks.
#[derive(Default)]
struct Sum {
    length: u64,
    crc: u32,
    last: Vec<u8>,
    blocks: Vec<u32>,
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let seen = self.length + (bytes.len() - rest.len()) as u64;
            let filled = usize::try_from(seen % BLOCK as u64).expect("a block fits into memory");
            if filled == 0 {
                self.blocks.push(0);
            }
            let (block, beyond) = rest.split_at(rest.len().min(BLOCK - filled));
            let open = self.blocks.last_mut().expect("the first byte of a block opens it");
            *open = crc32c::crc32c_append(*open, block);
            rest = beyond;
        }
        self.length += bytes.len() as u64;
        self.last.extend_from_slice(bytes);
        let settled = self.last.len().saturating_sub(4);
        self.crc = crc32c::crc32c_append(self.crc, &self.last[..settled]);
        self.last.drain(..settled);
    }

    /// The checksum of everything.
    fn of_all(&self) -> u32 {
        crc32c::crc32c_append(self.crc, &self.last)
    }

    /// Whether the last four bytes are the checksum of those before.
    fn agrees(&self) -> bool {
        <[u8; 4]>::try_from(&*self.last).is_ok_and(|last| u32::from_le_bytes(last) == self.crc)
    }
}

fn file_name(id: EntryId) -> String {
    format!("{:020}-{}.snap", id.index.0, id.term.0)
}

fn from_file_name(name: &str) -> Option<EntryId> {
    let (index, term) = name.strip_suffix(".snap")?.split_once('-')?;
    let id = EntryId::new(index.parse().ok()?, term.parse().ok()?);
    (file_name(id) == name).then_some(id)
}

fn header(cluster: [u8; 16], checkpoint: &Checkpoint) -> Bytes {
    let mut encoded = Vec::new();
    codec::encode_checkpoint(checkpoint, &mut encoded);
    let mut out = Vec::with_capacity(PREAMBLE + encoded.len() + 4);
    out.put_slice(&MAGIC);
    out.put_u16_le(VERSION);
    out.put_u16_le(u16::try_from(encoded.len()).expect("a checkpoint names a few members"));
    out.put_slice(&cluster);
    out.put_slice(&encoded);
    out.put_u32_le(crc32c::crc32c(&out));
    Bytes::from(out)
}

fn framed(piece: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(piece.len() + 8);
    out.put_u32_le(u32::try_from(piece.len()).expect("a piece is far below 4 GiB"));
    out.put_u32_le(crc32c::crc32c(piece));
    out.put_slice(piece);
    Bytes::from(out)
}

/// Reads a header: the cluster, the checkpoint, and how long it is.
fn read_header(bytes: &[u8]) -> Result<([u8; 16], Checkpoint, u64), Reason> {
    let mut rest = bytes.get(..PREAMBLE).ok_or(Reason::Header)?;
    let mut magic = [0; 8];
    rest.copy_to_slice(&mut magic);
    let version = rest.get_u16_le();
    let length = PREAMBLE + usize::from(rest.get_u16_le());
    let mut cluster = [0; 16];
    rest.copy_to_slice(&mut cluster);
    let mut checksum = bytes.get(length..length + 4).ok_or(Reason::Header)?;
    if magic != MAGIC || checksum.get_u32_le() != crc32c::crc32c(&bytes[..length]) {
        return Err(Reason::Header);
    }
    if version != VERSION {
        return Err(Reason::Version(version));
    }
    let mut encoded = Bytes::copy_from_slice(&bytes[PREAMBLE..length]);
    Ok((cluster, codec::decode_checkpoint(&mut encoded)?, length as u64 + 4))
}

/// What is in the folder: the latest snapshot, if there is one, and what is of no use any more.
pub(crate) struct Found {
    pub(crate) latest: Option<Stored>,
    pub(crate) useless: Vec<String>,
}

/// Looks for snapshots, and reads the latest from end to end. Changes nothing.
pub(crate) fn find<D: Disk>(disk: &mut D, cluster: [u8; 16]) -> Result<Found, OpenError> {
    let names = disk.list().map_err(|error| Failure::new("listing the data folder", &error))?;
    let drafts = [Source::Taken, Source::Fetched].map(Source::draft);
    let mut ids: Vec<EntryId> = names.iter().filter_map(|name| from_file_name(name)).collect();
    ids.sort_unstable_by_key(|id| id.index);
    let latest = ids.pop();
    let old = ids.into_iter().map(file_name);
    let useless = names.iter().filter(|name| drafts.contains(&name.as_str())).cloned().chain(old).collect();
    let latest = latest.map(|id| check(disk, cluster, id)).transpose()?;
    Ok(Found { latest, useless })
}

fn check<D: Disk>(disk: &mut D, cluster: [u8; 16], id: EntryId) -> Result<Stored, OpenError> {
    let name = file_name(id);
    let reading = |error| Failure::new(format!("reading {name}"), &error);
    let refuse = |offset, reason| Corrupt { file: name.clone(), offset, entry: None, reason };
    let file = disk.open(&name).map_err(reading)?;
    let length = disk.len(file).map_err(reading)?;
    let mut sum = Sum::default();
    let mut first = Vec::new();
    while sum.length < length {
        let bytes = disk.read_at(file, sum.length, READ).map_err(reading)?;
        if bytes.is_empty() {
            break;
        }
        sum.add(&bytes);
        if first.is_empty() {
            first = bytes;
        }
    }
    let (of, checkpoint, _) = read_header(&first).map_err(|reason| refuse(0, reason))?;
    if of != cluster {
        return Err(refuse(0, Reason::ForeignSnapshot).into());
    }
    if checkpoint.id != id || !sum.agrees() {
        return Err(refuse(length, Reason::Snapshot).into());
    }
    Ok(Stored { checkpoint, file, length, blocks: sum.blocks, rotten: false })
}

/// Snapshots.
impl<D: Disk> Wal<D> {
    /// The latest snapshot on disk.
    pub fn snapshot(&self) -> Option<&Checkpoint> {
        self.snapshots.last().map(|stored| &stored.checkpoint)
    }

    /// How many bytes the latest snapshot has on disk; 0 if there is none.
    pub fn snapshot_size(&self) -> u64 {
        self.snapshots.last().map_or(0, |stored| stored.length)
    }

    /// Whether the latest snapshot was found rotten: another is needed in its place.
    pub fn snapshot_rotten(&self) -> bool {
        self.snapshots.last().is_some_and(|stored| stored.rotten)
    }

    /// Whether a draft of this kind is being written, and of which checkpoint.
    pub fn draft(&self, source: Source) -> Option<&Checkpoint> {
        self.drafts.get(&source).map(|draft| &draft.checkpoint)
    }

    /// Begins a draft; one of the same kind must be gone. [`Completion::Written`] says when it may go on.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn begin_draft(&mut self, source: Source, checkpoint: &Checkpoint) -> Result<(), Failure> {
        assert!(!self.drafts.contains_key(&source), "one draft of each kind at a time");
        let name = source.draft();
        let file = self.disk.open(name).map_err(|error| Failure::new(format!("making {name}"), &error))?;
        let cleared = self.disk.set_len(file, 0);
        let header = header(self.cluster, checkpoint);
        let draft = Draft {
            checkpoint: checkpoint.clone(),
            file,
            header: header.clone(),
            begins_well: true,
            sum: Sum::default(),
            waiting: BTreeSet::from([cleared]),
            whole: false,
        };
        self.drafts.insert(source, draft);
        if source == Source::Taken {
            self.put_into_draft(source, header);
        }
        Ok(())
    }

    /// Adds a piece of state to the draft of a snapshot that is taken.
    pub fn add_state(&mut self, piece: &[u8]) {
        assert!(!piece.is_empty(), "an empty piece would end the file");
        self.put_into_draft(Source::Taken, framed(piece));
    }

    /// Adds bytes of a file to the draft of a snapshot that is fetched. How many there are now.
    pub fn add_bytes(&mut self, bytes: Bytes) -> u64 {
        self.put_into_draft(Source::Fetched, bytes);
        self.drafts[&Source::Fetched].sum.length
    }

    /// There is no more to come: the draft is synced, then it gets its name, which [`Completion::Snapshot`] reports.
    ///
    /// # Errors
    /// What was fetched is not the snapshot that was to be fetched. The draft is given up.
    pub fn finish_draft(&mut self, source: Source) -> Result<(), Reason> {
        if source == Source::Taken {
            let sum = &self.drafts[&source].sum;
            let mut end = Vec::with_capacity(16);
            end.put_u32_le(0);
            end.put_u64_le(sum.length + FOOTER);
            end.put_u32_le(crc32c::crc32c_append(sum.of_all(), &end));
            self.put_into_draft(source, Bytes::from(end));
        }
        let draft = self.drafts.get_mut(&source).expect("a draft is finished after it was begun");
        let has_header = draft.sum.length >= draft.header.len() as u64 + FOOTER;
        if !has_header || !draft.begins_well || !draft.sum.agrees() {
            self.give_up_draft(source);
            return Err(Reason::Snapshot);
        }
        draft.whole = true;
        let synced = self.disk.sync(draft.file);
        draft.waiting.insert(synced);
        Ok(())
    }

    /// Waits until something can be said of a draft: that it is written as far as it was given, that it has its name, or
    /// that it is given up. `None` if there is nothing to wait for.
    pub fn settle_draft(&mut self, source: Source) -> Option<Completion> {
        loop {
            let of_draft = self.drafts.get(&source).and_then(|draft| draft.waiting.first().copied());
            let ticket = of_draft.or_else(|| self.first_waiting())?;
            let result = self.disk.wait(ticket);
            if let Some(completion) = self.completed(ticket, result) {
                return Some(completion);
            }
        }
    }

    /// Throws a draft away, if there is one that does not have its name yet.
    pub fn give_up_draft(&mut self, source: Source) {
        if self.names_draft(source) {
            return;
        }
        if let Some(draft) = self.drafts.remove(&source) {
            // Not removed: that would be done later, when the next draft may have this name.
            self.disk.set_len(draft.file, 0);
            self.disk.close(draft.file);
        }
    }

    /// Removes all snapshots but the latest and those that are wanted and sound.
    pub fn drop_snapshots(&mut self, mut wanted: impl FnMut(EntryId) -> bool) {
        let latest = self.snapshot().map(|checkpoint| checkpoint.id);
        let (keep, old) = std::mem::take(&mut self.snapshots).into_iter().partition(|stored| {
            let id = stored.checkpoint.id;
            Some(id) == latest || (!stored.rotten && wanted(id))
        });
        self.snapshots = keep;
        let old: Vec<Stored> = old;
        let files = old.iter().map(|stored| (file_name(stored.checkpoint.id), Some(stored.file)));
        self.remove_later(files.collect());
    }

    /// Up to `length` bytes of the file of a snapshot, and how long it is; `None` if there is no such snapshot (any
    /// more), or if it turns out to be rotten: then [`snapshot_rotten`](Wal::snapshot_rotten) may say so.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read_snapshot(
        &mut self,
        id: EntryId,
        offset: u64,
        length: usize,
    ) -> Result<Option<(u64, Bytes)>, Failure> {
        let known = self.snapshots.iter_mut().find(|stored| stored.checkpoint.id == id);
        let Some(stored) = known.filter(|stored| !stored.rotten) else { return Ok(None) };
        let rest = usize::try_from(stored.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let skip = usize::try_from(offset % BLOCK as u64).expect("a block fits into memory");
        let length = length.min(rest);
        let whole = (skip + length).next_multiple_of(BLOCK);
        let read = self.disk.read_at(stored.file, offset - skip as u64, whole);
        let bytes = read.map_err(|error| Failure::new(format!("reading {}", file_name(id)), &error))?;
        let first = usize::try_from(offset / BLOCK as u64).unwrap_or(usize::MAX);
        let sums = stored.blocks.iter().skip(first).take(whole / BLOCK);
        let sound = sums.copied().eq(bytes.chunks(BLOCK).map(crc32c::crc32c));
        if !sound {
            stored.rotten = true;
            return Ok(None);
        }
        let end = bytes.len().min(skip + length);
        Ok(Some((stored.length, Bytes::from(bytes).slice(skip.min(end)..end))))
    }

    /// The pieces of the latest snapshot, in the order in which they were added.
    pub fn pieces(&self) -> Pieces<'_, D> {
        let offset = self.snapshots.last().map_or(0, |stored| {
            let header = header(self.cluster, &stored.checkpoint);
            header.len() as u64
        });
        Pieces { disk: &self.disk, stored: self.snapshots.last(), offset }
    }

    fn put_into_draft(&mut self, source: Source, bytes: Bytes) {
        let draft = self.drafts.get_mut(&source).expect("a draft is written to after it was begun");
        let start = usize::try_from(draft.sum.length).unwrap_or(usize::MAX).min(draft.header.len());
        let expected = &draft.header[start..];
        let seen = expected.len().min(bytes.len());
        draft.begins_well &= expected[..seen] == bytes[..seen];
        let offset = draft.sum.length;
        draft.sum.add(&bytes);
        let written = self.disk.write_at(draft.file, offset, bytes);
        draft.waiting.insert(written);
    }

    /// The draft that this ticket is about.
    pub(crate) fn draft_of(&self, ticket: Ticket) -> Option<Source> {
        self.drafts.iter().find(|(_, draft)| draft.waiting.contains(&ticket)).map(|(source, _)| *source)
    }

    /// Takes a report of the disk about a draft.
    pub(crate) fn draft_completed(
        &mut self,
        source: Source,
        ticket: Ticket,
        result: &std::io::Result<()>,
    ) -> Option<Completion> {
        let draft = self.drafts.get_mut(&source)?;
        draft.waiting.remove(&ticket);
        if let Err(error) = result {
            let failure = Failure::new(format!("writing {}", source.draft()), error);
            self.give_up_draft(source);
            return Some(Completion::GivenUp(source, failure));
        }
        if !draft.waiting.is_empty() {
            return None;
        }
        if !draft.whole {
            return Some(Completion::Written(source));
        }
        let to = file_name(draft.checkpoint.id);
        self.name_later(source, source.draft().to_owned(), to);
        None
    }

    /// A draft has its name.
    pub(crate) fn draft_named(&mut self, source: Source) -> Completion {
        let draft = self.drafts.remove(&source).expect("a draft that gets its name is there");
        let Draft { checkpoint, file, sum, .. } = draft;
        let done = Completion::Snapshot(source, checkpoint.clone());
        // One of that name is the file's no more.
        if let Some(place) = self.snapshots.iter().position(|stored| stored.checkpoint.id == checkpoint.id) {
            self.disk.close(self.snapshots.remove(place).file);
        }
        self.snapshots.push(Stored {
            checkpoint,
            file,
            length: sum.length,
            blocks: sum.blocks,
            rotten: false,
        });
        self.snapshots.sort_by_key(|stored| stored.checkpoint.index());
        done
    }
}

/// Reads the pieces of a snapshot, one after the other.
pub struct Pieces<'a, D: Disk> {
    disk: &'a D,
    stored: Option<&'a Stored>,
    offset: u64,
}

impl<D: Disk> Pieces<'_, D> {
    fn piece(&mut self, stored: &Stored) -> Result<Option<Bytes>, OpenError> {
        let name = file_name(stored.checkpoint.id);
        let reading = |error| Failure::new(format!("reading {name}"), &error);
        let refuse = |offset| Corrupt { file: name.clone(), offset, entry: None, reason: Reason::Snapshot };
        let front = self.disk.read_at(stored.file, self.offset, 8).map_err(reading)?;
        let Ok(front) = <[u8; 8]>::try_from(front) else { return Err(refuse(self.offset).into()) };
        let mut front = &front[..];
        let (length, checksum) = (front.get_u32_le(), front.get_u32_le());
        if length == 0 {
            return Ok(None);
        }
        let end = self.offset + PIECE_HEADER + u64::from(length);
        if end > stored.length {
            return Err(refuse(self.offset).into());
        }
        let length = usize::try_from(length).expect("a piece was in memory before");
        let bytes = self.disk.read_at(stored.file, self.offset + PIECE_HEADER, length).map_err(reading)?;
        if bytes.len() != length || crc32c::crc32c(&bytes) != checksum {
            return Err(refuse(self.offset).into());
        }
        self.offset = end;
        Ok(Some(Bytes::from(bytes)))
    }
}

impl<D: Disk> Iterator for Pieces<'_, D> {
    type Item = Result<Bytes, OpenError>;

    fn next(&mut self) -> Option<Self::Item> {
        let stored = self.stored?;
        let piece = self.piece(stored).transpose();
        if !matches!(piece, Some(Ok(_))) {
            self.stored = None;
        }
        piece
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use raft::{Index, Membership, NodeId, Wall};

    fn checkpoint() -> Checkpoint {
        let membership = Membership::of([1, 2, 3].map(NodeId)).into();
        Checkpoint { id: EntryId::new(7, 2), stamp: Wall(9), membership, since: Index(3) }
    }

    #[test]
    fn a_header_comes_back_and_no_bit_of_it_may_change() {
        let bytes = header([5; 16], &checkpoint());
        assert_eq!(read_header(&bytes), Ok(([5; 16], checkpoint(), bytes.len() as u64)));
        for place in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[place] ^= 4;
            assert_eq!(read_header(&changed), Err(Reason::Header), "byte {place} changed");
        }
    }

    #[test]
    fn file_names_say_which_entry() {
        let id = EntryId::new(12, 3);
        assert_eq!(file_name(id), "00000000000000000012-3.snap");
        assert_eq!(from_file_name(&file_name(id)), Some(id));
        assert_eq!(from_file_name("12-3.snap"), None);
        assert_eq!(from_file_name("taken.part"), None);
    }

    #[test]
    fn a_sum_is_the_same_however_the_bytes_come() {
        let mut whole = Vec::from(&b"some bytes of a file"[..]);
        whole.put_u32_le(crc32c::crc32c(&whole));
        for cut in 0..whole.len() {
            let mut sum = Sum::default();
            sum.add(&whole[..cut]);
            assert!(!sum.agrees(), "{cut} bytes are not all");
            sum.add(&whole[cut..]);
            assert!(sum.agrees());
            assert_eq!(sum.length, whole.len() as u64);
        }
    }

    #[test]
    fn blocks_are_the_same_however_the_bytes_come() {
        let whole: Vec<u8> = (0..=250).cycle().take(2 * BLOCK + 100).collect();
        let expected: Vec<u32> = whole.chunks(BLOCK).map(crc32c::crc32c).collect();
        for cut in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, whole.len()] {
            let mut sum = Sum::default();
            sum.add(&whole[..cut]);
            sum.add(&whole[cut..]);
            assert_eq!(sum.blocks, expected, "{cut} bytes first");
        }
    }
}
