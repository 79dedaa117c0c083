//! The bytes of a file.

/// What a file holds. Zeros behind the last byte that was written take no room, as in a sparse file: a
/// segment is lengthened to its full size on its first day, and most of it is never read or copied.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Content {
    written: Vec<u8>,
    length: usize,
}

impl Content {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// The part that holds data; zeros follow it.
    pub(super) fn written(&self) -> &[u8] {
        &self.written
    }

    pub(super) fn read(&self, offset: usize, length: usize) -> Vec<u8> {
        let start = offset.min(self.length);
        let end = start.saturating_add(length).min(self.length);
        let there = self.written.len();
        let mut bytes = Vec::with_capacity(end - start);
        bytes.extend_from_slice(&self.written[start.min(there)..end.min(there)]);
        bytes.resize(end - start, 0);
        bytes
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        if self.written.len() < end {
            self.written.resize(end, 0);
        }
        self.written[offset..end].copy_from_slice(bytes);
        self.length = self.length.max(end);
    }

    pub(super) fn set_len(&mut self, length: usize) {
        self.written.truncate(length);
        self.length = length;
    }

    /// How much more room a write of `length` bytes would take.
    pub(super) fn growth(&self, offset: usize, length: usize) -> usize {
        (offset + length).saturating_sub(self.written.len()).min(length)
    }

    /// Flips a bit of the written part.
    pub(super) fn flip(&mut self, bit: usize) {
        self.written[bit / 8] ^= 1 << (bit % 8);
    }

    /// How many bytes differ. A missing byte is a zero.
    pub(super) fn differing(&self, other: &Content) -> u64 {
        let both = self.written.len().min(other.written.len());
        let unequal = self.written.iter().zip(&other.written).filter(|(a, b)| a != b).count();
        let rest = self.written[both..].iter().chain(&other.written[both..]).filter(|&&byte| byte != 0);
        (unequal + rest.count()) as u64
    }
}
