//! What proves that a fault bit.
//!
//! A test can pass because the system is right, or because the fault never happened: the rule did
//! not match, the process was dead already, nobody spoke over the cut link. Jepsen's users know both
//! and cannot tell them apart. So a fault leaves evidence, gathered by whoever carried it out, and
//! [`bite`] judges it. A run that asked for faults and in which none bit is `unknown`, not `valid`.

use std::collections::BTreeMap;
use std::time::Duration;

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
    /// What those were doing who are to go on, before they were told to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<ProcessState>,
    /// Who was stopped, or told to go on, and what became of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<ProcessState>,
}

/// What clients met with while a fault lasted: from the moment at which it had taken effect to the one
/// at which its end was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Met {
    /// Ops that were open or began.
    pub ops: u64,
    /// Of those that were asked of the fault's nodes, how many outlived it: they were open when it
    /// ended, or nobody will ever know how they ended.
    pub outlived: u64,
    /// How long it lasted.
    pub lasted: Duration,
}

/// A machine that is busy makes a process wait for this long without any help of ours.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

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

/// Judges a fault by what its injection and its heal left behind, and by what clients met with in
/// between: a cut that only the cluster's own heartbeats noticed was not tested by anyone.
pub fn bite(fault: &Fault, injected: &Evidence, healed: &Evidence, met: Met) -> Bite {
    if met.ops == 0 {
        return Bite::Missed("no client was active while it lasted".to_owned());
    }
    match fault {
        Fault::Partition { .. } => partition_bit(healed),
        Fault::Kill { .. } => kill_bit(injected, healed),
        Fault::Pause { .. } => pause_bit(injected, healed, met),
    }
}

fn partition_bit(healed: &Evidence) -> Bite {
    let strangers = healed.links.values().map(|counts| counts.strangers).max().unwrap_or(0);
    if strangers > 0 {
        return Bite::Missed(format!("{strangers} connections of unknown origin may have passed the cut"));
    }
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

fn pause_bit(injected: &Evidence, healed: &Evidence, met: Met) -> Bite {
    let seen = |states: &[ProcessState], pid, still| {
        states.iter().any(|state| state.pid == pid && state.still() == still)
    };
    let stopped: Vec<&ProcessState> = injected.states.iter().filter(|state| state.still()).collect();
    let stayed: Vec<_> = stopped.iter().filter(|stopped| seen(&healed.found, stopped.pid, true)).collect();
    let went_on = stayed.iter().find(|stayed| seen(&healed.states, stayed.pid, false));
    match went_on {
        _ if stopped.is_empty() => Bite::Missed("no process stood still".to_owned()),
        _ if stayed.is_empty() => {
            Bite::Missed("no process still stood still when it was to go on".to_owned())
        }
        None => Bite::Missed("no stopped process lived to go on".to_owned()),
        Some(_) if met.lasted < SHORTEST_PAUSE => {
            Bite::Missed(format!("{:?} are too short to be told from a busy machine", met.lasted))
        }
        Some(_) if met.outlived == 0 => {
            Bite::Missed("every op that was asked of it was answered before it went on".to_owned())
        }
        Some(ProcessState { node, pid, .. }) => {
            Bite::Bit(format!("{node} (process {pid}) stood still, and {} outlived it", ops(met.outlived)))
        }
    }
}

fn ops(count: u64) -> String {
    if count == 1 { "1 client op".to_owned() } else { format!("{count} client ops") }
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
        let counts = LinkCounts { refused, held, bytes, strangers: 0 };
        Evidence { links: [(link, counts)].into(), ..Evidence::default() }
    }

    /// Five seconds in which so many ops were asked, and all of them outlived it.
    fn met(ops: u64) -> Met {
        Met { ops, outlived: ops, lasted: Duration::from_secs(5) }
    }

    #[test]
    fn a_partition_bit_when_something_was_refused_or_held_while_clients_were_active() {
        let none = Evidence::default();
        assert!(bite(&partition(), &none, &kept(0, 1, 12), met(5)).bit());
        assert!(bite(&partition(), &none, &kept(1, 0, 0), met(5)).bit());
        assert!(!bite(&partition(), &none, &kept(1, 0, 0), met(0)).bit(), "no client was there to see it");
        assert!(!bite(&partition(), &none, &kept(0, 3, 0), met(5)).bit(), "idle connections lost nothing");
        assert!(!bite(&partition(), &none, &none, met(5)).bit());
    }

    #[test]
    fn a_cut_that_someone_of_unknown_origin_passed_did_not_bite() {
        let mut healed = kept(1, 2, 300);
        assert!(bite(&partition(), &Evidence::default(), &healed, met(5)).bit());
        healed.links.values_mut().for_each(|counts| counts.strangers = 1);
        assert!(!bite(&partition(), &Evidence::default(), &healed, met(5)).bit());
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
        assert!(bite(&kill, &died(true), &born(1, 41), met(5)).bit());
        assert!(!bite(&kill, &died(false), &born(1, 41), met(5)).bit(), "it had died of something else");
        assert!(!bite(&kill, &died(true), &born(2, 41), met(5)).bit(), "another node is not this one");
        assert!(!bite(&kill, &died(true), &born(1, 40), met(5)).bit(), "the same process never died");
        assert!(!bite(&kill, &died(true), &Evidence::default(), met(5)).bit());
    }

    #[test]
    fn a_pause_bit_when_a_process_stood_still_to_its_end_and_went_on_and_an_op_outlived_it() {
        let pause = Fault::Pause { nodes: [NodeId(1)].into() };
        let seen = |pid, state| vec![ProcessState { node: NodeId(1), pid, state }];
        let stopped = |state| Evidence { states: seen(40, state), ..Evidence::default() };
        let healed = |found, pid, state| Evidence {
            found: seen(40, found),
            states: seen(pid, state),
            ..Evidence::default()
        };
        assert!(bite(&pause, &stopped('T'), &healed('T', 40, 'S'), met(5)).bit());
        let missed = |injected: Evidence, healed: Evidence, met| match bite(&pause, &injected, &healed, met) {
            Bite::Bit(because) => panic!("{because}"),
            Bite::Missed(because) => because,
        };
        let good = || (stopped('T'), healed('T', 40, 'S'));
        let unmet = |met| missed(good().0, good().1, met);
        assert_eq!(unmet(met(0)), "no client was active while it lasted");
        assert!(unmet(Met { outlived: 0, ..met(5) }).contains("was answered before it went on"));
        assert!(unmet(Met { lasted: Duration::from_millis(99), ..met(5) }).contains("too short"));
        assert_eq!(missed(stopped('S'), good().1, met(5)), "no process stood still");
        assert!(missed(good().0, healed('S', 40, 'S'), met(5)).contains("still stood still"));
        assert!(missed(good().0, healed('T', 40, 'T'), met(5)).contains("lived to go on"));
        assert!(missed(good().0, healed('T', 41, 'S'), met(5)).contains("lived to go on"));
        assert_eq!(missed(Evidence::default(), Evidence::default(), met(5)), "no process stood still");
    }
}
