//! A store that is frozen, and one that thaws from it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use bytes::Bytes;
use kv::{Command, LeaseId, Put, Reply, Store};
use proptest::prelude::*;
use raft::StateMachine;

use crate::strategies::command;

fn restored(pieces: impl IntoIterator<Item = Bytes>) -> Store {
    let mut store = Store::new();
    store.execute(&put(b"what it had before", 1));
    store.restore(&mut pieces.into_iter()).unwrap();
    store
}

fn put(key: &[u8], size: usize) -> Command {
    let value = Some(Bytes::from(vec![7; size]));
    Command::Put(Put { key: Bytes::copy_from_slice(key), value, lease: Some(LeaseId::NONE), previous: false })
}

proptest! {
    #[test]
    fn what_thaws_is_what_was_frozen_and_goes_on_alike(
        before in proptest::collection::vec(command(), 0..60),
        after in proptest::collection::vec(command(), 0..30),
    ) {
        let mut store = Store::new();
        for command in &before {
            store.execute(command);
        }
        let (frozen, then) = (store.freeze(), store.clone());
        // It goes on while it is being frozen: nobody sees that.
        for command in &after {
            store.execute(command);
        }
        let mut thawed = restored(frozen);
        prop_assert_eq!(&thawed, &then);
        prop_assert_eq!(thawed.digest(), then.digest());
        prop_assert_eq!(thawed.bytes(), then.bytes());
        for command in &after {
            let reply = thawed.execute(command);
            let mut bytes = Vec::new();
            Store::encode_reply(&reply, &mut bytes);
            bytes.push(9);
            let mut bytes = Bytes::from(bytes);
            prop_assert_eq!(Store::decode_reply(&mut bytes), Ok(reply));
            prop_assert_eq!(&bytes[..], &[9][..]);
        }
        prop_assert_eq!(&thawed, &store);
    }

    #[test]
    fn no_bytes_make_a_store_or_a_reply_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let bytes = Bytes::from(bytes);
        let _: Result<Reply, _> = Store::decode_reply(&mut bytes.clone());
        let head = Store::new().freeze().next().unwrap();
        let _ = Store::new().restore(&mut [head, bytes.clone()].into_iter());
        let _ = Store::new().restore(&mut [bytes].into_iter());
    }
}

#[test]
fn pieces_are_bounded_and_a_missing_one_is_noticed_or_harmless() {
    let mut store = Store::new();
    for number in 0..2000_u32 {
        store.execute(&put(&number.to_be_bytes(), 300));
    }
    let pieces: Vec<Bytes> = store.freeze().collect();
    assert!(pieces.len() > 10);
    assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.len() < 70_000));
    assert_eq!(restored(pieces.clone()), store);
    assert!(
        Store::new().restore(&mut pieces.into_iter().skip(1)).is_err(),
        "the first piece says what it is"
    );
    assert!(Store::new().restore(&mut std::iter::empty()).is_err());
}
