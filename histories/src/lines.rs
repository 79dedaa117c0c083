//! Lines of bytes from a source, with a limit to how long one may be.
//!
//! What is not a history may have no line ends at all, or be without end itself. A reader that waited for
//! the newline would fill the memory of the machine before it could say so.

use std::io::{self, BufRead};

/// The most bytes that a line may have: a thousand times more than any that we met.
pub(crate) const MOST_BYTES: usize = 64 << 20;

/// Appends to `bytes` up to and with the next newline, but not much more than `most` bytes. Returns how
/// many there are.
pub(crate) fn read_line(from: &mut impl BufRead, bytes: &mut Vec<u8>, most: usize) -> io::Result<usize> {
    io::Read::take(from, most as u64 + 1).read_until(b'\n', bytes)
}
