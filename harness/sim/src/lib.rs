//! The cores in one thread, under a virtual clock, network and disk.
//!
//! Real processes on real machines find what clients see, and are slow, and never do the same twice. Here a
//! whole cluster lives inside of one thread: nodes are values, messages are values on an agenda, and a minute
//! takes as long as what happens in it, a tenth of a second. What is random is drawn from a seed, so the
//! life of a seed is always the same, to the byte, and a failure can be looked at as often as one likes.
//!
//! What lives is the code that ships: `replica` with `raft`, `wal`, recovery, sessions and waiting replies, and
//! `kv` on top. There is no second copy of anything; only sockets and the event loop of `node` are left out.
//!
//! To read it:
//! * [`life`] is the story: clients and faults, heal, demand progress, judge;
//! * `world` is the loop, `network`, [`disk`] and `clock` are what can go wrong;
//! * `operator` is who replaces members and asks for other leaders;
//! * `target` is where a [`nemesis::Fault`] becomes a few assignments;
//! * [`mod@sweep`] lives many lives, `shrink` makes a bad one small, [`hunt`] looks for what was planted.
//!
//! # What it cannot see
//! Real disks and sockets, the event loop of `node`, threads, memory that runs out; and whatever the world does
//! not do: it is as inventive as its dice.
#![forbid(unsafe_code)]

mod agenda;
mod asking;
mod audience;
mod clients;
mod clock;
mod coverage;
mod dice;
mod digest;
pub mod disk;
mod ending;
mod executions;
pub mod hunt;
pub mod life;
mod life_file;
mod network;
mod node;
mod operator;
mod panics;
mod plan;
mod request;
mod retelling;
pub mod rot;
mod settings;
mod shrink;
mod sweep;
mod tape;
mod target;
mod watch;
mod world;
mod written;

pub use audience::Audience;
pub use clients::Counts;
pub use coverage::{Coverage, MARKS, Table};
pub use ending::{Breach, Ending, Sort};
pub use life::{Cut, Frame, Life, MOST_OPS};
pub use life_file::{BadLife, LifeFile, Shrunk, Story, bugs_of};
pub use network::Pace;
pub use plan::Plan;
pub use retelling::NoScript;
pub use settings::Settings;
pub use shrink::NotSmall;
pub use sweep::{Doubt, Swept, sweep};
pub use tape::WrittenAsk;
