//! The one place that reads the time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use raft::{Mono, Now, Wall};

/// A clock whose monotonic side begins when it is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock { start: Instant::now() }
    }

    pub(crate) fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono: Mono(nanoseconds(self.start.elapsed())), wall: Wall(nanoseconds(wall)) }
    }

    /// The runtime's name for a moment of this clock.
    pub(crate) fn instant(&self, moment: Mono) -> tokio::time::Instant {
        (self.start + Duration::from_nanos(moment.0)).into()
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
