//! What `run` and `sim` are asked alike: the flags, and what they mean. A complaint names the flag.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use nemesis::{Kind, Kinds, Schedule};

use crate::exit::Refusal;

/// The flags of every world.
#[derive(Args, Debug)]
pub(crate) struct Common {
    /// What to test [see: harness list]
    #[arg(long, value_name = "SYSTEM", default_value = "raft")]
    pub(crate) system: String,

    /// What its clients do, and what they are promised [see: harness list]
    #[arg(long, value_name = "WORKLOAD", default_value = "register")]
    workload: String,

    /// Faults to mix, separated by commas; `all` is every one that there is here, and that the system
    /// must survive
    #[arg(long, value_name = "FAULTS", default_value = "none")]
    nemesis: String,

    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) nodes: u16,

    /// How many clients at once: a number, or a multiple of the nodes such as 2n
    #[arg(long, value_name = "N|Nn", default_value = "2n", allow_hyphen_values = true)]
    concurrency: String,

    /// Ops per second over all clients; 0 for as fast as they are answered [default: run 0, sim 30]
    #[arg(long, value_name = "OPS_PER_S", allow_negative_numbers = true)]
    rate: Option<f64>,

    /// How long clients and faults go on, before healing and the final reads [default: 30, or until the
    /// last fault of --schedule is healed]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    time_limit: Option<f64>,

    /// The faults of this file, instead of drawn ones; runs and bad lives write theirs to schedule.toml
    #[arg(long, value_name = "FILE", conflicts_with = "nemesis")]
    pub(crate) schedule: Option<PathBuf>,

    /// A mistake that the system shall make, by name or number; may be repeated [see: harness list]
    #[arg(long, value_name = "NAME")]
    bug: Vec<String>,

    /// Where the folders of runs, and of bad lives, are made
    #[arg(long, value_name = "DIR", default_value = "histories/runs")]
    pub(crate) out: PathBuf,

    /// Print one JSON object on standard output, and nothing else there
    #[arg(long)]
    pub(crate) json: bool,
}

/// Nobody waits longer for what takes its time: thirty days.
pub(crate) const LONGEST: Duration = Duration::from_hours(30 * 24);
/// No world has more nodes.
const MANY: u16 = 15;
/// So long if nothing is said.
const TIME_LIMIT: Duration = Duration::from_secs(30);

impl Common {
    pub(crate) fn workload(&self) -> Result<workload::Name, Refusal> {
        self.workload.parse().map_err(of("--workload"))
    }

    /// From 1 to so many.
    pub(crate) fn nodes(&self, most: u16) -> Result<u16, Refusal> {
        if (1..=most).contains(&self.nodes) {
            return Ok(self.nodes);
        }
        Err(Refusal::wrong(format_args!("--nodes {}: a cluster has 1 to {most}", self.nodes)))
    }

    /// `6`, or `2n` for twice the nodes; from 1 to so many.
    pub(crate) fn concurrency(&self, most: usize) -> Result<usize, Refusal> {
        clients(&self.concurrency, self.nodes, most)
    }

    pub(crate) fn rate(&self, default: f64) -> Result<f64, Refusal> {
        match self.rate.unwrap_or(default) {
            rate if rate.is_finite() && rate >= 0.0 => Ok(rate),
            rate => Err(Refusal::wrong(format_args!(
                "--rate {rate:?}: ops per second, or 0 for as fast as they are answered"
            ))),
        }
    }

    pub(crate) fn schedule(&self) -> Result<Option<Schedule>, Refusal> {
        self.schedule.as_deref().map(|path| read_schedule(path, self.nodes)).transpose()
    }

    /// What was asked for, at most so long; or until everything of the schedule is over.
    pub(crate) fn time_limit(
        &self,
        schedule: Option<&Schedule>,
        most: Duration,
    ) -> Result<Duration, Refusal> {
        match self.time_limit {
            Some(limit) => seconds("--time-limit", limit, most),
            None => Ok(schedule.and_then(until_healed).unwrap_or(TIME_LIMIT)),
        }
    }

    /// Those that were asked for, of those that there are and that can bite on so many nodes; and those of
    /// `all` that cannot.
    pub(crate) fn kinds(&self, supported: &[Kind]) -> Result<(Kinds, Kinds), Refusal> {
        Kinds::parse_for(&self.nemesis, supported, self.nodes.into()).map_err(of("--nemesis"))
    }

    pub(crate) fn bugs(&self) -> Result<Vec<raft::Bug>, Refusal> {
        bugs("--bug", &self.bug)
    }
}

/// Which faults of `all` there are not, said where all are.
pub(crate) fn left_out_of_all(kinds: &Kinds, nodes: u16) -> String {
    if kinds.is_empty() {
        return String::new();
    }
    format!("left out, since it takes more than {}: {kinds}\n", count(nodes.into(), "node"))
}

/// Says which flag an error is about.
pub(crate) fn of<E: Display>(flag: &str) -> impl Fn(E) -> Refusal {
    move |error| Refusal::wrong(format_args!("{flag}: {error}"))
}

/// The planted mistakes of these names or numbers.
pub(crate) fn bugs(flag: &str, asked: &[String]) -> Result<Vec<raft::Bug>, Refusal> {
    if !asked.is_empty() && !cfg!(feature = "bugs") {
        return Err(Refusal::wrong(format_args!("{flag}: this build has no planted bugs")));
    }
    let find = |asked: &String| {
        asked.parse::<raft::Bug>().map_err(|error| {
            let known = raft::Bug::ALL.map(raft::Bug::name).join(", ");
            Refusal::wrong(format_args!("{flag}: {error}; known: {known}"))
        })
    };
    asked.iter().map(find).collect()
}

fn read_schedule(path: &Path, nodes: u16) -> Result<Schedule, Refusal> {
    let wrong = |why: &dyn Display| Refusal::wrong(format_args!("--schedule {}: {why}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| wrong(&error))?;
    let parse = |nodes: u16| Schedule::parse(&text, &nemesis::cluster(nodes));
    parse(nodes).map_err(|error| match parse(MANY) {
        // It is for more nodes than there are.
        Ok(_) => wrong(&format_args!("{error} (--nodes {nodes} is how many there are)")),
        Err(_) => wrong(&error),
    })
}

/// A little longer than the last fault lasts, so that clients see its end; nothing if nobody knows when
/// that is.
fn until_healed(schedule: &Schedule) -> Option<Duration> {
    Some(schedule.last()?.since(nemesis::Time::default()) + Duration::from_secs(1))
}

fn clients(text: &str, nodes: u16, most: usize) -> Result<usize, Refusal> {
    let digits = text.strip_suffix('n').unwrap_or(text);
    let times = if text.ends_with('n') { usize::from(nodes) } else { 1 };
    let number = match digits {
        "" if text == "n" => Some(1),
        // Digits that do not fit are as good as the greatest number: too many.
        digits if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().unwrap_or(usize::MAX))
        }
        _ => None,
    };
    match number.map(|number| number.saturating_mul(times)) {
        Some(count) if (1..=most).contains(&count) => Ok(count),
        Some(count) => {
            let how = if count == 0 { "none at all" } else { "too many" };
            Err(Refusal::wrong(format_args!("--concurrency {text}: {how}; from 1 to {most} clients")))
        }
        None => Err(Refusal::wrong(format_args!(
            "--concurrency {text}: a number such as 6, or a multiple of the nodes such as 2n"
        ))),
    }
}

/// What a flag says in seconds: more than none, and at most so many.
pub(crate) fn seconds(flag: &str, value: f64, most: Duration) -> Result<Duration, Refusal> {
    if value > most.as_secs_f64() {
        let most = most.as_secs();
        return Err(Refusal::wrong(format_args!("{flag} {value:?}: at most {most} s")));
    }
    match Duration::try_from_secs_f64(value) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(Refusal::wrong(format_args!("{flag} {value:?}: seconds, more than 0"))),
    }
}

/// A folder that can be made, and written to: nobody wants to hear that at the end of an hour.
pub(crate) fn writable_folder(flag: &str, folder: &Path) -> Result<(), Refusal> {
    let wrong = |why: &dyn Display| Refusal::wrong(format_args!("{flag} {}: {why}", folder.display()));
    let absolute = std::path::absolute(folder).map_err(|error| wrong(&error))?;
    let there = absolute.ancestors().find(|part| part.exists()).unwrap_or(&absolute);
    if !there.is_dir() {
        return Err(wrong(&format_args!("{} is no folder", there.display())));
    }
    // It has no name, and is gone as soon as nobody looks.
    match tempfile::tempfile_in(there) {
        Ok(_) => Ok(()),
        Err(error) => Err(wrong(&format_args!("nothing can be written in {}: {error}", there.display()))),
    }
}

/// A file that can be written, or written anew.
pub(crate) fn writable_file(flag: &str, file: &Path) -> Result<(), Refusal> {
    let wrong = |why: &dyn Display| Refusal::wrong(format_args!("{flag} {}: {why}", file.display()));
    if file.exists() {
        // Nothing of it is changed yet.
        return fs::OpenOptions::new().append(true).open(file).map(drop).map_err(|error| wrong(&error));
    }
    let absolute = std::path::absolute(file).map_err(|error| wrong(&error))?;
    match absolute.parent() {
        Some(folder) if folder.is_dir() => writable_folder(flag, folder),
        Some(folder) => Err(wrong(&format_args!("there is no folder {}", folder.display()))),
        None => Err(wrong(&"is no file")),
    }
}

/// This program, as the user called it.
pub(crate) fn program() -> &'static str {
    // Cargo says so to whoever it runs.
    if std::env::var_os("CARGO").is_some() { "cargo harness" } else { "harness" }
}

/// A word as a shell takes it.
pub(crate) fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=,./:@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// `1 node`, `3 nodes`.
pub(crate) fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_a_number_or_a_multiple_of_the_nodes_and_some() {
        let of = |text: &str| clients(text, 3, 100).map_err(|refusal| refusal.why().to_owned());
        assert_eq!((of("7"), of("n"), of("2n")), (Ok(7), Ok(3), Ok(6)));
        for (text, word) in [
            ("0", "none at all"),
            ("0n", "--concurrency 0n: none at all; from 1 to 100"),
            ("101", "too many"),
            ("34n", "too many"),
            ("99999999999999999999999n", "too many"),
            ("", "such as 2n"),
            ("-1", "--concurrency -1"),
            ("n2", "such as 2n"),
        ] {
            assert!(of(text).is_err_and(|why| why.contains(word)), "{text}: {:?}", of(text));
        }
    }

    #[test]
    fn seconds_are_some_and_not_too_many() {
        let of = |value| seconds("--budget", value, Duration::from_hours(1));
        assert_eq!(of(3600.0).ok(), Some(Duration::from_hours(1)));
        for (value, said) in [
            (0.0, "--budget 0.0: seconds, more than 0"),
            (-1.0, "--budget -1.0: seconds, more than 0"),
            (f64::NAN, "--budget NaN: seconds, more than 0"),
            (1e99, "--budget 1e99: at most 3600 s"),
            (f64::INFINITY, "--budget inf: at most 3600 s"),
        ] {
            assert_eq!(of(value).err().map(|refusal| refusal.why().to_owned()).as_deref(), Some(said));
        }
    }

    #[test]
    fn what_cannot_be_written_is_known_before_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert!(writable_folder("--out", &path("a/b/c")).is_ok());
        assert!(writable_file("--junit", &path("junit.xml")).is_ok());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        fs::write(path("file"), "kept").unwrap();
        assert!(writable_file("--junit", &path("file")).is_ok());
        assert_eq!(fs::read_to_string(path("file")).unwrap(), "kept");
        assert!(writable_file("--junit", folder.path()).is_err());
        assert!(writable_file("--junit", &path("no/such.xml")).is_err());
        assert!(writable_folder("--out", &path("file/x")).is_err());
        assert!(writable_folder("--out", Path::new("/proc/x")).is_err());
    }
}
