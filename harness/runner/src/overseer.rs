//! Judging while the run goes on, so that it can end at the first broken promise.
//!
//! Every line goes to a thread of its own on its way into the history. It lags behind by the longest op
//! that is open, and ends the run as soon as an answer cannot be explained. The verdict of the run is
//! not its: that comes from the whole history afterwards, with all the evidence, as always.
//!
//! Lines wait in a queue of bounded length. If judging cannot keep up, recording waits for it: that slows
//! the clients down and loses nothing.

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use checker::{Budget, Checker, Verdict};
use history::{Line, Operation};
use tokio_util::sync::CancellationToken;

use crate::recorder::Recorder;

/// How many lines may wait to be judged.
const WAITING: usize = 1 << 16;

/// Threads that judge a run while it goes on, one for each checker.
pub(crate) struct Overseer {
    /// The first sentence that says what broke.
    found: Arc<OnceLock<String>>,
    threads: Vec<JoinHandle<()>>,
}

impl Overseer {
    /// Nobody watches.
    pub(crate) fn absent() -> Overseer {
        Overseer { found: Arc::default(), threads: Vec::new() }
    }

    /// Watches all that is recorded from now on, and cancels `ending` when a promise is broken.
    pub(crate) fn watch<O>(
        recorder: &Recorder<O>,
        checkers: Vec<Box<dyn Checker<O, O::Ret>>>,
        ending: &CancellationToken,
    ) -> Overseer
    where
        O: Operation + Send + 'static,
        O::Ret: Send,
    {
        let found = Arc::new(OnceLock::new());
        let threads = checkers.into_iter().map(|checker| {
            let (sender, lines) = sync_channel(WAITING);
            recorder.tap(sender);
            let (found, ending) = (Arc::clone(&found), ending.clone());
            std::thread::spawn(move || oversee(&*checker, &lines, &found, &ending))
        });
        let threads = threads.collect();
        Overseer { found, threads }
    }

    /// What broke, if anything did so far.
    pub(crate) fn found(&self) -> Option<&str> {
        self.found.get().map(String::as_str)
    }

    /// Waits for the last lines to be judged. The recorder has been finished.
    pub(crate) fn conclude(self) -> Option<String> {
        for thread in self.threads {
            thread.join().expect("judging does not panic");
        }
        self.found.get().cloned()
    }
}

fn oversee<O: Operation>(
    checker: &dyn Checker<O, O::Ret>,
    lines: &Receiver<Line<O, O::Ret>>,
    found: &OnceLock<String>,
    ending: &CancellationToken,
) {
    let budget = Budget { time: Duration::MAX, ..Budget::default() };
    let verdict = checker.watch(&mut lines.iter(), &budget, &mut |_| {});
    if let Verdict::Invalid { witness } = verdict {
        // Of two checkers that find something, one was first.
        let _ = found.set(witness.sentence);
        ending.cancel();
    }
}
