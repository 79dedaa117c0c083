//! A register in which every value is written once: zones in a row, in linear time.
//!
//! A read says which write it saw, so each value has its cluster, and [`super::zone`] does the rest. What
//! is there before the first write is a cluster too: its write ended before everything.
//!
//! Open writes cost nothing here. One that nobody saw is left out; of one that was seen it is known that
//! it happened, after it began, and it never ends.
//!
//! When there is no row, the shortest bad prefix is wanted, and that is one more sweep, over the ends in
//! the order of their lines. While it goes on, `F` of a value is set once, when the first of its ops ends,
//! and `S` only grows, when a read ends that began later than all before. So only then a contradiction
//! can arise: with a value whose `F` lies before the new `S`, and whose `S` lies behind our `F`. Values
//! get their `F` in the order of the sweep, so these are a range of them, and the greatest `S` in a
//! range is what a tree of maxima knows. Sorting and the tree cost `n log n`, and only who is guilty
//! pays.
//!
//! Left out: compare-and-set, which is [`super::chains`]'s.

use super::values::{Number, Values};
use super::zone::{NEVER, Zone, arrange, line};
use super::{NONE, Reserved};
use crate::certificate::small;
use crate::meter::{Meter, Stop};
use crate::mutant::Mutant;
use crate::register::{Op, Register, Ret};
use crate::rule::{Clash, Rule, Ruling};
use crate::span::Span;

pub(crate) const RULE: Rule<Register> =
    Rule { name: "zones", assumes: "every value is written once and none is compared", decide };

#[expect(clippy::trivially_copy_pass_by_ref, reason = "a rule is given a model, however small")]
fn decide(_: &Register, spans: &[Span<'_, Op>], meter: &Meter, mutant: Mutant) -> Result<Ruling, Stop> {
    let _reserved = Reserved::new(meter, spans.len(), Clusters::BYTES)?;
    let Some(clusters) = Clusters::gather(spans, meter, mutant)? else { return Ok(Ruling::Declined) };
    let row = if clusters.unwritten { None } else { arrange(&clusters.zones, spans.len(), mutant).ok() };
    meter.check(0)?;
    match row {
        Some(row) => Ok(Ruling::Order(clusters.lay_out(&row))),
        None => Ok(Ruling::Contradiction(Sweep::new(spans, &clusters, mutant).earliest(meter)?)),
    }
}

/// The value that is there before the first write.
const NOTHING: u32 = 0;

/// Ops by the value they speak of.
struct Clusters {
    /// For each span, the number of its value; [`NONE`] if it says nothing.
    of: Vec<u32>,
    zones: Vec<Zone>,
    /// For each value, the span that writes it.
    writes: Vec<u32>,
    /// For each value, how many spans speak of it.
    sizes: Vec<u32>,
    /// Whether some read ended before anybody began to write its value.
    unwritten: bool,
}

impl Clusters {
    /// What an op takes at most: as a span, as a value of its own, and in the row.
    const BYTES: usize = 4 + (12 + 4 + 4) + (4 + 4 + 4) + Values::BYTES;

    /// None if the rule does not apply.
    fn gather(spans: &[Span<'_, Op>], meter: &Meter, mutant: Mutant) -> Result<Option<Clusters>, Stop> {
        let mut clusters = Clusters {
            of: Vec::with_capacity(spans.len()),
            zones: vec![Zone { first_end: 0, ..Zone::EMPTY }],
            writes: vec![NONE],
            sizes: vec![0],
            unwritten: false,
        };
        let mut values = Values::new(spans.len(), NOTHING + 1);
        for (number, span) in (0..).zip(spans) {
            if number % (1 << 16) == 0 {
                meter.check(0)?;
            }
            let Some(lines) = Lines::of(span, mutant) else { return Ok(None) };
            let value = match (&span.attempt.op, span.ret()) {
                (Op::Cas { .. }, _) => return Ok(None),
                (Op::Read, Some(Ret::Value(None))) => NOTHING,
                (Op::Read, Some(Ret::Value(Some(value)))) => clusters.value(values.number(*value)),
                (Op::Read, _) => NONE,
                (Op::Write(value), _) => {
                    let value = clusters.value(values.number(*value));
                    if clusters.writes[value as usize] != NONE {
                        return Ok(None);
                    }
                    clusters.writes[value as usize] = number;
                    clusters.unwritten |= clusters.zones[value as usize].first_end < lines.from;
                    value
                }
            };
            clusters.of.push(value);
            if value != NONE {
                clusters.zones[value as usize].add(number, lines.from, lines.to);
                clusters.sizes[value as usize] += 1;
            }
        }
        let written = clusters.writes.iter().zip(&clusters.zones).skip(1);
        clusters.unwritten |= { written }.any(|(&write, zone)| write == NONE && zone.happened());
        Ok(Some(clusters))
    }

    fn value(&mut self, number: Number) -> u32 {
        match number {
            Number::Known(value) => value,
            Number::New(value) => {
                self.zones.push(Zone::EMPTY);
                self.writes.push(NONE);
                self.sizes.push(0);
                value
            }
        }
    }

    /// All ops: value by value, the write first, then its reads in the order of their invocations.
    fn lay_out(&self, row: &[u32]) -> Vec<u32> {
        let mut length = 0;
        let mut next = vec![NONE; self.zones.len()];
        for &value in row {
            next[value as usize] = length;
            length += self.sizes[value as usize];
        }
        let mut order = vec![NONE; length as usize];
        for &value in row {
            let write = self.writes[value as usize];
            if write != NONE {
                order[next[value as usize] as usize] = write;
                next[value as usize] += 1;
            }
        }
        for (number, &value) in (0..).zip(&self.of) {
            if value == NONE || self.writes[value as usize] == number || next[value as usize] == NONE {
                continue;
            }
            order[next[value as usize] as usize] = number;
            next[value as usize] += 1;
        }
        order
    }
}

/// The lines of a span.
#[derive(Clone, Copy)]
struct Lines {
    from: u32,
    to: u32,
}

impl Lines {
    fn of(span: &Span<'_, Op>, mutant: Mutant) -> Option<Lines> {
        let from = line(span.from())?;
        let to = match span.to() {
            Some(to) => line(to)?,
            None if mutant == Mutant::EndsOpenWrites && matches!(span.attempt.op, Op::Write(_)) => from,
            None => NEVER,
        };
        Some(Lines { from, to })
    }
}

// --- the earliest contradiction -------------------------------------------------------------------

/// The ends in the order of their lines.
struct Sweep<'s, 'a> {
    spans: &'s [Span<'a, Op>],
    clusters: &'s Clusters,
    mutant: Mutant,
    /// For each value, its place among those of which some op has ended; [`NONE`] if none has.
    place: Vec<u32>,
    /// For each place, the value, and its first op to end.
    first: Vec<(u32, u32)>,
    /// For each place, the line on which that op ended: rising.
    first_end: Vec<u32>,
    /// For each place, the line on which the last op began, of those that ended.
    last_start: Maxima,
}

impl<'s, 'a> Sweep<'s, 'a> {
    /// What an op takes: as an end, and its value in all of the tables.
    const BYTES: usize = 8 + (4 + 8 + 4 + 16);

    fn new(spans: &'s [Span<'a, Op>], clusters: &'s Clusters, mutant: Mutant) -> Sweep<'s, 'a> {
        let values = clusters.zones.len();
        Sweep {
            spans,
            clusters,
            mutant,
            place: vec![NONE; values],
            first: Vec::new(),
            first_end: Vec::new(),
            last_start: Maxima::new(values),
        }
    }

    fn earliest(mut self, meter: &Meter) -> Result<Clash, Stop> {
        let _reserved = Reserved::new(meter, self.spans.len(), Sweep::BYTES)?;
        let spans = (0..).zip(self.spans).zip(&self.clusters.of).filter(|&(_, &value)| value != NONE);
        let ends = spans.filter_map(|((number, span), _)| Some((Lines::of(span, self.mutant)?.to, number)));
        let mut ends: Vec<(u32, u32)> = ends.filter(|&(end, _)| end != NEVER).collect();
        ends.sort_unstable();
        // What was there before everything has been there before everything.
        self.note_first(NOTHING, NONE, 0, 0);
        for (at, &(end, number)) in ends.iter().enumerate() {
            if at % (1 << 16) == 0 {
                meter.check(0)?;
            }
            if let Some(others) = self.end(number, end) {
                return Ok(self.clash(number, &others));
            }
        }
        unreachable!("zones that cannot be put in a row contradict each other at some end")
    }

    /// An op ended. The ops that contradict it, if there are some.
    fn end(&mut self, number: u32, end: u32) -> Option<Vec<u32>> {
        let value = self.clusters.of[number as usize];
        let from = self.from(number);
        let place = self.place[value as usize];
        if place == NONE {
            let write = self.clusters.writes[value as usize];
            if write == NONE || self.from(write) > end {
                return Some(vec![]);
            }
            self.note_first(value, number, end, from.max(self.from(write)));
            return None;
        }
        if from <= self.last_start.get(place) {
            return None;
        }
        self.last_start.set(place, from);
        let other = self.between(place, from)?;
        let (other_value, other_first) = self.first[other as usize];
        let last = self.starting(self.last_start.get(other));
        let writes = [value, other_value].map(|value| self.clusters.writes[value as usize]);
        Some([self.first[place as usize].1, other_first, last].into_iter().chain(writes).collect())
    }

    fn note_first(&mut self, value: u32, number: u32, end: u32, last_start: u32) {
        let place = small(self.first.len());
        self.place[value as usize] = place;
        self.first.push((value, number));
        self.first_end.push(end);
        self.last_start.set(place, last_start);
    }

    /// A value that must come before the one at this place, since it ended before `from`, and also after
    /// it.
    fn between(&self, place: u32, from: u32) -> Option<u32> {
        let first_end = self.first_end[place as usize];
        let before = small(self.first_end.partition_point(|&end| end < from));
        let others = [0..place.min(before), place + 1..before];
        others.into_iter().find_map(|range| self.last_start.above(range, first_end))
    }

    fn from(&self, number: u32) -> u32 {
        line(self.spans[number as usize].from()).expect("all lines were looked at before")
    }

    /// The op that began on this line.
    fn starting(&self, from: u32) -> u32 {
        let found = self.spans.binary_search_by_key(&u64::from(from - 1), Span::from);
        small(found.expect("some op began there"))
    }

    fn clash(&self, culprit: u32, others: &[u32]) -> Clash {
        let mut ops: Vec<u32> = others.iter().copied().filter(|&other| other != NONE).collect();
        ops.push(culprit);
        ops.sort_unstable();
        ops.dedup();
        Clash { ops, bad: self.spans[culprit as usize].end(), earliest: true }
    }
}

/// Numbers that only grow, and the greatest of any range of them.
struct Maxima {
    /// A tree in one piece: the children of `n` are `2n` and `2n + 1`, the leaves its second half.
    tree: Vec<u32>,
    leaves: usize,
}

impl Maxima {
    fn new(numbers: usize) -> Maxima {
        let leaves = numbers.next_power_of_two();
        Maxima { tree: vec![0; 2 * leaves], leaves }
    }

    fn get(&self, place: u32) -> u32 {
        self.tree[self.leaves + place as usize]
    }

    fn set(&mut self, place: u32, number: u32) {
        let mut at = self.leaves + place as usize;
        while at > 0 && self.tree[at] < number {
            self.tree[at] = number;
            at /= 2;
        }
    }

    /// A place in this range at which there is more than that.
    fn above(&self, range: std::ops::Range<u32>, than: u32) -> Option<u32> {
        if range.is_empty() {
            return None;
        }
        let (mut low, mut high) = (self.leaves + range.start as usize, self.leaves + range.end as usize);
        while low < high {
            if low % 2 == 1 {
                if self.tree[low] > than {
                    return Some(self.leaf_above(low, than));
                }
                low += 1;
            }
            if high % 2 == 1 {
                high -= 1;
                if self.tree[high] > than {
                    return Some(self.leaf_above(high, than));
                }
            }
            (low, high) = (low / 2, high / 2);
        }
        None
    }

    fn leaf_above(&self, mut at: usize, than: u32) -> u32 {
        while at < self.leaves {
            at = if self.tree[2 * at] > than { 2 * at } else { 2 * at + 1 };
        }
        small(at - self.leaves)
    }
}
