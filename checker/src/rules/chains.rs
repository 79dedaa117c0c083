//! A register with compare-and-set in which every value is put in once: blocks in a row, in linear time.
//!
//! A cas that succeeded found its `from` and left its `to`, so `to` comes directly behind `from`, and
//! [`super::chain`] does the rest. What is decided here is which ops happened. One that was answered did.
//! An open one did if its value was there: somebody read it, or a cas that happened took it away. An
//! open one whose value nobody ever found is left out: from its moment to the next write nobody looked.
//!
//! Contradictions that need no order at all: a value that was there, and nobody put it in; two cas that
//! took the same value away, which was there only once.
//!
//! Left out: a cas that was answered with *found another value*. It needs a moment at which the register
//! does not hold `from`, and while the moments of the others are known up to a block, that is a question
//! of where in a row there is room; the general search decides those histories.

use super::chain::{Chain, Cluster, Guilt};
use super::values::{Number, Values};
use super::zone::{NEVER, line};
use super::{NONE, Reserved};
use crate::meter::{Meter, Stop};
use crate::mutant::Mutant;
use crate::register::{Op, Register, Ret};
use crate::rule::{Rule, Ruling};
use crate::span::Span;

pub(crate) const RULE: Rule<Register> =
    Rule { name: "chains", assumes: "every value is put in once and no cas found another one", decide };

#[expect(clippy::trivially_copy_pass_by_ref, reason = "a rule is given a model, however small")]
fn decide(_: &Register, spans: &[Span<'_, Op>], meter: &Meter, mutant: Mutant) -> Result<Ruling, Stop> {
    let _reserved = Reserved::new(meter, spans.len(), Chain::BYTES + Values::BYTES)?;
    let Some(mut swaps) = Swaps::gather(spans) else { return Ok(Ruling::Declined) };
    meter.check(0)?;
    if let Some(contradiction) = swaps.link(mutant) {
        return Ok(contradiction);
    }
    meter.check(0)?;
    Ok(match swaps.chain.settle(mutant) {
        Ok(order) => Ruling::Order(order),
        Err(apart) => Guilt::of(&swaps.chain, spans).apart(&apart).ruling(),
    })
}

/// The value that is there before the first write.
const NOTHING: u32 = 0;

struct Swaps<'s, 'a> {
    spans: &'s [Span<'a, Op>],
    values: Values,
    chain: Chain,
}

impl<'s, 'a> Swaps<'s, 'a> {
    /// Ops by the value they leave. None if the rule does not apply.
    fn gather(spans: &'s [Span<'a, Op>]) -> Option<Swaps<'s, 'a>> {
        let chain = Chain { of: Vec::with_capacity(spans.len()), clusters: vec![Cluster::BEGINNING] };
        let mut swaps = Swaps { spans, values: Values::new(spans.len(), NOTHING + 1), chain };
        for (number, span) in (0..).zip(spans) {
            let value = match (span.attempt.op, span.ret()) {
                (Op::Read, Some(Ret::Value(Some(value)))) => swaps.value(*value),
                (Op::Read, Some(_)) => NOTHING,
                (Op::Cas { .. }, Some(Ret::Swapped(false))) => return None,
                // It puts in what it found: it is a read, and says nothing if it is open.
                (Op::Cas { from, to }, ret) if from == to => match ret {
                    Some(_) => swaps.value(from),
                    None => NONE,
                },
                (Op::Write(value), _) => swaps.made(value, number)?,
                (Op::Cas { from, to }, _) => {
                    let before = swaps.value(from);
                    let value = swaps.made(to, number)?;
                    swaps.chain.clusters[value as usize].before = before;
                    value
                }
                (Op::Read, None) => NONE,
            };
            let (from, to) = (line(span.from())?, span.to().map_or(Some(NEVER), line)?);
            swaps.chain.of.push(value);
            if value != NONE {
                swaps.chain.clusters[value as usize].add(number, from, to);
            }
        }
        Some(swaps)
    }

    fn value(&mut self, value: u64) -> u32 {
        match self.values.number(value) {
            Number::Known(value) => value,
            Number::New(value) => {
                self.chain.clusters.push(Cluster::EMPTY);
                value
            }
        }
    }

    /// This span puts the value in. None if another one does so too.
    fn made(&mut self, value: u64, span: u32) -> Option<u32> {
        let value = self.value(value);
        let made = line(self.spans[span as usize].from())?;
        let cluster = &mut self.chain.clusters[value as usize];
        if cluster.maker != NONE {
            return None;
        }
        (cluster.maker, cluster.made) = (span, made);
        Some(value)
    }

    /// Finds out which values were there, and links each with the one that took its place.
    fn link(&mut self, mutant: Mutant) -> Option<Ruling> {
        let answered = (0..).zip(&self.chain.clusters).filter(|(_, cluster)| cluster.shown_by != NONE);
        let mut found: Vec<u32> = answered.map(|(value, _)| value).collect();
        while let Some(value) = found.pop() {
            let Cluster { maker, before, shown_by, .. } = self.chain.clusters[value as usize];
            if maker == NONE && value != NOTHING {
                return Some(Guilt::of(&self.chain, self.spans).cluster(value).ruling());
            }
            if before == NONE {
                continue;
            }
            let taken = &mut self.chain.clusters[before as usize];
            if taken.shown_by == NONE {
                taken.shown_by = shown_by;
                found.push(before);
            }
            let other = std::mem::replace(&mut taken.after, value);
            if other != NONE && mutant != Mutant::TakesTwice {
                return Some(Guilt::of(&self.chain, self.spans).cluster(value).cluster(other).ruling());
            }
        }
        None
    }
}
