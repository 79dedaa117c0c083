//! Bytes that are read as `jsonl`.
#![no_main]

#[path = "../promises.rs"]
mod promises;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| promises::hold(Some(history::Format::JsonLines), bytes));
