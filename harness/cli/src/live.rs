//! What a person sees while a run goes on.
//!
//! On a terminal, one line that keeps changing, with what the nemesis does above it. Elsewhere plain
//! lines, few enough for a log. All of it on standard error: standard output is for the result.

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use runner::{Progress, Stage, Tally};

/// How often a log gets a line about the state of things.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// Shows a run's progress on standard error.
pub(crate) struct Live {
    bar: ProgressBar,
    terminal: bool,
    logged: Duration,
}

impl Live {
    pub(crate) fn new() -> Live {
        let terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{spinner} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Live { bar, terminal, logged: Duration::ZERO }
    }

    /// A line that stays.
    #[expect(clippy::print_stderr, reason = "progress goes to standard error")]
    fn line(&self, line: &str) {
        if self.terminal {
            self.bar.println(line);
        } else {
            eprintln!("{line}");
        }
    }

    /// Takes the changing line away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Live {
    fn begin(&mut self, folder: &Path) {
        self.line(&format!("folder: {}", folder.display()));
    }

    fn stage(&mut self, stage: Stage) {
        let words = match stage {
            Stage::Starting => "starting the nodes",
            Stage::Running => "clients and faults",
            Stage::Healing => "healing, and waiting until every node answers",
            Stage::FinalReads => "final reads",
            Stage::Stopping => "stopping the nodes",
            Stage::Checking => "judging the history",
        };
        if self.terminal {
            self.bar.set_message(words);
            self.bar.tick();
        } else {
            self.line(words);
        }
    }

    fn tick(&mut self, tally: &Tally) {
        let line = summary(tally);
        if self.terminal {
            self.bar.set_message(line);
            self.bar.tick();
        } else if tally.time >= self.logged + LOG_EVERY {
            self.logged = tally.time;
            self.line(&line);
        }
    }

    fn note(&mut self, time: Duration, line: &str) {
        self.line(&format!("{:6.1} s  {line}", time.as_secs_f64()));
    }
}

fn summary(tally: &Tally) -> String {
    let leader = tally.leader.map_or_else(|| "no leader".to_owned(), |leader| format!("{leader} leads"));
    let faults = if tally.faults.is_empty() { "calm".to_owned() } else { tally.faults.join(", ") };
    format!(
        "{:5.1}/{:.0} s  ok {}  fail {}  info {}  {leader}, {} changes  {faults}",
        tally.time.as_secs_f64(),
        tally.limit.as_secs_f64(),
        tally.ok,
        tally.fail,
        tally.info,
        tally.leader_changes,
    )
}
