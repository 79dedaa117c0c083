//! `schedule.toml`: a schedule as a file that people read, write and send to each other. `docs/faults.md` has a
//! table of all that can be said.
//!
//! ```toml
//! [[step]]
//! at = "2s"                          # or after = 400 (ops), or when = "leader-changed"
//! until = "7s"                       # or lasting = "5s", or lasting = "~5s": about so long
//! fault = "partition"
//! blocks = [["n1"], ["n2", "n3"]]    # or links = ["n1→n2"], or shape = "ring"
//! sever = "hold"                     # or "cut"
//!
//! [[step]]
//! when = "leader-changed"
//! every = "~5s"                      # and again, about so long after, until the run is over
//! lasting = "800ms"
//! fault = "kill"                     # or pause, restart, power, full-disk, failed-sync, bit-flip, wipe
//! nodes = "leader"                   # or one, minority, majority, all, or a list of nodes
//!
//! [[step]]
//! after = 400
//! lasting = "3s"
//! fault = "packets"
//! links = "leader"                   # or all, one-node, one-link, or a list of links
//! weather = { delay = "40ms", jitter = "10ms", loss = 5, duplicate = 1, reorder = 2 }
//!
//! [[step]]
//! at = "20s"
//! lasting = "5s"
//! fault = "clock"
//! nodes = "minority"
//! skew = { jump = "+2.5s" }          # or { drift = -20 }, or { strobe = "+200ms", every = "20ms" }
//!
//! [[step]]
//! at = "22s"
//! lasting = "2s"
//! fault = "slow-disk"
//! nodes = "one"
//! pace = "stuck"                     # or what each sync takes longer: "40ms"
//!
//! [[step]]
//! at = "25s"
//! lasting = "2s"
//! fault = "membership"
//! nodes = "leader"                   # or one, or a list of one node
//! ```
//!
//! And whatever chance adds to it, night after night:
//!
//! ```toml
//! until = "60s"                      # nothing repeats or is drawn beyond
//! [random]
//! kinds = "kill,partition"           # or "all"
//! day = "~5s"                        # both drawn by chance if not given
//! night = "~5s"
//! [weights]
//! kill = 3                           # next to what the others have
//! ```
//!
//! What a run writes names moments, nodes and links; what a person writes may name triggers, roles and
//! shapes, which are resolved when the time comes. Every complaint names the line, and everything that
//! will not work is refused when the file is read, not in the middle of a run. Two faults that are
//! known to meet on one node or link are refused too; those of which nobody can know it yet are put off
//! when it comes to that, or given up aloud.

mod harm;
mod reader;
mod write;

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use crate::aim::Aim;
use crate::ids::{Nodes, Time};
use crate::kind::{Kind, Kinds, guess};
use crate::schedule::{Deed, End, Happening, Schedule, Start, Step};
use crate::span::{Span, Wait};
use crate::storm::{Storm, Weights};
use reader::{Field, Reader, RoleOrList};

/// What is wrong with a schedule, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct BadSchedule {
    /// Counted from 1.
    pub line: usize,
    /// In words.
    pub problem: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    until: Option<Spanned<String>>,
    random: Option<Spanned<Random>>,
    weights: Option<Spanned<WeightEntries>>,
    #[serde(default)]
    step: Vec<Spanned<Entry>>,
}

type WeightEntries = BTreeMap<Spanned<String>, u32>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Random {
    kinds: Spanned<String>,
    day: Option<Spanned<String>>,
    night: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    at: Option<Spanned<String>>,
    after: Option<Spanned<u64>>,
    when: Option<Spanned<String>>,
    every: Option<Spanned<String>>,
    until: Option<Spanned<String>>,
    lasting: Option<Spanned<String>>,
    fault: Spanned<String>,
    shape: Option<Spanned<String>>,
    blocks: Option<Spanned<Vec<Vec<String>>>>,
    links: Option<Spanned<RoleOrList>>,
    sever: Option<Spanned<String>>,
    weather: Option<Spanned<harm::WeatherEntry>>,
    nodes: Option<Spanned<RoleOrList>>,
    skew: Option<Spanned<harm::SkewEntry>>,
    pace: Option<Spanned<String>>,
}

/// Nothing repeats faster, and no day or night is shorter: it would be a slip of the pen.
const SHORTEST: Span = Span::millis(10);

impl Schedule {
    /// Reads a schedule for a cluster of these nodes.
    pub fn parse(text: &str, nodes: &Nodes) -> Result<Schedule, BadSchedule> {
        let reader = Reader { text, nodes };
        let document: Document = toml::from_str(text).map_err(|error| {
            // What the language calls a string, a person calls a text; and mostly it lacks its quotes.
            let said =
                error.message().replace("expected a string", "expected a text in quotes, such as \"2s\"");
            reader.bad(&error.span().unwrap_or_default(), said)
        })?;
        let steps = document.step.iter().map(|entry| reader.step(entry)).collect::<Result<Vec<Step>, _>>()?;
        reader.apart(&document.step, &steps)?;
        let random = match (&document.random, &document.weights) {
            (None, Some(weights)) => {
                return Err(
                    reader.bad(&weights.span(), "weights are for what is drawn: there is no [random]")
                );
            }
            (None, None) => None,
            (Some(random), weights) => Some(reader.storm(random, weights.as_ref())?),
        };
        let until = document.until.as_ref().map(|until| reader.read::<Time>(until)).transpose()?;
        Ok(Schedule { steps, random, until })
    }
}

impl Reader<'_> {
    fn storm(
        &self,
        random: &Spanned<Random>,
        weights: Option<&Spanned<WeightEntries>>,
    ) -> Result<Storm, BadSchedule> {
        let Random { kinds: names, day, night } = random.get_ref();
        let kinds = Kinds::parse(names.get_ref(), &Kind::ALL);
        let kinds = kinds.map_err(|error| self.bad(&names.span(), error.to_string()))?;
        let mut known = Weights::new();
        for (name, weight) in weights.iter().flat_map(|weights| weights.get_ref()) {
            let kind = self.kind(name)?;
            if !kinds.as_slice().contains(&kind) {
                let said = format!("`{kind}` has a weight and is not among the kinds of [random]");
                return Err(self.bad(&name.span(), said));
            }
            known.insert(kind, *weight);
        }
        let wait = |field: &Option<Spanned<String>>| field.as_ref().map(|field| self.wait(field)).transpose();
        Ok(Storm { kinds, weights: known, day: wait(day)?, night: wait(night)? })
    }

    fn wait(&self, field: &Spanned<String>) -> Result<Wait, BadSchedule> {
        let wait = self.read::<Wait>(field)?;
        if wait.mean() < SHORTEST {
            return Err(self.bad(&field.span(), format!("{wait} is too short: at least {SHORTEST}")));
        }
        Ok(wait)
    }

    fn step(&self, entry: &Spanned<Entry>) -> Result<Step, BadSchedule> {
        let start = self.start(entry)?;
        let every = entry.get_ref().every.as_ref().map(|every| self.wait(every)).transpose()?;
        let end = self.end(entry, start, every)?;
        Ok(Step { start, every, end, aim: self.aim(entry)? })
    }

    fn start(&self, entry: &Spanned<Entry>) -> Result<Start, BadSchedule> {
        let Entry { at, after, when, .. } = entry.get_ref();
        match (at, after, when) {
            (Some(at), None, None) => Ok(Start::At(self.read(at)?)),
            (None, Some(after), None) => Ok(Start::After(*after.get_ref())),
            (None, None, Some(when)) => {
                let found = Happening::ALL.into_iter().find(|happening| happening.name() == when.get_ref());
                found.map(Start::When).ok_or_else(|| {
                    let known = itertools::join(Happening::ALL.map(Happening::name), ", ");
                    let said = format!("nobody can see `{}` happen; known: {known}", when.get_ref());
                    self.bad(&when.span(), said)
                })
            }
            _ => Err(self.bad(&entry.span(), "a step needs exactly one of `at`, `after` and `when`")),
        }
    }

    fn end(&self, entry: &Spanned<Entry>, start: Start, every: Option<Wait>) -> Result<End, BadSchedule> {
        let Entry { until, lasting, .. } = entry.get_ref();
        let until = match (until, lasting) {
            (Some(until), None) => until,
            (None, Some(lasting)) => return Ok(End::Lasting(self.read(lasting)?)),
            _ => return Err(self.bad(&entry.span(), "a step needs either `until` or `lasting`")),
        };
        let Start::At(at) = start else {
            return Err(self.bad(
                &until.span(),
                "`until` is for a step with `at`: say how long it lasts with `lasting`",
            ));
        };
        if every.is_some() {
            return Err(self.bad(&until.span(), "a step that comes again has `lasting`, and no `until`"));
        }
        let end = self.read::<Time>(until)?;
        if end <= at {
            return Err(self.bad(&until.span(), format!("ends at {end}, and begins at {at}")));
        }
        Ok(End::Until(end))
    }

    /// No two that will certainly meet on one node or link.
    fn apart(&self, entries: &[Spanned<Entry>], steps: &[Step]) -> Result<(), BadSchedule> {
        let certain = |step: &Step| match (step.start, step.until(), &step.aim) {
            (Start::At(at), Some(until), Aim::Exactly(fault)) => {
                Some(Deed { at, until, fault: fault.clone() })
            }
            _ => None,
        };
        let certain = entries.iter().zip(steps).filter_map(|(entry, step)| Some((entry, certain(step)?)));
        let mut deeds: Vec<(&Spanned<Entry>, Deed)> = certain.collect();
        deeds.sort_by_key(|(_, deed)| deed.at);
        let mut lasting: Vec<&Deed> = Vec::new();
        for (entry, deed) in &deeds {
            lasting.retain(|other| other.until > deed.at);
            if let Some(other) = lasting.iter().find(|other| other.clashes_with(deed)) {
                let (kind, other_kind, at) = (deed.fault.kind(), other.fault.kind(), other.at);
                let said = format!("this {kind} meets the {other_kind} of {at} on the same node or link");
                return Err(self.bad(&entry.span(), said));
            }
            lasting.push(deed);
        }
        Ok(())
    }

    /// One kind; `all` and `none` are for lists.
    fn kind(&self, field: &Spanned<String>) -> Result<Kind, BadSchedule> {
        let name = field.get_ref();
        name.parse().map_err(|_| {
            let known = itertools::join(Kind::ALL, ", ");
            self.bad(&field.span(), format!("unknown fault `{name}`; {}known: {known}", guess(name)))
        })
    }

    fn aim(&self, entry: &Spanned<Entry>) -> Result<Aim, BadSchedule> {
        let kind = self.kind(&entry.get_ref().fault)?;
        let fields = match kind {
            Kind::Partition => &[Field::Shape, Field::Blocks, Field::Links, Field::Sever][..],
            Kind::Packets => &[Field::Links, Field::Weather],
            Kind::Clock => &[Field::Nodes, Field::Skew],
            Kind::SlowDisk => &[Field::Nodes, Field::Pace],
            Kind::Kill
            | Kind::Pause
            | Kind::Power
            | Kind::FullDisk
            | Kind::FailedSync
            | Kind::BitFlip
            | Kind::Wipe
            | Kind::Restart
            | Kind::Membership => &[Field::Nodes],
        };
        self.only(entry, kind, fields)?;
        match kind {
            Kind::Partition => self.partition(entry),
            Kind::Packets => self.packets(entry),
            Kind::Membership => self.membership(entry),
            _ => self.harm(entry, kind),
        }
    }
}
