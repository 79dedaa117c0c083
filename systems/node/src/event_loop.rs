//! The loop around a replica: take what is ready, read the clock, step, flush, hand out.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use raft::{Membership, Now, StateMachine};
use replica::{CallId, Effects, Event, Halt, Outcome, Replica};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use wal::{Disk, Ticket};

use crate::clock::Clock;
use crate::handle::{Machine, Request};
use crate::shared::Shared;
use crate::shutdown::End;
use crate::timers::Timers;

/// How much one turn takes from the queue. More would not make syncs and messages any fewer, but
/// heartbeats later.
const TURN: usize = 1024;

/// What a disk reports.
pub(crate) type Report = (Ticket, io::Result<()>);

/// A replica and all that it is connected to.
pub(crate) struct EventLoop<M: StateMachine, D: Disk> {
    pub(crate) replica: Replica<M, D>,
    pub(crate) queue: mpsc::Receiver<Request<M::Query, M::Reply>>,
    /// Not bounded by itself, but by what the log has under way: a handful.
    pub(crate) reports: mpsc::UnboundedReceiver<Report>,
    pub(crate) clock: Clock,
    pub(crate) timers: Timers,
    pub(crate) shared: Arc<Shared>,
    pub(crate) stop: CancellationToken,
    pub(crate) callers: Callers<M::Reply>,
    /// The members that links follow: by the log, and by what of it is executed.
    pub(crate) followed: Option<(Arc<Membership>, Arc<Membership>)>,
}

/// Who waits for which call.
pub(crate) struct Callers<R> {
    waiting: BTreeMap<CallId, oneshot::Sender<Outcome<R>>>,
    last: u64,
}

impl<R> Callers<R> {
    pub(crate) fn new() -> Callers<R> {
        Callers { waiting: BTreeMap::new(), last: 0 }
    }

    fn add(&mut self, caller: oneshot::Sender<Outcome<R>>) -> CallId {
        self.last += 1;
        let id = CallId(self.last);
        self.waiting.insert(id, caller);
        id
    }

    fn answer(&mut self, id: CallId, outcome: Outcome<R>) {
        if let Some(caller) = self.waiting.remove(&id) {
            // A caller that has gone away does not need its answer.
            let _ = caller.send(outcome);
        }
    }
}

/// What one turn has to do.
struct Turn<Q, R> {
    requests: Vec<Request<Q, R>>,
    reports: Vec<Report>,
    /// A peer says that this node was removed.
    removed: bool,
}

impl<M: Machine, D: Disk + Send + 'static> EventLoop<M, D> {
    /// Runs until the node is asked to stop or halts. `effects` are those of opening the replica.
    pub(crate) async fn run(mut self, mut effects: Effects<M::Reply>) -> End {
        let mut turn = Turn { requests: Vec::with_capacity(TURN), reports: Vec::new(), removed: false };
        let mut now = self.clock.now();
        loop {
            if let Some(halt) = self.hand_out(now, &mut effects) {
                tracing::error!(reason = %halt, "halted: this node fences itself");
                return End::Halted(halt);
            }
            if !self.wait(&mut turn).await {
                break;
            }
            now = self.clock.now();
            self.step(now, &mut turn, &mut effects);
        }
        self.close(effects).await
    }

    /// Takes what is ready; waits if nothing is. `false` when the node shall stop.
    async fn wait(&mut self, turn: &mut Turn<M::Query, M::Reply>) -> bool {
        let deadline = self.timers.next().map(|moment| self.clock.instant(moment));
        let timer = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return false,
            Some(report) = self.reports.recv() => turn.reports.push(report),
            taken = self.queue.recv_many(&mut turn.requests, TURN) => if taken == 0 { return false },
            () = timer => {}
            () = self.shared.links.removed() => turn.removed = true,
        }
        while let Ok(report) = self.reports.try_recv() {
            turn.reports.push(report);
        }
        while turn.requests.len() < TURN
            && let Ok(request) = self.queue.try_recv()
        {
            turn.requests.push(request);
        }
        if turn.requests.len() == TURN {
            // There is more. Sockets are served by this thread too; let them have a go in between.
            tokio::task::yield_now().await;
        }
        true
    }

    fn step(&mut self, now: Now, turn: &mut Turn<M::Query, M::Reply>, effects: &mut Effects<M::Reply>) {
        self.shared.counters.turns.add(1);
        self.shared.counters.events.add(turn.requests.len() + turn.reports.len());
        if turn.removed {
            self.replica.step(now, Event::Removed, effects);
        }
        for (ticket, result) in turn.reports.drain(..) {
            self.replica.step(now, Event::Disk(ticket, result), effects);
        }
        for request in turn.requests.drain(..) {
            let event = match request {
                Request::Peer(envelope) => Event::Peer(envelope),
                Request::Call(call, caller) => Event::Call(self.callers.add(caller), call),
            };
            self.replica.step(now, event, effects);
        }
        // Last, so that a leader's sign of life that lay in the queue counts before the timer does.
        // A timer that was armed anew by it still has its old deadline here, and is not due.
        for (timer, wait) in std::mem::take(&mut effects.arm) {
            self.timers.arm(timer, wait, now.mono);
        }
        for timer in self.timers.due(now.mono) {
            self.replica.step(now, Event::Timer(timer), effects);
        }
        self.replica.flush(now, effects);
    }

    /// Carries out effects. Says why the node must halt, if it must.
    fn hand_out(&mut self, now: Now, effects: &mut Effects<M::Reply>) -> Option<Halt> {
        self.follow_members();
        for envelope in effects.send.drain(..) {
            self.shared.links.send(&envelope);
        }
        for (timer, wait) in std::mem::take(&mut effects.arm) {
            self.timers.arm(timer, wait, now.mono);
        }
        let halt = effects.halt.take();
        self.publish(halt.clone());
        for (call, outcome) in effects.reply.drain(..) {
            self.shared.counters.count_outcome(&outcome);
            self.callers.answer(call, outcome);
        }
        halt
    }

    /// Opens links to those who have become members, and lets go of those who are none any more.
    fn follow_members(&mut self) {
        let (latest, executed) = (self.replica.raft().membership(), &self.replica.members().now);
        let same = |(before, known): &(Arc<Membership>, Arc<Membership>)| {
            Arc::ptr_eq(before, latest) && Arc::ptr_eq(known, executed)
        };
        if self.followed.as_ref().is_some_and(same) {
            return;
        }
        self.shared.links.follow(latest, executed);
        self.shared.publish_members(Arc::clone(executed), Arc::clone(latest));
        self.followed = Some((Arc::clone(latest), Arc::clone(executed)));
    }

    fn publish(&self, halted: Option<Halt>) {
        let status = self.replica.status();
        let before = self.shared.publish(status, halted);
        if (before.term, before.role, before.leader) != (status.term, status.role, status.leader) {
            let leader = status.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string());
            tracing::info!(term = %status.term, role = %status.role, leader, "standing");
        }
    }

    /// The end: nothing new is taken in, what is under way is finished. Calls that still wait learn that
    /// nobody knows.
    async fn close(mut self, mut effects: Effects<M::Reply>) -> End {
        self.queue.close();
        let now = self.clock.now();
        self.replica.flush(now, &mut effects);
        if let Some(halt) = self.hand_out(now, &mut effects) {
            return End::Halted(halt);
        }
        let replica = self.replica;
        match tokio::task::spawn_blocking(move || replica.close().map(drop)).await {
            Ok(Ok(())) => End::Stopped,
            Ok(Err(failure)) => End::Untidy(failure),
            Err(_) => End::Broken,
        }
    }
}
