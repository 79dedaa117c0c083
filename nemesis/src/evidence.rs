//! What proves that a fault bit.
//!
//! A test can pass because the system is right, or because the fault never happened: the rule did
//! not match, the process was dead already, nobody spoke over the cut link. Jepsen's users know both
//! and cannot tell them apart. So a fault leaves evidence, gathered by whoever carried it out, and
//! [`bite`](crate::bite::bite) judges it. A run that asked for faults and in which none bit is
//! `unknown`, not `valid`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{Link, NodeId};
use crate::span::Span;

/// What a cut link kept from arriving. All numbers count from the cut on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkCounts {
    /// Connections that were closed, or turned away at once.
    pub refused: u64,
    /// Connections that were open, or came in, and stood still.
    pub held: u64,
    /// Bytes that waited on them.
    pub bytes: u64,
    /// Connections to the same node of which nobody knew who had dialled them. They passed, and may have
    /// been this link's.
    #[serde(default, skip_serializing_if = "is_none")]
    pub strangers: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

impl LinkCounts {
    /// Whether the cut kept anything from arriving. A connection that merely stood still while
    /// nobody spoke over it does not count.
    pub fn bit(&self) -> bool {
        self.refused > 0 || self.bytes > 0
    }
}

/// A process that died, as its parent saw it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Death {
    /// Whose process.
    pub node: NodeId,
    /// Its number.
    pub pid: u32,
    /// How it ended, from `wait`: `signal 9`, or `exit 3` when it had ended before the signal came.
    pub status: String,
    /// Whether this fault is what ended it, and in its own way: one that was asked to stop and had to be
    /// killed did not.
    pub killed: bool,
}

/// A process that was started in the place of a dead one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Birth {
    /// Whose process.
    pub node: NodeId,
    /// The number of the new one.
    pub pid: u32,
}

/// What the kernel says a process is doing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessState {
    /// Whose process.
    pub node: NodeId,
    /// Its number.
    pub pid: u32,
    /// The letter of its state: `T` while it is stopped, `S` or `R` when it goes on.
    pub state: char,
}

impl ProcessState {
    /// The state of a process that was stopped by a signal.
    pub const STOPPED: char = 'T';

    /// Whether it stands still.
    pub fn still(&self) -> bool {
        self.state == ProcessState::STOPPED
    }
}

/// A node that would not open its disk, and so did not start.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Which.
    pub node: NodeId,
    /// Why, in its own words.
    pub words: String,
}

/// A member that was to be taken out of the cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Removal {
    /// The number of the member, as the system writes it; empty if it could not be learned.
    pub member: String,
    /// Whether it led when that was asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub led: bool,
    /// How long it took until the others had done it, or would not.
    pub took: Span,
    /// Why it is a member still, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A member that took an empty seat.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Joining {
    /// The number of the new member, as the system writes it.
    pub member: String,
    /// How long it took until it was a member, from when that was asked.
    pub took: Span,
    /// How long it then was a learner; none if it joined as a voter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learned: Option<Span>,
    /// Whether it has a vote now.
    pub votes: bool,
}

/// What a disk no longer holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// Bytes that were written and are not there, or are there as they were before.
    pub bytes: u64,
    /// Files that were made, renamed or removed, and are not, or are again.
    pub names: u64,
}

/// A bit on a disk that is no longer what it was.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rot {
    /// In which file.
    pub file: String,
    /// In which of its bytes, counted from 0.
    pub byte: u64,
    /// Which of the eight, counted from the least.
    pub bit: u8,
}

/// What became of messages on a link, from the fault on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PacketCounts {
    /// Never arrived.
    pub lost: u64,
    /// Arrived twice.
    pub duplicated: u64,
    /// Took longer than in fine weather.
    pub delayed: u64,
    /// Arrived after one that had left later.
    pub overtaken: u64,
}

/// How far the clocks of a node are from the truth, in nanoseconds: ahead if positive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offsets {
    /// The wall clock.
    pub wall: i64,
    /// The monotonic one.
    pub mono: i64,
}

/// The clocks of a node around one half of a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockReading {
    /// Before anything was done to them.
    pub before: Offsets,
    /// After it.
    pub after: Offsets,
    /// How often the wall clock had jumped by then since the fault began.
    #[serde(default, skip_serializing_if = "is_none")]
    pub jumps: u64,
    /// How often by then the node had used its wall clock, since the fault began: to stamp something.
    #[serde(default, skip_serializing_if = "is_none")]
    pub stamps: u64,
    /// How many timers had run out by then on its monotonic clock, since the fault began.
    #[serde(default, skip_serializing_if = "is_none")]
    pub timers: u64,
}

/// What a disk did to those who used it, from the fault on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiskCounts {
    /// Syncs that took longer than they would have, or were not done before the heal.
    #[serde(skip_serializing_if = "is_none")]
    pub slowed: u64,
    /// Errors that it answered with.
    #[serde(skip_serializing_if = "is_none")]
    pub errors: u64,
    /// Bytes that a failed sync should have made safe, and that are lost.
    #[serde(skip_serializing_if = "is_none")]
    pub lost: u64,
}

/// What carrying out one half of a fault (its injection or its heal) left behind. It goes into the
/// history as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Evidence {
    /// Per link that was cut, what it kept from arriving.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<Link, LinkCounts>,
    /// Who died.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deaths: Vec<Death>,
    /// Who was started again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub births: Vec<Birth>,
    /// What those were doing who are to go on, before they were told to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<ProcessState>,
    /// Who was stopped, or told to go on, and what became of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<ProcessState>,
    /// Who was to be started again and would not open its disk.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<Refusal>,
    /// Whose seat was to be emptied, and what became of that.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub removals: BTreeMap<NodeId, Removal>,
    /// Whose seat was taken by a new member.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub joinings: BTreeMap<NodeId, Joining>,
    /// What the disks of those who lost their power, or were wiped, no longer hold.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub lost: BTreeMap<NodeId, Loss>,
    /// Which bit rotted on whose disk; at the heal, those that somebody has read since.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rotten: BTreeMap<NodeId, Rot>,
    /// Per link that had weather, what it did.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub packets: BTreeMap<Link, PacketCounts>,
    /// Whose clocks were put out, or set right, and what they said before and after.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub clocks: BTreeMap<NodeId, ClockReading>,
    /// Whose disk was in trouble, and what that did.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub disks: BTreeMap<NodeId, DiskCounts>,
}
