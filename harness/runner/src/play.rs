//! Carries out the schedule, and writes down each fault twice: when it is begun, and what it did.
//!
//! Faults take effect through calls that wait (for a process to die, for a node to come back), so the
//! nemesis has a thread of its own and hands the cluster back when it is done.

use std::sync::Arc;
use std::time::Instant;

use history::Operation;
use nemesis::{Action, Evidence, Fault, Kind, Nemesis, Time, bite};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::error::Error;
use crate::folder::Folder;
use crate::probe::Leadership;
use crate::progress::Progress;
use crate::recorder::{Recorder, Tally};
use crate::report::{FaultReport, Standing};

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
    evidence: Evidence,
    tally: Tally,
}

/// What became of the faults.
#[derive(Default)]
pub struct Played {
    /// Each that was injected and healed, in the order of their ends.
    pub faults: Vec<FaultReport>,
    /// Each that was given up, and why.
    pub skipped: Vec<String>,
    lasting: Vec<Lasting>,
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
            let leader = self.leader.borrow().leader;
            match self.nemesis.next(self.recorder.time(), leader) {
                Action::Inject(fault) => self.inject(fault, &mut played)?,
                Action::Heal(fault) => self.heal(&fault, &mut played)?,
                Action::Skip(aim, why) => {
                    let line = format!("{aim}: given up, {why}");
                    self.tell(&line);
                    played.skipped.push(line);
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
        let late = late.map(|step| format!("{} at {}: given up, the run was over first", step.aim, step.at));
        played.skipped.extend(late);
        for fault in self.nemesis.stop(self.recorder.time()) {
            self.heal(&fault, &mut played)?;
        }
        Ok(played)
    }

    fn inject(&mut self, fault: Fault, played: &mut Played) -> Result<(), Error> {
        let name = fault.kind().name();
        let began = self.recorder.nemesis(name, said(&fault, None))?;
        let tally = self.recorder.fault_began();
        let evidence = fault.inject(&mut self.cluster).map_err(|source| failed(&fault, name, source))?;
        self.recorder.nemesis(name, said(&fault, Some(&evidence)))?;
        self.tell(&fault.to_string());
        played.lasting.push(Lasting { fault, began, evidence, tally });
        self.show(played);
        self.keep_schedule()
    }

    fn heal(&mut self, fault: &Fault, played: &mut Played) -> Result<(), Error> {
        let lasting = played.lasting.iter().position(|lasting| lasting.fault == *fault);
        let lasting = played.lasting.remove(lasting.expect("only what was injected is healed"));
        let name = fault.kind().heal_name();
        let requested = self.recorder.nemesis(name, said(fault, None))?;
        let tally = self.recorder.fault_ended();
        let evidence = fault.heal(&mut self.cluster).map_err(|source| failed(fault, name, source))?;
        let effective = self.recorder.nemesis(name, said(fault, Some(&evidence)))?;
        let ops = tally.invoked - lasting.tally.invoked + lasting.tally.open();
        let bite = bite(fault, &lasting.evidence, &evidence, ops);
        self.tell(&format!("healed: {fault}"));
        played.faults.push(FaultReport {
            fault: fault.clone(),
            began: lasting.began,
            heal_requested: requested,
            heal_effective: effective,
            ops,
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
        .chain(played.skipped.iter().cloned())
        .collect();
    Some(match reasons.as_slice() {
        [] => "faults were asked for, and none was injected before the time was up".to_owned(),
        some => format!("faults were asked for, and none bit ({})", some.join("; ")),
    })
}

/// Those kinds that were asked for and never had an effect: what a valid verdict says nothing about.
pub fn toothless(asked: &[Kind], played: &Played) -> Vec<String> {
    let bit = |kind: &Kind| played.faults.iter().any(|fault| fault.fault.kind() == *kind && fault.bite.bit);
    let toothless = asked.iter().filter(|kind| !bit(kind));
    toothless.map(|kind| format!("{kind} was asked for, and had no effect in this run")).collect()
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
        let played = |bit| Played { faults: vec![report(bit)], ..Played::default() };
        let asked = [Kind::Partition, Kind::Kill];
        assert_eq!(vacuous(&asked, &played(true)), None);
        assert_eq!(
            toothless(&asked, &played(true)),
            ["partition was asked for, and had no effect in this run"]
        );
        assert!(vacuous(&asked, &played(false)).unwrap().contains("none bit (kill n1: so it was)"));
        assert_eq!(vacuous(&[], &Played::default()), None);
    }
}
