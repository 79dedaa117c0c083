//! What contradicts a register's answer, in words.
//!
//! When only one op can have produced a value, the ops that produced or saw it form a *cluster*, and
//! the register held the value in one unbroken stretch of time. If an op of cluster 7 ended before one
//! of cluster 9 began, 7's stretch lies before 9's. If the opposite holds too, that is a contradiction
//! between four ops at most; stale reads and lost writes are its plainest forms. (Gibbons & Korach show
//! that for unique writes there is no other; with compare-and-set there are, and the general sentence
//! is for them.)
//!
//! The value before the first write, *nothing*, is a cluster too: it was produced before everything.

use std::collections::BTreeMap;

use crate::explain::{Explanation, Refuted, index, place};
use crate::register::{Op, Register, Ret};
use crate::span::Span;

type Seen<'r, 'a> = &'r Refuted<'a, Register>;

/// Why no order explains what a register answered.
pub(crate) fn explain(refuted: Seen<'_, '_>) -> Explanation {
    let special = match seen(refuted.culprit()) {
        Some(content) => never_written(refuted, content)
            .or_else(|| out_of_order(refuted, content))
            .or_else(|| set_twice(refuted, content)),
        None => None,
    };
    special.or_else(|| found_another(refuted)).unwrap_or_else(|| left_with(refuted))
}

// --- what an op says of the register --------------------------------------------------------------

/// What a register can hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Content {
    Nothing,
    Value(u64),
}

impl From<Option<u64>> for Content {
    fn from(state: Option<u64>) -> Content {
        state.map_or(Content::Nothing, Content::Value)
    }
}

/// What an op found in the register, if it says so.
fn seen(span: &Span<'_, Op>) -> Option<Content> {
    match (span.attempt.op, span.ret()?) {
        (Op::Read, Ret::Value(value)) => Some(Content::from(*value)),
        (Op::Cas { from, .. }, Ret::Swapped(true)) => Some(Content::Value(from)),
        _ => None,
    }
}

/// The value that an op put in, or may have.
fn put(span: &Span<'_, Op>) -> Option<u64> {
    match (span.attempt.op, span.ret()) {
        (Op::Write(value), _) => Some(value),
        (Op::Cas { to, .. }, None | Some(Ret::Swapped(true))) => Some(to),
        _ => None,
    }
}

/// What an acknowledged op left in the register, if it says so.
fn left(span: &Span<'_, Op>) -> Option<Content> {
    if span.is_open() { None } else { put(span).map(Content::Value).or_else(|| seen(span)) }
}

fn failed(span: &Span<'_, Op>) -> bool {
    span.attempt.failed()
}

/// The ops that may have put this value in.
fn producers(refuted: Seen<'_, '_>, value: u64) -> Vec<usize> {
    let produces = |&number: &usize| {
        let span = &refuted.spans[number];
        put(span) == Some(value) && !failed(span) && number != refuted.culprit
    };
    (0..refuted.spans.len()).filter(produces).collect()
}

// --- the contradictions ---------------------------------------------------------------------------

/// It saw a value that nobody put in.
fn never_written(refuted: Seen<'_, '_>, content: Content) -> Option<Explanation> {
    let Content::Value(value) = content else { return None };
    if !producers(refuted, value).is_empty() {
        return None;
    }
    let said = statement(refuted.culprit());
    let attempted = |span: &Span<'_, Op>| failed(span) && put(span) == Some(value);
    let (sentence, other) = match refuted.spans.iter().position(attempted) {
        Some(other) => {
            let attempt = noun(&refuted.spans[other]);
            (
                format!(
                    "{said}, but {attempt}, which alone could have put {value} there, certainly did not happen"
                ),
                Some(other),
            )
        }
        None => match refuted.last_before(|span| left(span).is_some()) {
            Some(other) => {
                let last = statement(&refuted.spans[other]);
                (
                    format!("{said}, but nobody had asked to put {value} there; last known before: {last}"),
                    Some(other),
                )
            }
            None => (format!("{said}, but nobody had asked to put {value} there"), None),
        },
    };
    Some(Explanation { sentence, named: std::iter::once(refuted.culprit).chain(other).collect() })
}

/// The ops that speak of one value.
#[derive(Default)]
struct Cluster {
    /// How many may have produced it.
    producers: usize,
    /// The op that ended first, among those that speak of it. None for *nothing*, there from the start.
    first_end: Option<usize>,
    /// The op that began last.
    last_start: Option<usize>,
    /// The producer, if it is open: it happened if its value was seen.
    open: Option<usize>,
}

/// The clusters of all values that were certainly there.
fn clusters(refuted: Seen<'_, '_>) -> BTreeMap<Content, Cluster> {
    let mut clusters: BTreeMap<Content, Cluster> = BTreeMap::new();
    for (number, span) in refuted.spans.iter().enumerate().filter(|(_, span)| !failed(span)) {
        for content in [seen(span), put(span).map(Content::Value)].into_iter().flatten() {
            let cluster = clusters.entry(content).or_default();
            if seen(span) != Some(content) {
                cluster.producers += 1;
            }
            if span.is_open() {
                cluster.open = Some(number);
            } else {
                let spans = &refuted.spans;
                let sooner = |&best: &usize| spans[best].end() <= span.end();
                cluster.first_end = cluster.first_end.filter(sooner).or(Some(number));
                let later = |&best: &usize| spans[best].from() >= span.from();
                cluster.last_start = cluster.last_start.filter(later).or(Some(number));
            }
        }
    }
    // *Nothing* is only there before the first write, and a value that may come from several ops may
    // have been there several times: neither is judged by its own first end.
    clusters.retain(|&content, cluster| {
        cluster.last_start.is_some() && (content == Content::Nothing || cluster.producers == 1)
    });
    clusters
}

/// Its value was gone for good, since another had taken its place.
fn out_of_order(refuted: Seen<'_, '_>, content: Content) -> Option<Explanation> {
    let spans = &refuted.spans;
    let culprit = refuted.culprit();
    let clusters = clusters(refuted);
    let mine = clusters.get(&content)?;
    // The newest of the values that were there before the culprit began, and after its own value was.
    let newer = clusters.iter().filter(|&(&other, _)| other != content).filter_map(|(_, other)| {
        let shown = other.first_end.filter(|&shown| spans[shown].end() < culprit.from())?;
        let after = other.last_start?;
        let replaced = content == Content::Nothing || spans[mine.first_end?].end() < spans[after].from();
        replaced.then_some((shown, after))
    });
    let (shown, after) = newer.max_by_key(|&(shown, _)| spans[shown].end())?;
    let said = statement(culprit);
    let mut named = vec![refuted.culprit, shown];
    let newer = statement(&spans[shown]);
    let this = verb(culprit);
    let sentence = match content {
        Content::Nothing => {
            format!("{said}, but {newer} before that {this} began, and nothing ever empties a register")
        }
        Content::Value(value) => {
            let first = mine.first_end?;
            let only = producers(refuted, value).first().copied()?;
            named.extend([first, only]);
            if after == shown && put(&spans[shown]).is_some() && only == first {
                let only = noun(&spans[only]);
                format!(
                    "{said}, but {newer} before that {this} began, and no write of {value} was open after it; the only one was {only}"
                )
            } else {
                named.push(after);
                let (first, after) = (statement(&spans[first]), noun(&spans[after]));
                format!(
                    "{said}, but {newer} before that {this} began, and {value} was put there only once, before that: {first} before {after} began"
                )
            }
        }
    };
    named.sort_unstable();
    named.dedup();
    Some(Explanation { sentence, named })
}

/// Two compare-and-sets took the same value away, and it was put in only once.
fn set_twice(refuted: Seen<'_, '_>, content: Content) -> Option<Explanation> {
    let culprit = refuted.culprit();
    let Content::Value(value) = content else { return None };
    let [only] = producers(refuted, value)[..] else { return None };
    let takes = |span: &Span<'_, Op>| {
        matches!(span.attempt.op, Op::Cas { from, to } if from == value && to != from)
            && span.ret() == Some(&Ret::Swapped(true))
    };
    if !takes(culprit) {
        return None;
    }
    let other = refuted.last_before(takes)?;
    let (said, took) = (statement(culprit), statement(&refuted.spans[other]));
    let put_in = noun(&refuted.spans[only]);
    Some(Explanation {
        sentence: format!("{said}, but {took} too, and {value} was put there only once, by {put_in}"),
        named: vec![refuted.culprit, other, only],
    })
}

/// A compare-and-set found another value where there was none.
fn found_another(refuted: Seen<'_, '_>) -> Option<Explanation> {
    let culprit = refuted.culprit();
    let (Op::Cas { from, .. }, Some(Ret::Swapped(false))) = (culprit.attempt.op, culprit.ret()) else {
        return None;
    };
    if refuted.states != [Some(from)] {
        return None;
    }
    let other = refuted.last_before(|span| left(span) == Some(Content::Value(from)))?;
    let (said, shown) = (statement(culprit), statement(&refuted.spans[other]));
    Some(Explanation {
        sentence: format!(
            "{said}, but once all that was acknowledged before is explained, the register holds {from}, as {shown}"
        ),
        named: vec![refuted.culprit, other],
    })
}

/// No two or four ops say it: what all of them together leave.
fn left_with(refuted: Seen<'_, '_>) -> Explanation {
    let said = statement(refuted.culprit());
    let why = match refuted.possible_states() {
        Some(states) => {
            format!("once all that was acknowledged before is explained, the register holds {states}")
        }
        None => "no order of the ops before it explains that".to_owned(),
    };
    let mut named = vec![refuted.culprit];
    let mut sentence = format!("{said}, but {why}");
    if let Some(last) = refuted.last_before(|span| left(span).is_some()) {
        named.push(last);
        sentence.push_str("; last known before: ");
        sentence.push_str(&statement(&refuted.spans[last]));
    }
    Explanation { sentence, named }
}

// --- the words ------------------------------------------------------------------------------------

/// "process 3 read 7 from n1 (index 41)".
fn statement(span: &Span<'_, Op>) -> String {
    let process = span.attempt.process;
    let index = index(span);
    match (span.attempt.op, span.ret()) {
        (Op::Read, Some(Ret::Value(value))) => {
            let value = value.map_or_else(|| "nothing".to_owned(), |value| value.to_string());
            format!("process {process} read {value}{} {index}", place("from", span))
        }
        (Op::Write(value), Some(_)) => {
            format!("process {process}'s write of {value}{} {index} was acknowledged", place("to", span))
        }
        (Op::Cas { from, to }, Some(Ret::Swapped(true))) => {
            format!("process {process}'s cas from {from} to {to}{} {index} succeeded", place("on", span))
        }
        (Op::Cas { from, to }, Some(Ret::Swapped(false))) => {
            format!(
                "process {process}'s cas from {from} to {to}{} {index} found another value",
                place("on", span)
            )
        }
        _ => format!("{} began", noun(span)),
    }
}

/// "process 1's write of 9 to n2 (index 37)".
fn noun(span: &Span<'_, Op>) -> String {
    let (process, index) = (span.attempt.process, index(span));
    match span.attempt.op {
        Op::Read => format!("process {process}'s read{} {index}", place("from", span)),
        Op::Write(value) => format!("process {process}'s write of {value}{} {index}", place("to", span)),
        Op::Cas { from, to } => {
            format!("process {process}'s cas from {from} to {to}{} {index}", place("on", span))
        }
    }
}

fn verb(span: &Span<'_, Op>) -> &'static str {
    match span.attempt.op {
        Op::Read => "read",
        Op::Write(_) => "write",
        Op::Cas { .. } => "cas",
    }
}
