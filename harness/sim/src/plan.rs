//! What is lived through, and what a seed makes of it.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nemesis::{Kinds, Schedule, Time};
use raft::Bugs;
use rand::Rng;
use workload::{Name, Visitor, stagger, until};

use crate::asking::Asking;
use crate::audience::Audience;
use crate::dice::Dice;
use crate::life::{Frame, Life, live};
use crate::settings::Settings;

/// What many lives have in common.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What clients do.
    pub workload: Name,
    /// How many nodes.
    pub nodes: u16,
    /// How many clients at once.
    pub concurrency: usize,
    /// Ops per second of virtual time, over all clients; 0 for as fast as they are answered.
    pub rate: f64,
    /// How long clients and faults go on, in virtual time.
    pub time_limit: Duration,
    /// Faults to mix.
    pub kinds: Kinds,
    /// The faults themselves, instead of drawn ones.
    pub schedule: Option<Schedule>,
    /// Mistakes to make.
    pub bugs: Bugs,
}

impl Default for Plan {
    /// A minute of five nodes, ten clients and 30 ops a second, in fine weather.
    fn default() -> Plan {
        Plan {
            workload: Name::Register,
            nodes: 5,
            concurrency: 10,
            rate: 30.0,
            time_limit: Duration::from_mins(1),
            kinds: Kinds::default(),
            schedule: None,
            bugs: Bugs::none(),
        }
    }
}

impl Plan {
    /// What this seed makes of it: faults, circumstances, everything but the ops.
    pub fn frame(&self, seed: u64) -> Frame {
        let limit = Time::default().after(self.time_limit);
        let settings = Settings::draw(self.nodes, &mut Dice::Settings.of(seed));
        let storm = || {
            let drawn = Dice::Storm.of(seed).next_u64();
            Schedule::storm(drawn, &self.kinds, usize::from(self.nodes), limit)
        };
        let (settings, schedule) = if let Some(asked) = &self.schedule {
            (settings.beside(asked), asked.clone())
        } else {
            let drawn = settings.spare_leases(storm());
            (settings, drawn)
        };
        Frame {
            seed,
            nodes: self.nodes,
            concurrency: self.concurrency,
            time_limit: self.time_limit,
            settings,
            schedule,
            bugs: self.bugs,
            cut: None,
        }
    }

    /// Lives the life of this seed.
    pub fn live(&self, seed: u64) -> Life {
        self.live_in(&self.frame(seed), Audience::nobody())
    }

    /// The same, unless it is stopped.
    pub fn live_until(&self, seed: u64, stop: &AtomicBool) -> Life {
        self.live_in(&self.frame(seed), Audience::nobody().until(stop))
    }

    /// Lives the life of this frame's seed in a frame that may be another than the seed's own.
    pub fn live_in(&self, frame: &Frame, audience: Audience<'_>) -> Life {
        struct One<'a>(&'a Plan, &'a Frame, Audience<'a>);
        impl Visitor for One<'_> {
            type Out = Life;

            fn visit<W: Asking>(self, workload: W) -> Life {
                let One(plan, frame, audience) = self;
                live(frame, &workload, plan.generator(&workload, frame.seed), audience).life
            }
        }
        self.workload.visit(One(self, frame, audience))
    }

    /// Who decides what is asked in the life of this seed.
    pub(crate) fn generator<W: Asking>(
        &self,
        workload: &W,
        seed: u64,
    ) -> Box<dyn workload::Generator<Op = W::Op, Ret = W::Ret>> {
        let mut dice = Dice::Ops.of(seed);
        let ops = workload.generator(dice.next_u64());
        let limit = Time::default().after(self.time_limit);
        Box::new(until(limit.0, stagger(self.rate, dice.next_u64(), ops)))
    }
}
