//! Latencies in bounded memory: buckets that grow with what they count.
//!
//! Sixteen buckets for each doubling tell two latencies apart that differ by about 5 %, from a
//! microsecond to half a million years, in 8 KiB. Quantiles are the upper edge of their bucket, so they are
//! never too good.

use std::time::Duration;

/// Sub-buckets per doubling, as a power of two.
const FINE: u32 = 4;
const BUCKETS: usize = (64 - FINE as usize + 1) << FINE;

/// How long things took.
#[derive(Clone, Debug)]
pub struct Latencies {
    buckets: Box<[u64]>,
    count: u64,
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies { buckets: vec![0; BUCKETS].into(), count: 0 }
    }
}

impl Latencies {
    /// One more.
    pub fn add(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(micros)] += 1;
        self.count += 1;
    }

    /// All of another's, too.
    pub fn merge(&mut self, other: &Latencies) {
        for (bucket, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *bucket += more;
        }
        self.count += other.count;
    }

    /// The latency that so many of a thousand did not exceed, if there are any.
    pub fn permille(&self, share: u64) -> Option<Duration> {
        let rank = (self.count * share).div_ceil(1000).max(1);
        let mut seen = 0;
        let found = self.buckets.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        found.map(|bucket| Duration::from_micros(edge(bucket)))
    }
}

/// Below 2^FINE, the number itself; above, its highest bits.
fn bucket(micros: u64) -> usize {
    let doublings = (64 - micros.leading_zeros()).saturating_sub(FINE + 1);
    let index = (u64::from(doublings) << FINE) + (micros >> doublings);
    usize::try_from(index).expect("there are few buckets")
}

/// The largest number in a bucket.
fn edge(bucket: usize) -> u64 {
    let doublings = (bucket >> FINE).saturating_sub(1);
    let top = (bucket - (doublings << FINE)) as u64;
    (u128::from(top + 1) << doublings).saturating_sub(1).try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_lies_in_its_bucket_and_no_edge_is_far_above_it() {
        for micros in (0..5000).chain([1 << 20, u64::MAX >> 1, u64::MAX]) {
            let edge = edge(bucket(micros));
            assert!(edge >= micros, "{micros} is above the edge {edge}");
            assert!(edge - micros <= micros / 16, "{micros} is far below the edge {edge}");
        }
        assert!(bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn quantiles_are_those_of_the_numbers_and_none_of_nothing() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.permille(500), None);
        for micros in 1..=100 {
            latencies.add(Duration::from_micros(micros));
        }
        let near = |share, expected: u64| {
            let found = latencies.permille(share).unwrap().as_micros();
            assert!((expected..=expected + expected / 16 + 1).contains(&u64::try_from(found).unwrap()));
        };
        near(500, 50);
        near(990, 99);
        near(1000, 100);
    }
}
