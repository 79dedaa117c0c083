//! What can be said in a script, and how it is written.

use std::fmt;
use std::str::{FromStr, SplitWhitespace};
use std::time::Duration;

use crate::bug::Bug;
use crate::ids::NodeId;
use crate::membership::Change;

/// How long a `wait` takes that does not say, and a `timeout`: an election timer runs for at least so long.
const USUAL: Duration = Duration::from_millis(300);

/// One line of a script.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Starts a cluster.
    Cluster(Shape),
    /// An election timer runs out, after so long.
    Timeout(NodeId, Duration),
    /// Time passes.
    Wait(Duration),
    /// A heartbeat timer runs out.
    Heartbeat(NodeId),
    /// Everything is delivered until silence.
    Settle,
    /// All that is under way on a link is delivered.
    Deliver(Link),
    /// One message of a link is delivered, the oldest being number 1.
    DeliverOne(Link, usize),
    /// One message of a link is lost.
    Lose(Link, usize),
    /// What was delivered last on a link is delivered again.
    Repeat(Link),
    /// What is under way from or to a node is lost.
    Drop(NodeId),
    /// All links of a node are cut.
    Isolate(NodeId),
    /// All links are mended.
    Heal,
    /// So many writes of a node are on disk, with one sync.
    Persist(NodeId, usize),
    /// A node ends, and so many of its writes still reach the disk.
    Crash(NodeId, usize),
    /// A node starts, having ended if it ran.
    Restart(NodeId),
    /// A client of a node wants this in the log.
    Propose(NodeId, String),
    /// A client of a node wants to read.
    Read(NodeId),
    /// A node that belongs to no cluster yet starts with a blank disk.
    Join(NodeId),
    /// A client of a node wants other members.
    Change(NodeId, Vec<Change>),
    /// A node is asked to give the lead away, to this one.
    Transfer(NodeId, Option<NodeId>),
    /// The time for a transfer is over.
    Abandon(NodeId),
    /// A node has what it executed in a snapshot, on disk.
    Snapshot(NodeId),
    /// A node fetches the snapshot that it was offered.
    Fetch(NodeId),
    /// Time passes for one node alone.
    Hurry(NodeId, Duration),
    /// A log is shown.
    Log(NodeId),
}

/// From whom to whom.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Link {
    /// Who speaks.
    pub from: NodeId,
    /// Who hears.
    pub to: NodeId,
}

/// What a cluster is like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shape {
    /// How many nodes.
    pub nodes: u16,
    /// The most bytes of entries in one append, if not as many as usual.
    pub append: Option<usize>,
    /// How many appends may be under way to a follower, if not as many as usual.
    pub window: Option<usize>,
    /// How many entries are kept behind a snapshot, if not as many as usual.
    pub tail: Option<u64>,
    /// By how many thousandths a clock may be wrong, if reads may rest on a lease.
    pub lease: Option<u32>,
    /// How soon a write is on disk.
    pub disks: Disks,
    /// The mistakes that its nodes make.
    pub bugs: Vec<Bug>,
}

/// How soon a write is on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Disks {
    /// At once.
    #[default]
    Quick,
    /// When the script says so.
    Slow,
}

/// Why a line is no command.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    /// Nothing is called so.
    #[error("no command is called `{0}`")]
    Unknown(String),
    /// It ends too early.
    #[error("it does not say {0}")]
    Missing(&'static str),
    /// A word that is not what should stand there.
    #[error("`{word}` is not {what}")]
    Word {
        /// What stands there.
        word: String,
        /// What should.
        what: &'static str,
    },
    /// It goes on too long.
    #[error("`{0}` is too much")]
    TooMuch(String),
}

/// The words of a line, one after the other.
struct Words<'a>(SplitWhitespace<'a>);

impl<'a> Words<'a> {
    fn word(&mut self, what: &'static str) -> Result<&'a str, Malformed> {
        self.0.next().ok_or(Malformed::Missing(what))
    }

    fn node(&mut self) -> Result<NodeId, Malformed> {
        node(self.word("which node")?)
    }

    fn link(&mut self) -> Result<Link, Malformed> {
        link(self.word("which link")?)
    }

    fn number(&mut self) -> Result<usize, Malformed> {
        number(self.word("which one")?, "the number of a message, such as #1")
    }

    /// How many, if it is said.
    fn count(&mut self) -> Result<Option<usize>, Malformed> {
        self.0.next().map(|word| parse(word, "a number")).transpose()
    }
}

fn parse<T: FromStr>(word: &str, what: &'static str) -> Result<T, Malformed> {
    word.parse().map_err(|_| Malformed::Word { word: word.to_owned(), what })
}

fn node(word: &str) -> Result<NodeId, Malformed> {
    parse(word.trim_start_matches('n'), "a node").map(NodeId)
}

fn link(word: &str) -> Result<Link, Malformed> {
    let wrong = || Malformed::Word { word: word.to_owned(), what: "a link, such as 1→2" };
    let (from, to) = word.split_once('→').ok_or_else(wrong)?;
    Ok(Link { from: node(from)?, to: node(to)? })
}

/// `+voter`, `+learner`, `promote=4`, `demote=2`, `-3`.
fn change(word: &str) -> Result<Change, Malformed> {
    let context = || "".into();
    match (word.split_once('='), word.strip_prefix('-')) {
        (Some(("promote", id)), _) => Ok(Change::Promote(node(id)?)),
        (Some(("demote", id)), _) => Ok(Change::Demote(node(id)?)),
        (None, Some(id)) => Ok(Change::Remove(node(id)?)),
        _ if word == "+voter" => Ok(Change::AddVoter { context: context() }),
        _ if word == "+learner" => Ok(Change::AddLearner { context: context() }),
        _ => Err(Malformed::Word { word: word.to_owned(), what: "a change, such as +voter or -3" }),
    }
}

fn number(word: &str, what: &'static str) -> Result<usize, Malformed> {
    let wrong = || Malformed::Word { word: word.to_owned(), what };
    let number = word.strip_prefix('#').and_then(|digits| digits.parse().ok());
    number.filter(|number| *number > 0).ok_or_else(wrong)
}

impl FromStr for Command {
    type Err = Malformed;

    fn from_str(line: &str) -> Result<Command, Malformed> {
        let mut words = Words(line.split_whitespace());
        let command = match words.word("what to do")? {
            "cluster" => Command::Cluster(Shape::of(&mut words)?),
            "timeout" => {
                let node = words.node()?;
                match (words.0.next(), words.0.next()) {
                    (None, _) => Command::Timeout(node, USUAL),
                    (Some("at"), Some("once")) => Command::Timeout(node, Duration::ZERO),
                    (Some(word), _) => return Err(Malformed::TooMuch(word.to_owned())),
                }
            }
            "wait" => {
                let time = words.count()?.map(|count| Duration::from_millis(count as u64));
                Command::Wait(time.unwrap_or(USUAL))
            }
            "heartbeat" => Command::Heartbeat(words.node()?),
            "deliver" => match (words.0.next(), words.0.next()) {
                (None, _) => Command::Settle,
                (Some(on), None) => Command::Deliver(link(on)?),
                (Some(on), Some(which)) => {
                    Command::DeliverOne(link(on)?, number(which, "a number, such as #1")?)
                }
            },
            "lose" => Command::Lose(words.link()?, words.number()?),
            "repeat" => Command::Repeat(words.link()?),
            "drop" => Command::Drop(words.node()?),
            "isolate" => Command::Isolate(words.node()?),
            "heal" => Command::Heal,
            "persist" => Command::Persist(words.node()?, words.count()?.unwrap_or(1)),
            "crash" => Command::Crash(words.node()?, words.count()?.unwrap_or(0)),
            "restart" => Command::Restart(words.node()?),
            "propose" => Command::Propose(words.node()?, words.word("what")?.to_owned()),
            "read" => Command::Read(words.node()?),
            "join" => Command::Join(words.node()?),
            "change" => {
                let asked = words.node()?;
                let changes = words.0.by_ref().map(change).collect::<Result<Vec<_>, _>>()?;
                Command::Change(asked, changes)
            }
            "transfer" => Command::Transfer(words.node()?, words.0.next().map(node).transpose()?),
            "abandon" => Command::Abandon(words.node()?),
            "snapshot" => Command::Snapshot(words.node()?),
            "fetch" => Command::Fetch(words.node()?),
            "hurry" => {
                let node = words.node()?;
                let time = words.count()?.ok_or(Malformed::Missing("how many milliseconds"))?;
                Command::Hurry(node, Duration::from_millis(time as u64))
            }
            "log" => Command::Log(words.node()?),
            unknown => return Err(Malformed::Unknown(unknown.to_owned())),
        };
        words.0.next().map_or(Ok(command), |word| Err(Malformed::TooMuch(word.to_owned())))
    }
}

impl Shape {
    fn of(words: &mut Words<'_>) -> Result<Shape, Malformed> {
        let mut shape = Shape {
            nodes: 3,
            append: None,
            window: None,
            tail: None,
            lease: None,
            disks: Disks::Quick,
            bugs: Vec::new(),
        };
        for word in words.0.by_ref() {
            let wrong = |what| Malformed::Word { word: word.to_owned(), what };
            match word.split_once('=').ok_or_else(|| wrong("an option, such as nodes=3"))? {
                ("nodes", value) => shape.nodes = parse(value, "a number of nodes")?,
                ("append", value) => shape.append = Some(parse(value, "a number of bytes")?),
                ("window", value) => shape.window = Some(parse(value, "a number of messages")?),
                ("tail", value) => shape.tail = Some(parse(value, "a number of entries")?),
                ("lease", value) => shape.lease = Some(parse(value, "a number of thousandths")?),
                ("disks", "slow") => shape.disks = Disks::Slow,
                ("bugs", names) => {
                    for name in names.split(',') {
                        shape.bugs.push(parse(name, "a mistake")?);
                    }
                }
                _ => return Err(wrong("an option of a cluster")),
            }
        }
        if (1..=MOST_NODES).contains(&shape.nodes) {
            Ok(shape)
        } else {
            Err(Malformed::Word { word: shape.nodes.to_string(), what: "a number of nodes from 1 to 99" })
        }
    }
}

/// Nobody tells a story of more.
const MOST_NODES: u16 = 99;

impl Command {
    /// The nodes that it names.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        let (one, other) = match self {
            Command::Cluster(_) | Command::Wait(_) | Command::Settle | Command::Heal | Command::Join(_) => {
                (None, None)
            }
            Command::Timeout(node, _)
            | Command::Heartbeat(node)
            | Command::Drop(node)
            | Command::Isolate(node)
            | Command::Persist(node, _)
            | Command::Crash(node, _)
            | Command::Restart(node)
            | Command::Propose(node, _)
            | Command::Read(node)
            | Command::Change(node, _)
            | Command::Abandon(node)
            | Command::Snapshot(node)
            | Command::Fetch(node)
            | Command::Hurry(node, _)
            // Whom the lead shall go to may be somebody who does not exist.
            | Command::Transfer(node, _)
            | Command::Log(node) => (Some(*node), None),
            Command::Deliver(link)
            | Command::DeliverOne(link, _)
            | Command::Lose(link, _)
            | Command::Repeat(link) => (Some(link.from), Some(link.to)),
        };
        one.into_iter().chain(other)
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}→{}", self.from.0, self.to.0)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nodes={}", self.nodes)?;
        if let Some(append) = self.append {
            write!(f, " append={append}")?;
        }
        if let Some(window) = self.window {
            write!(f, " window={window}")?;
        }
        if let Some(tail) = self.tail {
            write!(f, " tail={tail}")?;
        }
        if let Some(lease) = self.lease {
            write!(f, " lease={lease}")?;
        }
        if self.disks == Disks::Slow {
            f.write_str(" disks=slow")?;
        }
        let bugs: Vec<&str> = self.bugs.iter().map(|bug| bug.name()).collect();
        if bugs.is_empty() { Ok(()) } else { write!(f, " bugs={}", bugs.join(",")) }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Cluster(shape) => write!(f, "cluster {shape}"),
            Command::Timeout(node, Duration::ZERO) => write!(f, "timeout {} at once", node.0),
            Command::Timeout(node, _) => write!(f, "timeout {}", node.0),
            Command::Wait(USUAL) => f.write_str("wait"),
            Command::Wait(time) => write!(f, "wait {}", time.as_millis()),
            Command::Heartbeat(node) => write!(f, "heartbeat {}", node.0),
            Command::Settle => f.write_str("deliver"),
            Command::Deliver(link) => write!(f, "deliver {link}"),
            Command::DeliverOne(link, which) => write!(f, "deliver {link} #{which}"),
            Command::Lose(link, which) => write!(f, "lose {link} #{which}"),
            Command::Repeat(link) => write!(f, "repeat {link}"),
            Command::Drop(node) => write!(f, "drop {}", node.0),
            Command::Isolate(node) => write!(f, "isolate {}", node.0),
            Command::Heal => f.write_str("heal"),
            Command::Persist(node, 1) => write!(f, "persist {}", node.0),
            Command::Persist(node, count) => write!(f, "persist {} {count}", node.0),
            Command::Crash(node, 0) => write!(f, "crash {}", node.0),
            Command::Crash(node, count) => write!(f, "crash {} {count}", node.0),
            Command::Restart(node) => write!(f, "restart {}", node.0),
            Command::Propose(node, what) => write!(f, "propose {} {what}", node.0),
            Command::Read(node) => write!(f, "read {}", node.0),
            Command::Join(node) => write!(f, "join {}", node.0),
            Command::Change(node, changes) => {
                write!(f, "change {}", node.0)?;
                changes.iter().try_for_each(|change| write!(f, " {}", Shown(change)))
            }
            Command::Transfer(node, None) => write!(f, "transfer {}", node.0),
            Command::Transfer(node, Some(to)) => write!(f, "transfer {} {}", node.0, to.0),
            Command::Abandon(node) => write!(f, "abandon {}", node.0),
            Command::Snapshot(node) => write!(f, "snapshot {}", node.0),
            Command::Fetch(node) => write!(f, "fetch {}", node.0),
            Command::Hurry(node, time) => write!(f, "hurry {} {}", node.0, time.as_millis()),
            Command::Log(node) => write!(f, "log {}", node.0),
        }
    }
}

/// A change as a script says it.
struct Shown<'a>(&'a Change);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Change::AddVoter { .. } => f.write_str("+voter"),
            Change::AddLearner { .. } => f.write_str("+learner"),
            Change::Promote(node) => write!(f, "promote={}", node.0),
            Change::Demote(node) => write!(f, "demote={}", node.0),
            Change::Remove(node) => write!(f, "-{}", node.0),
            Change::Describe { node, .. } => write!(f, "describe={}", node.0),
            Change::Since(index) => write!(f, "since={index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_read_as_it_is_written() {
        for line in [
            "cluster nodes=5 append=1 window=2 tail=0 lease=50 disks=slow",
            "join 4",
            "change 1 +voter +learner promote=4 demote=2 -3",
            "transfer 1",
            "transfer 1 2",
            "abandon 1",
            "snapshot 1",
            "fetch 2",
            "hurry 2 300",
            "timeout 1",
            "timeout 1 at once",
            "wait",
            "wait 50",
            "heartbeat 2",
            "deliver",
            "deliver 1→2",
            "deliver 1→2 #3",
            "lose 1→2 #1",
            "repeat 2→1",
            "drop 1",
            "isolate 1",
            "heal",
            "persist 1",
            "persist 1 3",
            "crash 1",
            "crash 1 2",
            "restart 3",
            "propose 1 x=1",
            "read 1",
            "log 1",
        ] {
            assert_eq!(line.parse::<Command>().map(|command| command.to_string()).as_deref(), Ok(line));
        }
    }

    #[test]
    fn what_is_no_command_is_named() {
        for (line, word) in [
            ("reboot 1", "reboot"),
            ("timeout", "which node"),
            ("timeout x", "`x`"),
            ("timeout 1 soon", "soon"),
            ("deliver 1-2", "a link"),
            ("deliver 1→2 3", "`3`"),
            ("lose 1→2 #0", "#0"),
            ("heal 1", "`1`"),
            ("change 1 +leader", "+leader"),
            ("hurry 1", "how many"),
            ("cluster nodes=0", "nodes"),
            ("cluster disks=quick", "disks=quick"),
            ("cluster bugs=heisenbug", "heisenbug"),
        ] {
            let error = line.parse::<Command>().expect_err(line).to_string();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
