//! Final reads: when the run is over and healed, everything is looked at once more.
//!
//! An acknowledged write that was lost shows here at the latest. So each of these ops is asked until it is
//! answered, three times at most, by different processes in turn; what nobody answered is counted, since
//! what was not read was not checked.

use std::collections::{BTreeMap, VecDeque};

use history::{Key, Kind, Observation, Process};

use crate::seam::{Next, Now};

/// How often a final read is tried before it is given up.
const TRIES: u32 = 3;

/// Asks each of some ops until it is answered. A part of generators; not one by itself.
#[derive(Clone, Debug)]
pub struct FinalReads<Op> {
    /// What is to be asked, and how often that was tried.
    due: VecDeque<(Question<Op>, u32)>,
    /// Who asks what right now, and how often that was tried before.
    open: BTreeMap<Process, (Question<Op>, u32)>,
    /// Who was asked last: they take turns.
    last: Option<Process>,
    given_up: usize,
}

type Question<Op> = (Option<Key>, Op);

impl<Op: Clone> FinalReads<Op> {
    /// These ops, in this order.
    pub fn new(questions: impl IntoIterator<Item = (Option<Key>, Op)>) -> FinalReads<Op> {
        let due = questions.into_iter().map(|question| (question, 0)).collect();
        FinalReads { due, open: BTreeMap::new(), last: None, given_up: 0 }
    }

    /// What comes next.
    pub fn next(&mut self, now: Now<'_>) -> Next<Op> {
        if self.due.is_empty() && self.open.is_empty() {
            return Next::Done;
        }
        let behind = now.free.iter().find(|&&process| self.last.is_none_or(|last| process > last));
        let Some(&process) = behind.or(now.free.first()) else { return Next::Wait { until: None } };
        let Some((question, tries)) = self.due.pop_front() else { return Next::Wait { until: None } };
        let (key, op) = question.clone();
        self.open.insert(process, (question, tries));
        self.last = Some(process);
        Next::Invoke { process, key, op }
    }

    /// A line of the history.
    pub fn observe<Ret>(&mut self, seen: &Observation<Op, Ret>) {
        if matches!(seen.kind, Kind::Invoke(_)) {
            return;
        }
        let Some((question, tries)) = self.open.remove(&seen.process) else { return };
        if matches!(seen.kind, Kind::Ok(_)) {
            return;
        }
        if tries + 1 < TRIES {
            self.due.push_back((question, tries + 1));
        } else {
            self.given_up += 1;
        }
    }

    /// How many were tried often enough and never answered.
    pub fn given_up(&self) -> usize {
        self.given_up
    }
}
