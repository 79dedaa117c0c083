//! Records: one entry each, with what recovery needs to judge it.
//!
//! ```text
//!  0  crc32c of the record's offset and everything after this field
//!  4  magic, its last byte the kind of the record
//!  8  length of the entry
//! 12  offset of the first record of the same group in this segment
//! 16  number of the group
//! 24  the entry, in the core's encoding: its id and stamp come first
//! ```
//!
//! The checksum covers the offset too: a record that turns up somewhere else, such as a copy of a log
//! inside a client's value, is no record. The start of the group answers recovery's question whether a
//! sound record behind a broken one was written in the same breath or later.

use bytes::{Buf, BufMut, Bytes};
use raft::{Entry, codec};

use crate::error::Reason;
use crate::log::GroupNumber;

/// What stands before the entry.
pub const HEADER: usize = 24;
/// What a search looks for: the kind is its last byte.
const MAGIC: [u8; 4] = *b"rec\x01";

/// A record whose checksum is right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// In which group it was written.
    pub group: GroupNumber,
    /// Where in this segment that group begins.
    pub group_start: u64,
    /// The entry's encoding.
    pub encoded: &'a [u8],
}

impl Record<'_> {
    /// How many bytes it takes.
    pub fn size(&self) -> usize {
        HEADER + self.encoded.len()
    }

    /// The entry. It does not share memory with the segment it was read from, which would be kept whole.
    pub fn entry(&self) -> Result<Entry, Reason> {
        let mut bytes = Bytes::copy_from_slice(self.encoded);
        let entry = codec::decode_entry(&mut bytes)?;
        if bytes.has_remaining() {
            return Err(codec::Malformed::Trailing(bytes.remaining()).into());
        }
        Ok(entry)
    }
}

/// Appends the record that `encoded` makes at `offset` of its segment.
pub fn put(encoded: &[u8], offset: u64, group: GroupNumber, group_start: u64, out: &mut Vec<u8>) {
    let begin = out.len();
    out.put_u32_le(0);
    out.put_slice(&MAGIC);
    out.put_u32_le(
        u32::try_from(encoded.len()).expect("an entry is far below 4 GiB: its command was bounded"),
    );
    out.put_u32_le(u32::try_from(group_start).expect("a segment is far below 4 GiB: its size was checked"));
    out.put_u64_le(group.0);
    out.put_slice(encoded);
    let checksum = checksum(offset, &out[begin + 4..]);
    out[begin..begin + 4].copy_from_slice(&checksum.to_le_bytes());
}

/// The record at the start of `bytes`, which begin at `offset` of the segment; `None` if there is none,
/// or none that is sound.
pub fn read(bytes: &[u8], offset: u64) -> Option<Record<'_>> {
    let record = parse(bytes)?;
    let whole = &bytes[..record.size()];
    let expected = u32::from_le_bytes(*whole.first_chunk()?);
    (checksum(offset, &whole[4..]) == expected).then_some(record)
}

/// What would be the record at the start of `bytes` if it were sound. Nobody should believe it.
pub(crate) fn parse(bytes: &[u8]) -> Option<Record<'_>> {
    let mut header = bytes.get(..HEADER)?;
    header.advance(4);
    if header[..4] != MAGIC {
        return None;
    }
    header.advance(4);
    let length = usize::try_from(header.get_u32_le()).ok()?;
    let group_start = u64::from(header.get_u32_le());
    let group = GroupNumber(header.get_u64_le());
    let whole = bytes.get(..HEADER.checked_add(length)?)?;
    Some(Record { group, group_start, encoded: &whole[HEADER..] })
}

/// Every sound record that begins anywhere in `bytes`, with its offset. A record need not follow
/// another, nor be aligned: this is for looking behind damage.
pub fn search(bytes: &[u8], offset: u64) -> impl Iterator<Item = (u64, Record<'_>)> {
    let mut place = 0;
    std::iter::from_fn(move || {
        while let Some(distance) = next_magic(bytes.get(place..)?) {
            let found = place + distance;
            place = found + 1;
            let begin = offset + found as u64;
            if let Some(record) = read(&bytes[found..], begin) {
                return Some((begin, record));
            }
        }
        place = bytes.len() + 1;
        None
    })
}

/// What a page looks like that was never written.
const BLANK: [u8; PAGE + 7] = [0; PAGE + 7];
const PAGE: usize = 4096;

/// Whether there are only zeros. Compares whole pages: a segment is mostly blank while it is young.
pub fn is_blank(bytes: &[u8]) -> bool {
    bytes.chunks(PAGE).all(|page| page == &BLANK[..page.len()])
}

/// How far away the next place is that has the magic at its byte 4.
fn next_magic(bytes: &[u8]) -> Option<usize> {
    let mut begin = 0;
    while begin < bytes.len() {
        let reach = &bytes[begin..bytes.len().min(begin + PAGE + 7)];
        if reach != &BLANK[..reach.len()]
            && let Some(place) = reach.windows(8).position(|window| window[4..] == MAGIC)
        {
            return Some(begin + place);
        }
        begin += PAGE;
    }
    None
}

fn checksum(offset: u64, rest: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&offset.to_le_bytes()), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_found_wherever_it_begins() {
        for lead in [0_usize, 1, 4085, 4090, 4092, 4095, 4096, 9000] {
            let mut bytes = vec![0; lead];
            let offset = 1000 + lead as u64;
            put(b"an entry", offset, GroupNumber(3), 1000, &mut bytes);
            bytes.resize(lead + 6000, 0);
            let found: Vec<_> = search(&bytes, 1000).collect();
            assert_eq!(found.len(), 1, "after {lead} zeros");
            assert_eq!(found[0].0, offset);
            assert_eq!(found[0].1.encoded, b"an entry");
        }
    }

    #[test]
    fn every_changed_bit_is_noticed_and_so_is_a_wrong_place() {
        let mut bytes = Vec::new();
        put(b"an entry", 128, GroupNumber(3), 128, &mut bytes);
        assert!(read(&bytes, 128).is_some());
        assert!(read(&bytes, 129).is_none());
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&changed, 128).is_none(), "bit {bit} changed");
        }
    }
}
