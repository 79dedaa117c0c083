//! Terms and roles (§5.1, §5.2): every role meets every message, of every term.

use raft::script::Cluster;
use raft::{
    Checkpoint, Config, EntryId, Index, Membership, Message, NodeId, Output, Raft, RequestId, Restored, Role,
    SessionId, Suffix, Term, Timer,
};

use crate::{LATER, beat, elect, running, said};

/// n2 in each role, in term 2, where nobody was heard for long.
fn in_each_role() -> Vec<(Role, Raft, raft::Now)> {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.tolerant = true;
    elect(&mut cluster, NodeId(1));
    cluster.isolate(NodeId(1));
    elect(&mut cluster, NodeId(3));
    cluster.cut.clear();
    beat(&mut cluster, NodeId(3));
    cluster.advance(LATER);
    cluster.step(NodeId(2), raft::Input::Propose(Vec::new()));
    let follower = running(&cluster, NodeId(2)).clone();
    let mut rest = follower.clone();
    let mut out = Output::default();
    let timer = raft::Input::Timeout(Timer::Election);
    rest.step(cluster.now, timer, &mut out);
    let pre_candidate = rest.clone();
    rest.step(cluster.now, said(1, 2, 2, Message::PreVote { granted: true }), &mut out);
    let candidate = rest.clone();
    let write = out.persist.last().unwrap().id;
    rest.step(cluster.now, raft::Input::Persisted(write), &mut out);
    rest.step(cluster.now, said(1, 2, 3, Message::Vote { granted: true }), &mut out);
    let all = [follower, pre_candidate, candidate, rest];
    let roles = [Role::Follower, Role::PreCandidate, Role::Candidate, Role::Leader];
    roles.into_iter().zip(all).map(|(role, raft)| (role, raft, cluster.now)).collect()
}

/// One of each kind that is about a term.
fn of_each_kind() -> Vec<Message> {
    let last = EntryId::new(9, 2);
    let after = EntryId::default();
    vec![
        Message::RequestPreVote { last },
        Message::PreVote { granted: true },
        Message::RequestVote { last, called: false },
        Message::RequestVote { last, called: true },
        Message::Vote { granted: true },
        Message::Append { suffix: Suffix::new(after, Vec::new()).unwrap(), commit: Index(0) },
        Message::Matched { upto: Index(1) },
        Message::Diverged { after: last, probe: after },
        Message::Heartbeat { round: 7, commit: Index(0) },
        Message::HeartbeatReply { round: 1 },
        Message::Outdated,
        Message::TimeoutNow,
        Message::Snapshot { checkpoint: Checkpoint::genesis(Membership::of([NodeId(1)])) },
    ]
}

#[test]
fn a_node_starts_as_a_follower_of_nobody_and_waits() {
    let mut out = Output::default();
    let restored = Restored::blank(Membership::of([1, 2, 3].map(NodeId)));
    let raft = Raft::restart(Config::new(NodeId(1)), restored, raft::Now::default(), &mut out);
    assert_eq!((raft.role(), raft.leader(), raft.term()), (Role::Follower, None, Term(0)));
    assert!(out.arm.contains(&Timer::Election) && out.send_now.is_empty() && out.persist.is_empty());
}

#[test]
fn whoever_hears_of_a_greater_term_follows_in_it() {
    for (role, before, now) in in_each_role() {
        assert_eq!(before.role(), role);
        for message in of_each_kind() {
            let mut raft = before.clone();
            let mut out = Output::default();
            // Only a leader still believes in a leader: itself.
            let deaf = role == Role::Leader
                && matches!(
                    message,
                    Message::RequestPreVote { .. } | Message::RequestVote { called: false, .. }
                );
            let called = format!("{role} hears {message}");
            raft.step(now, said(3, 2, 9, message), &mut out);
            assert_eq!(out.halt, None, "{called}");
            if deaf {
                assert_eq!(raft, before, "{called}");
            } else {
                assert_eq!((raft.role(), raft.term()), (Role::Follower, Term(9)), "{called}");
                assert!(out.persist.iter().any(|write| write.hard.is_some()), "{called}");
            }
        }
    }
}

#[test]
fn what_is_of_an_old_term_moves_nothing() {
    for (role, before, now) in in_each_role() {
        for message in of_each_kind() {
            let mut raft = before.clone();
            let mut out = Output::default();
            let called = format!("{role} hears {message}");
            raft.step(now, said(3, 2, 1, message), &mut out);
            assert_eq!(raft, before, "{called}");
            let answers = out.send_now.iter().all(|envelope| envelope.message == Message::Outdated);
            assert!(answers && out.send_after.is_empty() && out.persist.is_empty(), "{called}");
        }
    }
}

#[test]
fn a_leader_of_the_same_term_ends_every_candidacy() {
    for (role, before, now) in in_each_role() {
        if !matches!(role, Role::PreCandidate | Role::Candidate) {
            continue;
        }
        for message in of_each_kind() {
            let leads = matches!(
                message,
                Message::Append { .. } | Message::Heartbeat { .. } | Message::Snapshot { .. }
            );
            let mut raft = before.clone();
            let mut out = Output::default();
            raft.step(now, said(3, 2, before.term().0, message), &mut out);
            if leads {
                assert_eq!((raft.role(), raft.leader()), (Role::Follower, Some(NodeId(3))));
            } else {
                assert_ne!(raft.leader(), Some(NodeId(3)));
            }
        }
    }
}

/// Roles change only along the arrows of Figure 4, whatever is said in whatever order.
#[test]
fn nobody_leads_who_was_no_candidate() {
    for (role, before, now) in in_each_role() {
        for first in of_each_kind() {
            for term in 1..=4 {
                let mut raft = before.clone();
                let mut out = Output::default();
                raft.step(now, said(3, 2, term, first.clone()), &mut out);
                let allowed = match role {
                    Role::Follower => raft.role() != Role::Leader && raft.role() != Role::PreCandidate,
                    Role::PreCandidate => raft.role() != Role::Leader,
                    Role::Candidate | Role::Leader => raft.role() != Role::PreCandidate,
                };
                assert!(allowed, "{role} hears {first} of t{term} and is {}", raft.role());
            }
        }
    }
}

#[test]
fn timers_start_anew_when_a_leader_is_heard_or_a_vote_is_given() {
    let ids = vec![RequestId { session: SessionId(1), seq: 1 }];
    for (message, arms) in [
        (Message::Heartbeat { round: 1, commit: Index(0) }, true),
        (Message::RequestVote { last: EntryId::new(9, 2), called: false }, true),
        (Message::RequestVote { last: EntryId::default(), called: false }, false),
        (Message::RequestPreVote { last: EntryId::new(9, 2) }, false),
        (Message::ReadAt { ids, index: Index(0) }, false),
    ] {
        let (_, mut raft, now) = in_each_role().remove(0);
        let mut out = Output::default();
        let called = message.to_string();
        raft.step(now, said(1, 2, 3, message), &mut out);
        assert_eq!(out.arm.contains(&Timer::Election), arms, "{called}");
    }
}
