//! Every property is broken once, by states made by hand, and the sentence names who and what.

use super::*;
use crate::checkpoint::Checkpoint;
use crate::entry::{Payload, Suffix};
use crate::ids::{Now, SessionId, Term, Wall};
use crate::leader::Leader;
use crate::membership::Membership;
use crate::message::Message;
use crate::raft::{Config, Restored, Standing};
use crate::seam::Output;

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);

fn members() -> Membership {
    Membership::of([N1, N2, N3])
}

fn invariants() -> Invariants {
    Invariants::default()
}

/// Entries of these terms, from index `first`.
fn entries(first: u64, terms: &[u64]) -> Vec<Entry> {
    let entry = |(index, term): (u64, &u64)| Entry {
        id: EntryId::new(index, *term),
        stamp: Wall(0),
        request: None,
        payload: Payload::Noop,
    };
    (first..).zip(terms).map(entry).collect()
}

/// A follower in this term whose log has entries of these terms.
fn node(id: NodeId, term: u64, terms: &[u64]) -> Raft {
    let hard = HardState { term: Term(term), vote: None };
    let suffix = Suffix::new(EntryId::default(), entries(1, terms)).unwrap();
    let log = Log::new(Checkpoint::genesis(members()), suffix).unwrap();
    Raft::restart(Config::new(id), Restored { hard, log }, Now::default(), &mut Output::default())
}

fn leader(id: NodeId, term: u64, terms: &[u64]) -> Raft {
    let mut node = node(id, term, terms);
    node.standing = Standing::Leader(Leader::new(Index(1)));
    node.know_followers();
    node
}

/// The same node, which now calls its log committed up to there.
fn commits(mut node: Raft, upto: u64) -> Raft {
    node.commit = Index(upto);
    node
}

/// What is said of a cluster in which this happens, one node after the other, each first seen as it starts.
fn seen(steps: &[Raft]) -> Result<Invariants, Violation> {
    let mut law = invariants();
    for node in steps {
        let mut start = node.clone();
        (start.commit, start.standing) = (Index(0), Standing::Follower { leader: None });
        if !law.nodes.contains_key(&node.id()) {
            law.observe(&start)?;
        }
        law.observe(node)?;
    }
    Ok(law)
}

#[track_caller]
fn refused<T>(verdict: Result<T, Violation>, property: Property, sentence: &str) {
    let violation = verdict.err().expect("this breaks a property");
    assert_eq!(violation.to_string(), sentence);
    assert_eq!(violation.property(), property);
}

#[test]
fn election_safety() {
    assert!(seen(&[leader(N1, 3, &[]), leader(N2, 4, &[])]).is_ok());
    refused(
        seen(&[leader(N1, 3, &[]), leader(N2, 3, &[])]),
        Property::ElectionSafety,
        "n1 and n2 both lead t3",
    );
}

#[test]
fn leader_append_only() {
    let start = leader(N1, 3, &[1, 3]);
    let mut longer = start.clone();
    longer.log.replace(Suffix::new(EntryId::new(2, 3), entries(3, &[3])).unwrap());
    let mut shorter = longer.clone();
    shorter.log.replace(Suffix::new(EntryId::new(1, 1), Vec::new()).unwrap());
    assert!(seen(&[start.clone(), longer.clone()]).is_ok());
    refused(
        seen(&[start, longer, shorter]),
        Property::LeaderAppendOnly,
        "n1@t3 leads, and no longer has its entry 2@t3",
    );
}

#[test]
fn log_matching() {
    assert!(seen(&[node(N1, 3, &[1, 2]), node(N2, 3, &[1, 3])]).is_ok());
    refused(
        seen(&[node(N1, 3, &[1, 3]), node(N2, 3, &[2, 3])]),
        Property::LogMatching,
        "n2 has 2@t3 behind 1@t2, and n1 had it behind 1@t1",
    );
    let mut other = node(N2, 3, &[]);
    let command = Entry { payload: Payload::OpenSession, ..entries(1, &[1])[0].clone() };
    other.log.replace(Suffix::new(EntryId::default(), vec![command]).unwrap());
    refused(seen(&[node(N1, 3, &[1]), other]), Property::LogMatching, "n2 has another 1@t1 than n1 had");
}

#[test]
fn leader_completeness() {
    let committed = || [node(N2, 3, &[3]), commits(leader(N1, 3, &[3]), 1)];
    let then = |last: Raft| seen(&[committed().as_slice(), &[last]].concat());
    let sentence = "n3@t4 leads without 1@t3, which was committed in t3";
    refused(then(leader(N3, 4, &[])), Property::LeaderCompleteness, sentence);
    assert!(then(leader(N3, 4, &[3, 4])).is_ok());
    assert!(then(leader(N3, 2, &[])).is_ok(), "an older leader need not have what came later");
    let late = [&[leader(N3, 4, &[])], committed().as_slice()].concat();
    refused(seen(&late), Property::LeaderCompleteness, sentence);
}

#[test]
fn state_machine_safety() {
    let committed = [node(N2, 1, &[1]), commits(leader(N1, 1, &[1]), 1)];
    refused(
        seen(&[committed.as_slice(), &[commits(node(N3, 2, &[2]), 1)]].concat()),
        Property::StateMachineSafety,
        "n3 holds 1@t2 to be committed, and n1 held 1@t1 to be",
    );
    let mut overwritten = commits(node(N2, 2, &[1]), 1);
    overwritten.log.replace(Suffix::new(EntryId::default(), entries(1, &[2])).unwrap());
    refused(
        seen(&[committed.as_slice(), &[commits(node(N2, 1, &[1]), 1), overwritten]].concat()),
        Property::StateMachineSafety,
        "n2 drops 1@t1, which is committed",
    );
    let mut law = seen(&committed).unwrap();
    assert_eq!(law.applied(N1, &entries(1, &[1])[0]), Ok(()));
    refused(
        law.applied(N2, &entries(1, &[2])[0]),
        Property::StateMachineSafety,
        "n2 executes 1@t2, and 1@t1 is committed there",
    );
    refused(
        seen(&[node(N1, 1, &[1])]).unwrap().applied(N1, &entries(1, &[1])[0]),
        Property::StateMachineSafety,
        "n1 executes 1@t1, and nothing is committed there",
    );
}

#[test]
fn quorum_holds() {
    refused(
        seen(&[node(N2, 1, &[]), commits(leader(N1, 1, &[1]), 1)]),
        Property::QuorumHolds,
        "1@t1 is committed, as n1 knows, and only 1 of the 2 nodes needed have it",
    );
    let mut law = seen(&[node(N2, 1, &[1]), commits(leader(N1, 1, &[1]), 1)]).unwrap();
    refused(
        law.restarted(&node(N2, 1, &[])),
        Property::QuorumHolds,
        "1@t1 is committed, as n2 knows, and only 1 of the 2 nodes needed have it",
    );
}

#[test]
fn what_a_node_did_not_know_to_be_committed_it_may_drop_if_a_quorum_is_left() {
    let mut overwritten = node(N3, 2, &[1]);
    overwritten.log.replace(Suffix::new(EntryId::default(), entries(1, &[2])).unwrap());
    let held = [node(N3, 1, &[1]), node(N2, 1, &[1]), commits(leader(N1, 1, &[1]), 1)];
    assert!(seen(&[held.as_slice(), &[overwritten.clone()]].concat()).is_ok());
    refused(
        seen(&[&held[..1], &held[2..], &[overwritten]].concat()),
        Property::QuorumHolds,
        "1@t1 is committed, as n3 knows, and only 1 of the 2 nodes needed have it",
    );
}

#[test]
fn no_way_back() {
    let voted = |vote| {
        let mut node = node(N1, 3, &[1]);
        node.hard.vote = Some(vote);
        node
    };
    let held = node(N2, 3, &[1]);
    for (steps, sentence) in [
        (vec![node(N1, 3, &[1]), node(N1, 2, &[1])], "n1 went back from t3 to t2"),
        (vec![voted(N2), voted(N3)], "n1@t3 had voted for n2, and now has a vote for n3"),
        (vec![voted(N2), node(N1, 3, &[1])], "n1@t3 had voted for n2, and now has no vote"),
        (
            vec![held, commits(node(N1, 3, &[1]), 1), node(N1, 3, &[1])],
            "the commit index of n1 went back from 1 to 0",
        ),
        (vec![commits(node(N1, 3, &[1]), 2)], "n1 has committed up to 2, and its log ends with 1@t1"),
    ] {
        refused(seen(&steps), Property::NoWayBack, sentence);
    }
    assert!(seen(&[voted(N2), node(N1, 4, &[1])]).is_ok(), "a new term has a vote of its own");
}

#[test]
fn applied_in_order() {
    let committed = [node(N2, 1, &[1, 1]), commits(leader(N1, 1, &[1, 1]), 2)];
    let both = entries(1, &[1, 1]);
    for (order, sentence) in [
        ([0, 0], "n1 executes 1@t1 when it is the turn of 2"),
        ([1, 0], "n1 executes 2@t1 when it is the turn of 1"),
    ] {
        let mut law = seen(&committed).unwrap();
        let verdict = order.into_iter().try_for_each(|which| law.applied(N1, &both[which]));
        refused(verdict, Property::AppliedInOrder, sentence);
    }
    let mut law = seen(&committed).unwrap();
    law.applied(N1, &both[0]).unwrap();
    law.restarted(&node(N1, 1, &[1, 1])).unwrap();
    assert_eq!(law.applied(N1, &both[0]), Ok(()), "a restart begins again");
}

/// What is said of n1, with a log of one entry in term 3, that says this and then restarts as `then`.
fn said(messages: &[Message], then: &Raft) -> Result<(), Violation> {
    let mut law = seen(&[node(N1, 3, &[1])])?;
    for (message, to) in messages.iter().zip([N2, N3]) {
        law.sent(&Envelope { from: N1, to, term: Term(3), message: message.clone() })?;
    }
    law.restarted(then)
}

#[test]
fn promises_kept() {
    let vote = || Message::Vote { granted: true };
    let acknowledgement = |upto| Message::Matched { upto: Index(upto) };
    let heard = || Message::HeartbeatReply { round: 1 };
    let mut voted = node(N1, 3, &[1]);
    voted.hard.vote = Some(N2);
    assert_eq!(said(&[vote()], &voted), Ok(()));
    assert_eq!(said(&[vote()], &node(N1, 4, &[1])), Ok(()), "its disk may know more");
    assert_eq!(said(&[acknowledgement(1)], &node(N1, 3, &[1])), Ok(()));
    for (messages, then, sentence) in [
        (vec![vote(), vote()], node(N1, 3, &[1]), "n1 gave its vote in t3 to n2, and gives it to n3"),
        (vec![vote()], node(N1, 3, &[1]), "n1 gave its vote in t3 to n2, and has no vote after its restart"),
        (vec![heard()], node(N1, 2, &[1]), "n1 spoke in t3, and is in t2 after its restart"),
        (
            vec![acknowledgement(1)],
            node(N1, 3, &[]),
            "n1 acknowledged 1@t1, and does not have it after its restart",
        ),
        (vec![acknowledgement(2)], node(N1, 3, &[1]), "n1 acknowledges 2, and its log ends with 1@t1"),
    ] {
        refused(said(&messages, &then), Property::PromisesKept, sentence);
    }
}

#[test]
fn what_a_later_leader_had_overwritten_is_promised_no_more() {
    let mut law = seen(&[node(N1, 3, &[1])]).unwrap();
    let acknowledgement = Message::Matched { upto: Index(1) };
    law.sent(&Envelope { from: N1, to: N2, term: Term(3), message: acknowledgement }).unwrap();
    let mut overwritten = node(N1, 4, &[1]);
    overwritten.log.replace(Suffix::new(EntryId::default(), entries(1, &[4])).unwrap());
    law.observe(&overwritten).unwrap();
    assert_eq!(law.restarted(&node(N1, 4, &[])), Ok(()));
}

#[test]
fn a_lost_disk_takes_its_promises_with_it() {
    let mut law = seen(&[node(N1, 3, &[1])]).unwrap();
    let vote = Message::Vote { granted: true };
    law.sent(&Envelope { from: N1, to: N2, term: Term(3), message: vote }).unwrap();
    law.lost_disk(N1);
    assert_eq!(law.restarted(&node(N1, 0, &[])), Ok(()));
}

#[test]
fn reads_are_current() {
    let mut law = seen(&[node(N2, 1, &[1]), commits(leader(N1, 1, &[1]), 1)]).unwrap();
    let read = |seq| RequestId { session: SessionId(1), seq };
    law.asked(read(1));
    law.asked(read(2));
    assert_eq!(law.answered(N1, &Answer::ReadAt { id: read(1), index: Index(1) }), Ok(()));
    refused(
        law.answered(N1, &Answer::ReadAt { id: read(2), index: Index(0) }),
        Property::ReadsAreCurrent,
        "n1 lets read 1-2 be answered at 0, and 1 was committed before it was asked",
    );
}

#[test]
fn terms_are_granted() {
    let candidate = |term: u64| {
        let mut node = node(N1, term, &[]);
        node.hard.vote = Some(N1);
        node
    };
    let consent = |term: u64| {
        let message = Message::PreVote { granted: true };
        Envelope { from: N2, to: N1, term: Term(term), message }
    };
    let mut law = seen(&[node(N1, 3, &[])]).unwrap();
    law.sent(&consent(3)).unwrap();
    assert_eq!(law.observe(&candidate(4)), Ok(()), "n2 said so");
    law.sent(&consent(3)).unwrap();
    refused(
        law.observe(&candidate(5)),
        Property::TermsAreGranted,
        "n1 opens t5, and only 1 of the 2 nodes needed said that it would win",
    );
}

#[test]
fn a_log_that_was_written_to_often_between_two_looks_is_read_again() {
    let mut law = seen(&[node(N1, 1, &[1, 1])]).unwrap();
    let mut later = node(N1, 9, &[1, 1]);
    for term in 2..9 {
        later.log.replace(Suffix::new(EntryId::default(), entries(1, &[term, term])).unwrap());
    }
    law.observe(&later).unwrap();
    assert_eq!(law.nodes[&N1].log, [EntryId::new(1, 8), EntryId::new(2, 8)]);
}

#[test]
fn once_broken_the_answer_stays() {
    let mut law = seen(&[leader(N1, 3, &[])]).unwrap();
    law.observe(&node(N2, 3, &[])).unwrap();
    let first = law.observe(&leader(N2, 3, &[]));
    assert!(first.is_err());
    assert_eq!(law.observe(&node(N3, 3, &[])), first);
}
