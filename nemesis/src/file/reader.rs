//! What reading a schedule needs throughout: the line of a complaint, and names that are known.

use std::collections::BTreeSet;
use std::ops::Range;
use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;

use super::{BadSchedule, Entry};
use crate::aim::{Aim, Who};
use crate::fault::{Fault, Grudge, Sever};
use crate::ids::{Link, NodeId, Nodes, list};
use crate::kind::Kind;
use crate::route::Route;
use crate::shape::Shape;

/// A name for some, or they by their own names.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a role such as \"leader\" or a list such as [\"n1\"]")]
pub(super) enum RoleOrList {
    Role(String),
    List(Vec<String>),
}

/// What a step may say about its fault.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Shape,
    Blocks,
    Links,
    Sever,
    Weather,
    Nodes,
    Skew,
    Pace,
}

impl Field {
    const ALL: [Field; 8] = [
        Field::Shape,
        Field::Blocks,
        Field::Links,
        Field::Sever,
        Field::Weather,
        Field::Nodes,
        Field::Skew,
        Field::Pace,
    ];

    fn name(self) -> &'static str {
        match self {
            Field::Shape => "shape",
            Field::Blocks => "blocks",
            Field::Links => "links",
            Field::Sever => "sever",
            Field::Weather => "weather",
            Field::Nodes => "nodes",
            Field::Skew => "skew",
            Field::Pace => "pace",
        }
    }

    /// Where it stands, if it does.
    fn place(self, entry: &Entry) -> Option<Range<usize>> {
        match self {
            Field::Shape => entry.shape.as_ref().map(Spanned::span),
            Field::Blocks => entry.blocks.as_ref().map(Spanned::span),
            Field::Links => entry.links.as_ref().map(Spanned::span),
            Field::Sever => entry.sever.as_ref().map(Spanned::span),
            Field::Weather => entry.weather.as_ref().map(Spanned::span),
            Field::Nodes => entry.nodes.as_ref().map(Spanned::span),
            Field::Skew => entry.skew.as_ref().map(Spanned::span),
            Field::Pace => entry.pace.as_ref().map(Spanned::span),
        }
    }
}

pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    pub(super) nodes: &'a Nodes,
}

impl Reader<'_> {
    pub(super) fn bad(&self, span: &Range<usize>, problem: impl Into<String>) -> BadSchedule {
        let before = self.text.as_bytes().iter().take(span.start);
        BadSchedule { line: 1 + before.filter(|byte| **byte == b'\n').count(), problem: problem.into() }
    }

    pub(super) fn read<T: FromStr<Err: ToString>>(&self, field: &Spanned<String>) -> Result<T, BadSchedule> {
        field.get_ref().parse().map_err(|error: T::Err| self.bad(&field.span(), error.to_string()))
    }

    /// Refuses what belongs to another kind of fault.
    pub(super) fn only(
        &self,
        entry: &Spanned<Entry>,
        kind: Kind,
        fields: &[Field],
    ) -> Result<(), BadSchedule> {
        let strangers = Field::ALL.into_iter().filter(|field| !fields.contains(field));
        let mut found = strangers.filter_map(|field| Some((field, field.place(entry.get_ref())?)));
        match found.next() {
            None => Ok(()),
            Some((field, place)) => {
                let has = itertools::join(fields.iter().map(|field| format!("`{}`", field.name())), ", ");
                Err(self.bad(&place, format!("a {kind} has no `{}`; it has {has}", field.name())))
            }
        }
    }

    pub(super) fn missing(&self, entry: &Spanned<Entry>, kind: Kind, field: &str) -> BadSchedule {
        self.bad(&entry.span(), format!("a {kind} needs `{field}`"))
    }

    pub(super) fn partition(&self, spanned: &Spanned<Entry>) -> Result<Aim, BadSchedule> {
        let entry = spanned.get_ref();
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
            (None, None, Some(links)) => match links.get_ref() {
                RoleOrList::List(names) => Grudge::Links(self.links(names, &links.span())?),
                RoleOrList::Role(_) => {
                    let said =
                        "the links of a partition are a list such as [\"n1→n2\"]; roles are for `shape`";
                    return Err(self.bad(&links.span(), said));
                }
            },
            _ => {
                let said = "a partition needs exactly one of `shape`, `blocks` and `links`";
                return Err(self.bad(&spanned.span(), said));
            }
        };
        Ok(Aim::Exactly(Fault::Partition { grudge, sever }))
    }

    pub(super) fn packets(&self, spanned: &Spanned<Entry>) -> Result<Aim, BadSchedule> {
        let entry = spanned.get_ref();
        let missing = |field| self.missing(spanned, Kind::Packets, field);
        let weather = self.weather(entry.weather.as_ref().ok_or_else(|| missing("weather"))?)?;
        let links = entry.links.as_ref().ok_or_else(|| missing("links"))?;
        let place = links.span();
        if self.nodes.len() < 2 {
            return Err(self.bad(&place, "one node has no links"));
        }
        Ok(match links.get_ref() {
            RoleOrList::List(names) => {
                Aim::Exactly(Fault::Packets { links: self.links(names, &place)?, weather })
            }
            RoleOrList::Role(role) => {
                let route = role.parse::<Route>().map_err(|error| self.bad(&place, error.to_string()))?;
                Aim::Packets { route, weather }
            }
        })
    }

    fn blocks(&self, field: &Spanned<Vec<Vec<String>>>) -> Result<Grudge, BadSchedule> {
        let place = field.span();
        let blocks = field.get_ref().iter().map(|block| self.known(block, &place));
        let blocks = blocks.collect::<Result<Vec<Nodes>, _>>()?;
        let named: usize = field.get_ref().iter().map(Vec::len).sum();
        let grudge = Grudge::Blocks(blocks);
        if grudge.nodes().len() < named {
            return Err(self.bad(&place, "a node stands in two blocks"));
        }
        if grudge.links().is_empty() {
            return Err(self.bad(&place, "this cuts nothing"));
        }
        Ok(grudge)
    }

    fn links(&self, names: &[String], place: &Range<usize>) -> Result<BTreeSet<Link>, BadSchedule> {
        let links = names.iter().map(|text| text.parse::<Link>()).collect::<Result<BTreeSet<Link>, _>>();
        let links = links.map_err(|error| self.bad(place, error.to_string()))?;
        if links.is_empty() {
            return Err(self.bad(place, "no link is meant"));
        }
        self.present(&links.iter().flat_map(|link| [link.from, link.to]).collect(), place)?;
        Ok(links)
    }

    /// Whom a fault is meant for that is done to nodes.
    pub(super) fn whom(&self, spanned: &Spanned<Entry>, kind: Kind) -> Result<Who, BadSchedule> {
        let Some(field) = &spanned.get_ref().nodes else {
            return Err(self.missing(spanned, kind, "nodes"));
        };
        match field.get_ref() {
            RoleOrList::List(names) if names.is_empty() => Err(self.bad(&field.span(), "no node is meant")),
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
