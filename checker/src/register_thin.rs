//! Which unanswered ops of a register can help to explain an answer, and which cannot.
//!
//! An answer tells values apart: a read of 7 tells 7 from the rest, and a compare-and-set from 3, whether
//! it found 3 or not, tells 3 from the rest. Values that no answer tells apart may as well be one. So
//! an unanswered op helps only if it puts a value there that is told apart, or takes one away; and what
//! takes one away helps only those compare-and-sets that found another.
//!
//! An unanswered compare-and-set from 5 to 7 makes 5 worth telling apart if 7 is: it takes a 5 to put 7.
//!
//! Of many unanswered ops that ask the same, a few are enough. Between two answers the register passes
//! through each value at most once, or it could have gone there directly. So each kind of op is needed
//! at most once before each answer, and the earliest of a kind can stand wherever a later one can.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::register::{Op, Ret};
use crate::span::Span;

/// The values that these answers tell apart.
struct Told {
    values: FxHashSet<u64>,
    /// Whether some compare-and-set says that a value was *not* there.
    others: bool,
}

impl Told {
    fn by(ops: &[Span<'_, Op>]) -> Told {
        let mut told = Told { values: FxHashSet::default(), others: false };
        // By the value that it puts: what an unanswered compare-and-set takes for it.
        let mut takes: FxHashMap<u64, Vec<u64>> = FxHashMap::default();
        let mut new: Vec<u64> = Vec::new();
        for op in ops {
            match (op.attempt.op, op.ret()) {
                (Op::Read, Some(Ret::Value(value))) => new.extend(value),
                (Op::Cas { from, .. }, Some(answer)) => {
                    told.others |= *answer == Ret::Swapped(false);
                    new.push(from);
                }
                (Op::Cas { from, to }, None) => takes.entry(to).or_default().push(from),
                _ => {}
            }
        }
        while let Some(value) = new.pop() {
            if told.values.insert(value) {
                new.extend(takes.remove(&value).into_iter().flatten());
            }
        }
        told
    }

    /// The value, or none for all that are not told apart.
    fn content(&self, value: u64) -> Option<u64> {
        self.values.get(&value).copied()
    }

    /// What an unanswered op may do that makes a difference: from what (none if that does not matter)
    /// to what.
    fn kind(&self, op: Op) -> Option<(Option<u64>, Option<u64>)> {
        let (from, to) = match op {
            Op::Read => return None,
            Op::Write(value) => (None, self.content(value)),
            Op::Cas { from, to } => (Some(self.content(from)?), self.content(to)),
        };
        let helps = to.is_some() || self.others;
        (helps && (from.is_none() || from != to)).then_some((from, to))
    }
}

/// Leaves out what does not help.
pub(crate) fn thin(ops: &mut Vec<Span<'_, Op>>) {
    let told = Told::by(ops);
    let answers = ops.iter().filter(|op| !op.is_open()).count();
    let mut kept: BTreeMap<_, usize> = BTreeMap::new();
    ops.retain(|op| {
        !op.is_open()
            || told.kind(op.attempt.op).is_some_and(|kind| {
                let kept = kept.entry(kind).or_default();
                *kept += 1;
                *kept <= answers
            })
    });
}

/// What the earlier ops may have left, as far as the later ones tell it apart.
pub(crate) fn left_by(earlier: &[Span<'_, Op>], later: &[Span<'_, Op>]) -> Vec<Option<u64>> {
    let told = Told::by(later);
    let mut seen = FxHashSet::default();
    let mut states = vec![None];
    for op in earlier.iter().filter(|op| !op.attempt.failed()) {
        let (Op::Write(value) | Op::Cas { to: value, .. }) = op.attempt.op else { continue };
        // Of those that nobody tells apart, one is enough.
        if seen.insert(told.content(value)) {
            states.push(Some(value));
        }
    }
    states
}
