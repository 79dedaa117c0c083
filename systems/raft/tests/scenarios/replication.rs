//! Logs (§5.3, §5.4): how they come to agree, and what of them is committed.

use std::collections::BTreeMap;

use raft::script::Cluster;
use raft::{
    Answer, Checkpoint, Config, Diverged, EntryId, Index, Input, Log, Membership, Message, NodeId, Now,
    Output, Proposal, Raft, Refusal, Request, RequestId, Restored, SessionId, Suffix, Voters, Wanted,
};

use crate::{LATER, beat, begin_with, elect, entries, running, said, terms};

/// A leader of t8 as in Figure 7, and the followers that could be there with it.
const LEADER: &[u64] = &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
const FOLLOWERS: [(&str, &[u64]); 6] = [
    ("a", &[1, 1, 1, 4, 4, 5, 5, 6, 6]),
    ("b", &[1, 1, 1, 4]),
    ("c", &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]),
    ("d", &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]),
    ("e", &[1, 1, 1, 4, 4, 4, 4]),
    ("f", &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]),
];

#[test]
fn the_followers_of_figure_7_come_to_agree_with_their_leader() {
    for append in [1, 1 << 20] {
        let mut cluster = Cluster::new(7, move |config| config.append_bytes = append);
        begin_with(&mut cluster, NodeId(1), 7, LEADER);
        for ((_, log), id) in FOLLOWERS.into_iter().zip(2..) {
            begin_with(&mut cluster, NodeId(id), 7, log);
        }
        // c and d have the better logs, and vote against it. The other four are enough.
        elect(&mut cluster, NodeId(1));
        beat(&mut cluster, NodeId(1));
        let all: Vec<u64> = LEADER.iter().copied().chain([8]).collect();
        for (name, id) in ["leader", "a", "b", "c", "d", "e", "f"].into_iter().zip(1..) {
            assert_eq!(terms(&cluster, NodeId(id)), all, "{name}");
            assert_eq!(running(&cluster, NodeId(id)).commit(), Index(11), "{name}");
        }
    }
}

/// Each follower of Figure 7 alone with the leader and one that agrees: it takes few questions to find where they part.
#[test]
fn a_question_skips_a_whole_term() {
    for (name, log) in FOLLOWERS {
        let mut cluster = Cluster::new(3, |_| {});
        begin_with(&mut cluster, NodeId(1), 7, LEADER);
        begin_with(&mut cluster, NodeId(2), 7, LEADER);
        begin_with(&mut cluster, NodeId(3), 7, log);
        cluster.sent = Some(Vec::new());
        elect(&mut cluster, NodeId(1));
        beat(&mut cluster, NodeId(1));
        let refused = cluster.sent.take().unwrap();
        let refused = refused.iter().filter(|line| line.starts_with("n3@t8") && line.contains("Diverged"));
        assert!(refused.count() <= 2, "{name}");
        assert_eq!(terms(&cluster, NodeId(3)), terms(&cluster, NodeId(1)), "{name}");
    }
}

#[test]
fn a_thousand_entries_of_a_lost_term_are_skipped_at_once() {
    let mut cluster = Cluster::new(3, |_| {});
    let [mut ours, mut theirs] = [[1; 10].to_vec(), [1; 10].to_vec()];
    ours.extend([4; 2000]);
    theirs.extend([2; 500]);
    theirs.extend([3; 500]);
    begin_with(&mut cluster, NodeId(1), 4, &ours);
    begin_with(&mut cluster, NodeId(2), 4, &ours);
    begin_with(&mut cluster, NodeId(3), 4, &theirs);
    cluster.sent = Some(Vec::new());
    elect(&mut cluster, NodeId(1));
    beat(&mut cluster, NodeId(1));
    let sent = cluster.sent.take().unwrap();
    assert!(sent.iter().filter(|line| line.contains("Diverged")).count() <= 3);
    assert_eq!(terms(&cluster, NodeId(3)), terms(&cluster, NodeId(1)));
}

/// A follower of n2 in t3, whose log is of these terms.
fn follower(log: &[u64]) -> (Raft, Now) {
    let members = Membership::of([1, 2, 3].map(NodeId));
    let suffix = Suffix::new(EntryId::default(), entries(log)).unwrap();
    let log = Log::new(Checkpoint::genesis(members), suffix).unwrap();
    let restored = Restored { log, ..Restored::default() };
    let mut raft = Raft::restart(Config::new(NodeId(1)), restored, Now::default(), &mut Output::default());
    raft.step(
        Now::default(),
        said(2, 1, 3, Message::Heartbeat { round: 1, commit: Index(0) }),
        &mut Output::default(),
    );
    (raft, Now::default())
}

/// The entries with these terms, from an index on.
fn append(before: u64, index: u64, of: &[u64], commit: u64) -> Message {
    let list = entries(&[&vec![9; usize::try_from(index).unwrap()][..], of].concat());
    let new = list.into_iter().skip(usize::try_from(index).unwrap()).collect();
    let suffix = Suffix::new(EntryId::new(index, before), new).unwrap();
    Message::Append { suffix, commit: Index(commit) }
}

#[test]
fn an_append_is_joined_where_the_logs_agree_and_refused_where_they_do_not() {
    // What the follower has; what comes after which entry; what it has then, and how far it agrees, if it does.
    type Case = (&'static [u64], (u64, u64), &'static [u64], &'static [u64], Option<u64>);
    let cases: [Case; 12] = [
        (&[], (0, 0), &[1], &[1], Some(1)),
        (&[], (0, 0), &[], &[], Some(0)),
        (&[1, 2], (2, 2), &[3], &[1, 2, 3], Some(3)),
        // A part of what is there, once more: nothing is shortened.
        (&[1, 2, 2], (0, 0), &[1], &[1, 2, 2], Some(1)),
        (&[1, 2, 2], (1, 1), &[], &[1, 2, 2], Some(1)),
        (&[1, 2, 2], (1, 1), &[2], &[1, 2, 2], Some(2)),
        // What contradicts goes, with all behind it.
        (&[1, 2, 2], (1, 1), &[3], &[1, 3], Some(2)),
        (&[1, 1, 1], (0, 0), &[2, 2], &[2, 2], Some(2)),
        (&[1, 2, 2], (1, 1), &[2, 3], &[1, 2, 3], Some(3)),
        // Nothing to join.
        (&[1, 2], (3, 2), &[3], &[1, 2], None),
        (&[1, 1], (2, 2), &[3], &[1, 1], None),
        (&[], (1, 1), &[1], &[], None),
    ];
    for (has, (index, term), comes, then, agrees) in cases {
        let (mut raft, now) = follower(has);
        let mut out = Output::default();
        raft.step(now, said(2, 1, 3, append(term, index, comes, 0)), &mut out);
        let log: Vec<u64> =
            raft.log().between(Index(0), raft.log().last().index).iter().map(|e| e.id.term.0).collect();
        assert_eq!(log, then, "{has:?} gets {comes:?} after {index}@t{term}");
        let answers = || out.send_now.iter().chain(&out.send_after);
        let matched = answers().find_map(|sent| match sent.message {
            Message::Matched { upto } => Some(upto.0),
            _ => None,
        });
        let refused = answers().any(|sent| matches!(sent.message, Message::Diverged { .. }));
        assert_eq!(
            (matched, refused),
            (agrees, agrees.is_none()),
            "{has:?} gets {comes:?} after {index}@t{term}"
        );
    }
}

/// What is committed is what is known to agree, however far the leader says that it is.
#[test]
fn a_follower_commits_no_further_than_its_log_is_known_to_agree() {
    for (has, (index, term), comes, commit, then) in [
        (&[1, 1, 1][..], (1, 1), &[][..], 3, 1),
        (&[1, 1, 1], (1, 1), &[1], 3, 2),
        (&[1, 1, 1], (3, 1), &[], 2, 2),
        (&[1, 1, 1], (3, 1), &[3], 9, 4),
    ] {
        let (mut raft, now) = follower(has);
        raft.step(now, said(2, 1, 3, append(term, index, comes, commit)), &mut Output::default());
        assert_eq!(
            raft.commit(),
            Index(then),
            "{has:?} gets {comes:?} after {index}@t{term}, commit {commit}"
        );
    }
}

#[test]
fn a_majority_has_reached_what_counting_says() {
    for nodes in 1..=5_u16 {
        for number in 0..4_u32.pow(u32::from(nodes)) {
            let matched: BTreeMap<NodeId, u32> = (0..nodes)
                .map(|place| (NodeId(place + 1), number / 4_u32.pow(u32::from(place)) % 4))
                .collect();
            let counted = (0..4).rev().find(|upto| {
                2 * matched.values().filter(|reached| *reached >= upto).count() > usize::from(nodes)
            });
            let voters = Voters::new(matched.keys().copied());
            assert_eq!(Some(voters.reached(|id| matched[&id])), counted, "{matched:?}");
        }
    }
}

fn wants(seq: u64, length: usize) -> Proposal {
    let id = RequestId { session: SessionId(1), seq };
    Proposal { request: Request { id, floor: 1 }, wanted: Wanted::Command(vec![0; length].into()) }
}

#[test]
fn what_is_uncommitted_has_a_limit_and_an_entry_too() {
    let mut cluster = Cluster::new(3, |config| {
        config.uncommitted_bytes = 1000;
        config.entry_bytes = 800;
    });
    elect(&mut cluster, NodeId(1));
    let refused = |cluster: &mut Cluster| {
        let answers = cluster.answers.drain(..);
        answers
            .filter_map(|(_, answer)| match answer {
                Answer::Refused { id, why } => Some((id.seq, why)),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    cluster.isolate(NodeId(1));
    for seq in 1..=4 {
        cluster.step(NodeId(1), Input::Propose(vec![wants(seq, 700)]));
    }
    assert_eq!(refused(&mut cluster), [(3, Refusal::Full), (4, Refusal::Full)]);
    // They are committed, and there is room again; for what is too large there never is.
    cluster.mail.clear();
    cluster.cut.clear();
    beat(&mut cluster, NodeId(1));
    beat(&mut cluster, NodeId(1));
    cluster.step(NodeId(1), Input::Propose(vec![wants(5, 700), wants(6, 900)]));
    assert_eq!(refused(&mut cluster), [(6, Refusal::TooLarge)]);
}

#[test]
fn what_is_asked_together_is_sent_together_and_written_together() {
    let mut cluster = Cluster::new(3, |_| {});
    elect(&mut cluster, NodeId(1));
    beat(&mut cluster, NodeId(1));
    let mut leader = running(&cluster, NodeId(1)).clone();
    let mut out = Output::default();
    leader.step(cluster.now, Input::Propose((1..=10).map(|seq| wants(seq, 10)).collect()), &mut out);
    assert_eq!((out.persist.len(), out.send_now.len()), (1, 2));
    for sent in out.send_now {
        assert!(matches!(sent.message, Message::Append { suffix, .. } if suffix.entries().len() == 10));
    }
}

/// Three nodes, of which n1 leads. n3 has acknowledged three commands, and then its disk of before is put back.
fn with_a_disk_of_an_older_day() -> Cluster {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.tolerant = true;
    elect(&mut cluster, NodeId(1));
    beat(&mut cluster, NodeId(1));
    let old = cluster.nodes[&NodeId(3)].log.clone();
    for word in ["apple", "pear", "plum"] {
        cluster.propose(NodeId(1), word);
        cluster.settle();
    }
    cluster.crash(NodeId(3));
    cluster.nodes.get_mut(&NodeId(3)).unwrap().log = old;
    cluster.start(NodeId(3));
    cluster
}

/// A disk of last week is put back. Whoever counted on that disk says so with its next heartbeat, and the node stops.
#[test]
fn a_node_with_a_disk_of_an_older_day_is_fenced_with_a_reason() {
    let mut cluster = with_a_disk_of_an_older_day();
    assert_eq!(running(&cluster, NodeId(3)).log().last(), EntryId::new(1, 1));
    beat(&mut cluster, NodeId(1));
    let why = Diverged::Forgotten { leader: NodeId(1), acknowledged: Index(4), last: Index(1) };
    assert_eq!(cluster.halted, Some((NodeId(3), why.clone())));
    let said = "n1 counts on 4, which this node acknowledged, but its log ends at 1";
    assert_eq!(why.to_string(), said);
    cluster.propose(NodeId(1), "fig");
    beat(&mut cluster, NodeId(1));
    assert_eq!(running(&cluster, NodeId(2)).commit(), Index(5), "the others go on");
}

/// What was acknowledged and is not committed was promised to nobody. It must not be counted on and missing.
#[test]
fn who_forgot_what_is_not_committed_is_fenced_once_it_is() {
    let mut cluster = Cluster::new(5, |_| {});
    cluster.tolerant = true;
    elect(&mut cluster, NodeId(1));
    beat(&mut cluster, NodeId(1));
    let old = cluster.nodes[&NodeId(3)].log.clone();
    for away in [2, 4, 5] {
        cluster.isolate(NodeId(away));
    }
    cluster.propose(NodeId(1), "apple");
    cluster.settle();
    cluster.crash(NodeId(3));
    cluster.nodes.get_mut(&NodeId(3)).unwrap().log = old;
    cluster.start(NodeId(3));
    beat(&mut cluster, NodeId(1));
    assert_eq!((running(&cluster, NodeId(1)).commit(), &cluster.halted), (Index(1), &None));
    cluster.cut.clear();
    beat(&mut cluster, NodeId(1));
    beat(&mut cluster, NodeId(1));
    let why = Diverged::Forgotten { leader: NodeId(1), acknowledged: Index(2), last: Index(1) };
    assert_eq!(cluster.halted, Some((NodeId(3), why)));
}

/// Who leads later was acknowledged nothing: it brings such a disk up to date like any other, and nobody stops.
#[test]
fn a_disk_of_an_older_day_does_not_bring_anybody_down() {
    let mut cluster = with_a_disk_of_an_older_day();
    cluster.isolate(NodeId(1));
    cluster.advance(LATER);
    elect(&mut cluster, NodeId(2));
    beat(&mut cluster, NodeId(2));
    assert_eq!(cluster.leader(), Some(NodeId(2)));
    assert_eq!(terms(&cluster, NodeId(3)), terms(&cluster, NodeId(2)));
    cluster.cut.clear();
    beat(&mut cluster, NodeId(2));
    assert_eq!(cluster.halted, None);
}
