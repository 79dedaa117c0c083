//! One file: as a process sees it, and as it would be after a power cut.

use std::ops::Range;

use bytes::Bytes;

use super::content::Content;

/// What a disk writes in one piece, whatever happens.
pub(super) const SECTOR: usize = 512;

/// A change of what is in a file.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    Write(usize, Bytes),
    SetLen(usize),
}

impl Edit {
    /// Whether it changes this byte.
    pub(super) fn covers(&self, place: usize) -> bool {
        match self {
            Edit::Write(offset, bytes) => (*offset..offset + bytes.len()).contains(&place),
            Edit::SetLen(length) => *length <= place,
        }
    }

    fn apply(&self, content: &mut Content) {
        match self {
            Edit::Write(offset, bytes) => content.write(*offset, bytes),
            Edit::SetLen(length) => content.set_len(*length),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct File {
    now: Content,
    certain: Content,
    /// What leads from `certain` to `now`, unless a sync failed.
    unsynced: Vec<Edit>,
    /// A sync failed: the cache shows bytes that it no longer means to write.
    forgot: bool,
    /// Where the last sync that had something to do made it certain.
    young: Vec<Range<usize>>,
}

impl File {
    pub(super) fn now(&self) -> &Content {
        &self.now
    }

    pub(super) fn certain(&self) -> &Content {
        &self.certain
    }

    pub(super) fn unsynced_bytes(&self) -> u64 {
        let bytes = self.unsynced.iter().map(|edit| match edit {
            Edit::Write(_, bytes) => bytes.len() as u64,
            Edit::SetLen(_) => 0,
        });
        bytes.sum()
    }

    pub(super) fn edit(&mut self, edit: Edit) {
        edit.apply(&mut self.now);
        self.unsynced.push(edit);
    }

    /// Makes all edits certain.
    pub(super) fn sync(&mut self) {
        if !self.unsynced.is_empty() {
            self.young.clear();
        }
        for edit in self.unsynced.drain(..) {
            if let Edit::Write(offset, bytes) = &edit {
                self.young.push(*offset..offset + bytes.len());
            }
            edit.apply(&mut self.certain);
        }
    }

    /// Whether the last sync made this byte certain.
    pub(super) fn is_young(&self, place: usize) -> bool {
        self.young.iter().any(|range| range.contains(&place))
    }

    /// A sync fails as it does in a page cache: what could not be written counts as clean from now on. It
    /// is still read, and the next sync succeeds without it.
    pub(super) fn fail_sync(&mut self) {
        self.unsynced.clear();
        self.forgot = true;
    }

    /// The cache gives back what it need not keep: here, when a process dies.
    pub(super) fn evict(&mut self) {
        if std::mem::take(&mut self.forgot) {
            self.now.clone_from(&self.certain);
            for edit in &self.unsynced {
                edit.apply(&mut self.now);
            }
        }
    }

    /// The power goes; `keep` decides about each sector of each write. Says how many bytes are not what
    /// the process had seen.
    pub(super) fn cut(&mut self, mut keep: impl FnMut() -> bool) -> u64 {
        if self.unsynced.is_empty() && !self.forgot {
            return 0;
        }
        for edit in self.unsynced.drain(..) {
            match &edit {
                Edit::Write(offset, bytes) => {
                    for (place, sector) in sectors(*offset, bytes) {
                        if keep() {
                            self.certain.write(place, sector);
                        }
                    }
                }
                Edit::SetLen(_) if keep() => edit.apply(&mut self.certain),
                Edit::SetLen(_) => {}
            }
        }
        self.forgot = false;
        let seen = std::mem::replace(&mut self.now, self.certain.clone());
        seen.differing(&self.now)
    }

    /// A bit rots. A cache that holds something newer for the place goes on showing that; says whether it
    /// does not.
    pub(super) fn flip(&mut self, bit: usize) -> bool {
        let place = bit / 8;
        let visible = self.now.written().get(place) == self.certain.written().get(place);
        if visible {
            self.now.flip(bit);
        }
        self.certain.flip(bit);
        visible
    }
}

/// A write, cut where the sectors of the file end.
fn sectors(offset: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut place = offset;
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = (SECTOR - place % SECTOR).min(rest.len());
        let (sector, behind) = rest.split_at(length);
        let begin = place;
        (place, rest) = (place + length, behind);
        (!sector.is_empty()).then_some((begin, sector))
    })
}
