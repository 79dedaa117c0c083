//! Chance, by purpose.
//!
//! Whatever is random is drawn from the seed of the life. Each purpose has dice of its own, so that one more
//! message on a link does not change what a disk does.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What each purpose draws from.
#[derive(Clone, Copy)]
pub(crate) enum Dice {
    Settings,
    Network,
    Sessions,
    Storm,
    Nemesis,
    Ops,
    Wall,
    /// What becomes of the messages of a process that dies.
    Deaths,
    /// In which order a node that stood still looks at things, whether power goes twice, what of a disk fails.
    Whims,
    /// What the operator wishes for, and when.
    Operator,
    /// How long the way between a client and its node is.
    Clients,
    /// Which nodes and links are slower than the others.
    Uneven,
    /// When a node is held up in a turn, and for how long.
    Stalls,
    Disk(u16),
    Timers(u16),
}

impl Dice {
    /// Dice for this purpose that no other purpose throws.
    pub(crate) fn of(self, seed: u64) -> ChaCha8Rng {
        let stream = match self {
            Dice::Settings => 1,
            Dice::Network => 2,
            Dice::Sessions => 3,
            Dice::Storm => 4,
            Dice::Nemesis => 5,
            Dice::Ops => 6,
            Dice::Wall => 7,
            Dice::Deaths => 8,
            Dice::Whims => 9,
            Dice::Operator => 10,
            Dice::Clients => 11,
            Dice::Uneven => 12,
            Dice::Stalls => 13,
            Dice::Disk(node) => 1_000 + u64::from(node),
            Dice::Timers(node) => 100_000 + u64::from(node),
        };
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        dice.set_stream(stream);
        dice
    }
}
