//! Figures of many turns, and what they come to.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::{Contender, Kind};

/// One turn of one system.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Sample {
    /// Requests that were answered in it.
    pub ops_per_second: f64,
    /// Half of the requests that began in it took at most this.
    #[serde(rename = "p50_us", serialize_with = "micros")]
    pub p50: Duration,
    /// All but a hundredth of them took at most this.
    #[serde(rename = "p99_us", serialize_with = "micros")]
    pub p99: Duration,
    /// CPU time of all nodes together for one request.
    #[serde(rename = "cpu_per_op_us", serialize_with = "micros")]
    pub cpu_per_op: Duration,
    /// Memory of their own (anonymous, resident) of all nodes together at the end of the turn. It holds
    /// what was written in all turns before, too.
    #[serde(rename = "memory_bytes")]
    pub memory: u64,
}

fn micros<S: serde::Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(duration.as_secs_f64() * 1e6)
}

/// A turn that did not count.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Spoilt {
    /// Whose.
    pub system: String,
    /// Which, from 1.
    pub round: usize,
    /// Why.
    pub why: String,
}

/// One kind of request at one number of clients: all turns, and their medians.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What was asked.
    pub kind: Kind,
    /// By how many at once.
    pub clients: usize,
    /// The median turn of each system, figure by figure; none if no turn counted.
    pub medians: Vec<Option<Sample>>,
    /// The first system against the second: medians of the ratios of neighbouring turns.
    pub ratio: Option<Ratio>,
    /// Every turn of each system; none for one that was tried and never counted.
    pub turns: Vec<Vec<Option<Sample>>>,
    /// Every attempt that did not count.
    pub spoilt: Vec<Spoilt>,
}

/// One system against another; above 1, the first has more of it. None where nothing could be compared:
/// so few requests that their CPU time was too short to be seen, say.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Ratio {
    /// Throughput: more is better.
    pub throughput: Option<f64>,
    /// Median latency: less is better.
    pub p50: Option<f64>,
    /// Tail latency: less is better.
    pub p99: Option<f64>,
    /// CPU time: less is better.
    pub cpu: Option<f64>,
}

impl Row {
    /// What these turns come to: `turns[system][round]`.
    pub(super) fn new(
        kind: Kind,
        clients: usize,
        turns: Vec<Vec<Option<Sample>>>,
        spoilt: Vec<Spoilt>,
    ) -> Row {
        let medians = turns.iter().map(|turns| median_sample(turns)).collect();
        let ratio = match turns.as_slice() {
            [one, other, ..] => Some(ratio(one, other)),
            _ => None,
        };
        Row { kind, clients, medians, ratio, turns, spoilt }
    }
}

/// Of the rounds in which both turns count.
fn ratio(one: &[Option<Sample>], other: &[Option<Sample>]) -> Ratio {
    let rounds = one.iter().zip(other).filter_map(|(one, other)| Some(((*one)?, (*other)?)));
    let rounds: Vec<(Sample, Sample)> = rounds.collect();
    let of = |figure: fn(&Sample) -> f64| {
        let figures = rounds.iter().map(|(one, other)| (figure(one), figure(other)));
        let comparable = figures.filter(|(one, other)| *one > 0.0 && *other > 0.0);
        median(comparable.map(|(one, other)| one / other).collect())
    };
    Ratio {
        throughput: of(|sample| sample.ops_per_second),
        p50: of(|sample| sample.p50.as_secs_f64()),
        p99: of(|sample| sample.p99.as_secs_f64()),
        cpu: of(|sample| sample.cpu_per_op.as_secs_f64()),
    }
}

fn median_sample(turns: &[Option<Sample>]) -> Option<Sample> {
    let of = |figure: fn(&Sample) -> f64| median(turns.iter().flatten().map(figure).collect());
    let time = |figure| of(figure).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let mut memory: Vec<u64> = turns.iter().flatten().map(|sample| sample.memory).collect();
    memory.sort_unstable();
    Some(Sample {
        ops_per_second: of(|sample| sample.ops_per_second)?,
        p50: time(|sample| sample.p50.as_secs_f64())?,
        p99: time(|sample| sample.p99.as_secs_f64())?,
        cpu_per_op: time(|sample| sample.cpu_per_op.as_secs_f64())?,
        memory: *memory.get(memory.len() / 2)?,
    })
}

/// The middle one; of an even number, the mean of the two in the middle. Nothing has no middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => None,
        count if count % 2 == 1 => Some(values[count / 2]),
        count => Some(f64::midpoint(values[count / 2 - 1], values[count / 2])),
    }
}

/// All that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// Whom the columns belong to, with all settings that they were started with.
    pub systems: Vec<Contender>,
    /// How long a turn was.
    #[serde(rename = "turn_seconds", serialize_with = "seconds")]
    pub turn: Duration,
    /// How many turns each system had for a row.
    pub rounds: usize,
    /// They.
    pub rows: Vec<Row>,
}

fn seconds<S: serde::Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(duration.as_secs_f64())
}

impl Table {
    /// Whether every system has figures in every row.
    pub fn is_complete(&self) -> bool {
        self.rows.iter().all(|row| row.medians.iter().all(Option::is_some))
    }
}

/// A line for each system and row, then the ratio, and then why turns did not count.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:17} {:>7}  {:10} {:>9} {:>9} {:>9} {:>9} {:>8} {:>6}",
            "", "clients", "", "ops/s", "p50 µs", "p99 µs", "CPU µs/op", "MiB", "turns"
        )?;
        for row in &self.rows {
            row.write(&self.systems, f)?;
        }
        let turns = count(self.rounds as u64, "turn");
        let seconds = self.turn.as_secs_f64();
        let again = if self.systems.len() > 1 { ", A B and B A in turn" } else { "" };
        writeln!(f, "medians of {turns} of {seconds:.1} s each{again}")?;
        writeln!(f, "ops/s: answered in a turn; p50 and p99: of the ops that began in it")?;
        write!(f, "MiB: anonymous memory of all nodes at its end, with what was written in turns before")?;
        for Contender { system, settings, .. } in &self.systems {
            let settings = settings.iter().map(|(key, value)| format!(" --{key} {value}"));
            write!(f, "\n{system} with{}", settings.collect::<String>())?;
        }
        Ok(())
    }
}

impl Row {
    fn write(&self, systems: &[Contender], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = systems.iter().zip(&self.medians).zip(&self.turns);
        for ((Contender { system, .. }, sample), turns) in figures {
            write!(f, "{:17} {:>7}  {system:10} ", self.kind.to_string(), self.clients)?;
            match sample {
                None => writeln!(f, "no turn counted")?,
                Some(sample) => writeln!(
                    f,
                    "{:>9.0} {:>9.0} {:>9.0} {:>9.1} {:>8} {:>6}",
                    sample.ops_per_second,
                    sample.p50.as_secs_f64() * 1e6,
                    sample.p99.as_secs_f64() * 1e6,
                    sample.cpu_per_op.as_secs_f64() * 1e6,
                    sample.memory >> 20,
                    turns.iter().flatten().count(),
                )?,
            }
        }
        if let Some(ratio) = &self.ratio {
            let [ops, p50, p99, cpu] = [ratio.throughput, ratio.p50, ratio.p99, ratio.cpu]
                .map(|ratio| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")));
            writeln!(f, "{:17} {:>7}  {:10} {ops:>9} {p50:>9} {p99:>9} {cpu:>9}", "", "", "ratio")?;
        }
        for Spoilt { system, round, why } in &self.spoilt {
            writeln!(f, "{:17} {:>7}  {system:10} turn {round} did not count: {why}", "", "")?;
        }
        Ok(())
    }
}

/// `1 turn`, `3 turns`.
pub(super) fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(ops: f64) -> Sample {
        let time = Duration::from_micros(100);
        Sample { ops_per_second: ops, p50: time, p99: time, cpu_per_op: time, memory: 1 << 20 }
    }

    fn row(one: Vec<Option<Sample>>, other: Vec<Option<Sample>>) -> Row {
        Row::new(Kind::Put, 1, vec![one, other], Vec::new())
    }

    fn is(found: Option<f64>, expected: f64) {
        assert!(found.is_some_and(|found| (found - expected).abs() < 1e-9), "{found:?} is not {expected}");
    }

    #[test]
    fn ratios_are_taken_between_neighbours_not_between_medians() {
        // A machine that gets twice as slow halfway: every pair still says 2.
        let one = [200.0, 200.0, 100.0].map(|ops| Some(sample(ops)));
        let other = [100.0, 100.0, 50.0].map(|ops| Some(sample(ops)));
        let row = row(one.into(), other.into());
        is(row.ratio.unwrap().throughput, 2.0);
        is(row.medians[0].map(|sample| sample.ops_per_second), 200.0);
    }

    #[test]
    fn a_turn_that_does_not_count_has_no_figures_and_takes_its_neighbour_out_of_the_ratio() {
        let row =
            row(vec![Some(sample(100.0)), Some(sample(900.0)), None], vec![Some(sample(50.0)), None, None]);
        is(row.ratio.unwrap().throughput, 2.0);
        is(row.medians[0].map(|sample| sample.ops_per_second), 500.0);
        let none = self::row(vec![None], vec![Some(sample(50.0))]);
        assert_eq!(none.medians[0], None);
        let nothing = Ratio { throughput: None, p50: None, p99: None, cpu: None };
        assert_eq!(none.ratio, Some(nothing));
        let json = serde_json::to_string(&none).unwrap();
        assert!(json.contains("\"medians\":[null,{\"ops_per_second\":50.0,\"p50_us\":100.0,"), "{json}");
    }

    #[test]
    fn cpu_time_too_short_to_be_seen_is_no_ratio() {
        let unseen = Sample { cpu_per_op: Duration::ZERO, ..sample(100.0) };
        let ratio = row(vec![Some(unseen)], vec![Some(sample(50.0))]).ratio.unwrap();
        assert_eq!(ratio.cpu, None);
        is(ratio.throughput, 2.0);
    }

    #[test]
    fn the_table_says_why_turns_do_not_count_and_counts_in_english() {
        let spoilt = vec![Spoilt { system: "raft".to_owned(), round: 1, why: "nobody answered".to_owned() }];
        let contender = |system: &str| Contender {
            system: system.to_owned(),
            bin: None,
            settings: [("election-timeout".to_owned(), "1000".to_owned())].into(),
        };
        let table = Table {
            systems: vec![contender("raft"), contender("etcd")],
            turn: Duration::from_secs(2),
            rounds: 1,
            rows: vec![Row::new(Kind::Put, 1, vec![vec![None], vec![Some(sample(50.0))]], spoilt)],
        };
        assert!(!table.is_complete());
        let text = table.to_string();
        for said in [
            "raft       no turn counted",
            "raft       turn 1 did not count: nobody answered",
            "ratio              -         -         -         -\n",
            "medians of 1 turn of 2.0 s each",
            "\netcd with --election-timeout 1000",
        ] {
            assert!(text.contains(said), "`{said}` is missing in\n{text}");
        }
    }

    #[test]
    fn a_median_is_in_the_middle() {
        is(median(vec![3.0, 1.0, 2.0]), 2.0);
        is(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(Vec::new()), None);
    }
}
