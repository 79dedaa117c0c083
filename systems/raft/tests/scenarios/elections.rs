//! Elections (§5.2, §5.4.1): who wins, who votes for whom, and who can be heard.

use std::collections::BTreeSet;

use raft::script::Cluster;
use raft::{
    Checkpoint, Config, EntryId, HardState, Input, Log, Membership, Message, Mono, NodeId, Now, Output, Raft,
    Restored, Role, Suffix, Term, Timer, Wall,
};

use crate::{LATER, beat, elect, entries, running, said};

const NOW: Now = Now { mono: Mono(10_000_000_000), wall: Wall(0) };

/// A node of so many, that has restarted a while ago with this vote in t2, and this log.
fn node(nodes: u16, vote: Option<u16>, log: &[u64]) -> Raft {
    let members = Membership::of((1..=nodes).map(NodeId));
    let suffix = Suffix::new(EntryId::default(), entries(log)).unwrap();
    let log = Log::new(Checkpoint::genesis(members), suffix).unwrap();
    let hard = HardState { term: Term(2), vote: vote.map(NodeId) };
    let start = Now { mono: Mono(1), ..NOW };
    Raft::restart(Config::new(NodeId(1)), Restored { hard, log }, start, &mut Output::default())
}

/// Every set of the numbers from 2 to `last`.
fn sets(last: u16) -> impl Iterator<Item = BTreeSet<u16>> {
    (0..1_u32 << (last - 1)).map(move |bits| (2..=last).filter(|id| bits & (1 << (id - 2)) != 0).collect())
}

#[test]
fn a_majority_elects_and_fewer_do_not() {
    for nodes in 1..=5 {
        for yes in sets(nodes) {
            let needed = usize::from(nodes / 2);
            let mut raft = node(nodes, None, &[1]);
            let mut out = Output::default();
            raft.step(NOW, Input::Timeout(Timer::Election), &mut out);
            for id in 2..=nodes {
                raft.step(NOW, said(id, 1, 2, Message::PreVote { granted: yes.contains(&id) }), &mut out);
            }
            let runs = yes.len() >= needed;
            assert_eq!(
                raft.role(),
                if runs { Role::Candidate } else { Role::PreCandidate },
                "{nodes}: {yes:?}"
            );
            assert_eq!(raft.term(), Term(if runs { 3 } else { 2 }));
            if !runs {
                continue;
            }
            // Its own vote counts when it is on disk. Each vote comes twice, and counts once.
            let write = out.persist.last().unwrap().id;
            raft.step(NOW, Input::Persisted(write), &mut out);
            for yes in sets(nodes) {
                let mut raft = raft.clone();
                for id in (2..=nodes).chain(2..=nodes) {
                    raft.step(NOW, said(id, 1, 3, Message::Vote { granted: yes.contains(&id) }), &mut out);
                }
                let wins = yes.len() >= needed;
                assert_eq!(raft.role() == Role::Leader, wins, "{nodes}: {yes:?}");
            }
        }
    }
}

#[test]
fn an_answer_to_a_pre_vote_is_no_vote() {
    let mut raft = node(5, None, &[1]);
    let mut out = Output::default();
    raft.step(NOW, Input::Timeout(Timer::Election), &mut out);
    for id in 2..=3 {
        raft.step(NOW, said(id, 1, 2, Message::PreVote { granted: true }), &mut out);
    }
    raft.step(NOW, Input::Persisted(out.persist.last().unwrap().id), &mut out);
    for id in 2..=5 {
        raft.step(NOW, said(id, 1, 3, Message::PreVote { granted: true }), &mut out);
        raft.step(NOW, said(id, 1, 2, Message::Vote { granted: true }), &mut out);
    }
    assert_eq!(raft.role(), Role::Candidate);
}

#[test]
fn a_vote_is_free_once_a_term_and_for_logs_as_good_as_our_own() {
    let good = [(3, 2), (4, 2), (9, 2), (1, 3), (3, 3)];
    let bad = [(0, 0), (2, 2), (3, 1), (9, 1)];
    for (last, current) in good.map(|last| (last, true)).into_iter().chain(bad.map(|last| (last, false))) {
        for (vote, free) in [(None, true), (Some(2), true), (Some(3), false)] {
            let mut raft = node(3, vote, &[1, 2, 2]);
            let mut out = Output::default();
            let last = EntryId::new(last.0, last.1);
            raft.step(NOW, said(2, 1, 2, Message::RequestVote { last, called: false }), &mut out);
            let granted = current && free;
            assert!(out.send_now.is_empty(), "a vote waits for the disk");
            assert_eq!(out.send_after[0].message, Message::Vote { granted }, "{last}, after {vote:?}");
            assert_eq!(raft.hard().vote, if granted { Some(NodeId(2)) } else { vote.map(NodeId) });

            // A pre-vote asks for the log alone, and binds nobody.
            let mut raft = node(3, vote, &[1, 2, 2]);
            let mut out = Output::default();
            raft.step(NOW, said(2, 1, 2, Message::RequestPreVote { last }), &mut out);
            assert_eq!(out.send_now[0].message, Message::PreVote { granted: current });
            assert_eq!(raft.hard().vote, vote.map(NodeId));
        }
    }
}

#[test]
fn a_vote_of_a_new_term_is_given_in_every_role_but_a_leaders() {
    let mut cluster = Cluster::new(3, |_| {});
    elect(&mut cluster, NodeId(1));
    cluster.advance(LATER);
    let leader = running(&cluster, NodeId(1)).clone();
    let follower = running(&cluster, NodeId(2)).clone();
    let mut candidate = follower.clone();
    candidate.step(cluster.now, Input::Timeout(Timer::Election), &mut Output::default());
    let pre_candidate = candidate.clone();
    candidate.step(cluster.now, said(3, 2, 1, Message::PreVote { granted: true }), &mut Output::default());
    for (id, raft, listens) in
        [(1, leader, false), (2, follower, true), (2, pre_candidate, true), (2, candidate, true)]
    {
        for called in [false, true] {
            let mut raft = raft.clone();
            let mut out = Output::default();
            let last = EntryId::new(9, 1);
            let question = said(3, id, 5, Message::RequestVote { last, called });
            raft.step(cluster.now, question, &mut out);
            let granted = out.send_after.iter().any(|sent| sent.message == Message::Vote { granted: true });
            assert_eq!(granted, listens || called, "{raft}");
        }
    }
}

#[test]
fn each_node_can_lead_in_its_turn() {
    for nodes in 1..=5 {
        let mut cluster = Cluster::new(nodes, |_| {});
        for turn in 1..=2 * nodes {
            let id = NodeId(turn % nodes + 1);
            // The leader of before is cut off for as long as the others need.
            if let Some(before) = cluster.leader().filter(|before| *before != id) {
                if nodes > 2 {
                    cluster.isolate(before);
                } else {
                    cluster.crash(before);
                    cluster.start(before);
                }
            }
            elect(&mut cluster, id);
            cluster.cut.clear();
            let leader = cluster.leader().unwrap();
            beat(&mut cluster, leader);
            if leader != id {
                elect(&mut cluster, id);
            }
            let leader = cluster.leader().unwrap();
            cluster.propose(leader, "x");
            cluster.settle();
            beat(&mut cluster, leader);
            let commit = running(&cluster, leader).commit();
            assert!(cluster.nodes.keys().all(|id| running(&cluster, *id).commit() == commit));
            assert!(nodes == 1 || leader == id, "{nodes} nodes, turn {turn}");
        }
    }
}

#[test]
fn a_leader_is_elected_whenever_a_majority_is_there() {
    for nodes in 1..=5 {
        for down in sets(nodes) {
            let mut cluster = Cluster::new(nodes, |_| {});
            for id in &down {
                cluster.crash(NodeId(*id));
            }
            elect(&mut cluster, NodeId(1));
            let there = usize::from(nodes) - down.len();
            assert_eq!(
                cluster.leader().is_some(),
                2 * there > usize::from(nodes),
                "{nodes}: {down:?} are down"
            );
        }
    }
}

/// Links that are cut in both directions, and no others.
fn cut(cluster: &mut Cluster, pairs: &[(u16, u16)]) {
    for (one, other) in pairs {
        cluster.cut.insert((NodeId(*one), NodeId(*other)));
        cluster.cut.insert((NodeId(*other), NodeId(*one)));
    }
}

/// Everybody hears n3 and nobody else. The leader sees that it has lost its quorum; n3 is the one who can lead.
#[test]
fn a_leader_without_a_quorum_makes_room_for_whoever_hears_one() {
    let mut cluster = Cluster::new(5, |_| {});
    elect(&mut cluster, NodeId(1));
    beat(&mut cluster, NodeId(1));
    cut(&mut cluster, &[(1, 2), (1, 4), (1, 5), (2, 4), (2, 5), (4, 5)]);
    for _ in 0..2 {
        beat(&mut cluster, NodeId(1));
        cluster.timeout(NodeId(1), Timer::Election);
    }
    assert_eq!(cluster.leader(), None);
    for id in [2, 4, 5, 3] {
        elect(&mut cluster, NodeId(id));
    }
    assert_eq!(cluster.leader(), Some(NodeId(3)));
    cluster.propose(NodeId(3), "x");
    cluster.settle();
    assert_eq!(running(&cluster, NodeId(3)).commit(), running(&cluster, NodeId(3)).log().last().index);
}

/// n1 and n3 do not hear each other, n2 hears both. Whoever leads is left in peace: the terms stand still.
#[test]
fn in_a_chain_the_terms_stand_still() {
    let mut cluster = Cluster::new(3, |_| {});
    elect(&mut cluster, NodeId(1));
    beat(&mut cluster, NodeId(1));
    cut(&mut cluster, &[(1, 3)]);
    for _ in 0..20 {
        beat(&mut cluster, NodeId(1));
        cluster.timeout(NodeId(3), Timer::Election);
        cluster.settle();
    }
    assert!((1..=3).all(|id| running(&cluster, NodeId(id)).term() == Term(1)));
}

/// A node whose election timer runs out before heartbeats come asks often, and opens no term (dissertation §3.9).
#[test]
fn timers_that_are_too_short_cost_questions_and_no_terms() {
    let mut cluster = Cluster::new(5, |_| {});
    elect(&mut cluster, NodeId(1));
    for round in 0..50_u16 {
        beat(&mut cluster, NodeId(1));
        cluster.advance(std::time::Duration::from_millis(100));
        cluster.timeout(NodeId(round % 4 + 2), Timer::Election);
        cluster.settle();
    }
    assert_eq!((cluster.leader(), running(&cluster, NodeId(1)).term()), (Some(NodeId(1)), Term(1)));
}
