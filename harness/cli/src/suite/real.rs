//! The same hunt with real processes: `harness suite bugs-raft --world real`.
//!
//! One list of plans serves all mistakes: run k of a hunt goes by plan k modulo their number, with seed k. A plan is a
//! make and an [`Act`]. Half of the makes have lossy disks, most of them slow, since a kill takes nothing from a real
//! one; half take snapshots often, since nobody waits for ten thousand entries; most have long links, since on loopback
//! nothing is ever under way; some read by leases, and the others elect sooner than they would by themselves. A hunt
//! ends at the first run that shows something, or when its time is up.
//!
//! What counts as shown is what the same plans never show without a mistake: a history that breaks its promise, nodes
//! that hold different stores, a node that ends by itself, a cluster that is not as before when all is healed. The
//! control goes through the same plans; whatever it shows is worth as much as all finds together.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nemesis::{Kind, Kinds, Schedule, Span, Storm, Wait};
use raft::Bug;
use rayon::prelude::*;
use runner::{Disk, Error, Plan, Report, Silent};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use workload::Name;

use super::table::shortened;
use super::{Exit, Refusal};
use crate::common::{count, program, quote};
use crate::live::Board;
use crate::run::{on_signal, same_faults};

/// Mistakes that clients of real processes cannot show, and why.
pub(super) const BEYOND: [(Bug, &str); 11] = [
    (Bug::CutOnStaleAppend, "appends come over one connection, and none overtakes another"),
    (
        Bug::IgnoreSessions,
        "clients of etcd's API do not ask again under the same name, nor does a node for them",
    ),
    (Bug::TrustClocks, "the clocks of real processes all run equally fast here"),
    (Bug::SkipChecksum, "no bit rots on the disks of real processes"),
    (Bug::KeepTornTail, "a kill takes whole writes and tears none"),
    (Bug::IgnoreFailedSync, "no sync of a real process fails here"),
    (Bug::SkipPreVote, "needless elections break no promise"),
    (Bug::SkipQuorumCheck, "a leader that hears nobody answers nobody, like one that is slow"),
    (Bug::ChangeTwice, "members are changed one at a time here, each after the last change is known"),
    (Bug::CountNewOnly, "one member is changed at a time here, so no membership is ever joint"),
    (Bug::KeepTransfer, "nobody here asks for another leader"),
];

/// Mistakes that harm clients by a rare coincidence: those of the simulator do not see them in 2,000 s, says [a
/// test](../../tests/levels.rs). They are hunted like all others, and counted apart.
const RARE: [Bug; 9] = [
    Bug::ForgetVote,
    Bug::ForgetTerm,
    Bug::CompareIndexFirst,
    Bug::CommitOldTerm,
    Bug::ReuseReadRound,
    Bug::CountOldAnswers,
    Bug::CountUnsynced,
    Bug::WrongSnapshotTerm,
    Bug::ChangeBeforeOwnCommit,
];

/// How long clients and faults go on in a run.
const LENGTH: Duration = Duration::from_secs(8);
/// How long a mistake is hunted at most, if nothing is said.
pub(super) const BUDGET: Duration = Duration::from_mins(2);
/// How often the control goes through all plans, if nothing is said.
pub(super) const ROUNDS: u32 = 1;

/// What shows a mistake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sort {
    /// Clients saw it.
    History,
    /// Nodes hold different stores.
    Stores,
    /// A node ended by itself.
    Ended,
    /// The cluster was not as before when all was healed.
    Stuck,
}

impl Sort {
    fn name(self) -> &'static str {
        match self {
            Sort::History => "history",
            Sort::Stores => "stores",
            Sort::Ended => "ended",
            Sort::Stuck => "stuck",
        }
    }
}

/// Something that was shown.
struct Find {
    sort: Sort,
    sentence: String,
    seed: u64,
    /// Where the run is kept, and what to type to have its faults again.
    folder: Option<(PathBuf, String)>,
}

/// A mistake, and what became of its hunt.
struct Row {
    bug: Option<Bug>,
    runs: u64,
    took: Duration,
    found: Option<Find>,
    /// Why some runs said nothing.
    silent: Vec<String>,
}

/// What is asked for.
pub(super) struct Hunts<'a> {
    pub(super) bugs: &'a [Bug],
    pub(super) budget: Duration,
    pub(super) rounds: u32,
    pub(super) out: &'a Path,
    pub(super) all: bool,
}

/// The mistakes that processes can show.
pub(super) fn within() -> Vec<Bug> {
    Bug::ALL.into_iter().filter(|bug| BEYOND.iter().all(|(beyond, _)| beyond != bug)).collect()
}

/// What a run is made of, beside its faults.
struct Make {
    nodes: u16,
    workload: Name,
    disk: Disk,
    snapshots: bool,
    lease: bool,
    /// Nodes are far from each other: votes, answers and appends are on their way for long.
    far: bool,
}

/// Each disk meets each number of nodes and each kind of register; the rest is spread over them.
#[rustfmt::skip]
const MAKES: [Make; 8] = [
    Make { nodes: 3, workload: Name::Register, disk: Disk::Lossy, snapshots: true, lease: false, far: false },
    Make { nodes: 3, workload: Name::Register, disk: Disk::Real, snapshots: true, lease: false, far: true },
    Make { nodes: 5, workload: Name::Register, disk: Disk::Lossy, snapshots: false, lease: false, far: true },
    Make { nodes: 5, workload: Name::Register, disk: Disk::Real, snapshots: false, lease: true, far: true },
    Make { nodes: 3, workload: Name::CasRegister, disk: Disk::Lossy, snapshots: true, lease: false, far: true },
    Make { nodes: 3, workload: Name::CasRegister, disk: Disk::Real, snapshots: false, lease: false, far: false },
    Make { nodes: 5, workload: Name::CasRegister, disk: Disk::Lossy, snapshots: false, lease: true, far: false },
    Make { nodes: 5, workload: Name::CasRegister, disk: Disk::Real, snapshots: true, lease: false, far: true },
];

/// What goes wrong in a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    /// Whatever chance brings.
    Storm,
    /// Faults that last much longer than an election.
    Blows,
    /// Faults that last about as long as one.
    Flicker,
    /// Leaders that stand still, and wake up alone.
    Sleep,
}

/// In turns: 32 runs have each make with each of them.
const ACTS: [Act; 4] = [Act::Storm, Act::Blows, Act::Flicker, Act::Sleep];

/// Leaders are cut off, killed and stopped, the whole cluster goes dark, and in between it has the time to answer
/// wrongly.
const BLOWS: &str = r#"
[[step]]
at = "600ms"
every = "~2s"
lasting = "~800ms"
fault = "partition"
shape = "isolate-leader"

[[step]]
at = "1500ms"
every = "~1500ms"
lasting = "200ms"
fault = "kill"
nodes = "all"

[[step]]
at = "2200ms"
every = "~2s"
lasting = "~600ms"
fault = "pause"
nodes = "leader"

[[step]]
at = "2900ms"
every = "~2500ms"
lasting = "300ms"
fault = "membership"
nodes = "leader"

[[step]]
at = "3400ms"
every = "~3s"
lasting = "100ms"
fault = "restart"
nodes = "minority"

[[step]]
at = "4s"
every = "~3s"
lasting = "~1s"
fault = "partition"
shape = "majority"
sever = "cut"
"#;

/// Leaders are cut off for about as long as it takes to elect another, so that two of them have something of their
/// own. In the middle of it, or when it has just been mended, all die and begin anew, whatever they were about to say
/// or to cut; and between, leaders die alone, with what they passed on and did not answer.
const FLICKER: &str = r#"
[[step]]
at = "500ms"
every = "1600ms"
lasting = "450ms"
fault = "partition"
shape = "isolate-leader"

[[step]]
at = "750ms"
every = "1600ms"
lasting = "50ms"
fault = "kill"
nodes = "all"

[[step]]
at = "1300ms"
every = "~800ms"
lasting = "~100ms"
fault = "kill"
nodes = "leader"

[[step]]
at = "1500ms"
every = "1600ms"
lasting = "220ms"
fault = "partition"
shape = "isolate-leader"

[[step]]
at = "1750ms"
every = "1600ms"
lasting = "50ms"
fault = "kill"
nodes = "all"
"#;

/// Leaders stand still for long, and are cut off before they go on: whatever reached them at the end is old, and
/// they do not know. Their clients ask them before anybody else can. And members come and go.
const SLEEP: &str = r#"
[[step]]
at = "500ms"
every = "2500ms"
lasting = "1200ms"
fault = "pause"
nodes = "leader"

[[step]]
at = "530ms"
every = "2500ms"
lasting = "1600ms"
fault = "partition"
shape = "isolate-leader"

[[step]]
at = "2300ms"
every = "2500ms"
lasting = "~200ms"
fault = "membership"
nodes = "one"
"#;

/// A storm of all that processes can be given: short days, since a run is short.
fn storm() -> Schedule {
    let about = |millis| Some(Wait::About(Span::millis(millis)));
    let storm = Storm { day: about(800), night: about(3_000), ..Storm::of(Kinds::of(Kind::REAL)) };
    Schedule { random: Some(storm), ..Schedule::default() }
}

/// The schedule of such a run.
fn schedule_of(act: Act, nodes: u16) -> Schedule {
    let steps = match act {
        Act::Storm => return storm(),
        Act::Blows => BLOWS,
        Act::Flicker => FLICKER,
        Act::Sleep => SLEEP,
    };
    Schedule::parse(steps, &nemesis::cluster(nodes)).expect("it is read by a test")
}

/// Which make a run of this seed has, and which act.
fn kind_of(seed: u64) -> (&'static Make, Act) {
    let pick = |number: u64, many: usize| {
        usize::try_from(number % many as u64).expect("what is below a few is small")
    };
    // Makes 4 apart are alike in disk and number of nodes: those, too, have all acts, and not the same one each time.
    (&MAKES[pick(seed, MAKES.len())], ACTS[pick(seed + seed / 4 + seed / 16, ACTS.len())])
}

/// The plan of the run of this seed.
fn plan_of(out: &Path, bug: Option<Bug>, seed: u64) -> Plan {
    let (make, act) = kind_of(seed);
    let schedule = schedule_of(act, make.nodes);
    let mut settings = Vec::new();
    if make.snapshots {
        settings.extend([("snapshot-count", "150"), ("snapshot-catchup-entries", "20")]);
        if make.far {
            // Small as these states are, they would be fetched at once: with as many questions as a large one takes time.
            settings.push(("snapshot-piece", "512"));
        }
    }
    if make.lease {
        settings.push(("read-lease", "50"));
    } else {
        // More elections in the same time, and so more that can go wrong.
        settings.extend([("heartbeat-interval", "20"), ("election-timeout", "100")]);
    }
    if make.disk == Disk::Lossy {
        // What is not synced yet lies there for a while, and for longer on most nodes than on the others.
        let slow = ["n1:sync-delay", "n3:sync-delay", "n5:sync-delay"];
        let slow = slow.into_iter().take(usize::from(make.nodes).div_ceil(2));
        settings.extend(slow.map(|disk| (disk, "80")));
    }
    Plan {
        nodes: make.nodes,
        workload: make.workload,
        disk: make.disk,
        link_delay: Duration::from_millis(if make.far { 10 } else { 0 }),
        nemesis: schedule.kinds(),
        schedule: Some(schedule),
        settings: settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        // Many clients, so that several are cut off together with a leader; not so fast that a lost write is covered
        // by the next one.
        concurrency: Some(12 * usize::from(make.nodes)),
        rate: 400.0,
        time_limit: LENGTH,
        fail_fast: true,
        bugs: bug.iter().map(ToString::to_string).collect(),
        seed,
        out: out.to_owned(),
        ..Plan::default()
    }
}

/// Hunts, and prints what came of it.
pub(super) fn suite(hunts: &Hunts<'_>, as_json: bool) -> Result<(Exit, Value), Refusal> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Refusal::broken)?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    runtime.spawn(on_signal(move || stopping.cancel()));
    let board = Board::new();
    let hunt = |bug: Option<Bug>, enough: &(dyn Fn(&Row) -> bool + Sync)| {
        let began = Instant::now();
        let mut row = Row { bug, runs: 0, took: Duration::ZERO, found: None, silent: Vec::new() };
        while row.found.is_none() && !enough(&row) && !stop.is_cancelled() {
            let plan = plan_of(hunts.out, bug, row.runs);
            let seed = plan.seed;
            row.runs += 1;
            let again = same_faults(&plan);
            match show(runtime.block_on(runner::run(plan, Arc::new(Silent), stop.clone())), seed, &again) {
                Ok(Shown::Find(find)) => row.found = Some(find),
                Ok(Shown::Nothing) => {}
                Ok(Shown::Silence(why)) => row.silent.push(format!("seed {seed}: {why}")),
                Err(error) => row.silent.push(format!("seed {seed}: no verdict: {error}")),
            }
            row.took = began.elapsed();
        }
        board.line(&line(&row));
        row
    };
    let tired = |row: &Row| row.took >= hunts.budget;
    let rows: Vec<Row> = hunts.bugs.par_iter().with_max_len(1).map(|bug| hunt(Some(*bug), &tired)).collect();
    let length = u64::from(hunts.rounds) * (MAKES.len() * ACTS.len()) as u64;
    let control = hunt(None, &|row: &Row| row.runs >= length);
    board.end();
    let outcome = Outcome { rows, control, all: hunts.all, stopped: stop.is_cancelled() };
    let object = outcome.object();
    if as_json {
        crate::render::json(&object)?;
    } else {
        crate::render::text(&outcome.text())?;
    }
    Ok((outcome.exit(), object))
}

/// What a run shows.
enum Shown {
    Find(Find),
    Nothing,
    /// It could not have shown anything.
    Silence(String),
}

/// A cluster that never came up shows something, too. An error of any other kind is the harness's own.
fn show(ended: Result<Report, Error>, seed: u64, again: &str) -> Result<Shown, Error> {
    let report = match ended {
        Ok(report) => report,
        Err(error @ Error::Start { .. }) => return Ok(at_start(Sort::Ended, &error, seed)),
        Err(error @ Error::NotReady { .. }) => return Ok(at_start(Sort::Stuck, &error, seed)),
        Err(error) => return Err(error),
    };
    let failings = &report.failings;
    let told = report.reason.clone().unwrap_or_default();
    let found = match (report.verdict, &failings.disagreement) {
        ("invalid", Some(difference)) if *difference == told => Some((Sort::Stores, told.clone())),
        ("invalid", _) => Some((Sort::History, told.clone())),
        _ => {
            let ended = failings.ended.first().map(|words| (Sort::Ended, words.clone()));
            ended.or_else(|| failings.stuck.first().map(|words| (Sort::Stuck, words.clone())))
        }
    };
    Ok(match found {
        Some((sort, sentence)) => {
            let schedule = quote(&report.folder.join("schedule.toml").to_string_lossy());
            let again = format!("{} run --schedule {schedule} {again}", program());
            Shown::Find(Find { sort, sentence, seed, folder: Some((report.folder.clone(), again)) })
        }
        None if report.is_valid() => Shown::Nothing,
        None => Shown::Silence(told),
    })
}

fn at_start(sort: Sort, error: &Error, seed: u64) -> Shown {
    let sentence = error.to_string().lines().next().unwrap_or_default().to_owned();
    Shown::Find(Find { sort, sentence, seed, folder: None })
}

struct Outcome {
    rows: Vec<Row>,
    control: Row,
    all: bool,
    stopped: bool,
}

impl Outcome {
    fn killed(&self) -> usize {
        self.rows.iter().filter(|row| row.found.is_some()).count()
    }

    fn doubts(&self) -> Vec<String> {
        let missed: Vec<&str> = self.rows.iter().filter(|row| row.found.is_none()).filter_map(name).collect();
        let missed = (!missed.is_empty()).then(|| format!("not found: {}", missed.join(", ")));
        let stopped = self.stopped.then(|| "stopped early".to_owned());
        let silent = self.control.silent.iter().map(|why| format!("control: {why}"));
        missed.into_iter().chain(stopped).chain(silent).collect()
    }

    fn exit(&self) -> Exit {
        match (&self.control.found, self.doubts().is_empty()) {
            (Some(_), _) => Exit::Invalid,
            (None, false) => Exit::Unknown,
            (None, true) => Exit::Valid,
        }
    }

    fn verdict(&self) -> &'static str {
        match self.exit() {
            Exit::Valid => "valid",
            Exit::Invalid => "invalid",
            _ => "unknown",
        }
    }

    fn text(&self) -> String {
        let mut out = String::new();
        for row in &self.rows {
            let _ = writeln!(out, "{}", line(row));
        }
        if self.all {
            for (bug, why) in BEYOND {
                let _ = writeln!(
                    out,
                    "{:4} {:25} not in this world: {why}",
                    bug.number().unwrap_or(""),
                    bug.name()
                );
            }
        }
        if !self.rows.is_empty() {
            let [common, rare] = [false, true].map(|rare| {
                let these = || self.rows.iter().filter(move |row| row.bug.is_some_and(is_rare) == rare);
                (these().filter(|row| row.found.is_some()).count(), these().count())
            });
            let _ = write!(out, "killed: {} of {}", common.0, common.1);
            if rare.1 > 0 {
                let _ = write!(out, ", and {} of {} that harm clients rarely", rare.0, rare.1);
            }
            if self.all {
                let _ = write!(out, "; {} processes cannot show", BEYOND.len());
            }
            out.push('\n');
        }
        for (row, find) in self.rows.iter().filter_map(|row| Some((row, row.found.as_ref()?))) {
            if let Some((folder, again)) = &find.folder {
                let name = name(row).unwrap_or_default();
                let _ = writeln!(out, "{name} is in {}\nthe same faults again: {again}", folder.display());
            }
        }
        let _ = writeln!(out, "{}", line(&self.control));
        for doubt in self.doubts() {
            let _ = writeln!(out, "{doubt}");
        }
        let _ = writeln!(out, "verdict: {}", self.verdict());
        out
    }

    fn object(&self) -> Value {
        let beyond = BEYOND
            .map(|(bug, why)| json!({ "number": bug.number(), "bug": bug.name(), "why": why }))
            .to_vec();
        json!({
            "suite": "bugs-raft",
            "world": "real",
            "bugs": self.rows.iter().map(object).collect::<Vec<Value>>(),
            "not_in_this_world": beyond,
            "killed": self.killed(),
            "hunted": self.rows.len(),
            "control": object(&self.control),
            "doubts": self.doubts(),
            "verdict": self.verdict(),
        })
    }
}

fn is_rare(bug: Bug) -> bool {
    RARE.contains(&bug)
}

fn name(row: &Row) -> Option<&'static str> {
    row.bug.map(Bug::name)
}

fn object(row: &Row) -> Value {
    let found = row
        .found
        .as_ref()
        .map(|find| json!({ "as": find.sort.name(), "sentence": find.sentence, "seed": find.seed }));
    json!({
        "number": row.bug.and_then(Bug::number),
        "bug": name(row),
        "rare": row.bug.is_some_and(is_rare),
        "found": found,
        "runs": row.runs,
        "seconds": (row.took.as_secs_f64() * 10.0).round() / 10.0,
        "silent": row.silent,
    })
}

/// `R2   forget-vote               ended      3 runs    31.4 s  n2 ended by itself …`
fn line(row: &Row) -> String {
    let number = row.bug.and_then(Bug::number).unwrap_or("");
    let (sort, sentence) = match &row.found {
        Some(find) => (find.sort.name(), shortened(&find.sentence)),
        None if row.bug.is_none() => ("nothing", String::new()),
        None => ("not found", String::new()),
    };
    let (runs, seconds) = (count(row.runs, "run"), row.took.as_secs_f64());
    let name = name(row).unwrap_or("without a mistake");
    format!("{number:4} {name:25} {sort:10} {runs:>8} {seconds:>8.1} s  {sentence}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_make_meets_every_act_and_a_few_runs_have_each_disk_in_each_act_on_few_nodes_and_on_more() {
        let kind = |seed: u64| (seed % MAKES.len() as u64, kind_of(seed).1);
        let all: BTreeSet<String> = (0..32).map(|seed| format!("{:?}", kind(seed))).collect();
        assert_eq!(all.len(), 32);
        for (disk, nodes) in [(Disk::Lossy, 3), (Disk::Lossy, 5), (Disk::Real, 3), (Disk::Real, 5)] {
            let these = (0..16).map(kind_of).filter(|(make, _)| make.disk == disk && make.nodes == nodes);
            let acts: BTreeSet<String> = these.map(|(_, act)| format!("{act:?}")).collect();
            assert_eq!(acts.len(), ACTS.len(), "{disk:?} {nodes}: {acts:?}");
        }
        let plans: Vec<Plan> = (0..32).map(|seed| plan_of(Path::new("runs"), None, seed)).collect();
        let with = |setting| plans.iter().filter(|plan| plan.settings.contains_key(setting)).count();
        assert_eq!((with("snapshot-count"), with("read-lease"), with("n1:sync-delay")), (16, 8, 16));
        assert!(plans.iter().all(|plan| plan.bugs.is_empty() && plan.check().is_ok()));
    }

    #[test]
    fn what_nobody_can_show_has_a_reason_and_is_not_hunted() {
        assert_eq!(within().len() + BEYOND.len(), Bug::ALL.len());
        assert!(BEYOND.iter().all(|(bug, why)| !within().contains(bug) && !why.is_empty()));
    }

    #[test]
    fn a_cluster_that_never_comes_up_shows_something_and_a_full_disk_does_not() {
        let never = Error::NotReady { seconds: 30, missing: "n1 n2".to_owned() };
        let Ok(Shown::Find(find)) = show(Err(never), 7, "") else { panic!("nothing was shown") };
        assert_eq!((find.sort, find.seed), (Sort::Stuck, 7));
        let full = Error::Machine { what: "a file", source: std::io::ErrorKind::StorageFull.into() };
        assert!(show(Err(full), 7, "").is_err());
    }
}
