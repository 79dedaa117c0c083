//! What a person sees while something goes on.
//!
//! On a terminal, one line that keeps changing, with what the nemesis does above it. Elsewhere plain
//! lines, few enough for a log. All of it on standard error: standard output is for the result.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use runner::{Live, Phase, Progress};

/// How often a log gets a line about the state of things.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// One line on standard error that keeps changing, or a line now and then where that is no terminal.
pub(crate) struct Board {
    bar: ProgressBar,
    terminal: bool,
    started: Instant,
    /// When the last line about the state of things was logged.
    logged: Mutex<Duration>,
}

impl Board {
    pub(crate) fn new() -> Board {
        let terminal = io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{spinner} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Board { bar, terminal, started: Instant::now(), logged: Mutex::new(Duration::ZERO) }
    }

    /// Takes the changing line away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// A line that stays.
    pub(crate) fn line(&self, line: &str) {
        if self.terminal {
            self.bar.println(line);
        } else {
            // Whoever watched may have gone (`| head`): the run goes on, and its verdict is elsewhere.
            let _ = writeln!(io::stderr(), "{line}");
        }
    }

    /// What is being done now.
    pub(crate) fn phase(&self, line: &str) {
        if self.terminal {
            self.now(line.to_owned());
        } else {
            self.line(line);
        }
    }

    /// The state of things.
    pub(crate) fn state(&self, line: impl FnOnce() -> String) {
        self.state_at(self.started.elapsed(), line);
    }

    /// The state of things at a moment of the run.
    fn state_at(&self, time: Duration, line: impl FnOnce() -> String) {
        if self.terminal {
            self.now(line());
            return;
        }
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if time >= *logged + LOG_EVERY {
            *logged = time;
            self.line(&line());
        }
    }

    /// The line that keeps changing.
    fn now(&self, line: String) {
        self.bar.set_message(line);
        self.bar.tick();
    }
}

/// Shows a run's progress on standard error.
pub(crate) struct Screen {
    board: Board,
    limit: Duration,
}

impl Screen {
    /// For a run whose clients and faults go on for so long.
    pub(crate) fn new(limit: Duration) -> Screen {
        Screen { board: Board::new(), limit }
    }

    /// Takes the changing line away.
    pub(crate) fn end(&self) {
        self.board.end();
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
        self.board.line(&format!("folder: {}", folder.display()));
    }

    fn phase(&self, phase: Phase) {
        self.board.phase(phase.name());
    }

    fn fault(&self, time: Duration, line: &str) {
        self.board.line(&format!("{:6.1} s  {line}", time.as_secs_f64()));
    }

    fn tick(&self, live: &Live) {
        self.board.state_at(live.time, || self.summary(live));
    }
}
