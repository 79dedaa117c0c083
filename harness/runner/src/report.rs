//! What is left of a run: the verdict, its evidence, figures, and how to repeat it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use checker::Verdict;
use nemesis::{Bite, Fault, Time};
use serde::Serialize;

use crate::recorder::{Counts, Tally, Violation};

/// A run that was carried out.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `valid`, `invalid` or `unknown`: all checks together, and whether the run can prove anything.
    pub verdict: &'static str,
    /// Why it is not simply valid, in a sentence.
    pub reason: Option<String>,
    /// What each checker says.
    pub checks: Vec<Check>,
    /// Answers that were none; one of them is enough for `invalid`.
    pub violations: Vec<Violation>,
    /// What fixed the plan.
    pub seed: u64,
    /// Where everything is.
    pub folder: PathBuf,
    /// What nodes did wrong that no client saw as a wrong answer.
    pub failings: Failings,
    /// What was broken, and whether it bit.
    pub faults: Vec<FaultReport>,
    /// What was to be broken and was not, and why.
    pub skipped: Vec<String>,
    /// The kinds of fault that were asked for and of which none had an effect.
    pub untested: Vec<Untested>,
    /// What people should know and no checker looks at.
    pub notes: Vec<String>,
    /// Figures.
    pub figures: Figures,
}

/// What nodes did wrong that no client saw as a wrong answer. Some of it is reason enough for a verdict, all of it
/// for a doubt.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Failings {
    /// Who ended and was not asked to, each with its last words.
    pub ended: Vec<String>,
    /// What was to be as before when all was healed, and was not. Reads that were too slow are none of it: that may be
    /// the machine's doing.
    pub stuck: Vec<String>,
    /// Where nodes hold different stores at one revision: then the run is `invalid`.
    pub disagreement: Option<String>,
}

/// A checker's word.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What it held the history against.
    pub name: &'static str,
    /// What it says.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// A kind of fault that a verdict says nothing about, although it was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Untested {
    /// Which.
    pub fault: &'static str,
    /// Why not.
    pub why: &'static str,
}

impl fmt::Display for Untested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.fault, self.why)
    }
}

/// A fault that was injected and healed.
#[derive(Clone, Debug, Serialize)]
pub struct FaultReport {
    /// As it was resolved.
    #[serde(flatten)]
    pub fault: Fault,
    /// When.
    pub began: Time,
    /// When its end was asked for.
    pub heal_requested: Time,
    /// When everything was mended and started again.
    pub heal_effective: Time,
    /// Client ops that were open when it had taken effect, or began before its end was asked for.
    pub ops: u64,
    /// Whether it had an effect.
    pub bite: Standing,
}

/// Whether a fault had an effect, and how one knows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Standing {
    /// Whether it had.
    pub bit: bool,
    /// The fact that shows it, or the lack of one.
    pub because: String,
}

impl From<Bite> for Standing {
    fn from(bite: Bite) -> Standing {
        let bit = bite.bit();
        let (Bite::Bit(because) | Bite::Missed(because)) = bite;
        Standing { bit, because }
    }
}

/// Figures of a run. None of them decides anything.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// How ops ended.
    pub ops: Counts,
    /// How ops ended, by name.
    pub by_f: BTreeMap<String, Counts>,
    /// Ops that were acknowledged while a fault lasted.
    pub ok_under_fault: u64,
    /// How often the lead passed on.
    pub leader_changes: u64,
    /// How long clients and faults went on, in seconds.
    pub seconds: f64,
    /// Half of the acknowledged ops took at most this, in milliseconds.
    pub p50_ms: Option<f64>,
    /// All but a hundredth of them took at most this, in milliseconds.
    pub p99_ms: Option<f64>,
    /// How long the checkers took, in seconds.
    pub check_seconds: f64,
}

impl Figures {
    /// The figures of a run that lasted so long.
    pub fn new(tally: Tally, leader_changes: u64, lasted: Duration) -> Figures {
        let quantile = |share| tally.latencies.permille(share).map(|took| took.as_secs_f64() * 1000.0);
        Figures {
            ops: tally.counts,
            ok_under_fault: tally.ok_under_fault,
            leader_changes,
            seconds: lasted.as_secs_f64(),
            p50_ms: quantile(500),
            p99_ms: quantile(990),
            check_seconds: 0.0,
            by_f: tally.by_f,
        }
    }
}

impl Report {
    /// 0 valid, 1 invalid, 2 unknown.
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            "valid" => 0,
            "invalid" => 1,
            _ => 2,
        }
    }

    /// Whether the system kept its promises, as far as this run can tell.
    pub fn is_valid(&self) -> bool {
        self.exit_code() == 0
    }
}
