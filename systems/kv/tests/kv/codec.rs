//! Commands survive the way through bytes; anything else ends in an error.

use crate::strategies::command;
use ::kv::codec::{Malformed, decode, encode};
use bytes::Bytes;
use kv::{Command, Revision, Step, Txn};
use proptest::prelude::*;

proptest! {
    #[test]
    fn what_is_written_is_read(command in command()) {
        prop_assert_eq!(decode(encode(&command)), Ok(command));
    }

    #[test]
    fn every_cut_is_noticed(command in command(), at in any::<prop::sample::Index>()) {
        let bytes = encode(&command);
        let at = at.index(bytes.len());
        prop_assert_eq!(decode(bytes.slice(..at)), Err(Malformed::Short));
    }

    #[test]
    fn a_changed_byte_never_panics(
        command in command(), at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let mut bytes = encode(&command).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = decode(Bytes::from(bytes.clone())) {
            prop_assert_eq!(encode(&read), bytes, "bytes that mean something mean one thing");
        }
    }

    #[test]
    fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(Bytes::from(noise));
    }
}

#[test]
fn a_layout_from_another_time_is_refused() {
    let mut bytes = encode(&Command::Compact(Revision(3))).to_vec();
    bytes[0] = 9;
    assert_eq!(decode(Bytes::from(bytes)), Err(Malformed::Version(9)));
}

#[test]
fn bytes_after_the_end_are_refused() {
    let mut bytes = encode(&Command::Compact(Revision(3))).to_vec();
    bytes.push(0);
    assert_eq!(decode(Bytes::from(bytes)), Err(Malformed::Trailing(1)));
}

#[test]
fn a_nesting_that_would_exhaust_the_stack_is_refused() {
    let nested = |depth: usize| {
        (1..depth).fold(Txn::default(), |inner, _| Txn { success: vec![Step::Txn(inner)], ..Txn::default() })
    };
    let deepest = Command::Txn(nested(129));
    assert_eq!(decode(encode(&deepest)), Ok(deepest));
    assert_eq!(decode(encode(&Command::Txn(nested(130)))), Err(Malformed::Deep));
}

/// The layout is on disks: a change of it needs a new version, and this test says so.
#[test]
fn the_layout_of_version_1_is_this() {
    let put = kv::Put {
        key: Bytes::from_static(b"k"),
        value: Some(Bytes::from_static(b"vv")),
        lease: Some(kv::LeaseId(0)),
        previous: true,
    };
    let expected = [
        &[1, 2][..],         // version, put
        &[1, 0, 0, 0, b'k'], // the key
        &[1, 2, 0, 0, 0],    // a value
        b"vv",
        &[1, 0, 0, 0, 0, 0, 0, 0, 0], // a lease: none
        &[1],                         // tell me what was there
    ]
    .concat();
    assert_eq!(encode(&Command::Put(put)), expected);
}
