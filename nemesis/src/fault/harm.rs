//! Harm: what a fault does to a node, without saying to which.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::ids::{Malformed, Nodes, as_text};
use crate::kind::Kind;
use crate::span::{Shift, Span};

/// What is wrong with a clock. A node has two: the wall clock, which people set and which may say
/// anything, and the monotonic one, which only measures how much time has passed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Skew {
    /// The wall clock is set wrong, once.
    Jump {
        /// By so much.
        #[serde(rename = "jump")]
        by: Shift,
    },
    /// The monotonic clock runs fast or slow, and the wall clock with it.
    Drift {
        /// By so much: 10 means 1.1 seconds in a second. From -50 to 50.
        #[serde(rename = "drift")]
        percent: i8,
    },
    /// The wall clock jumps to and fro.
    Strobe {
        /// By so much.
        #[serde(rename = "strobe")]
        by: Shift,
        /// How long it stays before it jumps again.
        every: Span,
    },
}

impl Skew {
    /// No clock drifts by more percent than this.
    pub const MOST_DRIFT: i8 = 50;
}

impl fmt::Display for Skew {
    /// `jump +2.5s`, `drift -20%`, `strobe +200ms every 20ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Skew::Jump { by } => write!(f, "jump {by}"),
            Skew::Drift { percent } => write!(f, "drift {percent:+}%"),
            Skew::Strobe { by, every } => write!(f, "strobe {by} every {every}"),
        }
    }
}

/// How a slow disk works. Written `40ms`, or `stuck`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Pace {
    /// Each sync takes so much longer.
    Sync(Span),
    /// What is asked of it is not done before the heal: not refused, and not answered.
    Stuck,
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pace::Sync(span) => span.fmt(f),
            Pace::Stuck => f.write_str("stuck"),
        }
    }
}

impl FromStr for Pace {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Pace, Malformed> {
        if text == "stuck" {
            return Ok(Pace::Stuck);
        }
        let span = text.parse::<Span>().ok().filter(|span| !span.is_zero());
        span.map(Pace::Sync).ok_or_else(|| {
            Malformed::new(text, "a pace: \"stuck\", or what each sync takes longer, such as \"40ms\"")
        })
    }
}

as_text!(Pace);

/// What can be done to a node: a fault before it is known whom it strikes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Harm {
    /// As in [`Fault::Kill`].
    Kill,
    /// As in [`Fault::Pause`].
    Pause,
    /// As in [`Fault::Power`].
    Power,
    /// As in [`Fault::Clock`].
    Clock(Skew),
    /// As in [`Fault::SlowDisk`].
    SlowDisk(Pace),
    /// As in [`Fault::FullDisk`].
    FullDisk,
    /// As in [`Fault::FailedSync`].
    FailedSync,
    /// As in [`Fault::BitFlip`].
    BitFlip,
    /// As in [`Fault::Wipe`].
    Wipe,
    /// As in [`Fault::Restart`].
    Restart,
}

impl Harm {
    /// What kind of fault it makes.
    pub fn kind(self) -> Kind {
        match self {
            Harm::Kill => Kind::Kill,
            Harm::Pause => Kind::Pause,
            Harm::Power => Kind::Power,
            Harm::Clock(_) => Kind::Clock,
            Harm::SlowDisk(_) => Kind::SlowDisk,
            Harm::FullDisk => Kind::FullDisk,
            Harm::FailedSync => Kind::FailedSync,
            Harm::BitFlip => Kind::BitFlip,
            Harm::Wipe => Kind::Wipe,
            Harm::Restart => Kind::Restart,
        }
    }

    /// Whether it ends a node, or may: then its heal starts it again.
    pub fn ends_nodes(self) -> bool {
        match self {
            Harm::Pause | Harm::Clock(_) | Harm::SlowDisk(_) => false,
            Harm::Kill
            | Harm::Power
            | Harm::FullDisk
            | Harm::FailedSync
            | Harm::BitFlip
            | Harm::Wipe
            | Harm::Restart => true,
        }
    }

    /// It, done to these.
    pub fn on(self, nodes: Nodes) -> Fault {
        match self {
            Harm::Kill => Fault::Kill { nodes },
            Harm::Pause => Fault::Pause { nodes },
            Harm::Power => Fault::Power { nodes },
            Harm::Clock(skew) => Fault::Clock { nodes, skew },
            Harm::SlowDisk(pace) => Fault::SlowDisk { nodes, pace },
            Harm::FullDisk => Fault::FullDisk { nodes },
            Harm::FailedSync => Fault::FailedSync { nodes },
            Harm::BitFlip => Fault::BitFlip { nodes },
            Harm::Wipe => Fault::Wipe { nodes },
            Harm::Restart => Fault::Restart { nodes },
        }
    }
}

impl fmt::Display for Harm {
    /// How it goes on behind the nodes: ` (jump +2.5s)`, or nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Harm::Clock(skew) => write!(f, " ({skew})"),
            Harm::SlowDisk(Pace::Sync(span)) => write!(f, " (+{span} a sync)"),
            Harm::SlowDisk(Pace::Stuck) => f.write_str(" (stuck)"),
            _ => Ok(()),
        }
    }
}
