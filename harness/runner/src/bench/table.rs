//! Figures of many turns, and what they come to.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::Kind;

/// One turn of one system.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Sample {
    /// Answered requests.
    pub ops_per_second: f64,
    /// Half of them took at most this.
    #[serde(serialize_with = "micros")]
    pub p50: Duration,
    /// All but a hundredth of them took at most this.
    #[serde(serialize_with = "micros")]
    pub p99: Duration,
    /// Requests that were refused or broke.
    pub errors: u32,
    /// CPU time of all nodes together for one request.
    #[serde(serialize_with = "micros")]
    pub cpu_per_op: Duration,
    /// Resident memory of all nodes together, in bytes, at the end of the turn.
    pub memory: u64,
}

fn micros<S: serde::Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(duration.as_secs_f64() * 1e6)
}

/// One kind of request at one number of clients: all turns, and their medians.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What was asked.
    pub kind: Kind,
    /// By how many at once.
    pub clients: usize,
    /// The median turn of each system, figure by figure.
    pub medians: Vec<Sample>,
    /// The first system against the second: medians of the ratios of neighbouring turns.
    pub ratio: Option<Ratio>,
    /// Every turn of each system.
    pub turns: Vec<Vec<Sample>>,
}

/// One system against another; above 1, the first has more of it.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Ratio {
    /// Throughput: more is better.
    pub throughput: f64,
    /// Median latency: less is better.
    pub p50: f64,
    /// Tail latency: less is better.
    pub p99: f64,
    /// CPU time: less is better.
    pub cpu: f64,
}

impl Row {
    /// What these turns come to: `turns[system][round]`.
    pub(super) fn new(kind: Kind, clients: usize, turns: Vec<Vec<Sample>>) -> Row {
        let medians = turns.iter().map(|turns| median_sample(turns)).collect();
        let ratio = match turns.as_slice() {
            [one, other, ..] => Some(ratio(one, other)),
            _ => None,
        };
        Row { kind, clients, medians, ratio, turns }
    }
}

fn ratio(one: &[Sample], other: &[Sample]) -> Ratio {
    let of = |figure: fn(&Sample) -> f64| {
        median(one.iter().zip(other).map(|(one, other)| figure(one) / figure(other)).collect())
    };
    Ratio {
        throughput: of(|sample| sample.ops_per_second),
        p50: of(|sample| sample.p50.as_secs_f64()),
        p99: of(|sample| sample.p99.as_secs_f64()),
        cpu: of(|sample| sample.cpu_per_op.as_secs_f64()),
    }
}

fn median_sample(turns: &[Sample]) -> Sample {
    let of = |figure: fn(&Sample) -> f64| median(turns.iter().map(figure).collect());
    let time = |figure| Duration::try_from_secs_f64(of(figure)).unwrap_or_default();
    Sample {
        ops_per_second: of(|sample| sample.ops_per_second),
        p50: time(|sample| sample.p50.as_secs_f64()),
        p99: time(|sample| sample.p99.as_secs_f64()),
        errors: turns.iter().map(|sample| sample.errors).sum(),
        cpu_per_op: time(|sample| sample.cpu_per_op.as_secs_f64()),
        memory: turns.iter().map(|sample| sample.memory).max().unwrap_or(0),
    }
}

/// The middle one; of an even number, the mean of the two in the middle. Nothing has no middle: NaN.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

/// All that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// Whom the columns belong to.
    pub systems: Vec<String>,
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

/// A line for each system and row, then the ratio. Microseconds for latencies and CPU time of all
/// nodes per op, mebibytes for memory.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:17} {:>7}  {:10} {:>9} {:>9} {:>9} {:>9} {:>8} {:>6}",
            "", "clients", "", "ops/s", "p50 µs", "p99 µs", "CPU µs/op", "MiB", "errors"
        )?;
        for row in &self.rows {
            for (system, sample) in self.systems.iter().zip(&row.medians) {
                writeln!(
                    f,
                    "{:17} {:>7}  {system:10} {:>9.0} {:>9.0} {:>9.0} {:>9.1} {:>8} {:>6}",
                    row.kind.to_string(),
                    row.clients,
                    sample.ops_per_second,
                    sample.p50.as_secs_f64() * 1e6,
                    sample.p99.as_secs_f64() * 1e6,
                    sample.cpu_per_op.as_secs_f64() * 1e6,
                    sample.memory >> 20,
                    sample.errors,
                )?;
            }
            if let Some(ratio) = &row.ratio {
                writeln!(
                    f,
                    "{:17} {:>7}  {:10} {:>9.2} {:>9.2} {:>9.2} {:>9.2}",
                    "", "", "ratio", ratio.throughput, ratio.p50, ratio.p99, ratio.cpu
                )?;
            }
        }
        write!(f, "medians of {} turns of {:.1} s each, taken in turns", self.rounds, self.turn.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(ops: f64) -> Sample {
        let time = Duration::from_micros(100);
        Sample { ops_per_second: ops, p50: time, p99: time, errors: 0, cpu_per_op: time, memory: 1 << 20 }
    }

    #[test]
    fn ratios_are_taken_between_neighbours_not_between_medians() {
        // A machine that gets twice as slow halfway: every pair still says 2.
        let one = vec![sample(200.0), sample(200.0), sample(100.0)];
        let other = vec![sample(100.0), sample(100.0), sample(50.0)];
        let row = Row::new(Kind::Put, 1, vec![one, other]);
        assert!((row.ratio.unwrap().throughput - 2.0).abs() < 1e-9);
        assert!((row.medians[0].ops_per_second - 200.0).abs() < 1e-9);
    }

    #[test]
    fn a_median_is_in_the_middle() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median(Vec::new()).is_nan());
    }
}
