//! Whether a fault bit, and the one fact that shows it.

use std::time::Duration;

use itertools::Itertools as _;

use crate::evidence::{ClockReading, Death, DiskCounts, Evidence, Loss, PacketCounts, ProcessState};
use crate::fault::{Fault, Skew};
use crate::ids::NodeId;

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
        Fault::Packets { .. } => packets_bit(healed),
        Fault::Kill { .. } => kill_bit(injected, healed),
        Fault::Pause { .. } => pause_bit(injected, healed, met),
        Fault::Power { .. } => loss_bit(injected, healed, "by power cut", "was synced, so nothing was lost"),
        Fault::Wipe { .. } => loss_bit(injected, healed, "to be wiped", "was there to be wiped"),
        Fault::BitFlip { .. } => rot_bit(injected, healed),
        Fault::Clock { skew, .. } => clock_bit(*skew, injected, healed, met),
        Fault::SlowDisk { .. } => {
            disk_bit(healed, |disk| disk.slowed, "waited longer than it had to", "no sync took any longer")
        }
        Fault::FullDisk { .. } => disk_bit(
            healed,
            |disk| disk.errors,
            "was refused for want of room",
            "nothing was refused for want of room",
        ),
        Fault::FailedSync { .. } => {
            disk_bit(healed, |disk| disk.errors, "failed", "no sync was asked for, so none failed")
        }
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

fn packets_bit(healed: &Evidence) -> Bite {
    let all = healed.packets.values().fold(PacketCounts::default(), |all, link| PacketCounts {
        lost: all.lost + link.lost,
        duplicated: all.duplicated + link.duplicated,
        delayed: all.delayed + link.delayed,
        overtaken: all.overtaken + link.overtaken,
    });
    let counts = [
        (all.lost, "lost"),
        (all.duplicated, "duplicated"),
        (all.delayed, "delayed"),
        (all.overtaken, "overtaken"),
    ];
    let said = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .join(", ");
    if said.is_empty() {
        return Bite::Missed("no message met the weather".to_owned());
    }
    Bite::Bit(format!("of the messages, {said}"))
}

/// One that died of the fault, and either lives again as another process or said why it does not.
fn struck<'a>(injected: &'a Evidence, healed: &Evidence) -> Result<&'a Death, Bite> {
    let reborn =
        |death: &Death| healed.births.iter().any(|birth| birth.node == death.node && birth.pid != death.pid);
    let judged = |death: &Death| reborn(death) || refusal(healed, death.node).is_some();
    let mut killed = injected.deaths.iter().filter(|death| death.killed).peekable();
    if killed.peek().is_none() {
        return Err(Bite::Missed("no process died of it".to_owned()));
    }
    let missed = || Bite::Missed("no killed node came back as a new process".to_owned());
    killed.find(|death| judged(death)).ok_or_else(missed)
}

fn refusal(healed: &Evidence, node: NodeId) -> Option<&str> {
    healed.refusals.iter().find(|refusal| refusal.node == node).map(|refusal| refusal.words.as_str())
}

/// ` and would not start again: …`, if so it was.
fn afterwards(healed: &Evidence, node: NodeId) -> String {
    refusal(healed, node).map(|words| format!(", and would not start again: {words}")).unwrap_or_default()
}

fn kill_bit(injected: &Evidence, healed: &Evidence) -> Bite {
    let Death { node, pid, status, .. } = match struck(injected, healed) {
        Ok(death) => death,
        Err(missed) => return missed,
    };
    Bite::Bit(format!("{node} (process {pid}) ended by {status}{}", afterwards(healed, *node)))
}

/// A power cut that loses nothing is a kill, and there is a fault for that.
fn loss_bit(injected: &Evidence, healed: &Evidence, how: &str, nothing: &str) -> Bite {
    if let Err(missed) = struck(injected, healed) {
        return missed;
    }
    let lost = |loss: &Loss| loss.bytes > 0 || loss.names > 0;
    match injected.lost.iter().find(|(_, loss)| lost(loss)) {
        None => Bite::Missed(format!("all that was written {nothing}")),
        Some((node, Loss { bytes, names })) => {
            let after = afterwards(healed, *node);
            Bite::Bit(format!("{node} ended {how}, {bytes} bytes and {names} names were lost{after}"))
        }
    }
}

fn rot_bit(injected: &Evidence, healed: &Evidence) -> Bite {
    if let Err(missed) = struck(injected, healed) {
        return missed;
    }
    let found = |node: &NodeId| refusal(healed, *node).is_some();
    let Some((node, rot)) = injected.rotten.iter().max_by_key(|(node, _)| found(node)) else {
        return Bite::Missed("no disk held anything that could rot".to_owned());
    };
    let after = match refusal(healed, *node) {
        Some(words) => format!("it found that out and refused to start: {words}"),
        None => "it started all the same".to_owned(),
    };
    Bite::Bit(format!("bit {} of byte {} of `{}` on {node} rotted, and {after}", rot.bit, rot.byte, rot.file))
}

/// A clock must have moved by half of what was meant, in that direction: the rest may be the time that it
/// took to look.
fn clock_bit(skew: Skew, injected: &Evidence, healed: &Evidence, met: Met) -> Bite {
    let moved = |node: &NodeId, begun: &ClockReading| -> Option<String> {
        let ended = healed.clocks.get(node).copied().unwrap_or_default();
        match skew {
            Skew::Jump { by } => {
                let offset = begun.after.wall.saturating_sub(begun.before.wall);
                towards(offset, by.0)
                    .then(|| format!("the wall clock of {node} jumped by {} ms", millis(offset)))
            }
            Skew::Drift { percent } => {
                let offset = ended.before.mono.saturating_sub(begun.after.mono);
                let lasted = i64::try_from(met.lasted.as_nanos()).unwrap_or(i64::MAX);
                let meant = lasted / 100 * i64::from(percent);
                let said = || format!("the clock of {node} drifted by {} ms", millis(offset));
                towards(offset, meant).then(said)
            }
            Skew::Strobe { .. } => {
                (ended.jumps > 0).then(|| format!("the wall clock of {node} jumped {} times", ended.jumps))
            }
        }
    };
    match injected.clocks.iter().find_map(|(node, begun)| moved(node, begun)) {
        Some(because) => Bite::Bit(because),
        None => Bite::Missed("no clock moved as it was meant to".to_owned()),
    }
}

fn towards(offset: i64, meant: i64) -> bool {
    offset != 0 && offset.signum() == meant.signum() && offset.unsigned_abs() >= meant.unsigned_abs() / 2
}

fn millis(nanos: i64) -> i64 {
    nanos / 1_000_000
}

fn disk_bit(healed: &Evidence, count: impl Fn(&DiskCounts) -> u64, how: &str, nothing: &str) -> Bite {
    match healed.disks.iter().find(|(_, disk)| count(disk) > 0) {
        None => Bite::Missed(nothing.to_owned()),
        Some((node, disk)) => {
            let times = count(disk);
            let what = if times == 1 { "1 request".to_owned() } else { format!("{times} requests") };
            let after = afterwards(healed, *node);
            Bite::Bit(format!("{what} to the disk of {node} {how}{after}"))
        }
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
    use crate::evidence::{Birth, LinkCounts};
    use crate::fault::{Grudge, Sever};
    use crate::ids::{Link, cluster};

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
