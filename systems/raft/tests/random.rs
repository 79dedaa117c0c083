//! Random lives of small clusters: messages lost, repeated and out of order, crashes at any moment,
//! disks that are slow. After every step the invariants must hold; at the end, when
//! everything is mended, the cluster must make progress.
//!
//! This is a first net, cheap enough for every build. It is blind to the log on disk, to replies and
//! to time; the simulator sees those.
#![cfg(feature = "script")]

mod cluster;

use std::time::Duration;

use cluster::lives::{Lives, Temper};
use proptest::prelude::*;
use raft::script::Cluster;
use raft::{Input, Membership, NodeId, Output, Raft, Restored, Timer};

/// A life as numbers.
fn numbers(most: usize) -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(any::<u64>(), 0..most)
}

fn live(nodes: u16, append_bytes: usize, temper: u64, numbers: &[u64]) -> Cluster {
    let temper = Temper::of(temper);
    let mut cluster = Cluster::new(nodes, move |config| {
        config.append_bytes = append_bytes;
        config.tail = raft::Tail { usual: 2, most: 6 };
        config.catch_up = 3;
    });
    cluster.slow_disks = true;
    for number in numbers {
        cluster.happen(temper.happening(*number));
    }
    cluster
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn random_lives_are_safe_and_end_in_progress(
        nodes in 1_u16..=5,
        append_bytes in prop_oneof![Just(1_usize), Just(1 << 20)],
        temper in any::<u64>(),
        numbers in numbers(600),
    ) {
        let mut cluster = live(nodes, append_bytes, temper, &numbers);
        prop_assert!(cluster.recover(), "no progress after everything was mended");
    }

    /// The core is a function: two lives with the same inputs are the same life.
    #[test]
    fn the_same_inputs_give_the_same_outputs(temper in any::<u64>(), numbers in numbers(300)) {
        let one = live(3, 1 << 20, temper, &numbers);
        let other = live(3, 1 << 20, temper, &numbers);
        prop_assert_eq!(&one.mail, &other.mail);
        prop_assert_eq!(&one.answers, &other.answers);
        for id in one.nodes.keys() {
            prop_assert_eq!(&one.nodes[id].raft, &other.nodes[id].raft);
        }
    }
}

/// The net holds: with a leader that calls entries committed before a quorum has them, lives that
/// the correct core survives are refused.
#[test]
#[should_panic(expected = "against quorum holds")]
fn a_planted_bug_is_caught() {
    let mut cluster = Cluster::new(3, |config| config.bugs = raft::Bugs::of([raft::Bug::AckBeforeQuorum]));
    let elect = |cluster: &mut Cluster, id| {
        cluster.advance(Duration::from_millis(300));
        cluster.timeout(NodeId(id), Timer::Election);
        cluster.settle();
    };
    elect(&mut cluster, 1);
    cluster.isolate(NodeId(1));
    cluster.propose(NodeId(1), "acknowledged too early");
    elect(&mut cluster, 2);
}

/// Whatever a peer says, a node never panics: it obeys, ignores or halts.
#[test]
fn a_leader_that_overwrites_what_is_committed_is_refused() {
    let restored = Restored::blank(Membership::of([1, 2, 3].map(NodeId)));
    let mut out = Output::default();
    let config = raft::Config::new(NodeId(2));
    let now = raft::Now::default();
    let mut node = Raft::restart(config, restored, now, &mut out);
    let append = |term: u64, entry_term: u64, commit: u64| {
        let entry = raft::Entry {
            id: raft::EntryId::new(1, entry_term),
            stamp: raft::Wall(0),
            request: None,
            payload: raft::Payload::Noop,
        };
        Input::Receive(raft::Envelope {
            from: NodeId(1),
            to: NodeId(2),
            term: raft::Term(term),
            message: raft::Message::Append {
                suffix: raft::Suffix::new(raft::EntryId::default(), vec![entry]).unwrap(),
                commit: raft::Index(commit),
            },
        })
    };
    node.step(now, append(1, 1, 1), &mut out);
    assert_eq!(out.halt, None);
    node.step(now, append(2, 2, 1), &mut out);
    let expected = raft::Diverged::CommittedOverwritten {
        leader: NodeId(1),
        index: raft::Index(1),
        commit: raft::Index(1),
    };
    assert_eq!(out.halt, Some(expected));
    assert_eq!(node.log().last(), raft::EntryId::new(1, 1), "and nothing is overwritten");
}

/// Numbers at their ends, terms of the future, times that fall: whatever a peer that lost its mind says,
/// a node lives on, and can still lead.
#[test]
fn nonsense_from_a_peer_breaks_nothing() {
    use raft::{Entry, EntryId, Envelope, Index, Message, Payload, Suffix, Term, Wall};
    let mut out = Output::default();
    let now = raft::Now::default();
    let restored = Restored::blank(Membership::of([1, 2, 3].map(NodeId)));
    let mut node = Raft::restart(raft::Config::new(NodeId(2)), restored, now, &mut out);
    let hears = |node: &mut Raft, term: u64, message| {
        let mut out = Output::default();
        let envelope = Envelope { from: NodeId(1), to: NodeId(2), term: Term(term), message };
        node.step(now, Input::Receive(envelope), &mut out);
        assert_eq!(out.halt, None);
    };
    let append = |after: (u64, u64), term: u64, stamp: u64| {
        let id = EntryId::new(after.0.saturating_add(1), term);
        let entry = Entry { id, stamp: Wall(stamp), request: None, payload: Payload::Noop };
        let suffix = Suffix::new(EntryId::new(after.0, after.1), vec![entry]).unwrap();
        Message::Append { suffix, commit: Index(u64::MAX) }
    };
    let last = EntryId::new(u64::MAX, u64::MAX);
    hears(&mut node, u64::MAX, Message::RequestVote { last, called: true });
    assert_eq!(node.term(), Term(0));
    hears(&mut node, 1, append((0, 0), 1, 100));
    hears(&mut node, 1, append((u64::MAX, 1), 1, 200));
    hears(&mut node, 1, append((1, 1), 9, 200));
    hears(&mut node, 1, append((1, 1), 1, 50));
    assert_eq!(node.log().last(), EntryId::new(1, 1));
    let mut out = Output::default();
    let later = raft::Now { mono: raft::Mono(u64::MAX / 2), ..now };
    node.step(later, Input::Timeout(Timer::Election), &mut out);
    node.step(later, Input::Propose(Vec::new()), &mut out);
    hears(&mut node, 1, Message::PreVote { granted: true });
    hears(&mut node, 2, Message::Vote { granted: true });
    node.step(later, Input::Persisted(raft::PersistId(9)), &mut out);
    assert_eq!(node.role(), raft::Role::Leader);
    hears(&mut node, 2, Message::Diverged { after: last, probe: last });
    hears(&mut node, 2, Message::Matched { upto: Index(1) });
}
