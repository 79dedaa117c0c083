//! Snapshots in the box: logs that do not grow for ever, followers that were away too long, disks that are full
//! or rot, and a new cluster from what a lost one left.

use std::collections::BTreeSet;
use std::time::Duration;

use raft::{Envelope, Index, Membership, Message, NodeId, Now, RequestId, SessionId};
use replica::recover::PlantError;
use replica::{Config, Effects, Event, Outcome, Replica, Salvaged, Timer};
use wal::{Identity, MemoryDisk};

use crate::{Box3, Journal, N1, N2, N3, done};

/// The whole journal as a client sees it who is answered last.
fn lines(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|line| format!("line {line}")).collect()
}

impl Box3 {
    fn write_lines(&mut self, id: NodeId, from: usize, to: usize) {
        for line in lines(from, to) {
            let call = self.write(id, &line);
            self.settle();
            assert!(matches!(self.outcome(call), Some(Outcome::Done(_))), "{:?}", self.outcome(call));
        }
    }

    fn files(&self, id: NodeId, kind: &str) -> Vec<String> {
        self.disks[&id].image().into_keys().filter(|name| name.contains(kind)).collect()
    }

    /// Lets a follower come back and get what it lacks.
    fn catch_up(&mut self, leader: NodeId) {
        self.cut.clear();
        for _ in 0..40 {
            self.advance(Duration::from_millis(200));
            self.heartbeat(leader);
            for id in [N1, N2, N3] {
                self.step(id, Event::Timer(Timer::Fetch));
            }
            self.settle();
        }
    }

    /// Without the power everywhere, and back again.
    fn restart_all(&mut self) {
        self.mail.clear();
        for id in [N1, N2, N3] {
            self.crash(id);
        }
        for id in [N1, N2, N3] {
            self.start(id);
        }
    }
}

#[test]
fn a_log_with_snapshots_does_not_grow_for_ever_and_nothing_is_lost_with_it() {
    let mut world = Box3::with_snapshots(10);
    world.elect(N1);
    world.write_lines(N1, 0, 60);
    world.heartbeat(N1);
    for id in [N1, N2, N3] {
        let status = world.replica(id).status();
        assert!(status.snapshot > Index(45) && status.base > Index(40), "{id}: {status:?}");
        assert_eq!(world.files(id, ".snap").len(), 1, "{id}");
        assert!(world.files(id, ".part").is_empty(), "{id}");
        assert!(!world.files(id, ".seg").contains(&"00000001.seg".to_owned()), "{id}");
    }
    world.restart_all();
    assert!(world.journal(N2).len() > 40, "the state is there before anybody leads");
    world.elect(N2);
    world.write_lines(N2, 60, 61);
    world.heartbeat(N2);
    for id in [N1, N2, N3] {
        assert_eq!(world.journal(id), lines(0, 61), "{id}");
    }
}

#[test]
fn a_follower_that_was_away_too_long_comes_back_by_snapshot() {
    let mut world = Box3::with_snapshots(10);
    world.elect(N1);
    world.write_lines(N1, 0, 5);
    world.isolate(N3);
    world.write_lines(N1, 5, 80);
    world.catch_up(N1);
    assert!(world.sent.iter().any(|envelope| matches!(envelope.message, Message::Piece { .. })));
    assert_eq!(world.journal(N3), lines(0, 80));
    assert!(world.replica(N3).status().base > Index(50));
    world.write_lines(N1, 80, 85);
    world.restart_all();
    world.elect(N3);
    assert_eq!(world.journal(N3), lines(0, 85), "what it acknowledged it has");
}

#[test]
fn pieces_that_are_lost_repeated_or_out_of_order_do_no_harm() {
    let mut world = Box3::with_snapshots(10);
    world.elect(N1);
    world.isolate(N3);
    world.write_lines(N1, 0, 80);
    world.cut.clear();
    world.mail.clear();
    let mut pieces: Vec<Envelope> = Vec::new();
    for _ in 0..400 {
        world.advance(Duration::from_millis(50));
        world.step(N1, Event::Timer(Timer::Raft(raft::Timer::Heartbeat)));
        world.step(N3, Event::Timer(Timer::Fetch));
        while let Some(envelope) = world.mail.pop_front() {
            if matches!(envelope.message, Message::Piece { .. }) {
                pieces.push(envelope.clone());
                // Every third is lost; with each that is not, old ones come again, the latest first.
                if pieces.len().is_multiple_of(3) {
                    continue;
                }
                for old in pieces.iter().rev().skip(1).take(5) {
                    world.step(old.to, Event::Peer(old.clone()));
                }
            }
            world.step(envelope.to, Event::Peer(envelope));
            for id in [N1, N2, N3] {
                while let Some((ticket, result)) = world.disks[&id].run_one() {
                    world.step(id, Event::Disk(ticket, result));
                }
            }
        }
    }
    world.catch_up(N1);
    assert!(pieces.len() > 3, "{} pieces", pieces.len());
    assert_eq!(world.journal(N3), lines(0, 80));
    assert!(world.halts.is_empty());
}

/// A client's session, and what it was answered, survive a snapshot: asked again, the request is not executed again,
/// neither by who restarts nor by who took on the snapshot of another.
#[test]
fn exactly_once_survives_a_snapshot() {
    let mut world = Box3::with_snapshots(10);
    world.elect(N1);
    let session = SessionId(77);
    let request = |seq| Some(RequestId { session, seq });
    world.isolate(N3);
    world.write_as(N1, request(1), "opens");
    world.settle();
    let first = world.write_as(N1, request(2), "once");
    world.settle();
    assert_eq!(world.outcome(first), Some(&done(&["opens", "once"])));
    world.write_lines(N1, 0, 40);
    world.catch_up(N1);
    world.restart_all();
    world.elect(N3);
    let again = world.write_as(N3, request(2), "once");
    world.settle();
    assert_eq!(world.outcome(again), Some(&done(&["opens", "once"])), "the very answer of then");
    let once = world.journal(N3).iter().filter(|line| **line == "once").count();
    assert_eq!(once, 1);
    assert_eq!(world.journal(N1), world.journal(N3));
}

#[test]
fn a_full_disk_costs_a_snapshot_and_not_the_node() {
    let mut world = Box3::with_segments(10, 64 << 10);
    world.elect(N1);
    world.write_lines(N1, 0, 4);
    let used: usize = world.disks[&N2].image().values().map(Vec::len).sum();
    // Room for the log's next writes, which are in place, and for a few bytes of a snapshot.
    world.disks[&N2].set_capacity(used as u64 + 40);
    let before = world.replica(N2).status().snapshot;
    world.write_lines(N1, 4, 9);
    world.heartbeat(N1);
    world.disks[&N2].set_capacity(u64::MAX);
    assert!(world.halts.is_empty(), "{:?}", world.halts);
    assert_eq!((before, world.replica(N2).status().snapshot), (Index(0), Index(0)));
    assert!(world.replica(N1).status().snapshot > Index(0), "it was time for one");
    world.write_lines(N1, 9, 30);
    world.heartbeat(N1);
    assert!(world.replica(N2).status().snapshot > Index(0), "tried again");
    assert_eq!(world.journal(N2), lines(0, 30));
}

/// The disk of the leader damages its snapshot while it runs. Its state is sound: whoever fetches gets another.
#[test]
fn a_snapshot_that_rots_under_a_leader_is_taken_anew_for_who_needs_it() {
    let mut behind = BTreeSet::new();
    for count in 78..88 {
        let mut world = Box3::with_snapshots(10);
        world.elect(N1);
        world.isolate(N3);
        world.write_lines(N1, 0, count);
        let status = world.replica(N1).status();
        behind.insert(status.applied.0 - status.snapshot.0);
        let snapshot = world.files(N1, ".snap").pop().unwrap();
        let middle = world.disks[&N1].contents(&snapshot).unwrap().len() / 2;
        world.disks[&N1].flip(&snapshot, 8 * middle);
        world.catch_up(N1);
        assert_eq!(world.journal(N3), lines(0, count));
        assert_eq!(world.files(N1, ".snap").len(), 1);
        assert!(world.halts.is_empty(), "{:?}", world.halts);
        world.restart_all();
        world.elect(N3);
        assert_eq!(world.journal(N1), lines(0, count), "what is on every disk is sound");
    }
    assert!(behind.contains(&0), "where nothing was executed since, the new one has the name of the old");
}

/// Who had the newest snapshot is gone for good in the middle of giving it; who leads next has an older one.
#[test]
fn a_fetch_that_nobody_can_finish_gives_way_to_an_older_snapshot() {
    let mut world = Box3::with_snapshots(10);
    world.elect(N1);
    world.isolate(N3);
    world.write_lines(N1, 0, 80);
    // From now on N2 takes snapshots rarely.
    world.crash(N2);
    world.every = 1000;
    world.start(N2);
    world.heartbeat(N1);
    world.write_lines(N1, 80, 95);
    let newest = |id| world.replica(id).status().snapshot;
    assert!(newest(N2) < newest(N1) && newest(N2) > Index(50));
    // N3 has one piece of what N1 has when N1 dies.
    world.cut.clear();
    world.step(N1, Event::Timer(Timer::Raft(raft::Timer::Heartbeat)));
    let has_piece =
        |world: &Box3| world.sent.iter().any(|sent| matches!(sent.message, Message::Piece { .. }));
    while !has_piece(&world) {
        let envelope = world.mail.pop_front().expect("an offer, a question and an answer");
        world.step(envelope.to, Event::Peer(envelope));
        for id in [N1, N2, N3] {
            while let Some((ticket, result)) = world.disks[&id].run_one() {
                world.step(id, Event::Disk(ticket, result));
            }
        }
    }
    world.crash(N1);
    world.settle();
    world.elect(N2);
    world.catch_up(N2);
    assert_eq!(world.journal(N3), lines(0, 95));
}

#[test]
fn a_new_cluster_begins_with_all_that_a_survivor_has() {
    let mut world = Box3::with_snapshots(4);
    world.elect(N1);
    world.write_lines(N1, 0, 9);
    // One more that nobody else hears of. Whether it was acknowledged, a survivor cannot know.
    world.cut.extend([(N1, N2), (N1, N3)]);
    world.write(N1, "alone");
    world.settle();
    let known = world.replica(N1).machine().0.clone();
    assert!(!known.contains(&"alone".to_owned()));
    let session = world.replica(N1).sessions().len();
    world.crash(N1);
    let old = Identity { cluster: "box".into(), name: "n1".into(), node: N1, members: Vec::new() };
    let members = Membership::of([N1, N2, N3]);
    let disk = world.disks[&N1].clone();
    let left = Salvaged::from_disk(old.clone(), members, Journal::default(), disk).unwrap();
    assert_eq!(left.machine.0[..known.len()], known[..]);
    assert_eq!(left.machine.0[known.len()..], ["alone"]);

    let fourth = NodeId(4);
    let new = Identity { cluster: old.recovered(7), name: "n4".into(), node: fourth, members: Vec::new() };
    let disk = MemoryDisk::new();
    left.plant(&new, Membership::of([fourth]), disk.clone()).unwrap();
    disk.cut_power(|| false);
    let twice = left.plant(&new, Membership::of([fourth]), disk.clone()).unwrap_err();
    assert!(matches!(twice, PlantError::NotBlank(_)), "{twice}");

    let config = Config::new(new, Membership::default(), SessionId(77));
    let mut effects = Effects::default();
    let replica = Replica::open(config, Journal::default(), disk, Now::default(), &mut effects).unwrap();
    assert_eq!(replica.machine().0, left.machine.0);
    assert_eq!(replica.members().to_string(), "n4");
    assert_eq!(replica.status().last, left.last, "its log begins behind what made its state");
    assert_eq!(replica.sessions().len(), session, "who asks again is known");
}
