//! What a person sees while a run goes on.
//!
//! On a terminal, one line that keeps changing, with what the nemesis does above it. Elsewhere plain
//! lines, few enough for a log. All of it on standard error: standard output is for the result.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use runner::{Live, Phase, Progress};

/// How often a log gets a line about the state of things.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// Shows a run's progress on standard error.
pub(crate) struct Screen {
    bar: ProgressBar,
    terminal: bool,
    limit: Duration,
    /// When the last line about the state of things was logged.
    logged: Mutex<Duration>,
}

impl Screen {
    /// For a run whose clients and faults go on for so long.
    pub(crate) fn new(limit: Duration) -> Screen {
        let terminal = io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{spinner} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Screen { bar, terminal, limit, logged: Mutex::new(Duration::ZERO) }
    }

    /// Takes the changing line away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// A line that stays.
    fn line(&self, line: &str) {
        if self.terminal {
            self.bar.println(line);
        } else {
            // Whoever watched may have gone (`| head`): the run goes on, and its verdict is elsewhere.
            let _ = writeln!(io::stderr(), "{line}");
        }
    }

    /// The line that keeps changing.
    fn now(&self, line: String) {
        self.bar.set_message(line);
        self.bar.tick();
    }

    fn summary(&self, live: &Live) -> String {
        let leader = live.leader.map_or_else(|| "no leader".to_owned(), |leader| format!("{leader} leads"));
        let faults = if live.faults.is_empty() { "calm".to_owned() } else { live.faults.join(", ") };
        format!(
            "{:5.1}/{:.0} s  ok {}  fail {}  info {}  {leader}  {faults}",
            live.time.as_secs_f64(),
            self.limit.as_secs_f64(),
            live.counts.ok,
            live.counts.fail,
            live.counts.info,
        )
    }
}

impl Progress for Screen {
    fn begun(&self, _seed: u64, folder: &Path) {
        self.line(&format!("folder: {}", folder.display()));
    }

    fn phase(&self, phase: Phase) {
        if self.terminal {
            self.now(phase.name().to_owned());
        } else {
            self.line(phase.name());
        }
    }

    fn fault(&self, time: Duration, line: &str) {
        self.line(&format!("{:6.1} s  {line}", time.as_secs_f64()));
    }

    fn tick(&self, live: &Live) {
        if self.terminal {
            self.now(self.summary(live));
            return;
        }
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if live.time >= *logged + LOG_EVERY {
            *logged = live.time;
            self.line(&self.summary(live));
        }
    }
}
