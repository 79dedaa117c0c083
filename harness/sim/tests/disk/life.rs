//! The life of a log on this disk, with the power cut at every call that it makes.

use bytes::Bytes;
use raft::{Entry, EntryId, HardState, NodeId, Payload, Persist, PersistId, Suffix, Term, Wall};
use sim::disk::SimDisk;
use sim::rot;
use wal::{Completion, Group, Identity, OpenError, Options, Recovered, Wal};

use crate::clock::{Clock, put};

/// What is written: after which entry, in which term, how many entries of which size.
const GROUPS: [(u64, u64, usize, usize); 7] = [
    (0, 1, 3, 40),
    (3, 1, 4, 300), // over the end of a segment
    (7, 2, 1, 900), // torn between sectors
    (5, 3, 2, 100), // cuts off two entries
    (1, 4, 2, 400), // cuts off a segment
    (3, 4, 6, 60),
    (9, 5, 1, 10),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// Counts a group as safe when the log says so.
    Honest,
    /// Counts it as soon as it is asked for.
    Hasty,
}

fn open(disk: &SimDisk) -> Result<(Wal<SimDisk>, Recovered), OpenError> {
    let identity =
        Identity { cluster: "test".into(), name: "n1".into(), node: NodeId(1), members: vec!["n1".into()] };
    Wal::open(disk.clone(), &identity, Options { segment_size: 1500, zeros_ahead: 64, ..Options::default() })
}

fn group(log: &[EntryId], (_, term, count, size): (u64, u64, usize, usize)) -> Group {
    let after = log.last().copied().unwrap_or_default();
    let entries = (after.index.0 + 1..)
        .take(count)
        .map(|index| Entry {
            id: EntryId::new(index, term),
            stamp: Wall(index),
            request: None,
            payload: Payload::Command(Bytes::from(vec![u8::try_from(index).unwrap(); size])),
        })
        .collect();
    let hard = Some(HardState { term: Term(term), vote: None });
    let mut group = Group::default();
    group.add(Persist {
        id: PersistId(1),
        base: None,
        hard,
        suffix: Some(Suffix::new(after, entries).unwrap()),
    });
    group
}

/// The log that is acknowledged, and the one that it was becoming.
#[derive(Default)]
struct Promise {
    acknowledged: Vec<EntryId>,
    becoming: Vec<EntryId>,
    term: u64,
}

impl Promise {
    /// Either what was acknowledged, or what the log under way has in common with it and any beginning
    /// of what that adds.
    fn allows(&self, found: &Recovered) -> bool {
        let ids: Vec<EntryId> = found.entries.iter().map(|entry| entry.id).collect();
        let common = self.becoming.iter().zip(&self.acknowledged).take_while(|(a, b)| a == b).count();
        let fits = ids == self.acknowledged || (ids.len() >= common && self.becoming.starts_with(&ids));
        fits && found.hard.term.0 >= self.term
    }
}

/// Lives until everything is written or the power goes.
fn live(disk: &SimDisk, owner: Owner) -> Promise {
    live_through(disk, &GROUPS, owner)
}

fn live_through(disk: &SimDisk, groups: &[(u64, u64, usize, usize)], owner: Owner) -> Promise {
    let mut promise = Promise::default();
    let mut clock = Clock::default();
    let Ok((mut wal, _)) = open(disk) else { return promise };
    for &next in groups {
        promise.becoming.clone_from(&promise.acknowledged);
        promise.becoming.truncate(usize::try_from(next.0).unwrap());
        let group = group(&promise.becoming, next);
        let first = next.0 + 1;
        promise.becoming.extend((first..).take(next.2).map(|index| EntryId::new(index, next.1)));
        let number = wal.append(group);
        while wal.is_busy() && owner == Owner::Honest {
            let Some((ticket, result)) = clock.one(disk) else { return promise };
            if disk.is_cut() {
                return promise;
            }
            if let Some(Completion::Durable(done)) = wal.completed(ticket, result) {
                assert_eq!(Ok(done), number);
            }
        }
        promise.acknowledged.clone_from(&promise.becoming);
        promise.term = next.1;
        if owner == Owner::Hasty {
            while let Some((ticket, result)) = clock.one(disk).filter(|_| !disk.is_cut()) {
                wal.completed(ticket, result);
            }
            if disk.is_cut() {
                return promise;
            }
        }
    }
    promise
}

/// One life for each call at which the power can go, until one makes none. Counts the broken promises,
/// and the cuts.
fn cut_everywhere(seed: u64, owner: Owner) -> (u64, u64) {
    let mut broken = 0;
    for calls in 0..1000 {
        let disk = SimDisk::new(seed * 1000 + calls);
        disk.cut_after(Some(calls));
        let promise = live(&disk, owner);
        let whole = !disk.is_cut();
        disk.cut_power();
        // The power may go again while the log is opened.
        disk.cut_after(Some(disk.calls() + seed % 5));
        let kept = match open(&disk) {
            Err(_) if disk.is_cut() => {
                disk.cut_power();
                open(&disk).is_ok_and(|(_, found)| promise.allows(&found))
            }
            Err(error) => {
                assert!(owner == Owner::Hasty, "seed {seed}, cut after {calls} calls: {error}");
                false
            }
            Ok((_, found)) => promise.allows(&found),
        };
        broken += u64::from(!kept);
        assert!(kept || owner == Owner::Hasty, "seed {seed}, cut after {calls} calls: a promise is broken");
        if whole {
            return (broken, calls);
        }
    }
    panic!("seed {seed}: the life does not end")
}

#[test]
fn a_log_keeps_its_promises_when_the_power_goes_at_any_call() {
    for seed in 0..25 {
        let (_, calls) = cut_everywhere(seed, Owner::Honest);
        assert!(calls > 40, "the life is too short to prove anything: {calls} calls");
    }
}

/// The test above can fail: whoever promises before the sync is found out.
#[test]
fn a_promise_before_the_sync_is_found_out() {
    for seed in 0..5 {
        let (broken, calls) = cut_everywhere(seed, Owner::Hasty);
        assert!(broken > 5, "seed {seed}: {broken} broken promises in {calls} cuts");
    }
}

/// A log that ends after some of the groups. Another file is synced, the process dies, and a bit rots where `spares`
/// lets it. Counts in how many of these lives a promise is broken, and in how many the damage is noticed.
fn rot_everywhere<F: Fn(&str, usize) -> bool>(spares: impl Fn(&SimDisk) -> F) -> (u64, u64) {
    let (mut broken, mut noticed) = (0, 0);
    for seed in 0..2000 {
        let mut disk = SimDisk::new(seed);
        let groups = 1 + usize::try_from(seed).unwrap() % GROUPS.len();
        let promise = live_through(&disk, &GROUPS[..groups], Owner::Honest);
        put(&mut disk, "draft", &[7; 100]);
        disk.kill();
        disk.flip_bit(spares(&disk)).expect("there is something to rot");
        match open(&disk) {
            Ok((_, found)) => {
                let ids = found.entries.iter().map(|entry| entry.id);
                broken += u64::from(!ids.eq(promise.acknowledged) || found.hard.term.0 < promise.term);
            }
            Err(_) => noticed += 1,
        }
    }
    (broken, noticed)
}

#[test]
fn no_bit_that_rots_breaks_a_promise_but_those_that_no_log_could_tell_from_torn() {
    let (broken, noticed) = rot_everywhere(rot::looks_torn);
    assert_eq!(broken, 0);
    assert!(noticed > 600, "damage was noticed {noticed} times");
    let (broken, _) = rot_everywhere(|_| |_: &str, _| false);
    assert!(broken > 50, "if everything may rot, {broken} promises are broken");
}

#[test]
fn one_seed_is_one_life_to_the_byte() {
    let run = |seed| {
        let disk = SimDisk::new(seed);
        live(&disk, Owner::Honest);
        let rest = disk.cut_power();
        (disk.digest(), disk.image(), disk.calls(), rest)
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).0, run(8).0, "another seed is another order");
}
