//! A life in a file: everything that fixes it, to be lived again.
//!
//! A seed is the shortest way to say which life is meant, and holds as long as the simulator draws what it
//! draws today. A shrunk life has no such seed: its ops and faults were drawn by nobody. So it is written
//! down, as JSON that a person can read and change: the circumstances, the faults as a schedule in the
//! usual words, and the ops one by one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use history::Writer;
use nemesis::{Schedule, Span, Time, cluster};
use raft::{Bug, Bugs};
use serde::{Deserialize, Serialize};
use workload::{Name, Visitor, until};

use crate::asking::Asking;
use crate::audience::Audience;
use crate::life::{Frame, Life, Told, live};
use crate::plan::Plan;
use crate::retelling::{self, NoScript};
use crate::settings::Settings;
use crate::shrink::{NotSmall, Script, shrink};
use crate::tape::{Ask, Tape, WrittenAsk};

/// A life, as it is written in a file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LifeFile {
    /// What simulates it.
    pub system: String,
    /// What its ops are of.
    pub workload: String,
    /// What is drawn from it: delays, timeouts, what a power cut leaves.
    pub seed: u64,
    /// How many nodes.
    pub nodes: u16,
    /// How many clients at once.
    pub concurrency: usize,
    /// How long clients and faults go on, in nanoseconds; in a file a text, such as `"1.5s"`.
    #[serde(with = "crate::written::nanoseconds")]
    pub time_limit: u64,
    /// The circumstances.
    pub settings: Settings,
    /// Mistakes made, by name.
    pub bugs: Vec<String>,
    /// What is broken, and when: a schedule, a line of it each.
    pub schedule: Vec<String>,
    /// What is asked, and when.
    pub asks: Vec<WrittenAsk>,
}

/// Why a file is no life.
#[derive(Debug, thiserror::Error)]
pub enum BadLife {
    /// It is not written as one.
    #[error("{0}")]
    Written(#[from] serde_json::Error),
    /// Nobody simulates that.
    #[error("`system` is `{0}`, and only `raft` can be simulated")]
    System(String),
    /// No such workload.
    #[error("`workload`: {0}")]
    Workload(#[from] workload::UnknownWorkload),
    /// No such mistake.
    #[error("`bugs`: {0}")]
    Bug(#[from] raft::bug::UnknownBug),
    /// Its schedule cannot be read.
    #[error("`schedule`, {0}")]
    Schedule(#[from] nemesis::BadSchedule),
    /// An op that the workload does not have, or that nobody would ask.
    #[error("`asks`, op {place} of {of}: {problem}")]
    Ask {
        /// Which one, counted from 1.
        place: usize,
        /// Of how many.
        of: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A number that makes no sense.
    #[error("{0}")]
    Number(&'static str),
}

/// A life that was lived, and what its clients saw, as a history in JSON lines.
#[derive(Clone, Debug)]
pub struct Story {
    /// The life.
    pub life: Life,
    /// What clients saw.
    pub history: Vec<u8>,
}

/// A bad life made small.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// What fixes it.
    pub file: LifeFile,
    /// Its story.
    pub story: Story,
    /// How many ops are left.
    pub ops: usize,
    /// How many faults.
    pub faults: usize,
    /// Whether it might have become smaller still, had it not been stopped.
    pub stopped: bool,
    /// Whether it might have become smaller still, had there been more to spend on it.
    pub spent: bool,
    frame: Frame,
}

impl Shrunk {
    /// The same as a script of the cores alone, as short as it gets until `stop` is raised.
    ///
    /// # Errors
    /// Why there is none.
    pub fn script(&self, stop: &AtomicBool) -> Result<String, NoScript> {
        retelling::script(&self.frame, &self.story.life, stop)
    }
}

impl LifeFile {
    /// Reads one.
    pub fn parse(text: &str) -> Result<LifeFile, BadLife> {
        struct Look<'a>(&'a LifeFile);
        impl Visitor for Look<'_> {
            type Out = Result<(), BadLife>;

            fn visit<W: Asking>(self, _: W) -> Self::Out {
                self.0.asks::<W::Op>().map(|_| ())
            }
        }
        let file: LifeFile = serde_json::from_str(text)?;
        file.frame()?;
        file.name()?.visit(Look(&file))?;
        Ok(file)
    }

    /// As it is written.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("numbers and texts can be written");
        text.push('\n');
        text
    }

    /// Lives it.
    pub fn live(&self, audience: Audience<'_>) -> Result<Story, BadLife> {
        struct Again<'a>(&'a LifeFile, Frame, Audience<'a>);
        impl Visitor for Again<'_> {
            type Out = Result<Story, BadLife>;

            fn visit<W: Asking>(self, workload: W) -> Self::Out {
                let Again(file, frame, audience) = self;
                let asks = file.asks()?;
                let limit = Time::default().after(frame.time_limit);
                let tape: Tape<W::Op, W::Ret> = Tape::new(&asks, frame.concurrency);
                Ok(story(live(&frame, &workload, Box::new(until(limit.0, tape)), audience)))
            }
        }
        self.name()?.visit(Again(self, self.frame()?, audience))
    }

    /// Its ops. One that would never be asked is refused: whoever wrote it meant something.
    fn asks<Op: history::Operation>(&self) -> Result<Vec<Ask<Op>>, BadLife> {
        let of = self.asks.len();
        let asks = self.asks.iter().zip(1..).map(|(written, place)| {
            let bad = |problem: String| BadLife::Ask { place, of, problem };
            if written.seat >= self.concurrency as u64 {
                let (seat, last) = (written.seat, self.concurrency - 1);
                return Err(bad(format!(
                    "`seat` is {seat}, and with the `concurrency` that is given the last is {last}"
                )));
            }
            if !written.last && written.time >= self.time_limit {
                let (time, limit) = (Span(written.time), Span(self.time_limit));
                return Err(bad(format!("`time` is {time}, and the life's `time_limit` is {limit}")));
            }
            Ask::read(written).map_err(|error| bad(error.to_string()))
        });
        asks.collect()
    }

    fn name(&self) -> Result<Name, BadLife> {
        if self.system != "raft" {
            return Err(BadLife::System(self.system.clone()));
        }
        Ok(self.workload.parse()?)
    }

    fn frame(&self) -> Result<Frame, BadLife> {
        if self.nodes == 0 || self.nodes > 9 {
            return Err(BadLife::Number("`nodes`: a cluster has one to nine"));
        }
        if self.concurrency == 0 || self.concurrency > 1000 {
            return Err(BadLife::Number("`concurrency`: there are one to a thousand clients"));
        }
        if self.time_limit > LONGEST {
            return Err(BadLife::Number("`time_limit`: a life lasts a day at most"));
        }
        possible(&self.settings).map_err(BadLife::Number)?;
        let bugs = self.bugs.iter().map(|name| name.parse::<Bug>()).collect::<Result<Vec<_>, _>>()?;
        Ok(Frame {
            seed: self.seed,
            nodes: self.nodes,
            concurrency: self.concurrency,
            time_limit: Duration::from_nanos(self.time_limit),
            settings: self.settings.clone(),
            schedule: Schedule::parse(&self.schedule.join("\n"), &cluster(self.nodes))?,
            bugs: bugs_of(&bugs),
            cut: None,
        })
    }
}

/// A day, in nanoseconds.
const LONGEST: u64 = 86_400_000_000_000;

/// Whether anybody could live so; a person may have changed the file.
fn possible(settings: &Settings) -> Result<(), &'static str> {
    let Settings {
        pace,
        turn,
        sync,
        segment_size,
        append,
        window,
        crowd,
        heartbeat,
        election,
        patience,
        snapshots,
        lease,
        ..
    } = settings;
    let (millisecond, minute) = (Duration::from_millis(1), Duration::from_mins(1));
    if [pace.least, pace.spread, *turn, *sync].into_iter().any(|wait| Duration::from_nanos(wait) > minute) {
        return Err("`settings`: links, nodes and disks take a minute at most");
    }
    let timers = [millisecond, *heartbeat, election.0, election.1, minute];
    if !timers.is_sorted() || election.0 >= election.1 {
        return Err(
            "`settings`: from a millisecond to a minute, heartbeats come at least as often as elections, and \
             those take from something to more",
        );
    }
    if !(millisecond..=minute).contains(patience) {
        return Err("`settings`: a call waits from a millisecond to a minute");
    }
    if !(1 << 10..=1 << 26).contains(segment_size) {
        return Err("`settings`: a segment of a log has from a kibibyte to 64 mebibytes");
    }
    if let Some((entries, usual, most, piece)) = snapshots
        && (*entries == 0 || usual > most || *piece == 0)
    {
        return Err(
            "`settings`: a snapshot is taken after an entry or more, what is kept behind it is no more than at \
             most, and its pieces are no empty ones",
        );
    }
    if lease.is_some_and(|wrong| wrong >= 1_000) {
        return Err("`settings`: a `lease` bears clocks that are wrong by less than 1000 in a thousand");
    }
    if [*append, *window, usize::from(*crowd)].contains(&0) {
        return Err("`settings`: `append`, `window` and `crowd` are at least 1");
    }
    Ok(())
}

/// The set of these mistakes.
#[cfg(feature = "bugs")]
pub fn bugs_of(bugs: &[Bug]) -> Bugs {
    Bugs::of(bugs.iter().copied())
}

/// None: this build makes no mistakes on purpose.
#[cfg(not(feature = "bugs"))]
pub fn bugs_of(_: &[Bug]) -> Bugs {
    Bugs::none()
}

impl Plan {
    /// Lives the life of this seed again, and writes down what clients saw.
    pub fn tell(&self, seed: u64, audience: Audience<'_>) -> Story {
        struct Tell<'a>(&'a Plan, u64, Audience<'a>);
        impl Visitor for Tell<'_> {
            type Out = Story;

            fn visit<W: Asking>(self, workload: W) -> Story {
                let Tell(plan, seed, audience) = self;
                story(live(&plan.frame(seed), &workload, plan.generator(&workload, seed), audience))
            }
        }
        self.workload.visit(Tell(self, seed, audience))
    }

    /// Makes the life of this seed small, which must be a bad one. `seen` is told how many ops and faults are
    /// left, and how much has happened in the lives that were tried. Once `stop` is raised, the smallest life
    /// so far is taken.
    ///
    /// # Errors
    /// There is no smaller one, and why.
    pub fn shrink(
        &self,
        seed: u64,
        seen: &mut dyn FnMut(usize, usize, u64),
        stop: &AtomicBool,
    ) -> Result<Shrunk, NotSmall> {
        struct Small<'a>(&'a Plan, u64, &'a mut dyn FnMut(usize, usize, u64), &'a AtomicBool);
        impl Visitor for Small<'_> {
            type Out = Result<Shrunk, NotSmall>;

            fn visit<W: Asking>(self, workload: W) -> Self::Out {
                let Small(plan, seed, seen, stop) = self;
                let frame = plan.frame(seed);
                let generator = plan.generator(&workload, seed);
                let told = live(&frame, &workload, generator, Audience::nobody().until(stop));
                let (script, spent) = shrink(&workload, &frame, &told, seen, stop)?;
                let file = written(plan.workload, &script);
                // Not to be stopped: it is what there is to show, and smaller than what was just lived. And as it is
                // written: that is what will be lived again.
                let story = file.live(Audience::reader().with_inputs()).expect("what was lived can be lived");
                assert_eq!(
                    story.life.ending.sort(),
                    told.life.ending.sort(),
                    "the file of a small life lies"
                );
                Ok(Shrunk {
                    file,
                    ops: script.asks.len(),
                    faults: script.deeds.len(),
                    stopped: stop.load(Ordering::Relaxed),
                    spent,
                    frame: script.frame(),
                    story,
                })
            }
        }
        self.workload.visit(Small(self, seed, seen, stop))
    }
}

fn written<Op: history::Operation + Send + 'static>(workload: Name, script: &Script<Op>) -> LifeFile {
    let Frame { seed, nodes, concurrency, time_limit, settings, schedule, bugs, .. } = script.frame();
    let limit = Time::default().after(time_limit).0;
    let asked = script.asks.iter().filter(|ask| ask.last || ask.time < limit);
    LifeFile {
        system: "raft".to_owned(),
        workload: workload.to_string(),
        seed,
        nodes,
        concurrency,
        time_limit: limit,
        settings,
        bugs: Bug::ALL.into_iter().filter(|bug| bugs.has(*bug)).map(|bug| bug.name().to_owned()).collect(),
        schedule: schedule.to_toml().lines().map(str::to_owned).collect(),
        asks: asked.map(Ask::write).collect(),
    }
}

fn story<W: Asking>(told: Told<W>) -> Story {
    let mut writer = Writer::new(Vec::new());
    for line in told.lines {
        writer.line(line).expect("what clients saw keeps the rules of a history");
    }
    Story { life: told.life, history: writer.into_inner() }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// A life as it is written, with something changed.
    fn changed(change: impl FnOnce(&mut LifeFile)) -> Result<LifeFile, BadLife> {
        let mut file = LifeFile {
            system: "raft".into(),
            workload: "register".into(),
            seed: 1,
            nodes: 3,
            concurrency: 2,
            time_limit: 1_000_000_000,
            settings: Settings::plain(),
            bugs: Vec::new(),
            schedule: Vec::new(),
            asks: Vec::new(),
        };
        change(&mut file);
        LifeFile::parse(&file.to_json())
    }

    /// A read at this time, from this seat.
    fn ask(time: u64, seat: u64) -> WrittenAsk {
        WrittenAsk {
            time,
            seat,
            key: Some(history::Key::new("k1")),
            f: "read".into(),
            value: Value::Null,
            last: false,
        }
    }

    #[test]
    fn a_life_is_read_as_it_was_written() {
        let last = WrittenAsk { last: true, ..ask(2_000_000_000, 0) };
        let file = changed(|file| file.asks = vec![ask(999_999_999, 1), last]);
        let file = file.expect("final reads come after the end");
        assert_eq!(LifeFile::parse(&file.to_json()).expect("it was just written"), file);
    }

    #[test]
    fn what_nobody_can_live_is_named() {
        for (bad, word) in [
            (changed(|file| file.system = "etcd".into()), "etcd"),
            (changed(|file| file.workload = "poker".into()), "poker"),
            (changed(|file| file.nodes = 0), "nodes"),
            (changed(|file| file.concurrency = 0), "clients"),
            (changed(|file| file.time_limit = u64::MAX), "a day"),
            (changed(|file| file.bugs = vec!["heisenbug".into()]), "heisenbug"),
            (changed(|file| file.schedule = vec!["nonsense".into()]), "schedule"),
            (changed(|file| file.settings.pace.least = u64::MAX), "a minute"),
            (changed(|file| file.settings.heartbeat = Duration::ZERO), "heartbeats"),
            (changed(|file| file.settings.election.1 = Duration::ZERO), "elections"),
            (changed(|file| file.settings.segment_size = 0), "segment"),
            (changed(|file| file.settings.window = 0), "window"),
            (changed(|file| file.asks = vec![ask(0, 2)]), "op 1 of 1: `seat` is 2"),
            (changed(|file| file.asks = vec![ask(0, 1), ask(1_000_000_000, 0)]), "op 2 of 2: `time` is 1s"),
            (changed(|file| file.asks = vec![WrittenAsk { f: "dance".into(), ..ask(0, 0) }]), "dance"),
        ] {
            let said = bad.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(said.contains(word), "should speak of `{word}`: {said}");
        }
    }
}
