//! Stretches of time in a row.
//!
//! Think of a value that is written once. All ops that speak of it, the write and its reads, take effect
//! in one unbroken stretch of time: once another value was written, this one never comes back. Call the
//! ops a *cluster*, and look at the end of the one that ended first, `F`, and at the start of the one that
//! began last, `S`. If some op of X ended before some op of Y began, that is `F(X) < S(Y)`, then X's
//! stretch lies before Y's.
//!
//! ```text
//! forward (F < S)                            backward (S < F)
//!     ├──write──┤F                               ├────write────┤
//!                      S├──read──┤                   S├─────read────┤
//!                                                              F
//!     the value was there from F to S           it was there at some moment between S and F
//! ```
//!
//! A row of all clusters exists exactly if no two of them must each come before the other: in any longer
//! circle, the cluster with the least `F` comes before every other one, so it makes a circle of two with
//! whoever comes before it. (Gibbons & Korach 1997; the zones are Anderson, Li et al.'s.) Two clusters do
//! so if both are forward and overlap, or if one is backward and lies wholly inside a forward one.
//!
//! The row itself: forward zones, which do not overlap, by their `S`. A backward zone takes place at its
//! `S`, or if that lies inside a forward zone, just behind that: it ends later than that one. So one walk
//! over the zones by rising `S` puts them in their place, and each is looked at twice.

use super::NONE;
use crate::mutant::Mutant;

/// What the ops of one cluster say of when its value was there. Lines are counted from 1; line 0 is
/// before all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Zone {
    /// The line on which the first of them ended; [`NEVER`] if none did, and then they say nothing.
    pub first_end: u32,
    /// The line on which the last of them began.
    pub last_start: u32,
    /// That op; [`NONE`] if they say nothing.
    pub last: u32,
}

/// The line on which open ops end.
pub(super) const NEVER: u32 = u32::MAX;

impl Zone {
    /// Of no ops.
    pub(super) const EMPTY: Zone = Zone { first_end: NEVER, last_start: 0, last: NONE };

    /// Whether anything is known to have taken effect.
    pub(super) fn happened(self) -> bool {
        self.first_end != NEVER
    }

    /// An op is one of them. Ops may come in any order.
    pub(super) fn add(&mut self, span: u32, from: u32, to: u32) {
        self.first_end = self.first_end.min(to);
        if from >= self.last_start {
            (self.last_start, self.last) = (from, span);
        }
    }

    /// One zone for both.
    pub(super) fn and(self, other: Zone) -> Zone {
        let later = if other.last_start >= self.last_start { other } else { self };
        Zone { first_end: self.first_end.min(other.first_end), ..later }
    }
}

/// The line of an index; none beyond four billion.
pub(super) fn line(index: u64) -> Option<u32> {
    u32::try_from(index).ok()?.checked_add(1).filter(|&line| line != NEVER)
}

/// The zones in a row, by their numbers; those that say nothing are left out. Else two of which each
/// must come before the other.
pub(super) fn arrange(zones: &[Zone], spans: usize, mutant: Mutant) -> Result<Vec<u32>, [u32; 2]> {
    let mut row = Row { zones, mutant, placed: Vec::with_capacity(zones.len()), waiting: Vec::new() };
    let mut last_forward = None;
    for number in by_last_start(zones, spans) {
        let zone = zones[number as usize];
        if zone.first_end > zone.last_start {
            row.waiting.push(number);
            continue;
        }
        if let Some(before) = last_forward.replace(number)
            && row.overlap(number, before)
        {
            return Err([before, number]);
        }
        row.place(number)?;
    }
    let Row { mut placed, waiting, .. } = row;
    placed.extend(waiting);
    Ok(placed)
}

/// Every op starts on a line of its own, so this takes a table and no sorting.
fn by_last_start(zones: &[Zone], spans: usize) -> impl Iterator<Item = u32> {
    let mut starting = vec![NONE; spans];
    for (number, zone) in (0..).zip(zones) {
        if zone.happened() && zone.last != NONE {
            starting[zone.last as usize] = number;
        }
    }
    starting.into_iter().filter(|&number| number != NONE)
}

struct Row<'z> {
    zones: &'z [Zone],
    mutant: Mutant,
    placed: Vec<u32>,
    /// Backward zones that start after the forward zone placed last.
    waiting: Vec<u32>,
}

impl Row<'_> {
    /// Whether a forward zone begins before the forward zone before it ends.
    fn overlap(&self, zone: u32, before: u32) -> bool {
        let slack = u32::from(self.mutant == Mutant::OverlapOffByOne);
        self.zones[zone as usize].first_end + slack < self.zones[before as usize].last_start
    }

    /// Places a forward zone, and the backward ones that were waiting for it.
    fn place(&mut self, forward: u32) -> Result<(), [u32; 2]> {
        let Zone { first_end, last_start, .. } = self.zones[forward as usize];
        let inside = self.waiting.partition_point(|&zone| self.zones[zone as usize].last_start < first_end);
        self.placed.extend(self.waiting.drain(..inside));
        self.placed.push(forward);
        for zone in self.waiting.drain(..) {
            if self.zones[zone as usize].first_end < last_start && self.mutant != Mutant::LetsBackwardPass {
                return Err([forward, zone]);
            }
            self.placed.push(zone);
        }
        Ok(())
    }
}
