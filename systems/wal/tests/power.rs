//! Cutting the power, flipping bits: what must be cut off is cut off, what must be refused is refused.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{entry, extend, group, identity, names, open, write};
use raft::{EntryId, HardState, Index, NodeId, Persist, PersistId, Suffix, Term};
use wal::{Completion, Group, Identity, MemoryDisk, OpenError, Operation, Options, Reason, Wal};

/// How long the record of an entry with 20 bytes is.
const RECORD: usize = 75;

/// A log of three groups; the mark stands at its beginning.
fn three_groups() -> (MemoryDisk, Wal<MemoryDisk>) {
    let disk = MemoryDisk::new();
    let (mut wal, _) = open(&disk).unwrap();
    extend(&mut wal, 1, &[20]);
    extend(&mut wal, 1, &[20, 20]);
    extend(&mut wal, 1, &[20]);
    (disk, wal)
}

fn refused(disk: &MemoryDisk) -> wal::Corrupt {
    let before = disk.image();
    let error = match open(disk) {
        Err(OpenError::Corrupt(corrupt)) => corrupt,
        Err(other) => panic!("refused for another reason: {other}"),
        Ok((_, recovered)) => panic!("opened with {}", names(&recovered)),
    };
    assert_eq!(disk.image(), before, "a log that is refused is left as it was");
    error
}

#[test]
fn a_new_disk_opens_empty_and_what_was_written_comes_back() {
    let (disk, wal) = three_groups();
    let chain = wal.chain_at(Index(4));
    disk.cut_power(|| false);
    let (wal, recovered) = open(&disk).unwrap();
    assert_eq!(names(&recovered), "1@t1 2@t1 3@t1 4@t1");
    assert_eq!(recovered.hard.term, Term(1));
    assert_eq!(recovered.entries[2], entry(3, 1, 20));
    assert_eq!(recovered.cut, None);
    assert_eq!(wal.chain_at(Index(4)), chain);
}

#[test]
fn a_tail_torn_at_any_byte_is_cut() {
    let (disk, mut wal) = three_groups();
    let before = disk.contents("00000001.seg").unwrap();
    extend(&mut wal, 1, &[5, 5]);
    let after = disk.contents("00000001.seg").unwrap();
    let differs: Vec<usize> = (0..after.len()).filter(|&at| before[at] != after[at]).collect();
    for at in differs[0]..=*differs.last().unwrap() {
        // The disk kept the beginning of the write, or its end.
        let beginning = [&after[..at], &before[at..]].concat();
        let end = [&before[..at], &after[at..]].concat();
        for torn in [beginning, end] {
            let disk = disk.copy();
            disk.put("00000001.seg", Some(&torn));
            let (mut wal, recovered) = open(&disk).unwrap();
            let kept = recovered.entries.len();
            assert!((4..=6).contains(&kept), "torn at {at}: {}", names(&recovered));
            let whole = torn == before || torn == after;
            assert!(!whole || recovered.cut.is_none(), "torn at {at}: nothing to cut");
            // What was torn stays dead, whatever is written in its place.
            extend(&mut wal, 2, &[3]);
            let (_, again) = open(&disk).unwrap();
            assert_eq!(again.entries.len(), kept + 1, "torn at {at}");
            assert_eq!(again.entries.last(), Some(&entry(kept as u64 + 1, 2, 3)));
        }
    }
}

#[test]
fn a_flipped_bit_before_a_later_group_is_refused_with_its_place() {
    let (disk, _wal) = three_groups();
    for byte in 128..128 + 3 * RECORD {
        let disk = disk.copy();
        disk.flip("00000001.seg", byte * 8 + byte % 8);
        let corrupt = refused(&disk);
        let place = (byte - 128) / RECORD;
        assert_eq!(corrupt.file, "00000001.seg");
        assert_eq!(corrupt.offset, (128 + place * RECORD) as u64, "bit in byte {byte}: {corrupt}");
        assert_eq!(corrupt.entry, Some(Index(place as u64 + 1)));
    }
}

#[test]
fn the_mark_gives_away_damage_to_the_last_group() {
    let (disk, mut wal) = three_groups();
    let last = 128 + 3 * RECORD;
    let unmarked = disk.copy();
    unmarked.flip("00000001.seg", last * 8);
    assert_eq!(
        names(&open(&unmarked).unwrap().1),
        "1@t1 2@t1 3@t1",
        "nothing stands behind it: it looks torn"
    );
    wal.idle();
    wal.settle();
    let marked = disk.copy();
    marked.flip("00000001.seg", last * 8);
    assert_eq!(refused(&marked).offset, last as u64);
    let blanked = disk.copy();
    blanked.blank("00000001.seg", last..last + RECORD);
    assert_eq!(refused(&blanked).reason, Reason::Blank);
}

/// The last group goes over the end of a segment, and the mark stands before it. The new segment's header was synced
/// before anything came behind it.
#[test]
fn a_header_that_rots_under_a_part_of_the_last_group_is_a_hole() {
    let (disk, mut wal) = three_groups();
    extend(&mut wal, 1, &[20, 200]);
    assert!(disk.contents("00000002.seg").unwrap()[128..].iter().any(|&byte| byte != 0));
    for byte in 0..128 {
        let disk = disk.copy();
        disk.flip("00000002.seg", byte * 8 + byte % 8);
        let corrupt = refused(&disk);
        assert_eq!((corrupt.file.as_str(), corrupt.offset), ("00000002.seg", 0), "bit in byte {byte}");
    }
}

#[test]
fn a_good_stop_leaves_no_window() {
    let (disk, wal) = three_groups();
    wal.close().unwrap();
    disk.blank("00000001.seg", 128 + 3 * RECORD..128 + 4 * RECORD);
    assert_eq!(refused(&disk).entry, Some(Index(4)));
}

#[test]
fn a_page_that_never_reached_the_disk_is_a_hole_when_later_groups_did() {
    let (disk, _wal) = three_groups();
    disk.blank("00000001.seg", 128 + RECORD..128 + 3 * RECORD);
    let corrupt = refused(&disk);
    assert_eq!((corrupt.entry, corrupt.reason), (Some(Index(2)), Reason::Blank));
}

#[test]
fn leftovers_of_a_truncation_are_not_resurrected() {
    let (disk, mut wal) = three_groups();
    // Over the place of 2@t1 and half of 3@t1; the records behind stay on the disk, sound.
    write(&mut wal, group(EntryId::new(1, 1), 2, &[20]));
    let (mut wal, recovered) = open(&disk).unwrap();
    assert_eq!(names(&recovered), "1@t1 2@t2");
    // The next group is torn away: what shows through is still dead.
    let before = disk.image();
    extend(&mut wal, 2, &[20]);
    let torn = disk.copy();
    torn.put("00000001.seg", before.get("00000001.seg").map(Vec::as_slice));
    assert_eq!(names(&open(&torn).unwrap().1), "1@t1 2@t2");
}

/// The segment that was cut is left behind at once, since the next entry does not fit into it: nothing
/// ever overwrites the records that were cut away.
#[test]
fn leftovers_in_a_segment_that_was_left_behind_are_not_resurrected() {
    let (disk, mut wal) = three_groups();
    write(&mut wal, group(EntryId::new(3, 1), 2, &[400]));
    wal.idle();
    wal.settle();
    assert_eq!(names(&open(&disk).unwrap().1), "1@t1 2@t1 3@t1 4@t2");
}

#[test]
fn a_power_cut_at_any_step_of_a_truncation_leaves_the_log_cut_or_not() {
    let base = MemoryDisk::new();
    let (mut wal, _) = open(&base).unwrap();
    for _ in 0..6 {
        extend(&mut wal, 1, &[100, 100]);
    }
    assert!(base.contents("00000003.seg").is_some(), "the truncation is to cross segments");
    drop(wal);
    let mut seen = std::collections::BTreeSet::new();
    for steps in 0.. {
        for kept in [false, true] {
            let disk = base.copy();
            let (mut wal, _) = open(&disk).unwrap();
            let number = wal.append(group(EntryId::new(2, 1), 2, &[30, 30])).unwrap();
            let mut durable = false;
            for _ in 0..steps {
                let Some((ticket, result)) = disk.run_one() else { break };
                durable |= wal.completed(ticket, result) == Some(Completion::Durable(number));
            }
            disk.cut_power(|| kept);
            let (_, recovered) = open(&disk).unwrap();
            let names = names(&recovered);
            let old = recovered.entries.len() == 12 && !durable;
            let cut = recovered.entries.len() == 2 && !durable;
            assert!(old || cut || names.starts_with("1@t1 2@t1 3@t2"), "after {steps} steps: {names}");
            assert!(!durable || names == "1@t1 2@t1 3@t2 4@t2", "after {steps} steps: {names}");
            seen.insert(names);
            if durable && kept {
                assert!(seen.len() >= 3, "the cut was never caught half done: {seen:?}");
                return;
            }
        }
    }
}

#[test]
fn rewriting_what_is_there_truncates_nothing() {
    let (disk, mut wal) = three_groups();
    let repeated: Vec<_> = (2..=5).map(|index| entry(index, 1, 20)).collect();
    let mut again = Group::default();
    let suffix = Suffix::new(EntryId::new(1, 1), repeated);
    again.add(Persist { id: PersistId(9), base: None, hard: None, suffix });
    wal.append(again).unwrap();
    disk.cut_power(|| false);
    assert_eq!(names(&open(&disk).unwrap().1), "1@t1 2@t1 3@t1 4@t1", "no acknowledged entry was at risk");
}

#[test]
fn segments_roll_by_entries_alone() {
    let sizes: Vec<usize> = (0..40).map(|n| n * 37 % 180).collect();
    let (one, two) = (MemoryDisk::new(), MemoryDisk::new());
    let (mut wal, _) = open(&one).unwrap();
    extend(&mut wal, 2, &sizes);
    let (mut wal, _) = open(&two).unwrap();
    extend(&mut wal, 1, &[500; 5]);
    write(&mut wal, group(EntryId::default(), 2, &sizes[..1]));
    for size in &sizes[1..] {
        wal.idle();
        extend(&mut wal, 2, &[*size]);
    }
    let headers = |disk: &MemoryDisk| -> Vec<(String, Vec<u8>)> {
        let image = disk.image().into_iter().filter(|(name, _)| name.contains(".seg"));
        image.map(|(name, bytes)| (name, bytes[..128].to_vec())).collect()
    };
    assert!(headers(&one).len() > 5);
    assert!(headers(&one) == headers(&two), "the headers differ");
    assert_eq!(open(&one).unwrap().1.entries, open(&two).unwrap().1.entries);
}

#[test]
fn an_entry_larger_than_a_segment_gets_its_own() {
    let disk = MemoryDisk::new();
    let (mut wal, _) = open(&disk).unwrap();
    extend(&mut wal, 1, &[10, 5000, 10]);
    assert!(disk.contents("00000002.seg").unwrap().len() > 5000);
    assert_eq!(names(&open(&disk).unwrap().1), "1@t1 2@t1 3@t1");
}

#[test]
fn a_missing_segment_is_refused_by_name() {
    let disk = MemoryDisk::new();
    let (mut wal, _) = open(&disk).unwrap();
    for _ in 0..6 {
        extend(&mut wal, 1, &[100, 100]);
    }
    for (gone, file) in [("00000002.seg", "00000002.seg"), ("00000001.seg", "00000001.seg")] {
        let disk = disk.copy();
        disk.put(gone, None);
        let corrupt = refused(&disk);
        assert_eq!((corrupt.file.as_str(), corrupt.reason), (file, Reason::Missing));
    }
    wal.close().unwrap();
    let last = disk.image().into_keys().rfind(|name| name.contains(".seg")).unwrap();
    disk.put(&last, None);
    let corrupt = refused(&disk);
    assert_eq!((corrupt.file, corrupt.reason), (last, Reason::Missing));
}

#[test]
fn segments_put_in_each_others_place_are_refused() {
    let disk = MemoryDisk::new();
    let (mut wal, _) = open(&disk).unwrap();
    for _ in 0..6 {
        extend(&mut wal, 1, &[100, 100]);
    }
    let image = disk.image();
    disk.put("00000002.seg", Some(&image["00000003.seg"]));
    disk.put("00000003.seg", Some(&image["00000002.seg"]));
    assert_eq!(refused(&disk).file, "00000001.seg", "its end is where the log stops making sense");
}

#[test]
fn the_folder_of_another_node_is_refused_and_left_alone() {
    let (disk, wal) = three_groups();
    drop(wal);
    let before = disk.image();
    let stranger =
        Identity { cluster: "test".into(), name: "n2".into(), node: NodeId(2), members: identity().members };
    let error = Wal::open(disk.clone(), &stranger, Options::default()).err().unwrap();
    let text = error.to_string();
    assert!(matches!(error, OpenError::WrongIdentity { .. }), "{text}");
    assert!(text.contains("n1 (\"n1\")") && text.contains("n2 (\"n2\")"), "{text}");
    assert_eq!(disk.image(), before);
}

#[test]
fn a_node_that_is_told_of_other_members_is_refused() {
    let (disk, wal) = three_groups();
    drop(wal);
    let before = disk.image();
    let alone = Identity { members: vec!["n1".into()], ..identity() };
    let text = Wal::open(disk.clone(), &alone, Options::default()).err().unwrap().to_string();
    assert!(text.contains("with members n1, n2") && text.ends_with("with members n1"), "{text}");
    assert_eq!(disk.image(), before);
}

#[test]
fn a_log_without_identity_or_term_is_refused() {
    let (disk, wal) = three_groups();
    drop(wal);
    let nameless = disk.copy();
    nameless.put("identity", None);
    assert_eq!(refused(&nameless).file, "identity");
    let forgetful = disk.copy();
    forgetful.put("hard", None);
    assert_eq!(refused(&forgetful).reason, Reason::Missing);
    let damaged = disk.copy();
    damaged.blank("hard", 0..8192);
    assert_eq!(refused(&damaged).reason, Reason::HardState);
}

#[test]
fn a_term_that_went_back_is_noticed_by_the_log() {
    let disk = MemoryDisk::new();
    let (mut wal, _) = open(&disk).unwrap();
    extend(&mut wal, 1, &[10]);
    let old = disk.contents("hard").unwrap();
    extend(&mut wal, 2, &[10]);
    disk.put("hard", Some(&old));
    assert_eq!(refused(&disk).reason, Reason::TermBehindLog);
}

#[test]
fn a_crash_at_any_step_of_the_first_start_does_no_harm() {
    // Opening waits for the disk, so the crash is a failure after so many writes, syncs and so on.
    for operation in
        [Operation::Write, Operation::SetLen, Operation::Sync, Operation::Rename, Operation::SyncDir]
    {
        for successes in 0..3 {
            for kept in 0_u32..32 {
                let disk = MemoryDisk::new();
                disk.fail(operation, successes, std::io::ErrorKind::Other);
                let first = open(&disk);
                assert!(
                    first.is_ok() || matches!(first, Err(OpenError::Disk(_))),
                    "{operation:?} {successes}"
                );
                // Each unsynced write and name is kept or lost, in all combinations of five.
                let mut asked = 0;
                disk.cut_power(|| {
                    asked += 1;
                    kept >> (asked % 5) & 1 == 1
                });
                disk.fail(Operation::Write, usize::MAX, std::io::ErrorKind::Other);
                let (_, recovered) = open(&disk).unwrap();
                assert!(recovered.entries.is_empty());
            }
        }
    }
}

#[test]
fn nothing_is_durable_after_a_failed_sync_or_on_a_full_disk() {
    type Break = fn(&MemoryDisk);
    let breaks: [(Break, &str); 3] = [
        (|disk| disk.fail(Operation::Sync, 0, std::io::ErrorKind::Other), "writing 00000001.seg"),
        (|disk| disk.fail(Operation::Write, 1, std::io::ErrorKind::Other), "writing"),
        (|disk| disk.set_capacity(0), "writing 00000001.seg"),
    ];
    for (fault, expected) in breaks {
        let (disk, mut wal) = three_groups();
        fault(&disk);
        wal.append(group(wal.last(), 1, &[10])).unwrap();
        let mut completions = Vec::new();
        while let Some((ticket, result)) = disk.run_one() {
            completions.extend(wal.completed(ticket, result));
        }
        let [Completion::Failed(failure)] = &completions[..] else { panic!("{completions:?}") };
        assert!(failure.to_string().contains(expected), "{failure}");
        assert!(wal.append(group(wal.last(), 1, &[10])).is_err(), "a failure is final");
        assert!(wal.close().is_err());
    }
}

#[test]
fn a_vote_survives_and_comes_before_the_entries_of_its_term() {
    let disk = MemoryDisk::new();
    let (mut wal, _) = open(&disk).unwrap();
    let mut both = group(wal.last(), 5, &[10]);
    both.add(Persist {
        id: PersistId(2),
        base: None,
        hard: Some(HardState { term: Term(5), vote: Some(NodeId(3)) }),
        suffix: None,
    });
    wal.append(both).unwrap();
    let mut terms = Vec::new();
    while let Some((ticket, result)) = disk.run_one() {
        wal.completed(ticket, result);
        let copy = disk.copy();
        let (_, recovered) = open(&copy).unwrap();
        terms.push((recovered.hard.term.0, recovered.entries.len()));
    }
    assert!(!terms.contains(&(0, 1)), "an entry before its term: {terms:?}");
    disk.cut_power(|| false);
    assert_eq!(open(&disk).unwrap().1.hard, HardState { term: Term(5), vote: Some(NodeId(3)) });
}

#[test]
fn what_a_killed_process_left_unsynced_is_synced_before_it_is_reported() {
    let (disk, mut wal) = three_groups();
    wal.append(group(wal.last(), 1, &[10])).unwrap();
    let written = disk.run_one().unwrap();
    assert!(written.1.is_ok());
    disk.kill();
    assert_eq!(names(&open(&disk).unwrap().1), "1@t1 2@t1 3@t1 4@t1 5@t1");
    disk.cut_power(|| false);
    assert_eq!(names(&open(&disk).unwrap().1), "1@t1 2@t1 3@t1 4@t1 5@t1");
}
