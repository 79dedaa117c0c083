//! Carries out the schedule, and writes down each fault twice: when it is begun, and what it did.
//!
//! Faults take effect through calls that wait (for a process to die, for a node to come back), so the
//! nemesis has a thread of its own and hands the cluster back when it is done.

use std::sync::Arc;
use std::time::Instant;

use history::Operation;
use nemesis::{Action, Evidence, Fault, Kind, Met, Nemesis, Nodes, Seen, Time, bite};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::error::Error;
use crate::folder::Folder;
use crate::probe::Leadership;
use crate::progress::Progress;
use crate::recorder::{Moment, Recorder};
use crate::report::{FaultReport, Standing, Untested};

/// The nemesis of a run.
pub struct Player<O: Operation> {
    /// What comes next.
    pub nemesis: Nemesis,
    /// On whom.
    pub cluster: Cluster,
    /// Where it is written down.
    pub recorder: Arc<Recorder<O>>,
    /// Where `schedule.toml` is.
    pub folder: Folder,
    /// Who leads.
    pub leader: watch::Receiver<Leadership>,
    /// Who wants to know.
    pub progress: Arc<dyn Progress>,
    /// What is broken now, for the live line.
    pub broken: watch::Sender<Vec<String>>,
}

/// A fault that lasts.
struct Lasting {
    fault: Fault,
    began: Time,
    /// When it had taken effect, and how far clients had come by then.
    confirmed: Time,
    met: Moment,
    evidence: Evidence,
}

/// What became of the faults.
#[derive(Default)]
pub struct Played {
    /// Each that was injected and healed, in the order of their ends.
    pub faults: Vec<FaultReport>,
    /// Each that was given up, in a line that says why.
    pub skipped: Vec<(Kind, String)>,
    lasting: Vec<Lasting>,
    /// Those that could be healed only after the others.
    put_off: Vec<Fault>,
}

/// A new member joins when nothing else is broken. It needs a quorum of the others, and this thread would wait for one
/// that only it can bring back.
fn can_wait(fault: &Fault) -> bool {
    matches!(fault, Fault::Membership { .. })
}

impl<O: Operation> Player<O> {
    /// Plays until told to stop, then heals whatever is broken, unless the whole run was cancelled:
    /// then the cluster is about to be stopped anyway. Hands the cluster back.
    pub fn play(
        mut self,
        runtime: &Handle,
        stop: &CancellationToken,
        cancel: &CancellationToken,
    ) -> (Cluster, Result<Played, Error>) {
        let played = self.play_until(runtime, stop, cancel);
        (self.cluster, played)
    }

    fn play_until(
        &mut self,
        runtime: &Handle,
        stop: &CancellationToken,
        cancel: &CancellationToken,
    ) -> Result<Played, Error> {
        let mut played = Played::default();
        self.keep_schedule()?;
        while !stop.is_cancelled() {
            let seen = self.seen();
            match self.nemesis.next(self.recorder.time(), &seen) {
                Action::Inject(fault) => self.inject(fault, &mut played)?,
                Action::Heal(fault) if can_wait(&fault) => {
                    played.put_off.push(fault);
                    self.heal_the_rest(&mut played)?;
                }
                Action::Heal(fault) => {
                    self.heal(&fault, &mut played)?;
                    self.heal_the_rest(&mut played)?;
                }
                Action::Skip(aim, why) => {
                    let line = format!("{aim}: given up, {why}");
                    self.tell(&line);
                    played.skipped.push((aim.kind(), line));
                }
                Action::Wait(until) => {
                    let until = self.recorder.instant(until);
                    runtime.block_on(pause(until, stop));
                }
                Action::Done => runtime.block_on(stop.cancelled()),
            }
        }
        if cancel.is_cancelled() {
            return Ok(played);
        }
        let late = self.nemesis.waiting();
        let late = late.map(|step| {
            let line = format!("{} {}: given up, the run was over first", step.aim, step.start);
            (step.aim.kind(), line)
        });
        played.skipped.extend(late);
        let (late, at_once): (Vec<Fault>, Vec<Fault>) =
            self.nemesis.stop(self.recorder.time()).into_iter().partition(can_wait);
        for fault in at_once {
            self.heal(&fault, &mut played)?;
        }
        played.put_off.extend(late);
        self.heal_the_rest(&mut played)?;
        Ok(played)
    }

    /// Heals what was put off, if nothing else lasts any more.
    fn heal_the_rest(&mut self, played: &mut Played) -> Result<(), Error> {
        if played.lasting.len() == played.put_off.len() {
            for fault in std::mem::take(&mut played.put_off) {
                self.heal(&fault, played)?;
            }
        }
        Ok(())
    }

    /// What the nemesis may know of the cluster.
    fn seen(&self) -> Seen {
        let leadership = *self.leader.borrow();
        let ops = self.recorder.moment(&Nodes::new()).invoked;
        Seen { leader: leadership.leader, ops, leader_changes: leadership.changes }
    }

    fn inject(&mut self, fault: Fault, played: &mut Played) -> Result<(), Error> {
        let name = fault.kind().name();
        let began = self.recorder.nemesis(name, said(&fault, None))?;
        self.recorder.fault_began();
        let evidence = fault.inject(&mut self.cluster).map_err(|source| failed(&fault, name, source))?;
        let confirmed = self.recorder.nemesis(name, said(&fault, Some(&evidence)))?;
        let met = self.recorder.moment(&fault.nodes());
        self.tell(&fault.to_string());
        played.lasting.push(Lasting { fault, began, confirmed, met, evidence });
        self.show(played);
        self.keep_schedule()
    }

    fn heal(&mut self, fault: &Fault, played: &mut Played) -> Result<(), Error> {
        let lasting = played.lasting.iter().position(|lasting| lasting.fault == *fault);
        let lasting = played.lasting.remove(lasting.expect("only what was injected is healed"));
        let name = fault.kind().heal_name();
        let requested = self.recorder.nemesis(name, said(fault, None))?;
        let met = met(&lasting, requested, self.recorder.moment(&fault.nodes()));
        self.recorder.fault_ended();
        let evidence = fault.heal(&mut self.cluster).map_err(|source| failed(fault, name, source))?;
        let effective = self.recorder.nemesis(name, said(fault, Some(&evidence)))?;
        let bite = bite(fault, &lasting.evidence, &evidence, met);
        self.tell(&format!("healed: {fault}"));
        played.faults.push(FaultReport {
            fault: fault.clone(),
            began: lasting.began,
            heal_requested: requested,
            heal_effective: effective,
            ops: met.ops,
            bite: Standing::from(bite),
        });
        self.show(played);
        self.keep_schedule()
    }

    /// What was done so far is on disk: a run that is killed can be repeated up to there.
    fn keep_schedule(&self) -> Result<(), Error> {
        self.folder.write("schedule.toml", self.nemesis.record().to_toml())
    }

    fn show(&self, played: &Played) {
        let lasting = played.lasting.iter().map(|lasting| lasting.fault.to_string());
        self.broken.send_replace(lasting.collect());
    }

    fn tell(&self, line: &str) {
        self.progress.fault(self.recorder.time().since(Time::default()), line);
    }
}

/// What clients met with, from the moment at which it had taken effect to the end that was asked for.
fn met(lasting: &Lasting, until: Time, after: Moment) -> Met {
    let before = lasting.met;
    Met {
        ops: after.invoked - before.invoked + before.open,
        outlived: after.open_here + after.lost_here - before.lost_here,
        lasted: until.since(lasting.confirmed),
    }
}

/// A fault as the value of a history's line, with the evidence on the second one.
fn said(fault: &Fault, evidence: Option<&Evidence>) -> Value {
    let mut value = json!(fault);
    if let Value::Object(fields) = &mut value {
        fields.shift_remove("fault"); // `f` says it
        fields.extend(evidence.map(|evidence| ("evidence".to_owned(), json!(evidence))));
    }
    value
}

fn failed(fault: &Fault, half: &str, source: std::io::Error) -> Error {
    let half = if fault.kind().heal_name() == half { "healing " } else { "" };
    Error::Fault { fault: format!("{half}{fault}"), source }
}

async fn pause(until: Instant, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep_until(until.into()) => {}
    }
}

/// Whether any of them had an effect; if not, why a run that asked for faults proves nothing.
pub fn vacuous(asked: &[Kind], played: &Played) -> Option<String> {
    if asked.is_empty() || played.faults.iter().any(|fault| fault.bite.bit) {
        return None;
    }
    let reasons: Vec<String> = played
        .faults
        .iter()
        .map(|fault| format!("{}: {}", fault.fault, fault.bite.because))
        .chain(played.skipped.iter().map(|(_, line)| line.clone()))
        .collect();
    Some(match reasons.as_slice() {
        [] => "faults were asked for, and the time was too short for any of them".to_owned(),
        some => format!("faults were asked for, and none bit ({})", some.join("; ")),
    })
}

/// Those kinds that were asked for and never had an effect: what a valid verdict says nothing about.
pub fn untested(asked: &[Kind], played: &Played) -> Vec<Untested> {
    let why = |kind: Kind| {
        let mut injected = played.faults.iter().filter(|fault| fault.fault.kind() == kind).peekable();
        if injected.peek().is_some() {
            let bit = injected.any(|fault| fault.bite.bit);
            (!bit).then_some("had no effect")
        } else if played.skipped.iter().any(|(skipped, _)| *skipped == kind) {
            Some("was given up each time")
        } else {
            Some("was never drawn; the time is too short")
        }
    };
    asked.iter().filter_map(|kind| Some(Untested { fault: kind.name(), why: why(*kind)? })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_fault_that_bit_saves_the_run_and_those_that_did_not_are_still_named() {
        let report = |bit| FaultReport {
            fault: Fault::Kill { nodes: nemesis::cluster(1) },
            began: Time::seconds(1),
            heal_requested: Time::seconds(2),
            heal_effective: Time::seconds(2),
            ops: 1,
            bite: Standing { bit, because: "so it was".to_owned() },
        };
        let played = |bit| Played {
            faults: vec![report(bit)],
            skipped: vec![(Kind::Pause, "pause leader: given up, nobody leads".to_owned())],
            ..Played::default()
        };
        let asked = [Kind::Partition, Kind::Kill, Kind::Pause];
        assert_eq!(vacuous(&asked, &played(true)), None);
        let said = |bit| {
            let untested = untested(&asked, &played(bit));
            untested.iter().map(ToString::to_string).collect::<Vec<String>>()
        };
        let never = "partition was never drawn; the time is too short";
        let given_up = "pause was given up each time";
        assert_eq!(said(true), [never, given_up]);
        assert_eq!(said(false), [never, "kill had no effect", given_up]);
        assert!(vacuous(&asked, &played(false)).unwrap().contains("none bit (kill n1: so it was; pause"));
        assert_eq!(vacuous(&[], &Played::default()), None);
        let short = vacuous(&asked, &Played::default()).unwrap();
        assert!(short.contains("the time was too short"), "{short}");
    }

    #[test]
    fn clients_met_with_what_was_open_when_a_fault_took_effect_or_began_before_its_end_was_asked_for() {
        let lasting = Lasting {
            fault: Fault::Pause { nodes: nemesis::cluster(1) },
            began: Time::seconds(1),
            confirmed: Time::seconds(2),
            met: Moment { invoked: 100, open: 4, open_here: 2, lost_here: 7 },
            evidence: Evidence::default(),
        };
        let after = Moment { invoked: 110, open: 5, open_here: 1, lost_here: 9 };
        let met = met(&lasting, Time::seconds(6), after);
        assert_eq!(met, Met { ops: 14, outlived: 3, lasted: std::time::Duration::from_secs(4) });
    }
}
