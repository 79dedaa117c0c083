//! The command line, as a page of the manual.

use std::path::PathBuf;

use crate::bench::BenchArgs;
use crate::common::Common;
use crate::model::ModelArgs;
use crate::script::ScriptArgs;
use crate::sim::SimArgs;
use crate::suite::SuiteArgs;
use clap::{Args, Parser, Subcommand, ValueEnum};
use history::{Format, Reading};

/// Finds out whether distributed systems keep their promises.
///
/// Runs real systems as real processes, breaks them on purpose, records what their clients saw, and
/// judges from that record whether they kept their promises.
#[derive(Parser, Debug)]
#[command(name = "harness", version, max_term_width = 100)]
#[command(
    after_help = "Exit code: 0 valid, 1 invalid, 2 unknown, 254 wrong arguments, 255 the harness itself failed.
Example:   harness run --workload register --nemesis partition"
)]
pub(crate) struct Harness {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Run(RunArgs),
    Check(CheckArgs),
    Sim(SimArgs),
    Script(ScriptArgs),
    Model(ModelArgs),
    Suite(SuiteArgs),
    Convert(ConvertArgs),
    Bench(BenchArgs),
    List(ListArgs),
}

/// Run a workload against a system, under faults, and judge what the clients saw.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit code: 0 valid, 1 invalid, 2 unknown, 254 wrong arguments, 255 the harness itself failed.
Example:   harness run --workload register --nemesis partition,kill --time-limit 60"
)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) common: Common,

    /// Fixes the plan; the processes still race [default: random, printed]
    #[arg(long, value_name = "N", value_parser = seed, allow_negative_numbers = true)]
    pub(crate) seed: Option<u64>,

    /// Seconds of fault and seconds of calm, in turn
    #[arg(long, value_name = "ON,OFF", default_value = "5,5")]
    pub(crate) interval: String,

    /// What becomes of what a node did not sync when it is killed
    #[arg(long, value_name = "DISK", value_enum, default_value_t = DiskArg::Real)]
    pub(crate) disk: DiskArg,

    /// How many milliseconds longer everything takes from node to node, each way; much less than a third of the
    /// election timeout, or nobody is ever elected
    #[arg(long, value_name = "MS", default_value_t = 0, allow_negative_numbers = true,
        value_parser = clap::value_parser!(u64).range(..=10_000))]
    pub(crate) link_delay: u64,

    /// Start every node with this flag of its own as well, such as election-timeout=300, or one of them:
    /// n1:sync-delay=80; may be repeated [see: raft-node --help, etcd --help]
    #[arg(long = "set", value_name = "FLAG=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,

    /// Another build of the system's program than the one in this file
    #[arg(long, value_name = "PATH")]
    pub(crate) bin: Option<PathBuf>,

    /// End the run at the first answer that cannot be explained
    #[arg(long)]
    pub(crate) fail_fast: bool,
}

/// A flag of a node, without its dashes, and what it is given.
fn setting(text: &str) -> Result<(String, String), String> {
    let both = text.split_once('=').filter(|(flag, _)| !flag.is_empty() && !flag.starts_with('-'));
    let (flag, value) = both.ok_or("a flag without its dashes, and a value: election-timeout=300")?;
    let name = flag.split_once(':').map_or(flag, |(_, name)| name);
    if matches!(name, "bug" | "disk") {
        return Err(format!("say --{name}: it belongs to the run, and stands in its verdict"));
    }
    Ok((flag.to_owned(), value.to_owned()))
}

/// What a plan is drawn from.
pub(crate) fn seed(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("a seed is a whole number from 0 to {}", u64::MAX))
}

/// What a kill does to what was not synced.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DiskArg {
    /// Nothing: the kernel keeps it, so that no kill shows a missing sync
    Real,
    /// It is gone; for raft only
    Lossy,
}

/// Judge histories that were recorded before.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit code: 0 valid, 1 invalid, 2 unknown, 254 a history that cannot be read, 255 the harness itself failed.
           Of several histories, the worst: 255, 254, 1, 2, 0.
Example:   harness check histories/corpus/bad/stale-read.jsonl"
)]
pub(crate) struct CheckArgs {
    /// Histories, or the folders of runs, whose own doubts then count too; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,

    /// What the system promised [see: harness list]
    #[arg(long, value_name = "MODEL", value_enum, default_value_t = Model::Auto)]
    pub(crate) model: Model,

    /// How the files are written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = FormatArg::Auto)]
    pub(crate) format: FormatArg,

    /// What a refused compare-and-set and a nil that was read mean
    #[arg(long, value_name = "READING", value_enum, default_value_t = ReadingArg::Auto)]
    pub(crate) reading: ReadingArg,

    /// Give up on a history after this long
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    pub(crate) time_limit: f64,

    /// Give up on a history when the search remembers this much
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    pub(crate) max_memory: usize,

    /// Judge line by line, as fast as lines come, and end at the first answer that cannot be explained.
    /// The time limit does not count then
    #[arg(long, conflicts_with = "html")]
    pub(crate) online: bool,

    /// Threads to search with [default: one per core]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,

    /// Draw the history and what was found of it as a page for a browser; for one history only
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// Print one JSON object on standard output, and nothing else there
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write a history in another format, on standard output.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit code: 0 written, 254 a history that cannot be read, 255 the harness itself failed.
Example:   harness convert histories/corpus/bad/stale-read.jsonl --to edn"
)]
pub(crate) struct ConvertArgs {
    /// A history, or the folder of a run; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// How to write it
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) to: Target,

    /// How it is written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = FormatArg::Auto)]
    pub(crate) format: FormatArg,

    /// What a refused compare-and-set and a nil that was read mean
    #[arg(long, value_name = "READING", value_enum, default_value_t = ReadingArg::Auto)]
    pub(crate) reading: ReadingArg,
}

/// How a history can be written.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    /// JSON lines, as runs record them
    Jsonl,
    /// Jepsen's EDN, one map a line, for Knossos, Elle and Jepsen
    Edn,
    /// Porcupine's operations, for Go's `json.Unmarshal`
    PorcupineJson,
}

/// What a line means where its format leaves a choice.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ReadingArg {
    /// `literal` for jepsen-log, `knossos` for edn; in the other formats there is no choice
    Auto,
    /// A refused compare-and-set is an answer: another value was there. A nil that was read: nothing was
    Literal,
    /// A refused compare-and-set says nothing, and a nil that was read may have been anything
    Knossos,
}

impl ReadingArg {
    /// The reading, if one was chosen.
    pub(crate) fn chosen(self) -> Option<Reading> {
        match self {
            ReadingArg::Auto => None,
            ReadingArg::Literal => Some(Reading::Literal),
            ReadingArg::Knossos => Some(Reading::Knossos),
        }
    }
}

/// What a history is held against.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Model {
    /// By the first op: `kv` if it is a get, a put or an append, `mutex` if it is an acquire or a
    /// release, `unique-ids` if it is a generate, `bank` if it is a transfer, else `cas-register`, of which `register` is a part
    Auto,
    /// Reads and writes
    Register,
    /// Reads, writes and compare-and-sets; one that found another value is an answer like any other
    CasRegister,
    /// Gets, puts and appends of texts; a key that is not there is the empty text
    Kv,
    /// Acquires and releases
    Mutex,
    /// Appends that answer their offset, and reads from an offset to the end; never chosen by itself
    Log,
    /// Adds of elements, and reads of all of them
    Set,
    /// Adds of numbers, and reads of their sum; never chosen by itself
    Counter,
    /// Ids that are given out
    UniqueIds,
    /// Transfers between four accounts of ten each, none ever overdrawn, and reads of all balances
    Bank,
}

impl Model {
    /// Those that are models, not ways to choose one.
    pub(crate) const ALL: [Model; 9] = [
        Model::Register,
        Model::CasRegister,
        Model::Kv,
        Model::Mutex,
        Model::Log,
        Model::Set,
        Model::Counter,
        Model::UniqueIds,
        Model::Bank,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Model::Auto => "auto",
            Model::Register => "register",
            Model::CasRegister => "cas-register",
            Model::Kv => "kv",
            Model::Mutex => "mutex",
            Model::Log => "log",
            Model::Set => "set",
            Model::Counter => "counter",
            Model::UniqueIds => "unique-ids",
            Model::Bank => "bank",
        }
    }

    pub(crate) fn story(self) -> &'static str {
        match self {
            Model::Auto => "by the ops of the history",
            Model::Register => "one value per key, read and written; it starts absent",
            Model::CasRegister => {
                "a register that can also be compared and set; a set that failed is judged too"
            }
            Model::Kv => "one text per key, got, put and appended to; it starts empty",
            Model::Mutex => "acquired and released, one holder at a time; it starts free",
            Model::Log => "appends answer their offset, reads show all from an offset on; it starts empty",
            Model::Set => "elements are added, a read shows all of them; it starts empty",
            Model::Counter => "numbers are added, a read shows their sum; it starts at 0",
            Model::UniqueIds => "ids are given out, none twice",
            Model::Bank => {
                "money is moved between four accounts of ten each, none overdrawn; a read shows all balances"
            }
        }
    }
}

/// How a history is written.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FormatArg {
    /// By how its first line begins
    Auto,
    /// JSON lines, as runs record them
    Jsonl,
    /// Maps of Jepsen, Knossos or Elle: `{:process 0, :type :invoke, :f :read, :value nil}`
    Edn,
    /// Lines of Jepsen's logger, one register: `INFO  jepsen.util - 0 :invoke :read nil`
    JepsenLog,
    /// Porcupine's key-value histories: `{:process 0, :type :invoke, :f :get, :key "0", :value nil}`
    PorcupineKv,
}

impl FormatArg {
    /// The format, if one was chosen.
    pub(crate) fn chosen(self) -> Option<Format> {
        match self {
            FormatArg::Auto => None,
            FormatArg::Jsonl => Some(Format::JsonLines),
            FormatArg::Edn => Some(Format::JepsenEdn),
            FormatArg::JepsenLog => Some(Format::JepsenLog),
            FormatArg::PorcupineKv => Some(Format::PorcupineKv),
        }
    }

    /// All formats by name, for people.
    pub(crate) fn names() -> String {
        let formats = FormatArg::value_variants().iter().filter_map(|format| format.chosen());
        formats.map(|format| format.to_string()).collect::<Vec<_>>().join(", ")
    }
}

/// Show what there is: systems, workloads, faults, models, bugs, suites.
#[derive(Args, Debug)]
#[command(after_help = "Example:   harness list --json")]
pub(crate) struct ListArgs {
    /// Print one JSON object on standard output, and nothing else there
    #[arg(long)]
    pub(crate) json: bool,
}
