//! `harness model`: from flags to searches of everything, and from a broken property to the shortest story.

mod table;

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use clap::Args;
use model::{Bounds, Explored, Figures, Limit, Limits, Profile, RaftModel, Report, Unknown, Verdict};
use serde_json::{Value, json};

use crate::bench::memory;
use crate::common::{self, LONGEST, count, program, quote};
use crate::exit::{Exit, Refusal};
use crate::live::Board;
use crate::render;
use crate::sim::stop_on_signal;
use crate::threads;

/// Look at everything that can happen to a small cluster within printed bounds.
///
/// The core that ships is given every message, crash, timer and op that the bounds allow, in every order. If a
/// property does not hold in some state, the shortest way to one is told, and as a script. A pass says that
/// there is none within these bounds, and nothing more.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit code: 0 valid, 1 invalid, 2 unknown, 254 wrong arguments, 255 the harness itself failed.
           Unknown is also a search that ended early, or that never met what it is there for.
Example:   harness model --bounds ci"
)]
pub(crate) struct ModelArgs {
    /// What to check: raft
    #[arg(long, value_name = "SYSTEM", default_value = "raft")]
    system: String,

    /// How much: ci (about a minute on two cores) or deep (up to an hour, and some gigabytes)
    #[arg(long, value_name = "NAME", default_value = "ci")]
    bounds: String,

    /// Only this profile, of whichever bounds; may be repeated [default: all of the bounds]
    #[arg(long, value_name = "NAME")]
    profile: Vec<String>,

    /// A mistake that the nodes shall make, by name or number; may be repeated [see: harness list]
    #[arg(long, value_name = "NAME")]
    bug: Vec<String>,

    /// Stop after so long, whether or not everything was looked at
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    seconds: Option<f64>,

    /// How many threads share the work [default: one per core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,

    /// Serve the states of the first profile to a browser, at an address of this machine such as
    /// 127.0.0.1:3000, until interrupted
    #[arg(long, value_name = "ADDR", conflicts_with_all = ["seconds", "json"])]
    explore: Option<SocketAddr>,

    /// Print one JSON object on standard output, and nothing else there
    #[arg(long)]
    json: bool,
}

/// What was asked for.
struct Asked {
    bounds: Bounds,
    /// Those that were named; all of the bounds if none was.
    named: Vec<&'static Profile>,
    bugs: Vec<raft::Bug>,
    seconds: Option<Duration>,
}

/// A search and what it took.
struct Searched {
    report: Report,
    bytes: Option<u64>,
}

/// Searches what the flags say, and prints what came of it.
pub(crate) fn model(args: &ModelArgs) -> Result<Exit, Refusal> {
    let asked = Asked::from(args)?;
    threads::use_threads(args.threads)?;
    if let Some(address) = args.explore {
        return asked.explore(address);
    }
    let searched = asked.search(args.json)?;
    let last = searched.last().expect("there is always a profile");
    let bad = matches!(last.report.verdict, Verdict::Invalid { .. }).then(|| table::Bad::of(&last.report));
    let verdict = asked.verdict(&searched);
    if args.json {
        let mut object = asked.object(&searched);
        object["bad"] = json!(bad.as_ref().map(table::Bad::object));
        object["repeat"] = json!(asked.command());
        object["verdict"] = json!(verdict);
        render::json(&object)?;
    } else {
        let mut text = table::total(&searched);
        text.push_str(&doubts(&searched));
        text.push_str(&bad.map_or_else(String::new, |bad| bad.text()));
        let _ = write!(text, "repeat: {}\nverdict: {verdict}\n", asked.command());
        render::text(&text)?;
    }
    Ok(Exit::of_verdict(verdict))
}

impl Asked {
    fn from(args: &ModelArgs) -> Result<Asked, Refusal> {
        if args.system != "raft" {
            let system = &args.system;
            return Err(Refusal::wrong(format_args!("--system {system}: only raft can be checked yet")));
        }
        let bounds = Bounds::named(&args.bounds).ok_or_else(|| {
            let known = Bounds::ALL.map(|bounds| bounds.name).join(", ");
            Refusal::wrong(format_args!("--bounds {}: known are {known}", args.bounds))
        })?;
        let bugs = common::bugs("--bug", &args.bug)?;
        if let Some(bug) = bugs.iter().find(|bug| bug.room() != "raft") {
            return Err(Refusal::wrong(format_args!(
                "--bug {bug}: this mistake is made in the crate {}; the model checker has only the core, and \
                 cannot show it",
                bug.room()
            )));
        }
        Ok(Asked {
            bounds,
            named: args.profile.iter().map(|name| profile(name)).collect::<Result<_, _>>()?,
            bugs,
            seconds: args.seconds.map(|value| common::seconds("--seconds", value, LONGEST)).transpose()?,
        })
    }

    fn profiles(&self) -> Vec<Profile> {
        if self.named.is_empty() {
            return self.bounds.profiles.to_vec();
        }
        self.named.iter().map(|profile| **profile).collect()
    }

    /// One after the other, up to the first in which something goes wrong.
    fn search(&self, json: bool) -> Result<Vec<Searched>, Refusal> {
        let started = Instant::now();
        let board = Board::new();
        let mut searched = Vec::new();
        if !json {
            render::text(&self.announce())?;
        }
        for profile in self.profiles() {
            let memory = memory::Mark::set();
            let limits = Limits {
                threads: threads::count(),
                time: self.seconds.map(|time| time.saturating_sub(started.elapsed())),
                states: None,
                stop: stop_on_signal(),
            };
            let begun = Instant::now();
            let progress = |figures| board.state(|| table::progress(&profile, figures, begun.elapsed()));
            let report = model::check(profile, sim::bugs_of(&self.bugs), limits, &progress);
            let bytes = memory.and_then(|memory| memory.growth());
            let ends = matches!(
                report.verdict,
                Verdict::Invalid { .. } | Verdict::Unknown(Unknown::Stopped(Limit::Time | Limit::Asked))
            );
            let row = Searched { report, bytes };
            if !json {
                render::text(&table::row(&row))?;
            }
            searched.push(row);
            if ends {
                break;
            }
        }
        board.end();
        Ok(searched)
    }

    fn announce(&self) -> String {
        let planted: Vec<&str> = self.bugs.iter().map(|bug| bug.name()).collect();
        let planted =
            if planted.is_empty() { String::new() } else { format!(", with {}", planted.join(", ")) };
        format!(
            "raft{planted}; bounds: {} of {}; {}\n{}",
            count(self.profiles().len() as u64, "profile"),
            self.bounds.name,
            count(threads::count() as u64, "thread"),
            table::HEADING
        )
    }

    /// Of all that was to be searched: what was not is not valid.
    fn verdict(&self, searched: &[Searched]) -> &'static str {
        let is = |wanted: fn(&Verdict) -> bool| searched.iter().any(|row| wanted(&row.report.verdict));
        if is(|verdict| matches!(verdict, Verdict::Invalid { .. })) {
            "invalid"
        } else if is(|verdict| matches!(verdict, Verdict::Unknown(_)))
            || searched.len() < self.profiles().len()
        {
            "unknown"
        } else {
            "valid"
        }
    }

    /// What to type to search again.
    fn command(&self) -> String {
        let mut words = format!("{} model --bounds {}", program(), self.bounds.name);
        for profile in &self.named {
            let _ = write!(words, " --profile {}", quote(profile.name));
        }
        for bug in &self.bugs {
            let _ = write!(words, " --bug {bug}");
        }
        if let Some(seconds) = self.seconds {
            let _ = write!(words, " --seconds {}", seconds.as_secs_f64());
        }
        words
    }

    fn object(&self, searched: &[Searched]) -> Value {
        json!({
            "system": "raft",
            "bounds": self.bounds.name,
            "bugs": self.bugs.iter().map(|bug| bug.name()).collect::<Vec<_>>(),
            "threads": threads::count(),
            "profiles": searched.iter().map(table::object).collect::<Vec<_>>(),
            "states": searched.iter().map(|row| row.report.figures.unique).sum::<u64>(),
        })
    }

    /// Shows the first profile to a browser, and to nobody on another machine.
    fn explore(&self, address: SocketAddr) -> Result<Exit, Refusal> {
        if !address.ip().is_loopback() {
            return Err(Refusal::wrong(format_args!(
                "--explore {address}: only this machine may look, such as 127.0.0.1:3000"
            )));
        }
        // Whoever serves would panic.
        let free = TcpListener::bind(address);
        let address = free
            .and_then(|listener| listener.local_addr())
            .map_err(|error| Refusal::wrong(format_args!("--explore {address}: {error}")))?;
        let profile = self.profiles()[0];
        render::text(&format!("{}: {}\nhttp://{address}/\n", profile.name, profile.story))?;
        Explored(RaftModel::new(profile, sim::bugs_of(&self.bugs))).serve(address);
        Ok(Exit::Valid)
    }
}

/// By its name, among those of all bounds.
fn profile(name: &str) -> Result<&'static Profile, Refusal> {
    let mut all = Bounds::ALL.into_iter().flat_map(|bounds| bounds.profiles);
    all.find(|profile| profile.name == name).ok_or_else(|| {
        let known = Bounds::ALL.into_iter().flat_map(|bounds| bounds.profiles).map(|profile| profile.name);
        let known = known.collect::<Vec<_>>().join(", ");
        Refusal::wrong(format_args!("--profile {name}: known are {known}"))
    })
}

/// Why a search that found nothing says little.
fn doubts(searched: &[Searched]) -> String {
    let mut text = String::new();
    for Searched { report, .. } in searched {
        let why = match &report.verdict {
            Verdict::Unknown(Unknown::Stopped(Limit::Time)) => "the time that was given ran out".to_owned(),
            Verdict::Unknown(Unknown::Stopped(Limit::Asked)) => "it was interrupted".to_owned(),
            Verdict::Unknown(Unknown::Stopped(Limit::States)) => "there were too many states".to_owned(),
            Verdict::Unknown(Unknown::Missed(missed)) => {
                let missed: Vec<&str> = missed.iter().map(|milestone| milestone.name()).collect();
                format!("never met: {}", missed.join(", "))
            }
            Verdict::Valid | Verdict::Invalid { .. } => continue,
        };
        let _ = writeln!(text, "{}: unknown, {why}", report.profile.name);
    }
    text
}

/// How a search stands, for people who wait.
fn per_second(figures: Figures, took: Duration) -> f64 {
    let seconds = took.as_secs_f64();
    if seconds > 0.0 { precise(figures.unique) / seconds } else { 0.0 }
}

/// Rounded where there are more than fifteen digits.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn precise(number: u64) -> f64 {
    number as f64
}
