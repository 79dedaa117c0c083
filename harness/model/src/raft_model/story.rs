//! A path in words: those of the golden scripts, so that a finding is one already.
//!
//! The player of scripts ([`raft::script`]) knows nothing of this checker: it has a network, disks and invariants of
//! its own. So a script that ends as the path did says that the finding is real. What a script has no words for is
//! said in a comment: a write that was torn, a message that came twice with others in between, and the peace in
//! which a cluster does not come to serve.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::RaftModel;
use super::opening::Opened;
use super::state::{Letter, Move, State, place};
use crate::mark::Mark;
use raft::NodeId;
use stateright::Model as _;

/// One step of a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The command of a script that does it, or a comment behind `#` if there is none.
    pub command: String,
    /// What happened: a message that came in, a node that changed, messages that left, what clients heard.
    pub what: Vec<String>,
}

/// Somebody who walks along a path and keeps what a script needs: which message is the how manieth on its link.
struct Teller<'a> {
    model: &'a RaftModel,
    state: State,
    /// What is under way, the oldest first, the dead not buried.
    mail: Vec<Mark>,
    /// What was delivered and will be once more.
    copies: Vec<Mark>,
    /// What arrived last, by links.
    heard: BTreeMap<u8, Mark>,
}

impl RaftModel {
    /// The nodes as they are when the search begins.
    pub fn beginning(&self) -> Vec<String> {
        let nodes = self.opened().state.nodes;
        nodes.iter().map(|node| self.nodes.get(*node).core().to_string()).collect()
    }

    /// A path, step by step. A step that cannot be taken ends it.
    pub fn story(&self, path: &[Move]) -> Vec<Step> {
        let Opened { state, mail, .. } = self.opened();
        let mut teller = Teller { model: self, state, mail, copies: Vec::new(), heard: BTreeMap::new() };
        path.iter().map_while(|step| teller.step(*step)).collect()
    }

    /// The whole story as a script, a paragraph a command. What comes of it is for the player to say.
    pub fn script(&self, path: &[Move]) -> String {
        let text = self.script_with(path, "");
        let end = |text: &str| raft::script::play(text).ok().and_then(|played| played.violation);
        // In a script time passes, but only when it is told so. Whoever has just heard a leader votes for nobody
        // else; so if the story needs that, some time passes before each message.
        let waiting = self.script_with(path, "wait\n\n");
        if end(&text).is_none() && end(&waiting).is_some() { waiting } else { text }
    }

    fn script_with(&self, path: &[Move], before_each: &str) -> String {
        let mut text = format!("cluster nodes={}", self.profile.voters);
        if self.profile.small_appends {
            text.push_str(" append=1");
        }
        if let Some(tail) = self.profile.tail {
            let _ = write!(text, " tail={tail}");
        }
        if let Some(clocks) = self.profile.clocks {
            let _ = write!(text, " lease={}", clocks.drift);
        }
        if !self.profile.quick_disks {
            text.push_str(" disks=slow");
        }
        let bugs: Vec<&str> = self.make.bugs.iter().map(raft::Bug::name).collect();
        if !bugs.is_empty() {
            let _ = write!(text, " bugs={}", bugs.join(","));
        }
        for node in self.profile.voters + 1..=self.profile.nodes {
            let _ = write!(text, "\n\njoin {node}");
        }
        let opening = self.opened().script;
        let first = opening.lines().map(|line| (line.to_owned(), None));
        let steps = self.story(path).into_iter().map(|step| (step.command, step.what.into_iter().next()));
        for (command, comment) in first.chain(steps) {
            text.push_str("\n\n");
            if command.starts_with("deliver") {
                text.push_str(before_each);
                if let Some(message) = comment {
                    let _ = writeln!(text, "# {message}");
                }
            }
            text.push_str(&command);
        }
        text + "\n"
    }

    /// A move without the state in which it is made.
    pub(super) fn words(&self, step: Move) -> String {
        match step {
            Move::Deliver(letter) => self.letters.get(letter.0).to_string(),
            Move::Twice(letter) => format!("{}, and once more later", self.letters.get(letter.0)),
            Move::Lose(letter) => format!("{} is lost", self.letters.get(letter.0)),
            Move::Elect(node) if self.profile.clocks.is_some() => format!("timeout {} at once", node.0),
            Move::Elect(node) => format!("timeout {}", node.0),
            Move::Beat(node) => format!("heartbeat {}", node.0),
            Move::Sync(node) => format!("persist {}", node.0),
            Move::Crash(node) => format!("restart {}", node.0),
            Move::Tear(node) => {
                format!("restart {} # of its oldest write, term and vote are on disk", node.0)
            }
            Move::Write(node) => format!("propose {}", node.0),
            Move::Read(node) => format!("read {}", node.0),
            Move::Change(node, number) => {
                format!("change {} {}", node.0, self.profile.changes[usize::from(number)])
            }
            Move::Transfer(node, to) => format!("transfer {} {}", node.0, to.0),
            Move::Abandon(node) => format!("abandon {}", node.0),
            Move::Snapshot(node) => format!("snapshot {}", node.0),
            Move::Fetch(node) => format!("fetch {}", node.0),
            Move::Pass => self.passing(),
        }
    }

    /// A step of time: so much for the slowest clock, and more for the others.
    fn passing(&self) -> String {
        let Some(clocks) = self.profile.clocks else { return String::new() };
        let rate = |node: &u16| clocks.rate(NodeId(*node));
        let least = (1..=self.profile.nodes).map(|node| rate(&node)).min().unwrap_or_default();
        let faster = (1..=self.profile.nodes).filter(|node| rate(node) > least);
        let mut text = format!("wait {least}");
        for node in faster {
            let _ = write!(text, "\nhurry {node} {}", rate(&node) - least);
        }
        text
    }

    /// The nodes and the messages of a state, a line each.
    pub(crate) fn picture(&self, state: &State) -> Vec<String> {
        let mut lines: Vec<String> =
            state.nodes.iter().map(|mark| self.nodes.get(*mark).describe()).collect();
        lines.extend(state.mail.iter().map(|mark| format!("under way: {}", self.letters.get(*mark))));
        if state.ops.len() > 0 {
            lines.push(format!("clients: {}", state.ops));
        }
        if let Some(end) = self.end(state) {
            lines.push(format!("against {}: {end}", end.against()));
        }
        lines
    }
}

impl Teller<'_> {
    fn step(&mut self, step: Move) -> Option<Step> {
        let next = self.model.next_state(&self.state, step)?;
        let command = self.command(step);
        let mut what = Vec::new();
        if let Move::Deliver(letter) | Move::Twice(letter) | Move::Lose(letter) = step {
            what.push(self.model.letters.get(letter.0).to_string());
        }
        for (before, after) in self.state.nodes.iter().zip(&next.nodes) {
            let (old, new) = (self.display(*before), self.display(*after));
            if old != new {
                what.push(format!("{old} ⇨ {new}"));
            }
        }
        let sent = self.sent(step);
        what.extend(sent.iter().map(|mark| self.model.letters.get(*mark).to_string()));
        self.mail.extend(sent);
        if self.state.ops != next.ops {
            what.push(format!("clients: {}", next.ops));
        }
        self.state = next;
        Some(Step { command, what })
    }

    fn display(&self, node: Mark) -> String {
        self.model.nodes.get(node).core().to_string()
    }

    fn sent(&self, step: Move) -> Vec<Mark> {
        if let Move::Lose(_) | Move::Pass = step {
            return Vec::new();
        }
        let (node, cause) = self.model.cause(&self.state, step);
        self.model.turn(self.state.nodes[place(node)], cause).sent.to_vec()
    }

    /// What a script says for it.
    fn command(&mut self, step: Move) -> String {
        match step {
            Move::Deliver(letter) => self.take("deliver", letter),
            Move::Twice(letter) => {
                self.copies.push(letter.0);
                self.take("deliver", letter)
            }
            Move::Lose(letter) => self.take("lose", letter),
            Move::Write(node) => format!("propose {} x={}", node.0, self.state.ops.len() + 1),
            Move::Tear(node) => {
                format!(
                    "# torn: of the oldest write of {node}, term and vote are on disk\nrestart {}",
                    node.0
                )
            }
            _ => self.model.words(step),
        }
    }

    fn take(&mut self, word: &str, letter: Letter) -> String {
        let link = letter.0.tag();
        let (from, to) = (letter.from().0, letter.to().0);
        let last = self.heard.insert(link, letter.0);
        let on_link: Vec<usize> = (0..self.mail.len()).filter(|at| self.mail[*at].tag() == link).collect();
        if let Some(number) = on_link.iter().position(|at| self.mail[*at] == letter.0) {
            self.mail.remove(on_link[number]);
            return if on_link.len() == 1 && word == "deliver" {
                format!("{word} {from}→{to}")
            } else {
                format!("{word} {from}→{to} #{}", number + 1)
            };
        }
        self.copies.retain(|copy| *copy != letter.0);
        if last == Some(letter.0) {
            format!("repeat {from}→{to}")
        } else {
            format!("# once more, from n{from} to n{to}, with others in between")
        }
    }
}
