//! One step of the sweep: an invocation, or an acknowledgement.

use std::ops::Range;

use smallvec::SmallVec;

use super::book::{Book, ClassId, StateId};
use super::configs::{Config, Configs, Keep};
use super::ledger::{Ledger, NOTHING, SpentId};
use super::routes::{Route, Routes};
use crate::certificate::small;
use crate::meter::{Meter, STRIDE, Stop};
use crate::mutant::Mutant;
use crate::seam::Model;
use crate::setup::{Reductions, Setup};
use crate::span::Span;

/// How exactly a sweep keeps its books.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Books {
    /// Every unanswered op can be spent once. What the sweep says is so.
    Exact,
    /// The same, but of those with the same bits and state only so many are kept. A *yes* is one; a *no*
    /// may be wrong.
    Few(usize),
    /// Unanswered ops can be spent as often as one likes. A *no* is one; a *yes* may be wrong.
    Generous,
}

/// How many states ops that can be spent for ever may lead to before a generous sweep is no help.
const MOST_GENEROUS: usize = 256;

/// How many states and classes may be known that nobody can come back to.
const MOST_FORGOTTEN: usize = 1 << 12;

/// What came of an acknowledgement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Moved {
    /// It can be explained.
    On,
    /// It cannot.
    Stuck,
    /// There are more ways to explain it than were asked for.
    Large,
}

/// An op that is open, and will be acknowledged.
#[derive(Clone, Copy, Debug)]
struct Slot {
    span: u32,
    class: ClassId,
}

/// Unanswered ops of one class.
#[derive(Clone, Copy, Debug)]
struct Unanswered {
    class: ClassId,
    /// How many were invoked so far.
    count: u32,
}

/// What is open, and who has which bit.
#[derive(Clone, Debug)]
pub(crate) struct Open<const W: usize> {
    /// Who has which bit; of use where the bit is taken.
    slots: Vec<Slot>,
    taken: [u64; W],
    /// Those of them that take effect as soon as they fit.
    eager: [u64; W],
    unanswered: Vec<Unanswered>,
}

impl<const W: usize> Open<W> {
    /// How many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Open<W>>()
            + self.slots.len() * size_of::<Slot>()
            + self.unanswered.len() * size_of::<Unanswered>()
    }

    fn new() -> Open<W> {
        Open { slots: Vec::new(), taken: [0; W], eager: [0; W], unanswered: Vec::new() }
    }

    /// The bit of an op that is open.
    fn bit(&self, span: u32) -> Option<usize> {
        bits(self.taken).find(|&bit| self.slots[bit].span == span)
    }
}

/// An op that took effect, as a trace remembers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Took {
    /// Nothing: here the trace begins.
    Root,
    /// The op of this span.
    Span(u32),
    /// One of the unanswered ops of this class.
    Unanswered(u32),
}

/// Who came from whom: the node before, and the op that took effect in between.
pub(crate) type Nodes = Vec<(u32, Took)>;

/// The ops that fit a state and change nothing, as bits, and when that was found out.
#[derive(Clone, Copy, Debug)]
struct Fits<const W: usize> {
    bits: [u64; W],
    at: u64,
}

/// The frontier and what is needed to move it.
pub(crate) struct Sweep<'a, M: Model, const W: usize> {
    pub book: Book<'a, M>,
    pub ledger: Ledger<'a>,
    pub open: Open<W>,
    /// The spans of the unanswered ops of each class, in the order of their invocations.
    pub lost: Vec<Vec<u32>>,
    pub now: Configs<'a, W>,
    /// None while nobody wants to know.
    pub nodes: Option<Nodes>,
    /// How many bytes were charged for them.
    traced: usize,
    next: Configs<'a, W>,
    /// Those in which the op asked for has not taken effect yet.
    seen: Configs<'a, W>,
    routes: Routes<'a>,
    /// What unanswered ops can lead to, while routes are sought.
    reached: Configs<'a, W>,
    /// By state.
    fits: Vec<Fits<W>>,
    /// Counts the changes of what is open.
    changes: u64,
    books: Books,
    /// How many configurations there may be.
    most: usize,
    reductions: Reductions,
    mutant: Mutant,
    model: &'a M,
    meter: &'a Meter,
    turn: usize,
    steps: u32,
}

impl<'a, M: Model, const W: usize> Sweep<'a, M, W> {
    pub(crate) fn new(
        model: &'a M,
        meter: &'a Meter,
        setup: Setup,
        turn: usize,
        books: Books,
        most: usize,
    ) -> Sweep<'a, M, W> {
        let mutant = setup.mutant;
        let alike = if let Books::Few(alike) = books { alike } else { usize::MAX };
        let keep = Keep { dominance: setup.reductions.dominance, most: alike, mutant };
        let configs = || Configs::new(meter, keep);
        Sweep {
            book: Book::new(model, meter),
            ledger: Ledger::new(meter),
            open: Open::new(),
            lost: Vec::new(),
            now: configs(),
            nodes: None,
            traced: 0,
            next: configs(),
            seen: configs(),
            routes: Routes::new(meter),
            // Who spends more to get to the same state spends it for nothing, also where that is not
            // held against others.
            reached: Configs::new(meter, Keep { dominance: true, mutant: Mutant::None, ..keep }),
            fits: Vec::new(),
            changes: 0,
            books,
            most,
            reductions: setup.reductions,
            mutant,
            model,
            meter,
            turn,
            steps: 0,
        }
    }

    /// The state may be any of these, and nothing is open.
    pub(crate) fn begin(&mut self, initial: &[M::State]) -> Result<(), Stop> {
        for state in initial {
            let state = self.book.number(state.clone())?;
            self.now.insert(Config { bits: [0; W], state, spent: NOTHING, node: 0 }, &self.ledger)?;
        }
        Ok(())
    }

    /// Whether nothing is open, so that the states are all that there is to know.
    pub(crate) fn is_quiet(&self) -> bool {
        self.open.taken == [0; W] && self.open.unanswered.is_empty()
    }

    /// Forgets states and classes that nobody can come back to, when they are many. Not while a trace is
    /// kept.
    pub(crate) fn tidy(&mut self) -> Result<(), Stop> {
        let live = self.now.live() + self.open.slots.len() + self.open.unanswered.len();
        if self.book.size() < MOST_FORGOTTEN + 8 * live {
            return Ok(());
        }
        let old = std::mem::replace(&mut self.book, Book::new(self.model, self.meter));
        self.next.clear();
        for config in self.now.iter() {
            let state = self.book.number(old.state(config.state).clone())?;
            self.next.insert(Config { state, ..config }, &self.ledger)?;
        }
        std::mem::swap(&mut self.now, &mut self.next);
        for bit in bits(self.open.taken) {
            let slot = &mut self.open.slots[bit];
            slot.class = self.book.adopt(&old, slot.class)?;
        }
        for unanswered in &mut self.open.unanswered {
            unanswered.class = self.book.adopt(&old, unanswered.class)?;
        }
        self.meter.release(self.fits.len() * size_of::<Fits<W>>());
        self.fits.clear();
        self.routes.forget();
        Ok(())
    }

    /// Goes back to where this was open and there are no configurations yet.
    pub(crate) fn resume(&mut self, open: Open<W>) {
        self.open = open;
        self.nodes = None;
        self.meter.release(std::mem::take(&mut self.traced));
        self.changes += 1;
        self.routes.forget();
        self.now.clear();
    }

    /// An op is invoked.
    pub(crate) fn invoke(&mut self, number: u32, span: &Span<'_, M::Op>) -> Result<(), Stop> {
        let class = self.book.class(span)?;
        let only_looks = self.reductions.greedy && self.book.only_looks(class);
        if span.is_open() {
            if !only_looks {
                self.lose(number, class);
            }
            return Ok(());
        }
        self.changes += 1;
        // There is a bit for every op that may be open at once.
        let Some(word) = self.open.taken.iter().position(|&taken| taken != u64::MAX) else {
            return Err(Stop::out_of_memory());
        };
        let bit = 64 * word + self.open.taken[word].trailing_ones() as usize;
        let slot = Slot { span: number, class };
        if bit == self.open.slots.len() {
            self.open.slots.push(slot);
        } else {
            self.open.slots[bit] = slot;
        }
        set(&mut self.open.taken, bit);
        if only_looks || self.mutant == Mutant::GreedyForAll {
            set(&mut self.open.eager, bit);
        }
        Ok(())
    }

    /// An op that will never be answered.
    fn lose(&mut self, number: u32, class: ClassId) {
        let known = self.open.unanswered.iter().position(|known| known.class == class);
        let place = known.filter(|_| self.reductions.classes).unwrap_or(self.open.unanswered.len());
        if place == self.open.unanswered.len() {
            self.open.unanswered.push(Unanswered { class, count: 0 });
        }
        let count = &mut self.open.unanswered[place].count;
        if place == self.lost.len() {
            self.lost.push(Vec::new());
        }
        // In the second pass they are known already.
        if *count as usize == self.lost[place].len() {
            self.lost[place].push(number);
        }
        *count += 1;
        self.routes.forget();
    }

    /// An op is acknowledged. If that cannot be explained, or there are too many ways to, the configurations
    /// are those of before.
    pub(crate) fn acknowledge(&mut self, number: u32) -> Result<Moved, Stop> {
        let asked = self.open.bit(number).expect("only what was invoked is acknowledged");
        self.next.clear();
        self.seen.clear();
        for at in 0..self.now.len() {
            if let Some(config) = self.now.get(at) {
                self.put(asked, config)?;
            }
        }
        let mut at = 0;
        while at < self.seen.len() {
            self.breathe()?;
            if let Some(config) = self.seen.get(at) {
                self.expand(asked, config)?;
            }
            at += 1;
            if self.seen.len() + self.next.live() > self.most {
                return Ok(Moved::Large);
            }
        }
        if self.next.live() == 0 {
            return Ok(Moved::Stuck);
        }
        self.changes += 1;
        clear(&mut self.open.taken, asked);
        clear(&mut self.open.eager, asked);
        std::mem::swap(&mut self.now, &mut self.next);
        Ok(Moved::On)
    }

    /// Lets every open op that may be next take effect.
    fn expand(&mut self, asked: usize, from: Config<W>) -> Result<(), Stop> {
        for bit in bits(self.waiting(&from)) {
            let slot = self.open.slots[bit];
            for state in self.book.next(from.state, slot.class)? {
                let node = self.node(from.node, Took::Span(slot.span))?;
                self.put(asked, Config { bits: with(from.bits, bit), state, node, ..from })?;
            }
        }
        if self.open.unanswered.is_empty() {
            Ok(())
        } else if self.reductions.lazy {
            self.spend_lazily(asked, from)
        } else {
            self.spend(asked, from)
        }
    }

    /// The ops that are open and have not taken effect.
    fn waiting(&self, config: &Config<W>) -> [u64; W] {
        without(self.open.taken, config.bits)
    }

    /// Lets an unanswered op take effect anywhere.
    fn spend(&mut self, asked: usize, from: Config<W>) -> Result<(), Stop> {
        for class in 0..self.open.unanswered.len() {
            for led in self.spent_on(class, from)? {
                let node = self.node(from.node, Took::Unanswered(small(class)))?;
                self.put(asked, Config { node, ..led })?;
            }
        }
        Ok(())
    }

    /// Lets unanswered ops take effect where an op whose answer is known follows at once and leaves what
    /// it could not have left without them.
    fn spend_lazily(&mut self, asked: usize, from: Config<W>) -> Result<(), Stop> {
        let routes = match self.routes.known(from.state, from.spent) {
            Some(known) => known,
            None => self.find_routes(from)?,
        };
        for bit in bits(self.waiting(&from)) {
            let slot = self.open.slots[bit];
            let without = self.book.next(from.state, slot.class)?;
            for number in routes.clone() {
                let route = self.routes.get(number);
                for state in self.book.next(route.state, slot.class)? {
                    if !without.contains(&state) {
                        let node = self.travel(from.node, route)?;
                        let node = self.node(node, Took::Span(slot.span))?;
                        let (bits, spent) = (with(from.bits, bit), route.spent);
                        self.put(asked, Config { bits, state, spent, node })?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Finds out where unanswered ops lead from here, whatever the bits.
    fn find_routes(&mut self, from: Config<W>) -> Result<Range<u32>, Stop> {
        let first = self.routes.begin();
        let mut last_steps: Vec<(Option<u32>, u32)> = Vec::new();
        self.reached.clear();
        self.reached.insert(Config { bits: [0; W], ..from }, &self.ledger)?;
        let mut at = 0;
        while at < self.reached.len() {
            self.breathe()?;
            let here = self.reached.get(at);
            at += 1;
            // Appends without end lead to states without end.
            if self.books == Books::Generous && at > MOST_GENEROUS {
                return Err(Stop::out_of_memory());
            }
            let Some(here) = here else { continue };
            let mut via = None;
            if at > 1 {
                let (via_before, class) = last_steps[here.node as usize];
                let route = Route { state: here.state, spent: here.spent, class, via: via_before };
                via = Some(self.routes.push(route)?);
                if self.mutant == Mutant::SpendsOneByOne {
                    continue;
                }
            }
            for class in 0..self.open.unanswered.len() {
                for led in self.spent_on(class, here)? {
                    let node = small(last_steps.len());
                    if self.reached.insert(Config { node, ..led }, &self.ledger)? {
                        last_steps.push((via, small(class)));
                    }
                }
            }
        }
        Ok(self.routes.end(from.state, from.spent, first))
    }

    /// The trace of a route.
    fn travel(&mut self, mut node: u32, route: Route) -> Result<u32, Stop> {
        if self.nodes.is_some() {
            let mut steps: SmallVec<[u32; 8]> = self.routes.steps(route).collect();
            while let Some(class) = steps.pop() {
                node = self.node(node, Took::Unanswered(class))?;
            }
        }
        Ok(node)
    }

    /// What one more unanswered op of this class leads to, if there is one left and it changes anything.
    fn spent_on(&mut self, class: usize, from: Config<W>) -> Result<SmallVec<[Config<W>; 1]>, Stop> {
        let mut led = SmallVec::new();
        let number = small(class);
        let of = self.open.unanswered[class];
        let times = if self.mutant == Mutant::CountsAClassTwice { 2 } else { 1 };
        let exact = self.books != Books::Generous && self.mutant != Mutant::ForgetsWhatWasSpent;
        if exact && self.ledger.count(from.spent, number) >= times * of.count {
            return Ok(led);
        }
        for state in self.book.next(from.state, of.class)? {
            if state != from.state {
                let spent: SpentId = if exact { self.ledger.and(from.spent, number)? } else { from.spent };
                led.push(Config { state, spent, ..from });
            }
        }
        Ok(led)
    }

    /// Puts a configuration where it belongs: to those that explain the acknowledgement, or to those that
    /// do not yet.
    fn put(&mut self, asked: usize, mut config: Config<W>) -> Result<(), Stop> {
        self.look(&mut config)?;
        let (word, bit) = (asked / 64, 1 << (asked % 64));
        if config.bits[word] & bit != 0 || self.mutant == Mutant::AsksForNothing {
            if self.mutant != Mutant::LeavesItsBit {
                config.bits[word] &= !bit;
            }
            self.next.insert(config, &self.ledger)?;
        } else {
            self.seen.insert(config, &self.ledger)?;
        }
        Ok(())
    }

    /// Lets those take effect that change nothing and whose answer fits.
    fn look(&mut self, config: &mut Config<W>) -> Result<(), Stop> {
        let fits = self.fits(config.state)?;
        if self.nodes.is_some() {
            for bit in bits(without(fits, config.bits)) {
                config.node = self.node(config.node, Took::Span(self.open.slots[bit].span))?;
            }
        }
        for (bits, fits) in config.bits.iter_mut().zip(fits) {
            *bits |= fits;
        }
        Ok(())
    }

    /// Those that fit a state and change nothing. Asked once per state between two changes.
    fn fits(&mut self, state: StateId) -> Result<[u64; W], Stop> {
        let place = state as usize;
        if place >= self.fits.len() {
            let more = place + 1 + self.fits.len() / 2;
            self.meter.charge((more - self.fits.len()) * size_of::<Fits<W>>())?;
            self.fits.resize(more, Fits { bits: [0; W], at: u64::MAX });
        }
        if self.fits[place].at == self.changes {
            return Ok(self.fits[place].bits);
        }
        let mut fits = [0; W];
        for bit in bits(self.open.eager) {
            if self.book.next(state, self.open.slots[bit].class)?.contains(&state) {
                set(&mut fits, bit);
            }
        }
        self.fits[place] = Fits { bits: fits, at: self.changes };
        Ok(fits)
    }

    fn node(&mut self, before: u32, took: Took) -> Result<u32, Stop> {
        let Some(nodes) = &mut self.nodes else { return Ok(0) };
        if nodes.len() == nodes.capacity() {
            let more = nodes.capacity().max(16);
            self.meter.charge(more * size_of::<(u32, Took)>())?;
            self.traced += more * size_of::<(u32, Took)>();
            nodes.reserve_exact(more);
        }
        nodes.push((before, took));
        Ok(small(nodes.len() - 1))
    }

    /// Looks at the clock now and then: a look costs more than a step.
    fn breathe(&mut self) -> Result<(), Stop> {
        self.steps = self.steps.wrapping_add(1);
        if self.steps % STRIDE == 1 { self.meter.check(self.turn) } else { Ok(()) }
    }

    /// Some of the states that may be.
    pub(crate) fn states(&self, most: usize) -> Vec<M::State> {
        let mut states: Vec<StateId> = Vec::new();
        for config in self.now.iter() {
            if states.len() < most && !states.contains(&config.state) {
                states.push(config.state);
            }
        }
        states.into_iter().map(|state| self.book.state(state).clone()).collect()
    }
}

impl<M: Model, const W: usize> Drop for Sweep<'_, M, W> {
    fn drop(&mut self) {
        self.meter.release(self.traced + self.fits.len() * size_of::<Fits<W>>());
    }
}

/// The bits that are set, from the lowest on.
fn bits<const W: usize>(words: [u64; W]) -> impl Iterator<Item = usize> {
    words.into_iter().enumerate().flat_map(|(number, word)| {
        let rest = |&rest: &u64| Some(rest & (rest - 1)).filter(|&rest| rest != 0);
        let words = std::iter::successors(Some(word).filter(|&word| word != 0), rest);
        words.map(move |word| 64 * number + word.trailing_zeros() as usize)
    })
}

fn set<const W: usize>(words: &mut [u64; W], bit: usize) {
    words[bit / 64] |= 1 << (bit % 64);
}

fn clear<const W: usize>(words: &mut [u64; W], bit: usize) {
    words[bit / 64] &= !(1 << (bit % 64));
}

fn with<const W: usize>(mut words: [u64; W], bit: usize) -> [u64; W] {
    set(&mut words, bit);
    words
}

fn without<const W: usize>(mut words: [u64; W], others: [u64; W]) -> [u64; W] {
    words.iter_mut().zip(others).for_each(|(word, other)| *word &= !other);
    words
}
