//! What the mistakes of a log do, each beside the same story without it.
#![cfg(feature = "bugs")]
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod common;

use std::io;

use common::{extend, group, identity, names, options};
use raft::{Bug, Bugs, EntryId};
use wal::{Completion, MemoryDisk, OpenError, Operation, Options, Recovered, Wal};

fn open(disk: &MemoryDisk, bug: Option<Bug>) -> Result<(Wal<MemoryDisk>, Recovered), OpenError> {
    let bugs = bug.map_or(Bugs::none(), |bug| Bugs::of([bug]));
    Wal::open(disk.clone(), &identity(), Options { bugs, ..options() })
}

/// A log with these groups of entries, all of them durable.
fn log(groups: &[&[usize]], bug: Option<Bug>) -> (MemoryDisk, Wal<MemoryDisk>) {
    let disk = MemoryDisk::new();
    let (mut wal, _) = open(&disk, bug).unwrap();
    for sizes in groups {
        extend(&mut wal, 1, sizes);
    }
    (disk, wal)
}

/// The names of what is found after a power cut that keeps nothing unsynced, or why it does not open.
fn after_power_cut(disk: &MemoryDisk, bug: Option<Bug>) -> String {
    disk.cut_power(|| false);
    open(disk, bug).map_or_else(|why| why.to_string(), |(_, recovered)| names(&recovered))
}

#[test]
fn ignore_failed_sync_acknowledges_what_the_disk_has_lost() {
    let story = |bug| {
        let (disk, mut wal) = log(&[&[10]], bug);
        disk.fail(Operation::Sync, 0, io::ErrorKind::Other);
        let number = wal.append(group(wal.last(), 1, &[10])).unwrap();
        let acknowledged = wal.settle() == Some(Completion::Durable(number));
        disk.cut_power(|| false);
        (acknowledged, after_power_cut(&disk.copy(), None))
    };
    let lost = "1@t1".to_owned();
    assert_eq!(story(None), (false, lost.clone()));
    assert_eq!(story(Some(Bug::IgnoreFailedSync)), (true, lost));
}

#[test]
fn skip_checksum_hands_out_an_entry_that_nobody_wrote() {
    let story = |bug| {
        let (disk, wal) = log(&[&[10], &[10]], bug);
        wal.close().unwrap();
        let bytes = disk.contents("00000001.seg").unwrap();
        let last = bytes.iter().rposition(|&byte| byte != 0).unwrap();
        disk.flip("00000001.seg", last * 8);
        open(&disk, bug).map(|(_, recovered)| recovered.entries)
    };
    assert!(matches!(story(None), Err(OpenError::Corrupt(_))));
    let entries = story(Some(Bug::SkipChecksum)).unwrap();
    assert_eq!(entries.len(), 2);
    assert_ne!(entries[1], common::entry(2, 1, 10), "the last byte is another");
}

#[test]
fn keep_torn_tail_loses_what_is_written_behind_it() {
    let story = |bug| {
        let (disk, mut wal) = log(&[&[10], &[10]], bug);
        wal.append(group(wal.last(), 1, &[40])).unwrap();
        disk.run_one().expect("the write comes first, then the sync").1.unwrap();
        let mut pieces = 0;
        disk.cut_power(|| {
            pieces += 1;
            pieces % 2 == 0
        });
        let (mut wal, recovered) = open(&disk, bug).unwrap();
        assert_eq!(names(&recovered), "1@t1 2@t1", "the third is torn");
        extend(&mut wal, 2, &[10]);
        after_power_cut(&disk, bug)
    };
    assert_eq!(story(None), "1@t1 2@t1 3@t2");
    assert_eq!(story(Some(Bug::KeepTornTail)), "1@t1 2@t1");
}

#[test]
fn skip_folder_sync_loses_a_whole_segment() {
    let story = |bug| after_power_cut(&log(&[&[200], &[200], &[200]], bug).0, bug);
    assert_eq!(story(None), "1@t1 2@t1 3@t1");
    assert!(story(Some(Bug::SkipFolderSync)).contains("missing"));
}

#[test]
fn keep_mark_makes_a_truncated_log_look_damaged() {
    let story = |bug| {
        let (disk, mut wal) = log(&[&[10], &[10], &[10]], bug);
        wal.idle();
        wal.settle();
        let number = wal.append(group(EntryId::new(1, 1), 2, &[10])).unwrap();
        assert_eq!(wal.settle(), Some(Completion::Durable(number)));
        after_power_cut(&disk, bug)
    };
    assert_eq!(story(None), "1@t1 2@t2");
    assert!(story(Some(Bug::KeepMark)).starts_with("corrupt"));
}
