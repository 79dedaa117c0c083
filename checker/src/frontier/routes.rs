//! Where unanswered ops can lead.
//!
//! From a state, having spent so much, unanswered ops lead to other states, for more. Which, depends on
//! nothing else, and changes only when another op is lost. So it is found out once and remembered: many
//! configurations differ only in their bits.

use std::ops::Range;

use rustc_hash::FxHashMap;

use super::book::StateId;
use super::ledger::SpentId;
use crate::meter::{Meter, Stop};

/// A way that unanswered ops lead, by its last step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub state: StateId,
    pub spent: SpentId,
    /// The class of the op that takes the last step.
    pub class: u32,
    /// The route of the steps before; none if there are none.
    pub via: Option<u32>,
}

/// Routes are forgotten when there are more than so many: they can be found again.
const MOST: usize = 1 << 16;

pub(crate) struct Routes<'m> {
    meter: &'m Meter,
    all: Vec<Route>,
    /// Those that begin here.
    from: FxHashMap<(StateId, SpentId), Range<u32>>,
    charged: usize,
}

impl<'m> Routes<'m> {
    pub(crate) fn new(meter: &'m Meter) -> Routes<'m> {
        Routes { meter, all: Vec::new(), from: FxHashMap::default(), charged: 0 }
    }

    /// What is open has changed.
    pub(crate) fn forget(&mut self) {
        self.all.clear();
        self.from.clear();
    }

    pub(crate) fn known(&self, state: StateId, spent: SpentId) -> Option<Range<u32>> {
        self.from.get(&(state, spent)).cloned()
    }

    pub(crate) fn get(&self, number: u32) -> Route {
        self.all[number as usize]
    }

    /// Where the next routes will begin.
    pub(crate) fn begin(&mut self) -> u32 {
        if self.all.len() + self.from.len() > MOST {
            self.forget();
        }
        crate::certificate::small(self.all.len())
    }

    pub(crate) fn push(&mut self, route: Route) -> Result<u32, Stop> {
        if self.all.len() == self.all.capacity() {
            let bytes = self.all.capacity().max(16) * size_of::<Route>();
            self.meter.charge(bytes)?;
            self.charged += bytes;
        }
        self.all.push(route);
        Ok(crate::certificate::small(self.all.len() - 1))
    }

    /// Those from `first` on begin here.
    pub(crate) fn end(&mut self, state: StateId, spent: SpentId, first: u32) -> Range<u32> {
        let range = first..crate::certificate::small(self.all.len());
        self.from.insert((state, spent), range.clone());
        range
    }

    /// The classes spent along a route, the last step first.
    pub(crate) fn steps(&self, route: Route) -> impl Iterator<Item = u32> {
        let before = |route: &Route| route.via.map(|via| self.get(via));
        std::iter::successors(Some(route), before).map(|route| route.class)
    }
}

impl Drop for Routes<'_> {
    fn drop(&mut self) {
        self.meter.release(self.charged);
    }
}
