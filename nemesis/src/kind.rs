//! The kinds of fault that can be asked for by name, and the list that a person types.

use std::fmt;
use std::str::FromStr;

use crate::ids;

/// A kind of fault, as it is named on the command line and in a schedule.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// Links between nodes are cut.
    Partition,
    /// Processes die without a warning.
    Kill,
    /// Processes stand still, and do not know it.
    Pause,
}

impl Kind {
    /// All of them, in the order in which `all` lists them.
    pub const ALL: [Kind; 3] = [Kind::Partition, Kind::Kill, Kind::Pause];

    /// The name used on command lines, in schedules and as `f` in a history.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Partition => "partition",
            Kind::Kill => "kill",
            Kind::Pause => "pause",
        }
    }

    /// The `f` of its end in a history.
    pub fn heal_name(self) -> &'static str {
        match self {
            Kind::Partition => "heal-partition",
            Kind::Kill => "heal-kill",
            Kind::Pause => "heal-pause",
        }
    }

    /// What it does, in one sentence.
    pub fn story(self) -> &'static str {
        match self {
            Kind::Partition => "links between nodes are cut: what is sent over them is held back or refused",
            Kind::Kill => "nodes die by SIGKILL, and are started again on what their disks kept",
            Kind::Pause => "nodes stand still by SIGSTOP, and go on as if no time had passed",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A fault that this world does not have.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnknownFault {
    /// Nobody has it.
    #[error("unknown fault `{name}`; {}known: {}, all, none", guess(name), itertools::join(Kind::ALL, ", "))]
    NoSuchFault {
        /// What was asked for.
        name: String,
    },
    /// The name is right, the world is wrong.
    #[error("fault `{kind}` is not supported here; supported: {supported}, all, none")]
    Unsupported {
        /// What was asked for.
        kind: Kind,
        /// What there is.
        supported: Kinds,
    },
    /// `all` or `none` beside something else.
    #[error("`{name}` says it all: it cannot be mixed with other faults")]
    NotAlone {
        /// `all` or `none`.
        name: String,
    },
}

/// "did you mean …" when one known name starts alike.
fn guess(name: &str) -> String {
    let alike = |kind: &Kind| {
        let both = kind.name().chars().zip(name.chars());
        both.take_while(|(known, typed)| typed.eq_ignore_ascii_case(known)).count() >= 2
    };
    Kind::ALL.into_iter().find(alike).map(|kind| format!("did you mean `{kind}`? ")).unwrap_or_default()
}

impl FromStr for Kind {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Kind, UnknownFault> {
        let found = Kind::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| UnknownFault::NoSuchFault { name: text.to_owned() })
    }
}

/// The kinds that a run mixes, each once, in the order asked for. Shown as it is typed:
/// `partition,kill`, or `none`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Kinds(Vec<Kind>);

impl Kinds {
    /// These, each once.
    pub fn of(kinds: impl IntoIterator<Item = Kind>) -> Kinds {
        Kinds(itertools::Itertools::unique(kinds.into_iter()).collect())
    }

    /// Reads `partition,kill`, `none`, or `all`, which means all that this world supports.
    pub fn parse(text: &str, supported: &[Kind]) -> Result<Kinds, UnknownFault> {
        let names: Vec<&str> = text.split(',').map(str::trim).collect();
        match names.as_slice() {
            ["all"] => return Ok(Kinds::of(supported.iter().copied())),
            ["none"] => return Ok(Kinds::default()),
            _ => {}
        }
        if let Some(name) = names.iter().find(|name| matches!(**name, "all" | "none")) {
            return Err(UnknownFault::NotAlone { name: (*name).to_owned() });
        }
        let kinds = names.into_iter().map(str::parse).collect::<Result<Vec<Kind>, _>>()?;
        match kinds.iter().find(|kind| !supported.contains(kind)) {
            Some(&kind) => {
                let supported = Kinds::of(supported.iter().copied());
                Err(UnknownFault::Unsupported { kind, supported })
            }
            None => Ok(Kinds::of(kinds)),
        }
    }

    /// Whether none was asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// They, in order.
    pub fn as_slice(&self) -> &[Kind] {
        &self.0
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        f.write_str(&ids::list(&self.0).replace(' ', ","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_becomes_what_the_world_supports_and_says_so() {
        assert_eq!(Kinds::parse("all", &Kind::ALL).unwrap().to_string(), "partition,kill,pause");
        assert_eq!(Kinds::parse("all", &[Kind::Kill]).unwrap().to_string(), "kill");
        assert_eq!(Kinds::parse("none", &Kind::ALL).unwrap().to_string(), "none");
        assert_eq!(Kinds::parse("kill, partition,kill", &Kind::ALL).unwrap().to_string(), "kill,partition");
    }

    #[test]
    fn an_unknown_fault_is_named_beside_the_known_ones() {
        let said = |text: &str, supported: &[Kind]| Kinds::parse(text, supported).unwrap_err().to_string();
        assert_eq!(
            said("partitoin,kill", &Kind::ALL),
            "unknown fault `partitoin`; did you mean `partition`? known: partition, kill, pause, all, none"
        );
        assert_eq!(said("", &Kind::ALL), "unknown fault ``; known: partition, kill, pause, all, none");
        assert_eq!(
            said("partition", &[Kind::Kill]),
            "fault `partition` is not supported here; supported: kill, all, none"
        );
        assert_eq!(said("all,kill", &Kind::ALL), "`all` says it all: it cannot be mixed with other faults");
    }
}
