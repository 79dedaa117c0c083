//! The cores in one thread, under a virtual clock, network and disk.
#![forbid(unsafe_code)]

#[expect(dead_code, reason = "the lives that ask this way come next")]
mod asking;
pub mod disk;
