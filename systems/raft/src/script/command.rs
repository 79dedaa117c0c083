//! What can be said in a script, and how it is written.

use std::fmt;
use std::str::{FromStr, SplitWhitespace};
use std::time::Duration;

use crate::bug::Bug;
use crate::ids::NodeId;

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
            "log" => Command::Log(words.node()?),
            unknown => return Err(Malformed::Unknown(unknown.to_owned())),
        };
        words.0.next().map_or(Ok(command), |word| Err(Malformed::TooMuch(word.to_owned())))
    }
}

impl Shape {
    fn of(words: &mut Words<'_>) -> Result<Shape, Malformed> {
        let mut shape = Shape { nodes: 3, append: None, window: None, disks: Disks::Quick, bugs: Vec::new() };
        for word in words.0.by_ref() {
            let wrong = |what| Malformed::Word { word: word.to_owned(), what };
            match word.split_once('=').ok_or_else(|| wrong("an option, such as nodes=3"))? {
                ("nodes", value) => shape.nodes = parse(value, "a number of nodes")?,
                ("append", value) => shape.append = Some(parse(value, "a number of bytes")?),
                ("window", value) => shape.window = Some(parse(value, "a number of messages")?),
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
            Command::Cluster(_) | Command::Wait(_) | Command::Settle | Command::Heal => (None, None),
            Command::Timeout(node, _)
            | Command::Heartbeat(node)
            | Command::Drop(node)
            | Command::Isolate(node)
            | Command::Persist(node, _)
            | Command::Crash(node, _)
            | Command::Restart(node)
            | Command::Propose(node, _)
            | Command::Read(node)
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
            Command::Log(node) => write!(f, "log {}", node.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_read_as_it_is_written() {
        for line in [
            "cluster nodes=5 append=1 window=2 disks=slow",
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
            ("cluster nodes=0", "nodes"),
            ("cluster disks=quick", "disks=quick"),
            ("cluster bugs=heisenbug", "heisenbug"),
        ] {
            let error = line.parse::<Command>().expect_err(line).to_string();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
