//! Plays a script, and writes beside each paragraph what the cluster did.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Write as _};

use super::cluster::Cluster;
use super::command::{Command, Disks, Link, Malformed, Shape};
use crate::ids::NodeId;
use crate::invariants::Violation;
use crate::lease::Lease;
use crate::seam::{Answer, Timer};
use crate::snapshot::Tail;

/// A script that was played.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Played {
    /// The script, with what really happened.
    pub text: String,
    /// The first property that did not hold.
    pub violation: Option<Violation>,
    /// The first node that said that this cannot be, and why.
    pub halted: Option<String>,
}

/// Why a script cannot be played.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: `{command}`: {why}")]
pub struct ScriptError {
    /// Which line, counted from 1.
    pub line: usize,
    /// What stands there.
    pub command: String,
    /// What is wrong with it.
    pub why: Wrong,
}

/// What is wrong with a line.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Wrong {
    /// It is no command.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A script starts with a cluster, and has one.
    #[error("a script starts with a cluster, and has no other")]
    Cluster,
    /// No such node.
    #[error("there is no {0}")]
    NoNode(NodeId),
    /// No such message.
    #[error("nothing like that is under way")]
    NoMessage,
    /// Who is down has nothing to show.
    #[error("{0} is down")]
    Down(NodeId),
    /// Messages that never end.
    #[error("the cluster never falls silent")]
    Endless,
    /// This build has none.
    #[error("this build makes no mistakes on purpose")]
    NoBugs,
}

/// Plays a script.
///
/// # Errors
/// A line that cannot be played. A property that does not hold is none: it is what scripts are there to show.
pub fn play(script: &str) -> Result<Played, ScriptError> {
    let mut player = Player::default();
    let mut played = Vec::new();
    let mut paragraph = Vec::new();
    let lines = script.lines().enumerate().map(|(place, line)| (place + 1, line.trim_end()));
    for (place, line) in lines.chain([(0, "")]) {
        if !line.is_empty() {
            paragraph.push((place, line));
        } else if !paragraph.is_empty() {
            played.push(player.paragraph(&std::mem::take(&mut paragraph))?);
        }
    }
    let Player { cluster, .. } = player;
    let halted = cluster.as_ref().and_then(|cluster| cluster.halted.as_ref());
    let halted = halted.map(|(node, why)| format!("{node} halts: {why}"));
    let violation = cluster.and_then(|cluster| cluster.violation);
    Ok(Played { text: played.join("\n\n") + "\n", violation, halted })
}

#[derive(Default)]
struct Player {
    cluster: Option<Cluster>,
}

impl Player {
    /// Plays one, and gives it back with what happened.
    fn paragraph(&mut self, lines: &[(usize, &str)]) -> Result<String, ScriptError> {
        let question: Vec<_> = lines.iter().take_while(|(_, line)| !line.starts_with("---")).collect();
        let before = self.snapshot();
        let broken = self.cluster.as_ref().is_some_and(|cluster| cluster.violation.is_some());
        let mut output = String::new();
        let mut asked = false;
        for (place, line) in question.iter().filter(|(_, line)| !line.starts_with('#')) {
            asked = true;
            self.line(line, &mut output).map_err(|why| ScriptError {
                line: *place,
                command: (*line).to_owned(),
                why,
            })?;
        }
        let question: Vec<&str> = question.into_iter().map(|(_, line)| *line).collect();
        let question = question.join("\n");
        let Some(cluster) = self.cluster.as_mut().filter(|_| asked) else { return Ok(question) };
        report(cluster, &before, broken, &mut output).expect("writing to a string succeeds");
        if output.is_empty() {
            output.push_str("ok\n");
        }
        Ok(format!("{question}\n---\n{}", output.trim_end()))
    }

    fn line(&mut self, line: &str, output: &mut String) -> Result<(), Wrong> {
        let command: Command = line.parse()?;
        match (&mut self.cluster, command) {
            (None, Command::Cluster(shape)) => self.cluster = Some(shape.start()?),
            (None, _) | (Some(_), Command::Cluster(_)) => return Err(Wrong::Cluster),
            (Some(cluster), Command::Log(node)) => {
                let text = show_log(cluster, node)?;
                output.push_str(&text);
            }
            (Some(cluster), command) => cluster.obey(&command)?,
        }
        Ok(())
    }

    fn snapshot(&self) -> BTreeMap<NodeId, String> {
        let Some(cluster) = &self.cluster else { return BTreeMap::new() };
        cluster.nodes.keys().map(|id| (*id, cluster.display(*id))).collect()
    }
}

impl Shape {
    /// Starts such a cluster, whose messages are written down.
    pub(super) fn start(&self) -> Result<Cluster, Wrong> {
        let bugs = bugs(&self.bugs)?;
        let Shape { append, window, tail, lease, .. } = *self;
        let mut cluster = Cluster::new(self.nodes, move |config| {
            config.bugs = bugs;
            config.append_bytes = append.unwrap_or(config.append_bytes);
            config.window.messages = window.unwrap_or(config.window.messages);
            config.tail = tail.map_or(config.tail, |usual| Tail { usual, most: usual * 2 });
            config.lease = lease.map(|drift| Lease { drift });
        });
        cluster.tolerant = true;
        cluster.slow_disks = self.disks == Disks::Slow;
        cluster.sent = Some(Vec::new());
        Ok(cluster)
    }
}

#[cfg(feature = "bugs")]
#[expect(clippy::unnecessary_wraps, reason = "a build without mistakes cannot make any")]
fn bugs(bugs: &[crate::Bug]) -> Result<crate::Bugs, Wrong> {
    Ok(crate::Bugs::of(bugs.iter().copied()))
}

#[cfg(not(feature = "bugs"))]
fn bugs(bugs: &[crate::Bug]) -> Result<crate::Bugs, Wrong> {
    if bugs.is_empty() { Ok(crate::Bugs::none()) } else { Err(Wrong::NoBugs) }
}

impl Cluster {
    /// Does what a line of a script says, if it is about what happens.
    pub(super) fn obey(&mut self, command: &Command) -> Result<(), Wrong> {
        if let Some(stranger) = command.nodes().find(|node| !self.nodes.contains_key(node)) {
            return Err(Wrong::NoNode(stranger));
        }
        match command {
            Command::Timeout(node, after) => {
                self.advance(*after);
                self.timeout(*node, Timer::Election);
            }
            Command::Wait(time) => self.advance(*time),
            Command::Heartbeat(node) => self.timeout(*node, Timer::Heartbeat),
            Command::Settle if !self.falls_silent() => return Err(Wrong::Endless),
            Command::Deliver(link) => {
                let (mine, others): (VecDeque<_>, VecDeque<_>) =
                    std::mem::take(&mut self.mail).into_iter().partition(|mail| link.has(mail));
                self.mail = others;
                for envelope in mine {
                    self.deliver(envelope);
                }
            }
            Command::DeliverOne(link, which) => {
                let envelope = self.take(*link, *which)?;
                self.deliver(envelope);
            }
            Command::Lose(link, which) => drop(self.take(*link, *which)?),
            Command::Repeat(link) => {
                let again = self.last_heard(link.from, link.to).cloned().ok_or(Wrong::NoMessage)?;
                self.deliver(again);
            }
            Command::Drop(node) => {
                self.mail.retain(|envelope| envelope.from != *node && envelope.to != *node);
            }
            Command::Isolate(node) => self.isolate(*node),
            Command::Heal => self.cut.clear(),
            Command::Persist(node, count) => self.complete_together(*node, *count),
            Command::Crash(node, kept) => {
                self.reach_disk(*node, *kept);
                self.crash(*node);
            }
            Command::Restart(node) => {
                self.crash(*node);
                self.start(*node);
            }
            Command::Propose(node, what) => {
                self.propose(*node, what);
            }
            Command::Read(node) => {
                self.read(*node);
            }
            Command::Join(node) => self.join(*node),
            Command::Change(node, changes) => {
                self.change(*node, changes.clone());
            }
            Command::Transfer(node, to) => {
                self.transfer(*node, *to);
            }
            Command::Abandon(node) => self.timeout(*node, Timer::Transfer),
            Command::Snapshot(node) => self.snapshot(*node),
            Command::Fetch(node) => self.fetch(*node),
            Command::Hurry(node, time) => self.hurry(*node, *time),
            Command::Settle | Command::Cluster(_) | Command::Log(_) => {}
        }
        Ok(())
    }

    /// The K-th of what is under way on a link.
    fn take(&mut self, link: Link, which: usize) -> Result<crate::Envelope, Wrong> {
        let mut mine = self.mail.iter().enumerate().filter(|(_, envelope)| link.has(envelope));
        let place = mine.nth(which.saturating_sub(1)).map(|(place, _)| place);
        place.and_then(|place| self.mail.remove(place)).ok_or(Wrong::NoMessage)
    }
}

impl Link {
    /// Whether a message travels on it.
    pub(super) fn has(self, envelope: &crate::Envelope) -> bool {
        envelope.from == self.from && envelope.to == self.to
    }
}

fn report(
    cluster: &mut Cluster,
    before: &BTreeMap<NodeId, String>,
    broken: bool,
    output: &mut String,
) -> fmt::Result {
    for (id, old) in before {
        let new = cluster.display(*id);
        if *old != new {
            writeln!(output, "{old} ⇨ {new}")?;
        }
    }
    for line in cluster.sent.replace(Vec::new()).unwrap_or_default() {
        writeln!(output, "{line}")?;
    }
    for (node, answer) in cluster.answers.drain(..) {
        match answer {
            Answer::Accepted { id, entry } => writeln!(output, "{node} answers {id}: accepted as {entry}"),
            Answer::Forwarded { id, to } => writeln!(output, "{node} answers {id}: forwarded to {to}"),
            Answer::Refused { id, why } => writeln!(output, "{node} answers {id}: refused, {why}"),
            Answer::Transferred { id, to } => writeln!(output, "{node} answers {id}: {to} leads"),
            Answer::ReadAt { id, index } => writeln!(output, "{node} answers {id}: read at {index}"),
        }?;
    }
    match cluster.violation.as_ref().filter(|_| !broken) {
        Some(violation) => writeln!(output, "against {}: {violation}", violation.property()),
        None => Ok(()),
    }
}

fn show_log(cluster: &Cluster, node: NodeId) -> Result<String, Wrong> {
    let known = cluster.nodes.get(&node).ok_or(Wrong::NoNode(node))?;
    let raft = known.raft.as_ref().ok_or(Wrong::Down(node))?;
    let log = raft.log();
    let names: Vec<String> =
        log.between(log.base().index(), log.last().index).iter().map(ToString::to_string).collect();
    Ok(format!("{node} log [{}] commit={}\n", names.join(" "), raft.commit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_cannot_be_played_is_named_with_its_number() {
        for (script, line, word) in [
            ("timeout 1", 1, "cluster"),
            ("cluster nodes=3\n---\nok\n\ntimeout 4", 5, "n4"),
            ("cluster nodes=3\n\n# A story.\nlose 1→2 #1", 4, "under way"),
            ("cluster nodes=1\n\ncrash 1\nlog 1", 4, "down"),
            ("cluster nodes=3\n\ncluster nodes=3", 3, "no other"),
            ("cluster nodes=3\n\nreboot 1", 3, "reboot"),
        ] {
            let error = play(script).expect_err(script);
            assert_eq!(error.line, line, "{error}");
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn messages_are_delivered_lost_and_repeated_one_by_one() {
        let script = "cluster nodes=3\n\ntimeout 1\ndeliver 1→2\ndeliver 2→1\nlose 1→3 #1\n\
                      deliver 1→3 #1\ndeliver 3→1 #1\nrepeat 3→1\nlog 1";
        let played = play(script).expect("every line can be played");
        assert!(played.text.contains("n1@t0 follower ⇨ n1@t1 leader"), "{}", played.text);
        assert_eq!(played.violation, None);
    }

    #[test]
    fn with_slow_disks_a_vote_waits_and_what_was_under_way_at_a_crash_is_kept_as_told() {
        let asks = "cluster nodes=3 disks=slow\n\ntimeout 1\ndeliver 1→2\ndeliver 2→1\n";
        let played = |then: &str| play(&format!("{asks}{then}")).expect("it can be played").text;
        let opened = "n1@t1 → n2 RequestVote";
        assert!(!played("").contains(opened));
        assert!(played("persist 1").contains(opened));
        assert!(!played("crash 1\nrestart 1").contains("n1@t1"));
        assert!(played("crash 1 1\nrestart 1").contains("n1@t1 follower vote=n1"));
    }
}
