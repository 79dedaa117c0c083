//! `harness bench checker`: what a verdict costs.
//!
//! Histories are real ones, if a folder of them is given, and generated ones, each row with its seeds, so that
//! anybody can have the same. What is timed is the check alone: no reading, no generating, and unless it says
//! so, no looking for evidence after the verdict. Each generated row is measured in a process of its own,
//! which is this program again, with its row's name as an argument.

use std::collections::BTreeSet;
use std::path::PathBuf;

use checker::{Budget, Setup};
use clap::Args;
use serde_json::json;

use super::ablation::{self, Ablated, Cell, Table};
use super::asked::Asked;
use super::child;
use super::folders::{self, Folder};
use super::measure::{self, How};
use super::peer::{Compared, Files, Peer};
use super::report::{RowReport, median};
use super::rows::{self, Judge, MOST_COMPARED, Row, What};
use super::tell;
use crate::common::{LONGEST, seconds};
use crate::exit::{Exit, Refusal};
use crate::render;

/// How long verdicts take and how much memory, on real histories and generated ones.
///
/// A peer is any program. It is called as BINARY MODEL HISTORY.jsonl HISTORY.json, where both files hold
/// the same history, as our JSON lines and as Porcupine's operations; it prints one JSON object,
/// {"verdict": "valid|invalid|unknown", "ms": 1.25}, with the milliseconds that its check took without
/// reading, and ends with 0. It is asked in turns with ours.
#[derive(Args, Debug)]
#[command(after_help = "Exit code: 0 measured, 2 a row has no figures, 254 wrong arguments,
           255 the harness itself failed, or found a history what it certainly is not.
Example:   harness bench checker --only cas-1m,no-1k-other --ablation")]
pub(super) struct CheckerArgs {
    /// Real histories too: a folder with an INDEX.tsv (file, format, model, ops, expected verdict)
    #[arg(long, value_name = "DIR")]
    histories: Option<PathBuf>,

    /// Only these rows, or folders of the index
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    only: Vec<String>,

    /// A thousandth of the ops, and no targets: to see that it works
    #[arg(long)]
    quick: bool,

    /// How often each check is timed; the median counts
    #[arg(long, value_name = "N", default_value_t = 5)]
    runs: usize,

    /// Threads to search with
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,

    /// Give up on a check after this long [default: 60, or 10 with --ablation]
    #[arg(long, value_name = "SECONDS")]
    time_limit: Option<f64>,

    /// The same rows with one reduction of the search switched off at a time, and with none of it
    #[arg(long, conflicts_with = "against")]
    ablation: bool,

    /// Another checker to measure beside ours
    #[arg(long, value_name = "NAME=BINARY")]
    against: Option<Peer>,

    /// Print one JSON object on standard output, and nothing else there
    #[arg(long)]
    json: bool,

    /// Measure this row in this process, and print what it came to
    #[arg(long, hide = true)]
    row: Option<String>,

    /// Carry its checks out so
    #[arg(long, hide = true)]
    variant: Option<String>,
}

/// What is to be measured.
struct Bench {
    rows: Vec<Row>,
    folders: Vec<Folder>,
    how: How,
    threads: usize,
    quick: bool,
}

/// Measures what the flags say, and prints it.
pub(super) fn bench(args: CheckerArgs) -> Result<Exit, Refusal> {
    if args.runs == 0 || args.threads == 0 {
        return Err(Refusal::wrong("--runs and --threads: at least 1"));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads);
    pool.build_global().map_err(Refusal::broken)?;
    let limit = args.time_limit.unwrap_or(if args.ablation { 10.0 } else { 60.0 });
    let time = seconds("--time-limit", limit, LONGEST)?;
    let budget = Budget { time, ..Budget::default() };
    let how = How { setup: Setup::default(), budget, runs: args.runs, brief: false };
    if let Some(name) = &args.row {
        return one_row(name, args.variant.as_deref(), &how, args.quick);
    }
    let folders = args.histories.as_deref().map_or(Ok(Vec::new()), folders::read)?;
    let (rows, folders) = chosen(rows::rows(args.quick), folders, &args.only)?;
    let bench = Bench { rows, folders, how, threads: args.threads, quick: args.quick };
    match args.against {
        _ if args.ablation => bench.ablation(args.json),
        Some(peer) => bench.against(&peer, args.json),
        None => bench.plain(args.json),
    }
}

/// The row that this process was started for.
fn one_row(name: &str, variant: Option<&str>, how: &How, quick: bool) -> Result<Exit, Refusal> {
    child::live_with_parent();
    let row = rows::rows(quick).into_iter().find(|row| row.name == name);
    let row = row.ok_or_else(|| Refusal::wrong(format_args!("--row {name}: there is none")))?;
    let mut how = *how;
    if let Some(name) = variant {
        let variant = ablation::variants().into_iter().find(|variant| variant.name == name);
        let variant =
            variant.ok_or_else(|| Refusal::wrong(format_args!("--variant {name}: there is none")))?;
        how = How { setup: variant.setup, brief: true, ..how };
    }
    render::json(&measure::row(&row, &how))?;
    Ok(Exit::Valid)
}

/// Those that were asked for, which must all be there.
fn chosen(
    mut rows: Vec<Row>,
    mut folders: Vec<Folder>,
    only: &[String],
) -> Result<(Vec<Row>, Vec<Folder>), Refusal> {
    if only.is_empty() {
        return Ok((rows, folders));
    }
    let names = rows.iter().map(|row| row.name).chain(folders.iter().map(|folder| folder.name.as_str()));
    let names: BTreeSet<&str> = names.collect();
    if let Some(strange) = only.iter().find(|name| !names.contains(name.as_str())) {
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        return Err(Refusal::wrong(format_args!("--only {strange}: there is {names}")));
    }
    rows.retain(|row| only.iter().any(|name| name == row.name));
    folders.retain(|folder| only.contains(&folder.name));
    Ok((rows, folders))
}

impl Bench {
    /// Every row and folder, by our checker as it is.
    fn plain(&self, as_json: bool) -> Result<Exit, Refusal> {
        let mut outcome = Outcome::default();
        for folder in &self.folders {
            tell(&format!("{} …", folder.name));
            outcome.push(folders::measure(folder, &self.how));
        }
        for row in &self.rows {
            tell(&format!("{} …", row.name));
            match child::measure(&self.arguments(row, None)) {
                Ok(report) => outcome.push(report),
                Err(why) => outcome.missing(row.name, row.story, &why),
            }
        }
        self.print(&outcome, None, as_json)
    }

    /// What a process needs to know to measure a row.
    fn arguments(&self, row: &Row, variant: Option<&str>) -> Vec<String> {
        let How { runs, budget, .. } = &self.how;
        let mut arguments = vec![
            format!("--row={}", row.name),
            format!("--runs={runs}"),
            format!("--threads={}", self.threads),
            format!("--time-limit={}", budget.time.as_secs_f64()),
        ];
        arguments.extend(variant.map(|name| format!("--variant={name}")));
        arguments.extend(self.quick.then(|| "--quick".to_owned()));
        arguments
    }

    /// Rows that are compared, without those that are about something else.
    fn compared(&self) -> impl Iterator<Item = (&Row, &Judge)> {
        self.rows.iter().filter_map(|row| match &row.what {
            What::Judge(judge) if judge.plan.ops <= MOST_COMPARED => Some((row, judge)),
            _ => None,
        })
    }

    /// Every row and folder, variant by variant.
    fn ablation(&self, as_json: bool) -> Result<Exit, Refusal> {
        let variants = ablation::variants();
        let mut outcome = Outcome::default();
        let mut table = Vec::new();
        for folder in &self.folders {
            let mut cells = Vec::new();
            for variant in &variants {
                tell(&format!("{}, {} …", folder.name, variant.name));
                let how = How { setup: variant.setup, brief: true, ..self.how };
                cells.push(outcome.cell(&folders::measure(folder, &how), "check, sum"));
            }
            table.push(Ablated { name: folder.name.clone(), cells });
        }
        for (row, _) in self.compared() {
            let mut cells = Vec::new();
            for variant in &variants {
                tell(&format!("{}, {} …", row.name, variant.name));
                match child::measure(&self.arguments(row, Some(variant.name))) {
                    Ok(report) => cells.push(outcome.cell(&report, "check")),
                    Err(why) => {
                        outcome.missing.push(format!("{}, {}: {why}", row.name, variant.name));
                        cells.push(None);
                    }
                }
            }
            table.push(Ablated { name: row.name.to_owned(), cells });
        }
        let table = Table { variants: variants.iter().map(|variant| variant.name).collect(), rows: table };
        if as_json {
            render::json(&json!({
                "threads": self.threads,
                "runs": self.how.runs,
                "quick": self.quick,
                "time_limit_seconds": self.how.budget.time.as_secs_f64(),
                "ablation": table,
                "wrong": outcome.wrong,
                "missing": outcome.missing,
            }))?;
        } else {
            let limit = self.how.budget.time.as_secs_f64();
            let (wrong, missing) = (outcome.wrong.join("\n"), outcome.missing.join("\n"));
            let said = [wrong, missing].map(|text| if text.is_empty() { text } else { text + "\n" }).concat();
            let about = self.about();
            render::text(&format!(
                "{table}{said}{about}, given up after {limit} s, the first seed of each\n"
            ))?;
        }
        Ok(outcome.exit())
    }

    /// Every row and folder, in turns with a peer.
    fn against(&self, peer: &Peer, as_json: bool) -> Result<Exit, Refusal> {
        peer.is_there()?;
        let place = tempfile::tempdir().map_err(Refusal::broken)?;
        let mut outcome = Outcome::default();
        for folder in &self.folders {
            tell(&format!("{} …", folder.name));
            let mut report = RowReport::new(&folder.name, "histories that others recorded and judged");
            let mut all = Vec::new();
            for known in &folder.files {
                let compared = self.compare(peer, &known.asked, place.path())?;
                let compared =
                    compared.inspect_err(|why| outcome.missing.push(format!("{}: {why}", known.file)));
                let Ok(compared) = compared else { continue };
                report.add(known.asked.ops(), &compared.ours);
                note_difference(&mut report, &known.file, &compared);
                if known.contradicts(&compared.ours) {
                    report.wrong.push(format!("{} was found {}", known.file, compared.ours));
                }
                all.push(compared);
            }
            figures(&mut report, &peer.name, &all);
            outcome.push(report);
        }
        for (row, judge) in self.compared() {
            tell(&format!("{} …", row.name));
            let asked = judge.subject.play(&judge.plan);
            match self.compare(peer, &asked, place.path())? {
                Err(why) => outcome.missing(row.name, row.story, &why),
                Ok(compared) => {
                    let mut report = RowReport::new(row.name, row.story);
                    report.add(asked.ops(), &compared.ours);
                    note_difference(&mut report, "the history", &compared);
                    if !judge.truth.allows(&compared.ours) {
                        report.wrong.push(format!("it was found {}", compared.ours));
                    }
                    figures(&mut report, &peer.name, &[compared]);
                    outcome.push(report);
                }
            }
        }
        self.print(&outcome, Some(peer), as_json)
    }

    /// The peer's failures are its own; that its files cannot be written is ours.
    fn compare(
        &self,
        peer: &Peer,
        asked: &Asked,
        place: &std::path::Path,
    ) -> Result<Result<Compared, String>, Refusal> {
        let files = Files::write(asked, place)
            .map_err(|error| Refusal::broken(format_args!("{}: {error}", place.display())))?;
        Ok(peer.compare(asked, &files, &self.how))
    }

    fn print(&self, outcome: &Outcome, peer: Option<&Peer>, as_json: bool) -> Result<Exit, Refusal> {
        if as_json {
            render::json(&json!({
                "threads": self.threads,
                "runs": self.how.runs,
                "quick": self.quick,
                "against": peer.map(|peer| &peer.name),
                "rows": outcome.rows,
                "missing": outcome.missing,
            }))?;
        } else {
            let rows: String = outcome.rows.iter().map(ToString::to_string).collect();
            let missing: Vec<String> =
                outcome.missing.iter().map(|line| format!("no figures: {line}\n")).collect();
            render::text(&format!("{rows}{}{}\n", missing.concat(), self.about()))?;
        }
        Ok(outcome.exit())
    }

    fn about(&self) -> String {
        let threads =
            if self.threads == 1 { "one thread".to_owned() } else { format!("{} threads", self.threads) };
        let quick = if self.quick { ", short histories" } else { "" };
        match self.how.runs {
            1 => format!("{threads}, one run of each{quick}"),
            runs => format!("{threads}, medians of {runs} runs{quick}"),
        }
    }
}

fn note_difference(report: &mut RowReport, which: &str, compared: &Compared) {
    let Compared { ours, peers, .. } = compared;
    if ours != peers {
        report.notes.push(format!("{which}: {ours} by us, {peers} by the peer"));
    }
}

/// Sums, and the median of the ratios.
fn figures(report: &mut RowReport, peer: &str, all: &[Compared]) {
    let ratios: Vec<f64> = all.iter().map(|compared| compared.ratio).collect();
    let Some(ratio) = median(&ratios) else { return };
    report.figure("ours", all.iter().map(|compared| compared.our_ms).sum(), "ms", None);
    report.figure(peer, all.iter().map(|compared| compared.peer_ms).sum(), "ms", None);
    report.figure("it takes, median", ratio, "times ours", None);
}

/// All that came out.
#[derive(Debug, Default)]
struct Outcome {
    rows: Vec<RowReport>,
    /// Verdicts that are certainly not right.
    wrong: Vec<String>,
    /// What could not be measured, and why.
    missing: Vec<String>,
}

impl Outcome {
    fn push(&mut self, report: RowReport) {
        let name = &report.name;
        self.wrong.extend(report.wrong.iter().map(|wrong| format!("{name}: {wrong}")));
        self.rows.push(report);
    }

    fn missing(&mut self, name: &str, story: &str, why: &str) {
        self.missing.push(format!("{name}: {why}"));
        self.rows.push(RowReport::new(name, story));
    }

    /// One figure of a report.
    fn cell(&mut self, report: &RowReport, figure: &str) -> Option<Cell> {
        let found = report.value(figure).or_else(|| report.value("check, median seed"));
        let known = report.found("valid") + report.found("invalid");
        let cell = found.map(|ms| Cell { ms, unknown: report.histories - known });
        self.wrong.extend(report.wrong.iter().map(|wrong| format!("WRONG: {}: {wrong}", report.name)));
        cell
    }

    fn exit(&self) -> Exit {
        match (self.wrong.is_empty(), self.missing.is_empty()) {
            (false, _) => Exit::Broken,
            (true, false) => Exit::Unknown,
            (true, true) => Exit::Valid,
        }
    }
}
