//! What contradicts a get's text, in words.
//!
//! Only a put takes text away, and what is got begins with the text of the last put. So when all puts of
//! a text that a get begins with came before some op, no put came between the two, and all that was
//! there after that op is there for the get: it begins with a text that was put or got then, and a text
//! that was appended then stands in it. A get that lacks it is a contradiction between two ops. Two
//! appends, one after the other, stand in that order; that takes three.

use crate::explain::{Explanation, Refuted, in_general, index, place};
use crate::kv::{Kv, Op, Ret};
use crate::span::Span;

type Seen<'r, 'a> = &'r Refuted<'a, Kv>;

/// Why no order explains what was got.
pub(crate) fn explain(refuted: Seen<'_, '_>) -> Explanation {
    let culprit = refuted.culprit();
    let Some(Ret::Value(text)) = culprit.ret() else { return in_general(refuted) };
    contradiction(refuted, text).unwrap_or_else(|| left_with(refuted))
}

/// What two or three ops say. Never said of a history that can be explained.
fn contradiction(refuted: Seen<'_, '_>, text: &str) -> Option<Explanation> {
    let puts = Puts::of(refuted, text);
    never_asked(refuted, text)
        .or_else(|| lost(refuted, text, &puts))
        .or_else(|| swapped(refuted, text, &puts))
}

// --- the contradictions ---------------------------------------------------------------------------

/// Its end is no text that was asked to be there.
fn never_asked(refuted: Seen<'_, '_>, text: &str) -> Option<Explanation> {
    let ends_so = |span: &Span<'_, Op>| writes(span).is_some_and(|written| text.ends_with(written));
    if text.is_empty() || refuted.spans.iter().any(|span| ends_so(span) && !span.attempt.failed()) {
        return None;
    }
    let said = statement(refuted.culprit());
    let refused = (0..refuted.spans.len()).rfind(|&number| ends_so(&refuted.spans[number]));
    let other = refused.or_else(|| refuted.last_before(|_| true));
    let why = match (refused, other) {
        (Some(refused), _) => {
            let refused = noun(&refuted.spans[refused]);
            format!(
                "{refused} certainly did not happen, and nobody else had asked for a text that it ends with"
            )
        }
        (None, Some(last)) => {
            let last = statement(&refuted.spans[last]);
            format!("nobody had asked for a text that it ends with; last known before: {last}")
        }
        (None, None) => "nobody had asked for a text that it ends with".to_owned(),
    };
    Some(Explanation { sentence: format!("{said}, but {why}"), named: also(refuted, other) })
}

/// What was there for good is not there.
fn lost(refuted: Seen<'_, '_>, text: &str, puts: &Puts) -> Option<Explanation> {
    let from = refuted.culprit().from();
    let other = refuted.last_before(|span| {
        span.end() < from
            && puts.none_after(span)
            && match (&span.attempt.op, span.ret()) {
                (Op::Put(first), _) | (Op::Get, Some(Ret::Value(first))) => !text.starts_with(&**first),
                (Op::Append(part), _) => !text.contains(&**part),
                (Op::Get, _) => false,
            }
    })?;
    let (said, shown) = (statement(refuted.culprit()), statement(&refuted.spans[other]));
    let why = if is_put_after(refuted, &refuted.spans[other]) {
        "what was got starts with no text that was put after it"
    } else {
        "no put came after it to take that away"
    };
    Some(Explanation {
        sentence: format!("{said}, but {shown} before that get began, and {why}"),
        named: also(refuted, Some(other)),
    })
}

/// Two appends, one after the other, stand there the other way round.
fn swapped(refuted: Seen<'_, '_>, text: &str, puts: &Puts) -> Option<Explanation> {
    let from = refuted.culprit().from();
    let places = refuted.spans.iter().enumerate().filter(|(_, span)| span.end() < from);
    let places: Vec<Place<'_, '_>> = places.filter_map(|all| Place::of(all, text)).collect();
    // Of those from each one on, that which stands first. They are in the order of their invocations.
    let mut earliest: Vec<usize> = (0..places.len()).collect();
    for number in (1..places.len()).rev() {
        if places[earliest[number]].last_start < places[earliest[number - 1]].last_start {
            earliest[number - 1] = earliest[number];
        }
    }
    let (first, second) = places.iter().filter(|first| puts.none_after(first.span)).find_map(|first| {
        let after = places.partition_point(|place| place.span.from() <= first.span.end());
        let second = &places[*earliest.get(after)?];
        (second.last_start < first.first_end).then_some((first, second))
    })?;
    let (said, early, late) = (statement(refuted.culprit()), statement(first.span), noun(second.span));
    Some(Explanation {
        sentence: format!("{said}, but {early} before {late} began, so its text must stand first"),
        named: vec![refuted.culprit, first.number, second.number],
    })
}

/// Where the text of an append may stand in a longer one.
struct Place<'s, 'a> {
    number: usize,
    span: &'s Span<'a, Op>,
    /// Where the first of these places ends.
    first_end: usize,
    /// Where the last of them starts.
    last_start: usize,
}

impl<'s, 'a> Place<'s, 'a> {
    fn of((number, span): (usize, &'s Span<'a, Op>), text: &str) -> Option<Place<'s, 'a>> {
        let Op::Append(part) = &span.attempt.op else { return None };
        Some(Place {
            number,
            span,
            first_end: text.find(&**part)? + part.len(),
            last_start: text.rfind(&**part)?,
        })
    }
}

/// No two or three ops say it: what all of them together leave.
fn left_with(refuted: Seen<'_, '_>) -> Explanation {
    let last = refuted.last_before(|_| true);
    let (Some(states), Some(other)) = (refuted.possible_states(), last) else { return in_general(refuted) };
    let (said, shown) = (statement(refuted.culprit()), statement(&refuted.spans[other]));
    Explanation {
        sentence: format!(
            "{said}, but once all that was acknowledged before is explained, the key holds {states}; last known before: {shown}"
        ),
        named: also(refuted, last),
    }
}

/// Whether another op than this one may have put a text there after it. (One that nobody knows the end of
/// may come at any time.)
fn is_put_after(refuted: Seen<'_, '_>, op: &Span<'_, Op>) -> bool {
    let later =
        |span: &&Span<'_, Op>| span.from() != op.from() && span.end() > op.from() && !span.attempt.failed();
    refuted.spans.iter().filter(later).any(|span| matches!(span.attempt.op, Op::Put(_)))
}

/// The puts of a text that a longer one begins with: the two that end last, by their first and last lines.
struct Puts([Option<(u64, u64)>; 2]);

impl Puts {
    fn of(refuted: Seen<'_, '_>, text: &str) -> Puts {
        let mut last = [None; 2];
        for span in refuted.spans.iter().filter(|span| !span.attempt.failed()) {
            let begins = matches!(&span.attempt.op, Op::Put(put) if text.starts_with(&**put));
            let put = Some((span.end(), span.from())).filter(|_| begins);
            if put > last[0] {
                last = [put, last[0]];
            } else if put > last[1] {
                last[1] = put;
            }
        }
        Puts(last.map(|put| put.map(|(end, from)| (from, end))))
    }

    /// Whether none of them, but for this op itself, can have come after this op.
    fn none_after(&self, op: &Span<'_, Op>) -> bool {
        let others = self.0.iter().flatten().filter(|&&(from, _)| from != op.from());
        others.max_by_key(|&&(_, end)| end).is_none_or(|&(_, end)| end <= op.from())
    }
}

fn also(refuted: Seen<'_, '_>, other: Option<usize>) -> Vec<usize> {
    [refuted.culprit].into_iter().chain(other).collect()
}

// --- the words ------------------------------------------------------------------------------------

/// The text that an op puts there.
fn writes<'s>(span: &'s Span<'_, Op>) -> Option<&'s str> {
    match &span.attempt.op {
        Op::Get => None,
        Op::Put(text) | Op::Append(text) => Some(text),
    }
}

/// "process 3 got "ab" from n1 (index 41)".
fn statement(span: &Span<'_, Op>) -> String {
    match span.ret() {
        Some(Ret::Value(text)) => {
            let (process, from) = (span.attempt.process, place("from", span));
            format!("process {process} got {}{from} {}", shown(text), index(span))
        }
        Some(Ret::Done) => format!("{} was acknowledged", noun(span)),
        None => format!("{} began", noun(span)),
    }
}

/// "process 1's append of "b" to n2 (index 37)".
fn noun(span: &Span<'_, Op>) -> String {
    let (process, index) = (span.attempt.process, index(span));
    let (f, text) = match &span.attempt.op {
        Op::Get => return format!("process {process}'s get{} {index}", place("from", span)),
        Op::Put(text) => ("put", text),
        Op::Append(text) => ("append", text),
    };
    format!("process {process}'s {f} of {}{} {index}", shown(text), place("to", span))
}

/// How much of a text is shown: its start, and more of its end, where texts that grow differ.
const START: usize = 12;
const END: usize = 36;

/// A text as people can read it: quoted, and its middle left out if it is long.
pub(crate) fn shown(text: &str) -> String {
    let length = text.chars().count();
    if length <= START + END {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(START).collect();
    let end: String = text.chars().skip(length - END).collect();
    format!("\"{}…{}\"", start.escape_debug(), end.escape_debug())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kv_reference::{history, steps};
    use crate::seam::{Budget, Checker};
    use crate::span::by_key;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        #[test]
        fn what_can_be_explained_is_never_contradicted(steps in steps()) {
            let history = history(&steps);
            prop_assume!(crate::kv::kv().check(&history, &Budget::default()).word() == "valid");
            let model = Kv::of(&history);
            for attempts in by_key(&history).into_values() {
                for attempt in &attempts {
                    let (Some(Ret::Value(text)), Some(end)) = (attempt.ret(), attempt.completed) else { continue };
                    let refuted = Refuted::new(&model, &attempts, end.index, Vec::new());
                    prop_assert_eq!(contradiction(&refuted, text), None);
                }
            }
        }
    }
}
