//! `harness check --online`: judging lines as they come, and how far that lags behind.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use checker::{Budget, Checker, Verdict};
use history::{Line, Operation, ReadError};

/// What came of judging line by line.
pub(crate) struct Watched {
    pub(crate) verdict: Verdict,
    /// Lines that were read.
    pub(crate) lines: u64,
    /// Ops that were asked.
    pub(crate) ops: usize,
    /// Ops that are known to have happened.
    pub(crate) answered: u64,
    /// How long lines waited for their verdict.
    pub(crate) lag: Lag,
}

/// Judges lines as they come. An error ends it.
pub(crate) fn watch<O: Operation>(
    checker: &impl Checker<O, O::Ret>,
    lines: impl Iterator<Item = Result<Line<O, O::Ret>, ReadError>>,
    memory: usize,
    mut look: impl FnMut(&Line<O, O::Ret>),
) -> Result<Watched, ReadError> {
    let waiting = std::cell::RefCell::new(Waiting::default());
    let (mut broken, mut ops, mut answered) = (None, 0, 0);
    let mut sound = lines.map_while(|line| match line {
        Ok(line) => {
            if let Line::Client(seen) = &line {
                match seen.kind {
                    history::Kind::Invoke(_) => ops += 1,
                    history::Kind::Ok(_) => answered += 1,
                    history::Kind::Fail(_) | history::Kind::Info(_) => {}
                }
            }
            look(&line);
            waiting.borrow_mut().came(Instant::now());
            Some(line)
        }
        Err(error) => {
            broken = Some(error);
            None
        }
    });
    let budget = Budget { time: Duration::MAX, memory, ..Budget::default() };
    let verdict =
        checker.watch(&mut sound, &budget, &mut |line| waiting.borrow_mut().judged(line, Instant::now()));
    drop(sound);
    if let Some(error) = broken {
        return Err(error);
    }
    let Waiting { first, came, lag } = waiting.into_inner();
    Ok(Watched { verdict, lines: first + came.len() as u64, ops, answered, lag })
}

/// When the lines came that are not judged yet. Lines are numbered as they come.
#[derive(Default)]
struct Waiting {
    /// The number of the first one here.
    first: u64,
    /// None where it was judged before one that came earlier.
    came: VecDeque<Option<Instant>>,
    lag: Lag,
}

impl Waiting {
    fn came(&mut self, at: Instant) {
        self.came.push_back(Some(at));
    }

    fn judged(&mut self, line: u64, at: Instant) {
        let place = line.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        if let Some(came) = place.and_then(|place| self.came.get_mut(place)).and_then(Option::take) {
            self.lag.add(at.duration_since(came));
        }
        while let Some(None) = self.came.front() {
            self.came.pop_front();
            self.first += 1;
        }
    }
}

/// How long things took, in steps of an eighth: what 99 of 100 took is known to 12 %, for any number of
/// them.
#[derive(Clone, Debug)]
pub(crate) struct Lag {
    counts: Vec<u64>,
    longest: Duration,
}

/// Eight steps for each doubling, from a nanosecond on.
const STEPS: usize = 8 * 64;

impl Default for Lag {
    fn default() -> Lag {
        Lag { counts: vec![0; STEPS], longest: Duration::ZERO }
    }
}

impl Lag {
    fn add(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(8);
        let doublings = nanos.ilog2() as usize;
        let eighth = usize::try_from(nanos >> (doublings - 3) & 7).expect("three bits");
        self.counts[8 * doublings + eighth] += 1;
        self.longest = self.longest.max(took);
    }

    /// What so many of a thousand took at most.
    pub(crate) fn most(&self, of_thousand: u64) -> Duration {
        let all: u64 = self.counts.iter().sum();
        let mut rest = all - all * of_thousand / 1000;
        for (step, &count) in self.counts.iter().enumerate().rev() {
            if count > rest {
                let below = u32::try_from(step / 8).expect("few steps");
                let nanos = (9 + step as u64 % 8) << (below.max(3) - 3);
                return Duration::from_nanos(nanos).min(self.longest);
            }
            rest -= count;
        }
        Duration::ZERO
    }

    /// The longest.
    pub(crate) fn longest(&self) -> Duration {
        self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_most_took_is_known_to_an_eighth() {
        let mut lag = Lag::default();
        (1..=1000).for_each(|micros| lag.add(Duration::from_micros(micros)));
        let near = |thousandths, micros: u64| {
            let (found, exact) = (lag.most(thousandths), Duration::from_micros(micros));
            assert!(found >= exact && found <= exact * 9 / 8, "{found:?} for {exact:?}");
        };
        near(500, 500);
        near(990, 990);
        assert_eq!(lag.most(1000), Duration::from_millis(1));
        assert_eq!(Lag::default().most(990), Duration::ZERO);
    }

    #[test]
    fn lines_judged_out_of_order_are_each_counted_once() {
        let mut waiting = Waiting::default();
        let start = Instant::now();
        (0..3).for_each(|_| waiting.came(start));
        for line in [2, 0, 0, 1, 7] {
            waiting.judged(line, start + Duration::from_millis(line));
        }
        assert_eq!((waiting.first, waiting.came.len()), (3, 0));
        assert_eq!(waiting.lag.counts.iter().sum::<u64>(), 3);
        assert_eq!(waiting.lag.longest(), Duration::from_millis(2));
    }
}
