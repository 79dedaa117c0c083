//! What happens before the search begins.
//!
//! | Command | What it does |
//! |---|---|
//! | `timeout N`, `heartbeat N` | a timer of N runs out |
//! | `deliver`, `deliver N→M` | delivers what is under way (on that link), and without a link what follows, until silence |
//! | `drop N` | what is under way from or to N is lost |
//! | `crash N` | N crashes, and starts again |
//! | `propose N`, `read N` | N's client asks |
//! | `change N …` | N is asked for other members, in the words of scripts |
//! | `transfer N M`, `abandon N` | N is asked to give the lead to M; the time for that is over |
//! | `snapshot N`, `fetch N` | N takes a snapshot; N fetches the one that it was offered |
//!
//! They are those of the golden scripts. Disks are quick here; messages arrive in the order in which they were
//! sent.

use std::fmt::Write as _;

use raft::NodeId;

use super::RaftModel;
use super::cause::{ABANDON, BEAT, CHANGE, CRASH, ELECT, READ, SNAPSHOT, TRANSFER, WRITE};
use super::node::Make;
use super::state::{Letter, State, place};
use crate::mark::Mark;

/// More messages than any opening needs.
const MOST: usize = 10_000;

/// The cluster after its opening, and how it came there.
pub(super) struct Opened {
    pub(super) state: State,
    /// What is under way, the oldest first.
    pub(super) mail: Vec<Mark>,
    /// What was done, in the words of a script.
    pub(super) script: String,
}

struct Opening<'a> {
    model: &'a RaftModel,
    make: Make,
    opened: Opened,
}

impl RaftModel {
    /// What happens first in every story.
    pub(super) fn opened(&self) -> Opened {
        let make = Make { quick_disks: true, ..self.make.clone() };
        let opened = Opened { state: self.blank(), mail: Vec::new(), script: String::new() };
        let mut opening = Opening { model: self, make, opened };
        for line in self.profile.opening.lines() {
            opening.command(line);
        }
        let Opened { mut state, mail, script } = opening.opened;
        state.mail = self.with(Box::default(), &mail);
        if !self.profile.opening.is_empty() {
            state.awake = u8::try_from(state.nodes.len()).expect("nodes are few");
        }
        Opened { state, mail, script }
    }
}

impl Opening<'_> {
    fn command(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |text: &str| NodeId(text.parse().unwrap_or_else(|_| panic!("`{line}` names no node")));
        let next = u64::from(self.opened.state.ops.len()) + 1;
        // With slow disks a script is told of every message and of every write.
        let whole = self.model.profile.quick_disks;
        match words.as_slice() {
            ["propose", node] => self.say(&format!("propose {node} x={next}")),
            ["crash", node] => self.say(&format!("restart {node}")),
            ["deliver", ..] if !whole => {}
            _ => self.say(line),
        }
        match words.as_slice() {
            ["timeout", node] => self.happen(number(node), Mark(ELECT)),
            ["heartbeat", node] => self.happen(number(node), Mark(BEAT)),
            ["crash", node] => self.happen(number(node), Mark(CRASH)),
            ["propose", node] => {
                self.opened.state.ops.write();
                self.happen(number(node), Mark(WRITE | next << 8));
            }
            ["read", node] => {
                self.opened.state.ops.read();
                self.happen(number(node), Mark(READ | next << 8));
            }
            ["change", node, ..] => {
                let asked = line.splitn(3, ' ').nth(2).unwrap_or_default();
                let all = self.model.profile.all_changes();
                let place = (0..).zip(all).find(|(_, words)| *words == asked);
                let (place, _) = place.expect("the changes of an opening are known");
                self.happen(number(node), Mark(CHANGE | place << 8));
            }
            ["transfer", node, to] => {
                self.happen(number(node), Mark(TRANSFER | u64::from(number(to).0) << 8));
            }
            ["abandon", node] => self.happen(number(node), Mark(ABANDON)),
            ["snapshot", node] => self.happen(number(node), Mark(SNAPSHOT)),
            ["fetch", node] => {
                let offered = self.model.offered(&self.opened.state.nodes, number(node));
                self.happen(number(node), offered.unwrap_or_else(|| panic!("`{line}`: it was offered none")));
            }
            ["drop", node] => {
                let node = number(node);
                self.opened.mail.retain(|mark| Letter(*mark).to() != node && Letter(*mark).from() != node);
            }
            ["deliver"] => self.settle(whole),
            ["deliver", link] => {
                let (from, to) = link.split_once('→').unwrap_or_else(|| panic!("`{line}` names no link"));
                self.deliver(number(from), number(to), whole);
            }
            _ => panic!("`{line}` is no command of an opening"),
        }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.opened.script, "{line}").expect("writing to a string succeeds");
    }

    fn settle(&mut self, whole: bool) {
        for _ in 0..MOST {
            if self.opened.mail.is_empty() {
                return;
            }
            let mark = self.opened.mail.remove(0);
            self.hand_over(mark, whole);
        }
        panic!("the opening never falls silent");
    }

    fn deliver(&mut self, from: NodeId, to: NodeId, whole: bool) {
        let on_link = |mark: &Mark| Letter(*mark).from() == from && Letter(*mark).to() == to;
        let (mine, others) = std::mem::take(&mut self.opened.mail).into_iter().partition(on_link);
        self.opened.mail = others;
        for mark in mine {
            self.hand_over(mark, whole);
        }
    }

    fn hand_over(&mut self, mark: Mark, whole: bool) {
        let (from, to) = (Letter(mark).from(), Letter(mark).to());
        if !whole {
            self.say(&format!("deliver {}→{} #1", from.0, to.0));
        }
        self.happen(to, mark);
    }

    fn happen(&mut self, node: NodeId, cause: Mark) {
        let model = self.model;
        if self.opened.state.end.is_some() {
            return;
        }
        let before = self.opened.state.nodes[place(node)];
        let law = self.opened.state.law;
        let played = model.play(before, cause, &self.make);
        let verdict = played.as_ref().map_or(Ok(law), |played| model.find_verdict(law, before, played));
        let written = played.as_ref().map_or(0, |played| played.written);
        let turn = model.find_turn(before, played);
        if !model.profile.quick_disks {
            (0..written).for_each(|_| self.say(&format!("persist {}", node.0)));
        }
        let Opened { state, mail, .. } = &mut self.opened;
        state.nodes[place(node)] = turn.node;
        mail.extend_from_slice(&turn.sent);
        state.end = turn.end;
        match verdict {
            Ok(law) => state.law = law,
            Err(end) => state.end = Some(end),
        }
        model.answer(state, &turn.heard);
        model.met.add(turn.met);
    }
}
