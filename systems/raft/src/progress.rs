//! What a leader knows of a follower.
//!
//! After an election a leader does not know where a follower's log agrees with its own. It *probes*:
//! one append at a time, backing off until one fits. From then on it *replicates*: appends follow
//! each other without waiting for answers (dissertation §10.2.1), up to a window. A refusal, as
//! after a lost message, leads back to probing. And if the follower lacks what is in the leader's log no
//! more, it is *offered a snapshot* and left alone until it has it.

use std::collections::VecDeque;

use crate::ids::Index;

/// How far a follower is, and how to send it more.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Progress {
    /// The last entry known to be on the follower's disk, and to agree.
    pub matched: Index,
    /// The next entry to send.
    pub next: Index,
    /// The last read round it answered.
    pub heard: u64,
    /// Whether it acknowledged anything since it was last asked whether it is [`silent`](Progress::silent).
    answered: bool,
    /// Whether anything was heard of it since the last look, and in the time before that look.
    present: (bool, bool),
    flow: Flow,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Flow {
    /// Looking for the last common entry. `waiting` for the answer to the one append under way.
    Probe { waiting: bool },
    /// Streaming: the last index and the bytes of each append not yet answered.
    Replicate { window: VecDeque<(Index, usize)> },
    /// Fetching a snapshot that ends here. `told` that it should.
    Snapshot { upto: Index, told: bool },
}

/// How much may be under way to one follower.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Window {
    /// Appends not yet answered.
    pub messages: usize,
    /// Their bytes, together.
    pub bytes: usize,
}

impl Progress {
    /// What a new leader assumes: the follower has everything, until it says otherwise.
    pub fn new(last: Index) -> Progress {
        let flow = Flow::Probe { waiting: false };
        Progress {
            matched: Index(0),
            next: last.next(),
            heard: 0,
            answered: false,
            present: (true, false),
            flow,
        }
    }

    /// Something was heard of it.
    pub fn seen(&mut self) {
        self.present.0 = true;
    }

    /// Whether anything was heard of it in the time that ends now; the next begins.
    pub fn look(&mut self) -> bool {
        self.present = (false, self.present.0);
        self.present.1
    }

    /// Whether anything was heard of it lately: between one election timeout and two.
    pub fn present(&self) -> bool {
        self.present.0 || self.present.1
    }

    /// It lacks what is gone: it shall fetch the snapshot that ends at `upto`. Whether it has to be told.
    pub fn fetches(&mut self, upto: Index) -> bool {
        let (upto, told) = match self.flow {
            Flow::Snapshot { upto, told } => (upto, told),
            _ => (upto, false),
        };
        self.flow = Flow::Snapshot { upto, told: true };
        !told
    }

    /// Where the snapshot ends that it was first told to fetch, if it fetches one.
    pub fn fetching(&self) -> Option<Index> {
        match self.flow {
            Flow::Snapshot { upto, .. } => Some(upto),
            _ => None,
        }
    }

    /// Whether another append may leave now.
    pub fn open(&self, limit: Window) -> bool {
        match &self.flow {
            Flow::Probe { waiting } => !waiting,
            Flow::Snapshot { told, .. } => !told,
            Flow::Replicate { window } => {
                window.len() < limit.messages
                    && window.iter().map(|(_, bytes)| bytes).sum::<usize>() < limit.bytes
            }
        }
    }

    /// Whether appends may follow each other.
    pub fn replicates(&self) -> bool {
        matches!(self.flow, Flow::Replicate { .. })
    }

    /// An append that ends at `last` has left.
    pub fn sent(&mut self, last: Index, bytes: usize) {
        match &mut self.flow {
            Flow::Probe { waiting } => *waiting = true,
            Flow::Snapshot { .. } => {}
            Flow::Replicate { window } => {
                if last >= self.next {
                    window.push_back((last, bytes));
                    self.next = last.next();
                }
            }
        }
    }

    /// The follower has everything up to `upto`. The leader's log begins behind `base`.
    pub fn matched(&mut self, upto: Index, base: Index) {
        self.answered = true;
        self.matched = self.matched.max(upto);
        self.next = self.next.max(self.matched.next());
        match &mut self.flow {
            // An answer to an append of before: it still lacks what the snapshot has.
            Flow::Snapshot { .. } if upto < base => {}
            Flow::Probe { .. } | Flow::Snapshot { .. } => {
                self.flow = Flow::Replicate { window: VecDeque::new() }
            }
            Flow::Replicate { window } => {
                while window.front().is_some_and(|(last, _)| *last <= upto) {
                    window.pop_front();
                }
            }
        }
    }

    /// The follower has no entry at `rejected`; `candidate` is the last one it may share with us.
    /// An answer to something we no longer ask is ignored. Whether we should send again.
    pub fn diverged(&mut self, rejected: Index, candidate: Index) -> bool {
        let current = match self.flow {
            Flow::Probe { .. } => rejected.next() == self.next,
            Flow::Replicate { .. } => rejected > self.matched,
            Flow::Snapshot { .. } => false,
        };
        if !current || rejected <= self.matched {
            return false;
        }
        self.next = candidate.next().min(rejected).max(self.matched.next());
        self.flow = Flow::Probe { waiting: false };
        true
    }

    /// Whether it acknowledged nothing since this was last asked: what was sent to it may be lost.
    pub fn silent(&mut self) -> bool {
        !std::mem::take(&mut self.answered)
    }

    /// Time has passed and the follower is alive: a probe or an offer that was lost may be sent again.
    pub fn retry(&mut self) {
        match &mut self.flow {
            Flow::Probe { waiting } => *waiting = false,
            Flow::Snapshot { told, .. } => *told = false,
            Flow::Replicate { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Window = Window { messages: 2, bytes: 1000 };

    #[test]
    fn a_probe_waits_for_its_answer() {
        let mut follower = Progress::new(Index(5));
        assert!(follower.open(LIMIT));
        follower.sent(Index(5), 10);
        assert!(!follower.open(LIMIT));
        follower.retry();
        assert!(follower.open(LIMIT));
    }

    #[test]
    fn a_window_closes_when_full_and_opens_when_answered() {
        let mut follower = Progress::new(Index(0));
        follower.matched(Index(0), Index(0));
        follower.sent(Index(1), 10);
        follower.sent(Index(2), 10);
        assert!(!follower.open(LIMIT), "two messages are under way");
        follower.matched(Index(1), Index(0));
        assert!(follower.open(LIMIT));
        follower.sent(Index(3), 2000);
        assert!(!follower.open(LIMIT));
        follower.matched(Index(3), Index(0));
        follower.sent(Index(4), 2000);
        assert!(!follower.open(LIMIT), "its bytes alone fill the window");
    }

    #[test]
    fn a_follower_that_fetches_a_snapshot_is_left_alone_until_it_has_it() {
        let mut follower = Progress::new(Index(9));
        assert!(follower.fetches(Index(20)), "it has to be told");
        assert!(!follower.fetches(Index(20)), "once");
        assert!(!follower.open(LIMIT));
        assert!(!follower.diverged(Index(9), Index(0)));
        follower.matched(Index(5), Index(15));
        assert_eq!(follower.fetching(), Some(Index(20)), "that was an old answer");
        follower.retry();
        assert!(follower.fetches(Index(30)), "it may have missed the offer, and now there is a later one");
        assert_eq!(follower.fetching(), Some(Index(20)), "it may still be at the first");
        follower.matched(Index(20), Index(15));
        assert_eq!((follower.fetching(), follower.next), (None, Index(21)));
    }

    #[test]
    fn who_is_heard_is_there_for_a_while() {
        let mut follower = Progress::new(Index(0));
        assert!(follower.look(), "a new leader gives everybody some time");
        assert!(follower.present());
        assert!(!follower.look());
        assert!(!follower.present());
        follower.seen();
        assert!(follower.present());
    }

    #[test]
    fn a_late_refusal_moves_nothing() {
        let mut follower = Progress::new(Index(9));
        follower.matched(Index(7), Index(0));
        assert!(!follower.diverged(Index(6), Index(2)), "we know that it has 7");
        assert_eq!(follower.next, Index(10));
        assert!(follower.diverged(Index(9), Index(8)));
        assert_eq!(follower.next, Index(9));
        assert!(!follower.diverged(Index(9), Index(8)), "we no longer ask for 9");
    }

    #[test]
    fn backing_off_never_stands_still_and_never_passes_what_matched() {
        let mut follower = Progress::new(Index(9));
        assert!(follower.diverged(Index(9), Index(20)));
        assert_eq!(follower.next, Index(9));
        follower.matched(Index(5), Index(0));
        assert!(follower.diverged(Index(8), Index(1)));
        assert_eq!(follower.next, Index(6));
    }
}
