//! A run from its first process to its verdict.
//!
//! ```text
//! start all nodes ─ wait until each serves
//! clients work, faults come and go           until the time limit
//! heal everything ─ wait until each serves   with a deadline: TCP and elections need a moment
//! read every key once more
//! stop all nodes ─ judge the history
//! ```
//!
//! A verdict is *valid* only if the run could have found something: if faults were asked for, one must
//! have bitten; of every kind of op that was asked, one must have been acknowledged; no node may have
//! ended by itself; the cluster must have come back after the heal, and every final read must have been
//! answered. Otherwise a history without contradiction is *unknown*, with the reason; so is one of a workload
//! that nobody judges yet. A contradiction is
//! *invalid* whatever else went wrong; so is an answer that is no value of the workload at all, and so are
//! nodes that hold different stores at one revision when all is over.
//!
//! A kind of fault of which none bit, beside others that did, leaves the verdict as it is and is named
//! next to it: the verdict says nothing about that kind.

use std::collections::BTreeMap;
use std::iter;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use checker::draw::html;
use checker::{Budget, Verdict, Why};
use futures_util::future::BoxFuture;
use history::{History, Operation};
use nemesis::{Nemesis, NodeId, Schedule, Time, ids};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use workload::store::Asking;
use workload::{PATIENCE, Visitor};

use crate::cluster::Cluster;
use crate::drive::{Drive, End};
use crate::error::Error;
use crate::etcd::Etcd;
use crate::folder::Folder;
use crate::overseer::Overseer;
use crate::plan::Plan;
use crate::play::{Played, Player, untested, vacuous};
use crate::probe::Leadership;
use crate::progress::{Live, Phase, Progress};
use crate::recorder::{Recorder, Tally, Violation};
use crate::report::{Check, Failings, Figures, Report};
use crate::stores;
use crate::system::System;

/// How long a healed cluster may take to serve again.
const RECOVERY: Duration = Duration::from_secs(30);
/// How long the final reads may take.
const FINAL_READS: Duration = Duration::from_mins(1);
/// How often the live line is refreshed.
const TICK: Duration = Duration::from_millis(200);

/// Carries out a plan. Cancelling ends it early; whatever happens, no process outlives the call.
///
/// Needs an async runtime of several threads, with blocking threads.
pub async fn run(
    plan: Plan,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<Report, Error> {
    let system = plan.check()?;
    let plan = plan.settled(system);
    let folder = Folder::create(&plan, SystemTime::now())?;
    progress.begun(plan.seed, folder.path());
    let overseer = Overseer::absent();
    let failings = Failings::default();
    let (doubts, notes) = (Vec::new(), Vec::new());
    let name = plan.workload;
    let run = Run { system, plan, folder, progress, cancel, overseer, doubts, notes, failings };
    name.visit(run).await
}

/// A run under way.
struct Run {
    system: &'static dyn System,
    plan: Plan,
    folder: Folder,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
    /// Who may end it early, because all is lost.
    overseer: Overseer,
    /// Why a history without contradiction would prove nothing.
    doubts: Vec<String>,
    /// What people should know.
    notes: Vec<String>,
    /// What nodes did wrong beside their answers.
    failings: Failings,
}

impl Visitor for Run {
    type Out = BoxFuture<'static, Result<Report, Error>>;

    fn visit<W: Asking>(self, workload: W) -> Self::Out {
        Box::pin(self.carry_out(workload))
    }
}

impl Run {
    async fn carry_out<W: Asking>(mut self, workload: W) -> Result<Report, Error> {
        self.write_run(&Value::Null, &BTreeMap::new(), None)?;
        self.progress.phase(Phase::Starting);
        let cluster = tokio::select! {
            started = Cluster::start(self.system, &self.plan, &self.folder) => Some(started?),
            () = self.cancel.cancelled() => None,
        };
        let recorder = Arc::new(Recorder::<W::Op>::new(self.folder.create_file("history.jsonl")?));
        let Some(cluster) = cluster else {
            self.doubts.push("interrupted before the cluster had come up".to_owned());
            return self.conclude(&workload, &recorder, Played::default(), 0, Duration::ZERO);
        };
        let table = table(&cluster);
        self.write_run(&table, &BTreeMap::new(), None)?;
        let program = cluster.table().values().next().map(|(launch, ..)| launch.program.clone());
        let binary = tokio::task::spawn_blocking(move || program.map(|path| fingerprint(&path)));

        let (told, leadership) = watch::channel(Leadership::default());
        let probes = cluster.probes();
        let versions: BTreeMap<NodeId, String> =
            probes.statuses().await.into_iter().map(|(node, said)| (node, said.version)).collect();
        let _watch = AbortOnDropHandle::new(tokio::spawn(probes.watch(told)));

        let (mut cluster, played, lasted) = self.work(cluster, &workload, &recorder, &leadership).await?;
        self.failings.ended.extend(cluster.obituaries());
        self.failings.stuck.extend(cluster.doubts());
        self.notes.extend(cluster.losses());
        self.progress.phase(Phase::Stopping);
        let stopped = tokio::task::spawn_blocking(move || cluster.stop()).await;
        stopped.expect("stopping nodes does not panic");
        let binary = binary.await.expect("reading a file does not panic");
        self.write_run(&table, &versions, binary.as_ref())?;
        let changes = leadership.borrow().changes;
        self.conclude(&workload, &recorder, played, changes, lasted)
    }

    /// Clients and faults, the heal, and the final reads.
    async fn work<W: Asking>(
        &mut self,
        cluster: Cluster,
        workload: &W,
        recorder: &Arc<Recorder<W::Op>>,
        leadership: &watch::Receiver<Leadership>,
    ) -> Result<(Cluster, Played, Duration), Error> {
        let limit = Time::default().after(self.plan.time_limit);
        let addresses = cluster.addresses();
        let (broken, breaks) = watch::channel(Vec::new());
        let _ticker = self.ticker(recorder, leadership, breaks);
        let player = Player {
            nemesis: self.nemesis(limit),
            cluster,
            recorder: Arc::clone(recorder),
            folder: self.folder.clone(),
            leader: leadership.clone(),
            progress: Arc::clone(&self.progress),
            broken,
        };
        let ending = self.cancel.child_token();
        if self.plan.fail_fast {
            self.overseer = Overseer::watch(recorder, workload.checkers(), &ending);
        }
        let (stop, cancel, runtime) = (CancellationToken::new(), ending.clone(), Handle::current());
        let _stops_when_dropped = stop.clone().drop_guard();
        let told = stop.clone();
        let mut hand = tokio::task::spawn_blocking(move || player.play(&runtime, &told, &cancel));

        self.progress.phase(Phase::Running);
        let seed = self.plan.seed;
        let generator = workload::stagger(self.plan.rate, seed, workload.generator(seed));
        let generator = workload::until(limit.0, generator);
        let concurrency = self.plan.concurrency();
        let mut drive = Drive::<W, Etcd, _>::new(workload, recorder, addresses, concurrency, generator);
        let deadline = recorder.instant(limit);
        let mut failed = None;
        let mut driven = Ok(End::Done);
        tokio::select! {
            end = drive.run(deadline, &ending) => driven = end,
            // The nemesis ends by itself only when it fails.
            ended = &mut hand => failed = Some(ended),
        }
        let lasted = recorder.time().since(Time::default());
        stop.cancel();
        self.progress.phase(Phase::Healing);
        let ended = match failed {
            Some(ended) => ended,
            None => hand.await,
        };
        let (mut cluster, played) = ended.expect("the nemesis does not panic");
        let played = played?;
        let driven = driven?;
        if let Some(sentence) = self.overseer.found() {
            self.notes.push(format!("ended after {lasted:.1?}, since {sentence}"));
            return Ok((cluster, played, lasted));
        }
        if driven == End::Cancelled || self.cancel.is_cancelled() {
            self.doubts.push(format!("interrupted after {lasted:.1?}"));
            return Ok((cluster, played, lasted));
        }
        self.recover(&mut cluster, recorder).await?;

        self.progress.phase(Phase::FinalReads);
        drive.conclude();
        match drive.run(Instant::now() + FINAL_READS, &self.cancel).await? {
            End::Done => match drive.given_up() {
                0 => {}
                some => self.doubts.push(format!("{some} of the final reads were never answered")),
            },
            End::OutOfTime => {
                self.doubts.push(format!("the final reads did not end within {FINAL_READS:?}"));
            }
            End::Cancelled => self.doubts.push("interrupted during the final reads".to_owned()),
        }
        self.failings.disagreement = stores::disagreement(&cluster.addresses()).await;
        Ok((cluster, played, lasted))
    }

    fn nemesis(&self, limit: Time) -> Nemesis {
        let nodes = ids::cluster(self.plan.nodes);
        let schedule = self.plan.schedule.clone().unwrap_or_else(|| {
            Schedule::draw(self.plan.seed, &self.plan.nemesis, nodes.len(), self.plan.rhythm, limit)
        });
        Nemesis::new(schedule, nodes, self.plan.seed, limit)
    }

    /// Gives the healed cluster time, and writes down when that began and how it ended.
    async fn recover<O: Operation>(
        &mut self,
        cluster: &mut Cluster,
        recorder: &Recorder<O>,
    ) -> Result<(), Error> {
        recorder.nemesis("await-health", Value::Null)?;
        let missing = tokio::select! {
            missing = cluster.await_health(RECOVERY) => missing,
            () = self.cancel.cancelled() => return Ok(()),
        };
        recorder.nemesis("await-health", json!({ "healthy": missing.is_empty(), "missing": missing }))?;
        if !missing.is_empty() {
            let who = itertools::join(&missing, " ");
            self.failings.stuck.push(format!("{who} did not serve again after the heal"));
        }
        Ok(())
    }

    fn ticker<O>(
        &self,
        recorder: &Arc<Recorder<O>>,
        leadership: &watch::Receiver<Leadership>,
        broken: watch::Receiver<Vec<String>>,
    ) -> AbortOnDropHandle<()>
    where
        O: Operation<Ret: Send> + Send + 'static,
    {
        let (recorder, leadership) = (Arc::clone(recorder), leadership.clone());
        let progress = Arc::clone(&self.progress);
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut tick = tokio::time::interval(TICK);
            loop {
                tick.tick().await;
                let time = recorder.time().since(Time::default());
                let (faults, leader) = (broken.borrow().clone(), leadership.borrow().leader);
                progress.tick(&Live { time, counts: recorder.counts(), faults, leader });
            }
        }))
    }

    /// Judges the history, writes down the verdict, and forgets what is not needed any more.
    fn conclude<W: Asking>(
        mut self,
        workload: &W,
        recorder: &Recorder<W::Op>,
        played: Played,
        leader_changes: u64,
        lasted: Duration,
    ) -> Result<Report, Error> {
        self.progress.phase(Phase::Checking);
        let (history, tally) = recorder.finish();
        let (mut doubts, mut notes) = (mem::take(&mut self.doubts), mem::take(&mut self.notes));
        let failings = mem::take(&mut self.failings);
        doubts.extend(failings.ended.iter().chain(&failings.stuck).cloned());
        let broken = mem::replace(&mut self.overseer, Overseer::absent()).conclude();
        let asked = self.plan.faults();
        // Who ends a run early cannot blame its faults for not having come, or for not being over.
        let lost = broken.is_some() || self.cancel.is_cancelled();
        doubts.extend(if lost { None } else { vacuous(asked.as_slice(), &played) });
        let untested = if lost { Vec::new() } else { untested(asked.as_slice(), &played) };
        doubts.extend(unacknowledged(&tally));
        let mut figures = Figures::new(tally, leader_changes, lasted);
        let began = Instant::now();
        let mut checks = Vec::new();
        for checker in workload.checkers() {
            let verdict = checker.check(&history, &Budget::default());
            checks.push(Check { name: checker.name(), verdict });
        }
        figures.check_seconds = began.elapsed().as_secs_f64();
        if checks.iter().all(|check| check.verdict.word() != "invalid") {
            // Then one of both is wrong, or the budget ran out.
            doubts.extend(broken.map(|sentence| format!("judged line by line, {sentence}")));
        }
        self.draw(&history, &checks)?;
        keep_certificates(&self.folder, &mut checks)?;
        let violations = recorder.violations();
        let (verdict, reason) = together(&checks, &violations, failings.disagreement.as_deref(), &doubts);
        if verdict == "invalid" {
            notes.append(&mut doubts); // they did not decide, and may still explain
        }
        let report = Report {
            verdict,
            reason,
            checks,
            violations,
            failings,
            seed: self.plan.seed,
            folder: self.folder.path().to_owned(),
            faults: played.faults,
            skipped: played.skipped.into_iter().map(|(_, line)| line).collect(),
            untested,
            notes,
            figures,
        };
        self.folder.write_json("results.json", &report)?;
        if report.is_valid() {
            self.folder.drop_data()?;
        }
        Ok(report)
    }

    /// The history as a page for a browser: around what is wrong, or else its beginning.
    fn draw<O: Operation>(&self, history: &History<O, O::Ret>, checks: &[Check]) -> Result<(), Error> {
        let wrong = checks.iter().find(|check| check.verdict.word() == "invalid");
        let Some(check) = wrong.or(checks.first()) else { return Ok(()) };
        let Plan { system, seed, .. } = &self.plan;
        let (workload, faults) = (self.plan.workload.as_str(), self.plan.faults());
        let title = format!("{system}, {workload}, faults: {faults}, seed {seed}");
        self.folder.write("report.html", html::page(&title, history, &check.verdict))
    }

    /// What was asked, of which builds, on which machine.
    fn write_run(
        &self,
        nodes: &Value,
        versions: &BTreeMap<NodeId, String>,
        binary: Option<&Value>,
    ) -> Result<(), Error> {
        let plan = &self.plan;
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let run = json!({
            "harness": env!("CARGO_PKG_VERSION"),
            "argv": plan.argv,
            "seed": plan.seed,
            "system": plan.system,
            "workload": plan.workload.as_str(),
            "nemesis": plan.faults().to_string(),
            "nodes": nodes,
            "versions": versions,
            "binary": binary,
            "concurrency": plan.concurrency(),
            "rate": plan.rate,
            "op_timeout_s": PATIENCE.as_secs_f64(),
            "time_limit_s": plan.time_limit.as_secs_f64(),
            "interval_s": [plan.rhythm.on.as_secs_f64(), plan.rhythm.off.as_secs_f64()],
            "bugs": plan.bugs,
            "disk": plan.disk.as_str(),
            "settings": plan.settings,
            "network": { "chosen": "proxy", "why": "the only network so far" },
            "link_delay_s": plan.link_delay.as_secs_f64(),
            "machine": {
                "kernel": kernel.trim(),
                "cores": std::thread::available_parallelism().map_or(0, usize::from),
            },
        });
        self.folder.write_json("run.json", &run)
    }
}

/// Where every node listens, and what started it.
fn table(cluster: &Cluster) -> Value {
    let rows = cluster.table().into_iter().map(|(node, (launch, doors, pid))| {
        let arguments: Vec<_> = launch.arguments.iter().map(|argument| argument.to_string_lossy()).collect();
        let row = json!({
            "client": doors.client.to_string(),
            "peer": doors.peer.to_string(),
            "metrics": doors.metrics.to_string(),
            "pid": pid,
            "program": resolved(&launch.program).to_string_lossy(),
            "arguments": arguments,
        });
        (node.to_string(), row)
    });
    Value::Object(rows.collect())
}

/// Where a program really is: `/proc/self/exe` is another file to whoever reads the record.
fn resolved(program: &Path) -> PathBuf {
    std::fs::canonicalize(program).unwrap_or_else(|_| program.to_owned())
}

/// Tells builds apart. A checksum does that; it is no protection against forgery.
fn fingerprint(program: &Path) -> Value {
    let target = resolved(program);
    match std::fs::read(program) {
        Ok(content) => json!({
            "path": target.to_string_lossy(),
            "bytes": content.len(),
            "crc32c": format!("{:08x}", crc32c::crc32c(&content)),
        }),
        Err(error) => json!({ "path": target.to_string_lossy(), "error": error.to_string() }),
    }
}

/// A certificate is as long as the history: it goes into a file of its own.
fn keep_certificates(folder: &Folder, checks: &mut [Check]) -> Result<(), Error> {
    let mut certificates = BTreeMap::new();
    for check in checks {
        if let Verdict::Valid { linearization } = &mut check.verdict
            && let Some(certificate) = linearization.take()
        {
            certificates.insert(check.name, certificate);
        }
    }
    if certificates.is_empty() {
        return Ok(());
    }
    let json = serde_json::to_vec(&certificates).expect("names and numbers are JSON");
    folder.write("certificate.json", json)
}

/// What was asked and never acknowledged was not tested.
fn unacknowledged(tally: &Tally) -> Vec<String> {
    if tally.counts.ok == 0 {
        return vec!["no op was acknowledged".to_owned()];
    }
    let none = tally.by_f.iter().filter(|(_, counts)| counts.ok == 0);
    none.map(|(f, _)| format!("no {f} was acknowledged")).collect()
}

/// The worst of all checks; and what looks valid is not, while there is a doubt.
fn together(
    checks: &[Check],
    violations: &[Violation],
    disagreement: Option<&str>,
    doubts: &[String],
) -> (&'static str, Option<String>) {
    if let Some(violation) = violations.first() {
        return ("invalid", Some(violation.sentence.clone()));
    }
    let worst = checks.iter().map(|check| check.verdict.clone()).reduce(Verdict::and);
    match worst {
        Some(Verdict::Invalid { witness }) => ("invalid", Some(witness.sentence)),
        _ if disagreement.is_some() => ("invalid", disagreement.map(str::to_owned)),
        None => {
            let nobody = "nobody judges this workload yet".to_owned();
            ("unknown", Some(itertools::join(iter::once(&nobody).chain(doubts), "; ")))
        }
        _ if !doubts.is_empty() => ("unknown", Some(doubts.join("; "))),
        Some(Verdict::Unknown { why: Why::OutOfTime }) => {
            ("unknown", Some("the checker ran out of time".to_owned()))
        }
        Some(Verdict::Unknown { why: Why::OutOfMemory }) => {
            ("unknown", Some("the checker ran out of memory".to_owned()))
        }
        Some(Verdict::Valid { .. }) => ("valid", None),
    }
}

#[cfg(test)]
mod tests {
    use checker::Witness;

    use super::*;
    use crate::recorder::Counts;

    fn check(verdict: Verdict) -> Check {
        Check { name: "register", verdict }
    }

    fn valid() -> Check {
        check(Verdict::Valid { linearization: None })
    }

    #[test]
    fn what_was_never_acknowledged_is_named() {
        let counts = |ok| Counts { ok, fail: 1, info: 0 };
        let tally = |ok| Tally {
            counts: counts(2 + ok),
            by_f: [("read".to_owned(), counts(2)), ("write".to_owned(), counts(ok))].into(),
            ..Tally::default()
        };
        assert_eq!(unacknowledged(&tally(1)), [""; 0]);
        assert_eq!(unacknowledged(&tally(0)), ["no write was acknowledged"]);
        assert_eq!(unacknowledged(&Tally::default()), ["no op was acknowledged"]);
    }

    #[test]
    fn a_contradiction_outweighs_every_doubt_and_a_doubt_outweighs_its_absence() {
        let witness = Witness {
            sentence: "n1 answered 1 after 2".to_owned(),
            key: None,
            by: checker::By { engine: "zones".into(), since: "every value is written once".into() },
            prefix_ends: 3,
            shortest: true,
            ops: Vec::new(),
            minimal: true,
            since: None,
            others: 0,
            states: Vec::new(),
        };
        let invalid = check(Verdict::Invalid { witness: Box::new(witness) });
        let doubt = ["no fault bit".to_owned()];
        assert_eq!(together(&[valid()], &[], None, &[]), ("valid", None));
        assert_eq!(together(&[valid()], &[], None, &doubt), ("unknown", Some("no fault bit".to_owned())));
        let sentence = Some("n1 answered 1 after 2".to_owned());
        assert_eq!(together(&[valid(), invalid], &[], None, &doubt), ("invalid", sentence));
        let differ = ("invalid", Some("n1 and n2 differ".to_owned()));
        assert_eq!(together(&[valid()], &[], Some("n1 and n2 differ"), &doubt), differ);
        let unknown = check(Verdict::Unknown { why: Why::OutOfTime });
        assert_eq!(together(&[valid(), unknown], &[], None, &[]).0, "unknown");
        let nobody = "nobody judges this workload yet".to_owned();
        assert_eq!(together(&[], &[], None, &[]), ("unknown", Some(nobody.clone())));
        assert_eq!(together(&[], &[], None, &doubt).1, Some(nobody + "; no fault bit"));
        assert_eq!(together(&[], &[], Some("n1 and n2 differ"), &doubt), differ);
        let violation = Violation {
            sentence: "n1 answered with `x`".to_owned(),
            index: 3,
            process: history::Process(0),
            node: None,
            key: None,
        };
        let nonsense = ("invalid", Some("n1 answered with `x`".to_owned()));
        assert_eq!(together(&[valid()], &[violation], None, &doubt), nonsense);
    }
}
