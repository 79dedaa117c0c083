//! What happens to whom in a move, as a mark, and what it costs.

use raft::script::Command;
use raft::{Change, NodeId};

use super::RaftModel;
use super::profile::Budget;
use super::state::{Move, State};
use crate::mark::Mark;

impl RaftModel {
    /// To whom a move happens, and the mark of what happens to it. (Time passes everywhere, and is no such move.)
    pub(super) fn cause(&self, state: &State, step: Move) -> (NodeId, Mark) {
        let next = u64::from(state.ops.len()) + 1;
        match step {
            Move::Deliver(letter) | Move::Twice(letter) | Move::Lose(letter) => (letter.to(), letter.0),
            Move::Elect(node) => (node, Mark(ELECT)),
            Move::Beat(node) => (node, Mark(BEAT)),
            Move::Sync(node) => (node, Mark(SYNC)),
            Move::Crash(node) => (node, Mark(CRASH)),
            Move::Tear(node) => (node, Mark(TEAR)),
            Move::Write(node) => (node, Mark(WRITE | next << 8)),
            Move::Read(node) => (node, Mark(READ | next << 8)),
            Move::Change(node, number) => (node, Mark(CHANGE | u64::from(number) << 8)),
            Move::Transfer(node, to) => (node, Mark(TRANSFER | u64::from(to.0) << 8)),
            Move::Abandon(node) => (node, Mark(ABANDON)),
            Move::Snapshot(node) => (node, Mark(SNAPSHOT)),
            Move::Fetch(node) => {
                (node, self.offered(&state.nodes, node).expect("only what is to be had is fetched"))
            }
            Move::Pass => unreachable!("time passes everywhere"),
        }
    }
}

/// Smaller numbers are no marks of messages, but say themselves what happens.
pub(super) const LARGE: u64 = 1 << 16;
pub(super) const ELECT: u64 = 1;
pub(super) const BEAT: u64 = 2;
pub(super) const SYNC: u64 = 3;
pub(super) const CRASH: u64 = 4;
pub(super) const TEAR: u64 = 5;
pub(super) const WRITE: u64 = 6;
pub(super) const READ: u64 = 7;
pub(super) const CHANGE: u64 = 8;
pub(super) const TRANSFER: u64 = 9;
pub(super) const ABANDON: u64 = 10;
pub(super) const SNAPSHOT: u64 = 11;
pub(super) const FETCH: u64 = 12;
pub(super) const PASS: u64 = 13;

/// What a change is, in the words of scripts.
pub(super) fn changes(words: &str) -> Vec<Change> {
    match format!("change 1 {words}").parse() {
        Ok(Command::Change(_, changes)) => changes,
        other => panic!("`{words}` is no change: {other:?}"),
    }
}

impl Budget {
    pub(super) fn is_spent(self) -> bool {
        self == Budget::default()
    }

    pub(super) fn spend(&mut self, step: Move) {
        let purse = match step {
            Move::Deliver(_) | Move::Sync(_) | Move::Abandon(_) | Move::Fetch(_) => return,
            Move::Twice(_) => &mut self.duplicates,
            Move::Lose(_) => &mut self.losses,
            Move::Elect(_) => &mut self.elections,
            Move::Beat(_) => &mut self.heartbeats,
            Move::Crash(_) | Move::Tear(_) => &mut self.crashes,
            Move::Write(_) => &mut self.writes,
            Move::Read(_) => &mut self.reads,
            Move::Change(..) => &mut self.changes,
            Move::Transfer(..) => &mut self.transfers,
            Move::Snapshot(_) => &mut self.snapshots,
            Move::Pass => &mut self.time,
        };
        *purse -= 1;
    }
}
