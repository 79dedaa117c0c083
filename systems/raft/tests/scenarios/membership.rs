//! Members (§6): what a change comes to, wherever it is interrupted.

use std::collections::BTreeSet;

use raft::script::Cluster;
use raft::{Answer, Change, Membership, NodeId, Refusal, Role, Timer, Unchanged};

use crate::{LATER, beat, elect, running};

const ID: [NodeId; 6] = [NodeId(0), NodeId(1), NodeId(2), NodeId(3), NodeId(4), NodeId(5)];

/// n1 leads n2 and n3, and n4 and n5 learn.
fn with_two_learners() -> Cluster {
    let mut cluster = Cluster::new(3, |_| {});
    elect(&mut cluster, ID[1]);
    cluster.change(ID[1], vec![learner(), learner()]);
    cluster.join(ID[4]);
    cluster.join(ID[5]);
    cluster.settle();
    beat(&mut cluster, ID[1]);
    cluster
}

fn learner() -> Change {
    Change::AddLearner { context: "there".into() }
}

/// n2 and n3 leave, n4 and n5 take their places.
fn swap() -> Vec<Change> {
    vec![Change::Promote(ID[4]), Change::Promote(ID[5]), Change::Remove(ID[2]), Change::Remove(ID[3])]
}

/// Delivers so many messages, if there are so many.
fn deliver(cluster: &mut Cluster, count: usize) {
    for _ in 0..count {
        if let Some(envelope) = cluster.mail.pop_front() {
            cluster.deliver(envelope);
        }
    }
}

/// Everybody tries to lead, in turn, until somebody does and commits something new.
fn recover(cluster: &mut Cluster) -> NodeId {
    cluster.cut.clear();
    cluster.settle();
    for round in 0..30 {
        if let Some(leader) = cluster.leader() {
            let before = running(cluster, leader).log().last().index;
            cluster.propose(leader, "x");
            for _ in 0..3 {
                if cluster.leader() == Some(leader) {
                    beat(cluster, leader);
                }
            }
            let raft = running(cluster, leader);
            if raft.role() == Role::Leader && raft.commit() > before && !raft.membership().is_joint() {
                return leader;
            }
        }
        elect(cluster, ID[round % 5 + 1]);
    }
    panic!("nobody leads")
}

fn voters(membership: &Membership) -> BTreeSet<NodeId> {
    membership.voters().iter().collect()
}

#[test]
fn whenever_the_leader_dies_in_a_joint_change_the_members_are_the_old_or_the_new() {
    let mut ends = BTreeSet::new();
    for count in 0..60 {
        for comes_back in [false, true] {
            let mut cluster = with_two_learners();
            cluster.change(ID[1], swap());
            deliver(&mut cluster, count);
            cluster.crash(ID[1]);
            if comes_back {
                cluster.start(ID[1]);
            } else {
                // What it said last is lost with it.
                cluster.mail.clear();
            }
            let leader = recover(&mut cluster);
            let members = voters(running(&cluster, leader).membership());
            let old = BTreeSet::from([ID[1], ID[2], ID[3]]);
            let new = BTreeSet::from([ID[1], ID[4], ID[5]]);
            assert!(members == old || members == new, "after {count} messages: {members:?}");
            ends.insert(members);
        }
    }
    assert_eq!(ends.len(), 2, "both ends are met");
}

#[test]
fn whenever_power_is_lost_everywhere_in_a_joint_change_the_members_are_the_old_or_the_new() {
    for count in 0..60 {
        let mut cluster = with_two_learners();
        cluster.change(ID[1], swap());
        deliver(&mut cluster, count);
        cluster.mail.clear();
        for id in &ID[1..] {
            cluster.crash(*id);
        }
        for id in &ID[1..] {
            cluster.start(*id);
        }
        let leader = recover(&mut cluster);
        assert_eq!(voters(running(&cluster, leader).membership()).len(), 3);
    }
}

/// Both majorities must be there, or nobody is elected and nothing is committed.
#[test]
fn a_joint_membership_needs_a_majority_of_each_set() {
    for down in 0..16_u16 {
        let mut cluster = with_two_learners();
        cluster.change(ID[1], swap());
        // Everybody has the joint membership, and nobody knows that.
        deliver(&mut cluster, 4);
        cluster.mail.clear();
        cluster.crash(ID[1]);
        cluster.start(ID[1]);
        let down: BTreeSet<NodeId> =
            ID[2..].iter().copied().filter(|id| down & (1 << (id.0 - 2)) != 0).collect();
        for id in &down {
            cluster.crash(*id);
        }
        elect(&mut cluster, ID[1]);
        let some = |one, other| !(down.contains(&ID[one]) && down.contains(&ID[other]));
        assert_eq!(cluster.leader().is_some(), some(2, 3) && some(4, 5), "without {down:?}");
    }
}

#[test]
fn wherever_a_transfer_is_interrupted_somebody_takes_writes_in_again() {
    for count in 0..20 {
        for lost in [1, 2] {
            let mut cluster = with_two_learners();
            cluster.transfer(ID[1], Some(ID[2]));
            deliver(&mut cluster, count);
            cluster.mail.clear();
            cluster.crash(ID[lost]);
            cluster.timeout(ID[1], Timer::Transfer);
            for _ in 0..2 {
                cluster.advance(LATER);
                cluster.timeout(ID[1], Timer::Election);
            }
            recover(&mut cluster);
            let answered = |answer: &Answer| {
                matches!(
                    answer,
                    Answer::Transferred { .. } | Answer::Refused { why: Refusal::Untransferred, .. }
                )
            };
            let heard = cluster.answers.iter().filter(|(_, answer)| answered(answer)).count();
            assert!(heard == 1 || lost == 1, "who asked hears once how it ended");
        }
    }
}

/// What a leader answered last.
fn refused(cluster: &mut Cluster) -> Option<Refusal> {
    match cluster.answers.pop() {
        Some((_, Answer::Refused { why, .. })) => Some(why),
        _ => None,
    }
}

#[test]
fn a_learner_is_made_a_voter_once_it_has_nearly_everything() {
    let mut cluster = Cluster::new(3, |config| config.catch_up = 3);
    elect(&mut cluster, ID[1]);
    cluster.change(ID[1], vec![learner()]);
    cluster.settle();
    for word in ["a", "b", "c", "d"] {
        cluster.propose(ID[1], word);
        cluster.settle();
    }
    cluster.change(ID[1], vec![Change::Promote(ID[4])]);
    assert_eq!(refused(&mut cluster), Some(Unchanged::Behind(ID[4]).into()));
    cluster.join(ID[4]);
    beat(&mut cluster, ID[1]);
    beat(&mut cluster, ID[1]);
    cluster.change(ID[1], vec![Change::Promote(ID[4])]);
    assert_eq!(refused(&mut cluster), None);
    cluster.settle();
    assert!(running(&cluster, ID[4]).membership().votes(ID[4]));
}

#[test]
fn whoever_is_described_anew_stays_what_he_was() {
    let mut cluster = with_two_learners();
    for node in [ID[1], ID[4]] {
        let before = running(&cluster, ID[1]).membership().clone();
        cluster.change(ID[1], vec![Change::Describe { node, context: "elsewhere".into() }]);
        cluster.settle();
        beat(&mut cluster, ID[1]);
        for id in &ID[1..] {
            let after = running(&cluster, *id).membership();
            assert_eq!((after.voters(), after.learners()), (before.voters(), before.learners()));
            assert_eq!(after.context(node).map(|context| &context[..]), Some(&b"elsewhere"[..]));
        }
    }
}
