//! Kills and power cuts.

use std::collections::BTreeSet;

use bytes::Bytes;
use sim::disk::{Lost, SimDisk};
use wal::Disk;

use crate::clock::{Clock, put, read, settle};

#[test]
fn a_kill_keeps_what_was_written_and_a_power_cut_may_lose_it() {
    let mut seen = BTreeSet::new();
    for seed in 0..40 {
        let mut disk = SimDisk::new(seed);
        let file = put(&mut disk, "log", b"old");
        disk.write_at(file, 0, Bytes::from_static(b"new"));
        settle(&disk);
        assert_eq!(disk.unsynced_bytes(), 3);
        disk.kill();
        assert_eq!(read(&disk, "log").unwrap(), b"new", "the cache outlives the process");
        let lost = disk.cut_power();
        let left = read(&disk, "log").unwrap();
        assert!(left == b"old" || left == b"new", "within a sector nothing is torn: {left:?}");
        assert_eq!(lost.bytes, if left == b"old" { 3 } else { 0 });
        assert_eq!(disk.cut_power(), Lost::default(), "what a cut leaves is certain");
        seen.insert(left);
    }
    assert_eq!(seen.len(), 2, "it is sometimes kept, and sometimes lost");
}

#[test]
fn what_was_synced_survives_every_power_cut() {
    for seed in 0..200 {
        let mut disk = SimDisk::new(seed);
        put(&mut disk, "log", &[7; 3000]);
        assert_eq!(disk.cut_power(), Lost::default());
        assert_eq!(read(&disk, "log").unwrap(), [7; 3000]);
    }
}

#[test]
fn a_power_cut_tears_a_write_between_sectors_and_only_there() {
    let (mut none, mut all, mut torn, mut out_of_order) = (0, 0, 0, 0);
    for seed in 0..200 {
        let mut disk = SimDisk::new(seed);
        let file = put(&mut disk, "log", &[1; 4096]);
        disk.write_at(file, 300, Bytes::from(vec![2; 3000]));
        settle(&disk);
        let lost = disk.cut_power();
        let left = read(&disk, "log").unwrap();
        assert_eq!(left.len(), 4096);
        let kept: Vec<bool> = left[300..3300].iter().map(|&byte| byte == 2).collect();
        assert_eq!(lost.bytes, kept.iter().filter(|kept| !**kept).count() as u64);
        for (place, pair) in (300..).zip(kept.windows(2)) {
            assert!(pair[0] == pair[1] || (place + 1) % 512 == 0, "torn at {place}");
        }
        match (kept.iter().any(|&kept| kept), kept.iter().all(|&kept| kept)) {
            (false, _) => none += 1,
            (_, true) => all += 1,
            _ => torn += 1,
        }
        out_of_order += u32::from(!kept[0] && kept[2999]);
    }
    assert!(none > 30 && all > 30 && torn > 60, "{none} lost, {all} kept, {torn} torn");
    assert!(out_of_order > 10, "the end of a write may be there without its beginning");
}

#[test]
fn a_rename_without_a_sync_of_the_folder_may_be_lost_however_much_the_file_was_synced() {
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let mut disk = SimDisk::new(seed);
        put(&mut disk, "identity", b"old");
        put(&mut disk, "draft", b"new");
        disk.rename("draft", "identity");
        settle(&disk);
        assert_eq!(read(&disk, "identity").unwrap(), b"new");
        let lost = disk.cut_power();
        let identity = read(&disk, "identity").unwrap();
        assert_eq!(identity == b"old", lost.names > 0 && identity != b"new", "{lost:?}");
        seen.insert((identity, read(&disk, "draft").is_some()));
    }
    assert!(seen.contains(&(b"old".to_vec(), true)), "nothing was renamed: {seen:?}");
    assert!(seen.contains(&(b"new".to_vec(), false)), "all of it was: {seen:?}");
    for seed in 0..100 {
        let mut disk = SimDisk::new(seed);
        put(&mut disk, "identity", b"old");
        put(&mut disk, "draft", b"new");
        disk.rename("draft", "identity");
        disk.sync_dir();
        settle(&disk);
        disk.cut_power();
        assert_eq!(disk.list().unwrap(), ["identity"]);
        assert_eq!(read(&disk, "identity").unwrap(), b"new");
    }
}

#[test]
fn a_new_file_may_be_gone_and_a_removed_one_back() {
    let (mut gone, mut back) = (false, false);
    for seed in 0..50 {
        let mut disk = SimDisk::new(seed);
        put(&mut disk, "old", b"old");
        let file = disk.open("new").unwrap();
        disk.write_at(file, 0, Bytes::from_static(b"new"));
        disk.sync(file);
        disk.remove("old");
        settle(&disk);
        assert_eq!(disk.list().unwrap(), ["new"]);
        disk.cut_power();
        gone |= read(&disk, "new").is_none();
        back |= read(&disk, "old").is_some_and(|bytes| bytes == b"old");
    }
    assert!(gone && back);
}

#[test]
fn a_killed_process_leaves_the_first_few_changes_of_each_file_and_no_others() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let mut disk = SimDisk::new(seed);
        let (a, b) = (put(&mut disk, "a", b"..."), put(&mut disk, "b", b"..."));
        for place in 0..3 {
            disk.write_at(a, place, Bytes::from_static(b"x"));
            disk.write_at(b, place, Bytes::from_static(b"x"));
        }
        disk.kill();
        let text = |name| String::from_utf8(read(&disk, name).unwrap()).unwrap();
        let both = (text("a"), text("b"));
        for text in [&both.0, &both.1] {
            assert!(["...", "x..", "xx.", "xxx"].contains(&text.as_str()), "{text}");
        }
        seen.insert(both);
        assert_eq!(disk.begin_next(0), None, "nothing of it is left to do");
    }
    assert_eq!(seen.len(), 16, "each file has its own point: {seen:?}");
}

#[test]
fn a_report_of_a_dead_process_is_an_error_and_changes_nothing() {
    let mut disk = SimDisk::new(1);
    let file = put(&mut disk, "log", b"old");
    let ticket = disk.write_at(file, 0, Bytes::from_static(b"new"));
    assert_eq!(disk.begin_next(0).unwrap().0, ticket);
    disk.cut_power();
    let error = disk.finish(ticket).unwrap_err().to_string();
    assert!(error.contains("died with its process"), "{error}");
    assert_eq!(read(&disk, "log").unwrap(), b"old");
}

#[test]
fn the_power_goes_exactly_after_so_many_calls() {
    for calls in 0..=4 {
        let mut disk = SimDisk::new(3);
        disk.cut_after(Some(calls));
        let file = disk.open("log").unwrap();
        for place in 0..4 {
            disk.write_at(file, place, Bytes::from_static(b"x"));
        }
        let results = Clock::default().all(&disk);
        assert_eq!(results.iter().filter(|(_, result)| result.is_ok()).count() as u64, calls);
        assert_eq!(disk.calls(), calls);
        assert_eq!(disk.is_cut(), calls < 4);
        assert_eq!(read(&disk, "log").unwrap().len() as u64, calls);
        if calls < 4 {
            assert!(disk.list().is_err() && disk.open("log").is_err() && disk.len(file).is_err());
            let more = disk.sync(file);
            assert!(disk.wait(more).unwrap_err().to_string().contains("power"));
            disk.cut_power();
            let file = disk.open("log").unwrap();
            let more = disk.sync(file);
            disk.wait(more).unwrap();
        }
    }
}

#[test]
fn a_wiped_disk_is_a_new_one() {
    let mut disk = SimDisk::new(3);
    put(&mut disk, "log", b"bytes");
    disk.kill();
    disk.wipe();
    assert!(disk.list().unwrap().is_empty());
    disk.cut_power();
    assert!(disk.list().unwrap().is_empty());
}
