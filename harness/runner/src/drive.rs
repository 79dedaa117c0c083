//! Hands out work: the generator says who asks what, clients ask, the recorder writes it down.
//!
//! A process has at most one op open. When nobody knows how an op ended, its process is retired, since
//! the op may still take effect while a successor of the same number would be ordered after it; the
//! successor is `old + concurrency`, with a connection of its own. Process p talks to node p mod n.
//!
//! A process that was refused rests before it is given work again, longer each time. Otherwise a dead
//! node, which refuses thousands of times a second, would fill the history with nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use history::{Key, Operation, Outcome, Process};
use nemesis::{NodeId, Time};
use tokio_util::sync::CancellationToken;
use workload::{Generator, Next, Now};

use crate::error::Error;
use crate::etcd::Client;
use crate::recorder::Recorder;

/// The rest after a first refusal; it doubles with each further one.
const FIRST_REST: Duration = Duration::from_millis(50);
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_millis(500);

/// How a phase ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The generator has nothing more to ask.
    Done,
    /// The deadline of the phase passed.
    OutOfTime,
    /// Somebody wants the run to end.
    Cancelled,
}

/// A place for one process after another.
struct Seat<C> {
    process: Process,
    node: NodeId,
    /// Away while an op is open.
    client: Option<C>,
    refusals: u32,
    rests_until: Time,
}

/// What comes back when an op ends.
type Ended<O, C> = (usize, C, Result<Outcome<<O as Operation>::Ret>, Error>);

/// The clients of a run.
pub struct Drive<'a, O: Operation, C> {
    recorder: &'a Recorder<O>,
    nodes: Vec<(NodeId, SocketAddr)>,
    seats: Vec<Seat<C>>,
    open: FuturesUnordered<BoxFuture<'a, Ended<O, C>>>,
}

impl<'a, O, C> Drive<'a, O, C>
where
    O: Operation<Ret: Send> + Send + Sync + 'static,
    C: Client<O>,
{
    /// So many processes at a time, spread over the nodes.
    pub fn new(
        recorder: &'a Recorder<O>,
        nodes: BTreeMap<NodeId, SocketAddr>,
        concurrency: usize,
    ) -> Drive<'a, O, C> {
        let nodes: Vec<(NodeId, SocketAddr)> = nodes.into_iter().collect();
        let seats = (0..concurrency as u64).map(|number| seat(Process(number), &nodes)).collect();
        Drive { recorder, nodes, seats, open: FuturesUnordered::new() }
    }

    /// Hands out work until the generator is done or the time is up, and lets what is open end.
    pub async fn run(
        &mut self,
        generator: &mut dyn Generator<Op = O, Ret = O::Ret>,
        deadline: Instant,
        cancel: &CancellationToken,
    ) -> Result<End, Error> {
        let mut end = None;
        loop {
            // Looked at first, and not only when nothing else happens: answers may never stop coming.
            if end.is_none() && Instant::now() >= deadline {
                end = Some(End::OutOfTime);
            }
            let mut wake = deadline;
            if end.is_none() {
                match self.hand_out(generator)? {
                    Given::Done => end = Some(End::Done),
                    Given::Until(until) => {
                        wake = until.map_or(deadline, |time| self.recorder.instant(time).min(deadline));
                    }
                }
            }
            if let Some(end) = end
                && self.open.is_empty()
            {
                return Ok(end);
            }
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Ok(End::Cancelled),
                Some(ended) = self.open.next() => self.end(ended, generator)?,
                () = tokio::time::sleep_until(wake.into()), if end.is_none() => {}
            }
        }
    }

    /// Gives work to the free until there is none of either.
    fn hand_out(&mut self, generator: &mut dyn Generator<Op = O, Ret = O::Ret>) -> Result<Given, Error> {
        loop {
            let now = self.recorder.time();
            let mut free: Vec<Process> =
                self.seats.iter().filter(|seat| seat.free(now)).map(|seat| seat.process).collect();
            free.sort_unstable();
            match generator.next(Now { time: now.0, free: &free }) {
                Next::Done => return Ok(Given::Done),
                Next::Invoke { process, key, op } => self.begin(process, key, op, generator)?,
                Next::Wait { until } => {
                    let resting = self.seats.iter().filter(|seat| seat.client.is_some());
                    let rested = resting.map(|seat| seat.rests_until).filter(|until| *until > now).min();
                    let wake = until.map(Time).into_iter().chain(rested).min();
                    return Ok(Given::Until(wake));
                }
            }
        }
    }

    fn begin(
        &mut self,
        process: Process,
        key: Option<Key>,
        op: O,
        generator: &mut dyn Generator<Op = O, Ret = O::Ret>,
    ) -> Result<(), Error> {
        let index = self.seats.iter().position(|seat| seat.process == process && seat.client.is_some());
        let index = index.expect("a generator gives work only to those who are free");
        let seat = &mut self.seats[index];
        let mut client = seat.client.take().expect("it was just found");
        let seen = self.recorder.invoke(process, seat.node, key.clone(), op.clone())?;
        generator.observe(&seen);
        self.open.push(Box::pin(async move {
            let outcome = client.invoke(key.as_ref(), &op).await;
            (index, client, outcome)
        }));
        Ok(())
    }

    fn end(
        &mut self,
        (index, client, outcome): Ended<O, C>,
        generator: &mut dyn Generator<Op = O, Ret = O::Ret>,
    ) -> Result<(), Error> {
        let outcome = match outcome {
            Err(Error::Nonsense { what, .. }) => Err(what),
            other => Ok(other?),
        };
        let concurrency = self.seats.len() as u64;
        let seat = &mut self.seats[index];
        let process = seat.process;
        seat.refusals = if matches!(outcome, Ok(Outcome::Ok(_))) { 0 } else { seat.refusals + 1 };
        let seen = match outcome {
            Ok(outcome) => self.recorder.complete(process, outcome)?,
            Err(what) => self.recorder.violate(process, &what)?,
        };
        let retired = matches!(seen.kind, history::Kind::Info(_));
        if retired {
            let refusals = seat.refusals;
            *seat = seat_after(Process(process.0 + concurrency), &self.nodes, refusals);
        } else {
            seat.client = Some(client);
        }
        seat.rests_until = self.recorder.time().after(rest(seat.refusals));
        generator.observe(&seen);
        Ok(())
    }
}

/// What handing out came to.
enum Given {
    Done,
    Until(Option<Time>),
}

impl<C> Seat<C> {
    fn free(&self, now: Time) -> bool {
        self.client.is_some() && self.rests_until <= now
    }
}

fn seat<O: Operation, C: Client<O>>(process: Process, nodes: &[(NodeId, SocketAddr)]) -> Seat<C> {
    seat_after(process, nodes, 0)
}

fn seat_after<O: Operation, C: Client<O>>(
    process: Process,
    nodes: &[(NodeId, SocketAddr)],
    refusals: u32,
) -> Seat<C> {
    let turn = usize::try_from(process.0 % nodes.len() as u64).expect("there are few nodes");
    let (node, address) = nodes[turn];
    Seat { process, node, client: Some(C::new(node, address)), refusals, rests_until: Time::default() }
}

/// None after a success; then doubling up to the longest.
fn rest(refusals: u32) -> Duration {
    match refusals {
        0 => Duration::ZERO,
        some => FIRST_REST.saturating_mul(1 << (some - 1).min(8)).min(LONGEST_REST),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use checker::register::{Op, Ret};
    use history::{Attempt, History, Kind, Observation};

    use super::*;

    /// What [`Scripted`] answers nonsense to.
    const RIDDLE: Op = Op::Write(13);

    /// Answers a read, refuses a compare-and-set, and loses a write.
    struct Scripted;

    impl Client<Op> for Scripted {
        fn new(_node: NodeId, _address: SocketAddr) -> Scripted {
            Scripted
        }

        async fn invoke(&mut self, _key: Option<&Key>, op: &Op) -> Result<Outcome<Ret>, Error> {
            if *op == RIDDLE {
                return Err(Error::Nonsense { node: NodeId(1), what: "42".to_owned() });
            }
            Ok(match op {
                Op::Read => Outcome::Ok(Ret::Value(None)),
                Op::Write(_) => Outcome::Info("lost".to_owned()),
                Op::Cas { .. } => Outcome::Fail("refused".to_owned()),
            })
        }
    }

    /// Gives the same op to whoever is free, so many times.
    struct Same {
        op: Op,
        times: usize,
        seen: Vec<Observation<Op, Ret>>,
    }

    impl Generator for Same {
        type Op = Op;
        type Ret = Ret;

        fn next(&mut self, now: Now<'_>) -> Next<Op> {
            match (self.times, now.free) {
                (0, _) => Next::Done,
                (_, []) => Next::Wait { until: None },
                (_, [process, ..]) => {
                    self.times -= 1;
                    Next::Invoke { process: *process, key: None, op: self.op }
                }
            }
        }

        fn observe(&mut self, seen: &Observation<Op, Ret>) {
            self.seen.push(seen.clone());
        }

        fn conclude(&mut self) {}
    }

    /// Four processes on three nodes ask the same op so many times.
    async fn asked(op: Op, times: usize) -> (History<Op, Ret>, Vec<Observation<Op, Ret>>) {
        let (recorder, seen) = recorded(op, times).await;
        (recorder.finish().0, seen)
    }

    async fn recorded(op: Op, times: usize) -> (Recorder<Op>, Vec<Observation<Op, Ret>>) {
        let folder = tempfile::tempdir().unwrap();
        let recorder = Recorder::new(File::create(folder.path().join("history")).unwrap());
        let nodes = nemesis::cluster(3).into_iter().map(|node| (node, ([127, 0, 0, 1], 9).into()));
        let mut drive = Drive::<Op, Scripted>::new(&recorder, nodes.collect(), 4);
        let mut generator = Same { op, times, seen: Vec::new() };
        let far = Instant::now() + Duration::from_mins(1);
        let end = drive.run(&mut generator, far, &CancellationToken::new()).await.unwrap();
        assert_eq!(end, End::Done);
        drop(drive);
        (recorder, generator.seen)
    }

    fn processes(attempts: &[Attempt<Op, Ret>]) -> Vec<u64> {
        let mut processes: Vec<u64> = attempts.iter().map(|attempt| attempt.process.0).collect();
        processes.sort_unstable();
        processes.dedup();
        processes
    }

    #[tokio::test]
    async fn a_process_whose_op_was_lost_is_followed_by_its_number_plus_the_concurrency() {
        let (history, _) = asked(Op::Write(1), 12).await;
        assert_eq!(processes(&history.attempts), (0..12).collect::<Vec<u64>>());
        let invoked =
            |process| history.attempts.iter().find(|attempt| attempt.process == Process(process)).unwrap();
        assert!((4..12).all(|next| invoked(next).invoked > invoked(next - 4).completed.unwrap()));
    }

    #[tokio::test]
    async fn an_answer_that_is_none_ends_its_op_and_not_the_run() {
        let (recorder, seen) = recorded(RIDDLE, 6).await;
        assert_eq!(seen.iter().filter(|seen| matches!(seen.kind, Kind::Info(_))).count(), 6);
        assert_eq!(recorder.violations().len(), 6);
    }

    #[tokio::test]
    async fn an_answered_or_refused_process_keeps_its_number_and_process_p_talks_to_node_p_mod_n() {
        for op in [Op::Read, Op::Cas { from: 1, to: 2 }] {
            let (history, _) = asked(op, 8).await;
            assert_eq!(processes(&history.attempts), [0, 1, 2, 3]);
        }
        for attempt in asked(Op::Write(1), 12).await.0.attempts {
            let node = u16::try_from(attempt.process.0 % 3).unwrap() + 1;
            assert_eq!(attempt.node, Some(history::NodeId(node)));
        }
    }

    #[tokio::test]
    async fn a_refused_process_rests_and_an_answered_one_does_not() {
        let gap = |history: &History<Op, Ret>| {
            let of_one: Vec<_> = history.attempts.iter().filter(|one| one.process == Process(0)).collect();
            of_one[1].invoked.time - of_one[0].completed.unwrap().time
        };
        let (refused, _) = asked(Op::Cas { from: 1, to: 2 }, 8).await;
        assert!(Duration::from_nanos(gap(&refused)) >= FIRST_REST);
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 90].map(|refusals| rest(refusals).as_millis()),
            [0, 50, 100, 200, 400, 500, 500]
        );
        // Four at a time, always the lowest free: without rests, process 0 is asked again at once.
        let (answered, seen) = asked(Op::Read, 8).await;
        assert_eq!(answered.attempts.len(), 8);
        assert!(seen.iter().all(|seen| matches!(seen.kind, Kind::Invoke(_) | Kind::Ok(_))));
        assert_eq!(seen.len(), 16, "a generator sees every line");
    }

    #[tokio::test]
    async fn a_phase_ends_at_its_deadline_or_when_cancelled_and_not_before_open_ops_ended() {
        let folder = tempfile::tempdir().unwrap();
        let recorder = Recorder::new(File::create(folder.path().join("history")).unwrap());
        let nodes: BTreeMap<_, _> = [(NodeId(1), ([127, 0, 0, 1], 9).into())].into();
        let mut drive = Drive::<Op, Scripted>::new(&recorder, nodes, 2);
        let mut endless = Same { op: Op::Read, times: usize::MAX, seen: Vec::new() };
        let soon = Instant::now() + Duration::from_millis(20);
        let end = drive.run(&mut endless, soon, &CancellationToken::new()).await.unwrap();
        assert_eq!(end, End::OutOfTime);
        assert_eq!(recorder.tally().open(), 0);
        let cancelled = CancellationToken::new();
        cancelled.cancel();
        let far = Instant::now() + Duration::from_mins(1);
        assert_eq!(drive.run(&mut endless, far, &cancelled).await.unwrap(), End::Cancelled);
    }
}
