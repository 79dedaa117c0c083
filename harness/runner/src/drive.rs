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
            let wake = if end.is_none() {
                match self.hand_out(generator)? {
                    Given::Done => {
                        end = Some(End::Done);
                        None
                    }
                    Given::Until(until) => until,
                }
            } else {
                None
            };
            if let Some(end) = end
                && self.open.is_empty()
            {
                return Ok(end);
            }
            let wake = wake.map_or(deadline, |time| self.recorder.instant(time).min(deadline));
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Ok(End::Cancelled),
                Some(ended) = self.open.next() => self.end(ended, generator)?,
                () = tokio::time::sleep_until(wake.into()), if end.is_none() => {
                    if Instant::now() >= deadline {
                        end = Some(End::OutOfTime);
                    }
                }
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
        let outcome = outcome?;
        let concurrency = self.seats.len() as u64;
        let seat = &mut self.seats[index];
        let process = seat.process;
        seat.refusals = if matches!(outcome, Outcome::Ok(_)) { 0 } else { seat.refusals + 1 };
        let retired = matches!(outcome, Outcome::Info(_));
        let seen = self.recorder.complete(process, outcome)?;
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
