//! Segments: the files that hold the log, and the chain that ties them together.
//!
//! A segment starts with a header of 128 bytes and goes on with records, one per entry, and then zeros:
//! it has its full length from the start, so that a sync need not record a new length. Where one ends and
//! the next begins follows from the entries alone (their encoded size against the segment size), and the
//! header says nothing of the node. So two nodes with the same log have the same entries in segments of
//! the same names, and a sealed one can be handed to a peer.
//!
//! The **chain** is a running SHA-256 over the entries: `chain(i) = H(chain(i-1), entry i)`. The header
//! carries the value before its first entry. A segment that was mixed up, lost or exchanged does not fit
//! the one before it, and two nodes that agree on a chain value agree on everything before it. A log that
//! begins anew behind a snapshot begins a chain of its own, and counts its segments from 1 again.
//!
//! ```text
//!  0  magic "raft-log"       16  cluster (16)          64  chain before the first entry (32)
//!  8  version u16            32  first entry: index,   96  zeros
//! 10  kind u16                   term (8 + 8)         124  crc32c of all before
//! 12  zeros                  48  zeros
//! ```

use std::fmt;

use bytes::{Buf, BufMut};
use raft::EntryId;
use sha2::{Digest, Sha256};

use crate::error::Reason;

/// The number of a segment, from 1, in the order of the log. It is its file's name, too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SegmentNumber(pub u64);

impl SegmentNumber {
    /// The segment after this one.
    #[must_use]
    pub fn next(self) -> SegmentNumber {
        SegmentNumber(self.0 + 1)
    }

    /// The name of its file.
    pub fn file_name(self) -> String {
        format!("{self}.seg")
    }

    /// The segment that has this file name.
    pub fn from_file_name(name: &str) -> Option<SegmentNumber> {
        let number = SegmentNumber(name.strip_suffix(".seg")?.parse().ok()?);
        (number.0 > 0 && number.file_name() == name).then_some(number)
    }
}

impl fmt::Display for SegmentNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08}", self.0)
    }
}

/// The running hash of a log up to some entry. The default is that of the empty log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Chain(pub [u8; 32]);

impl Chain {
    /// The chain of a log that begins anew behind this entry, without those before.
    pub fn behind(id: EntryId) -> Chain {
        if id == EntryId::default() {
            return Chain::default();
        }
        let hash = Sha256::new().chain_update(id.index.0.to_le_bytes()).chain_update(id.term.0.to_le_bytes());
        Chain(hash.finalize().into())
    }

    /// The chain with one more entry, given in its encoding.
    #[must_use]
    pub fn with(self, entry: &[u8]) -> Chain {
        Chain(Sha256::new().chain_update(self.0).chain_update(entry).finalize().into())
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain({self})")
    }
}

/// What stands at the start of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The cluster, hashed.
    pub cluster: [u8; 16],
    /// The first entry of the segment.
    pub first: EntryId,
    /// The chain before that entry.
    pub chain: Chain,
}

const MAGIC: [u8; 8] = *b"raft-log";
const VERSION: u16 = 1;
/// A segment of log entries. Other kinds may follow.
const KIND_LOG: u16 = 1;

impl Header {
    /// How long a header is.
    pub const LENGTH: usize = 128;

    /// The header as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Header::LENGTH);
        out.put_slice(&MAGIC);
        out.put_u16_le(VERSION);
        out.put_u16_le(KIND_LOG);
        out.put_bytes(0, 4);
        out.put_slice(&self.cluster);
        out.put_u64_le(self.first.index.0);
        out.put_u64_le(self.first.term.0);
        out.put_bytes(0, 16);
        out.put_slice(&self.chain.0);
        out.put_bytes(0, Header::LENGTH - 4 - out.len());
        out.put_u32_le(crc32c::crc32c(&out));
        out
    }

    /// Reads a header from the start of `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Header, Reason> {
        let bytes = bytes.get(..Header::LENGTH).ok_or(Reason::Header)?;
        let (body, mut checksum) = bytes.split_at(Header::LENGTH - 4);
        if body[..8] != MAGIC || checksum.get_u32_le() != crc32c::crc32c(body) {
            return Err(Reason::Header);
        }
        let mut rest = &body[8..];
        let version = rest.get_u16_le();
        if version != VERSION || rest.get_u16_le() != KIND_LOG {
            return Err(Reason::Version(version));
        }
        rest.advance(4);
        let mut cluster = [0; 16];
        rest.copy_to_slice(&mut cluster);
        let (index, term) = (rest.get_u64_le(), rest.get_u64_le());
        rest.advance(16);
        let mut chain = Chain::default();
        rest.copy_to_slice(&mut chain.0);
        Ok(Header { cluster, first: EntryId::new(index, term), chain })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_128_bytes_and_comes_back() {
        let header =
            Header { cluster: [7; 16], first: EntryId::new(5, 2), chain: Chain::default().with(b"entry") };
        let bytes = header.encode();
        assert_eq!(bytes.len(), 128);
        assert_eq!(Header::decode(&bytes), Ok(header));
        for place in 0..128 {
            let mut changed = bytes.clone();
            changed[place] ^= 4;
            assert_eq!(Header::decode(&changed), Err(Reason::Header), "byte {place} changed");
        }
    }

    #[test]
    fn file_names_are_ordered_as_the_log_is() {
        assert_eq!(SegmentNumber(12).file_name(), "00000012.seg");
        assert_eq!(SegmentNumber::from_file_name("00000012.seg"), Some(SegmentNumber(12)));
        assert_eq!(SegmentNumber::from_file_name("12.seg"), None);
        assert_eq!(SegmentNumber::from_file_name("00000000.seg"), None, "numbers begin at 1");
        assert_eq!(SegmentNumber::from_file_name("hard"), None);
    }
}
