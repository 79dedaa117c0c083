//! What contradicts a register's answer, in words.
//!
//! When only one op can have produced a value, the ops that produced or saw it form a *cluster*, and
//! the register held the value in one unbroken stretch of time. If an op of cluster 7 ended before one
//! of cluster 9 began, 7's stretch lies before 9's. If the opposite holds too, that is a contradiction
//! between four ops at most; stale reads and lost writes are its plainest forms. (Gibbons & Korach show
//! that for unique writes there is no other; with compare-and-set there are, and the general sentence
//! is for them.)
//!
//! *Nothing*, the content before the first write, is simpler: it never comes back.

use std::collections::BTreeMap;

use crate::explain::{Explanation, Refuted, among_themselves, index, place};
use crate::register::{Op, Register, Ret};
use crate::span::Span;

type Seen<'r, 'a> = &'r Refuted<'a, Register>;

/// Why no order explains what a register answered.
pub(crate) fn explain(refuted: Seen<'_, '_>) -> Explanation {
    let special = match seen(refuted.culprit()) {
        Some(Content::Nothing) => emptied(refuted),
        Some(Content::Value(value)) => never_written(refuted, value)
            .or_else(|| out_of_order(refuted, value))
            .or_else(|| set_twice(refuted, value))
            .or_else(|| overwritten(refuted, value)),
        None => unchanged(refuted),
    };
    special
        .or_else(|| not_put_back(refuted))
        .or_else(|| among_themselves(refuted, statement))
        .or_else(|| found_another(refuted))
        .unwrap_or_else(|| left_with(refuted))
}

// --- what an op says of the register --------------------------------------------------------------

/// What a register can hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Content {
    Nothing,
    Value(u64),
}

impl Content {
    fn value(self) -> Option<u64> {
        match self {
            Content::Nothing => None,
            Content::Value(value) => Some(value),
        }
    }
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

/// It found nothing where something had been.
fn emptied(refuted: Seen<'_, '_>) -> Option<Explanation> {
    let culprit = refuted.culprit();
    let before =
        |span: &Span<'_, Op>| span.end() < culprit.from() && matches!(left(span), Some(Content::Value(_)));
    let other = refuted.last_before(before)?;
    let (said, this, shown) = (statement(culprit), verb(culprit), statement(&refuted.spans[other]));
    Some(Explanation {
        sentence: format!(
            "{said}, but {shown} before that {this} began, and nothing ever empties a register"
        ),
        named: vec![refuted.culprit, other],
    })
}

/// It saw a value that nobody put in.
fn never_written(refuted: Seen<'_, '_>, value: u64) -> Option<Explanation> {
    if !producers(refuted, value).is_empty() {
        return None;
    }
    let said = statement(refuted.culprit());
    let spans = refuted.spans.iter().enumerate();
    let failed: Vec<(usize, &Span<'_, Op>)> =
        spans.filter(|(_, span)| failed(span) && put(span) == Some(value)).collect();
    let mut named = vec![refuted.culprit];
    let sentence = if failed.is_empty() {
        let last = refuted.last_before(|span| left(span).is_some());
        named.extend(last);
        let last = last.map_or_else(String::new, |last| {
            format!("; last known before: {}", statement(&refuted.spans[last]))
        });
        format!("{said}, but nobody had asked to put {value} there{last}")
    } else {
        named.extend(failed.iter().map(|&(number, _)| number));
        let attempts: Vec<String> = failed.iter().map(|(_, span)| noun(span)).collect();
        let attempts = attempts.join(" and ");
        format!(
            "{said}, but {attempts} certainly did not happen, and nobody else had asked to put {value} there"
        )
    };
    Some(Explanation { sentence, named })
}

/// The ops that speak of one value, which only one op can have put there, and which was there.
struct Cluster {
    /// The op that may have produced it.
    producer: usize,
    /// The acknowledged op that ended first.
    first_end: usize,
    /// The op that began last. Not always an acknowledged one: since the value was seen, its producer
    /// happened, and took effect after it began.
    last_start: usize,
}

impl Cluster {
    /// The cluster of a value, of whose ops these may speak.
    fn of(refuted: Seen<'_, '_>, value: u64, speakers: &[usize]) -> Option<Cluster> {
        let spans = &refuted.spans;
        let content = Some(Content::Value(value));
        let produces =
            |&&number: &&usize| put(&spans[number]) == Some(value) && seen(&spans[number]) != content;
        let producers: Vec<&usize> = speakers.iter().filter(produces).collect();
        let [&producer] = producers[..] else { return None };
        let acknowledged = speakers.iter().filter(|&&number| !spans[number].is_open());
        let first_end = *acknowledged.min_by_key(|&&number| spans[number].end())?;
        let last_start = *speakers.iter().max_by_key(|&&number| spans[number].from())?;
        Some(Cluster { producer, first_end, last_start })
    }

    /// All of them.
    fn all(refuted: Seen<'_, '_>) -> BTreeMap<u64, Cluster> {
        let mut speakers: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (number, span) in refuted.spans.iter().enumerate().filter(|(_, span)| !failed(span)) {
            let found = seen(span).and_then(Content::value);
            for value in [found, put(span).filter(|&value| found != Some(value))].into_iter().flatten() {
                speakers.entry(value).or_default().push(number);
            }
        }
        let clusters = speakers.into_iter().map(|(value, all)| (value, Cluster::of(refuted, value, &all)));
        clusters.filter_map(|(value, cluster)| Some((value, cluster?))).collect()
    }
}

/// Its value was gone for good, since another had taken its place.
fn out_of_order(refuted: Seen<'_, '_>, value: u64) -> Option<Explanation> {
    let spans = &refuted.spans;
    let culprit = refuted.culprit();
    let clusters = Cluster::all(refuted);
    let mine = clusters.get(&value)?;
    // Of the values that were there before the culprit began, and after its own value was: the newest.
    let others = clusters.iter().filter(|&(&other, _)| other != value).map(|(_, cluster)| cluster);
    let newer = others.filter(|other| {
        spans[other.first_end].end() < culprit.from()
            && spans[mine.first_end].end() < spans[other.last_start].from()
    });
    let newer = newer.max_by_key(|other| spans[other.first_end].end())?;
    let (said, this, shown) = (statement(culprit), verb(culprit), statement(&spans[newer.first_end]));
    // A value that was written, overwritten and read again needs no more words than that.
    let plain = newer.last_start == newer.first_end
        && newer.producer == newer.first_end
        && mine.producer == mine.first_end;
    let why = if plain {
        let only = noun(&spans[mine.producer]);
        format!("no write of {value} was open after it; the only one was {only}")
    } else {
        let (first, after) = (statement(&spans[mine.first_end]), noun(&spans[newer.last_start]));
        let by = if mine.producer == mine.first_end {
            String::new()
        } else {
            format!(" by {},", noun(&spans[mine.producer]))
        };
        format!("{value} was put there only once,{by} and before that: {first} before {after} began")
    };
    let mut named = vec![refuted.culprit, newer.first_end, newer.last_start, mine.first_end, mine.producer];
    named.sort_unstable();
    named.dedup();
    Some(Explanation { sentence: format!("{said}, but {shown} before that {this} began, and {why}"), named })
}

/// Two compare-and-sets took the same value away, and it was put in only once.
fn set_twice(refuted: Seen<'_, '_>, value: u64) -> Option<Explanation> {
    let culprit = refuted.culprit();
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

/// Something else was there, and nobody put the value back.
fn overwritten(refuted: Seen<'_, '_>, value: u64) -> Option<Explanation> {
    let culprit = refuted.culprit();
    let puts = |span: &Span<'_, Op>| put(span) == Some(value);
    let other = settled(refuted, puts, |content| content != Content::Value(value))?;
    let mut named = vec![refuted.culprit, other];
    let (said, this, shown) = (statement(culprit), verb(culprit), statement(&refuted.spans[other]));
    let earlier = (0..refuted.spans.len()).filter(|&op| puts(&refuted.spans[op]) && op != refuted.culprit);
    let last = earlier.filter(|&op| !failed(&refuted.spans[op])).max_by_key(|&op| refuted.spans[op].end());
    let last = last.map_or_else(String::new, |last| {
        named.push(last);
        format!("; the last one that did was {}", noun(&refuted.spans[last]))
    });
    Some(Explanation {
        sentence: format!(
            "{said}, but {shown} before that {this} began, and nothing that would put {value} there was open after it{last}"
        ),
        named,
    })
}

/// A compare-and-set did not find what was there, and nobody took it away.
fn unchanged(refuted: Seen<'_, '_>) -> Option<Explanation> {
    let culprit = refuted.culprit();
    let (Op::Cas { from, .. }, Some(Ret::Swapped(false))) = (culprit.attempt.op, culprit.ret()) else {
        return None;
    };
    let changes = |span: &Span<'_, Op>| {
        put(span).is_some_and(|value| value != from)
            && !matches!(span.attempt.op, Op::Cas { from: other, .. } if other != from)
    };
    let other = settled(refuted, changes, |content| content == Content::Value(from))?;
    let (said, shown) = (statement(culprit), statement(&refuted.spans[other]));
    Some(Explanation {
        sentence: format!(
            "{said}, but {shown} before that cas began, and nothing that would put another value there was open after it"
        ),
        named: vec![refuted.culprit, other],
    })
}

/// It is known that one other op is enough, and it had ended before.
fn not_put_back(refuted: Seen<'_, '_>) -> Option<Explanation> {
    let culprit = refuted.culprit();
    let [one, two] = refuted.contradiction.as_ref()?.needed[..] else { return None };
    let other = if one == refuted.culprit { two } else { one };
    let shown = &refuted.spans[other];
    if shown.end() >= culprit.from() {
        return None;
    }
    let missing = match (seen(culprit), culprit.attempt.op) {
        (Some(Content::Value(value)), _) => format!("have put {value} there"),
        (None, Op::Cas { from, .. }) => format!("have put another value than {from} there"),
        _ => return None,
    };
    let (said, this, shown) = (statement(culprit), verb(culprit), statement(shown));
    Some(Explanation {
        sentence: format!(
            "{said}, but {shown} before that {this} began, and nothing that was open after it can {missing}"
        ),
        named: vec![refuted.culprit, other],
    })
}

/// The last op that ended before the culprit began and shows a content that is wanted, if no op that could
/// change that ended after it had begun, or began before the culprit ended.
fn settled(
    refuted: Seen<'_, '_>,
    changes: impl Fn(&Span<'_, Op>) -> bool,
    wanted: impl Fn(Content) -> bool,
) -> Option<usize> {
    let start = refuted.culprit().from();
    let shown = refuted.last_before(|span| span.end() < start && left(span).is_some_and(&wanted))?;
    let began = refuted.spans[shown].from();
    let mut others = refuted.spans.iter().enumerate().filter(|&(op, _)| op != shown && op != refuted.culprit);
    others.all(|(_, span)| failed(span) || span.end() < began || !changes(span)).then_some(shown)
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
