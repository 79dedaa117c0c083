//! Clients that give a URL for the name of a host.
//!
//! A request of HTTP/2 names the host it is meant for, its `:authority`. For some commands (`endpoint
//! status`, `endpoint hashkv`, `defrag`, `move-leader`) etcdctl 3.4 puts the whole endpoint there, and
//! so `http://127.0.0.1:2379` where `127.0.0.1:2379` is meant. etcd never looks at it. Our HTTP library
//! does, finds no host of such a name, and resets the stream before any code of ours sees the request;
//! it has no switch for that.
//!
//! Nothing here needs the name either. So the bytes of a new connection are looked at, and `http://` at
//! the head of an authority is overwritten with [`CURED`], which may stand in a host's name. The cure is
//! as long as what it replaces, both as text and in the code of HPACK (RFC 7541, appendix B). So no
//! frame changes its length and no table of headers its size, and both sides go on agreeing on which
//! headers they have seen, without anything being decoded here: a header block is only walked, from one
//! length to the next.
//!
//! A client is what its first request shows it to be: if that names its host well, the rest of the
//! connection is not looked at. A header block is looked at as far as its first frame, where every
//! client has its authority.
//!
//! Left out: a URL with a slash behind the port. That is still no name, and is still refused.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// What every connection begins with: 24 bytes.
const PREFACE: usize = 24;
/// Length, kind, flags and stream.
const FRAME_HEAD: usize = 9;
/// The kind of the frame that begins a request.
const HEADERS: u8 = 1;
/// The largest frame that is read here, and in the library without being asked for more.
const LARGEST: usize = 16 << 10;
/// The flag of a frame that ends in padding, and begins with how much.
const PADDED: u8 = 0x08;
/// The flag of a frame that names a priority, in five bytes.
const PRIORITY: u8 = 0x20;
/// The number of `:authority` in the table that every connection begins with.
const AUTHORITY: usize = 1;

/// What is wrong at the head of an authority.
const WRONG: &[u8] = b"http://";
/// What is put in its place. No letter is longer or shorter in Huffman's code than the one it replaces.
const CURED: &[u8] = b"httpx--";
/// The same in Huffman's code: 41 bits, of which the last is 0 in both.
const WRONG_CODE: [u8; 5] = [0x9d, 0x29, 0xae, 0xe3, 0x0c];
const CURED_CODE: [u8; 5] = [0x9d, 0x29, 0xaf, 0xca, 0xcb];

/// Stands between a socket and the library: bytes in, bytes out, none more and none less.
#[derive(Debug)]
pub(crate) struct Cure {
    bytes: BytesMut,
    /// How many of `bytes` have been looked at and may go on.
    seen: usize,
    /// How many more bytes are none of our business: what is left of a frame of another kind.
    pass: usize,
    /// Whether an authority was wrong; then later ones may be, too.
    ill: bool,
    done: bool,
}

impl Cure {
    /// For a connection of which nothing has been read.
    pub(crate) fn new() -> Cure {
        Cure { bytes: BytesMut::new(), seen: 0, pass: PREFACE, ill: false, done: false }
    }

    /// Whether there is nothing more to look at, and nothing left to hand out.
    pub(crate) fn is_done(&self) -> bool {
        self.done && self.bytes.is_empty()
    }

    /// Takes in what came from the socket; nothing is its end.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        while !self.done && self.look() {}
        if bytes.is_empty() {
            self.done = true;
        }
        if self.done {
            self.seen = self.bytes.len();
        }
    }

    /// Hands out what may go on, at most so much.
    pub(crate) fn give(&mut self, most: usize) -> Bytes {
        let given = self.bytes.split_to(self.seen.min(most)).freeze();
        self.seen -= given.len();
        given
    }

    /// Looks at what comes next. Says whether there may be more to look at already.
    fn look(&mut self) -> bool {
        let next = &mut self.bytes[self.seen..];
        if self.pass > 0 {
            let passed = self.pass.min(next.len());
            self.seen += passed;
            self.pass -= passed;
            return self.pass == 0;
        }
        let Some((head, rest)) = next.split_at_mut_checked(FRAME_HEAD) else { return false };
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        if head[3] != HEADERS || length > LARGEST {
            self.pass = FRAME_HEAD + length;
            return true;
        }
        let Some(payload) = rest.get_mut(..length) else { return false };
        self.ill |= cure(head[4], payload);
        self.done = !self.ill;
        self.seen += FRAME_HEAD + length;
        true
    }
}

/// Cures the authority of a frame of headers, if there is one and it is wrong.
fn cure(flags: u8, payload: &mut [u8]) -> bool {
    let before = usize::from(flags & PADDED != 0) + if flags & PRIORITY == 0 { 0 } else { 5 };
    let Some(block) = payload.get_mut(before..) else { return false };
    let Some((value, in_code)) = authority(block) else { return false };
    let value = &mut block[value];
    if in_code {
        let next = value.get(WRONG_CODE.len()).copied().unwrap_or(0xff);
        replace(value, &WRONG_CODE, &CURED_CODE, next & 0x80 == 0)
    } else {
        replace(value, WRONG, CURED, true)
    }
}

fn replace(value: &mut [u8], wrong: &[u8], cured: &[u8], and: bool) -> bool {
    let wrong = and && value.starts_with(wrong);
    if wrong {
        value[..cured.len()].copy_from_slice(cured);
    }
    wrong
}

/// Where an authority is spelt out in a block of headers, and whether in Huffman's code.
fn authority(block: &[u8]) -> Option<(Range<usize>, bool)> {
    let mut walk = Walk { block, at: 0 };
    loop {
        // Four kinds of items, told apart by their first bits (RFC 7541, section 6).
        let first = *block.get(walk.at)?;
        let name = match first {
            0x80.. => {
                walk.number(7)?; // a header that both sides know
                continue;
            }
            0x20..0x40 => {
                walk.number(5)?; // another size of the table
                continue;
            }
            0x40..0x80 => walk.number(6)?,
            0x00..0x20 => walk.number(4)?,
        };
        if name == 0 {
            walk.text()?; // the name is spelt out as well
        }
        let value = walk.text()?;
        if name == AUTHORITY {
            return Some(value);
        }
    }
}

/// A walk through a block of headers, which ends where the block does not go on as it should.
struct Walk<'a> {
    block: &'a [u8],
    at: usize,
}

impl Walk<'_> {
    /// A number that begins in the last `bits` bits of a byte (section 5.1). None that is of use here
    /// needs more than two bytes behind that.
    fn number(&mut self, bits: u32) -> Option<usize> {
        let most = (1_usize << bits) - 1;
        let mut number = usize::from(*self.block.get(self.at)?) & most;
        self.at += 1;
        if number < most {
            return Some(number);
        }
        for shift in [0, 7] {
            let byte = usize::from(*self.block.get(self.at)?);
            self.at += 1;
            number += (byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// A text: where it is, and whether it is in Huffman's code (section 5.2).
    fn text(&mut self) -> Option<(Range<usize>, bool)> {
        let in_code = self.block.get(self.at)? & 0x80 != 0;
        let length = self.number(7)?;
        let from = self.at;
        self.at = from.checked_add(length).filter(|end| *end <= self.block.len())?;
        Some((from..self.at, in_code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTTP_127_0_0_1_23791: [u8; 16] =
        [0x9d, 0x29, 0xae, 0xe3, 0x0c, 0x04, 0x4e, 0xae, 0x05, 0xc0, 0xb8, 0x6e, 0x09, 0x97, 0x5f, 0x0f];

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, 1], payload].concat()
    }

    /// POST, http, a path in plain letters, the authority with this first byte and value, a header more.
    fn block(authority: &[u8]) -> Vec<u8> {
        [&[0x83, 0x86, 0x45, 2, b'/', b'a'], authority, &[0x40, 2, b't', b'e', 1, b'x']].concat()
    }

    fn in_code(value: &[u8]) -> Vec<u8> {
        [&[0x41, 0x80 | u8::try_from(value.len()).unwrap()], value].concat()
    }

    fn plain(first: u8, value: &[u8]) -> Vec<u8> {
        [&[first, u8::try_from(value.len()).unwrap()], value].concat()
    }

    fn begun(frames: &[Vec<u8>]) -> Vec<u8> {
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frames.concat()[..]].concat()
    }

    fn all(cure: &mut Cure) -> Vec<u8> {
        cure.give(usize::MAX).to_vec()
    }

    fn cured(bytes: &[u8]) -> Vec<u8> {
        let mut cure = Cure::new();
        cure.take(bytes);
        all(&mut cure)
    }

    #[test]
    fn a_url_becomes_a_host_of_the_same_length() {
        let mut value = HTTP_127_0_0_1_23791;
        let wrong = begun(&[frame(4, 0, &[]), frame(1, 4, &block(&in_code(&value)))]);
        value[..5].copy_from_slice(&CURED_CODE);
        assert_eq!(cured(&wrong), begun(&[frame(4, 0, &[]), frame(1, 4, &block(&in_code(&value)))]));
        for first in [0x41, 0x01, 0x11] {
            let wrong = begun(&[frame(1, 4, &block(&plain(first, b"http://[::1]:2379")))]);
            let right = begun(&[frame(1, 4, &block(&plain(first, b"httpx--[::1]:2379")))]);
            assert_eq!(cured(&wrong), right, "{first:x}");
        }
    }

    #[test]
    fn what_is_put_in_its_place_is_a_name_to_the_library() {
        for host in ["127.0.0.1:2379", "localhost:2379", "[::1]:2379", "n1.example:80"] {
            let cured = [CURED, host.as_bytes()].concat();
            assert!(http::uri::Authority::try_from(&cured[..]).is_ok(), "{host}");
            assert!(http::uri::Authority::try_from(&[WRONG, host.as_bytes()].concat()[..]).is_err());
        }
    }

    #[test]
    fn padding_and_priority_come_before_the_headers() {
        let headers = |text| [&[3, 0, 0, 0, 0, 9], &block(&plain(0x41, text))[..], &[0; 3]].concat();
        let wrong = begun(&[frame(1, 4 | PADDED | PRIORITY, &headers(b"http://a:1"))]);
        assert_eq!(cured(&wrong), begun(&[frame(1, 4 | PADDED | PRIORITY, &headers(b"httpx--a:1"))]));
    }

    #[test]
    fn what_is_no_authority_stays_as_it_is() {
        let named = [&[0x40, 1, b'a', 10], &b"http://a:1"[..]].concat();
        let bytes = begun(&[
            frame(0, 0, &plain(0x41, b"http://a:1")),
            frame(1, 4, &block(&plain(0x41, b"127.0.0.1:2379"))),
            frame(1, 4, &named),
        ]);
        assert_eq!(cured(&bytes), bytes);
    }

    #[test]
    fn it_does_not_matter_in_which_pieces_bytes_come() {
        let wrong = begun(&[
            frame(4, 0, &[0; 6]),
            frame(1, 4, &block(&in_code(&HTTP_127_0_0_1_23791))),
            frame(0, 1, &[7; 100]),
            frame(1, 4, &block(&plain(0x01, b"http://a:1"))),
        ]);
        let whole = cured(&wrong);
        assert_ne!(whole, wrong);
        for size in 1..wrong.len() {
            let mut cure = Cure::new();
            let mut got = Vec::new();
            for piece in wrong.chunks(size) {
                cure.take(piece);
                got.extend(all(&mut cure));
            }
            assert_eq!(got, whole, "in pieces of {size}");
        }
    }

    #[test]
    fn nothing_is_lost_when_a_connection_ends_early() {
        let bytes = begun(&[frame(1, 4, &block(&in_code(&HTTP_127_0_0_1_23791)))]);
        for end in 0..bytes.len() {
            let mut cure = Cure::new();
            cure.take(&bytes[..end]);
            let early = all(&mut cure);
            cure.take(&[]);
            assert_eq!([early, all(&mut cure)].concat(), bytes[..end], "after {end}");
            assert!(cure.is_done());
        }
    }

    #[test]
    fn who_begins_well_is_left_alone() {
        let mut cure = Cure::new();
        cure.take(&begun(&[frame(1, 4, &block(&plain(0x41, b"a:1")))]));
        all(&mut cure);
        assert!(cure.is_done());
        let mut cure = Cure::new();
        cure.take(&begun(&[frame(1, 4, &block(&plain(0x41, b"http://a:1")))]));
        all(&mut cure);
        assert!(!cure.is_done());
    }

    #[test]
    fn bytes_that_are_no_requests_harm_nobody() {
        proptest::proptest!(|(bytes: Vec<u8>, flags: u8)| {
            let length = bytes.len();
            let mut payload = bytes.clone();
            cure(flags, &mut payload);
            proptest::prop_assert_eq!(payload.len(), length);
            let mut cure = Cure::new();
            cure.take(&begun(&[bytes]));
            cure.take(&[]);
            proptest::prop_assert_eq!(all(&mut cure).len(), 24 + length);
        });
    }
}
