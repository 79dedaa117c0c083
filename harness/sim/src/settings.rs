//! What a seed decides besides its faults: how fast links and nodes are, and how the log is laid out.
//!
//! A simulator that always runs with the defaults finds what happens with the defaults. So every life
//! draws its own: segments so small that they roll within seconds, links that keep the order and links
//! that do not, nodes that take their time.

use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::network::Pace;

/// The circumstances of one life.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// How long messages between nodes take.
    pub pace: Pace,
    /// How long a node needs for one turn of its event loop, in nanoseconds.
    #[serde(with = "crate::written::nanoseconds")]
    pub turn: u64,
    /// How much longer than a tenth of a millisecond a sync takes, in nanoseconds.
    #[serde(with = "crate::written::nanoseconds")]
    pub sync: u64,
    /// How long a segment of the log is, in bytes.
    pub segment_size: u64,
    /// How far ahead of the log zeros are written, in bytes.
    pub zeros_ahead: u64,
    /// The most bytes of entries in one append: 1 for one entry at a time.
    pub append: usize,
    /// How many appends may be under way to a follower.
    pub window: usize,
    /// How often, in percent, the power goes again while a node recovers from having lost it.
    #[serde(default)]
    pub relapse: u8,
    /// How many of the nodes clients talk to.
    pub crowd: u16,
    /// How long a node lets a call wait for its answer. Clients wait a second.
    #[serde(with = "crate::written::duration")]
    pub patience: Duration,
    /// How often a leader shows that it is there.
    #[serde(with = "crate::written::duration")]
    pub heartbeat: Duration,
    /// How long to wait for a leader: at least, and less than.
    #[serde(with = "crate::written::durations")]
    pub election: (Duration, Duration),
    /// After how many entries a snapshot is taken, how many are kept behind it in any case, and at most, and how many
    /// bytes of one travel at once. The usual, if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshots: Option<(u64, u64, u64, usize)>,
    /// Whether clients have sessions: then they ask again what they do not know.
    pub sessions: bool,
}

impl Settings {
    /// Drawn from these dice.
    pub fn draw(nodes: u16, dice: &mut ChaCha8Rng) -> Settings {
        let least = *pick(dice, &[50_000, 200_000, 1_000_000, 5_000_000, 20_000_000]);
        let spread = *pick(dice, &[0, 100_000, 1_000_000, 10_000_000, 150_000_000]);
        Settings {
            pace: Pace { least, spread, ordered: dice.random_bool(0.7) },
            turn: *pick(dice, &[10_000, 50_000, 500_000]),
            sync: *pick(dice, &[0, 1_000_000, 5_000_000, 20_000_000]),
            segment_size: *pick(dice, &[4 << 10, 16 << 10, 64 << 10]),
            zeros_ahead: *pick(dice, &[0, 512, 4096]),
            append: *pick(dice, &[1, 300, 256 << 10]),
            window: *pick(dice, &[1, 4, 64]),
            relapse: *pick(dice, &[0, 25, 60]),
            patience: Duration::from_millis(*pick(dice, &[300, 700, 5_000])),
            crowd: if dice.random_bool(0.3) { dice.random_range(1..=nodes) } else { nodes },
            heartbeat: Duration::from_millis(50),
            election: (Duration::from_millis(300), Duration::from_millis(600)),
            snapshots: None,
            sessions: dice.random_bool(0.5),
        }
    }

    /// Everything fast, in order and alike: for tests that want nothing left to chance.
    pub fn plain() -> Settings {
        Settings {
            pace: Pace { least: 200_000, spread: 0, ordered: true },
            turn: 10_000,
            sync: 0,
            segment_size: 64 << 10,
            zeros_ahead: 0,
            append: 256 << 10,
            window: 64,
            relapse: 0,
            patience: Duration::from_secs(5),
            crowd: u16::MAX,
            heartbeat: Duration::from_millis(50),
            election: (Duration::from_millis(300), Duration::from_millis(600)),
            snapshots: None,
            sessions: false,
        }
    }
}

fn pick<'a, T>(dice: &mut ChaCha8Rng, among: &'a [T]) -> &'a T {
    &among[dice.random_range(0..among.len())]
}
