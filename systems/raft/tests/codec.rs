//! Every message that a cluster sends comes back from its bytes as it was; anything else is refused.
#![cfg(feature = "script")]

use std::time::Duration;

use proptest::prelude::*;
use raft::codec::{decode_envelope, encode_envelope};
use raft::script::Cluster;
use raft::{Envelope, NodeId, Timer};

/// Messages of every kind, as a cluster really sends them.
fn messages() -> Vec<Envelope> {
    let mut cluster = Cluster::new(3, |_| {});
    let mut seen = Vec::new();
    let mut turn = |cluster: &mut Cluster| {
        while let Some(envelope) = cluster.mail.pop_front() {
            seen.push(envelope.clone());
            cluster.deliver(envelope);
        }
    };
    cluster.timeout(NodeId(1), Timer::Election);
    turn(&mut cluster);
    cluster.propose(NodeId(2), "forwarded");
    cluster.read(NodeId(3));
    turn(&mut cluster);
    cluster.isolate(NodeId(3));
    cluster.propose(NodeId(1), "missed by n3");
    turn(&mut cluster);
    cluster.cut.clear();
    cluster.timeout(NodeId(1), Timer::Heartbeat);
    turn(&mut cluster);
    cluster.isolate(NodeId(1));
    cluster.advance(Duration::from_millis(300));
    cluster.propose(NodeId(1), "lost");
    cluster.timeout(NodeId(2), Timer::Election);
    turn(&mut cluster);
    cluster.cut.clear();
    cluster.timeout(NodeId(1), Timer::Heartbeat);
    turn(&mut cluster);
    cluster.timeout(NodeId(2), Timer::Heartbeat);
    turn(&mut cluster);
    seen
}

#[test]
fn every_message_comes_back_as_it_was() {
    let messages = messages();
    for envelope in &messages {
        assert_eq!(decode_envelope(encode_envelope(envelope)).as_ref(), Ok(envelope));
    }
    let said: Vec<String> = messages.iter().map(ToString::to_string).collect();
    for kind in [
        "RequestPreVote",
        "PreVote yes",
        "RequestVote",
        "Vote yes",
        "Append",
        "Matched",
        "Diverged",
        "Heartbeat ",
        "HeartbeatReply",
        "Outdated",
        "Forward ",
        "ForwardRead",
        "ReadAt",
    ] {
        assert!(said.iter().any(|line| line.contains(kind)), "the cluster never sent {kind}");
    }
}

#[test]
fn a_message_cut_short_or_too_long_is_refused() {
    for envelope in messages() {
        let bytes = encode_envelope(&envelope);
        for end in 0..bytes.len() {
            assert!(decode_envelope(bytes.slice(..end)).is_err(), "{envelope} cut at {end}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(decode_envelope(longer.into()).is_err(), "{envelope} and a byte more");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(envelope) = decode_envelope(bytes.clone().into()) {
            prop_assert_eq!(&encode_envelope(&envelope)[..], &bytes[..], "what is read is what was written");
        }
    }
}
