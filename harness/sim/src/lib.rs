//! The cores in one thread, under a virtual clock, network and disk.
#![forbid(unsafe_code)]
