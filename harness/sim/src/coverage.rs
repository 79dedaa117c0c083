//! What a life met: a life in which nothing went wrong proves nothing if nothing was tried.

use std::collections::BTreeMap;

use nemesis::Kind;
use raft::Membership;
use serde::Serialize;

/// What a life met.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Coverage {
    /// Things that happened.
    pub events: u64,
    /// Terms that had a leader.
    pub elections: u64,
    /// Logs that were cut back.
    pub truncations: u64,
    /// Torn writes that a node found and cut when it started.
    pub torn_tails: u64,
    /// Nodes that found their disk damaged and did not start.
    pub refusals: u64,
    /// Nodes that fenced themselves.
    pub halts: u64,
    /// Starts after the first.
    pub restarts: u64,
    /// Nodes that lost their power again while they recovered from that.
    pub relapses: u64,
    /// Another node came to lead.
    pub leader_changes: u64,
    /// Changes that a client asked for more than once, under one name, and had a reply to.
    pub answered_again: u64,
    /// Snapshots that came to a node's disk, its own and others'.
    pub snapshots: u64,
    /// Nodes that took on another's snapshot.
    pub installs: u64,
    /// Nodes that died while they fetched one.
    pub cut_fetches: u64,
    /// Logs that gave up their beginning.
    pub compactions: u64,
    /// Reads that a leader answered by its lease, asking nobody.
    pub lease_reads: u64,
    /// Members that were removed.
    pub removed: u64,
    /// Members that were added, as learners or as voters.
    pub added: u64,
    /// Learners that were given a vote.
    pub promoted: u64,
    /// Memberships in which two sets of voters decided.
    pub joint: u64,
    /// Leads that were given away, and taken over.
    pub transfers: u64,
    /// Members that joined later, and began with another's snapshot.
    pub joined_by_snapshot: u64,
    /// Faults injected, and those of them that had an effect, by kind.
    #[serde(skip)]
    pub faults: BTreeMap<Kind, (u64, u64)>,
}

/// What can be met besides faults, by name.
pub const MARKS: [&str; 19] = [
    "leader change",
    "log cut back",
    "torn tail",
    "damage found",
    "node fenced",
    "restart",
    "power cut in recovery",
    "asked again",
    "snapshot taken",
    "snapshot installed",
    "fetch cut short",
    "log shortened",
    "read by lease",
    "member removed",
    "member added",
    "learner promoted",
    "joint membership",
    "lead handed over",
    "joined by snapshot",
];

impl Coverage {
    /// How often each mark was met.
    pub fn marks(&self) -> [(&'static str, u64); MARKS.len()] {
        let met = [
            self.leader_changes,
            self.truncations,
            self.torn_tails,
            self.refusals,
            self.halts,
            self.restarts,
            self.relapses,
            self.answered_again,
            self.snapshots,
            self.installs,
            self.cut_fetches,
            self.compactions,
            self.lease_reads,
            self.removed,
            self.added,
            self.promoted,
            self.joint,
            self.transfers,
            self.joined_by_snapshot,
        ];
        std::array::from_fn(|place| (MARKS[place], met[place]))
    }

    /// The members were these, and are those now.
    pub(crate) fn members_changed(&mut self, before: &Membership, now: &Membership) {
        let (old, new) = (before.nodes(), now.nodes());
        self.removed += old.difference(&new).count() as u64;
        self.added += new.difference(&old).count() as u64;
        let promoted = before.learners().iter().filter(|node| now.voters().contains(**node));
        self.promoted += promoted.count() as u64;
        self.joint += u64::from(now.is_joint());
    }

    /// A fault of this kind ended, with an effect or without.
    pub(crate) fn fault(&mut self, kind: Kind, bit: bool) {
        let known = self.faults.entry(kind).or_default();
        known.0 += 1;
        known.1 += u64::from(bit);
    }
}

/// What many lives met, together: in how many of them each thing was met, and how often.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Table {
    /// How many lives.
    pub lives: u64,
    /// Things that happened, in all.
    pub events: u64,
    /// By kind of fault: lives in which one bit; faults injected; faults that bit.
    pub faults: BTreeMap<Kind, (u64, u64, u64)>,
    /// By mark: lives that met it; how often.
    pub marks: BTreeMap<&'static str, (u64, u64)>,
}

impl Table {
    /// One more life.
    pub fn add(&mut self, coverage: &Coverage) {
        self.lives += 1;
        self.events += coverage.events;
        for (kind, (injected, bit)) in &coverage.faults {
            let known = self.faults.entry(*kind).or_default();
            known.0 += u64::from(*bit > 0);
            known.1 += injected;
            known.2 += bit;
        }
        for (mark, times) in coverage.marks() {
            let known = self.marks.entry(mark).or_default();
            known.0 += u64::from(times > 0);
            known.1 += times;
        }
    }

    /// What was never met of what was asked for, by name.
    pub fn never_met(&self, asked: &[Kind]) -> Vec<String> {
        let faults = asked.iter().filter(|kind| self.faults.get(kind).is_none_or(|met| met.0 == 0));
        let marks = self.marks.iter().filter(|(_, met)| met.0 == 0);
        faults.map(ToString::to_string).chain(marks.map(|(mark, _)| (*mark).to_owned())).collect()
    }
}
