//! Hands out work: who asks whom and when, [`Seats`] say; clients ask, the recorder writes it down.
//!
//! A client is a connection, and belongs to one process: whoever follows a retired process connects anew, since
//! an answer to its predecessor is none to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use history::{Key, Outcome, Process};
use nemesis::{NodeId, Time};
use tokio_util::sync::CancellationToken;
use workload::{Generator, Seats, Turn, Workload};

use crate::error::Error;
use crate::etcd::Client;
use crate::recorder::Recorder;

/// What there is to do when all work is handed out.
enum Rest {
    /// To wait: for an answer, and until then if somebody may be asked again then.
    Until(Option<Time>),
    /// Nothing: the phase is over.
    Over,
}

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

/// What comes back when an op ends.
type Ended<W, C> = (Process, C, Result<Outcome<<W as Workload>::Ret>, Error>);

/// The clients of a run.
pub struct Drive<'a, W: Workload, C, G> {
    workload: &'a W,
    recorder: &'a Recorder<W::Op>,
    addresses: BTreeMap<NodeId, SocketAddr>,
    seats: Seats<G>,
    /// Those that no op needs now, by seat.
    clients: Vec<Option<(Process, C)>>,
    open: FuturesUnordered<BoxFuture<'a, Ended<W, C>>>,
}

impl<'a, W, C, G> Drive<'a, W, C, G>
where
    W: Workload,
    C: Client<W>,
    G: Generator<Op = W::Op, Ret = W::Ret>,
{
    /// So many processes at a time, spread over the nodes.
    pub fn new(
        workload: &'a W,
        recorder: &'a Recorder<W::Op>,
        addresses: BTreeMap<NodeId, SocketAddr>,
        concurrency: usize,
        generator: G,
    ) -> Drive<'a, W, C, G> {
        let nodes = addresses.keys().map(|node| history::NodeId(node.0)).collect();
        let seats = Seats::new(concurrency, nodes, generator);
        let clients = (0..concurrency).map(|_| None).collect();
        Drive { workload, recorder, addresses, seats, clients, open: FuturesUnordered::new() }
    }

    /// Hands out work until nothing more is asked in this phase or the time is up, and lets what is open end.
    pub async fn run(&mut self, deadline: Instant, cancel: &CancellationToken) -> Result<End, Error> {
        let mut end = End::Done;
        loop {
            // Looked at first, and not only when nothing else happens: answers may never stop coming.
            if end == End::Done && Instant::now() >= deadline {
                end = End::OutOfTime;
                self.seats.close();
            }
            let Rest::Until(wake) = self.hand_out()? else { return Ok(end) };
            let wake = wake.map_or(deadline, |time| self.recorder.instant(time).min(deadline));
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Ok(End::Cancelled),
                Some(ended) = self.open.next() => self.end(ended)?,
                () = tokio::time::sleep_until(wake.into()), if end == End::Done => {}
            }
        }
    }

    /// The faults are healed: from now on, only the final reads.
    pub fn conclude(&mut self) {
        self.seats.conclude();
    }

    /// How many final reads nobody answered.
    pub fn given_up(&self) -> usize {
        self.seats.generator().given_up()
    }

    /// Gives work to the free until there is none of either.
    fn hand_out(&mut self) -> Result<Rest, Error> {
        loop {
            match self.seats.next(self.recorder.time().0) {
                Turn::Ask { process, node, key, op } => self.begin(process, NodeId(node.0), key, op)?,
                Turn::Wait { until } => return Ok(Rest::Until(until.map(Time))),
                Turn::Done => return Ok(Rest::Over),
            }
        }
    }

    fn begin(&mut self, process: Process, node: NodeId, key: Option<Key>, op: W::Op) -> Result<(), Error> {
        let seen = self.recorder.invoke(process, node, key.clone(), op.clone())?;
        self.seats.observe(&seen);
        let known = self.clients[self.seats.place(process)].take();
        let mut client = match known.filter(|(owner, _)| *owner == process) {
            Some((_, client)) => client,
            None => C::new(node, self.addresses[&node]),
        };
        let workload = self.workload;
        self.open.push(Box::pin(async move {
            let outcome = client.invoke(workload, key.as_ref(), &op).await;
            (process, client, outcome)
        }));
        Ok(())
    }

    fn end(&mut self, (process, client, outcome): Ended<W, C>) -> Result<(), Error> {
        let seen = match outcome {
            Err(Error::Nonsense { what, .. }) => self.recorder.violate(process, &what)?,
            outcome => self.recorder.complete(process, outcome?)?,
        };
        self.clients[self.seats.place(process)] = Some((process, client));
        self.seats.observe(&seen);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use checker::register::{Op, Ret};
    use history::{Attempt, History, Kind, Observation};
    use workload::{FIRST_REST, Next, Now, Registers};

    use super::*;

    /// What [`Scripted`] answers nonsense to.
    const RIDDLE: Op = Op::Write(13);

    /// Answers a read, refuses a compare-and-set, and loses a write.
    struct Scripted;

    impl Client<Registers> for Scripted {
        fn new(_node: NodeId, _address: SocketAddr) -> Scripted {
            Scripted
        }

        async fn invoke(
            &mut self,
            _workload: &Registers,
            _key: Option<&Key>,
            op: &Op,
        ) -> Result<Outcome<Ret>, Error> {
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
        let generator = Same { op, times, seen: Vec::new() };
        let workload = Registers::register();
        let mut drive = Drive::<_, Scripted, _>::new(&workload, &recorder, nodes.collect(), 4, generator);
        let far = Instant::now() + Duration::from_mins(1);
        let end = drive.run(far, &CancellationToken::new()).await.unwrap();
        assert_eq!(end, End::Done);
        let seen = drive.seats.generator().seen.clone();
        drop(drive);
        (recorder, seen)
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
        let endless = Same { op: Op::Read, times: usize::MAX, seen: Vec::new() };
        let workload = Registers::register();
        let mut drive = Drive::<_, Scripted, _>::new(&workload, &recorder, nodes, 2, endless);
        let soon = Instant::now() + Duration::from_millis(20);
        let end = drive.run(soon, &CancellationToken::new()).await.unwrap();
        assert_eq!(end, End::OutOfTime);
        assert_eq!(recorder.tally().open(), 0);
        drive.conclude();
        let cancelled = CancellationToken::new();
        cancelled.cancel();
        let far = Instant::now() + Duration::from_mins(1);
        assert_eq!(drive.run(far, &cancelled).await.unwrap(), End::Cancelled);
    }
}
