//! Finds, made small.
//!
//! A find is worth what can be read of it. So a suite can be asked to make each of them small, and what it prints is
//! held against a measure: as many ops and faults as a person follows with a finger. That the small life still fails is
//! not believed: it is written as the file that a user gets, read again, and lived.

use std::sync::atomic::AtomicBool;

use sim::hunt::Found;
use sim::{Audience, LifeFile, NotSmall};

use super::Row;
use crate::common::count;
use crate::live::Board;

/// As many ops as a person follows with a finger.
pub(super) const OPS: usize = 12;
/// As many faults.
pub(super) const FAULTS: usize = 3;

/// A find, made small.
pub(super) struct Small {
    pub(super) ops: usize,
    pub(super) faults: usize,
    /// Whether the file of it fails in the same sort of way.
    pub(super) repeats: bool,
}

impl Small {
    /// Whether it is as small as it should be.
    pub(super) fn is_small(&self) -> bool {
        self.repeats && self.ops <= OPS && self.faults <= FAULTS
    }

    pub(super) fn text(&self) -> String {
        let size = format!("{}, {}", count(self.ops as u64, "op"), count(self.faults as u64, "fault"));
        if self.repeats { size } else { format!("{size}, and its file ends otherwise") }
    }
}

/// Makes all that was found small, one after the other, each on all threads.
pub(super) fn make_small(rows: &mut [Row], board: &Board, stop: &AtomicBool) {
    for row in rows {
        let Some(found) = &row.hunt.found else { continue };
        let bug = row.bug;
        let small = small(
            found,
            &mut |ops, faults, _| board.state(|| format!("{bug}: {ops} ops, {faults} faults")),
            stop,
        );
        let became = small.as_ref().map_or_else(NotSmall::to_string, Small::text);
        board.line(&format!("{bug} is made small: {became}"));
        row.small = Some(small);
    }
}

fn small(
    found: &Found,
    seen: &mut dyn FnMut(usize, usize, u64),
    stop: &AtomicBool,
) -> Result<Small, NotSmall> {
    let shrunk = found.plan.shrink(found.seed, seen, stop)?;
    let file = LifeFile::parse(&shrunk.file.to_json()).expect("what is written can be read");
    let again = file.live(Audience::nobody()).expect("what was lived can be lived again");
    let repeats = again.life.ending.sort() == found.sort;
    Ok(Small { ops: shrunk.ops, faults: shrunk.faults, repeats })
}
