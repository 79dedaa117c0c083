//! What happens first, and how clocks run.

use super::Clocks;

/// Two steps of time are more than a lease on n1's clock, and less than it would be if the drift were not taken off: 270 ms
/// of 240 and of 300. On all other clocks they are more than the promise it rests on: 330 of 300. Each clock is wrong by
/// as much as it may be, 100 thousandths.
pub(super) const CLOCKS: Clocks = Clocks { patience: 300, drift: 100, rates: (135, 165) };

/// A leader that everybody follows.
pub(super) const ESTABLISHED: &str = "timeout 1\ndeliver";

/// n1 led, took a write, and crashed before anybody heard of it; n2 voted for it.
pub(super) const FORSAKEN: &str =
    "timeout 1\ndeliver 1→2\ndeliver 2→1\ndeliver 1→2\ndeliver 2→1\npropose 1\ndrop 1\ncrash 1";

/// The first half of Figure 8: n1 led t1 and n3 led t2, each with an entry that nobody else has. n1 is back, and has
/// heard of t2.
pub(super) const FIGURE_8: &str = "timeout 1\ndeliver 1→2\ndeliver 2→1\ndeliver 1→2\ndeliver 2→1\ndrop 1\ncrash 1\n\
    timeout 3\ndeliver 3→2\ndeliver 2→3\ndrop 3\n\
    timeout 3\ndeliver 3→2\ndeliver 2→3\ndeliver 3→2\ndeliver 2→3\ndrop 3\n\
    timeout 1\ndeliver 1→2\ndeliver 2→1\ndrop 1";

/// Of four voters, n1 led t1 and has a fifth in an entry that only the two of them have. It crashed, and has heard of
/// t2, which n2 leads; what n2 said first is under way to n3, n4 and n5.
pub(super) const RIVAL_CHANGES: &str = "timeout 1\ndeliver\nchange 1 +voter\ndeliver 1→5\ndeliver 5→1\ndeliver 1→5\n\
    drop 1\ncrash 1\n\
    timeout 2\ndeliver 2→1\ndeliver 2→3\ndeliver 2→4\ndeliver 1→2\ndeliver 3→2\ndeliver 4→2\n\
    deliver 2→1\ndeliver 2→3\ndeliver 2→4\ndeliver 3→2\ndeliver 4→2\ndrop 1";

/// n1 leads, and n4 shall vote in the place of n3.
pub(super) const SWAP: &str = "timeout 1\ndeliver\nchange 1 +voter -3";

/// The same, in the place of n1 itself.
pub(super) const SWAP_ITSELF: &str = "timeout 1\ndeliver\nchange 1 +voter -1";

/// n1 leads, and n3 was away while it took a write.
pub(super) const AWAY: &str = "timeout 1\ndeliver\npropose 1\ndeliver 1→2\ndeliver 2→1\ndeliver 1→2\ndeliver 2→1\ndrop 3\n\
    heartbeat 1\ndeliver";

/// The same, and n1 has the write in a snapshot, which it offers to n3.
pub(super) const OFFERED: &str = "timeout 1\ndeliver\npropose 1\ndeliver 1→2\ndeliver 2→1\ndeliver 1→2\ndeliver 2→1\ndrop 3\n\
    snapshot 1\nheartbeat 1\ndeliver\nheartbeat 1\ndeliver";
