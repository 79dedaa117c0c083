//! Ids that are given out once.
//!
//! Clients ask for an id, and no id may be given to two of them, whatever happened in between. That is all:
//! ids need not rise, nor be dense, and one that was given to a client who never heard of it is lost. So
//! time does not matter, and the order that proves a history valid is any order.
//!
//! As JSON: `"f":"generate","value":null`, answered `"value":7`.
//!
//! Left out: ids that are not numbers from 0, such as texts. An adapter that has others can number them as it
//! meets them, as long as equal ones get equal numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use history::{Answered, Asked, History, Kind, Line, Operation, Pairing, Unreadable};
use serde_json::{Value, json};
use smallvec::SmallVec;

use crate::explain::{Explanation, Refuted, in_general, index, place};
use crate::linearizable::Linearizable;
use crate::meter::{Meter, Stop};
use crate::mutant::Mutant;
use crate::rule::{Clash, Rule, Ruling};
use crate::seam::{Budget, Checker, Interval, Model};
use crate::span::Span;
use crate::verdict::Verdict;

/// What can be asked: an id, please.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Generate;

/// An id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Id(pub u64);

impl Operation for Generate {
    type Ret = Id;

    fn ask(&self) -> Asked {
        Asked { f: "generate".to_owned(), value: Value::Null }
    }

    fn read_ask(asked: &Asked) -> Result<Generate, Unreadable> {
        match asked.f.as_str() {
            "generate" if asked.value.is_null() => Ok(Generate),
            "generate" => Err(bad("null where it is asked", &asked.value)),
            other => Err(Unreadable::UnknownF { f: other.to_owned(), known: "generate" }),
        }
    }

    fn answer(&self, id: &Id) -> Answered {
        Answered { value: json!(id.0), result: None }
    }

    fn read_answer(&self, answered: &Answered) -> Result<Id, Unreadable> {
        let id = answered.value.as_u64().map(Id);
        id.ok_or_else(|| bad("a number from 0", &answered.value))
    }
}

fn bad(expected: &'static str, found: &Value) -> Unreadable {
    Unreadable::BadValue { field: "value", f: "generate".to_owned(), expected, found: found.to_string() }
}

/// The model of a giver of ids: it remembers what it gave out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UniqueIds;

impl Model for UniqueIds {
    type Op = Generate;
    type State = Arc<BTreeSet<Id>>;

    fn init(&self) -> Arc<BTreeSet<Id>> {
        Arc::default()
    }

    fn step(
        &self,
        given: &Arc<BTreeSet<Id>>,
        op: &Generate,
        id: Option<&Id>,
        when: Interval,
        next: &mut SmallVec<[Arc<BTreeSet<Id>>; 1]>,
    ) {
        let mut given = Arc::clone(given);
        if self.advance(&mut given, op, id, when) == Some(true) {
            next.push(given);
        }
    }

    fn advance(
        &self,
        given: &mut Arc<BTreeSet<Id>>,
        _: &Generate,
        id: Option<&Id>,
        _: Interval,
    ) -> Option<bool> {
        Some(id.is_none_or(|id| Arc::make_mut(given).insert(*id)))
    }

    /// An id that nobody heard of is nobody's.
    fn only_looks(&self, _: &Generate, id: Option<&Id>) -> bool {
        id.is_none()
    }

    fn heap(&self, given: &Arc<BTreeSet<Id>>) -> usize {
        2 * size_of::<Id>() * given.len()
    }

    fn show(&self, given: &Arc<BTreeSet<Id>>) -> String {
        format!("{} ids given out", given.len())
    }

    fn explain(&self, refuted: &Refuted<'_, UniqueIds>) -> Explanation {
        given_twice(refuted).unwrap_or_else(|| in_general(refuted))
    }
}

/// Judges whether no id was given out twice.
pub fn unique_ids() -> Once {
    Once(linearizable())
}

fn linearizable() -> Linearizable<UniqueIds> {
    Linearizable::new("unique-ids", UniqueIds).ruled_by(&RULES)
}

/// The checker of ids.
///
/// The rule judges a whole history. Line by line, the general search would carry the set of all ids from
/// state to state; so each id is looked up as it comes, and one that comes again ends the matter.
#[derive(Debug)]
pub struct Once(Linearizable<UniqueIds>);

impl Checker<Generate, Id> for Once {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn check(&self, history: &History<Generate, Id>, budget: &Budget) -> Verdict {
        self.0.check(history, budget)
    }

    fn watch(
        &self,
        lines: &mut dyn Iterator<Item = Line<Generate, Id>>,
        budget: &Budget,
        judged: &mut dyn FnMut(u64),
    ) -> Verdict {
        let mut pairing = Pairing::default();
        let mut given = BTreeSet::new();
        for (index, line) in (0..).zip(lines) {
            let id = match &line {
                Line::Client(seen) => {
                    if let Kind::Ok(id) = seen.kind {
                        Some(id)
                    } else {
                        None
                    }
                }
                Line::Nemesis(_) => None,
            };
            pairing.push(line);
            judged(index);
            if id.is_some_and(|id| !given.insert(id)) {
                break;
            }
        }
        self.check(&pairing.finish(), budget)
    }
}

static RULES: [Rule<UniqueIds>; 1] =
    [Rule { name: "once", assumes: "the order of ids does not matter", decide }];

/// What the rule remembers of an op, in bytes.
const BYTES: usize = 48;

/// Looks every id up among those before it.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "a rule is given a model, however small")]
fn decide(_: &UniqueIds, spans: &[Span<'_, Generate>], meter: &Meter, _: Mutant) -> Result<Ruling, Stop> {
    meter.check(0)?;
    let bytes = spans.len().saturating_mul(BYTES);
    meter.charge(bytes)?;
    let mut order = Vec::with_capacity(spans.len());
    let mut heard: Vec<(u64, u32, Id)> = Vec::with_capacity(spans.len());
    for (number, span) in (0..).zip(spans) {
        if let (Some(to), Some(id)) = (span.to(), span.ret()) {
            order.push(number);
            heard.push((to, number, *id));
        }
    }
    // As the answers came, so that the first that repeats one ends the shortest bad prefix.
    heard.sort_unstable();
    let mut given: BTreeMap<Id, u32> = BTreeMap::new();
    let repeated = heard.into_iter().find_map(|(bad, number, id)| {
        given.insert(id, number).map(|first| Clash { ops: vec![first, number], bad, earliest: true })
    });
    meter.release(bytes);
    Ok(repeated.map_or(Ruling::Order(order), |mut clash| {
        clash.ops.sort_unstable();
        Ruling::Contradiction(clash)
    }))
}

fn given_twice(refuted: &Refuted<'_, UniqueIds>) -> Option<Explanation> {
    let culprit = refuted.culprit();
    let other = refuted.last_before(|span| span.ret() == culprit.ret())?;
    let first = &refuted.spans[other];
    let process = first.attempt.process;
    Some(Explanation {
        sentence: format!(
            "process {} was given {}{} {}, but process {process} was given the same{} {}, and no id is given out twice",
            culprit.attempt.process,
            culprit.ret()?.0,
            place("by", culprit),
            index(culprit),
            place("by", first),
            index(first),
        ),
        named: vec![refuted.culprit, other],
    })
}

#[cfg(test)]
mod tests {
    use history::{Observation, Process};
    use proptest::prelude::*;

    use super::*;
    use crate::played::{Subject, compared, history, judged, steps};

    struct Played;

    impl Subject for Played {
        type Op = Generate;
        type State = u64;

        fn effect(&self, last: &mut u64, _: &Generate) -> Id {
            *last += 1;
            Id(*last)
        }

        fn lie(&self, _: Id, number: u64) -> Id {
            Id(number)
        }
    }

    #[test]
    fn the_rule_agrees_with_the_plain_search() {
        compared(&linearizable, &Played, steps(Just(Generate)));
    }

    #[test]
    fn an_id_is_given_out_once() {
        let said = |lines| judged(&linearizable(), &history::<Generate>(lines));
        assert_eq!(said("0 generate\n1 generate\n0 ! 4\n1 ! 5"), "valid");
        assert_eq!(said("0 generate\n0 ?\n1 generate\n1 ! 5"), "valid");
        assert_eq!(
            said("0 generate\n1 generate\n0 ! 4\n1 ! 5\n2 generate\n2 ! 4"),
            "process 2 was given 4 (index 5), but process 0 was given the same (index 2), and no id is given \
             out twice"
        );
    }

    #[test]
    fn line_by_line_the_first_id_that_comes_again_ends_it() {
        let line = |index, kind| {
            let seen = Observation { index, time: index, process: Process(0), node: None, key: None, kind };
            Line::Client(seen)
        };
        let ids = |ids: &[u64]| -> Vec<Line<Generate, Id>> {
            let pair = |(at, &id): (u64, &u64)| {
                [line(2 * at, Kind::Invoke(Generate)), line(2 * at + 1, Kind::Ok(Id(id)))]
            };
            (0..).zip(ids).flat_map(pair).collect()
        };
        let watched = |lines: Vec<Line<Generate, Id>>| {
            let mut last = 0;
            let verdict =
                unique_ids().watch(&mut lines.into_iter(), &Budget::default(), &mut |line| last = line);
            (verdict.word(), last)
        };
        assert_eq!(watched(ids(&[4, 2, 9])), ("valid", 5));
        assert_eq!(watched(ids(&[4, 2, 4, 7, 8])), ("invalid", 5));
    }
}
