//! A set that only grows: values are added, and a read shows all that is in it.
//!
//! It starts empty. An add that nobody answered may show up in a read, at once or an hour later, or never;
//! but what one read has shown, every later one shows.
//!
//! As JSON:
//!
//! | op | asked | answered |
//! |---|---|---|
//! | add | `"f":"add","value":7` | `"value":7` |
//! | read | `"f":"read","value":null` | `"value":[3,7]`, each value once |
//!
//! It is tempting to judge value by value: was it added, is it shown from then on? That misses what reads
//! say of each other. While 1 and 2 are being added, one read may show 1 alone and another 2 alone; each
//! value for itself looks fine, and yet no set ever held both contents. So reads are judged whole. Where
//! every value is added once, that is as cheap, since contents tell their own order: see [`decide`].
//! Where values are added again and again, the search decides. Either way, *valid* means linearizable.
//!
//! Left out: removal, without which a read's content is never an old one come back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use history::{Answered, Asked, Operation, Unreadable};
use serde_json::{Value, json};
use smallvec::SmallVec;

use crate::linearizable::Linearizable;
use crate::meter::{Meter, Stop};
use crate::mutant::Mutant;
use crate::rule::{Clash, Rule, Ruling};
use crate::seam::{Interval, Model};
use crate::set_explain;
use crate::span::Span;
use crate::{Explanation, Refuted};

/// What can be asked of a set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// Put this in.
    Add(u64),
    /// What is in it?
    Read,
}

/// What a set answers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Ret {
    /// An add's answer.
    Added,
    /// A read's answer.
    Elements(Arc<BTreeSet<u64>>),
}

impl Operation for Op {
    type Ret = Ret;

    fn ask(&self) -> Asked {
        let (f, value) = match *self {
            Op::Add(value) => ("add", json!(value)),
            Op::Read => ("read", Value::Null),
        };
        Asked { f: f.to_owned(), value }
    }

    fn read_ask(asked: &Asked) -> Result<Op, Unreadable> {
        match asked.f.as_str() {
            "add" => match asked.value.as_u64() {
                Some(value) => Ok(Op::Add(value)),
                None => Err(bad("add", "a number from 0", &asked.value)),
            },
            "read" if asked.value.is_null() => Ok(Op::Read),
            "read" => Err(bad("read", "null where it is asked", &asked.value)),
            other => Err(Unreadable::UnknownF { f: other.to_owned(), known: "add, read" }),
        }
    }

    fn answer(&self, ret: &Ret) -> Answered {
        let value = match ret {
            Ret::Added => self.ask().value,
            Ret::Elements(elements) => json!(**elements),
        };
        Answered { value, result: None }
    }

    fn read_answer(&self, Answered { value, .. }: &Answered) -> Result<Ret, Unreadable> {
        match self {
            Op::Add(_) if value.is_null() || *value == self.ask().value => Ok(Ret::Added),
            Op::Add(_) => Err(bad("add", "what was asked, or null", value)),
            Op::Read => match elements(value) {
                Some(elements) => Ok(Ret::Elements(Arc::new(elements))),
                None => Err(bad("read", "a list of numbers, each of them once", value)),
            },
        }
    }
}

/// A list in which a value stands twice is no set, and whoever answers so is not believed to mean one.
fn elements(value: &Value) -> Option<BTreeSet<u64>> {
    let listed = value.as_array()?;
    let elements: BTreeSet<u64> = listed.iter().map(Value::as_u64).collect::<Option<_>>()?;
    (elements.len() == listed.len()).then_some(elements)
}

fn bad(f: &str, expected: &'static str, found: &Value) -> Unreadable {
    Unreadable::BadValue { field: "value", f: f.to_owned(), expected, found: found.to_string() }
}

/// The model of a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Set;

impl Model for Set {
    type Op = Op;
    type State = Arc<BTreeSet<u64>>;

    fn init(&self) -> Arc<BTreeSet<u64>> {
        Arc::default()
    }

    fn step(
        &self,
        state: &Arc<BTreeSet<u64>>,
        op: &Op,
        ret: Option<&Ret>,
        when: Interval,
        next: &mut SmallVec<[Arc<BTreeSet<u64>>; 1]>,
    ) {
        let mut state = Arc::clone(state);
        if self.advance(&mut state, op, ret, when) == Some(true) {
            next.push(state);
        }
    }

    fn advance(
        &self,
        state: &mut Arc<BTreeSet<u64>>,
        op: &Op,
        ret: Option<&Ret>,
        _: Interval,
    ) -> Option<bool> {
        Some(match (*op, ret) {
            (Op::Add(value), None | Some(Ret::Added)) => {
                if !state.contains(&value) {
                    Arc::make_mut(state).insert(value);
                }
                true
            }
            (Op::Read, None) => true,
            (Op::Read, Some(Ret::Elements(shown))) => shown == state,
            (Op::Add(_), Some(Ret::Elements(_))) | (Op::Read, Some(Ret::Added)) => false,
        })
    }

    fn only_looks(&self, op: &Op, _: Option<&Ret>) -> bool {
        *op == Op::Read
    }

    fn heap(&self, state: &Arc<BTreeSet<u64>>) -> usize {
        // A tree keeps its nodes half to wholly full.
        2 * size_of::<u64>() * state.len()
    }

    fn show(&self, state: &Arc<BTreeSet<u64>>) -> String {
        set_explain::shown(state)
    }

    fn explain(&self, refuted: &Refuted<'_, Set>) -> Explanation {
        set_explain::explain(refuted)
    }
}

/// Judges a set.
pub fn set() -> Linearizable<Set> {
    Linearizable::new("set", Set).ruled_by(&RULES)
}

// --- the rule ---------------------------------------------------------------------------------------

static RULES: [Rule<Set>; 1] = [Rule { name: "inclusion", assumes: "every value is added once", decide }];

/// What the rule remembers of an op, in bytes.
const BYTES: usize = 64;

/// Orders the reads by inclusion; the adds then have no choice.
///
/// A set that only grows has its contents in a row, each one including those before it. So of any two
/// reads one shows all that the other shows, the smaller one comes first, and a value that the greater
/// shows and the smaller does not was added between them. What no read shows was added after the last of
/// them, or never if nobody answered. That leaves no choice but among neighbours, ops between the same two
/// contents, and those may stand as they were invoked. Then all that is left to check is that no op ended
/// before one in front of it began.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "a rule is given a model, however small")]
fn decide(_: &Set, spans: &[Span<'_, Op>], meter: &Meter, _: Mutant) -> Result<Ruling, Stop> {
    meter.check(0)?;
    let bytes = spans.len().saturating_mul(BYTES);
    meter.charge(bytes)?;
    let ruling = Inclusion::new(spans).map_or(Ruling::Declined, |inclusion| match inclusion.order() {
        Ok(order) => Ruling::Order(order),
        Err(guilty) => inclusion.clash(guilty),
    });
    meter.release(bytes);
    Ok(ruling)
}

/// Spans whose answers contradict each other.
type Guilty = Vec<u32>;

struct Inclusion<'s, 'a> {
    spans: &'s [Span<'a, Op>],
    /// Who added each value.
    adds: BTreeMap<u64, u32>,
    /// What was read, the smallest first; of the same size, as they were invoked.
    reads: Vec<(u32, &'a BTreeSet<u64>)>,
}

/// An op in the order, and the read that shows its place.
#[derive(Clone, Copy)]
struct Item {
    span: u32,
    /// A read itself; of an add, the first read with its value. None if there is none.
    shown_by: Option<u32>,
}

impl<'s, 'a> Inclusion<'s, 'a> {
    /// None if the rule does not apply.
    fn new(spans: &'s [Span<'a, Op>]) -> Option<Inclusion<'s, 'a>> {
        let mut adds = BTreeMap::new();
        let mut reads: Vec<(u32, &BTreeSet<u64>)> = Vec::new();
        for (number, span) in (0..).zip(spans) {
            match (span.attempt.op, span.ret()) {
                (Op::Add(value), None | Some(Ret::Added)) => {
                    if adds.insert(value, number).is_some() {
                        return None;
                    }
                }
                (Op::Read, None) => {}
                (Op::Read, Some(Ret::Elements(elements))) => reads.push((number, elements)),
                (Op::Add(_), Some(Ret::Elements(_))) | (Op::Read, Some(Ret::Added)) => return None,
            }
        }
        reads.sort_by_key(|(_, elements)| elements.len());
        Some(Inclusion { spans, adds, reads })
    }

    fn order(&self) -> Result<Vec<u32>, Guilty> {
        let order = self.lay_out()?;
        self.in_time(&order)?;
        Ok(order.into_iter().map(|item| item.span).collect())
    }

    fn lay_out(&self) -> Result<Vec<Item>, Guilty> {
        let nothing = BTreeSet::new();
        let mut before: (Option<u32>, &BTreeSet<u64>) = (None, &nothing);
        let mut order = Vec::with_capacity(self.spans.len());
        for &(read, elements) in &self.reads {
            if !before.1.is_subset(elements) {
                return Err(before.0.into_iter().chain([read]).collect());
            }
            let fresh = elements.difference(before.1).map(|value| self.adds.get(value).copied());
            let mut fresh = fresh.collect::<Option<Vec<u32>>>().ok_or_else(|| vec![read])?;
            fresh.sort_unstable();
            order.extend(fresh.into_iter().chain([read]).map(|span| Item { span, shown_by: Some(read) }));
            before = (Some(read), elements);
        }
        let unread = self.adds.iter().filter(|(value, _)| !before.1.contains(value)).map(|(_, &add)| add);
        let mut unread: Vec<u32> = unread.filter(|&add| !self.span(add).is_open()).collect();
        unread.sort_unstable();
        order.extend(unread.into_iter().map(|span| Item { span, shown_by: None }));
        Ok(order)
    }

    /// Whether nothing stands behind what began after it had ended. Neighbours stand as they were invoked,
    /// so two that do not are separated by a read; if neither is one, the first read with the value of the
    /// one in front lacks that of the other.
    fn in_time(&self, order: &[Item]) -> Result<(), Guilty> {
        let mut latest: Option<Item> = None;
        for item in order {
            let began = |item: Item| self.span(item.span).from();
            if let Some(before) = latest
                && self.span(item.span).end() < began(before)
            {
                let neither_reads = [before.span, item.span].iter().all(|&span| self.adds_value(span));
                let between = before.shown_by.filter(|_| neither_reads);
                return Err([before.span, item.span].into_iter().chain(between).collect());
            }
            if latest.is_none_or(|before| began(before) < began(*item)) {
                latest = Some(*item);
            }
        }
        Ok(())
    }

    fn span(&self, number: u32) -> &Span<'a, Op> {
        &self.spans[number as usize]
    }

    fn adds_value(&self, number: u32) -> bool {
        self.span(number).attempt.op != Op::Read
    }

    fn clash(&self, mut ops: Guilty) -> Ruling {
        ops.sort_unstable();
        let bad = ops.iter().filter_map(|&op| self.span(op).to()).max();
        let bad = bad.expect("ops that contradict each other were answered");
        Ruling::Contradiction(Clash { ops, bad, earliest: false })
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
        type State = BTreeSet<u64>;

        fn effect(&self, state: &mut BTreeSet<u64>, op: &Op) -> Ret {
            match *op {
                Op::Add(value) => {
                    state.insert(value);
                    Ret::Added
                }
                Op::Read => Ret::Elements(Arc::new(state.clone())),
            }
        }

        /// One value too few or one too many.
        fn lie(&self, ret: Ret, number: u64) -> Ret {
            match ret {
                Ret::Added => Ret::Added,
                Ret::Elements(mut shown) => {
                    if !Arc::make_mut(&mut shown).remove(&number) {
                        Arc::make_mut(&mut shown).insert(number);
                    }
                    Ret::Elements(shown)
                }
            }
        }
    }

    /// Adds of a handful of values, and reads.
    fn few() -> impl Strategy<Value = Op> {
        prop_oneof![(0_u64..5).prop_map(Op::Add), Just(Op::Read)]
    }

    /// The same ops, but with every value added once.
    fn once(mut ops: Vec<crate::played::Step<Op>>) -> Vec<crate::played::Step<Op>> {
        let mut next = 0;
        for step in &mut ops {
            if matches!(step.op, Op::Add(_)) {
                step.op = Op::Add(next);
                next += 1;
            }
        }
        ops
    }

    #[test]
    fn the_rule_and_the_search_agree_with_the_plain_search() {
        compared(&set, &Played, steps(few()).prop_map(once));
        compared(&set, &Played, steps(few()));
    }

    /// Lines as `process f value`, `!` for an acknowledgement; `?` says nobody knows.
    fn said(lines: &str) -> String {
        judged(&set(), &history::<Op>(lines))
    }

    #[test]
    fn whole_reads_are_held_against_each_other_and_not_value_by_value() {
        let apart = "0 add 1\n1 add 2\n2 read\n3 read\n2 ! [1]\n3 ! [2]\n0 ! 1\n1 ! 2";
        assert_eq!(
            said(apart),
            "process 3 read {2} (index 5), without 1, but process 2's read (index 4) showed 1 and not 2, \
             and of two reads of a set that only grows one shows all that the other shows"
        );
        assert_eq!(said(&apart.replace("! [2]", "! [1,2]")), "valid");
    }

    #[test]
    fn what_was_acknowledged_or_shown_is_not_lost() {
        assert_eq!(
            said("0 add 1\n0 ! 1\n1 read\n1 ! []"),
            "process 1 read nothing (index 3), without 1, but process 0's add of 1 (index 1) was \
             acknowledged before that read began, and nothing is ever taken out of a set"
        );
        assert_eq!(
            said("0 add 1\n0 ?\n1 read\n1 ! [1]\n1 read\n1 ! []"),
            "process 1 read nothing (index 5), without 1, but process 1's read (index 3) showed 1 \
             before that read began, and nothing is ever taken out of a set"
        );
    }

    #[test]
    fn an_unanswered_add_may_show_late_or_never() {
        assert_eq!(said("0 add 1\n0 ?\n1 read\n1 ! []\n1 read\n1 ! [1]"), "valid");
        assert_eq!(said("0 add 1\n0 ?\n1 read\n1 ! []\n1 read\n1 ! []"), "valid");
    }

    #[test]
    fn what_nobody_asked_for_or_what_failed_is_not_shown() {
        assert_eq!(
            said("0 add 1\n0 ! 1\n1 read\n1 ! [1,7]"),
            "process 1 read {1, 7} (index 3), but nobody had asked to add 7"
        );
        assert_eq!(
            said("0 add 1\n0 x\n1 read\n1 ! [1]"),
            "process 1 read {1} (index 3), but process 0's add of 1 (index 0, failed) certainly did not \
             happen, and nobody else had asked to add 1"
        );
    }

    #[test]
    fn a_value_is_not_shown_without_those_whose_adds_had_ended_before_its_own_began() {
        assert_eq!(
            said("2 read\n0 add 1\n0 ! 1\n1 add 2\n1 ! 2\n2 ! [2]"),
            "process 2 read {2} (index 5), without 1, but process 0's add of 1 (index 2) was acknowledged \
             before process 1's add of 2 (index 4) began, and nothing is ever taken out of a set"
        );
    }

    #[test]
    fn a_list_with_a_value_twice_is_no_set() {
        let answered = Answered { value: json!([1, 1]), result: None };
        assert!(Op::Read.read_answer(&answered).is_err());
    }
}
