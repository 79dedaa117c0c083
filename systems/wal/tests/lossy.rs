//! The real folder that forgets: dropping it is what a kill does to a process.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use common::{group, identity, names, options};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wal::{Completion, Disk, FolderDisk, LossyDisk, MemoryDisk, Ticket, Wal};

fn open(folder: &Path) -> LossyDisk {
    LossyDisk::open(folder, Duration::ZERO, |_, _| {}).unwrap()
}

fn write(disk: &mut impl Disk, name: &str, text: &'static [u8]) -> Ticket {
    let file = disk.open(name).unwrap();
    disk.write_at(file, 0, Bytes::from_static(text))
}

fn sync(disk: &mut impl Disk, name: &str) -> Ticket {
    let file = disk.open(name).unwrap();
    disk.sync(file)
}

fn contents(disk: &mut impl Disk) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for name in disk.list().unwrap() {
        let file = disk.open(&name).unwrap();
        let length = usize::try_from(disk.len(file).unwrap()).unwrap();
        let bytes = disk.read_at(file, 0, length).unwrap();
        assert_eq!(bytes.len(), length, "{name}");
        all.insert(name, bytes);
    }
    all.remove("lock");
    all
}

#[test]
fn what_was_not_synced_dies_with_the_disk_and_what_was_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = open(folder.path());
    write(&mut disk, "log", b"synced");
    sync(&mut disk, "log");
    disk.sync_dir();
    let last = write(&mut disk, "log", b"unsyn");
    disk.wait(last).unwrap();
    assert_eq!(contents(&mut disk)["log"], b"unsynd", "its own process sees it");
    assert_eq!(disk.unsynced().load(Ordering::Relaxed), 5);
    drop(disk);
    assert_eq!(LossyDisk::unsynced_in(folder.path()), Some(5), "the count tells what was lost");
    let mut disk = open(folder.path());
    assert_eq!(contents(&mut disk)["log"], b"synced");
    assert_eq!(disk.lost_before(), 5);
    drop(disk);
    assert_eq!(open(folder.path()).lost_before(), 0, "a loss is told once");
}

#[test]
fn a_name_that_was_not_synced_dies_though_the_file_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = open(folder.path());
    write(&mut disk, "old", b"old");
    sync(&mut disk, "old");
    let certain = disk.sync_dir();
    disk.wait(certain).unwrap();
    disk.rename("old", "new");
    write(&mut disk, "fresh", b"fresh");
    let last = sync(&mut disk, "fresh");
    disk.wait(last).unwrap();
    assert_eq!(contents(&mut disk).into_keys().collect::<Vec<_>>(), ["fresh", "new"]);
    drop(disk);
    let mut disk = open(folder.path());
    assert_eq!(contents(&mut disk), BTreeMap::from([("old".to_owned(), b"old".to_vec())]));
    drop(disk);
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 3, "the file, the lock and the count; what never had a name is swept away");
}

#[test]
fn a_real_disk_keeps_what_a_lossy_one_forgets() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = FolderDisk::open(folder.path(), |_, _| {}).unwrap();
    write(&mut disk, "log", b"unsynced");
    drop(disk);
    let mut disk = open(folder.path());
    assert_eq!(contents(&mut disk)["log"], b"unsynced");
}

/// Random lives beside the disk in memory, which loses everything unsynced when told to.
fn live(seed: u64, forgetful: bool) -> Result<(), String> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut lossy = open(folder.path());
    let mut memory = MemoryDisk::new();
    for step in 0..80 {
        let name = format!("f{}", rng.random_range(0..3));
        let there = memory.list().unwrap().contains(&name);
        let last = match rng.random_range(0..16) {
            0..6 => {
                let (offset, byte) = (rng.random_range(0..50), u8::try_from(rng.next_u32() % 256).unwrap());
                let bytes = Bytes::from(vec![byte; rng.random_range(1..50)]);
                let (a, b) = (lossy.open(&name).unwrap(), memory.open(&name).unwrap());
                memory.write_at(b, offset, bytes.clone());
                lossy.write_at(a, offset, bytes)
            }
            6..8 => {
                let length = rng.random_range(0..60);
                let (a, b) = (lossy.open(&name).unwrap(), memory.open(&name).unwrap());
                memory.set_len(b, length);
                lossy.set_len(a, length)
            }
            8..11 => {
                sync(&mut memory, &name);
                if forgetful {
                    let file = lossy.open(&name).unwrap();
                    lossy.write_at(file, 0, Bytes::new())
                } else {
                    sync(&mut lossy, &name)
                }
            }
            11 if there => {
                let to = format!("f{}", rng.random_range(0..3));
                memory.rename(&name, &to);
                lossy.rename(&name, &to)
            }
            12 if there => {
                memory.remove(&name);
                lossy.remove(&name)
            }
            13 | 14 => {
                memory.sync_dir();
                lossy.sync_dir()
            }
            15 => {
                memory.cut_power(|| false);
                drop(lossy);
                lossy = open(folder.path());
                lossy.sync_dir()
            }
            _ => continue,
        };
        lossy.wait(last).map_err(|error| format!("step {step}: {error}"))?;
        while let Some((ticket, result)) = memory.run_one() {
            result.unwrap_or_else(|error| panic!("step {step}: {ticket:?}: {error}"));
        }
        let (found, wanted) = (contents(&mut lossy), contents(&mut memory));
        if found != wanted {
            return Err(format!("step {step}: found {found:?}, wanted {wanted:?}"));
        }
    }
    Ok(())
}

#[test]
fn it_shows_and_loses_what_the_disk_in_memory_does() {
    for seed in 0..60 {
        live(seed, false).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

/// The test above can fail: a disk that does not sync is found out.
#[test]
fn a_lossy_disk_that_does_not_sync_is_found_out() {
    let caught = (0..20).filter(|&seed| live(seed, true).is_err()).count();
    assert!(caught > 10, "only {caught} of 20 lives noticed");
}

#[test]
fn a_log_on_it_keeps_every_group_it_reported_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut reported = 0;
    for life in 1..6 {
        let (mut wal, recovered) = Wal::open(open(folder.path()), &identity(), options()).unwrap();
        assert_eq!(recovered.entries.len(), reported, "{}", names(&recovered));
        assert_eq!(recovered.cut, None, "in life {life}");
        for _ in 0..4 {
            let number = wal.append(group(wal.last(), life, &[90, 10])).unwrap();
            assert_eq!(wal.settle(), Some(Completion::Durable(number)));
            reported += 2;
        }
    }
}

/// The reason for all this: a kill does not show a missing sync, unless the disk is this one.
#[cfg(feature = "bugs")]
#[test]
fn a_log_that_never_syncs_is_found_out_here_and_not_on_a_real_disk() {
    let careless = wal::Options { bugs: raft::Bugs::of([raft::Bug::SkipSync]), ..options() };
    let (real, lossy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for found in [0, 2] {
        let disk = FolderDisk::open(real.path(), |_, _| {}).unwrap();
        assert_eq!(life(disk, careless), found);
    }
    for _ in 0..2 {
        assert_eq!(life(open(lossy.path()), careless), 0, "all that was acknowledged is gone");
    }
}

/// Opens a log, says how long it is, and has two more entries acknowledged before it dies.
#[cfg(feature = "bugs")]
fn life(disk: impl Disk, options: wal::Options) -> usize {
    let (mut wal, recovered) = Wal::open(disk, &identity(), options).unwrap();
    let number = wal.append(group(wal.last(), 1, &[90, 10])).unwrap();
    assert_eq!(wal.settle(), Some(Completion::Durable(number)));
    recovered.entries.len()
}

#[test]
fn after_one_failure_nothing_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = open(folder.path());
    let fine = write(&mut disk, "log", b"one");
    let failed = disk.remove("no such file");
    assert_eq!(disk.wait(failed).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    let later = write(&mut disk, "log", b"two");
    assert!(disk.wait(later).is_err());
    disk.wait(fine).unwrap();
    assert_eq!(contents(&mut disk)["log"], b"one");
}

#[test]
fn a_folder_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _first = open(folder.path());
    let second = LossyDisk::open(folder.path(), Duration::ZERO, |_, _| {}).err().unwrap();
    assert!(second.to_string().contains("in use"), "{second}");
}
