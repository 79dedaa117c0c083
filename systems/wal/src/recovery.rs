//! What is left of a log after a crash, and whether to trust it.
//!
//! The log is read from its first record until one does not continue it. That place is the end of the
//! log if the power failed there, and a hole if something rotted. The difference is what stands behind:
//!
//! * Before the [`Mark`]'s position everything was synced: a hole.
//! * A sound record of a **later group** stands behind: that group was begun only after everything before
//!   it was synced: a hole. In one segment, a record of the *same* group proves nothing; a disk may keep the end of a
//!   write and lose its beginning. Each record says where in its segment its group begins, so the two can be told
//!   apart even when the broken record no longer says what it was. The header of a segment is synced before any
//!   record is written behind it, so behind a broken one a record of the same group proves as much as a later one.
//! * Otherwise it is the end, and whatever is there was **torn**: nobody was told of it, and it is cut.
//!
//! Records from before a truncation may lie about. They are **leftovers**, and prove nothing: group
//! numbers only grow, so a smaller number than the record before gives them away, or, from the mark's
//! position on, a number not above the mark's.
//!
//! A log need not start with entry 1, if there is a snapshot: its first segment is the first that is there, and must
//! begin where the snapshot ends, or before. A log that ends before the snapshot does, or says something else in that
//! place, is of an earlier time; all of it is in the snapshot, or was never committed. It begins anew.
//!
//! Reading changes nothing. Only when the log is found good is its tail synced (a process that was killed
//! leaves unsynced writes that a reader sees and a power cut takes away), then the mark is moved to the
//! end, which turns all that is torn into leftovers, and then useless segments go.

use raft::{Bug, Bugs, Checkpoint, Entry, EntryId, HardState, Index};

use crate::disk::{Disk, FileId};
use crate::error::{Corrupt, Failure, OpenError, Reason};
use crate::hard::{Mark, Position};
use crate::log::GroupNumber;
use crate::record;
use crate::segment::{Chain, Header, SegmentNumber};

/// What the disk had.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recovered {
    /// The term and the vote.
    pub hard: HardState,
    /// The latest snapshot, if there is one.
    pub snapshot: Option<Checkpoint>,
    /// The log behind the snapshot, or from entry 1.
    pub entries: Vec<Entry>,
    /// What was cut off its end, if there was anything: the traces of a write that the power interrupted.
    pub cut: Option<Cut>,
}

/// Where a torn write began.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    /// In which file.
    pub file: String,
    /// Where in it.
    pub offset: u64,
}

/// Where an entry ends, and what is known there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) id: EntryId,
    pub(crate) end: Position,
    pub(crate) chain: Chain,
}

/// The entry before the first one that is here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Before {
    pub(crate) id: EntryId,
    pub(crate) chain: Chain,
}

impl Before {
    /// A log that begins anew behind this entry.
    pub(crate) fn anew(id: EntryId) -> Before {
        Before { id, chain: Chain::behind(id) }
    }
}

/// A log that was read and found good, with all that is needed to continue it.
pub(crate) struct Scan {
    /// What stands before the first entry. Its term is not known if that is gone.
    pub(crate) before: Before,
    pub(crate) entries: Vec<Entry>,
    pub(crate) places: Vec<Place>,
    /// The segments that hold entries.
    pub(crate) files: Vec<(SegmentNumber, FileId)>,
    /// Segments behind the end.
    pub(crate) useless: Vec<SegmentNumber>,
    /// The greatest group number seen on any record, dead or alive.
    pub(crate) group: GroupNumber,
    pub(crate) cut: Option<Cut>,
    /// Whether there are remains behind the end, in the last segment.
    pub(crate) torn: bool,
}

/// A segment, read.
struct Segment {
    number: SegmentNumber,
    file: FileId,
    bytes: Vec<u8>,
}

/// Where reading stopped.
struct Break {
    at: Position,
    reason: Reason,
}

impl Break {
    fn corrupt(self, expected: Index) -> Corrupt {
        Corrupt {
            file: self.at.segment.file_name(),
            offset: self.at.offset,
            entry: Some(expected),
            reason: self.reason,
        }
    }
}

/// Reads all segments, one at a time. Changes nothing.
pub(crate) fn scan<D: Disk>(
    disk: &mut D,
    cluster: [u8; 16],
    mark: Mark,
    base: EntryId,
    bugs: Bugs,
) -> Result<Scan, OpenError> {
    let numbers = segments_in(disk)?;
    let mut reader = Reader::new(cluster, mark, base, bugs);
    let mut stopped = Break { at: Position::default(), reason: Reason::Blank };
    let mut continues = true;
    let mut tail: Vec<Segment> = Vec::new();
    for &number in &numbers {
        let segment = Segment::read(disk, number)?;
        if continues {
            match reader.enter(&segment)? {
                Ok(()) => stopped = reader.read(&segment)?,
                Err(header) => {
                    stopped = which_is_broken(stopped, header, &segment, reader.last().index);
                    continues = false;
                }
            }
        }
        if reader.end().segment == number {
            tail.clear();
        }
        reader.files.push((number, segment.file));
        tail.push(segment);
    }
    if bugs.has(Bug::KeepTornTail) {
        reader.go_on_behind(&tail);
        return Ok(reader.into_scan(&tail));
    }
    reader.judge(stopped, &tail)?;
    Ok(reader.into_scan(&tail))
}

fn segments_in<D: Disk>(disk: &D) -> Result<Vec<SegmentNumber>, Failure> {
    let names = disk.list().map_err(|error| Failure::new("listing the data folder", &error))?;
    let mut numbers: Vec<_> = names.iter().filter_map(|name| SegmentNumber::from_file_name(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

impl Segment {
    fn read<D: Disk>(disk: &mut D, number: SegmentNumber) -> Result<Segment, Failure> {
        let (file, bytes) = read_file(disk, &number.file_name())?;
        Ok(Segment { number, file, bytes })
    }

    /// The group of every sound record from `offset` on, with the place where that group begins.
    fn groups_from(&self, offset: u64) -> impl Iterator<Item = (GroupNumber, u64)> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        record::search(self.bytes.get(start..).unwrap_or_default(), offset)
            .map(|(_, record)| (record.group, record.group_start))
    }

    fn is_blank_from(&self, offset: u64) -> bool {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        record::is_blank(self.bytes.get(start..).unwrap_or_default())
    }
}

/// Opens a file that is there, and reads all of it.
pub(crate) fn read_file<D: Disk>(disk: &mut D, name: &str) -> Result<(FileId, Vec<u8>), Failure> {
    let reading = |error| Failure::new(format!("reading {name}"), &error);
    let file = disk.open(name).map_err(reading)?;
    let length = usize::try_from(disk.len(file).map_err(reading)?).unwrap_or(usize::MAX);
    let bytes = disk.read_at(file, 0, length).map_err(reading)?;
    Ok((file, bytes))
}

/// A segment ended and the next one does not fit. Either the first is full and the second is at fault,
/// or the first lost its end, and a sound second one begins too late.
fn which_is_broken(before: Break, header: Break, segment: &Segment, last: Index) -> Break {
    let begins_late = || Header::decode(&segment.bytes).is_ok_and(|header| header.first.index > last.next());
    let first = match header.reason {
        Reason::Missing => before.reason == Reason::Damaged,
        Reason::DetachedSegment => begins_late(),
        _ => false,
    };
    if first { before } else { header }
}

struct Reader {
    cluster: [u8; 16],
    mark: Mark,
    bugs: Bugs,
    /// The last entry of the snapshot.
    base: EntryId,
    before: Before,
    /// The group of the last record that counted.
    group: GroupNumber,
    entries: Vec<Entry>,
    places: Vec<Place>,
    files: Vec<(SegmentNumber, FileId)>,
}

impl Reader {
    fn new(cluster: [u8; 16], mark: Mark, base: EntryId, bugs: Bugs) -> Reader {
        let (group, before) = (GroupNumber::default(), Before::anew(base));
        let (entries, places, files) = (Vec::new(), Vec::new(), Vec::new());
        Reader { cluster, mark, bugs, base, before, group, entries, places, files }
    }

    fn last(&self) -> EntryId {
        self.places.last().map_or(self.before.id, |place| place.id)
    }

    fn chain(&self) -> Chain {
        self.places.last().map_or(self.before.chain, |place| place.chain)
    }

    fn end(&self) -> Position {
        self.places.last().map_or(Position::default(), |place| place.end)
    }

    /// Whether this segment continues what was read so far. A sound header that says it is not ours, or
    /// not of our time, is an error at once.
    fn enter(&mut self, segment: &Segment) -> Result<Result<(), Break>, Corrupt> {
        let stop = |segment, reason| Break { at: Position { segment, offset: 0 }, reason };
        let expected = self.last().index.next();
        let cut_off = self.files.is_empty() && self.base != EntryId::default();
        let number = if cut_off { segment.number } else { self.end().segment.next() };
        if segment.number != number {
            return Ok(Err(stop(number, Reason::Missing)));
        }
        match Header::decode(&segment.bytes) {
            Err(reason @ Reason::Version(_)) => Err(stop(number, reason).corrupt(expected)),
            Err(reason) => Ok(Err(stop(number, reason))),
            Ok(header) if header.cluster != self.cluster => {
                Err(stop(number, Reason::ForeignSegment).corrupt(expected))
            }
            Ok(header) if cut_off && header.first.index <= expected => {
                self.begin_with(&header);
                Ok(Ok(()))
            }
            Ok(_) if cut_off => {
                let before = SegmentNumber(number.0.saturating_sub(1).max(1));
                Ok(Err(stop(before, Reason::Missing)))
            }
            Ok(header) if header.first.index != expected || header.chain != self.chain() => {
                Ok(Err(stop(number, Reason::DetachedSegment)))
            }
            Ok(_) => Ok(Ok(())),
        }
    }

    /// The log begins with this segment; what was before it stands in the snapshot.
    fn begin_with(&mut self, header: &Header) {
        let index = header.first.index.previous();
        let id = if index == self.base.index { self.base } else { EntryId { index, ..EntryId::default() } };
        self.before = Before { id, chain: header.chain };
    }

    /// Reads records until one does not continue the log, and says why.
    fn read(&mut self, segment: &Segment) -> Result<Break, Corrupt> {
        let mut offset = Header::LENGTH;
        loop {
            let at = Position { segment: segment.number, offset: offset as u64 };
            let rest = segment.bytes.get(offset..).unwrap_or_default();
            let unchecked = self.bugs.has(Bug::SkipChecksum);
            let record = if unchecked { record::parse(rest) } else { record::read(rest, at.offset) };
            let Some(record) = record else {
                let blank = rest.iter().take(record::HEADER).all(|&byte| byte == 0);
                let reason = if blank { Reason::Blank } else { Reason::Damaged };
                return Ok(Break { at, reason });
            };
            if self.is_leftover(record.group, at) {
                return Ok(Break { at, reason: Reason::Leftover });
            }
            let refuse = |reason| Break { at, reason }.corrupt(self.last().index.next());
            let entry = record.entry().map_err(refuse)?;
            let last = self.last();
            if entry.id.index != last.index.next() || entry.id.term < last.term {
                return Err(refuse(Reason::Discontinuous));
            }
            offset += record.size();
            let end = Position { segment: segment.number, offset: offset as u64 };
            self.places.push(Place { id: entry.id, end, chain: self.chain().with(record.encoded) });
            self.group = record.group;
            self.entries.push(entry);
        }
    }

    fn is_leftover(&self, group: GroupNumber, at: Position) -> bool {
        group < self.group || (at >= self.mark.synced && group <= self.mark.group)
    }

    /// Tells a hole from an end. `tail` begins with the segment in which the log ends.
    fn judge(&self, stopped: Break, tail: &[Segment]) -> Result<(), Corrupt> {
        let expected = self.last().index.next();
        if self.is_followed(stopped.at, tail) {
            return Err(stopped.corrupt(expected));
        }
        if self.end() < self.mark.synced {
            return Err(self.or_missing(stopped).corrupt(expected));
        }
        Ok(())
    }

    /// What no recovery should do: takes what could not be read for the end, leaves it where it is, and
    /// has the log go on behind it (`Bug::KeepTornTail`).
    fn go_on_behind(&mut self, tail: &[Segment]) {
        let Some(last) = self.places.last_mut() else { return };
        let Some(segment) = tail.iter().find(|segment| segment.number == last.end.segment) else { return };
        let written = segment.bytes.iter().rposition(|&byte| byte != 0).map_or(0, |place| place as u64 + 1);
        last.end.offset = last.end.offset.max(written);
    }

    /// Whether a sound record stands behind that was written after what is missing had been synced: of a later group,
    /// or of the last one behind the header of another segment, which was synced before anything came into it. A
    /// later segment is made only after the one before was synced, so any living record there will do.
    fn is_followed(&self, stopped: Position, tail: &[Segment]) -> bool {
        let alive = |group| group >= self.group && group > self.mark.group;
        tail.iter().any(|segment| {
            let from = if segment.number == stopped.segment {
                stopped.offset
            } else if segment.number == self.end().segment {
                self.end().offset
            } else {
                0
            };
            segment.groups_from(from).any(|(group, start)| alive(group) && start > from)
        })
    }

    /// The log ended properly, the mark says that it goes on in the next segment, and there is none.
    fn or_missing(&self, stopped: Break) -> Break {
        let next = self.end().segment.next();
        let there = self.files.iter().any(|&(number, _)| number == next);
        if there || self.mark.synced.segment < next || stopped.reason == Reason::Damaged {
            return stopped;
        }
        Break { at: Position { segment: next, offset: 0 }, reason: Reason::Missing }
    }

    fn into_scan(mut self, tail: &[Segment]) -> Scan {
        let end = self.end();
        let behind = |segment: &Segment| if segment.number == end.segment { end.offset } else { 0 };
        let dead = tail.iter().flat_map(|segment| segment.groups_from(behind(segment)));
        let dead = dead.map(|(group, _)| group).max();
        let torn =
            tail.iter().find(|segment| segment.number == end.segment && !segment.is_blank_from(end.offset));
        let useless: Vec<_> =
            self.files.iter().map(|&(number, _)| number).filter(|&n| n > end.segment).collect();
        let cut = match (torn, useless.first()) {
            (Some(segment), _) => Some(Cut { file: segment.number.file_name(), offset: end.offset }),
            (None, Some(number)) => Some(Cut { file: number.file_name(), offset: 0 }),
            (None, None) => None,
        };
        self.files.retain(|&(number, _)| number <= end.segment);
        let group = self.group.max(self.mark.group).max(dead.unwrap_or_default());
        let torn = torn.is_some();
        let before = if self.places.is_empty() { Before::anew(self.base) } else { self.before };
        Scan {
            before,
            entries: self.entries,
            places: self.places,
            files: self.files,
            useless,
            group,
            cut,
            torn,
        }
    }
}
