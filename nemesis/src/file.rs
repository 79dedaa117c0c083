//! `schedule.toml`: a schedule as a file that people read, write and send to each other.
//!
//! ```toml
//! [[step]]
//! at = "2s"
//! until = "7s"
//! fault = "partition"
//! blocks = [["n1"], ["n2", "n3"]]    # or links = ["n1→n2"], or shape = "ring"
//! sever = "hold"
//!
//! [[step]]
//! at = "12s"
//! until = "17s"
//! fault = "kill"                     # or "pause"
//! nodes = "leader"                   # or a list of nodes
//! ```
//!
//! What a run writes names nodes and links; what a person writes may name roles and shapes, which
//! are resolved when the time comes. Every complaint names the line, and everything that will not
//! work is refused when the file is read, not in the middle of a run.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;
use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;

use crate::aim::{Aim, Who};
use crate::fault::{Fault, Grudge, Sever};
use crate::ids::{Link, NodeId, Nodes, Time, list};
use crate::kind::Kind;
use crate::schedule::{Schedule, Step};
use crate::shape::Shape;

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
    #[serde(default)]
    step: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    at: Spanned<String>,
    until: Spanned<String>,
    fault: Spanned<String>,
    shape: Option<Spanned<String>>,
    blocks: Option<Spanned<Vec<Vec<String>>>>,
    links: Option<Spanned<Vec<String>>>,
    sever: Option<Spanned<String>>,
    nodes: Option<Spanned<RoleOrList>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a role such as \"leader\" or a list of nodes such as [\"n1\"]")]
enum RoleOrList {
    Role(String),
    List(Vec<String>),
}

impl Schedule {
    /// Reads a schedule for a cluster of these nodes.
    pub fn parse(text: &str, nodes: &Nodes) -> Result<Schedule, BadSchedule> {
        let reader = Reader { text, nodes };
        let document: Document = toml::from_str(text)
            .map_err(|error| reader.bad(&error.span().unwrap_or_default(), error.message()))?;
        let mut steps: Vec<Step> = Vec::new();
        for entry in &document.step {
            let step = reader.step(entry)?;
            let clash = steps.iter().find(|other| {
                other.aim.kind() == step.aim.kind() && step.at < other.until && other.at < step.until
            });
            if let Some(other) = clash {
                let said = format!("this {} overlaps the one at {}", step.aim.kind(), other.at);
                return Err(reader.bad(&entry.span(), said));
            }
            steps.push(step);
        }
        steps.sort_by_key(|step| step.at);
        Ok(Schedule { steps })
    }

    /// Writes it so that [`Schedule::parse`] reads the same.
    pub fn to_toml(&self) -> String {
        let mut text = String::from("# What was broken, and when. Repeat it: harness run --schedule FILE\n");
        for step in &self.steps {
            let head =
                format!("at = \"{}\"\nuntil = \"{}\"\nfault = \"{}\"", step.at, step.until, step.aim.kind());
            writeln!(text, "\n[[step]]\n{head}\n{}", fields(&step.aim))
                .expect("writing to a string succeeds");
        }
        text
    }
}

fn fields(aim: &Aim) -> String {
    match aim {
        Aim::Partition { shape, sever } => format!("shape = \"{shape}\"\nsever = \"{sever}\""),
        Aim::Kill { who: Who::These(nodes) }
        | Aim::Pause { who: Who::These(nodes) }
        | Aim::Exactly(Fault::Kill { nodes } | Fault::Pause { nodes }) => {
            format!("nodes = {}", quoted(nodes))
        }
        Aim::Kill { who } | Aim::Pause { who } => format!("nodes = \"{who}\""),
        Aim::Exactly(Fault::Partition { grudge, sever }) => {
            let cut = match grudge {
                Grudge::Blocks(blocks) => {
                    format!("blocks = [{}]", itertools::join(blocks.iter().map(quoted), ", "))
                }
                Grudge::Links(links) => format!("links = {}", quoted(links)),
            };
            format!("{cut}\nsever = \"{sever}\"")
        }
    }
}

fn quoted<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    format!("[{}]", itertools::join(items.into_iter().map(|item| format!("\"{item}\"")), ", "))
}

struct Reader<'a> {
    text: &'a str,
    nodes: &'a Nodes,
}

impl Reader<'_> {
    fn bad(&self, span: &Range<usize>, problem: impl Into<String>) -> BadSchedule {
        let before = self.text.as_bytes().iter().take(span.start);
        BadSchedule { line: 1 + before.filter(|byte| **byte == b'\n').count(), problem: problem.into() }
    }

    fn read<T: FromStr<Err: ToString>>(&self, field: &Spanned<String>) -> Result<T, BadSchedule> {
        field.get_ref().parse().map_err(|error: T::Err| self.bad(&field.span(), error.to_string()))
    }

    fn step(&self, spanned: &Spanned<Entry>) -> Result<Step, BadSchedule> {
        let entry = spanned.get_ref();
        let (at, until) = (self.read::<Time>(&entry.at)?, self.read::<Time>(&entry.until)?);
        if until <= at {
            return Err(self.bad(&entry.until.span(), format!("ends at {until}, and begins at {at}")));
        }
        let aim = match self.read::<Kind>(&entry.fault)? {
            Kind::Partition => self.partition(spanned)?,
            Kind::Kill => match self.whom(spanned, Kind::Kill)? {
                Who::These(nodes) => Aim::Exactly(Fault::Kill { nodes }),
                who => Aim::Kill { who },
            },
            Kind::Pause => match self.whom(spanned, Kind::Pause)? {
                Who::These(nodes) => Aim::Exactly(Fault::Pause { nodes }),
                who => Aim::Pause { who },
            },
        };
        Ok(Step { at, until, aim })
    }

    fn partition(&self, spanned: &Spanned<Entry>) -> Result<Aim, BadSchedule> {
        let entry = spanned.get_ref();
        if let Some(nodes) = &entry.nodes {
            return Err(
                self.bad(&nodes.span(), "a partition has `shape`, `blocks` or `links`, and no `nodes`")
            );
        }
        let sever = match &entry.sever {
            None => Sever::Hold,
            Some(field) => match field.get_ref().as_str() {
                "hold" => Sever::Hold,
                "cut" => Sever::Cut,
                other => {
                    return Err(self.bad(&field.span(), format!("unknown sever `{other}`; known: hold, cut")));
                }
            },
        };
        let grudge = match (&entry.shape, &entry.blocks, &entry.links) {
            (Some(shape), None, None) => {
                let place = shape.span();
                let shape = self.read::<Shape>(shape)?;
                if self.nodes.len() < shape.least() {
                    let (least, there) = (shape.least(), self.nodes.len());
                    return Err(
                        self.bad(&place, format!("`{shape}` needs {least} nodes, and there are {there}"))
                    );
                }
                return Ok(Aim::Partition { shape, sever });
            }
            (None, Some(blocks), None) => self.blocks(blocks)?,
            (None, None, Some(links)) => self.links(links)?,
            _ => {
                let said = "a partition needs exactly one of `shape`, `blocks` and `links`";
                return Err(self.bad(&spanned.span(), said));
            }
        };
        Ok(Aim::Exactly(Fault::Partition { grudge, sever }))
    }

    fn blocks(&self, field: &Spanned<Vec<Vec<String>>>) -> Result<Grudge, BadSchedule> {
        let place = field.span();
        let blocks = field
            .get_ref()
            .iter()
            .map(|block| self.known(block, &place))
            .collect::<Result<Vec<Nodes>, _>>()?;
        let named: usize = field.get_ref().iter().map(Vec::len).sum();
        let grudge = Grudge::Blocks(blocks);
        if grudge.nodes().len() < named {
            return Err(self.bad(&place, "a node stands in two blocks"));
        }
        self.cutting(grudge, &place)
    }

    fn links(&self, field: &Spanned<Vec<String>>) -> Result<Grudge, BadSchedule> {
        let place = field.span();
        let links = field.get_ref().iter().map(|text| text.parse::<Link>());
        let links = links.collect::<Result<BTreeSet<Link>, _>>();
        let grudge = Grudge::Links(links.map_err(|error| self.bad(&place, error.to_string()))?);
        self.present(&grudge.nodes(), &place)?;
        self.cutting(grudge, &place)
    }

    fn cutting(&self, grudge: Grudge, place: &Range<usize>) -> Result<Grudge, BadSchedule> {
        if grudge.links().is_empty() { Err(self.bad(place, "this cuts nothing")) } else { Ok(grudge) }
    }

    /// Whose processes a fault is meant for that has `nodes` and nothing else.
    fn whom(&self, spanned: &Spanned<Entry>, kind: Kind) -> Result<Who, BadSchedule> {
        let entry = spanned.get_ref();
        if entry.shape.is_some() || entry.blocks.is_some() || entry.links.is_some() || entry.sever.is_some() {
            let said = format!("a {kind} has `nodes`, and nothing of a partition");
            return Err(self.bad(&spanned.span(), said));
        }
        let Some(field) = &entry.nodes else {
            return Err(self.bad(&spanned.span(), format!("a {kind} needs `nodes`")));
        };
        match field.get_ref() {
            RoleOrList::List(names) if names.is_empty() => {
                Err(self.bad(&field.span(), format!("this {kind}s nobody")))
            }
            RoleOrList::List(names) => Ok(Who::These(self.known(names, &field.span())?)),
            RoleOrList::Role(role) => {
                let found = Who::ROLES.into_iter().find(|who| who.to_string() == *role);
                found.ok_or_else(|| {
                    let known = itertools::join(Who::ROLES, ", ");
                    let said = format!("unknown role `{role}`; known: {known}, or a list of nodes");
                    self.bad(&field.span(), said)
                })
            }
        }
    }

    fn known(&self, names: &[String], place: &Range<usize>) -> Result<Nodes, BadSchedule> {
        let nodes = names.iter().map(|name| name.parse::<NodeId>()).collect::<Result<Nodes, _>>();
        let nodes = nodes.map_err(|error| self.bad(place, error.to_string()))?;
        self.present(&nodes, place)?;
        Ok(nodes)
    }

    fn present(&self, nodes: &Nodes, place: &Range<usize>) -> Result<(), BadSchedule> {
        match nodes.difference(self.nodes).next() {
            None => Ok(()),
            Some(stranger) => {
                Err(self.bad(place, format!("there is no {stranger}; the nodes are {}", list(self.nodes))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use itertools::Itertools as _;
    use proptest::prelude::*;

    use super::*;
    use crate::ids::cluster;
    use crate::kind::Kinds;
    use crate::play::{Action, Nemesis};
    use crate::schedule::Rhythm;

    proptest! {
        #[test]
        fn a_schedule_is_read_as_it_was_written_both_as_asked_and_as_done(seed: u64, count in 1_u16..7) {
            let nodes = cluster(count);
            let asked =
                Schedule::draw(seed, &Kinds::of(Kind::ALL), nodes.len(), Rhythm::default(), Time(200_123_456_789));
            let asked = if count == 1 { Schedule::default() } else { asked };
            prop_assert_eq!(Schedule::parse(&asked.to_toml(), &nodes), Ok(asked.clone()));

            let mut nemesis = Nemesis::new(asked, nodes.clone(), seed);
            let mut now = Time::default();
            loop {
                match nemesis.next(now, Some(NodeId(1))) {
                    Action::Wait(until) => now = until,
                    Action::Done => break,
                    _ => {}
                }
            }
            let done = nemesis.record();
            prop_assert_eq!(Schedule::parse(&done.to_toml(), &nodes), Ok(done));
        }
    }

    #[test]
    fn the_example_in_the_documentation_is_read() {
        let text = include_str!("file.rs");
        let example = text.lines().skip_while(|line| *line != "//! ```toml").skip(1);
        let example =
            example.take_while(|line| *line != "//! ```").map(|line| line.trim_start_matches("//!"));
        let example = itertools::join(example, "\n");
        let schedule = Schedule::parse(&example, &cluster(3)).unwrap();
        let said: Vec<String> = schedule.steps.iter().map(|step| step.aim.to_string()).collect();
        assert_eq!(said, ["partition n1 | n2 n3 (hold)", "kill leader"]);
    }

    #[test]
    fn a_malformed_schedule_names_the_line_and_the_cure() {
        let cases = [
            ("nodes = \"leader", "line 5: "),
            ("node = \"leader\"", "line 5: unknown field `node`"),
            ("nodes = 3", "line 5: expected a role such as \"leader\" or a list of nodes"),
            ("nodes = \"boss\"", "line 5: unknown role `boss`; known: leader, one, minority, majority, all"),
            ("nodes = [\"n9\"]", "line 5: there is no n9; the nodes are n1 n2 n3"),
            ("nodes = [\"two\"]", "line 5: `two` is not a node such as \"n2\""),
            ("nodes = []", "line 5: this kills nobody"),
            ("", "line 1: a kill needs `nodes`"),
            ("nodes = \"all\"\nsever = \"cut\"", "line 1: a kill has `nodes`"),
        ];
        for ((line, complaint), kind) in cases.into_iter().cartesian_product([Kind::Kill, Kind::Pause]) {
            let text = format!("[[step]]\nat = \"2s\"\nuntil = \"7s\"\nfault = \"{kind}\"\n{line}\n");
            let said = Schedule::parse(&text, &cluster(3)).unwrap_err().to_string();
            assert!(said.starts_with(&complaint.replace("kill", kind.name())), "{line}: {said}");
        }
        let cases = [
            ("shape = \"circle\"", "line 5: unknown shape `circle`"),
            ("blocks = [[\"n1\"], [\"n1\", \"n2\"]]", "line 5: a node stands in two blocks"),
            ("blocks = [[\"n1\"]]", "line 5: this cuts nothing"),
            ("links = [\"n1\"]", "line 5: `n1` is not a link"),
            ("links = []\nshape = \"one\"", "line 1: a partition needs exactly one of"),
            ("shape = \"one\"\nsever = \"burn\"", "line 6: unknown sever `burn`; known: hold, cut"),
        ];
        for (line, complaint) in cases {
            let text = format!("[[step]]\nat = \"2s\"\nuntil = \"7s\"\nfault = \"partition\"\n{line}\n");
            let said = Schedule::parse(&text, &cluster(3)).unwrap_err().to_string();
            assert!(said.starts_with(complaint), "{line}: {said}");
        }
    }

    #[test]
    fn faults_of_one_kind_may_not_overlap_but_different_kinds_may() {
        let step = |at, until, fault: &str| {
            format!("[[step]]\nat = \"{at}s\"\nuntil = \"{until}s\"\nfault = {fault}\n")
        };
        let kill = "\"kill\"\nnodes = \"one\"";
        let partition = "\"partition\"\nshape = \"one\"";
        let both = step(2, 7, kill) + &step(3, 9, partition);
        assert_eq!(Schedule::parse(&both, &cluster(3)).unwrap().steps.len(), 2);
        let twice = step(2, 7, kill) + &step(6, 9, kill);
        let said = Schedule::parse(&twice, &cluster(3)).unwrap_err().to_string();
        assert_eq!(said, "line 6: this kill overlaps the one at 2s");
        let said = Schedule::parse(&step(7, 7, kill), &cluster(3)).unwrap_err().to_string();
        assert_eq!(said, "line 3: ends at 7s, and begins at 7s");
    }
}
