//! A counter: numbers are added to it, and a read tells the sum.
//!
//! It starts at 0. Adds may be negative. Their order never matters, so a read says only which of the adds
//! that were in flight had happened, and of those only the sum. What it can be caught at: a sum that lacks
//! what was acknowledged, or has more than was asked for, and two reads that do not fit together.
//!
//! As JSON:
//!
//! | op | asked | answered |
//! |---|---|---|
//! | add | `"f":"add","value":3` | `"value":3` |
//! | read | `"f":"read","value":null` | `"value":17` |
//!
//! Unanswered adds of the same number are one to the search, so a workload that adds few different numbers
//! is judged faster. Left out: a rule. Which unanswered adds make up a sum is a knapsack, which is hard
//! once many different numbers are open; histories with that end in *unknown*.

use history::{Answered, Asked, Operation, Unreadable};
use serde_json::{Value, json};
use smallvec::SmallVec;

use crate::explain::{Explanation, Refuted, in_general, index, place};
use crate::explain_states::few_ops_or_states;
use crate::linearizable::Linearizable;
use crate::seam::{Interval, Model};
use crate::span::Span;

/// What can be asked of a counter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// Add this.
    Add(i64),
    /// How much is it?
    Read,
}

/// What a counter answers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ret {
    /// An add's answer.
    Added,
    /// A read's answer.
    Value(i64),
}

impl Operation for Op {
    type Ret = Ret;

    fn ask(&self) -> Asked {
        let (f, value) = match *self {
            Op::Add(delta) => ("add", json!(delta)),
            Op::Read => ("read", Value::Null),
        };
        Asked { f: f.to_owned(), value }
    }

    fn read_ask(asked: &Asked) -> Result<Op, Unreadable> {
        match asked.f.as_str() {
            "add" => match asked.value.as_i64() {
                Some(delta) => Ok(Op::Add(delta)),
                None => Err(bad("add", "a whole number", &asked.value)),
            },
            "read" if asked.value.is_null() => Ok(Op::Read),
            "read" => Err(bad("read", "null where it is asked", &asked.value)),
            other => Err(Unreadable::UnknownF { f: other.to_owned(), known: "add, read" }),
        }
    }

    fn answer(&self, ret: &Ret) -> Answered {
        let value = match *ret {
            Ret::Added => self.ask().value,
            Ret::Value(sum) => json!(sum),
        };
        Answered { value, result: None }
    }

    fn read_answer(&self, Answered { value, .. }: &Answered) -> Result<Ret, Unreadable> {
        match self {
            Op::Add(_) if value.is_null() || *value == self.ask().value => Ok(Ret::Added),
            Op::Add(_) => Err(bad("add", "what was asked, or null", value)),
            Op::Read => match value.as_i64() {
                Some(sum) => Ok(Ret::Value(sum)),
                None => Err(bad("read", "a whole number", value)),
            },
        }
    }
}

fn bad(f: &str, expected: &'static str, found: &Value) -> Unreadable {
    Unreadable::BadValue { field: "value", f: f.to_owned(), expected, found: found.to_string() }
}

/// The model of a counter. A sum that no longer fits its 64 bits starts over, as in most counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counter;

impl Model for Counter {
    type Op = Op;
    type State = i64;

    fn init(&self) -> i64 {
        0
    }

    fn step(&self, sum: &i64, op: &Op, ret: Option<&Ret>, when: Interval, next: &mut SmallVec<[i64; 1]>) {
        let mut sum = *sum;
        if self.advance(&mut sum, op, ret, when) == Some(true) {
            next.push(sum);
        }
    }

    fn advance(&self, sum: &mut i64, op: &Op, ret: Option<&Ret>, _: Interval) -> Option<bool> {
        let answer = match *op {
            Op::Add(delta) => {
                *sum = sum.wrapping_add(delta);
                Ret::Added
            }
            Op::Read => Ret::Value(*sum),
        };
        Some(ret.is_none_or(|heard| *heard == answer))
    }

    fn only_looks(&self, op: &Op, _: Option<&Ret>) -> bool {
        matches!(op, Op::Read | Op::Add(0))
    }

    fn explain(&self, refuted: &Refuted<'_, Counter>) -> Explanation {
        out_of_reach(refuted)
            .or_else(|| few_ops_or_states(refuted, statement))
            .unwrap_or_else(|| in_general(refuted))
    }
}

/// Judges a counter.
pub fn counter() -> Linearizable<Counter> {
    Linearizable::new("counter", Counter)
}

// --- the words ------------------------------------------------------------------------------------

/// What was acknowledged before the read began is in its sum; what had begun before it ended may be. Its
/// sum is below the least of that, or above the most.
fn out_of_reach(refuted: &Refuted<'_, Counter>) -> Option<Explanation> {
    let culprit = refuted.culprit();
    let Some(Ret::Value(sum)) = culprit.ret() else { return None };
    let (mut certain, mut less, mut more) = (0_i128, 0_i128, 0_i128);
    for span in refuted.spans.iter().filter(|span| !span.attempt.failed()) {
        let Op::Add(delta) = span.attempt.op else { continue };
        let delta = i128::from(delta);
        if span.end() < culprit.from() {
            certain += delta;
        } else {
            less += delta.min(0);
            more += delta.max(0);
        }
    }
    let (least, most) = (certain + less, certain + more);
    let wraps = least < i128::from(i64::MIN) || most > i128::from(i64::MAX);
    if wraps || (least..=most).contains(&i128::from(*sum)) {
        return None;
    }
    let last = refuted.last_before(|span| matches!(span.attempt.op, Op::Add(_)));
    let reach = if least == most {
        "no other add had been asked for".to_owned()
    } else {
        format!("with all others that had been asked for it is between {least} and {most}")
    };
    let last_of_them = last.map_or_else(String::new, |last| {
        format!("; the last one acknowledged: {}", noun(&refuted.spans[last]))
    });
    Some(Explanation {
        sentence: format!(
            "{}, but the adds that were acknowledged before that read began make {certain}, and {reach}{last_of_them}",
            statement(culprit)
        ),
        named: [refuted.culprit].into_iter().chain(last).collect(),
    })
}

/// "process 3 read 17 from n1 (index 41)".
fn statement(span: &Span<'_, Op>) -> String {
    match span.ret() {
        Some(Ret::Value(sum)) => {
            let (process, from) = (span.attempt.process, place("from", span));
            format!("process {process} read {sum}{from} {}", index(span))
        }
        Some(Ret::Added) => format!("{} was acknowledged", noun(span)),
        None => format!("{} began", noun(span)),
    }
}

/// "process 1's add of 3 to n2 (index 37)".
fn noun(span: &Span<'_, Op>) -> String {
    let (process, index) = (span.attempt.process, index(span));
    match span.attempt.op {
        Op::Read => format!("process {process}'s read{} {index}", place("from", span)),
        Op::Add(delta) => format!("process {process}'s add of {delta}{} {index}", place("to", span)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::played::{Subject, compared, history, judged, steps};

    struct Played;

    impl Subject for Played {
        type Op = Op;
        type State = i64;

        fn effect(&self, sum: &mut i64, op: &Op) -> Ret {
            match *op {
                Op::Add(delta) => {
                    *sum += delta;
                    Ret::Added
                }
                Op::Read => Ret::Value(*sum),
            }
        }

        fn lie(&self, ret: Ret, number: u64) -> Ret {
            match ret {
                Ret::Added => Ret::Added,
                Ret::Value(sum) => Ret::Value(sum + i64::try_from(number).unwrap() - 2),
            }
        }
    }

    #[test]
    fn the_search_agrees_with_the_plain_search() {
        let ops = prop_oneof![(-1_i64..4).prop_map(Op::Add), Just(Op::Read)];
        compared(&counter, &Played, steps(ops));
    }

    fn said(lines: &str) -> String {
        judged(&counter(), &history::<Op>(lines))
    }

    #[test]
    fn a_sum_has_all_that_was_acknowledged_and_nothing_that_was_not_asked_for() {
        assert_eq!(
            said("0 add 3\n0 ! 3\n1 read\n1 ! 0"),
            "process 1 read 0 (index 3), but the adds that were acknowledged before that read began make 3, \
             and no other add had been asked for; the last one acknowledged: process 0's add of 3 (index 1)"
        );
        assert_eq!(
            said("0 add 3\n0 ! 3\n1 add 2\n2 read\n2 ! 6"),
            "process 2 read 6 (index 4), but the adds that were acknowledged before that read began make 3, \
             and with all others that had been asked for it is between 3 and 5; the last one acknowledged: \
             process 0's add of 3 (index 1)"
        );
    }

    #[test]
    fn a_sum_may_need_several_unanswered_adds_at_once() {
        assert_eq!(said("0 add 1\n0 ?\n1 add 2\n1 ?\n2 read\n2 ! 3"), "valid");
        assert_eq!(said("0 add 1\n0 ?\n1 add 2\n1 ?\n2 read\n2 ! 0\n2 read\n2 ! 2"), "valid");
        let wrong = said("0 add 2\n0 ?\n1 add 2\n1 ?\n2 read\n2 ! 3");
        assert!(wrong.starts_with("process 2 read 3 (index 5), which nothing that was asked"), "{wrong}");
    }

    #[test]
    fn what_one_read_has_counted_the_next_one_counts_too() {
        let wrong = said("0 add 1\n1 read\n1 ! 1\n1 read\n1 ! 0");
        assert_eq!(
            wrong,
            "process 1 read 0 (index 4), but process 1 read 1 (index 2), and no order explains both"
        );
    }
}
