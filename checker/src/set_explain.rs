//! What contradicts a read of a set, in words.
//!
//! Only reads say anything, and each says two things: these values were added by now, and those were not.
//! Four short stories cover most contradictions: a value that nobody added, one that was there before and
//! is gone, two reads of which neither came first, and a value that is shown without an older one.

use std::collections::BTreeSet;

use crate::explain::{Explanation, Refuted, among_themselves, in_general, index, place};
use crate::set::{Op, Ret, Set};
use crate::span::Span;

type Seen<'r, 'a> = &'r Refuted<'a, Set>;

/// Why no order explains what was read.
pub(crate) fn explain(refuted: Seen<'_, '_>) -> Explanation {
    let Some(Ret::Elements(shown)) = refuted.culprit().ret() else { return in_general(refuted) };
    never_asked(refuted, shown)
        .or_else(|| lost(refuted, shown))
        .or_else(|| apart(refuted, shown))
        .or_else(|| skipped(refuted, shown))
        .or_else(|| among_themselves(refuted, statement))
        .unwrap_or_else(|| in_general(refuted))
}

// --- the contradictions ---------------------------------------------------------------------------

/// It shows what nobody can have added.
fn never_asked(refuted: Seen<'_, '_>, shown: &BTreeSet<u64>) -> Option<Explanation> {
    let spans = &refuted.spans;
    let adds = |span: &Span<'_, Op>, value| span.attempt.op == Op::Add(value);
    let asked = |value| spans.iter().any(|span| adds(span, value) && !span.attempt.failed());
    let value = *shown.iter().find(|&&value| !asked(value))?;
    let said = statement(refuted.culprit());
    let failed: Vec<usize> = (0..spans.len()).filter(|&op| adds(&spans[op], value)).collect();
    let sentence = if failed.is_empty() {
        format!("{said}, but nobody had asked to add {value}")
    } else {
        let attempts: Vec<String> = failed.iter().map(|&op| noun(&spans[op])).collect();
        let attempts = attempts.join(" and ");
        format!("{said}, but {attempts} certainly did not happen, and nobody else had asked to add {value}")
    };
    Some(Explanation { sentence, named: [refuted.culprit].into_iter().chain(failed).collect() })
}

/// It lacks what was there before it began.
fn lost(refuted: Seen<'_, '_>, shown: &BTreeSet<u64>) -> Option<Explanation> {
    let start = refuted.culprit().from();
    let other = refuted.last_before(|span| span.end() < start && missing(span, shown).is_some())?;
    let span = &refuted.spans[other];
    let value = missing(span, shown)?;
    let was_there = match span.attempt.op {
        Op::Add(_) => statement(span),
        Op::Read => format!("{} showed {value}", noun(span)),
    };
    Some(Explanation {
        sentence: format!(
            "{}, without {value}, but {was_there} before that read began, and nothing is ever taken out of a set",
            statement(refuted.culprit())
        ),
        named: vec![refuted.culprit, other],
    })
}

/// Another read shows what it lacks, and lacks what it shows.
fn apart(refuted: Seen<'_, '_>, shown: &BTreeSet<u64>) -> Option<Explanation> {
    let both = |span: &Span<'_, Op>| match span.ret() {
        Some(Ret::Elements(other)) => {
            Some((*other.difference(shown).next()?, *shown.difference(other).next()?))
        }
        _ => None,
    };
    let other = refuted.last_before(|span| both(span).is_some())?;
    let span = &refuted.spans[other];
    let (lacked, had) = both(span)?;
    Some(Explanation {
        sentence: format!(
            "{}, without {lacked}, but {} showed {lacked} and not {had}, and of two reads of a set that only grows one shows all that the other shows",
            statement(refuted.culprit()),
            noun(span)
        ),
        named: vec![refuted.culprit, other],
    })
}

/// It shows a value, and lacks one that had been added before anybody asked to add the first.
fn skipped(refuted: Seen<'_, '_>, shown: &BTreeSet<u64>) -> Option<Explanation> {
    let spans = &refuted.spans;
    let lacked = |span: &Span<'_, Op>| !span.is_open() && missing(span, shown).is_some();
    let older = (0..spans.len()).filter(|&op| lacked(&spans[op])).min_by_key(|&op| spans[op].end())?;
    let younger = shown.iter().find_map(|&value| {
        let adds = |op: &usize| spans[*op].attempt.op == Op::Add(value) && !spans[*op].attempt.failed();
        let mut adds = (0..spans.len()).filter(adds);
        let only = adds.next().filter(|_| adds.next().is_none())?;
        (spans[only].from() > spans[older].end()).then_some(only)
    })?;
    let value = missing(&spans[older], shown)?;
    Some(Explanation {
        sentence: format!(
            "{}, without {value}, but {} before {} began, and nothing is ever taken out of a set",
            statement(refuted.culprit()),
            statement(&spans[older]),
            noun(&spans[younger])
        ),
        named: vec![refuted.culprit, older, younger],
    })
}

/// A value that was there after this op, if it was answered, and is not shown.
fn missing(span: &Span<'_, Op>, shown: &BTreeSet<u64>) -> Option<u64> {
    match (span.attempt.op, span.ret()?) {
        (Op::Add(value), _) => Some(value).filter(|value| !shown.contains(value)),
        (Op::Read, Ret::Elements(there)) => there.difference(shown).next().copied(),
        (Op::Read, Ret::Added) => None,
    }
}

// --- the words ------------------------------------------------------------------------------------

/// "process 3 read {2, 7} from n1 (index 41)".
fn statement(span: &Span<'_, Op>) -> String {
    match span.ret() {
        Some(Ret::Elements(elements)) => {
            let (process, from) = (span.attempt.process, place("from", span));
            format!("process {process} read {}{from} {}", shown(elements), index(span))
        }
        Some(Ret::Added) => format!("{} was acknowledged", noun(span)),
        None => format!("{} began", noun(span)),
    }
}

/// "process 1's add of 9 to n2 (index 37)".
fn noun(span: &Span<'_, Op>) -> String {
    let (process, index) = (span.attempt.process, index(span));
    match span.attempt.op {
        Op::Read => format!("process {process}'s read{} {index}", place("from", span)),
        Op::Add(value) => format!("process {process}'s add of {value}{} {index}", place("to", span)),
    }
}

/// How many values of a set are shown.
const SHOWN: usize = 8;

/// A content as people can read it: its greatest values, since those were most often added last.
pub(crate) fn shown(elements: &BTreeSet<u64>) -> String {
    if elements.is_empty() {
        return "nothing".to_owned();
    }
    let hidden = elements.len().saturating_sub(SHOWN);
    let last: Vec<String> = elements.iter().skip(hidden).map(u64::to_string).collect();
    let before = if hidden == 0 { String::new() } else { format!("{hidden} values, ") };
    format!("{{{before}{}}}", last.join(", "))
}
