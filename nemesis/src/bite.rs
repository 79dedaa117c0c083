//! Whether a fault bit, and the one fact that shows it.

use std::time::Duration;

use itertools::Itertools as _;

use crate::evidence::{
    ClockReading, Death, DiskCounts, Evidence, Joining, Loss, PacketCounts, ProcessState, Removal,
};
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
        Fault::Restart { .. } => restart_bit(injected, healed),
        Fault::Membership { node } => membership_bit(*node, injected, healed),
        Fault::Pause { .. } => pause_bit(injected, healed, met),
        Fault::Power { .. } => loss_bit(injected, healed, "by power cut", "was synced, so nothing was lost"),
        Fault::Wipe { .. } => loss_bit(injected, healed, "to be wiped", "was there to be wiped"),
        Fault::BitFlip { .. } => rot_bit(injected, healed),
        Fault::Clock { skew, .. } => clock_bit(*skew, injected, healed, met),
        Fault::SlowDisk { .. } => disk_bit(
            healed,
            |disk| disk.slowed,
            "no sync took any longer",
            |count| {
                if count == 1 { "waited longer than it had to" } else { "waited longer than they had to" }
            },
        ),
        Fault::FullDisk { .. } => disk_bit(
            healed,
            |disk| disk.errors,
            "nothing was refused for want of room",
            |count| {
                if count == 1 { "was refused for want of room" } else { "were refused for want of room" }
            },
        ),
        Fault::FailedSync { .. } => {
            disk_bit(healed, |disk| disk.errors, "no sync was asked for, so none failed", |_| "failed")
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

/// Who has to be killed because it will not stop was not tested for how it stops.
fn restart_bit(injected: &Evidence, healed: &Evidence) -> Bite {
    if !injected.deaths.iter().any(|death| death.killed) {
        return Bite::Missed("no process stopped when it was asked to".to_owned());
    }
    let Death { node, pid, status, .. } = match struck(injected, healed) {
        Ok(death) => death,
        Err(missed) => return missed,
    };
    Bite::Bit(format!("{node} (process {pid}) stopped when asked to ({status}){}", afterwards(healed, *node)))
}

/// The membership must have changed twice: one went, and another has its vote.
fn membership_bit(node: NodeId, injected: &Evidence, healed: &Evidence) -> Bite {
    let Some(Removal { member, led, refused, .. }) = injected.removals.get(&node) else {
        return Bite::Missed(format!("nobody was asked to remove {node}"));
    };
    if let Some(why) = refused {
        return Bite::Missed(format!("{node} stayed a member: {why}"));
    }
    let Some(Joining { member: successor, learned, votes, .. }) = healed.joinings.get(&node) else {
        return Bite::Missed(format!("nobody took the seat of member {member} on {node}"));
    };
    if !votes {
        return Bite::Missed(format!("member {successor} took the seat of {node} and never got a vote"));
    }
    let leading = if *led { ", which led," } else { "" };
    let learned = learned.map(|span| format!(" after {span} as a learner")).unwrap_or_default();
    Bite::Bit(format!(
        "member {member}{leading} was removed from {node}, and member {successor} got its vote{learned}"
    ))
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
    if injected.rotten.is_empty() {
        return Bite::Missed("no disk held anything that could rot".to_owned());
    }
    let found = |node: &NodeId| refusal(healed, *node).is_some();
    let met = injected.rotten.iter().filter(|(node, _)| found(node) || healed.rotten.contains_key(node));
    let Some((node, rot)) = met.max_by_key(|(node, _)| found(node)) else {
        return Bite::Missed("a bit rotted where nobody read".to_owned());
    };
    let after = match refusal(healed, *node) {
        Some(words) => format!("it found that out and refused to start: {words}"),
        None => "it was read, and the node started all the same".to_owned(),
    };
    Bite::Bit(format!("bit {} of byte {} of `{}` on {node} rotted, and {after}", rot.bit, rot.byte, rot.file))
}

/// A clock must have moved by half of what was meant, in that direction: the rest may be the time that it
/// took to look. And its node must have looked at it meanwhile: nobody is misled by the clock of a dead node, nor
/// by the wall clock of one that stamps nothing.
fn clock_bit(skew: Skew, injected: &Evidence, healed: &Evidence, met: Met) -> Bite {
    let moved = |node: &NodeId, begun: &ClockReading| -> Option<String> {
        let ended = healed.clocks.get(node).copied().unwrap_or_default();
        let used = match skew {
            Skew::Jump { .. } | Skew::Strobe { .. } => ended.stamps,
            Skew::Drift { .. } => ended.timers,
        };
        if used == 0 {
            return None;
        }
        match skew {
            Skew::Jump { by } => {
                let offset = begun.after.wall.saturating_sub(begun.before.wall);
                towards(offset, by.0).then(|| {
                    format!(
                        "{node} stamped {used} times after its wall clock had jumped by {} ms",
                        millis(offset)
                    )
                })
            }
            Skew::Drift { percent } => {
                let offset = ended.before.mono.saturating_sub(begun.after.mono);
                let lasted = i64::try_from(met.lasted.as_nanos()).unwrap_or(i64::MAX);
                let meant = lasted / 100 * i64::from(percent);
                let said = || {
                    format!("{used} timers ran out on {node}, whose clock drifted by {} ms", millis(offset))
                };
                towards(offset, meant).then(said)
            }
            Skew::Strobe { .. } => (ended.jumps > 0).then(|| {
                format!("{node} stamped {used} times while its wall clock jumped {} times", ended.jumps)
            }),
        }
    };
    match injected.clocks.iter().find_map(|(node, begun)| moved(node, begun)) {
        Some(because) => Bite::Bit(because),
        None => Bite::Missed("no node used a clock that moved as it was meant to".to_owned()),
    }
}

fn towards(offset: i64, meant: i64) -> bool {
    offset != 0 && offset.signum() == meant.signum() && offset.unsigned_abs() >= meant.unsigned_abs() / 2
}

fn millis(nanos: i64) -> i64 {
    nanos / 1_000_000
}

fn disk_bit(
    healed: &Evidence,
    count: impl Fn(&DiskCounts) -> u64,
    nothing: &str,
    how: impl Fn(u64) -> &'static str,
) -> Bite {
    let Some((node, disk)) = healed.disks.iter().find(|(_, disk)| count(disk) > 0) else {
        return Bite::Missed(nothing.to_owned());
    };
    let times = count(disk);
    let requests = if times == 1 { "1 request".to_owned() } else { format!("{times} requests") };
    Bite::Bit(format!("{requests} to the disk of {node} {}{}", how(times), afterwards(healed, *node)))
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
