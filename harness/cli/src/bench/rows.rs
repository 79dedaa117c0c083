//! The histories that are generated, what is true of them, and what judging them should cost.

use checker::Why;
use checker::generate::{Plan, Planted, Values, WrongValue};

use super::asked::Subject;

/// One line of the table: histories of one kind.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub name: &'static str,
    /// What they are like.
    pub story: &'static str,
    pub what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    /// Histories of one plan, each judged for itself.
    Judge(Judge),
    /// Broken histories of many kinds, so many, of so many ops each; what counts is the evidence.
    Evidence { histories: u64, ops: usize },
}

/// Histories of one plan.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    pub subject: Subject,
    /// With each of the seeds from 0 in place of its own.
    pub plan: Plan,
    pub seeds: u64,
    pub truth: Truth,
    pub targets: Targets,
}

/// What is known of a history by the way it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Truth {
    Valid,
    Invalid,
    /// The answer that was put in place of the true one may be true by chance.
    Either,
}

impl Truth {
    /// Whether a verdict may be right. Who gives up is not wrong.
    pub(super) fn allows(self, word: &str) -> bool {
        match self {
            Truth::Valid => word != "invalid",
            Truth::Invalid => word != "valid",
            Truth::Either => true,
        }
    }
}

/// What it should cost at most.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Targets {
    pub check_ms: Option<f64>,
    pub bytes_per_op: Option<f64>,
    pub search_mib: Option<f64>,
}

/// All rows. The quick ones have the same names and the same truths, a thousandth of the ops, and no
/// targets, since those are for the whole.
pub(super) fn rows(quick: bool) -> Vec<Row> {
    let mut rows = whole();
    if quick {
        rows.iter_mut().for_each(shorten);
    }
    rows
}

fn shorten(row: &mut Row) {
    match &mut row.what {
        What::Judge(judge) => {
            judge.plan.ops = match judge.plan.ops {
                0..=1000 => 300,
                1001..=10_000 => 1000,
                ops => (ops / 500).min(10_000),
            };
            judge.seeds = judge.seeds.min(3);
            judge.targets = Targets::default();
        }
        What::Evidence { histories, ops } => (*histories, *ops) = (20, 200),
    }
}

const SEEDS: u64 = 10;

fn whole() -> Vec<Row> {
    let unique = |name, story, ops, targets| Row {
        name,
        story,
        what: What::Judge(Judge {
            subject: Subject::Register,
            plan: Plan { ops, ..Plan::default() },
            seeds: 1,
            truth: Truth::Valid,
            targets,
        }),
    };
    let few = Plan { values: Values::Few(5), ..Plan::default() };
    let hard = |name, story, ops, info, value, check_ms| Row {
        name,
        story,
        what: What::Judge(Judge {
            subject: Subject::CasRegister,
            plan: Plan { ops, info, planted: Planted::WrongRead { at: 0.9, value }, ..few.clone() },
            seeds: SEEDS,
            truth: if value == WrongValue::Any { Truth::Either } else { Truth::Invalid },
            targets: Targets { check_ms: Some(check_ms), ..Targets::default() },
        }),
    };
    vec![
        unique(
            "register-1m",
            "a register, one key, 10 clients, every value new",
            1_000_000,
            Targets { check_ms: Some(200.0), bytes_per_op: Some(64.0), search_mib: None },
        ),
        unique(
            "register-10m",
            "the same, ten times as long",
            10_000_000,
            Targets { check_ms: Some(2500.0), ..Targets::default() },
        ),
        Row {
            name: "cas-1m",
            story: "a cas register, one key, 10 clients, 5 values",
            what: What::Judge(Judge {
                subject: Subject::CasRegister,
                plan: Plan { ops: 1_000_000, ..few.clone() },
                seeds: 1,
                truth: Truth::Valid,
                targets: Targets { check_ms: Some(3000.0), bytes_per_op: None, search_mib: Some(16.0) },
            }),
        },
        hard(
            "no-1k-never",
            "a cas register, 5 values, about 22 ops unanswered, one read of a value never written",
            1000,
            2.2,
            WrongValue::NeverWritten,
            50.0,
        ),
        hard(
            "no-1k-other",
            "the same, but the read is of another of the five values, which may by chance be there",
            1000,
            2.2,
            WrongValue::Any,
            50.0,
        ),
        hard(
            "no-10k-never",
            "a cas register, 5 values, about 100 ops unanswered, one read of a value never written",
            10_000,
            1.0,
            WrongValue::NeverWritten,
            2000.0,
        ),
        hard(
            "no-10k-other",
            "the same, but the read is of another of the five values, which may by chance be there",
            10_000,
            1.0,
            WrongValue::Any,
            2000.0,
        ),
        Row {
            name: "witnesses",
            story: "registers, cas registers, maps of texts and logs, each with one mistake in it",
            what: What::Evidence { histories: 1000, ops: 1000 },
        },
    ]
}

/// The most ops that a peer is asked about, and that is searched for an ablation: files of more would be
/// gigabytes, and rules of ours are not what is compared then.
pub(super) const MOST_COMPARED: usize = 1_000_000;

/// A broken history; which kind of data and which kind of mistake, the seed says.
pub(super) fn broken(seed: u64, ops: usize) -> (Subject, Plan) {
    let plan = |planted| Plan { ops, seed, planted, ..Plan::default() };
    let at = 0.5;
    match seed % 6 {
        0 => (Subject::Register, plan(Planted::StaleRead { at })),
        1 => (Subject::Register, plan(Planted::LostWrite { at })),
        2 => (Subject::CasRegister, plan(Planted::WrongRead { at, value: WrongValue::Old })),
        3 => (Subject::Kv, plan(Planted::StaleRead { at })),
        4 => (Subject::Log, plan(Planted::StaleRead { at })),
        _ => {
            let few = plan(Planted::WrongRead { at, value: WrongValue::Any });
            (Subject::CasRegister, Plan { values: Values::Few(5), info: 1.0, ..few })
        }
    }
}

/// Why a check gave up, in a word.
pub(super) fn given_up(why: Why) -> &'static str {
    match why {
        Why::OutOfTime => "out of time",
        Why::OutOfMemory => "out of memory",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own_and_both_sizes() {
        let (whole, quick) = (rows(false), rows(true));
        let mut names: Vec<&str> = whole.iter().map(|row| row.name).collect();
        assert_eq!(names, quick.iter().map(|row| row.name).collect::<Vec<_>>());
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), whole.len());
    }

    #[test]
    fn what_is_known_of_a_history_forbids_the_other_verdict_only() {
        assert!(Truth::Valid.allows("valid") && Truth::Valid.allows("unknown"));
        assert!(!Truth::Valid.allows("invalid") && !Truth::Invalid.allows("valid"));
        assert!(Truth::Either.allows("valid") && Truth::Either.allows("invalid"));
    }
}
