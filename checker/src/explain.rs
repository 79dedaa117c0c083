//! From "there is no order" to one sentence that a person can check by eye.
//!
//! What the search leaves is the shortest prefix without an order and the op whose answer ends it, the
//! *culprit*: before that answer there was an explanation, with it there is none. A data type says what
//! contradicts it, by [`Model::explain`]; what stands here is for those that have nothing to say, and
//! the words that all share.

use history::{Attempt, Operation};

use crate::seam::{Model, RetOf};
use crate::shrink::Contradiction;
use crate::span::{Span, seen_until};
use crate::verdict::{Standing, WitnessOp};

/// A prefix of one key's ops that no order explains.
pub struct Refuted<'a, M: Model> {
    /// What they were held against.
    pub model: &'a M,
    /// The ops invoked in the prefix, as seen from its end, in the order of their invocations; failed
    /// ones too.
    pub spans: Vec<Span<'a, M::Op>>,
    /// The op whose acknowledgement ends the prefix.
    pub culprit: usize,
    /// States that may have been reached where the search got no further.
    pub states: Vec<M::State>,
    /// The few of the ops that contradict each other by themselves. Not known when the question is
    /// which ones to look for.
    pub contradiction: Option<Contradiction>,
}

/// A contradiction in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// One sentence.
    pub sentence: String,
    /// The ops it speaks of, by their place in [`Refuted::spans`].
    pub named: Vec<usize>,
}

impl<'a, M: Model> Refuted<'a, M> {
    pub(crate) fn new(
        model: &'a M,
        attempts: &[&'a Attempt<M::Op, RetOf<M>>],
        cut: u64,
        states: Vec<M::State>,
    ) -> Refuted<'a, M> {
        let spans = seen_until(attempts, cut);
        let culprit = spans.iter().position(|span| span.to() == Some(cut));
        let culprit = culprit.expect("the shortest bad prefix ends where an op was acknowledged");
        Refuted { model, spans, culprit, states, contradiction: None }
    }

    /// The op whose acknowledgement ends the prefix.
    pub fn culprit(&self) -> &Span<'a, M::Op> {
        &self.spans[self.culprit]
    }

    /// The op acknowledged last before the culprit began, or failing that, before it ended, among those
    /// of which this is true.
    pub fn last_before(&self, mut wanted: impl FnMut(&Span<'a, M::Op>) -> bool) -> Option<usize> {
        let culprit = self.culprit();
        let acknowledged = |&number: &usize| {
            let span = &self.spans[number];
            !span.is_open() && number != self.culprit
        };
        let candidates = (0..self.spans.len()).filter(acknowledged).filter(|&at| wanted(&self.spans[at]));
        candidates.max_by_key(|&number| {
            let end = self.spans[number].end();
            (end < culprit.from(), end)
        })
    }

    /// The states as people write them, joined by "or".
    pub fn possible_states(&self) -> Option<String> {
        let shown: Vec<String> = self.states.iter().map(|state| self.model.show(state)).collect();
        if shown.is_empty() { None } else { Some(shown.join(" or ")) }
    }
}

/// What can be said where only the last answer and the states before it are known.
pub(crate) fn by_states<O: Operation>(culprit: &Span<'_, O>, states: &[String]) -> String {
    let states = if states.is_empty() { "nothing that is known".to_owned() } else { states.join(" or ") };
    format!("{}, but all that was answered before leaves only this: {states}", told(culprit))
}

/// What can be said of any data type.
pub(crate) fn in_general<M: Model>(refuted: &Refuted<'_, M>) -> Explanation {
    if let Some(explanation) = among_themselves(refuted, told) {
        return explanation;
    }
    let culprit = refuted.culprit();
    let mut named = vec![refuted.culprit];
    let mut sentence = format!("{}, but no order of the ops before it explains that", told(culprit));
    if let Some(last) = refuted.last_before(|_| true) {
        named.push(last);
        sentence.push_str("; the last one acknowledged before was ");
        sentence.push_str(&noun(&refuted.spans[last]));
    }
    Explanation { sentence, named }
}

/// More ops than these are not told in one sentence.
const MOST_TOLD: usize = 8;

/// The needed ops, one after the other. Every data type has this to say, once it is known which they
/// are; what it says of two or three of them by name is better.
pub(crate) fn among_themselves<M: Model>(
    refuted: &Refuted<'_, M>,
    statement: impl Fn(&Span<'_, M::Op>) -> String,
) -> Option<Explanation> {
    let Contradiction { needed, since, .. } = refuted.contradiction.as_ref()?;
    let last = *needed.iter().max_by_key(|&&op| refuted.spans[op].end())?;
    let mut others: Vec<usize> = needed.iter().copied().filter(|&op| op != last).collect();
    let count = others.len();
    // What ended last is nearest to the matter.
    others.sort_by_key(|&op| std::cmp::Reverse(refuted.spans[op].end()));
    others.truncate(MOST_TOLD);
    others.sort_by_key(|&op| refuted.spans[op].end());
    let said = statement(&refuted.spans[last]);
    let before = since.map_or_else(String::new, |line| {
        format!(", whatever was there at index {line} and whatever was asked before")
    });
    let told: Vec<String> = others.iter().map(|&op| statement(&refuted.spans[op])).collect();
    let sentence = match &told[..] {
        [] => format!("{said}, which nothing that was asked can explain{before}"),
        [other] => format!("{said}, but {other}, and no order explains both{before}"),
        _ => {
            let (them, so_many) = if count == told.len() {
                (format!("these {count}"), String::new())
            } else {
                (format!("{count} others"), format!("the last {MOST_TOLD} of them: "))
            };
            let told = told.join("; ");
            format!("{said}, but no order of that and {them} explains it{before}: {so_many}{told}")
        }
    };
    others.push(last);
    Some(Explanation { sentence, named: others })
}

/// "process 1's write 9 on n2 (index 37) was answered 9".
fn told<O: Operation>(span: &Span<'_, O>) -> String {
    format!("{} was answered {}", noun(span), answer(span))
}

/// "process 1's write 9 on n2 (index 37)".
fn noun<O: Operation>(span: &Span<'_, O>) -> String {
    let asked = span.attempt.op.ask();
    let value = if asked.value.is_null() { String::new() } else { format!(" {}", asked.value) };
    format!("process {}'s {}{value}{} {}", span.attempt.process, asked.f, place("on", span), index(span))
}

fn answer<O: Operation>(span: &Span<'_, O>) -> String {
    let answered = span.ret().map(|ret| span.attempt.op.answer(ret));
    answered.map_or_else(String::new, |answered| answered.result.unwrap_or(answered.value).to_string())
}

/// " on n2", if the node is known.
pub(crate) fn place<O: Operation>(preposition: &str, span: &Span<'_, O>) -> String {
    span.attempt.node.map_or_else(String::new, |node| format!(" {preposition} {node}"))
}

/// Where to find an op in the history: the line that acknowledges it, or else the one that asks.
pub(crate) fn index<O: Operation>(span: &Span<'_, O>) -> String {
    match span.to() {
        Some(to) => format!("(index {to})"),
        None if span.attempt.failed() => format!("(index {}, failed)", span.from()),
        None => format!("(index {}, unanswered)", span.from()),
    }
}

/// An op as evidence.
pub(crate) fn witness_op<O: Operation>(span: &Span<'_, O>, needed: bool, named: bool) -> WitnessOp {
    let Attempt { process, node, op, .. } = span.attempt;
    let asked = op.ask();
    let answered = span.ret().map(|ret| op.answer(ret));
    let (value, result) = answered.map_or((asked.value, None), |answered| (answered.value, answered.result));
    let standing = match span.to() {
        Some(_) => Standing::Acknowledged,
        None if span.attempt.failed() => Standing::Failed,
        None => Standing::Open,
    };
    WitnessOp {
        process: *process,
        node: *node,
        f: asked.f,
        value,
        result,
        invoked: span.from(),
        completed: span.attempt.completed.map(|at| at.index),
        standing,
        needed,
        named,
    }
}
