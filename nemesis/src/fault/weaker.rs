//! The next simpler faults: what a shrinker tries in the place of one.
//!
//! A life that went wrong had forty faults, and three of them mattered, one of which on one link and
//! not on six. A shrinker finds out by trying; here is what there is to try. Each answer breaks less
//! than the fault did: fewer nodes, fewer links, less of what is done to them. So whoever goes
//! from fault to weaker fault comes to an end.

use std::collections::BTreeSet;
use std::hash::Hash;

use itertools::Itertools as _;

use crate::fault::{Fault, Grudge, Harm, Pace, Skew, Weather};
use crate::ids::Nodes;
use crate::span::{Shift, Span};

/// What it makes no sense to halve any more.
const MILLISECOND: u64 = 1_000_000;

impl Fault {
    /// Faults that break less, those that break least first. None of them breaks nothing.
    pub fn weaker(&self) -> Vec<Fault> {
        match self {
            Fault::Partition { grudge, sever } => {
                grudge.weaker().into_iter().map(|grudge| Fault::Partition { grudge, sever: *sever }).collect()
            }
            Fault::Packets { links, weather } => {
                let fewer = fewer(links).into_iter().map(|links| Fault::Packets { links, weather: *weather });
                let links = || links.clone();
                let milder = weather.milder().into_iter();
                fewer.chain(milder.map(|weather| Fault::Packets { links: links(), weather })).collect()
            }
            // Its process ends, and comes back as what it was.
            Fault::Membership { node } => vec![Fault::Kill { nodes: [*node].into() }],
            _ => self.harm().map(|(harm, nodes)| weaker_harm(harm, nodes)).unwrap_or_default(),
        }
    }
}

fn weaker_harm(harm: Harm, nodes: &Nodes) -> Vec<Fault> {
    let fewer = fewer(nodes).into_iter().map(|nodes| harm.on(nodes));
    fewer.chain(harm.milder().into_iter().map(|milder| milder.on(nodes.clone()))).collect()
}

/// Its halves, and all but one of it: the small ones first. Nothing of what is one already.
fn fewer<T: Ord + Clone + Hash>(all: &BTreeSet<T>) -> Vec<BTreeSet<T>> {
    if all.len() < 2 {
        return Vec::new();
    }
    let half = all.len() / 2;
    let halves = [all.iter().take(half).cloned().collect(), all.iter().skip(half).cloned().collect()];
    let but_one = all.iter().map(|one| all.iter().filter(|other| *other != one).cloned().collect());
    halves.into_iter().chain(but_one).sorted_by_key(BTreeSet::len).unique().collect()
}

impl Grudge {
    /// Blocks lose nodes, who then hear everybody; two that are left each lose a direction.
    fn weaker(&self) -> Vec<Grudge> {
        let blocks = match self {
            Grudge::Links(links) => return fewer(links).into_iter().map(Grudge::Links).collect(),
            Grudge::Blocks(blocks) => blocks,
        };
        let instead = |turn: usize, smaller: Nodes| {
            let mut blocks = blocks.clone();
            blocks[turn] = smaller;
            Grudge::Blocks(blocks)
        };
        let smaller = blocks.iter().enumerate();
        let smaller =
            smaller.flat_map(|(turn, block)| fewer(block).into_iter().map(move |fewer| (turn, fewer)));
        let mut weaker: Vec<Grudge> = smaller.map(|(turn, fewer)| instead(turn, fewer)).collect();
        if blocks.len() > 2 {
            weaker.extend((0..blocks.len()).map(|turn| {
                let others = blocks.iter().enumerate().filter(|(other, _)| *other != turn);
                Grudge::Blocks(others.map(|(_, block)| block.clone()).collect())
            }));
        }
        if weaker.is_empty() {
            weaker = fewer(&self.links()).into_iter().map(Grudge::Links).collect();
        }
        weaker.retain(|grudge| !grudge.links().is_empty());
        weaker.sort_by_key(|grudge| grudge.links().len());
        weaker
    }
}

impl Weather {
    /// One thing alone, then all but one, then one of them by half.
    fn milder(&self) -> Vec<Weather> {
        let fine = Weather::default();
        let alone = [
            Weather { delay: self.delay, ..fine },
            Weather { jitter: self.jitter, ..fine },
            Weather { loss: self.loss, ..fine },
            Weather { duplicate: self.duplicate, ..fine },
            Weather { reorder: self.reorder, ..fine },
        ];
        let without = [
            Weather { delay: Span::default(), ..*self },
            Weather { jitter: Span::default(), ..*self },
            Weather { loss: 0, ..*self },
            Weather { duplicate: 0, ..*self },
            Weather { reorder: 0, ..*self },
        ];
        let half = [
            Weather { delay: halved(self.delay).unwrap_or(self.delay), ..*self },
            Weather { jitter: halved(self.jitter).unwrap_or(self.jitter), ..*self },
            Weather { loss: self.loss.div_ceil(2), ..*self },
            Weather { duplicate: self.duplicate.div_ceil(2), ..*self },
            Weather { reorder: self.reorder.div_ceil(2), ..*self },
        ];
        let all = alone.into_iter().chain(without).chain(half);
        all.filter(|weather| weather != self && !weather.is_fine()).unique().collect()
    }
}

impl Harm {
    /// The same with less of it; or what is left of it if its worst part is left out.
    fn milder(self) -> Vec<Harm> {
        match self {
            Harm::Power | Harm::BitFlip => vec![Harm::Kill],
            Harm::Wipe => vec![Harm::Kill, Harm::Power],
            Harm::SlowDisk(Pace::Stuck) => vec![Harm::SlowDisk(Pace::Sync(Span::seconds(1)))],
            Harm::SlowDisk(Pace::Sync(span)) => {
                halved(span).map(|span| Harm::SlowDisk(Pace::Sync(span))).into_iter().collect()
            }
            Harm::Clock(skew) => skew.milder().into_iter().map(Harm::Clock).collect(),
            Harm::Kill | Harm::Pause | Harm::FullDisk | Harm::FailedSync | Harm::Restart => Vec::new(),
        }
    }
}

impl Skew {
    fn milder(self) -> Vec<Skew> {
        let half = |by: Shift| halved(by.size()).map(|_| Shift(by.0 / 2));
        match self {
            Skew::Jump { by } => half(by).map(|by| Skew::Jump { by }).into_iter().collect(),
            Skew::Drift { percent } => Some(percent / 2)
                .filter(|half| *half != 0)
                .map(|percent| Skew::Drift { percent })
                .into_iter()
                .collect(),
            Skew::Strobe { by, every } => {
                let less = half(by).map(|by| Skew::Strobe { by, every });
                [Skew::Jump { by }].into_iter().chain(less).collect()
            }
        }
    }
}

/// Half of it, if that is still a millisecond.
fn halved(span: Span) -> Option<Span> {
    Some(Span(span.0 / 2)).filter(|half| half.0 >= MILLISECOND)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::aim::Aim;
    use crate::fault::Sever;
    use crate::ids::{Link, NodeId, cluster};
    use crate::kind::Kind;

    fn said(fault: &Fault) -> Vec<String> {
        fault.weaker().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn fewer_nodes_come_first_and_then_milder_forms() {
        let power = Fault::Power { nodes: cluster(3) };
        let expected =
            ["power n1", "power n2 n3", "power n1 n3", "power n1 n2", "kill n1 n2 n3"].map(str::to_owned);
        assert_eq!(said(&power), expected);
        assert_eq!(said(&Fault::Kill { nodes: cluster(1) }), [""; 0]);
        let jump = Fault::Clock { nodes: cluster(1), skew: Skew::Jump { by: Shift::millis(-300) } };
        assert_eq!(said(&jump), ["clock n1 (jump -150ms)"]);
    }

    #[test]
    fn a_partition_shrinks_to_one_direction_between_two_nodes() {
        let grudge = Grudge::apart(NodeId(1), &cluster(3));
        let partition = Fault::Partition { grudge, sever: Sever::Hold };
        assert_eq!(said(&partition), ["partition n1 | n2 (hold)", "partition n1 | n3 (hold)"]);
        let two = &partition.weaker()[0];
        assert_eq!(said(two), ["partition n1→n2 (hold)", "partition n2→n1 (hold)"]);
        assert_eq!(said(&two.weaker()[0]), [""; 0]);
    }

    #[test]
    fn weather_is_taken_apart_before_it_is_made_milder() {
        let links = [Link::new(NodeId(1), NodeId(2))].into();
        let weather = Weather { delay: Span::millis(40), loss: 5, ..Weather::default() };
        let expected = [
            "packets n1→n2 (delay 40ms)",
            "packets n1→n2 (loss 5%)",
            "packets n1→n2 (delay 20ms, loss 5%)",
            "packets n1→n2 (delay 40ms, loss 3%)",
        ];
        assert_eq!(said(&Fault::Packets { links, weather }), expected);
    }

    /// However a shrinker goes on, it goes down, and never to a fault that breaks nothing.
    #[test]
    fn whoever_follows_weaker_faults_comes_to_an_end_at_something() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for kind in Kind::ALL {
            for turn in 0..60 {
                let aim = Aim::random(kind, 5, &mut rng);
                let mut fault = aim.resolve(&cluster(5), Some(NodeId(2)), &mut rng).unwrap();
                let mut steps = 0;
                loop {
                    assert!(!fault.claims().is_empty(), "{fault} breaks nothing");
                    let weaker = fault.weaker();
                    assert!(!weaker.contains(&fault), "{fault} is not weaker than itself");
                    let Some(next) = weaker.iter().cycle().nth(turn).filter(|_| !weaker.is_empty()) else {
                        break;
                    };
                    fault = next.clone();
                    steps += 1;
                    assert!(steps < 200, "{aim} does not come to an end");
                }
            }
        }
    }
}
