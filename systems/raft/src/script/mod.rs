//! Golden scripts: small stories of a cluster with their recorded endings.
//!
//! A violation found by chance is a thousand lines of which ten matter. A script tells those ten: without time,
//! disks, clients and dice, so that a person can follow it with a finger and the next version of the code can
//! be held against it.
//!
//! A script is a text of paragraphs. Each has a sentence, some commands, `---`, and what the cluster
//! did: nodes that changed (`before ⇨ after`), messages that left, answers, and the first property that
//! did not hold. Only what stands there happens: no message moves and no timer runs out by itself.
//!
//! | Command | What it does |
//! |---|---|
//! | `cluster nodes=N [append=BYTES] [window=MESSAGES] [tail=ENTRIES] [lease=DRIFT] [disks=slow] [bugs=a,b]` | starts N nodes with blank disks |
//! | `join N` | starts N, with a blank disk, as a node that belongs to no cluster yet |
//! | `timeout N` | 300 ms pass, and N's election timer runs out |
//! | `timeout N at once` | N's election timer runs out, and no time passes |
//! | `wait [MS]` | so many milliseconds pass, 300 if it does not say, and no timer runs out |
//! | `heartbeat N` | N's heartbeat timer runs out |
//! | `deliver [N→M]` | delivers what is under way (on that link), and what follows, until silence |
//! | `deliver N→M #K` | delivers the K-th of what is under way on that link, the oldest being the first |
//! | `lose N→M #K` | that one is lost |
//! | `repeat N→M` | what was delivered last on that link is delivered once more |
//! | `drop N` | what is under way from or to N is lost |
//! | `isolate N`, `heal` | cuts all links of N; mends all links |
//! | `persist N [K]` | with slow disks: the oldest write of N, or the K oldest with one sync, are on disk |
//! | `crash N [K]` | ends N; the K oldest of its writes that are under way reach the disk, none if it does not say |
//! | `restart N` | ends N if it runs; starts it with what its disk has |
//! | `propose N COMMAND`, `read N` | N's client asks |
//! | `change N CHANGE...` | N's client wants other members: `+voter`, `+learner`, `promote=M`, `demote=M`, `-M` |
//! | `transfer N [M]`, `abandon N` | N is asked to give the lead away, to M; the time for that is over |
//! | `snapshot N`, `fetch N` | N has what it executed in a snapshot; N fetches the one it was offered |
//! | `hurry N MS` | so many milliseconds pass for N alone: its clock runs fast |
//! | `log N` | shows N's log |
//!
//! [`play`] plays one, in a [`Cluster`]. [`retell`] makes one of what cores were given in a longer life, whoever
//! lived it, and leaves out what does not matter.
//!
//! # What it cannot tell
//! A disk that forgets, tears or rots, clocks that differ, and what is done above the core: sessions, replies,
//! clients. For those there is the seed.

mod cluster;
mod command;
mod play;
mod retell;

pub use cluster::{Cluster, Node};
pub use command::{Command, Disks, Link, Malformed, Shape};
pub use play::{Played, ScriptError, Wrong, play};
pub use retell::{Move, What, retell};
