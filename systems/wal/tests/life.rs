//! Random lives: groups, truncations, crashes at any moment, pages kept or lost at random. Whatever was
//! reported durable must be there after every crash, and the rest must be a log that once was.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{group, open};
use raft::{EntryId, Index};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wal::{Completion, GroupNumber, MemoryDisk, Wal};

/// What the log may be: the state that was acknowledged, and those that lead from it to the last one.
struct Expected {
    acknowledged: Vec<EntryId>,
    /// The group under way: the log as it would be after it.
    next: Option<(GroupNumber, Vec<EntryId>)>,
    term: u64,
}

impl Expected {
    fn acknowledge(&mut self, number: GroupNumber) {
        if let Some((_, log)) = self.next.take_if(|(under_way, _)| *under_way == number) {
            self.acknowledged = log;
        }
    }

    /// Either what was acknowledged, or what the group under way has in common with it and any
    /// beginning of what it adds.
    fn allows(&self, found: &[EntryId]) -> bool {
        if found == self.acknowledged {
            return true;
        }
        self.next.as_ref().is_some_and(|(_, next)| {
            let common = next.iter().zip(&self.acknowledged).take_while(|(a, b)| a == b).count();
            found.len() >= common && next.starts_with(found)
        })
    }
}

fn append(wal: &mut Wal<MemoryDisk>, expected: &mut Expected, rng: &mut ChaCha8Rng) {
    let mut log = expected.acknowledged.clone();
    if rng.random_ratio(1, 5) {
        expected.term += 1;
        log.truncate(log.len() - rng.random_range(0..=log.len().min(8)));
    }
    let after = log.last().copied().unwrap_or_default();
    let sizes: Vec<usize> = (0..rng.random_range(1..6)).map(|_| rng.random_range(0..200)).collect();
    log.extend((1..=sizes.len() as u64).map(|n| EntryId::new(after.index.0 + n, expected.term)));
    let number = wal.append(group(after, expected.term, &sizes)).unwrap();
    expected.next = Some((number, log));
}

/// One life. Says where it went wrong.
fn live(seed: u64, lies: bool) -> Result<(), String> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let disk = MemoryDisk::new();
    let mut expected = Expected { acknowledged: Vec::new(), next: None, term: 1 };
    let (mut wal, _) = open(&disk).map_err(|error| error.to_string())?;
    if lies {
        disk.lie_about_sync();
    }
    for step in 0..200 {
        match rng.random_range(0..20) {
            0 => {
                let kept = rng.next_u32() % 101;
                if rng.random_ratio(1, 4) {
                    disk.kill();
                } else {
                    disk.cut_power(|| rng.next_u32() % 100 < kept);
                }
                let (opened, recovered) = open(&disk).map_err(|error| format!("step {step}: {error}"))?;
                wal = opened;
                let found: Vec<EntryId> = recovered.entries.iter().map(|entry| entry.id).collect();
                if !expected.allows(&found) {
                    let lost = &expected.acknowledged;
                    return Err(format!("step {step}: acknowledged {lost:?}, found {found:?}"));
                }
                let newest = expected.acknowledged.last().map_or(0, |entry| entry.term.0);
                if recovered.hard.term.0 < newest {
                    return Err(format!("step {step}: term {} after {newest}", recovered.hard.term));
                }
                assert_eq!(wal.last(), found.last().copied().unwrap_or_default());
                expected.acknowledged = found;
                expected.next = None;
            }
            1 => wal.idle(),
            2..=7 if !wal.is_busy() => append(&mut wal, &mut expected, &mut rng),
            _ => {
                let Some((ticket, result)) = disk.run_one() else { continue };
                if let Some(Completion::Durable(number)) = wal.completed(ticket, result) {
                    expected.acknowledge(number);
                }
            }
        }
    }
    Ok(())
}

const LIVES: u64 = 1_000;

#[test]
fn what_was_acknowledged_survives_every_crash() {
    for seed in 0..LIVES {
        live(seed, false).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

/// The test above can fail: a disk that confirms syncs it never made is found out.
#[test]
fn a_disk_that_lies_about_syncs_is_found_out() {
    let caught = (0..50).filter(|&seed| live(seed, true).is_err()).count();
    assert!(caught > 25, "only {caught} of 50 lives noticed");
}

/// An owner that counts a group as safe before it is reported loses it.
#[test]
fn acknowledging_before_the_sync_is_found_out() {
    let disk = MemoryDisk::new();
    let (mut wal, _) = open(&disk).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut expected = Expected { acknowledged: Vec::new(), next: None, term: 1 };
    append(&mut wal, &mut expected, &mut rng);
    while wal.is_busy()
        && disk.contents("00000001.seg").is_none_or(|bytes| bytes.iter().skip(128).all(|&byte| byte == 0))
    {
        let (ticket, result) = disk.run_one().unwrap();
        wal.completed(ticket, result);
    }
    let (number, _) = expected.next.clone().unwrap();
    expected.acknowledge(number);
    disk.cut_power(|| false);
    let (_, recovered) = open(&disk).unwrap();
    let found: Vec<EntryId> = recovered.entries.iter().map(|entry| entry.id).collect();
    assert!(!expected.allows(&found), "the sync was still to come, and nothing was lost");
    assert_eq!(wal.last().index, Index(expected.acknowledged.len() as u64));
}
