//! The term, the vote, and the mark: the file `hard`.
//!
//! It is rewritten in place, so a crash can tear it. It has two slots, each with a number and a checksum,
//! written in turns: while one is being written the other still holds the state before, which is the one
//! to go back to, since nobody was told of the new one yet. The slots are a page apart, so that no torn
//! page takes both.
//!
//! A slot can also rot, and that looks like a torn write. Went one back then to the older slot, a vote would be
//! forgotten that somebody was told of. So a new term or vote goes into *both* slots, into the second when the first
//! is synced, and is told to nobody before both are. From then on each slot is enough. Whoever opens the log and finds
//! the two of different minds, or one of them damaged, copies the newer one first: it may rely on it from now on. All
//! that costs one more sync in an election, which are rare.
//!
//! The [`Mark`] says two things about the log. Everything before its position was synced: if it cannot be
//! read, it is corrupt, even when nothing stands behind it. And from its position on, only groups *after*
//! the mark's group count: whatever is older was truncated, and is a leftover. So the log is truncated by
//! moving the mark back, before a byte is overwritten; a crash at any moment then leaves a log that was
//! there before, cut or not, and never brings back what was cut away.
//!
//! A mark that only moves on is written once. If it rots, the mark before it is as true, and says less.
//!
//! Left out: a third copy. If both slots rot, nothing sound is left, and the log refuses to open.

use bytes::{Buf, BufMut};
use raft::{HardState, NodeId, Term};

use crate::log::GroupNumber;
use crate::segment::SegmentNumber;

/// A place in the log's files. Ordered as the log is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Position {
    /// Which segment.
    pub segment: SegmentNumber,
    /// Which byte of it.
    pub offset: u64,
}

/// How far the log is known to have been synced. The default marks an empty log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Mark {
    /// Everything before this was synced.
    pub synced: Position,
    /// The last group that was complete when the mark was made: from `synced` on, only later ones count.
    pub group: GroupNumber,
}

/// What the file holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Hard {
    /// How often it was written.
    pub sequence: u64,
    /// The term and the vote.
    pub state: HardState,
    /// How far the log was synced.
    pub mark: Mark,
}

/// The file's name.
pub const FILE: &str = "hard";
/// How far apart the slots are.
const SLOT_DISTANCE: u64 = 4096;
/// The length of the file from the day it is made.
pub const LENGTH: usize = 2 * 4096;
const SLOT_LENGTH: usize = 64;
const MAGIC: [u8; 4] = *b"hard";
const VERSION: u8 = 1;

impl Hard {
    /// Where this one is written: never over its predecessor.
    pub fn offset(&self) -> u64 {
        (self.sequence % 2) * SLOT_DISTANCE
    }

    /// One slot.
    pub fn encode(&self) -> Vec<u8> {
        let mut slot = Vec::with_capacity(SLOT_LENGTH);
        slot.put_slice(&MAGIC);
        slot.put_u8(VERSION);
        slot.put_u8(u8::from(self.state.vote.is_some()));
        slot.put_u16_le(self.state.vote.map_or(0, |node| node.0));
        slot.put_u64_le(self.sequence);
        slot.put_u64_le(self.state.term.0);
        slot.put_u64_le(self.mark.synced.segment.0);
        slot.put_u64_le(self.mark.synced.offset);
        slot.put_u64_le(self.mark.group.0);
        slot.resize(SLOT_LENGTH - 4, 0);
        slot.put_u32_le(crc32c::crc32c(&slot));
        slot
    }

    fn decode(slot: &[u8]) -> Option<Hard> {
        let (body, mut checksum) = slot.split_at_checked(SLOT_LENGTH - 4)?;
        if checksum.try_get_u32_le().ok()? != crc32c::crc32c(body) || body[..4] != MAGIC || body[4] != VERSION
        {
            return None;
        }
        let voted = body[5] == 1;
        let mut rest = &body[6..];
        let node = NodeId(rest.get_u16_le());
        Some(Hard {
            sequence: rest.get_u64_le(),
            state: HardState { term: Term(rest.get_u64_le()), vote: voted.then_some(node) },
            mark: Mark {
                synced: Position { segment: SegmentNumber(rest.get_u64_le()), offset: rest.get_u64_le() },
                group: GroupNumber(rest.get_u64_le()),
            },
        })
    }

    /// Whether either slot of this file could rot, and nothing that somebody was told would be forgotten.
    pub fn is_held_twice(file: &[u8]) -> bool {
        match Hard::slots(file) {
            [Some(one), Some(other)] if one.sequence > other.sequence => !one.withdraws(&other),
            [Some(one), Some(other)] => !other.withdraws(&one),
            _ => false,
        }
    }

    /// Whether something that `before` says does not hold any more, so that nobody may go back to it.
    pub(crate) fn withdraws(&self, before: &Hard) -> bool {
        self.state != before.state || self.mark.synced < before.mark.synced
    }

    fn slots(file: &[u8]) -> [Option<Hard>; 2] {
        let second = file.get(4096..).unwrap_or_default();
        [file, second].map(|slot| slot.get(..SLOT_LENGTH).and_then(Hard::decode))
    }

    /// The newest sound slot. `None` if the file is blank: nothing was ever synced to it. An error if it
    /// is not blank and no slot is sound.
    pub fn newest(file: &[u8]) -> Result<Option<Hard>, NoSoundSlot> {
        match Hard::slots(file).into_iter().flatten().max_by_key(|hard| hard.sequence) {
            Some(hard) => Ok(Some(hard)),
            None if file.iter().all(|&byte| byte == 0) => Ok(None),
            None => Err(NoSoundSlot),
        }
    }
}

/// Both slots are damaged, or one is and the other was never written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoSoundSlot;

#[cfg(test)]
mod tests {
    use super::*;

    fn hard(sequence: u64) -> Hard {
        Hard {
            sequence,
            state: HardState { term: Term(sequence + 3), vote: Some(NodeId(2)) },
            mark: Mark {
                synced: Position { segment: SegmentNumber(4), offset: 500 },
                group: GroupNumber(sequence),
            },
        }
    }

    fn write(file: &mut [u8], hard: &Hard, bytes: usize) {
        let start = usize::try_from(hard.offset()).unwrap();
        file[start..start + bytes].copy_from_slice(&hard.encode()[..bytes]);
    }

    #[test]
    fn the_newer_slot_wins_and_a_torn_one_gives_way_to_the_one_before() {
        let mut file = vec![0; LENGTH];
        assert_eq!(Hard::newest(&file), Ok(None));
        for sequence in 1..5 {
            write(&mut file, &hard(sequence), SLOT_LENGTH);
            assert_eq!(Hard::newest(&file), Ok(Some(hard(sequence))));
            for torn in 12..SLOT_LENGTH {
                let mut file = file.clone();
                write(&mut file, &hard(sequence + 1), torn);
                let found = Hard::newest(&file).unwrap().unwrap();
                assert_eq!(found, hard(sequence), "torn after {torn} bytes");
            }
        }
    }

    #[test]
    fn a_file_is_held_twice_when_either_slot_will_do() {
        let marked = |sequence: u64, term: u64, offset: u64| Hard {
            sequence,
            state: HardState { term: Term(term), vote: None },
            mark: Mark { synced: Position { segment: SegmentNumber(1), offset }, group: GroupNumber(1) },
        };
        let file = |one: &Hard, two: &Hard| {
            let mut file = vec![0; LENGTH];
            write(&mut file, one, SLOT_LENGTH);
            write(&mut file, two, SLOT_LENGTH);
            file
        };
        let twice = |one: Hard, two: Hard| {
            let (there, back) = (file(&one, &two), file(&two, &one));
            assert_eq!(
                Hard::is_held_twice(&there),
                Hard::is_held_twice(&back),
                "whichever slot is the newer"
            );
            Hard::is_held_twice(&there)
        };
        assert!(twice(marked(4, 2, 500), marked(5, 2, 500)), "two copies");
        assert!(twice(marked(4, 2, 500), marked(5, 2, 600)), "the older mark says less, and nothing wrong");
        assert!(!twice(marked(4, 2, 500), marked(5, 3, 500)), "the older term is over");
        assert!(!twice(marked(4, 2, 500), marked(5, 2, 400)), "the older mark says too much");
        let mut rotten = file(&marked(4, 2, 500), &marked(5, 2, 500));
        rotten[20] ^= 1;
        assert!(!Hard::is_held_twice(&rotten));
    }

    #[test]
    fn two_damaged_slots_are_an_error() {
        let mut file = vec![0; LENGTH];
        write(&mut file, &hard(1), SLOT_LENGTH);
        let slot = usize::try_from(hard(1).offset()).unwrap();
        file[slot + 20] ^= 1;
        assert_eq!(Hard::newest(&file), Err(NoSoundSlot));
    }
}
