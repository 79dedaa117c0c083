//! Bytes that are read as `jepsen-log`.
#![no_main]

#[path = "../promises.rs"]
mod promises;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| promises::hold(Some(history::Format::JepsenLog), bytes));
