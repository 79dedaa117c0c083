//! A life as one number.
//!
//! Two lives of one seed must be the same to the byte. Comparing what everybody said and did is for those
//! who look for the difference; to notice that there is one, this running hash is enough, and so
//! cheap that every life has it.
//!
//! It is the same in every build and on every machine, which the hashes of the standard library do not
//! promise: numbers count by their value, and a length is as wide as any other number.

use std::fmt;
use std::hash::Hasher;

/// A running hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Digest(u64);

impl Default for Digest {
    fn default() -> Digest {
        Digest(0x9e37_79b9_7f4a_7c15)
    }
}

impl Digest {
    /// Takes these in, in this order.
    pub(crate) fn mix(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.take(*number);
        }
    }

    fn take(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0xff51_afd7_ed55_8ccd);
        self.0 ^= self.0 >> 32;
    }

    /// What it has come to.
    pub(crate) fn value(self) -> u64 {
        self.0
    }
}

impl Hasher for Digest {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.take(u64::from_le_bytes(word.try_into().expect("a chunk has eight bytes")));
        }
        let rest = words.remainder();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        // With the length, so that zeros at the end count.
        self.mix(&[u64::from_le_bytes(last), bytes.len() as u64]);
    }

    fn write_u8(&mut self, number: u8) {
        self.take(number.into());
    }

    fn write_u16(&mut self, number: u16) {
        self.take(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.take(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.take(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.take(number as u64);
    }

    fn write_i64(&mut self, number: i64) {
        self.take(number.cast_unsigned());
    }

    /// How enums hash which of theirs it is.
    fn write_isize(&mut self, number: isize) {
        self.write_i64(number as i64);
    }
}

impl fmt::Write for Digest {
    /// Takes in a text, for what has no other hash. How it is cut into pieces counts.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::hash::Hash;

    use raft::{EntryId, Envelope, Message, NodeId, Term};

    use super::*;

    #[test]
    fn order_and_every_number_count() {
        let of = |numbers: &[u64]| {
            let mut digest = Digest::default();
            digest.mix(numbers);
            digest.value()
        };
        assert_eq!(of(&[1, 2]), of(&[1, 2]));
        assert_ne!(of(&[1, 2]), of(&[2, 1]));
        assert_ne!(of(&[1, 2]), of(&[1, 2, 0]));
        assert_ne!(of(&[1]), of(&[1 << 63 | 1]));
    }

    #[test]
    fn every_byte_counts_and_so_does_how_many_there_are() {
        let of = |bytes: &[u8]| {
            let mut digest = Digest::default();
            digest.write(bytes);
            digest.value()
        };
        let bytes: Vec<u8> = (0..21).collect();
        for place in 0..bytes.len() {
            let mut other = bytes.clone();
            other[place] ^= 1;
            assert_ne!(of(&bytes), of(&other), "{place}");
        }
        assert_ne!(of(&[1, 0]), of(&[1]));
        assert_ne!(of(&[0]), of(&[]));
    }

    /// What a message says counts, and its hash is a number that any build on any machine comes to.
    #[test]
    fn a_message_has_one_hash_everywhere() {
        let of = |message: Message| {
            let mut digest = Digest::default();
            Envelope { from: NodeId(1), to: NodeId(2), term: Term(3), message }.hash(&mut digest);
            digest.value()
        };
        let asks = |index| Message::RequestVote { last: EntryId::new(index, 2), called: false };
        assert_ne!(of(asks(7)), of(asks(8)));
        assert_ne!(of(asks(7)), of(Message::RequestPreVote { last: EntryId::new(7, 2) }));
        assert_eq!(of(asks(7)), 3_965_585_740_710_893_558);
    }
}
