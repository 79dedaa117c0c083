//! `harness bench`: from flags to a table of how fast, against whom, and at what cost.

mod ablation;
mod asked;
mod checker;
mod child;
mod folders;
mod measure;
pub(crate) mod memory;
mod peer;
mod report;
mod rows;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand};
use runner::bench::{Bench, Contender, Failover, Kind};

use crate::common::{LONGEST, seconds};
use crate::exit::{Exit, Refusal};
use crate::render;

/// Measure how fast a system or the checker is, against whom, and at what cost.
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Subcommand, Debug)]
enum Subject {
    Raft(RaftArgs),
    Checker(checker::CheckerArgs),
}

/// Puts and reads on raft-node, beside a peer under the same load.
///
/// Both systems run side by side; the same client loads them in turns, and what counts is the ratio of
/// turns that were neighbours. Clients ask the leader, each its next request when the last is answered.
/// Both have the timers that etcd has by itself. A turn in which the lead passed on or a request failed
/// is taken again, and said.
///
/// With --failover, leaders are killed instead, and what counts is how long nobody is served, with the settings that
/// each system has by itself.
#[derive(Args, Debug)]
#[command(after_help = "Exit code: 0 measured, 2 a row has no figures, 254 wrong arguments,
           255 the harness itself failed.
Example:   harness bench raft --against etcd --clients 1,64 --rounds 3
           harness bench raft --against etcd --failover 30")]
struct RaftArgs {
    /// A system to measure beside it, in this build of it if one is given [see: harness list]
    #[arg(long, value_name = "SYSTEM[=BINARY]")]
    against: Option<Against>,

    /// How many nodes each system has
    #[arg(long, value_name = "N", default_value_t = 3)]
    nodes: u16,

    /// How many clients at once; a row for each
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1,16,64,256")]
    clients: Vec<usize>,

    /// How long a turn is
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    turn: f64,

    /// How many turns each system gets for a row
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,

    /// Kill so many leaders of each system instead, and measure until a client is served again
    #[arg(long, value_name = "N", conflicts_with_all = ["clients", "turn", "rounds"])]
    failover: Option<usize>,

    /// Make every sync of raft-node's disk take this much longer
    #[arg(long, value_name = "MS", default_value_t = 0)]
    sync_delay: u64,

    /// Where nodes keep their data meanwhile [default: a temporary folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Print one JSON object on standard output, and nothing else there
    #[arg(long)]
    json: bool,
}

/// How many keys are written and read.
const KEYS: u64 = 10_000;
/// How long an answer may take before nobody waits for it any more.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whom to measure beside.
#[derive(Clone, Debug)]
struct Against {
    system: String,
    bin: Option<PathBuf>,
}

impl FromStr for Against {
    type Err = std::convert::Infallible;

    /// `etcd`, or `etcd=/opt/etcd`.
    fn from_str(text: &str) -> Result<Against, Self::Err> {
        let (system, bin) = text.split_once('=').map_or((text, None), |(name, bin)| (name, Some(bin.into())));
        Ok(Against { system: system.to_owned(), bin })
    }
}

/// Measures what the flags say, and prints the table.
pub(crate) fn bench(args: BenchArgs) -> Result<Exit, Refusal> {
    match args.subject {
        Subject::Raft(args) => raft(args),
        Subject::Checker(args) => checker::bench(args),
    }
}

fn raft(args: RaftArgs) -> Result<Exit, Refusal> {
    if args.clients.contains(&0) || args.rounds == 0 {
        return Err(Refusal::wrong("--clients and --rounds: at least 1"));
    }
    let folder = tempfile::tempdir().map_err(Refusal::broken)?;
    let mut settings = BTreeMap::new();
    if args.sync_delay > 0 {
        settings.insert("sync-delay".to_owned(), args.sync_delay.to_string());
    }
    let ours = Contender { system: "raft".to_owned(), bin: None, settings };
    let peer = |Against { system, bin }| Contender { system, bin, settings: BTreeMap::new() };
    let systems: Vec<Contender> = std::iter::once(ours).chain(args.against.map(peer)).collect();
    let out = args.out.unwrap_or_else(|| folder.path().to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(Refusal::broken)?;
    let refused = |error: runner::Error| {
        if error.is_users() { Refusal::wrong(&error) } else { Refusal::broken(&error) }
    };
    if let Some(kills) = args.failover {
        if kills == 0 || args.nodes < 3 {
            return Err(Refusal::wrong(
                "--failover: at least 1 kill, of a leader that 2 others can do without",
            ));
        }
        let asked = Failover { systems, nodes: args.nodes, kills, out };
        let outages = runtime.block_on(runner::bench::failover(&asked, tell)).map_err(refused)?;
        if args.json {
            render::json(&outages)?;
        } else {
            render::text(&format!("{outages}\n"))?;
        }
        return Ok(Exit::Valid);
    }
    let bench = Bench {
        systems,
        nodes: args.nodes,
        clients: args.clients,
        kinds: Kind::ALL.to_vec(),
        turn: seconds("--turn", args.turn, LONGEST)?,
        rounds: args.rounds,
        keys: KEYS,
        patience: PATIENCE,
        out,
    };
    let table = runtime.block_on(runner::bench::bench(&bench, tell)).map_err(refused)?;
    if args.json {
        render::json(&table)?;
    } else {
        render::text(&format!("{table}\n"))?;
    }
    Ok(if table.is_complete() { Exit::Valid } else { Exit::Unknown })
}

/// Progress goes to standard error.
#[expect(clippy::print_stderr, reason = "standard output is for the table")]
fn tell(line: &str) {
    eprintln!("{line}");
}
