//! A log in which every value is appended once: the offsets are the order.
//!
//! An append that was answered tells its offset. Of one that was not, any read that shows its value does.
//! A read that shows something tells how long the log was; one that shows nothing tells that it was not
//! longer than the offset it asked for. So all ops stand in a row by the length of the log, first the
//! reads of a length, then the append at that offset, and what is left is real time: no op ended before
//! one in front of it began.
//!
//! Two kinds of ops have some freedom:
//!
//! - A read that shows nothing goes as far to the front as the ops that had ended before it began allow.
//!   Further to the front is never worse, since all that is asked of it is not to come too late.
//! - An offset that no answer speaks of, below one that does, holds the value of some open append that
//!   nobody read. Open appends never end, so all that counts is when they began: the free offsets are
//!   filled from the front, with those that began first. Free offsets further to the front have the
//!   earlier deadlines, so if this fails, every way fails. Open appends that are left over never happened.
//!
//! Contradictions: two answers that speak of one offset and disagree, a value that stands in two places
//! or that nobody appended, more offsets than appends, and two ops in the wrong order.

use super::values::{Number, Values};
use super::{NONE, Reserved};
use crate::certificate::small;
use crate::log::{Log, Op, Ret};
use crate::meter::{Meter, Stop};
use crate::mutant::Mutant;
use crate::rule::{Clash, Rule, Ruling};
use crate::span::Span;

pub(crate) const RULE: Rule<Log> = Rule { name: "offsets", assumes: "every value is appended once", decide };

#[expect(clippy::trivially_copy_pass_by_ref, reason = "a rule is given a model, however small")]
fn decide(_: &Log, spans: &[Span<'_, Op>], meter: &Meter, mutant: Mutant) -> Result<Ruling, Stop> {
    let _reserved = Reserved::new(meter, spans.len(), Offsets::BYTES + Values::BYTES)?;
    let Some(mut offsets) = Offsets::new(spans, mutant) else { return Ok(Ruling::Declined) };
    let order = offsets.order(meter)?;
    Ok(order.map_or_else(|guilty| offsets.clash(guilty), Ruling::Order))
}

/// An append, and how its offset is known.
#[derive(Clone, Copy)]
struct Slot {
    append: u32,
    /// The append itself, if it was answered, or a read; [`NONE`] if it is a guess.
    told_by: u32,
}

/// Spans whose answers contradict each other.
type Guilty = Vec<u32>;

struct Offsets<'s, 'a> {
    spans: &'s [Span<'a, Op>],
    mutant: Mutant,
    /// Which append has a value, by the value's number.
    appends: Vec<u32>,
    values: Values,
    /// For each append, its offset; [`NONE`] if it is not known.
    offset_of: Vec<u32>,
    /// What stands at each offset, as far as it is known.
    slots: Vec<Option<Slot>>,
    /// Reads that were answered, each with the length of the log.
    reads: Vec<(u32, u32)>,
}

impl<'s, 'a> Offsets<'s, 'a> {
    /// What a span takes.
    const BYTES: usize = 4 + 4 + 12 + 8 + 8 + 4;

    /// None if the rule does not apply.
    fn new(spans: &'s [Span<'a, Op>], mutant: Mutant) -> Option<Offsets<'s, 'a>> {
        let mut values = Values::new(spans.len(), 0);
        let mut appends = Vec::new();
        for (number, span) in (0..).zip(spans) {
            if let Op::Append(value) = span.attempt.op {
                let Number::New(_) = values.number(value) else { return None };
                appends.push(number);
            }
        }
        let slots = Vec::new();
        Some(Offsets {
            spans,
            mutant,
            appends,
            values,
            offset_of: vec![NONE; spans.len()],
            slots,
            reads: Vec::new(),
        })
    }

    fn order(&mut self, meter: &Meter) -> Result<Result<Vec<u32>, Guilty>, Stop> {
        meter.check(0)?;
        let told = self.hear_appends().and_then(|()| self.hear_reads());
        meter.check(0)?;
        Ok(told.and_then(|()| {
            self.fill();
            self.hear_empty_reads()?;
            let order = self.lay_out();
            self.in_time(&order)?;
            Ok(order.iter().map(|item| item.span).collect())
        }))
    }

    // --- what the answers say ---------------------------------------------------------------------

    fn hear_appends(&mut self) -> Result<(), Guilty> {
        for (number, span) in (0..).zip(self.spans) {
            if let Some(Ret::Offset(offset)) = span.ret() {
                let offset = self.offset(*offset).ok_or_else(|| vec![number])?;
                if let Some(other) = self.slots[offset] {
                    return Err(vec![other.told_by, number]);
                }
                self.put(offset, number, number);
            }
        }
        Ok(())
    }

    fn hear_reads(&mut self) -> Result<(), Guilty> {
        for (number, span) in (0..).zip(self.spans) {
            let (Op::Read { from }, Some(Ret::Values(values))) = (span.attempt.op, span.ret()) else {
                continue;
            };
            if values.is_empty() {
                continue;
            }
            let last = from.checked_add(values.len() as u64 - 1);
            let last = last.and_then(|last| self.offset(last)).ok_or_else(|| vec![number])?;
            for (offset, &value) in (last + 1 - values.len()..).zip(values.iter()) {
                self.hear(number, offset, value)?;
            }
            self.reads.push((small(last + 1), number));
        }
        Ok(())
    }

    /// A read shows this value at this offset.
    fn hear(&mut self, read: u32, offset: usize, value: u64) -> Result<(), Guilty> {
        if let Some(slot) = self.slots[offset] {
            let there = self.spans[slot.append as usize].attempt.op;
            return if there == Op::Append(value) { Ok(()) } else { Err(vec![slot.told_by, read]) };
        }
        let append = match self.values.number(value) {
            Number::Known(value) if (value as usize) < self.appends.len() => self.appends[value as usize],
            _ => return Err(vec![read]),
        };
        let elsewhere = self.offset_of[append as usize];
        if elsewhere != NONE {
            let slot = self.slots[elsewhere as usize].expect("something stands where it is known to stand");
            return Err(vec![slot.told_by, read]);
        }
        self.put(offset, append, read);
        Ok(())
    }

    /// An offset that somebody spoke of. None if there are not that many appends.
    fn offset(&mut self, offset: u64) -> Option<usize> {
        let offset = usize::try_from(offset).ok().filter(|&offset| offset < self.appends.len())?;
        if offset >= self.slots.len() {
            self.slots.resize(offset + 1, None);
        }
        Some(offset)
    }

    fn put(&mut self, offset: usize, append: u32, told_by: u32) {
        self.offset_of[append as usize] = small(offset);
        self.slots[offset] = Some(Slot { append, told_by });
    }

    /// Fills the offsets that nobody spoke of. There are enough open appends, since no offset was as
    /// great as the number of appends, and all that were answered have theirs.
    fn fill(&mut self) {
        let free = (0..self.slots.len()).filter(|&offset| self.slots[offset].is_none());
        let free: Vec<usize> = free.collect();
        let unknown = self.appends.iter().copied().filter(|&append| self.offset_of[append as usize] == NONE);
        let unknown: Vec<u32> = unknown.collect();
        for (offset, append) in free.into_iter().zip(unknown) {
            self.put(offset, append, NONE);
        }
    }

    /// Reads that show nothing, each with the least length that the log can have had.
    fn hear_empty_reads(&mut self) -> Result<(), Guilty> {
        let empty: Vec<(u32, u64)> = (0..)
            .zip(self.spans)
            .filter_map(|(number, span)| match (span.attempt.op, span.ret()) {
                (Op::Read { from }, Some(Ret::Values(values))) if values.is_empty() => Some((number, from)),
                _ => None,
            })
            .collect();
        if empty.is_empty() {
            return Ok(());
        }
        let lengths = self.lengths_by_end();
        let mut ended = lengths.iter().peekable();
        let (mut least, mut since) = (0, NONE);
        for (number, most) in empty {
            let from = self.spans[number as usize].from();
            while let Some(&(_, length, span)) = ended.next_if(|&&(end, ..)| end < from) {
                if length > least {
                    (least, since) = (length, span);
                }
            }
            if u64::from(least) > most && self.mutant != Mutant::IgnoresRealTime {
                return Err(vec![since, number]);
            }
            self.reads.push((least, number));
        }
        Ok(())
    }

    /// Where each answered op ended, how long the log was after it at least, and which one it is; by
    /// the ends.
    fn lengths_by_end(&self) -> Vec<(u64, u32, u32)> {
        let reads = self.reads.iter().map(|&(length, span)| (self.spans[span as usize].end(), length, span));
        let appends = (1..).zip(&self.slots).filter_map(|(length, slot)| {
            let append = slot.as_ref()?.append;
            Some((self.spans[append as usize].to()?, length, append))
        });
        let mut lengths: Vec<(u64, u32, u32)> = reads.chain(appends).collect();
        lengths.sort_unstable();
        lengths
    }

    // --- the order --------------------------------------------------------------------------------

    fn lay_out(&mut self) -> Vec<Item> {
        self.reads.sort_unstable();
        let mut reads = self.reads.iter().peekable();
        let mut order = Vec::with_capacity(self.reads.len() + self.slots.len());
        for (length, slot) in (0..).zip(&self.slots) {
            while let Some(&(_, span)) = reads.next_if(|&&(read, _)| read <= length) {
                order.push(Item { span, told_by: span });
            }
            let slot = slot.expect("all offsets are filled");
            order.push(Item { span: slot.append, told_by: slot.told_by });
        }
        order.extend(reads.map(|&(_, span)| Item { span, told_by: span }));
        order
    }

    /// Whether nothing stands behind what began after it had ended.
    fn in_time(&self, order: &[Item]) -> Result<(), Guilty> {
        let mut latest: Option<(u64, Item)> = None;
        for (at, item) in order.iter().enumerate() {
            let span = &self.spans[item.span as usize];
            if let Some((start, before)) = latest
                && span.end() < start
                && self.mutant != Mutant::IgnoresRealTime
            {
                let crowded = before.told_by == NONE;
                return Err(if crowded {
                    self.no_room(&order[at..])
                } else {
                    vec![before.span, before.told_by, item.span]
                });
            }
            if latest.is_none_or(|(start, _)| start < span.from()) {
                latest = Some((span.from(), *item));
            }
        }
        Ok(())
    }

    /// The first of these ended, and too few appends had begun to stand before it: those begun by then
    /// that stand behind it are guilty too.
    fn no_room(&self, order: &[Item]) -> Guilty {
        let end = self.spans[order[0].span as usize].end();
        let behind = order.iter().filter(|item| self.spans[item.span as usize].from() < end);
        behind.filter(|item| item.told_by != NONE).flat_map(|item| [item.span, item.told_by]).collect()
    }

    fn clash(&self, mut guilty: Guilty) -> Ruling {
        guilty.sort_unstable();
        guilty.dedup();
        let bad = guilty.iter().filter_map(|&span| self.spans[span as usize].to()).max();
        let bad = bad.expect("ops that contradict each other were answered");
        Ruling::Contradiction(Clash { ops: guilty, bad, earliest: false })
    }
}

/// An op in the order, and how its place is known.
#[derive(Clone, Copy)]
struct Item {
    span: u32,
    /// [`NONE`] if it is a guess.
    told_by: u32,
}
