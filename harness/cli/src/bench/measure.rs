//! Measuring one row, in this process.

use std::time::{Duration, Instant};

use checker::{Budget, By, Choice, Setup, Verdict};

use super::asked::Asked;
use super::memory::{self, Mark};
use super::report::{RowReport, greatest, median};
use super::rows::{self, Judge, Row, Targets, What};

/// How a check is carried out and how often.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    pub setup: Setup,
    pub budget: Budget,
    pub runs: usize,
    /// Only the first seed, and nothing but the time of the check.
    pub brief: bool,
}

impl How {
    /// As `setup`, but without the evidence: what a verdict costs.
    pub(super) fn bare(&self) -> How {
        let mut how = *self;
        how.setup.bare = true;
        how
    }
}

/// A history that was judged a few times.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub verdict: Verdict,
    /// Milliseconds, the median of all times.
    pub ms: f64,
    /// For so many of them the processor worked; on a machine with other work, it is less.
    pub processor_ms: f64,
}

impl Judged {
    /// Judges it as often as wanted; just once if it gave up, since it would again.
    pub(super) fn of(asked: &Asked, how: &How) -> Judged {
        let (mut times, mut processor) = (Vec::new(), Vec::new());
        loop {
            let before = memory::processor_time();
            let (verdict, ms) = once(asked, how);
            times.push(ms);
            processor.push(milliseconds(memory::processor_time().saturating_sub(before)));
            if times.len() >= how.runs || matches!(verdict, Verdict::Unknown { .. }) {
                let ms = median(&times).unwrap_or(ms);
                return Judged { verdict, ms, processor_ms: median(&processor).unwrap_or(ms) };
            }
        }
    }

    /// Its word; with the reason, if it gave up.
    pub(super) fn words(&self) -> String {
        match &self.verdict {
            Verdict::Unknown { why } => format!("unknown ({})", rows::given_up(*why)),
            known => known.word().to_owned(),
        }
    }
}

/// Judges it once. What becomes of the proof afterwards is not counted.
fn once(asked: &Asked, how: &How) -> (Verdict, f64) {
    let started = Instant::now();
    let verdict = asked.check(how.setup, &how.budget);
    (verdict, milliseconds(started.elapsed()))
}

pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Who judged.
pub(super) fn judges(verdict: &Verdict, into: &mut Vec<By>) {
    match verdict {
        Verdict::Valid { linearization } => {
            into.extend(linearization.iter().flat_map(|order| &order.keys).map(|key| key.by.clone()));
        }
        Verdict::Invalid { witness } => into.push(witness.by.clone()),
        Verdict::Unknown { .. } => {}
    }
    into.sort();
    into.dedup();
}

/// Measures a row.
pub(super) fn row(row: &Row, how: &How) -> RowReport {
    let mut report = RowReport::new(row.name, row.story);
    match &row.what {
        What::Judge(judge) => measure(judge, how, &mut report),
        What::Evidence { histories, ops } => evidence(*histories, *ops, how, &mut report),
    }
    report
}

fn measure(judge: &Judge, how: &How, report: &mut RowReport) {
    let seeds = if how.brief { 1 } else { judge.seeds };
    let (mut times, mut processor, mut with_evidence) = (Vec::new(), Vec::new(), Vec::new());
    let (mut memory, mut needs) = (None, Vec::new());
    for seed in 0..seeds {
        let mut plan = judge.plan.clone();
        plan.seed = seed;
        let asked = judge.subject.play(&plan);
        if !how.brief {
            memory = memory.max(growth(&asked, how));
        }
        let judged = Judged::of(&asked, &how.bare());
        report.add(asked.ops(), &judged.words());
        judges(&judged.verdict, &mut report.by);
        if !judge.truth.allows(judged.verdict.word()) {
            report.wrong.push(format!("seed {seed} was found {}", judged.verdict.word()));
        }
        times.push(judged.ms);
        processor.push(judged.processor_ms);
        if !how.brief && matches!(judged.verdict, Verdict::Invalid { .. }) {
            with_evidence.push(once(&asked, how).1);
        }
        if !how.brief && judge.targets.search_mib.is_some() {
            needs.extend(search_memory(&asked, how));
        }
    }
    let Targets { check_ms, bytes_per_op, search_mib } = judge.targets;
    if times.len() == 1 {
        report.figure("check", times[0], "ms", check_ms);
    } else {
        report.figure("check, median seed", median(&times).unwrap_or(f64::NAN), "ms", None);
        report.figure("check, worst seed", greatest(&times).unwrap_or(f64::NAN), "ms", check_ms);
    }
    if let Some(worst) = greatest(&processor).filter(|worst| *worst >= TELLING) {
        report.figure("of it on the processor", worst, "ms", None);
    }
    if let Some(worst) = greatest(&with_evidence) {
        report.figure("with evidence, worst", worst, "ms", None);
    }
    if let Some(worst) = greatest(&needs) {
        report.figure("search state, at most", worst, "MiB", search_mib);
    }
    if let Some(bytes) = memory {
        let bytes = float(bytes);
        report.figure("memory in all", bytes / f64::from(1 << 20), "MiB", None);
        report.figure("memory for each op", bytes / float(judge.plan.ops as u64), "B", bytes_per_op);
    }
}

/// By how many bytes one check lets this process grow, with what it says.
fn growth(asked: &Asked, how: &How) -> Option<u64> {
    let mark = Mark::set()?;
    let verdict = asked.check(how.bare().setup, &how.budget);
    let grown = mark.growth();
    drop(verdict);
    grown
}

/// The kernel's count of processor time is some milliseconds late.
const TELLING: f64 = 50.0;

/// The least power of two, in MiB, that is enough by the search's own count of what it remembers. What
/// grows with the history by its nature, the ops and the order that proves the verdict, is not search.
/// Rules reserve memory before they look, so they are not asked.
fn search_memory(asked: &Asked, how: &How) -> Option<f64> {
    let mut setup = how.bare().setup;
    setup.engine = Choice::Frontier;
    (0..=10).map(|power| 1_usize << power).find_map(|mib| {
        let budget = Budget { memory: mib << 20, ..how.budget };
        let verdict = asked.check(setup, &budget);
        (!matches!(verdict, Verdict::Unknown { .. })).then(|| float(mib as u64))
    })
}

/// How good the evidence is, and what it costs beside the bare verdict.
fn evidence(histories: u64, ops: usize, how: &How, report: &mut RowReport) {
    let (mut sizes, mut minimal, mut late) = (Vec::new(), 0_usize, 0_usize);
    let (mut bare_ms, mut evidence_ms) = (0.0, Vec::new());
    for seed in 0..histories {
        let (subject, plan) = rows::broken(seed, ops);
        let asked = subject.play(&plan);
        let (_, bare) = once(&asked, &how.bare());
        let (verdict, full) = once(&asked, how);
        report.add(asked.ops(), verdict.word());
        judges(&verdict, &mut report.by);
        let Verdict::Invalid { witness } = verdict else { continue };
        let more = (full - bare).max(0.0);
        bare_ms += bare;
        evidence_ms.push(more);
        late += usize::from(more > 1000.0_f64.max(2.0 * bare));
        minimal += usize::from(witness.minimal);
        let needed = witness.ops.iter().filter(|op| op.needed).count();
        if needed > 0 {
            sizes.push(float(needed as u64));
        }
    }
    let broken = report.found("invalid");
    report
        .notes
        .push(format!("{broken} of {histories} are broken; the other mistakes are the truth by chance"));
    let target = (ops >= 1000).then_some(6.0);
    let within = (ops >= 1000).then_some(0.0);
    if let Some(size) = median(&sizes) {
        report.figure("needed ops, median", size, "ops", target);
    }
    if let Some(size) = greatest(&sizes) {
        report.figure("needed ops, most", size, "ops", None);
    }
    if broken > 0 {
        let share = 100.0 * float(minimal as u64) / float(broken as u64);
        report.figure("of them minimal", share, "%", None);
    }
    report.figure("all verdicts", bare_ms, "ms", None);
    report.figure("all evidence", evidence_ms.iter().sum(), "ms", None);
    if let (Some(middle), Some(worst)) = (median(&evidence_ms), greatest(&evidence_ms)) {
        report.figure("evidence, median", middle, "ms", None);
        report.figure("evidence, worst", worst, "ms", None);
    }
    report.figure("over 1 s and two checks", float(late as u64), "of them", within);
}

#[expect(clippy::cast_precision_loss, reason = "nothing that is measured comes near 2^52")]
pub(super) fn float(number: u64) -> f64 {
    number as f64
}
