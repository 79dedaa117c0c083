//! What proves that a fault bit.
//!
//! A test can pass because the system is right, or because the fault never happened: the rule did
//! not match, the process was dead already, nobody spoke over the cut link. Jepsen's users know both
//! and cannot tell them apart. So a fault leaves evidence, gathered by whoever carried it out, and
//! [`bite`] judges it. A run that asked for faults and in which none bit is `unknown`, not `valid`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::ids::{Link, NodeId};

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
    /// Whether the signal of this fault is what ended it.
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
    /// Who was stopped, or told to go on, and what became of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<ProcessState>,
}

/// Whether a fault had an effect, and the fact that shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Bite {
    /// It had, and this is how one knows.
    Bit(String),
    /// Nothing shows that it had.
    Missed(String),
}

impl Bite {
    /// Whether it had an effect.
    pub fn bit(&self) -> bool {
        matches!(self, Bite::Bit(_))
    }
}

/// Judges a fault by what its injection and its heal left behind, and by how many client ops were
/// open or began in between: a cut that only the cluster's own heartbeats noticed was not tested by
/// anyone.
pub fn bite(fault: &Fault, injected: &Evidence, healed: &Evidence, ops: u64) -> Bite {
    if ops == 0 {
        return Bite::Missed("no client was active while it lasted".to_owned());
    }
    match fault {
        Fault::Partition { .. } => partition_bit(healed),
        Fault::Kill { .. } => kill_bit(injected, healed),
        Fault::Pause { .. } => pause_bit(injected, healed, ops),
    }
}

fn partition_bit(healed: &Evidence) -> Bite {
    let cut = healed.links.values().filter(|counts| counts.bit());
    let (links, refused, bytes) = cut.fold((0_u64, 0_u64, 0_u64), |(links, refused, bytes), counts| {
        (links + 1, refused + counts.refused, bytes + counts.bytes)
    });
    if links == 0 {
        return Bite::Missed("nothing was refused or held on a cut link".to_owned());
    }
    Bite::Bit(format!("{refused} connections refused and {bytes} bytes held on {links} cut links"))
}

fn kill_bit(injected: &Evidence, healed: &Evidence) -> Bite {
    let reborn =
        |death: &Death| healed.births.iter().any(|birth| birth.node == death.node && birth.pid != death.pid);
    match injected.deaths.iter().find(|death| death.killed && reborn(death)) {
        Some(death) => Bite::Bit(format!("{} (process {}) ended by {}", death.node, death.pid, death.status)),
        None if injected.deaths.iter().any(|death| death.killed) => {
            Bite::Missed("no killed node came back as a new process".to_owned())
        }
        None => Bite::Missed("no process died of the signal".to_owned()),
    }
}

fn pause_bit(injected: &Evidence, healed: &Evidence, ops: u64) -> Bite {
    let went_on =
        |stopped: &ProcessState| healed.states.iter().any(|after| after.pid == stopped.pid && !after.still());
    match injected.states.iter().find(|stopped| stopped.still() && went_on(stopped)) {
        Some(ProcessState { node, pid, .. }) => {
            Bite::Bit(format!("{node} (process {pid}) stood still while {ops} client ops were open"))
        }
        None if injected.states.iter().any(ProcessState::still) => {
            Bite::Missed("no stopped process lived to go on".to_owned())
        }
        None => Bite::Missed("no process stood still".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Grudge, Sever};
    use crate::ids::cluster;

    fn partition() -> Fault {
        Fault::Partition { grudge: Grudge::apart(NodeId(1), &cluster(3)), sever: Sever::Hold }
    }

    fn kept(refused: u64, held: u64, bytes: u64) -> Evidence {
        let link = Link::new(NodeId(1), NodeId(2));
        Evidence { links: [(link, LinkCounts { refused, held, bytes })].into(), ..Evidence::default() }
    }

    #[test]
    fn a_partition_bit_when_something_was_refused_or_held_while_clients_were_active() {
        let none = Evidence::default();
        assert!(bite(&partition(), &none, &kept(0, 1, 12), 5).bit());
        assert!(bite(&partition(), &none, &kept(1, 0, 0), 5).bit());
        assert!(!bite(&partition(), &none, &kept(1, 0, 0), 0).bit(), "no client was there to see it");
        assert!(!bite(&partition(), &none, &kept(0, 3, 0), 5).bit(), "idle connections lost nothing");
        assert!(!bite(&partition(), &none, &none, 5).bit());
    }

    #[test]
    fn a_kill_bit_when_the_signal_ended_the_process_and_another_took_its_place() {
        let kill = Fault::Kill { nodes: [NodeId(1)].into() };
        let died = |killed| {
            let death = Death { node: NodeId(1), pid: 40, status: "signal 9".to_owned(), killed };
            Evidence { deaths: vec![death], ..Evidence::default() }
        };
        let born =
            |node, pid| Evidence { births: vec![Birth { node: NodeId(node), pid }], ..Evidence::default() };
        assert!(bite(&kill, &died(true), &born(1, 41), 5).bit());
        assert!(!bite(&kill, &died(false), &born(1, 41), 5).bit(), "it had died of something else");
        assert!(!bite(&kill, &died(true), &born(2, 41), 5).bit(), "another node is not this one");
        assert!(!bite(&kill, &died(true), &born(1, 40), 5).bit(), "the same process never died");
        assert!(!bite(&kill, &died(true), &Evidence::default(), 5).bit());
    }

    #[test]
    fn a_pause_bit_when_a_process_stood_still_and_went_on_while_clients_were_active() {
        let pause = Fault::Pause { nodes: [NodeId(1)].into() };
        let seen = |pid, state| {
            let state = ProcessState { node: NodeId(1), pid, state };
            Evidence { states: vec![state], ..Evidence::default() }
        };
        assert!(bite(&pause, &seen(40, 'T'), &seen(40, 'S'), 5).bit());
        assert!(!bite(&pause, &seen(40, 'T'), &seen(40, 'S'), 0).bit(), "no client was there to see it");
        assert!(!bite(&pause, &seen(40, 'S'), &seen(40, 'S'), 5).bit(), "it never stood still");
        assert!(!bite(&pause, &seen(40, 'T'), &seen(40, 'T'), 5).bit(), "it never went on");
        assert!(!bite(&pause, &seen(40, 'T'), &seen(41, 'S'), 5).bit(), "another process took its place");
        assert!(!bite(&pause, &Evidence::default(), &Evidence::default(), 5).bit());
    }
}
