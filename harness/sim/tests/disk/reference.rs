//! Random lives beside a disk that is so simple that it must be right: whole files, copied at each sync,
//! and for every byte the set of values that a power cut may leave.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sim::disk::{Lost, SimDisk};
use wal::Disk;

use crate::clock::settle;

/// A file as it is, and as it was after each change since the last sync.
#[derive(Clone, Debug, PartialEq, Default)]
struct Plain {
    versions: Vec<Vec<u8>>,
}

impl Plain {
    fn new() -> Plain {
        Plain { versions: vec![Vec::new()] }
    }

    fn now(&self) -> &Vec<u8> {
        self.versions.last().unwrap()
    }

    fn edit(&mut self, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut next = self.now().clone();
        edit(&mut next);
        self.versions.push(next);
    }

    fn sync(&mut self) {
        self.versions.drain(..self.versions.len() - 1);
    }

    /// Whether a power cut may leave these bytes: each was there at some time since the last sync, or is
    /// a zero where the file was too short for it.
    fn may_leave(&self, left: &[u8]) -> bool {
        left.iter().enumerate().all(|(place, byte)| {
            *byte == 0 && self.versions.iter().any(|version| version.len() <= place)
                || self.versions.iter().any(|version| version.get(place) == Some(byte))
        })
    }
}

#[derive(Clone, Default)]
struct Reference {
    names: BTreeMap<String, usize>,
    certain_names: BTreeMap<String, usize>,
    files: Vec<Plain>,
}

impl Reference {
    fn image(&self) -> BTreeMap<String, Vec<u8>> {
        self.names.iter().map(|(name, &file)| (name.clone(), self.files[file].now().clone())).collect()
    }

    fn open(&mut self, name: &str) -> usize {
        if let Some(&file) = self.names.get(name) {
            return file;
        }
        self.files.push(Plain::new());
        self.names.insert(name.to_owned(), self.files.len() - 1);
        self.files.len() - 1
    }

    fn check_cut(&self, left: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
        let all: BTreeSet<&String> = self.names.keys().chain(self.certain_names.keys()).collect();
        for name in all {
            let may_be = [self.names.get(name), self.certain_names.get(name)];
            let explained = may_be.into_iter().any(|file| match (file, left.get(name)) {
                (None, None) => true,
                (Some(&file), Some(bytes)) => self.files[file].may_leave(bytes),
                _ => false,
            });
            if !explained {
                return Err(format!("{name} cannot be like this: {:?}", left.get(name)));
            }
        }
        Ok(())
    }

    /// Goes on from what the power cut left.
    fn adopt(&mut self, left: BTreeMap<String, Vec<u8>>) {
        *self = Reference::default();
        for (name, bytes) in left {
            let file = self.open(&name);
            self.files[file].versions = vec![bytes];
        }
        self.certain_names = self.names.clone();
    }
}

/// Zeros at the end of a file are not counted as bytes.
fn without_zeros(image: &BTreeMap<String, Vec<u8>>) -> BTreeMap<&String, &[u8]> {
    let data = |bytes: &Vec<u8>| bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    image.iter().map(|(name, bytes)| (name, &bytes[..data(bytes)])).collect()
}

/// One life. `forgetful` leaves out the syncs on the real disk, which must show.
fn live(seed: u64, forgetful: bool) -> Result<(), String> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut disk = SimDisk::new(seed);
    let mut plain = Reference::default();
    for step in 0..150 {
        let name = format!("f{}", rng.random_range(0..4));
        match rng.random_range(0..20) {
            0..8 => {
                let (offset, length) = (rng.random_range(0..2000), rng.random_range(1..1500));
                let bytes: Vec<u8> =
                    (0..length).map(|_| u8::try_from(rng.next_u32() % 256).unwrap()).collect();
                let file = plain.open(&name);
                plain.files[file].edit(|now| {
                    now.resize(now.len().max(offset + length), 0);
                    now[offset..offset + length].copy_from_slice(&bytes);
                });
                let file = disk.open(&name).unwrap();
                disk.write_at(file, offset as u64, Bytes::from(bytes));
            }
            8..10 => {
                let length = rng.random_range(0..3000);
                let file = plain.open(&name);
                plain.files[file].edit(|now| now.resize(length, 0));
                let file = disk.open(&name).unwrap();
                disk.set_len(file, length as u64);
            }
            10..13 => {
                let file = plain.open(&name);
                plain.files[file].sync();
                let file = disk.open(&name).unwrap();
                if !forgetful {
                    disk.sync(file);
                }
            }
            13 if plain.names.contains_key(&name) => {
                let to = format!("f{}", rng.random_range(0..4));
                let file = plain.names.remove(&name).unwrap();
                plain.names.insert(to.clone(), file);
                disk.rename(&name, &to);
            }
            14 if plain.names.contains_key(&name) => {
                plain.names.remove(&name);
                disk.remove(&name);
            }
            15..17 => {
                plain.certain_names = plain.names.clone();
                disk.sync_dir();
            }
            17 => {
                let lost = disk.cut_power();
                let left = disk.image();
                plain.check_cut(&left).map_err(|error| format!("step {step}: {error}"))?;
                if lost == Lost::default() && without_zeros(&left) != without_zeros(&plain.image()) {
                    return Err(format!("step {step}: something was lost and not counted"));
                }
                plain.adopt(left);
            }
            18 => disk.kill(),
            _ => {}
        }
        settle(&disk);
        if disk.image() != plain.image() {
            return Err(format!("step {step}: a process sees something else"));
        }
    }
    Ok(())
}

#[test]
fn the_disk_shows_and_keeps_what_a_plain_one_would() {
    for seed in 0..300 {
        live(seed, false).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

/// The test above can fail: without syncs, bytes come back that must be gone.
#[test]
fn a_disk_without_syncs_is_found_out() {
    let caught = (0..50).filter(|&seed| live(seed, true).is_err()).count();
    assert!(caught > 40, "only {caught} of 50 lives noticed");
}
