//! Which key comes next, and when it has had its share.
//!
//! A checker's work grows with the ops of a key that overlap, and unanswered changes overlap with everything
//! that follows. So a key is dropped for a fresh one after so many ops, or so many unanswered changes,
//! whichever is sooner. An unanswered *read* costs nothing and is not counted.
//!
//! Keys are drawn unevenly, since what is even finds little. Many mistakes show where ops of different
//! processes meet on one key; others hide there, since where writes follow each other without a pause, a
//! lost one looks as if the next had replaced it. [`Spread::Halves`] gives both their half. [`Spread::Zipf`]
//! is how keys are asked for in the field: the second half as often as the first, the third a third.

use history::Key;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// How ops are spread over the keys that are live.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Spread {
    /// Half of the ops go to a few hot keys, the other half to many quiet ones; among themselves evenly.
    Halves {
        /// How many hot keys are live at a time; at least one.
        hot: usize,
        /// How many quiet ones. If none, the hot ones get all.
        quiet: usize,
    },
    /// The key at rank r gets a share in proportion to 1/r^s.
    Zipf {
        /// How many keys are live at a time; at least one.
        live: usize,
        /// The s. At 0 all keys are alike; at 1 it is Zipf's own law.
        exponent: f64,
    },
}

/// What a key may be asked before it is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// So many ops.
    pub ops: u32,
    /// So many unanswered changes.
    pub unanswered: u32,
}

/// The keys of a run: those that are live, and all that ever were.
///
/// The law: no key is drawn more often than its share of ops, and none after its share of unanswered
/// changes. Who follows a dropped key takes its place, so ranks stay what they are.
#[derive(Clone, Debug)]
pub struct Keys {
    spread: Spread,
    share: Share,
    live: Vec<Live>,
    /// The sums of the shares up to each rank, for [`Spread::Zipf`].
    sums: Vec<f64>,
    /// All keys that were asked about, in the order of their first op.
    used: Vec<Key>,
    /// How many keys there were, used or not.
    made: u64,
}

/// A key that is asked about.
#[derive(Clone, Debug)]
struct Live {
    key: Key,
    used: bool,
    drawn: u32,
    unanswered: u32,
}

impl Keys {
    /// Keys `k0`, `k1`, …, spread like that, with this share each.
    pub fn new(spread: Spread, share: Share) -> Keys {
        let (live, sums) = match spread {
            Spread::Halves { hot, quiet } => (hot.max(1) + quiet, Vec::new()),
            Spread::Zipf { live, exponent } => (live.max(1), sums(live.max(1), exponent)),
        };
        let mut keys = Keys { spread, share, live: Vec::new(), sums, used: Vec::new(), made: 0 };
        for _ in 0..live {
            let fresh = keys.fresh();
            keys.live.push(fresh);
        }
        keys
    }

    /// A key for an op that counts.
    pub fn draw(&mut self, rng: &mut ChaCha8Rng) -> Key {
        let place = self.place(rng);
        self.live[place].drawn += 1;
        let key = self.use_at(place);
        self.rotate(place);
        key
    }

    /// A key for an op that costs a checker nothing.
    pub fn look(&mut self, rng: &mut ChaCha8Rng) -> Key {
        let place = self.place(rng);
        self.use_at(place)
    }

    /// A change of this key was not answered.
    pub fn unanswered(&mut self, key: &Key) {
        if let Some(place) = self.live.iter().position(|live| live.key == *key) {
            self.live[place].unanswered += 1;
            self.rotate(place);
        }
    }

    /// All keys that were asked about, in the order of their first op.
    pub fn used(&self) -> &[Key] {
        &self.used
    }

    fn fresh(&mut self) -> Live {
        let key = Key::new(format!("k{}", self.made));
        self.made += 1;
        Live { key, used: false, drawn: 0, unanswered: 0 }
    }

    fn use_at(&mut self, place: usize) -> Key {
        let live = &mut self.live[place];
        if !live.used {
            live.used = true;
            self.used.push(live.key.clone());
        }
        live.key.clone()
    }

    /// Drops a key that has had its share.
    fn rotate(&mut self, place: usize) {
        let Live { drawn, unanswered, .. } = self.live[place];
        if drawn >= self.share.ops || unanswered >= self.share.unanswered {
            self.live[place] = self.fresh();
        }
    }

    fn place(&self, rng: &mut ChaCha8Rng) -> usize {
        match self.spread {
            Spread::Halves { hot, .. } => {
                let hot = hot.max(1);
                if self.live.len() == hot || rng.random_bool(0.5) {
                    rng.random_range(0..hot)
                } else {
                    rng.random_range(hot..self.live.len())
                }
            }
            Spread::Zipf { .. } => {
                let all = self.sums.last().copied().unwrap_or_default();
                let drawn = all * rng.random::<f64>();
                // What rounding leaves over belongs to the last.
                self.sums.partition_point(|&sum| sum <= drawn).min(self.live.len() - 1)
            }
        }
    }
}

/// The sums of 1/r^s up to each rank.
fn sums(live: usize, exponent: f64) -> Vec<f64> {
    let ranks = (1_u32..).map(f64::from).take(live);
    let shares = ranks.map(|rank| rank.powf(-exponent));
    shares
        .scan(0.0, |sum, share| {
            *sum += share;
            Some(*sum)
        })
        .collect()
}
