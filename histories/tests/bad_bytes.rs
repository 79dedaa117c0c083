//! Whatever bytes a reader is given, it gives back a history or names the place where there is none.
//!
//! The corpora of the fuzz targets are replayed, and then changed a little, thousands of times, by a seeded
//! generator: bytes flipped, doubled, dropped, lines swapped, pieces of other files and of the grammar put in.
//! It is no substitute for a fuzzer that watches which branches are taken, but runs everywhere, each time.
#![expect(clippy::unwrap_used, reason = "the helpers are tests too")]

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use history::{Format, Plain, Reader};

#[path = "../fuzz/promises.rs"]
mod promises;

use promises::hold;

const TARGETS: [(&str, Option<Format>); 5] = [
    ("jsonl", Some(Format::JsonLines)),
    ("edn", Some(Format::JepsenEdn)),
    ("jepsen_log", Some(Format::JepsenLog)),
    ("porcupine_kv", Some(Format::PorcupineKv)),
    ("opening", None),
];

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// `SplitMix64`: enough to draw mistakes.
struct Draws(u64);

impl Draws {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let drawn = (mixed ^ (mixed >> 31)) % limit.max(1) as u64;
        usize::try_from(drawn).expect("it is below a usize")
    }
}

/// What the grammars are made of.
const PIECES: [&str; 26] = [
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "\"",
    "\\",
    ";",
    "#",
    "#_",
    "#{",
    ":",
    ",",
    "\n",
    "\t",
    "nil",
    "null",
    "-1",
    "1e999",
    "18446744073709551616",
    ":key nil",
    ":value [1 2]",
    ":process :nemesis",
    "\u{a0}é",
    ":result false",
];

/// A file with one to four mistakes in it.
fn mistaken(draws: &mut Draws, all: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = all[draws.below(all.len())].clone();
    for _ in 0..=draws.below(4) {
        let at = draws.below(bytes.len() + 1);
        let until = (at + 1 + draws.below(12)).min(bytes.len());
        match draws.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << draws.below(8),
            1 => drop(bytes.drain(at.min(until)..until)),
            2 => bytes.truncate(at),
            3 => {
                let piece = PIECES[draws.below(PIECES.len())].bytes();
                drop(bytes.splice(at..at, piece));
            }
            4 => {
                let other = &all[draws.below(all.len())];
                let from = draws.below(other.len() + 1);
                drop(bytes.splice(at..at, other[from..].iter().copied()));
            }
            5 => {
                let twice = bytes[at.min(until)..until].to_vec();
                drop(bytes.splice(at..at, twice));
            }
            _ => {
                let mut lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
                let (one, two) = (draws.below(lines.len()), draws.below(lines.len()));
                if !lines.is_empty() {
                    lines.swap(one, two);
                }
                bytes = lines.concat();
            }
        }
    }
    bytes
}

#[test]
fn every_file_of_the_corpora_is_read_or_refused_with_a_place() {
    for (target, format) in TARGETS {
        let files = corpus(target);
        assert!(files.len() >= 3, "{target}");
        for bytes in &files {
            hold(format, bytes);
        }
    }
}

#[test]
fn the_corpora_hold_what_can_be_read_and_what_cannot() {
    for (target, format) in TARGETS {
        let Some(format) = format else { continue };
        let read = corpus(target)
            .iter()
            .map(|bytes| Reader::<_, Plain>::of(format, bytes.as_slice()).read_all().is_ok())
            .collect::<Vec<_>>();
        assert!(read.contains(&true) && read.contains(&false), "{target}: {read:?}");
    }
}

#[test]
fn thousands_of_mistakes_are_read_or_refused_with_a_place() {
    for (target, format) in TARGETS {
        let files = corpus(target);
        for seed in 0..2_000 {
            let bytes = mistaken(&mut Draws(seed), &files);
            let outcome = std::panic::catch_unwind(|| hold(format, &bytes));
            assert!(outcome.is_ok(), "{target}, seed {seed}: {}", String::from_utf8_lossy(&bytes));
        }
    }
}

/// Says the same for ever.
struct Endless(&'static [u8]);

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let taken = self.0.len().min(into.len());
        into[..taken].copy_from_slice(&self.0[..taken]);
        Ok(taken)
    }
}

#[test]
fn a_line_without_end_is_refused_before_it_fills_the_memory() {
    for (format, text) in [
        (Format::JsonLines, "{\"index\":0,"),
        (Format::JepsenLog, "INFO "),
        (Format::PorcupineKv, "{:process 0 "),
        (Format::JepsenEdn, "{:a \\} \"b\" "),
    ] {
        // In big pieces, so that the test is about the limit and not about the time to reach it.
        let text: &'static [u8] = text.repeat(1 << 14).leak().as_bytes();
        let mut from = BufReader::with_capacity(1 << 20, Endless(text));
        assert!(!from.fill_buf().unwrap().is_empty());
        let error = Reader::<_, Plain>::of(format, from).read_all().unwrap_err().to_string();
        let expected = format!("is not a line of {format}: it is longer than 64 MiB");
        assert!(error.starts_with("line 1") && error.ends_with(&expected), "{error}");
    }
}
