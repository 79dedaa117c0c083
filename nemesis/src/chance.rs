//! Forms drawn by chance: weathers, wrong clocks, slow disks.
//!
//! Sizes are drawn by their order of magnitude, because the mistakes stand at thresholds that nobody
//! told us: a delay just longer than a heartbeat, a jump just longer than a lease.

use rand::seq::IndexedRandom as _;
use rand::{Rng, RngExt as _};

use crate::fault::{Pace, Skew, Weather};
use crate::span::{Shift, Span};

/// Delays, losses and repetitions that a system survives, each of which a careless one does not.
pub(crate) fn telling_weather() -> Weather {
    Weather { delay: Span::millis(40), jitter: Span::millis(40), loss: 10, duplicate: 10, reorder: 10 }
}

/// Bad in one way, or in some.
pub(crate) fn weather(rng: &mut impl Rng) -> Weather {
    let mut weather = Weather::default();
    while weather.is_fine() {
        if rng.random_ratio(1, 2) {
            weather.delay = Span::millis(magnitude(5, 500, rng));
            weather.jitter = Span::millis(rng.random_range(0..=2 * weather.delay.0 / 1_000_000));
        }
        let mut share = |most: u8| if rng.random_ratio(1, 3) { rng.random_range(1..=most) } else { 0 };
        weather.loss = share(40);
        weather.duplicate = share(50);
        weather.reorder = share(50);
    }
    weather
}

/// A clock that is wrong by 20 ms to two minutes, or runs up to half as fast again, or jumps about.
pub(crate) fn skew(rng: &mut impl Rng) -> Skew {
    let ahead = rng.random_ratio(1, 2);
    let shift = |millis: u64| {
        let millis = i64::try_from(millis).unwrap_or(i64::MAX);
        Shift::millis(if ahead { millis } else { -millis })
    };
    match rng.random_range(0..3) {
        0 => Skew::Jump { by: shift(magnitude(20, 120_000, rng)) },
        1 => {
            let percent = rng.random_range(1..=Skew::MOST_DRIFT);
            Skew::Drift { percent: if ahead { percent } else { -percent } }
        }
        _ => {
            let by = shift(magnitude(20, 10_000, rng));
            Skew::Strobe { by, every: Span::millis(magnitude(5, 1_000, rng)) }
        }
    }
}

/// Each sync a little slower, or much, or none at all.
pub(crate) fn pace(rng: &mut impl Rng) -> Pace {
    let stuck = rng.random_ratio(1, 3);
    if stuck { Pace::Stuck } else { Pace::Sync(Span::millis(magnitude(2, 1_000, rng))) }
}

/// Between `least` and `most`, every order of magnitude as likely as any other.
pub(crate) fn magnitude(least: u64, most: u64, rng: &mut impl Rng) -> u64 {
    let mut ceiling = least;
    let mut steps = vec![];
    while ceiling < most {
        let next = ceiling.saturating_mul(2).min(most);
        steps.push((ceiling, next));
        ceiling = next;
    }
    match steps.choose(rng) {
        Some((low, high)) => rng.random_range(*low..=*high),
        None => least,
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn nothing_is_drawn_that_would_be_no_fault_or_that_a_file_would_not_hold() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for _ in 0..2_000 {
            let drawn = weather(&mut rng);
            assert!(!drawn.is_fine());
            assert!([drawn.loss, drawn.duplicate, drawn.reorder].iter().all(|share| *share <= 50));
            match skew(&mut rng) {
                Skew::Jump { by } | Skew::Strobe { by, .. } => assert!(by.size() >= Span::millis(20)),
                Skew::Drift { percent } => assert!(percent != 0 && percent.abs() <= Skew::MOST_DRIFT),
            }
            assert_ne!(pace(&mut rng), Pace::Sync(Span(0)));
        }
    }

    #[test]
    fn every_order_of_magnitude_is_as_likely_as_any_other() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let drawn: Vec<u64> = (0..4_000).map(|_| magnitude(1, 4_096, &mut rng)).collect();
        assert!(drawn.iter().all(|value| (1..=4_096).contains(value)));
        let small = drawn.iter().filter(|value| **value <= 64).count();
        assert!((1_800..2_300).contains(&small), "{small} of 4000 lie in the lower six of twelve doublings");
    }
}
