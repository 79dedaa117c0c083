//! One binary for all tests of this room: it links once.

mod check;
mod codec;
mod reference;
mod semantics;
mod snapshots;
mod strategies;
