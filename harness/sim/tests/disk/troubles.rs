//! Full, stuck, slow, rotten, and failed syncs.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::Bytes;
use sim::disk::{Failing, SimDisk};
use wal::{Disk, Ticket};

use crate::clock::{Clock, put, read, settle};

#[test]
fn a_full_disk_refuses_soon_and_takes_more_once_there_is_room() {
    let mut overwriting = [0, 0];
    for seed in 0..40 {
        let mut disk = SimDisk::new(seed);
        let file = put(&mut disk, "log", &[1; 8192]);
        disk.fill(true);
        let mut length = 8192;
        let refused = (0..100).find_map(|_| {
            let ticket = disk.write_at(file, length, Bytes::from(vec![2; 100]));
            let result = disk.wait(ticket);
            length += if result.is_ok() { 100 } else { 0 };
            result.err()
        });
        let error = refused.expect("a full disk refuses");
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(length <= 8192 + 4096, "it bites within a few writes");
        assert_eq!(disk.len(file).unwrap(), length, "what was refused did not happen");
        disk.kill();
        let over = disk.write_at(file, 0, Bytes::from(vec![3; 4096]));
        overwriting[usize::from(disk.wait(over).is_ok())] += 1;
        assert!(disk.refused() >= 1);
        disk.fill(false);
        disk.kill();
        let more = disk.write_at(file, length, Bytes::from(vec![2; 100]));
        disk.wait(more).unwrap();
    }
    assert!(overwriting[0] > 5 && overwriting[1] > 5, "some disks copy what they change: {overwriting:?}");
}

/// A segment is lengthened on its first day, and takes no room until it is written.
#[test]
fn a_full_disk_refuses_writes_into_a_hole() {
    let mut disk = SimDisk::new(1);
    let file = disk.open("segment").unwrap();
    disk.set_len(file, 1 << 20);
    settle(&disk);
    disk.fill(true);
    let hole = disk.write_at(file, 4096, Bytes::from(vec![1; 8192]));
    assert_eq!(disk.wait(hole).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(disk.len(file).unwrap(), 1 << 20);
}

#[test]
fn a_failed_sync_loses_its_data_though_the_next_one_succeeds() {
    for cut in [false, true] {
        let mut disk = SimDisk::new(5);
        let file = put(&mut disk, "log", b"old and");
        disk.write_at(file, 0, Bytes::from_static(b"new"));
        settle(&disk);
        disk.fail_next(Some(Failing::File));
        let failed = disk.sync(file);
        let again = disk.sync(file);
        let results = Clock::default().all(&disk);
        let error = results.iter().find(|(ticket, _)| *ticket == failed).unwrap().1.as_ref().unwrap_err();
        assert!(error.to_string().contains("input/output error"), "{error}");
        assert!(results.iter().any(|(ticket, result)| *ticket == again && result.is_ok()));
        assert!(disk.wait(again).is_err(), "whoever waits for all of it learns of the failure");
        assert_eq!(read(&disk, "log").unwrap(), b"new and", "the cache still shows it");
        disk.write_at(file, 4, Bytes::from_static(b"AND"));
        disk.sync(file);
        Clock::default().all(&disk);
        if cut {
            assert_eq!(disk.cut_power().bytes, 3);
        } else {
            disk.kill();
        }
        assert_eq!(read(&disk, "log").unwrap(), b"old AND");
        let fine = disk.sync(file);
        disk.wait(fine).unwrap();
    }
}

#[test]
fn a_stuck_disk_does_nothing_until_it_is_released() {
    let mut disk = SimDisk::new(2);
    let mut clock = Clock::default();
    let file = put(&mut disk, "log", b"....");
    let before = disk.write_at(file, 0, Bytes::from_static(b"a"));
    clock.begin(&disk);
    disk.stick();
    let stuck = [disk.write_at(file, 1, Bytes::from_static(b"b")), disk.sync(file)];
    let done: Vec<Ticket> = clock.all(&disk).into_iter().map(|(ticket, _)| ticket).collect();
    assert_eq!(done, [before], "the device had it");
    assert_eq!(read(&disk, "log").unwrap(), b"a...");
    let second = 1_000_000_000;
    let released = disk.release(second);
    assert_eq!(released.iter().map(|(ticket, _)| *ticket).collect::<Vec<_>>(), stuck);
    assert!(second < released[0].1 && released[0].1 < released[1].1, "{released:?}");
    for (ticket, _) in released {
        disk.finish(ticket).unwrap();
    }
    assert_eq!(read(&disk, "log").unwrap(), b"ab..");
    assert_eq!(disk.unsynced_bytes(), 0);
}

#[test]
fn what_hung_when_the_process_died_does_not_come_back() {
    let mut disk = SimDisk::new(2);
    let file = put(&mut disk, "log", b"....");
    disk.stick();
    disk.write_at(file, 1, Bytes::from_static(b"b"));
    Clock::default().begin(&disk);
    disk.cut_power();
    assert!(disk.release(0).is_empty());
    assert_eq!(read(&disk, "log").unwrap(), b"....");
}

#[test]
fn times_are_those_of_disks_and_a_slow_one_adds_its_delay() {
    let mut disk = SimDisk::new(8);
    let file = disk.open("log").unwrap();
    let mut took = |sync: bool| {
        let ticket = if sync { disk.sync(file) } else { disk.write_at(file, 0, Bytes::from_static(b"x")) };
        let now = ticket.0 * 1_000_000_000;
        let (begun, at) = disk.begin_next(now).unwrap();
        assert_eq!(begun, ticket);
        disk.finish(ticket).unwrap();
        at - now
    };
    assert!((0..1000).map(|_| took(false)).all(|took| (10_000..40_000).contains(&took)));
    let mut syncs: Vec<u64> = (0..2000).map(|_| took(true)).collect();
    syncs.sort_unstable();
    assert!(syncs[0] >= 50_000 && syncs[1900] < 500_000, "most are quick");
    assert!(syncs[1999] > 1_000_000 && syncs[1999] < 10_000_000, "a few are not");
    disk.slow(Some(Duration::from_millis(200)));
    let sync = disk.sync(file);
    assert!(disk.begin_next(0).unwrap().1 > 200_000_000);
    disk.finish(sync).unwrap();
}

#[test]
fn changes_of_one_file_keep_their_order_and_files_overtake_each_other() {
    let mut overtaken = 0;
    for seed in 0..50 {
        let mut disk = SimDisk::new(seed);
        let files = [disk.open("a").unwrap(), disk.open("b").unwrap()];
        let asked: Vec<_> = (0..20)
            .map(|number| {
                let file = files[number % 2];
                let sync = number % 3 == 0;
                if sync { disk.sync(file) } else { disk.write_at(file, 0, Bytes::from_static(b"x")) }
            })
            .collect();
        let done: Vec<Ticket> = Clock::default().all(&disk).into_iter().map(|(ticket, _)| ticket).collect();
        for lane in 0..2 {
            let of_file = |ticket: &&Ticket| ticket.0 % 2 == (lane + 1) % 2;
            let order: Vec<_> = done.iter().filter(of_file).collect();
            assert!(order.is_sorted(), "{order:?}");
            assert_eq!(order.len(), 10);
        }
        overtaken += u32::from(done != asked);
    }
    assert!(overtaken > 40);
}

#[test]
fn a_flipped_bit_is_one_bit_of_what_was_synced_and_is_not_to_be_spared() {
    let mut files = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let mut disk = SimDisk::new(seed);
        assert_eq!(disk.flip_bit(|_, _| false), None, "there is nothing to rot");
        let mut sparse = vec![0; 4000];
        sparse[700..900].fill(0xff);
        put(&mut disk, "sparse", &sparse);
        put(&mut disk, "dense", &[0xff; 4000]);
        put(&mut disk, "young", &[0xff; 4000]);
        put(&mut disk, "mixed", &[0xff; 2000]);
        let mixed = disk.open("mixed").unwrap();
        disk.write_at(mixed, 2000, Bytes::from(vec![0xff; 2000]));
        disk.sync(mixed);
        let new = disk.open("new").unwrap();
        disk.write_at(new, 0, Bytes::from(vec![0xff; 10_000]));
        settle(&disk);
        let before = disk.image();
        let (name, bit) = disk.flip_bit(|name, _| name == "young" || name == "mixed").unwrap();
        let mut expected = before.clone();
        let bit = usize::try_from(bit).unwrap();
        expected.get_mut(&name).unwrap()[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(disk.image(), expected);
        assert_eq!(before[&name][bit / 8], 0xff, "it prefers places that hold data");
        assert_ne!(name, "new", "what is not synced is not on the disk yet");
        assert_ne!(name, "young", "what was synced last is too young to rot");
        assert!(name != "mixed" || bit / 8 < 2000, "as much of it as was synced last");
        disk.kill();
        disk.cut_power();
        assert_eq!(read(&disk, &name).unwrap(), expected[&name], "it stays");
        files.insert(name);
    }
    assert_eq!(files.len(), 3);
}

/// Making a name, changing it, removing it, and the folder's sync.
#[test]
fn a_folder_that_fails_refuses_one_change_of_a_name_and_no_sync_of_a_file() {
    let folder = |failing: &mut dyn FnMut(&mut SimDisk) -> std::io::Result<()>| {
        let mut disk = SimDisk::new(1);
        let file = put(&mut disk, "log", b"old");
        disk.fail_next(Some(Failing::Folder));
        let sync = disk.sync(file);
        disk.wait(sync).unwrap();
        let error = failing(&mut disk).unwrap_err();
        assert!(error.to_string().contains("simulated folder"), "{error}");
        assert_eq!(disk.refused(), 1);
        disk.kill();
        assert_eq!(disk.image().into_keys().collect::<Vec<_>>(), ["log"], "it did not happen");
        failing(&mut disk).unwrap();
    };
    folder(&mut |disk| disk.open("new").map(drop));
    folder(&mut |disk| {
        let rename = disk.rename("log", "new");
        disk.wait(rename)
    });
    folder(&mut |disk| {
        let remove = disk.remove("log");
        disk.wait(remove)
    });
    folder(&mut |disk| {
        let sync = disk.sync_dir();
        disk.wait(sync)
    });
}

#[test]
fn names_that_a_failed_sync_should_have_kept_are_gone_though_the_next_one_succeeds() {
    for cut in [false, true] {
        let mut disk = SimDisk::new(5);
        put(&mut disk, "log", b"old");
        disk.open("lost").unwrap();
        disk.fail_next(Some(Failing::Folder));
        let failed = disk.sync_dir();
        assert!(disk.finish(begun(&disk)).is_err(), "{failed:?}");
        disk.open("kept").unwrap();
        let again = disk.sync_dir();
        assert_eq!(begun(&disk), again);
        disk.finish(again).unwrap();
        assert_eq!(disk.image().len(), 3, "the cache still shows it");
        if cut {
            assert_eq!(disk.cut_power().names, 1);
        } else {
            disk.kill();
        }
        assert_eq!(disk.image().into_keys().collect::<Vec<_>>(), ["kept", "log"]);
    }
}

fn begun(disk: &SimDisk) -> Ticket {
    disk.begin_next(0).unwrap().0
}

#[test]
fn a_disk_knows_whether_somebody_read_what_had_rotted() {
    let mut disk = SimDisk::new(3);
    let file = put(&mut disk, "log", &[7; 100]);
    put(&mut disk, "other", &[7; 1]);
    let (name, bit) = disk.flip_bit(|_, _| false).expect("there is something to rot");
    assert_eq!(name, "log");
    assert_eq!(disk.rot_read(), None);
    let before = usize::try_from(bit / 8).unwrap();
    disk.read_at(file, 0, before).unwrap();
    disk.read_at(file, bit / 8 + 1, 100).unwrap();
    assert_eq!(disk.rot_read(), None, "around it, not it");
    disk.read_at(file, 0, before + 1).unwrap();
    assert_eq!(disk.rot_read(), Some((name, bit)));

    let (_, bit) = disk.flip_bit(|_, _| false).unwrap();
    disk.write_at(file, bit / 8, Bytes::from_static(b"8"));
    settle(&disk);
    disk.read_at(file, 0, 100).unwrap();
    assert_eq!(disk.rot_read(), None, "it was written over before");
}
