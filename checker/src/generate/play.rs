//! Playing a plan: clients take turns at random, and every turn is one step of one op.

use history::{Attempt, History, Key, Moment, NodeId, Outcome, Process};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::subjects::Subject;
use super::{Plan, Planted, WrongValue};

pub(super) fn play<S: Subject>(plan: &Plan, subject: &S) -> History<S::Op, S::Ret> {
    let mut stage = Stage::new(plan, subject);
    let mut idle = stage.clients.len();
    while stage.history.attempts.len() < plan.ops || idle < stage.clients.len() {
        let client = stage.rng.random_range(0..stage.clients.len());
        match stage.clients[client].turn {
            Turn::Idle if stage.history.attempts.len() < plan.ops => {
                stage.ask(client);
                idle -= 1;
            }
            Turn::Idle => {}
            Turn::Asked => stage.go_on(client),
            Turn::Answered(_) | Turn::GivenUp | Turn::Refused => {
                stage.end(client);
                idle += 1;
            }
        }
        stage.late();
    }
    stage.history
}

/// A client, and how far its op is.
struct Client<R, M> {
    process: u64,
    turn: Turn<R>,
    /// Where its op stands in the history, and in the hands of which fate.
    attempt: usize,
    fate: Fate,
    key: usize,
    /// What was no longer there for certain when it asked.
    gone: Option<M>,
    /// The first acknowledged of all.
    oldest: Option<M>,
    /// What was there before a write that was acknowledged and lost before it asked.
    lost: Option<M>,
    /// What its op left, if it is a write.
    left: Option<M>,
    /// What is there instead, if its op is a write that is lost.
    losing: Option<M>,
}

enum Turn<R> {
    Idle,
    Asked,
    Answered(R),
    GivenUp,
    Refused,
}

/// What will become of an op.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answer,
    Info,
    Fail,
}

/// One key.
struct Content<S: Subject> {
    key: Key,
    state: S::State,
    /// The line on which a write was acknowledged, and what it had left; the last one.
    acknowledged: Option<(u64, S::Mark)>,
    oldest: Option<S::Mark>,
    /// What an acknowledged write had left before another acknowledged one began.
    gone: Option<S::Mark>,
    /// What was there before a write that was acknowledged and lost.
    lost: Option<S::Mark>,
}

struct Stage<'p, S: Subject> {
    plan: &'p Plan,
    subject: &'p S,
    rng: ChaCha8Rng,
    history: History<S::Op, S::Ret>,
    clients: Vec<Client<S::Ret, S::Mark>>,
    contents: Vec<Content<S>>,
    /// Ops that nobody waits for any more, and their keys: they may take effect yet.
    pending: Vec<(usize, usize)>,
    /// Ops from here on may go wrong; none if nothing will any more.
    wrong_from: Option<usize>,
}

impl<'p, S: Subject> Stage<'p, S> {
    fn new(plan: &'p Plan, subject: &'p S) -> Stage<'p, S> {
        let client = |process| Client {
            process,
            turn: Turn::Idle,
            attempt: 0,
            fate: Fate::Answer,
            key: 0,
            gone: None,
            oldest: None,
            lost: None,
            left: None,
            losing: None,
        };
        let content = |number| Content {
            key: Key::new(format!("k{number}")),
            state: S::State::default(),
            acknowledged: None,
            oldest: None,
            gone: None,
            lost: None,
        };
        let at = match plan.planted {
            Planted::Nothing => None,
            Planted::WrongRead { at, .. } | Planted::LostWrite { at } | Planted::StaleRead { at } => Some(at),
        };
        Stage {
            plan,
            subject,
            rng: ChaCha8Rng::seed_from_u64(plan.seed),
            history: History { attempts: Vec::with_capacity(plan.ops), ..History::default() },
            clients: (0..plan.clients.max(1) as u64).map(client).collect(),
            contents: (0..plan.keys.max(1)).map(content).collect(),
            pending: Vec::new(),
            wrong_from: at.map(|at| part(plan.ops, at)),
        }
    }

    /// The next line.
    fn line(&mut self) -> Moment {
        let index = self.history.lines;
        self.history.lines += 1;
        Moment { index, time: 1000 * index }
    }

    fn ask(&mut self, number: usize) {
        let key = if self.contents.len() == 1 { 0 } else { self.rng.random_range(0..self.contents.len()) };
        let (info, fail) = (self.plan.info / 100.0, self.plan.fail / 100.0);
        let chance = if info + fail > 0.0 { self.rng.random::<f64>() } else { 1.0 };
        let invoked = self.line();
        let content = &self.contents[key];
        let attempt = self.history.attempts.len();
        let client = &mut self.clients[number];
        client.turn = Turn::Asked;
        client.attempt = attempt;
        client.key = key;
        client.fate = match chance {
            chance if chance < info => Fate::Info,
            chance if chance < info + fail => Fate::Fail,
            _ => Fate::Answer,
        };
        if self.wrong_from.is_some() {
            client.gone.clone_from(&content.gone);
            client.oldest.clone_from(&content.oldest);
            client.lost.clone_from(&content.lost);
        }
        let op = self.subject.ask(&content.state, attempt as u64, &mut self.rng);
        self.history.attempts.push(Attempt {
            process: Process(client.process),
            node: Some(NodeId(1 + u16::try_from(number % 5).expect("there are five"))),
            key: Some(content.key.clone()),
            op,
            invoked,
            completed: None,
            outcome: Outcome::Info(String::new()),
        });
    }

    /// The moment of effect, if the op has one.
    fn go_on(&mut self, number: usize) {
        let client = &self.clients[number];
        let turn = match client.fate {
            Fate::Fail => Turn::Refused,
            Fate::Info => {
                self.pending.push((client.attempt, client.key));
                Turn::GivenUp
            }
            Fate::Answer => self.effect(number),
        };
        self.clients[number].turn = turn;
    }

    fn effect(&mut self, number: usize) -> Turn<S::Ret> {
        let client = &mut self.clients[number];
        let content = &mut self.contents[client.key];
        let op = &self.history.attempts[client.attempt].op;
        let due = self.wrong_from.is_some_and(|from| client.attempt >= from);
        if due && matches!(self.plan.planted, Planted::LostWrite { .. }) {
            if S::writes(op) && self.rng.random_bool(0.25) {
                let began = self.history.attempts[client.attempt].invoked.index;
                let before = content.acknowledged.as_ref().filter(|(end, _)| *end < began);
                client.losing = before.map(|(_, mark)| mark.clone());
                return Turn::Answered(self.subject.pretend(&content.state, op));
            }
        } else if due && let Some(wrong) = wrong(self.plan, self.subject, client, &content.state, op) {
            self.wrong_from = None;
            return Turn::Answered(wrong);
        }
        match self.subject.effect(&mut content.state, op) {
            None => Turn::Refused,
            Some(ret) => {
                let marked = self.wrong_from.is_some() && S::writes(op);
                client.left = marked.then(|| S::mark(&content.state));
                Turn::Answered(ret)
            }
        }
    }

    fn end(&mut self, number: usize) {
        let at = self.line();
        let clients = self.clients.len() as u64;
        let client = &mut self.clients[number];
        let attempt = &mut self.history.attempts[client.attempt];
        attempt.completed = Some(at);
        attempt.outcome = match std::mem::replace(&mut client.turn, Turn::Idle) {
            Turn::Answered(ret) => {
                let content = &mut self.contents[client.key];
                if let Some(left) = client.left.take() {
                    if content.acknowledged.as_ref().is_some_and(|(end, _)| *end < attempt.invoked.index) {
                        content.gone = content.acknowledged.take().map(|(_, mark)| mark);
                    }
                    content.oldest.get_or_insert_with(|| left.clone());
                    content.acknowledged = Some((at.index, left));
                }
                if client.losing.is_some() {
                    content.lost = client.losing.take();
                }
                let shows = |lost| S::read_at(&attempt.op, lost, &content.state).as_ref() == Some(&ret);
                if client.lost.as_ref().is_some_and(shows) {
                    self.wrong_from = None;
                }
                Outcome::Ok(ret)
            }
            Turn::Refused => Outcome::Fail("refused".to_owned()),
            Turn::GivenUp => {
                client.process += clients;
                Outcome::Info("no answer".to_owned())
            }
            Turn::Idle | Turn::Asked => unreachable!("only an op that came to something ends"),
        };
    }

    /// Now and then, an op that nobody waits for takes effect, or is known never to.
    fn late(&mut self) {
        if !self.pending.is_empty() && self.rng.random_bool(0.1) {
            let late = self.rng.random_range(0..self.pending.len());
            let (attempt, key) = self.pending.swap_remove(late);
            if self.rng.random_bool(0.5) {
                let op = &self.history.attempts[attempt].op;
                self.subject.effect(&mut self.contents[key].state, op);
            }
        }
    }
}

/// What a read is to be answered instead of the truth; none if there is no occasion.
fn wrong<S: Subject>(
    plan: &Plan,
    subject: &S,
    client: &Client<S::Ret, S::Mark>,
    state: &S::State,
    op: &S::Op,
) -> Option<S::Ret> {
    match plan.planted {
        Planted::Nothing | Planted::LostWrite { .. } => None,
        Planted::StaleRead { .. } => S::read_at(op, client.gone.as_ref()?, state),
        Planted::WrongRead { value, .. } => match value {
            WrongValue::NeverWritten => subject.read_never(op, state),
            WrongValue::Old => {
                client.gone.as_ref()?;
                S::read_at(op, client.oldest.as_ref()?, state)
            }
            WrongValue::Any => subject.read_any(op, state, plan.values.one_of(client.attempt as u64 / 2)),
        },
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a part of all ops need not be exact"
)]
fn part(ops: usize, at: f64) -> usize {
    (ops as f64 * at) as usize
}
