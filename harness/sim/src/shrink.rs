//! A bad life, made small.
//!
//! A failing life has a thousand ops and a dozen faults, of which a handful matter. Finding them is a matter of
//! leaving things out and looking whether it still fails. What is left out changes what comes after: an
//! election falls otherwise, a message meets another delay. So the ops are put on a [tape](crate::tape),
//! the faults are taken as they were resolved, and each candidate is given several seeds to fail with; the
//! one that did becomes the seed of the smaller life.
//!
//! The first thing that is left out is the past. What fails after a minute mostly needs the last second of it, on
//! whatever cluster; but a rare coincidence does not come again at the first throw. So the last moments alone are
//! lived with many seeds, which costs less than the minute did, then some more moments, and so on. Whatever is
//! short can be tried often.
//!
//! Then from coarse to fine: the circumstances, so that delays that do not matter are all alike; what came after the
//! failure; faults; ops, first whole keys; nodes; the strength and the length of faults; idle time. Then again,
//! until nothing more can go or the budget is spent. The budget counts what happens in the lives, not seconds:
//! the same failure shrinks to the same life on any machine.
//!
//! What is kept is that it fails in the same [sort](Sort) of way. A shrunk life may have another cause than the
//! one it came from; it is a failure all the same.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nemesis::{Deed, Schedule, Step, Time, cluster};
use rayon::prelude::*;
use workload::until;

use crate::asking::Asking;
use crate::audience::Audience;
use crate::ending::{Ending, Sort};
use crate::life::{Frame, Told, live};
use crate::settings::Settings;
use crate::tape::{Ask, Tape, record};

/// How much may happen in all the lives that are tried.
const BUDGET: u64 = 100_000_000;
/// To be born and judged costs a life as much as so many things that happen in it.
const BIRTH: u64 = 2_000;
/// How often everything is gone through, at most.
const ROUNDS: usize = 8;
/// How many seeds a candidate may fail with, at least.
const SEEDS: u64 = 4;
/// How many at most: lives in which little happens are cheap.
const MOST_SEEDS: u64 = 40;
/// How much may happen in all lives of one candidate, beyond the least number of seeds.
const PATIENCE: u64 = 200_000;
/// How many seeds may be tried to make the tape fail at all.
const FIRST_SEEDS: u64 = 40;
/// Which part of what is left to be spent may be spent on each choice of last moments.
const SHARE: u64 = 20;

/// All that fixes a life, its ops included.
#[derive(Clone, Debug)]
pub(crate) struct Script<Op> {
    /// Its schedule is that of the deeds.
    frame: Frame,
    pub(crate) deeds: Vec<Deed>,
    pub(crate) asks: Vec<Ask<Op>>,
}

impl<Op: Clone + Send + 'static> Script<Op> {
    /// The life that was told, to be lived again.
    pub(crate) fn of<W: Asking<Op = Op>>(frame: &Frame, told: &Told<W>) -> Script<Op> {
        let asks = record(&told.lines, told.concluded, frame.concurrency);
        Script { frame: frame.clone(), deeds: told.life.faults.clone(), asks }
    }

    /// All but the ops.
    pub(crate) fn frame(&self) -> Frame {
        let steps = self.deeds.iter().cloned().map(Step::from).collect();
        Frame { schedule: Schedule { steps, ..Schedule::default() }, ..self.frame.clone() }
    }

    /// What is left of it if it begins at `start`. Faults that had begun before begin with it.
    fn from(&self, start: u64) -> Script<Op> {
        let mut left = self.clone();
        left.asks.retain(|ask| ask.last || ask.time >= start);
        left.asks.iter_mut().for_each(|ask| ask.time = ask.time.saturating_sub(start));
        left.deeds.retain(|deed| deed.until.0 > start + 1);
        for Deed { at, until, .. } in &mut left.deeds {
            (*at, *until) = (Time(at.0.saturating_sub(start)), Time(until.0 - start));
        }
        left.frame.time_limit = left.frame.time_limit.saturating_sub(Duration::from_nanos(start));
        left
    }

    /// Lives it.
    pub(crate) fn live<W: Asking<Op = Op, Ret: Send + 'static> + Clone>(
        &self,
        workload: &W,
        audience: Audience<'_>,
    ) -> Told<W> {
        let limit = Time::default().after(self.frame.time_limit);
        let tape: Tape<Op, W::Ret> = Tape::new(&self.asks, self.frame.concurrency);
        live(&self.frame(), workload, Box::new(until(limit.0, tape)), audience)
    }
}

/// Why a bad life was not made small.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotSmall {
    /// It fails only with the ops that its generator asks, and not with the same ops from a list.
    #[error("what it asked depended on what was answered, and the same ops from a list end well")]
    Elusive,
    /// Nobody wanted to wait for it.
    #[error("it was stopped before there was a smaller one")]
    Stopped,
}

/// Makes it small, or as small as it gets until `stop` is raised. Whether the budget was spent over it.
pub(crate) fn shrink<W>(
    workload: &W,
    frame: &Frame,
    told: &Told<W>,
    seen: &mut dyn FnMut(usize, usize, u64),
    stop: &AtomicBool,
) -> Result<(Script<W::Op>, bool), NotSmall>
where
    W: Asking<Op: Clone + Send + 'static, Ret: Send + 'static> + Clone + Sync,
{
    let sort = told.life.ending.sort();
    let mut shrinker = Shrinker { workload, sort, spent: 0, best: None, seen, stop };
    if shrinker.attempt(&Script::of(frame, told), FIRST_SEEDS) {
        shrinker.run();
    }
    let none = if stop.load(Ordering::Relaxed) { NotSmall::Stopped } else { NotSmall::Elusive };
    let spent = shrinker.spent > BUDGET;
    shrinker.best.map(|(script, _)| (script, spent)).ok_or(none)
}

struct Shrinker<'a, W: Asking> {
    workload: &'a W,
    sort: Sort,
    spent: u64,
    best: Option<(Script<W::Op>, Told<W>)>,
    /// Told how many ops and faults are left, and how much was spent.
    seen: &'a mut dyn FnMut(usize, usize, u64),
    stop: &'a AtomicBool,
}

impl<W> Shrinker<'_, W>
where
    W: Asking<Op: Clone + Send + 'static, Ret: Send + 'static> + Clone + Sync,
{
    fn script(&self) -> Script<W::Op> {
        self.best.as_ref().expect("it failed once").0.clone()
    }

    fn told(&self) -> &Told<W> {
        &self.best.as_ref().expect("it failed once").1
    }

    /// Whether this one fails too; then it is the best one. Seeds are tried on all threads, and still it is the first
    /// that fails which counts, and what was tried before it.
    fn attempt(&mut self, script: &Script<W::Op>, seeds: u64) -> bool {
        let with_seed = |other: u64| {
            let mut script = script.clone();
            script.frame.seed = script.frame.seed.wrapping_add(other);
            script
        };
        let (workload, stop) = (self.workload, self.stop);
        let live = |script: Script<W::Op>| {
            let told = script.live(workload, Audience::nobody().until(stop));
            (script, told)
        };
        // Most of what fails at all fails with the first.
        let (mut from, mut batch) = (0, 1);
        while from < seeds {
            let upto = seeds.min(from + batch);
            let scripts: Vec<Script<W::Op>> = (from..upto).map(with_seed).collect();
            let lives: Vec<(Script<W::Op>, Told<W>)> = scripts.into_par_iter().map(live).collect();
            for (script, told) in lives {
                if self.is_over() {
                    return false;
                }
                self.spent += cost(&told);
                if told.life.ending != Ending::Stopped && told.life.ending.sort() == self.sort {
                    (self.seen)(script.asks.len(), script.deeds.len(), self.spent);
                    self.best = Some((script, told));
                    return true;
                }
            }
            (from, batch) = (upto, rayon::current_num_threads() as u64);
        }
        false
    }

    /// Whether there is nothing more to be spent, or nobody waits any more.
    fn is_over(&self) -> bool {
        self.spent > BUDGET || self.stop.load(Ordering::Relaxed)
    }

    fn attempt_with(&mut self, change: impl FnOnce(&mut Script<W::Op>)) -> bool {
        let mut script = self.script();
        change(&mut script);
        let seeds = (PATIENCE / cost(self.told())).clamp(SEEDS, MOST_SEEDS);
        self.attempt(&script, seeds)
    }

    fn run(&mut self) {
        for _ in 0..ROUNDS {
            let before = self.size();
            self.cut_tail();
            self.cut_head();
            self.calm();
            self.cut_tail();
            self.drop_faults();
            self.drop_keys();
            self.drop_ops();
            self.drop_nodes();
            self.weaken();
            self.snapshot_sooner();
            self.hurry();
            self.close_gaps();
            if self.size() == before || self.is_over() {
                return;
            }
        }
    }

    fn size(&self) -> (usize, usize, u16, Duration) {
        let (script, _) = self.best.as_ref().expect("it failed once");
        let frame = &script.frame;
        (script.asks.len(), script.deeds.len(), frame.nodes, frame.time_limit)
    }

    /// What came after the failure.
    fn cut_tail(&mut self) {
        let life = &self.told().life;
        let failed = match &life.ending {
            Ending::Broken(_) | Ending::Panicked(_) => life.lasted.saturating_sub(life.began),
            _ => {
                let script = self.script();
                let asked = script.asks.iter().filter(|ask| !ask.last).map(|ask| ask.time).max();
                let healed = script.deeds.iter().map(|deed| deed.until.0).max();
                asked.max(healed).unwrap_or_default() + 1_000_000_000
            }
        };
        let limit = Duration::from_nanos(failed + 1_000_000);
        if limit < self.script().frame.time_limit {
            self.attempt_with(|script| {
                script.frame.time_limit = limit;
                script.asks.retain(|ask| ask.last || ask.time <= failed);
                script.deeds.retain(|deed| deed.at.0 <= failed);
            });
        }
        self.attempt_with(|script| script.asks.retain(|ask| !ask.last));
    }

    /// What came long before the failure.
    fn cut_head(&mut self) {
        let script = self.script();
        let end = nanoseconds(script.frame.time_limit);
        let moments = std::iter::successors(Some(250_000_000), |moments: &u64| moments.checked_mul(2));
        for moments in moments.take_while(|moments| *moments < end) {
            let enough = self.spent + BUDGET.saturating_sub(self.spent) / SHARE;
            let mut last = script.from(end - moments);
            while self.spent < enough && !self.is_over() {
                if self.attempt(&last, SEEDS) {
                    return;
                }
                last.frame.seed = last.frame.seed.wrapping_add(SEEDS);
            }
        }
    }

    fn drop_faults(&mut self) {
        let deeds = self.script().deeds;
        minimise(&deeds, &mut |deeds| self.attempt_with(|script| script.deeds = deeds.to_vec()));
    }

    fn drop_keys(&mut self) {
        let mut keys: Vec<_> = self.script().asks.iter().map(|ask| ask.key.clone()).collect();
        keys.sort();
        keys.dedup();
        minimise(&keys, &mut |keys| {
            self.attempt_with(|script| script.asks.retain(|ask| keys.contains(&ask.key)))
        });
    }

    fn drop_ops(&mut self) {
        let asks = self.script().asks;
        minimise(&asks, &mut |asks| self.attempt_with(|script| script.asks = asks.to_vec()));
    }

    /// Three nodes say more than five.
    fn drop_nodes(&mut self) {
        for nodes in [3, 4] {
            let script = self.script();
            if nodes < script.frame.nodes {
                let left = cluster(nodes);
                let fewer = |script: &mut Script<W::Op>| {
                    script.frame.nodes = nodes;
                    script.deeds.retain(|deed| deed.fault.nodes().is_subset(&left));
                };
                if self.attempt_with(fewer) {
                    return;
                }
            }
        }
    }

    /// Weaker and shorter faults.
    fn weaken(&mut self) {
        for place in 0..self.script().deeds.len() {
            let mut again = true;
            while again {
                let Deed { at, until, fault } = self.script().deeds[place].clone();
                let half = Time(at.0 + (until.0 - at.0) / 2);
                let shorter =
                    (half.0 > at.0 + 1_000_000).then(|| Deed { at, until: half, fault: fault.clone() });
                let weaker = fault.weaker().into_iter().map(|fault| Deed { at, until, fault });
                again =
                    weaker.chain(shorter).any(|deed| self.attempt_with(|script| script.deeds[place] = deed));
            }
        }
    }

    /// Fewer entries make a snapshot, so that fewer have to be asked for.
    fn snapshot_sooner(&mut self) {
        let sooner = |script: &mut Script<W::Op>| {
            if let Some((after, kept, most, _)) = &mut script.frame.settings.snapshots {
                (*after, *kept, *most) = ((*after / 2).max(1), *kept / 2, (*most / 2).max(1));
            }
        };
        let entries = |script: &Script<W::Op>| script.frame.settings.snapshots.map_or(0, |(after, ..)| after);
        while entries(&self.script()) > 1 && self.attempt_with(sooner) {}
    }

    /// Idle time: everything twice as early.
    fn hurry(&mut self) {
        while self.attempt_with(|script| {
            script.asks.iter_mut().for_each(|ask| ask.time /= 2);
            for deed in &mut script.deeds {
                (deed.at, deed.until) =
                    (Time(deed.at.0 / 2), Time((deed.until.0 / 2).max(deed.at.0 / 2 + 1)));
            }
            script.frame.time_limit /= 2;
        }) && self.script().frame.time_limit > Duration::from_millis(50)
        {}
    }

    /// Stretches in which nothing is asked, broken or healed.
    fn close_gaps(&mut self) {
        let mut after = 0;
        loop {
            let script = self.script();
            let asked = script.asks.iter().filter(|ask| !ask.last).map(|ask| ask.time);
            let broken = script.deeds.iter().flat_map(|deed| [deed.at.0, deed.until.0]);
            let Some(next) = asked.chain(broken).filter(|time| *time > after).min() else { return };
            let gap = next - after;
            let earlier = |by: u64| {
                move |script: &mut Script<W::Op>| {
                    let shift = |time: &mut u64| *time -= if *time >= next { by } else { 0 };
                    script.asks.iter_mut().for_each(|ask| shift(&mut ask.time));
                    script.deeds.iter_mut().for_each(|deed| {
                        shift(&mut deed.at.0);
                        shift(&mut deed.until.0);
                    });
                    // A fault may outlast it.
                    let limit = &mut script.frame.time_limit;
                    *limit = limit.saturating_sub(Duration::from_nanos(by));
                }
            };
            let cut = [gap - gap / 100, gap / 2].into_iter().filter(|by| *by > 1_000_000);
            let cut = cut.into_iter().find(|by| self.attempt_with(earlier(*by)));
            after = next - cut.unwrap_or_default();
        }
    }

    /// Circumstances of which nothing is special: all of them at once, or else one after the other.
    fn calm(&mut self) {
        let plain = Settings::plain();
        let calmer: [fn(&mut Settings, &Settings); 16] = [
            |settings, plain| settings.clone_from(plain),
            |settings, plain| {
                let Settings { snapshots, lease, wishes, .. } = *settings;
                *settings = Settings { snapshots, lease, wishes, ..plain.clone() };
            },
            |settings, plain| settings.pace = plain.pace,
            |settings, _| settings.pace.ordered = true,
            |settings, plain| (settings.sync, settings.turn) = (plain.sync, plain.turn),
            |settings, plain| (settings.append, settings.window) = (plain.append, plain.window),
            |settings, plain| settings.crowd = plain.crowd,
            |settings, plain| settings.relapse = plain.relapse,
            |settings, plain| {
                (settings.segment_size, settings.zeros_ahead) = (plain.segment_size, plain.zeros_ahead);
            },
            |settings, plain| settings.patience = plain.patience,
            |settings, plain| settings.uneven = plain.uneven,
            |settings, plain| settings.stalls = plain.stalls,
            |settings, plain| settings.sessions = plain.sessions,
            |settings, plain| settings.snapshots = plain.snapshots,
            |settings, plain| settings.lease = plain.lease,
            |settings, plain| settings.wishes = plain.wishes,
        ];
        for calm in calmer {
            let mut script = self.script();
            calm(&mut script.frame.settings, &plain);
            if script.frame.settings != self.script().frame.settings {
                let seeds = if script.frame.settings == plain { FIRST_SEEDS } else { SEEDS };
                self.attempt(&script, seeds);
            }
        }
    }
}

fn cost<W: Asking>(told: &Told<W>) -> u64 {
    BIRTH + told.life.coverage.events
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Leaves out as much as `fails` allows: chunks first, then one by one (delta debugging, Zeller 1999).
/// `fails` keeps what it said yes to.
fn minimise<T: Clone>(items: &[T], fails: &mut dyn FnMut(&[T]) -> bool) {
    let mut items = items.to_vec();
    if items.is_empty() || fails(&[]) {
        return;
    }
    let mut chunk = items.len().div_ceil(2);
    loop {
        let mut place = items.len();
        while place > 0 {
            let from = place.saturating_sub(chunk);
            let fewer: Vec<T> = items[..from].iter().chain(&items[place..]).cloned().collect();
            if fewer.len() < items.len() && !fewer.is_empty() && fails(&fewer) {
                items = fewer;
            }
            place = from;
        }
        if chunk == 1 {
            return;
        }
        chunk = chunk.div_ceil(2).min(items.len().max(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise what is rare would be lost before anything is left out.
    #[test]
    fn the_same_ops_from_a_tape_are_the_same_life() {
        use crate::plan::Plan;

        let kinds = nemesis::Kinds::of(nemesis::Kind::SIMULATED);
        let plan = Plan { kinds, time_limit: Duration::from_secs(10), ..Plan::default() };
        let workload = workload::Registers::register();
        let other: Vec<u64> = (0..40)
            .filter(|seed| {
                let frame = plan.frame(*seed);
                let generator = plan.generator(&workload, *seed);
                let told = live(&frame, &workload, generator, Audience::nobody());
                let again = Script::of(&frame, &told).live(&workload, Audience::nobody());
                again.life.digest != told.life.digest
            })
            .collect();
        assert!(other.is_empty(), "{other:?}");
    }

    #[test]
    fn minimising_leaves_exactly_what_is_needed() {
        let items: Vec<u32> = (0..100).collect();
        let mut kept = items.clone();
        minimise(&items, &mut |left| {
            let fails = [3, 50, 51, 97].iter().all(|needed| left.contains(needed));
            if fails {
                kept = left.to_vec();
            }
            fails
        });
        assert_eq!(kept, [3, 50, 51, 97]);
        minimise(&items, &mut |left| {
            kept = left.to_vec();
            true
        });
        assert_eq!(kept, [0; 0], "nothing at all is tried first");
    }
}
