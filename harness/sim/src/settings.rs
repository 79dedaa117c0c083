//! What a seed decides besides its faults: how fast links and nodes are, and how the log is laid out.
//!
//! A simulator that always runs with the defaults finds what happens with the defaults. So every life
//! draws its own: segments so small that they roll within seconds, links that keep the order and links
//! that do not, nodes that take their time.

use std::time::Duration;

use nemesis::{Aim, Harm, Kind, Schedule, Skew, Span};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::network::Pace;

/// The circumstances of one life.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    /// By how much, in thousandths, clocks may run too fast or too slow, if leaders answer reads by lease and rely on
    /// that. Then nothing may make a clock worse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<u32>,
    /// About how often somebody asks for another leader or other members, without need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wishes: Option<Span>,
    /// Whether clients have sessions: then they ask again what they do not know.
    pub sessions: bool,
    /// Whether some nodes and links are five times as slow as the others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uneven: bool,
    /// Whether nodes are held up in a turn now and then, for up to fifty milliseconds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stalls: bool,
}

impl Settings {
    /// Drawn from these dice.
    pub fn draw(nodes: u16, dice: &mut ChaCha8Rng) -> Settings {
        let least = *pick(dice, &[50_000, 200_000, 1_000_000, 5_000_000, 20_000_000]);
        let spread = *pick(dice, &[0, 100_000, 1_000_000, 10_000_000, 150_000_000]);
        let drawn = Settings {
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
            lease: None,
            wishes: None,
            sessions: dice.random_bool(0.5),
            uneven: false,
            stalls: false,
        };
        let snapshots = dice.random_bool(0.75).then(|| often(dice));
        let lease = dice.random_bool(0.25).then(|| *pick(dice, &[10, 50, 300]));
        let wishes = dice.random_bool(0.5).then(|| Span::millis(*pick(dice, &[700, 3_000, 10_000])));
        // Where messages overtake each other, a wide window of small appends is mostly sent in vain.
        let window = if drawn.pace.ordered { drawn.window } else { drawn.window.min(8) };
        let (uneven, stalls) = (dice.random_bool(0.5), dice.random_bool(0.5));
        Settings { window, snapshots, lease, wishes, uneven, stalls, ..drawn }
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
            lease: None,
            wishes: None,
            sessions: false,
            uneven: false,
            stalls: false,
        }
    }

    /// The same circumstances, as far as a schedule with these faults allows them: where a user puts clocks out, no lease
    /// can be promised.
    #[must_use]
    pub(crate) fn beside(self, schedule: &Schedule) -> Settings {
        let lease = self.lease.filter(|_| !schedule.kinds().as_slice().contains(&Kind::Clock));
        Settings { lease, ..self }
    }

    /// By how many percent a clock runs too fast when nobody meddles with it: not at all, or as much as a lease bears,
    /// one way or the other.
    pub(crate) fn usual_drift(&self, dice: &mut ChaCha8Rng) -> i8 {
        let most = self.lease.map_or(0, percent);
        if most == 0 { 0 } else { *pick(dice, &[-most, 0, most]) }
    }

    /// The same faults, with clocks no worse than leases bear.
    pub(crate) fn spare_leases(&self, mut schedule: Schedule) -> Schedule {
        let Some(lease) = self.lease else { return schedule };
        let most = percent(lease);
        for step in &mut schedule.steps {
            if let Aim::Harm { harm: Harm::Clock(Skew::Drift { percent }), .. } = &mut step.aim {
                *percent = (*percent).clamp(-most, most);
            }
        }
        schedule
    }
}

/// Thousandths as percent, none too many.
fn percent(thousandths: u32) -> i8 {
    i8::try_from(thousandths / 10).unwrap_or(i8::MAX)
}

/// Snapshots so often that a life sees many of them, and a tail so short that whoever is away for a moment needs one.
fn often(dice: &mut ChaCha8Rng) -> (u64, u64, u64, usize) {
    let entries = *pick(dice, &[15, 40, 120]);
    let usual = *pick(dice, &[0, 5, 30]);
    let most = usual + *pick(dice, &[0, 10, 50]);
    (entries, usual, most, *pick(dice, &[400, 4 << 10, 64 << 10]))
}

fn pick<'a, T>(dice: &mut ChaCha8Rng, among: &'a [T]) -> &'a T {
    &among[dice.random_range(0..among.len())]
}

#[cfg(test)]
mod tests {
    use nemesis::{Step, Time, Who};
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn most_lives_have_snapshots_and_some_have_leases() {
        let drawn: Vec<Settings> =
            (0..400).map(|seed| Settings::draw(5, &mut ChaCha8Rng::seed_from_u64(seed))).collect();
        let share = |of: &dyn Fn(&Settings) -> bool| drawn.iter().filter(|drawn| of(drawn)).count();
        assert!((260..340).contains(&share(&|drawn| drawn.snapshots.is_some())));
        assert!((70..130).contains(&share(&|drawn| drawn.lease.is_some())));
    }

    #[test]
    fn where_reads_rest_on_clocks_none_is_worse_than_promised() {
        let aim = |percent| Aim::Harm { who: Who::All, harm: Harm::Clock(Skew::Drift { percent }) };
        let at = |percent| Step::at(Time(0), Time(1), aim(percent));
        let schedule = || Schedule::from(vec![at(50), at(-50), at(3)]);
        let leased = Settings { lease: Some(150), ..Settings::plain() };
        assert_eq!(leased.spare_leases(schedule()).steps, [at(15), at(-15), at(3)]);
        assert_eq!(Settings::plain().spare_leases(schedule()).steps, schedule().steps);
        let mut dice = ChaCha8Rng::seed_from_u64(1);
        assert!((0..50).map(|_| leased.usual_drift(&mut dice)).all(|drift| [-15, 0, 15].contains(&drift)));
        assert_eq!(Settings::plain().usual_drift(&mut dice), 0);
        assert_eq!(leased.beside(&schedule()).lease, None, "whoever asks for wrong clocks gets them");
    }
}
