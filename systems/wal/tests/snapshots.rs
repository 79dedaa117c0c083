//! Snapshots on disk, and logs that begin behind one: whenever the power goes, what was promised is there.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use bytes::Bytes;
use common::{extend, group, identity, names, open, options, write};
use raft::{Checkpoint, EntryId, HardState, Index, Membership, NodeId, Persist, PersistId, Term, Wall};
use wal::{Completion, Group, MemoryDisk, OpenError, Operation, Reason, Source, Wal};

fn checkpoint(index: u64, term: u64) -> Checkpoint {
    let membership = Membership::of([1, 2].map(NodeId)).into();
    Checkpoint { id: EntryId::new(index, term), stamp: Wall(index), membership, since: Index(0) }
}

/// What a state machine would hold there: two pieces.
fn state(index: u64) -> [Vec<u8>; 2] {
    [vec![1; 40], index.to_le_bytes().to_vec()]
}

fn run(wal: &mut Wal<MemoryDisk>, disk: &MemoryDisk) -> Vec<Completion> {
    let mut completions = Vec::new();
    while let Some((ticket, result)) = disk.run_one() {
        completions.extend(wal.completed(ticket, result));
    }
    completions
}

fn begin(wal: &mut Wal<MemoryDisk>, at: &Checkpoint) {
    wal.begin_draft(Source::Taken, at).unwrap();
    for piece in state(at.index().0) {
        wal.add_state(&piece);
    }
    wal.finish_draft(Source::Taken).unwrap();
}

fn take(wal: &mut Wal<MemoryDisk>, disk: &MemoryDisk, at: &Checkpoint) {
    begin(wal, at);
    assert!(run(wal, disk).contains(&Completion::Snapshot(Source::Taken, at.clone())));
}

fn held(wal: &Wal<MemoryDisk>) -> Vec<Bytes> {
    wal.pieces().map(Result::unwrap).collect()
}

fn anew(base: &Checkpoint, term: u64) -> Group {
    let mut group = Group::default();
    let hard = Some(HardState { term: Term(term), vote: None });
    group.add(Persist { id: PersistId(7), base: Some(base.clone()), hard, suffix: None });
    group
}

/// Six groups of two entries, in several segments.
fn twelve() -> (MemoryDisk, Wal<MemoryDisk>) {
    let disk = MemoryDisk::new();
    let (mut wal, _) = open(&disk).unwrap();
    for _ in 0..6 {
        extend(&mut wal, 1, &[100, 100]);
    }
    (disk, wal)
}

#[test]
fn a_snapshot_comes_back_with_the_log_behind_it() {
    let (disk, mut wal) = twelve();
    take(&mut wal, &disk, &checkpoint(7, 1));
    disk.cut_power(|| false);
    let (wal, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.snapshot, Some(checkpoint(7, 1)));
    assert_eq!(names(&recovered), "8@t1 9@t1 10@t1 11@t1 12@t1");
    assert_eq!(held(&wal), state(7));
    assert_eq!(wal.before(), Index(0), "the log was not cut");
}

#[test]
fn what_a_snapshot_holds_goes_segment_by_segment() {
    let (disk, mut wal) = twelve();
    let chain = wal.chain_at(Index(12));
    take(&mut wal, &disk, &checkpoint(10, 1));
    wal.forget(Index(10));
    run(&mut wal, &disk);
    assert!(disk.contents("00000001.seg").is_none());
    let before = wal.before();
    assert!(before > Index(0) && before <= Index(10), "{before}");
    extend(&mut wal, 2, &[30]);
    disk.cut_power(|| false);
    let (mut wal, recovered) = open(&disk).unwrap();
    assert_eq!(names(&recovered), "11@t1 12@t1 13@t2");
    assert_eq!((wal.before(), wal.chain_at(Index(12))), (before, chain));
    // A truncation right behind the snapshot leaves nothing of the log, and it goes on.
    write(&mut wal, group(EntryId::new(10, 1), 3, &[20]));
    disk.cut_power(|| false);
    assert_eq!(names(&open(&disk).unwrap().1), "11@t3");
}

#[test]
fn a_log_that_begins_anew_goes_on_behind_the_snapshot() {
    let (disk, mut wal) = twelve();
    take(&mut wal, &disk, &checkpoint(20, 3));
    write(&mut wal, anew(&checkpoint(20, 3), 3));
    disk.cut_power(|| false);
    let (mut wal, recovered) = open(&disk).unwrap();
    assert_eq!((names(&recovered), wal.last()), (String::new(), EntryId::new(20, 3)));
    for _ in 0..6 {
        extend(&mut wal, 4, &[100, 100]);
    }
    disk.cut_power(|| false);
    assert_eq!(open(&disk).unwrap().1.entries.len(), 12);
}

/// A log that lives: it grows, a snapshot is taken, the log is cut behind it, another is fetched, the log begins
/// anew, and grows again. Stops after so many calls to the disk. How many there were, and what was promised.
struct Life {
    wal: Wal<MemoryDisk>,
    disk: MemoryDisk,
    left: usize,
    snapshot: Option<EntryId>,
    durable: EntryId,
}

impl Life {
    /// Runs until the disk is idle; `None` if the power goes before.
    fn run(&mut self) -> Option<()> {
        loop {
            if self.left == 0 {
                return None;
            }
            let Some((ticket, result)) = self.disk.run_one() else { return Some(()) };
            self.left -= 1;
            match self.wal.completed(ticket, result) {
                Some(Completion::Durable(_)) => self.durable = self.wal.last(),
                Some(Completion::Snapshot(_, checkpoint)) => self.snapshot = Some(checkpoint.id),
                Some(Completion::Failed(why) | Completion::GivenUp(_, why)) => panic!("{why}"),
                Some(Completion::Written(_)) | None => {}
            }
        }
    }

    fn write(&mut self, group: Group) -> Option<()> {
        self.wal.append(group).unwrap();
        self.run()
    }

    fn live(&mut self) -> Option<()> {
        for _ in 0..3 {
            self.write(group(self.wal.last(), 1, &[100, 100]))?;
        }
        begin(&mut self.wal, &checkpoint(5, 1));
        self.write(group(self.wal.last(), 1, &[100, 100]))?;
        self.write(group(self.wal.last(), 1, &[100]))?;
        begin(&mut self.wal, &checkpoint(8, 1));
        self.run()?;
        self.wal.drop_snapshots(|_| false);
        self.wal.forget(Index(8));
        self.run()?;
        let file = file_of(&checkpoint(20, 2));
        self.wal.begin_draft(Source::Fetched, &checkpoint(20, 2)).unwrap();
        for bytes in file.chunks(50) {
            self.wal.add_bytes(Bytes::copy_from_slice(bytes));
        }
        self.wal.finish_draft(Source::Fetched).unwrap();
        self.run()?;
        self.write(anew(&checkpoint(20, 2), 2))?;
        self.wal.drop_snapshots(|_| false);
        self.write(group(EntryId::new(20, 2), 3, &[100, 100]))?;
        self.write(group(EntryId::new(21, 3), 4, &[100; 8]))
    }
}

/// The file of a snapshot, as a peer would send it.
fn file_of(at: &Checkpoint) -> Vec<u8> {
    let disk = MemoryDisk::new();
    let (mut wal, _) = open(&disk).unwrap();
    take(&mut wal, &disk, at);
    let (total, bytes) = wal.read_snapshot(at.id, 0, usize::MAX).unwrap().unwrap();
    assert_eq!(total, bytes.len() as u64);
    bytes.to_vec()
}

#[test]
fn the_power_may_go_at_every_call() {
    let mut met = std::collections::BTreeSet::new();
    for calls in 0.. {
        let mut over = false;
        for kept in 0_u32..16 {
            let disk = MemoryDisk::new();
            let (wal, _) = open(&disk).unwrap();
            let durable = EntryId::default();
            let mut life = Life { wal, disk: disk.clone(), left: calls, snapshot: None, durable };
            over = life.live().is_some();
            let mut asked = 0;
            disk.cut_power(|| {
                asked += 1;
                kept >> (asked % 4) & 1 == 1
            });
            let (wal, recovered) =
                open(&disk).unwrap_or_else(|error| panic!("after {calls} calls, {kept}: {error}"));
            let found = recovered.snapshot.as_ref().map(|checkpoint| checkpoint.id);
            assert!(found >= life.snapshot, "after {calls} calls: {found:?} of {:?}", life.snapshot);
            let base = found.unwrap_or_default();
            let last = recovered.entries.last().map_or(base, |entry| entry.id);
            let truncating = wal.last().term >= Term(3) || life.durable.term >= Term(3);
            let kept_all = last.index >= life.durable.index || truncating && last.index >= Index(21);
            assert!(kept_all, "after {calls} calls: {last} of {}", life.durable);
            if let Some(first) = recovered.entries.first() {
                assert_eq!(first.id.index, base.index.next(), "after {calls} calls");
            }
            if found.is_some() {
                assert_eq!(held(&wal), state(base.index.0));
            }
            assert!(recovered.hard.term >= base.term);
            let parts =
                disk.image().into_keys().filter(|name| name.contains(".part") || name.contains(".snap"));
            assert_eq!(parts.count(), usize::from(found.is_some()), "after {calls} calls");
            met.insert((found.map(|id| id.index.0), wal.before().0));
        }
        if over {
            assert!(calls > 60, "{calls} calls are no life");
            break;
        }
    }
    for snapshot in [None, Some(5), Some(8), Some(20)] {
        assert!(met.iter().any(|(found, _)| *found == snapshot), "{snapshot:?} was never met: {met:?}");
    }
    assert!(met.iter().any(|(found, before)| *found == Some(8) && *before > 0), "{met:?}");
}

#[test]
fn a_snapshot_that_rotted_is_refused_although_there_is_an_older_one() {
    let (disk, mut wal) = twelve();
    take(&mut wal, &disk, &checkpoint(5, 1));
    take(&mut wal, &disk, &checkpoint(9, 1));
    let name = "00000000000000000009-1.snap";
    for bit in 0..disk.contents(name).unwrap().len() {
        let disk = disk.copy();
        disk.flip(name, bit * 8 + bit % 8);
        let before = disk.image();
        let Err(OpenError::Corrupt(corrupt)) = open(&disk) else { panic!("byte {bit} may rot") };
        assert_eq!(corrupt.file, name);
        assert_eq!(disk.image(), before);
    }
}

#[test]
fn a_snapshot_that_is_gone_leaves_a_log_that_does_not_begin() {
    let (disk, mut wal) = twelve();
    take(&mut wal, &disk, &checkpoint(10, 1));
    wal.forget(Index(10));
    run(&mut wal, &disk);
    disk.put("00000000000000000010-1.snap", None);
    let Err(OpenError::Corrupt(corrupt)) = open(&disk) else { panic!("a log without its beginning") };
    assert_eq!((corrupt.file.as_str(), corrupt.reason), ("00000001.seg", Reason::Missing));
}

#[test]
fn a_snapshot_of_another_cluster_is_refused() {
    let (disk, mut wal) = twelve();
    take(&mut wal, &disk, &checkpoint(5, 1));
    let stranger = MemoryDisk::new();
    let other = wal::Identity { cluster: "other".into(), ..identity() };
    drop(Wal::open(stranger.clone(), &other, options()).unwrap());
    let name = "00000000000000000005-1.snap";
    stranger.put(name, disk.contents(name).as_deref());
    let Err(OpenError::Corrupt(corrupt)) = Wal::open(stranger, &other, options()) else { panic!("taken") };
    assert_eq!(corrupt.reason, Reason::ForeignSnapshot);
}

#[test]
fn what_was_fetched_is_looked_at_before_it_gets_its_name() {
    let file = file_of(&checkpoint(20, 2));
    for place in 0..file.len() {
        let (disk, mut wal) = twelve();
        let mut changed = file.clone();
        changed[place] ^= 16;
        wal.begin_draft(Source::Fetched, &checkpoint(20, 2)).unwrap();
        wal.add_bytes(Bytes::from(changed));
        assert_eq!(wal.finish_draft(Source::Fetched), Err(Reason::Snapshot), "byte {place}");
        assert_eq!(wal.draft(Source::Fetched), None);
        run(&mut wal, &disk);
        assert_eq!(wal.snapshot(), None);
    }
    let (_, mut wal) = twelve();
    wal.begin_draft(Source::Fetched, &checkpoint(21, 2)).unwrap();
    wal.add_bytes(Bytes::from(file));
    assert_eq!(wal.finish_draft(Source::Fetched), Err(Reason::Snapshot), "it is another one");
}

#[test]
fn a_full_disk_costs_the_snapshot_and_nothing_else() {
    let (disk, mut wal) = twelve();
    extend(&mut wal, 1, &[10]);
    let full: usize = disk.image().values().map(Vec::len).sum();
    disk.set_capacity(full as u64 + 60);
    begin(&mut wal, &checkpoint(5, 1));
    let completions = run(&mut wal, &disk);
    assert!(matches!(completions[..], [Completion::GivenUp(Source::Taken, _)]), "{completions:?}");
    assert_eq!((wal.draft(Source::Taken), wal.snapshot()), (None, None));
    extend(&mut wal, 1, &[10]);
    disk.set_capacity(u64::MAX);
    take(&mut wal, &disk, &checkpoint(5, 1));
}

#[test]
fn a_draft_whose_sync_fails_never_gets_its_name() {
    let (disk, mut wal) = twelve();
    disk.fail(Operation::Sync, 0, std::io::ErrorKind::Other);
    begin(&mut wal, &checkpoint(5, 1));
    let completions = run(&mut wal, &disk);
    assert!(matches!(completions[..], [Completion::GivenUp(Source::Taken, _)]), "{completions:?}");
    assert_eq!(wal.snapshot(), None);
}
