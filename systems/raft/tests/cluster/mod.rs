//! What the tests do with a cluster in a box.
#![allow(unreachable_pub, clippy::unwrap_used, reason = "a test may stop where it stands")]

pub mod lives;
