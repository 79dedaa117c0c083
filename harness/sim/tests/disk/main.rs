//! The simulated disk: what it loses and what it must not, and the log that stands on it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod clock;
mod crashes;
mod life;
mod reference;
mod troubles;
