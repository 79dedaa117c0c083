//! A map of texts: a key is got, put and appended to.
//!
//! A key that is not there reads as the empty text. An append adds to the end of what is there, so the
//! text of a key tells the order of all appends since the last put; this is what makes such histories
//! telling (a get of `ab` says more than a read of 2).
//!
//! As JSON:
//!
//! | op | asked | answered |
//! |---|---|---|
//! | get | `"f":"get","value":null` | `"value":"ab"`, or `"value":""` when not there |
//! | put | `"f":"put","value":"a"` | `"value":"a"` |
//! | append | `"f":"append","value":"b"` | `"value":"b"` |
//!
//! Where each append has a text of its own, one get gives the order of all that came before it, and a rule
//! of its own decides without any search. [`Kv`] takes the best of that into the general search too, for
//! the histories in which texts repeat.

use std::sync::{Arc, OnceLock};

use history::{Answered, Asked, Attempt, History, Line, Operation, Unreadable};
use serde_json::{Value, json};
use smallvec::SmallVec;

use crate::explain::{Explanation, Refuted};
use crate::kv_explain;
use crate::linearizable::Linearizable;
use crate::rules;
use crate::seam::{Budget, Checker, Interval, Model};
use crate::setup::Setup;
use crate::span::Span;
use crate::verdict::Verdict;

/// What can be asked of a key.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// What is in it?
    Get,
    /// Put this in, whatever was there.
    Put(Arc<str>),
    /// Add this to the end.
    Append(Arc<str>),
}

/// What a key answers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Ret {
    /// A get's answer.
    Value(Arc<str>),
    /// A put's or an append's.
    Done,
}

impl Operation for Op {
    type Ret = Ret;

    fn ask(&self) -> Asked {
        let (f, value) = match self {
            Op::Get => ("get", Value::Null),
            Op::Put(text) => ("put", json!(**text)),
            Op::Append(text) => ("append", json!(**text)),
        };
        Asked { f: f.to_owned(), value }
    }

    fn read_ask(asked: &Asked) -> Result<Op, Unreadable> {
        let text = || match asked.value.as_str() {
            Some(text) => Ok(text.into()),
            None => Err(bad(&asked.f, "a text", &asked.value)),
        };
        match asked.f.as_str() {
            "get" if asked.value.is_null() => Ok(Op::Get),
            "get" => Err(bad("get", "null where it is asked", &asked.value)),
            "put" => Ok(Op::Put(text()?)),
            "append" => Ok(Op::Append(text()?)),
            other => Err(Unreadable::UnknownF { f: other.to_owned(), known: "get, put, append" }),
        }
    }

    fn answer(&self, ret: &Ret) -> Answered {
        let value = match ret {
            Ret::Value(text) => json!(**text),
            Ret::Done => self.ask().value,
        };
        Answered { value, result: None }
    }

    fn read_answer(&self, answered: &Answered) -> Result<Ret, Unreadable> {
        let value = &answered.value;
        match self {
            Op::Get => match value.as_str() {
                Some(text) => Ok(Ret::Value(text.into())),
                None => Err(bad("get", "a text", value)),
            },
            _ if !value.is_null() && *value != self.ask().value => {
                Err(bad(&self.ask().f, "what was asked, or null", value))
            }
            Op::Put(_) | Op::Append(_) => Ok(Ret::Done),
        }
    }
}

fn bad(f: &str, expected: &'static str, found: &Value) -> Unreadable {
    Unreadable::BadValue { field: "value", f: f.to_owned(), expected, found: found.to_string() }
}

/// What a key holds.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Text {
    /// This text.
    Known(Arc<String>),
    /// A text that is the start of none that was ever got; which one, makes no difference.
    Unseen,
}

/// The model of a key.
///
/// With 10 appends open there are 3 628 800 orders of them, each of which leaves another text. All but a
/// few of these texts are of no interest: if a text is not the start of any that was ever got, no get can
/// follow before the next put, whatever is appended to it. So all such texts are one state,
/// [`Text::Unseen`], and the search has no reason to tell their orders apart. Nothing is lost by that:
/// appending to such a text leaves such a text, a put does not care what was there, and a get that was
/// answered got something else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kv {
    /// All texts that were got; none if every text shall be told apart.
    pub(crate) got: Option<Vec<Arc<str>>>,
    /// The same, sorted when they are first needed.
    sorted: OnceLock<Vec<Arc<str>>>,
}

impl Kv {
    /// The model that tells all texts apart. What it says is what the other must say.
    pub fn plain() -> Kv {
        Kv { got: None, sorted: OnceLock::new() }
    }

    /// The model that tells those texts apart that make a difference in this history.
    pub fn of(history: &History<Op, Ret>) -> Kv {
        let answers = history.attempts.iter().filter_map(Attempt::ret);
        let got = answers.filter_map(|ret| match ret {
            Ret::Value(text) => Some(Arc::clone(text)),
            Ret::Done => None,
        });
        Kv { got: Some(got.collect()), sorted: OnceLock::new() }
    }

    fn text(&self, text: String) -> Text {
        let matters = self.got.as_ref().is_none_or(|got| {
            let sorted = self.sorted.get_or_init(|| {
                let mut sorted = got.clone();
                sorted.sort_unstable();
                sorted.dedup();
                sorted
            });
            // The texts that start with it stand side by side, and it would stand before the first.
            let place = sorted.partition_point(|other| **other < *text);
            sorted.get(place).is_some_and(|other| other.starts_with(&*text))
        });
        if matters { Text::Known(Arc::new(text)) } else { Text::Unseen }
    }
}

/// So many texts are compared with every text that was asked to be there.
const FEW_GOT: usize = 16;

impl Model for Kv {
    type Op = Op;
    type State = Text;

    fn init(&self) -> Text {
        // Every text starts with this one.
        Text::Known(Arc::default())
    }

    fn step(&self, state: &Text, op: &Op, ret: Option<&Ret>, _: Interval, next: &mut SmallVec<[Text; 1]>) {
        let after = match (op, ret, state) {
            (Op::Get, Some(Ret::Value(heard)), Text::Known(text)) if **heard == **text => state.clone(),
            (Op::Get, Some(Ret::Value(_)), _) => return,
            (Op::Get, _, _) | (Op::Append(_), _, Text::Unseen) => state.clone(),
            (Op::Put(text), ..) => self.text(text.as_ref().to_owned()),
            (Op::Append(part), _, Text::Known(text)) => self.text([&**text, &**part].concat()),
        };
        next.push(after);
    }

    /// Nobody has to know which texts matter, where only one is looked at.
    fn advance(&self, state: &mut Text, op: &Op, ret: Option<&Ret>, _: Interval) -> Option<bool> {
        let Text::Known(text) = state else { return None };
        match (op, ret) {
            (Op::Get, Some(Ret::Value(heard))) => return Some(**heard == ***text),
            (Op::Get, _) => {}
            (Op::Put(new), _) => new.as_ref().clone_into(Arc::make_mut(text)),
            (Op::Append(part), _) => Arc::make_mut(text).push_str(part),
        }
        Some(true)
    }

    fn only_looks(&self, op: &Op, _: Option<&Ret>) -> bool {
        *op == Op::Get
    }

    /// An unanswered text that stands in nothing that was got is no help: until the next put, whatever
    /// is got would have it. Where many were got, that is not worth the comparisons.
    fn thin(&self, ops: &mut Vec<Span<'_, Op>>) {
        let got: Vec<&str> = ops
            .iter()
            .filter_map(|op| match op.ret() {
                Some(Ret::Value(text)) => Some(&**text),
                _ => None,
            })
            .collect();
        ops.retain(|op| match &op.attempt.op {
            _ if !op.is_open() => true,
            Op::Get => false,
            Op::Put(text) => got.len() > FEW_GOT || got.iter().any(|got| got.starts_with(&**text)),
            Op::Append(text) => got.len() > FEW_GOT || got.iter().any(|got| got.contains(&**text)),
        });
    }

    fn heap(&self, state: &Text) -> usize {
        match state {
            Text::Known(text) => text.len(),
            Text::Unseen => 0,
        }
    }

    fn show(&self, state: &Text) -> String {
        match state {
            Text::Known(text) => kv_explain::shown(text),
            Text::Unseen => "a text that nobody got".to_owned(),
        }
    }

    fn explain(&self, refuted: &Refuted<'_, Kv>) -> Explanation {
        kv_explain::explain(refuted)
    }
}

/// Judges maps of texts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KvChecker {
    setup: Setup,
}

/// Judges a map of texts.
pub fn kv() -> KvChecker {
    KvChecker::default()
}

impl KvChecker {
    /// The same checker, carrying out its checks otherwise.
    #[must_use]
    pub fn with(self, setup: Setup) -> KvChecker {
        KvChecker { setup }
    }
}

impl Checker<Op, Ret> for KvChecker {
    fn name(&self) -> &'static str {
        "kv"
    }

    /// Nobody knows yet which texts will be got, so all are told apart.
    fn watch(
        &self,
        lines: &mut dyn Iterator<Item = Line<Op, Ret>>,
        budget: &Budget,
        judged: &mut dyn FnMut(u64),
    ) -> Verdict {
        Linearizable::new(self.name(), Kv::plain()).watch(lines, budget, judged)
    }

    fn check(&self, history: &History<Op, Ret>, budget: &Budget) -> Verdict {
        let checker = Linearizable::new(self.name(), Kv::of(history)).ruled_by(&rules::KV);
        checker.with(self.setup).check(history, budget)
    }
}
