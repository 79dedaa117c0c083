//! Values that are made out of one another, in a row.
//!
//! A compare-and-set that succeeded found the very value that it expected, and an append left the text
//! that it was added to with its own at the end. So the *cluster* of the new value (the op that made it,
//! and the reads that saw it) comes directly behind the cluster of the old one, with nothing between.
//! Clusters so linked are a *block*, whose inner order is given:
//!
//! 1. Within a block, no op of a later cluster may have ended before one of an earlier cluster began:
//!    the least `F` from here on against each `S` before. And no read ended before its value was made.
//! 2. Since nothing comes between its clusters, a block is one stretch of time, and blocks go in a row
//!    by their `F` and `S` as single clusters do ([`super::zone`]).
//!
//! The order is exact: a block that passes 1 can take effect anywhere between its `F` and `S`, op by op
//! in its inner order; and a row of blocks that passes 2 respects real time between them.
//!
//! What is wrong is told by a few ops and all that it takes to know that they belong to a block: each
//! value was made by one op, out of a value that was made by one op, down to the beginning. These
//! makers need not have been answered; that somebody saw what came of them is enough.

use history::Operation;

use super::NONE;
use super::zone::{NEVER, Zone, arrange, line};
use crate::certificate::small;
use crate::mutant::Mutant;
use crate::rule::{Clash, Ruling};
use crate::span::Span;

/// Clusters by number. Number 0 is what is there before the first op.
#[derive(Default)]
pub(super) struct Chain {
    /// For each span, its cluster; [`NONE`] if it says nothing.
    pub of: Vec<u32>,
    /// For each cluster.
    pub clusters: Vec<Cluster>,
}

/// The cluster of one value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cluster {
    /// The span that made the value; [`NONE`] if nobody did, or if it was there from the beginning.
    pub maker: u32,
    /// The line on which that began.
    pub made: u32,
    /// What its ops say of when it was there. The maker is one of them.
    pub zone: Zone,
    /// The cluster of which it was made; [`NONE`] if of nothing.
    pub before: u32,
    /// The cluster that was made of it; [`NONE`] if none was.
    pub after: u32,
    /// A span that was answered, and whose answer shows that this value was there, or one that was made
    /// of it; [`NONE`] if there is none, and then it may never have been.
    pub shown_by: u32,
    /// How many spans it has.
    pub size: u32,
}

impl Cluster {
    pub(super) const EMPTY: Cluster = Cluster {
        maker: NONE,
        made: 0,
        zone: Zone::EMPTY,
        before: NONE,
        after: NONE,
        shown_by: NONE,
        size: 0,
    };

    /// Of what is there before the first op.
    pub(super) const BEGINNING: Cluster =
        Cluster { zone: Zone { first_end: 0, ..Zone::EMPTY }, ..Cluster::EMPTY };

    /// One more span.
    pub(super) fn add(&mut self, span: u32, from: u32, to: u32) {
        self.zone.add(span, from, to);
        self.size += 1;
        if to != NEVER && self.shown_by == NONE {
            self.shown_by = span;
        }
    }

    fn was_there(&self) -> bool {
        self.shown_by != NONE
    }
}

impl Chain {
    /// What a span takes at most, if each makes a value.
    pub(super) const BYTES: usize = 4 + 2 * size_of::<Cluster>() + (4 + 4 + 12 + 8) + 8;

    /// This cluster, that of which it was made, and so on, as far as that goes without a circle.
    pub(super) fn back_from(&self, cluster: u32) -> impl Iterator<Item = u32> {
        let before = move |&cluster: &u32| {
            let before = self.clusters[cluster as usize].before;
            (before != NONE).then_some(before)
        };
        std::iter::successors(Some(cluster), before).take(self.clusters.len())
    }

    /// Puts all ops in order, or says which two spans exclude each other.
    pub(super) fn settle(&self, mutant: Mutant) -> Result<Vec<u32>, Apart> {
        let mut blocks = Blocks::default();
        for (first, cluster) in (0..).zip(&self.clusters) {
            if cluster.before == NONE && cluster.was_there() {
                blocks.push(first, self.block(first, mutant)?);
            }
        }
        if let Some(circle) = self.in_a_circle(&blocks) {
            return Err(Apart::Circle(circle));
        }
        let row = arrange(&blocks.zones, self.of.len(), mutant);
        let row = row.map_err(|apart| Apart::Zones(apart.map(|block| blocks.zones[block as usize])))?;
        Ok(self.lay_out(row.into_iter().map(|block| blocks.firsts[block as usize])))
    }

    fn forth_from(&self, first: u32) -> impl Iterator<Item = u32> {
        let after = move |&cluster: &u32| {
            let after = self.clusters[cluster as usize].after;
            (after != NONE).then_some(after)
        };
        std::iter::successors(Some(first), after).take(self.clusters.len())
    }

    /// The zone of all clusters from here on, if their order can be that of real time.
    fn block(&self, first: u32, mutant: Mutant) -> Result<Zone, Apart> {
        let mut block = Zone::EMPTY;
        for number in self.forth_from(first) {
            let Cluster { zone, made, .. } = self.clusters[number as usize];
            if zone.first_end < made {
                return Err(Apart::Early { end: zone.first_end });
            }
            if zone.first_end < block.last_start && mutant != Mutant::TrustsChains {
                return Err(Apart::Inside { end: zone.first_end, start: block.last });
            }
            block = block.and(zone);
        }
        Ok(block)
    }

    /// A cluster that is linked, but not to any beginning.
    fn in_a_circle(&self, blocks: &Blocks) -> Option<u32> {
        let mut reached = vec![false; self.clusters.len()];
        for &first in &blocks.firsts {
            self.forth_from(first).for_each(|cluster| reached[cluster as usize] = true);
        }
        let lost = (0..)
            .zip(&self.clusters)
            .find(|&(number, cluster)| cluster.was_there() && !reached[number as usize]);
        lost.map(|(number, _)| number)
    }

    fn lay_out(&self, firsts: impl Iterator<Item = u32>) -> Vec<u32> {
        let mut length = 0;
        let mut next = vec![NONE; self.clusters.len()];
        let mut order = Vec::new();
        for first in firsts {
            for number in self.forth_from(first) {
                let Cluster { maker, size, .. } = self.clusters[number as usize];
                order.resize((length + size) as usize, NONE);
                next[number as usize] = length;
                if maker != NONE {
                    order[length as usize] = maker;
                    next[number as usize] += 1;
                }
                length += size;
            }
        }
        for (span, &cluster) in (0..).zip(&self.of) {
            if cluster == NONE
                || next[cluster as usize] == NONE
                || self.clusters[cluster as usize].maker == span
            {
                continue;
            }
            order[next[cluster as usize] as usize] = span;
            next[cluster as usize] += 1;
        }
        order
    }
}

#[derive(Default)]
struct Blocks {
    firsts: Vec<u32>,
    zones: Vec<Zone>,
}

impl Blocks {
    fn push(&mut self, first: u32, zone: Zone) {
        self.firsts.push(first);
        self.zones.push(zone);
    }
}

/// Why there is no order.
pub(super) enum Apart {
    /// Each of these zones must come before the other.
    Zones([Zone; 2]),
    /// The op that ended on this line did so before the other one began, and belongs behind it.
    Inside { end: u32, start: u32 },
    /// An op ended on this line, before its value was made.
    Early { end: u32 },
    /// This cluster was made of itself.
    Circle(u32),
}

// --- the evidence ---------------------------------------------------------------------------------

/// The ops of a contradiction.
pub(super) struct Guilt<'s, 'a, O: Operation> {
    chain: &'s Chain,
    spans: &'s [Span<'a, O>],
    ops: Vec<u32>,
    /// Those whose answers are needed.
    heard: Vec<u32>,
}

impl<'s, 'a, O: Operation> Guilt<'s, 'a, O> {
    pub(super) fn of(chain: &'s Chain, spans: &'s [Span<'a, O>]) -> Guilt<'s, 'a, O> {
        Guilt { chain, spans, ops: Vec::new(), heard: Vec::new() }
    }

    pub(super) fn apart(self, apart: &Apart) -> Guilt<'s, 'a, O> {
        match *apart {
            Apart::Zones([one, two]) => {
                self.ending(one.first_end).ending(two.first_end).op(one.last).op(two.last)
            }
            Apart::Inside { end, start } => self.ending(end).op(start),
            Apart::Early { end } => self.ending(end),
            Apart::Circle(cluster) => self.cluster(cluster),
        }
    }

    /// A span, and what is known of its cluster.
    #[must_use]
    pub(super) fn op(mut self, span: u32) -> Guilt<'s, 'a, O> {
        if span == NONE {
            return self;
        }
        self.hear(span);
        let cluster = self.chain.of[span as usize];
        self.cluster(cluster)
    }

    /// How it is known that this cluster was there, and of what it was made.
    #[must_use]
    pub(super) fn cluster(mut self, cluster: u32) -> Guilt<'s, 'a, O> {
        if cluster == NONE {
            return self;
        }
        let shown_by = self.chain.clusters[cluster as usize].shown_by;
        let mut from = vec![cluster];
        if shown_by != NONE {
            self.hear(shown_by);
            from.push(self.chain.of[shown_by as usize]);
        }
        for cluster in from.into_iter().filter(|&cluster| cluster != NONE) {
            let makers = self.chain.back_from(cluster);
            self.ops.extend(makers.map(|cluster| self.chain.clusters[cluster as usize].maker));
        }
        self
    }

    /// The op that made this cluster's value; whether it was answered makes no difference.
    #[must_use]
    pub(super) fn made(mut self, cluster: u32) -> Guilt<'s, 'a, O> {
        self.ops.push(self.chain.clusters[cluster as usize].maker);
        self
    }

    fn hear(&mut self, span: u32) {
        self.ops.push(span);
        self.heard.push(span);
    }

    /// The op that ended on this line.
    fn ending(self, end: u32) -> Guilt<'s, 'a, O> {
        let ended = self.spans.iter().position(|span| span.to().and_then(line) == Some(end));
        self.op(ended.map_or(NONE, small))
    }

    pub(super) fn ruling(mut self) -> Ruling {
        self.ops.retain(|&op| op != NONE);
        self.ops.sort_unstable();
        self.ops.dedup();
        let ends = self.heard.iter().filter_map(|&span| self.spans[span as usize].to());
        let bad = ends.max().expect("ops that contradict each other were answered");
        Ruling::Contradiction(Clash { ops: self.ops, bad, earliest: false })
    }
}
