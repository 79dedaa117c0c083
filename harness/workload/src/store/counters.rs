//! A counter is the sum of all numbers that can be added, each as often as it was: an add that was carried out
//! twice is what counters are there to find.

use super::growing::Growing;
use crate::Counters;
use checker::counter::{Op, Ret};

impl Growing for Counters {
    type Number = i64;

    fn added(op: &Op) -> Option<i64> {
        match *op {
            Op::Add(number) => Some(number),
            Op::Read => None,
        }
    }

    fn acknowledged() -> Ret {
        Ret::Added
    }

    /// Sums start over where they no longer fit, as in the model.
    fn found(numbers: Vec<(i64, i64)>) -> Ret {
        let sum = |sum: i64, (number, times): (i64, i64)| sum.wrapping_add(number.wrapping_mul(times));
        Ret::Value(numbers.into_iter().fold(0, sum))
    }
}
