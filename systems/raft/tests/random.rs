//! Random lives of small clusters: messages lost, repeated and out of order, crashes at any moment,
//! disks that are slow. After every step the invariants must hold; at the end, when
//! everything is mended, the cluster must make progress.
//!
//! This is a first net, cheap enough for every build. It is blind to the log on disk, to replies and
//! to time; the simulator sees those.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod cluster;

use std::time::Duration;

use cluster::Cluster;
use proptest::prelude::*;
use raft::{Input, NodeId, Output, Raft, Restored, Timer, Voters};

/// One thing that happens. Numbers are taken modulo what there is to choose from.
#[derive(Clone, Debug)]
enum Happening {
    Deliver(usize),
    Lose(usize),
    Repeat(usize),
    Election(u16),
    Heartbeat(u16),
    Propose(u16),
    Read(u16),
    Complete(u16),
    Crash(u16),
    Cut(u16, u16),
    Heal,
    Wait,
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    prop_oneof![
        40 => any::<usize>().prop_map(Deliver),
        2 => any::<usize>().prop_map(Lose),
        2 => any::<usize>().prop_map(Repeat),
        3 => any::<u16>().prop_map(Election),
        4 => any::<u16>().prop_map(Heartbeat),
        6 => any::<u16>().prop_map(Propose),
        2 => any::<u16>().prop_map(Read),
        30 => any::<u16>().prop_map(Complete),
        1 => any::<u16>().prop_map(Crash),
        1 => any::<(u16, u16)>().prop_map(|(from, to)| Cut(from, to)),
        1 => Just(Heal),
        3 => Just(Wait),
    ]
}

fn live(nodes: u16, append_bytes: usize, happenings: &[Happening]) -> Cluster {
    let mut cluster = Cluster::new(nodes, move |config| config.append_bytes = append_bytes);
    cluster.slow_disks = true;
    let node = |number: u16| NodeId(number % nodes + 1);
    for happening in happenings {
        let mail = cluster.mail.len().max(1);
        match happening {
            Happening::Deliver(at) => {
                if let Some(envelope) = cluster.mail.remove(at % mail) {
                    cluster.deliver(envelope);
                }
            }
            Happening::Lose(at) => {
                cluster.mail.remove(at % mail);
            }
            Happening::Repeat(at) => {
                let again = cluster.mail.get(at % mail).cloned();
                cluster.mail.extend(again);
            }
            Happening::Election(number) => {
                cluster.advance(Duration::from_millis(300));
                cluster.timeout(node(*number), Timer::Election);
            }
            Happening::Heartbeat(number) => cluster.timeout(node(*number), Timer::Heartbeat),
            Happening::Propose(number) => {
                cluster.propose(node(*number), "x");
            }
            Happening::Read(number) => {
                cluster.read(node(*number));
            }
            Happening::Complete(number) => cluster.complete(node(*number)),
            Happening::Crash(number) => {
                cluster.crash(node(*number));
                cluster.start(node(*number));
            }
            Happening::Cut(from, to) => {
                cluster.cut.insert((node(*from), node(*to)));
            }
            Happening::Heal => cluster.cut.clear(),
            Happening::Wait => cluster.advance(Duration::from_millis(50)),
        }
        cluster.sent.clear();
    }
    cluster
}

/// Mends everything and lets time pass until a leader commits something new everywhere.
fn recover(cluster: &mut Cluster, nodes: u16) {
    cluster.cut.clear();
    cluster.slow_disks = false;
    for id in (1..=nodes).map(NodeId) {
        while cluster.writing(id) > 0 {
            cluster.complete(id);
        }
    }
    cluster.settle();
    for round in 0..20 {
        if let Some(leader) = cluster.leader() {
            for _ in 0..3 {
                cluster.timeout(leader, Timer::Heartbeat);
                cluster.settle();
            }
        }
        if let Some(leader) = cluster.leader() {
            cluster.propose(leader, "last words");
            cluster.settle();
            let counts: Vec<usize> = cluster.nodes.values().map(|node| node.applied.len()).collect();
            let last = cluster.nodes[&leader].raft.as_ref().unwrap().log().last().index.0;
            if counts.iter().all(|count| *count as u64 == last) {
                return;
            }
        }
        cluster.advance(Duration::from_millis(300));
        cluster.timeout(NodeId(round % nodes + 1), Timer::Election);
        cluster.settle();
    }
    panic!("no progress after everything was mended");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_lives_are_safe_and_end_in_progress(
        nodes in 1_u16..=5,
        append_bytes in prop_oneof![Just(1_usize), Just(1 << 20)],
        happenings in prop::collection::vec(happening(), 0..600),
    ) {
        let mut cluster = live(nodes, append_bytes, &happenings);
        recover(&mut cluster, nodes);
    }

    /// The core is a function: two lives with the same inputs are the same life.
    #[test]
    fn the_same_inputs_give_the_same_outputs(happenings in prop::collection::vec(happening(), 0..300)) {
        let one = live(3, 1 << 20, &happenings);
        let other = live(3, 1 << 20, &happenings);
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
    let voters = Voters::new([NodeId(1), NodeId(2), NodeId(3)]);
    let mut out = Output::default();
    let config = raft::Config::new(NodeId(2), voters);
    let now = raft::Now::default();
    let mut node = Raft::restart(config, Restored::default(), now, &mut out);
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
    let config = raft::Config::new(NodeId(2), Voters::new([NodeId(1), NodeId(2), NodeId(3)]));
    let mut node = Raft::restart(config, Restored::default(), now, &mut out);
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
    hears(&mut node, u64::MAX, Message::RequestVote { last });
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
