//! The client side: closed loops on a thread of their own.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use tonic::Status;
use tonic::transport::Channel;
use wire::etcdserverpb::kv_client::KvClient;
use wire::etcdserverpb::{PutRequest, RangeRequest};

use crate::etcd;
use crate::latency::Latencies;

/// What clients ask.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Write a value.
    Put,
    /// Read one that is no older than the question.
    Read,
    /// Read what the node happens to have.
    SerializableRead,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Put, Kind::Read, Kind::SerializableRead];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Put => "put",
            Kind::Read => "linearizable read",
            Kind::SerializableRead => "serializable read",
        })
    }
}

/// A load on one node.
pub(super) struct Load {
    pub(super) address: SocketAddr,
    pub(super) kind: Kind,
    pub(super) clients: usize,
    pub(super) keys: u64,
    pub(super) value: usize,
    /// Not counted.
    pub(super) warm: Duration,
    /// Counted.
    pub(super) length: Duration,
    /// How long answers are waited for after it.
    pub(super) drain: Duration,
}

/// What came of it.
///
/// An op that straddles an edge of the window counts once at most in each figure: where it was answered
/// for throughput, where it was begun for latency. So the last ops of a turn, which are the slow ones
/// when a system stalls, are not left out of its tail. One that was begun before the window and outlasts
/// it counts for latency, too: it was open all the time.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Ops that were answered in the window.
    pub(super) ops: u32,
    /// Ops that were begun in it, and were refused, broke, or were not answered long after it.
    pub(super) errors: u32,
    /// The words of one of them.
    pub(super) complaint: Option<String>,
    /// How long the window was.
    pub(super) seconds: f64,
    /// Of every op that was begun in the window.
    pub(super) latencies: Latencies,
}

impl Done {
    fn error(&mut self, complaint: &str) {
        self.errors += 1;
        self.complaint.get_or_insert_with(|| complaint.to_owned());
    }

    /// An op that was begun at one stage and ended at another.
    fn count(&mut self, begun: u8, ended: u8, took: Duration, answer: Result<(), Status>) {
        let of_the_window = begun == COUNTING || ended == OVER;
        match answer {
            Ok(()) => {
                self.ops += u32::from(ended == COUNTING);
                if of_the_window {
                    self.latencies.add(took);
                }
            }
            Err(status) if of_the_window || ended == COUNTING => self.error(status.message()),
            Err(_) => {}
        }
    }

    fn add(&mut self, other: &Done) {
        self.ops += other.ops;
        self.errors += other.errors;
        self.complaint = self.complaint.take().or_else(|| other.complaint.clone());
        self.latencies.merge(&other.latencies);
    }
}

/// The stages of a turn, as clients see them.
const WARMING: u8 = 0;
const COUNTING: u8 = 1;
const OVER: u8 = 2;

impl Load {
    /// Runs on a thread of its own, with a runtime of one thread: that is the fastest client there is.
    /// `mark` is called where the counting begins and where it ends.
    pub(super) async fn run<M: Send + 'static>(self, mark: impl Fn() -> M + Send + 'static) -> (Done, M, M) {
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be built").block_on(self.drive(mark))
        };
        tokio::task::spawn_blocking(work).await.expect("clients do not panic")
    }

    async fn drive<M>(self, mark: impl Fn() -> M) -> (Done, M, M) {
        let stage = Arc::new(AtomicU8::new(WARMING));
        let connections = connections(self.clients);
        let channels: Vec<Channel> = (0..connections).map(|_| etcd::channel(self.address)).collect();
        let clients: Vec<_> = (0..self.clients)
            .map(|number| {
                let client = Client {
                    kv: KvClient::new(channels[number % connections].clone()),
                    kind: self.kind,
                    keys: self.keys,
                    value: vec![b'x'; self.value].into(),
                    // Every client walks through all keys, each from another place.
                    next: number as u64 * 7919,
                };
                tokio::spawn(client.work(Arc::clone(&stage)))
            })
            .collect();
        tokio::time::sleep(self.warm).await;
        let (began, before) = (Instant::now(), mark());
        stage.store(COUNTING, Ordering::Relaxed);
        tokio::time::sleep(self.length).await;
        stage.store(OVER, Ordering::Relaxed);
        let (seconds, after) = (began.elapsed().as_secs_f64(), mark());
        let mut all = Done { seconds, ..Done::default() };
        let deadline = tokio::time::Instant::now() + self.drain;
        for client in clients {
            match tokio::time::timeout_at(deadline, client).await {
                Ok(done) => all.add(&done.expect("clients do not panic")),
                Err(_elapsed) => all.error(&format!("no answer within {:?}", self.drain)),
            }
        }
        (all, before, after)
    }
}

/// As many as people use: a few dozen clients share one.
fn connections(clients: usize) -> usize {
    match clients {
        0..=1 => 1,
        2..=16 => 4,
        17..=64 => 8,
        _ => 16,
    }
}

struct Client {
    kv: KvClient<Channel>,
    kind: Kind,
    keys: u64,
    value: bytes::Bytes,
    next: u64,
}

impl Client {
    async fn work(mut self, stage: Arc<AtomicU8>) -> Done {
        let mut done = Done::default();
        loop {
            let (began, begun) = (Instant::now(), stage.load(Ordering::Relaxed));
            if begun == OVER {
                return done;
            }
            let answer = self.ask().await;
            done.count(begun, stage.load(Ordering::Relaxed), began.elapsed(), answer);
        }
    }

    async fn ask(&mut self) -> Result<(), Status> {
        self.next += 1;
        let key = key(self.next % self.keys);
        if self.kind == Kind::Put {
            let request = PutRequest { key, value: self.value.clone(), ..PutRequest::default() };
            return self.kv.put(request).await.map(drop);
        }
        let serializable = self.kind == Kind::SerializableRead;
        let request = RangeRequest { key, serializable, ..RangeRequest::default() };
        self.kv.range(request).await.map(drop)
    }
}

fn key(number: u64) -> bytes::Bytes {
    format!("bench/{number:08}").into()
}

/// Writes every key once, so that reads find something.
pub(super) async fn fill(address: SocketAddr, keys: u64, value: usize) -> Result<(), String> {
    const HANDS: u64 = 64;
    let channel = etcd::channel(address);
    let hands = (0..HANDS).map(|hand| {
        let mut kv = KvClient::new(channel.clone());
        let value = bytes::Bytes::from(vec![b'x'; value]);
        tokio::spawn(async move {
            for number in (hand..keys).step_by(usize::try_from(HANDS).expect("a handful")) {
                let request = PutRequest { key: key(number), value: value.clone(), ..PutRequest::default() };
                kv.put(request).await.map_err(|status| status.message().to_owned())?;
            }
            Ok::<(), String>(())
        })
    });
    for hand in hands.collect::<Vec<_>>() {
        hand.await.expect("writing does not panic")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throughput_is_of_what_was_answered_in_the_window_and_latency_of_what_was_begun_in_it() {
        let slow = Duration::from_secs(3);
        let counted = |begun, ended| {
            let mut done = Done::default();
            done.count(begun, ended, slow, Ok(()));
            (done.ops, done.latencies.permille(500).is_some())
        };
        assert_eq!(counted(WARMING, WARMING), (0, false));
        assert_eq!(counted(WARMING, COUNTING), (1, false));
        assert_eq!(counted(COUNTING, COUNTING), (1, true));
        assert_eq!(counted(COUNTING, OVER), (0, true), "the slow ones are not left out");
        assert_eq!(counted(WARMING, OVER), (0, true), "nor the slowest");
    }

    #[test]
    fn every_error_that_touches_the_window_counts_and_the_first_is_quoted() {
        let mut done = Done::default();
        for (begun, ended) in [(WARMING, WARMING), (WARMING, COUNTING), (COUNTING, OVER), (WARMING, OVER)] {
            done.count(begun, ended, Duration::ZERO, Err(Status::unavailable(format!("{begun} {ended}"))));
        }
        assert_eq!((done.errors, done.complaint.as_deref()), (3, Some("0 1")));
    }

    #[tokio::test]
    async fn whoever_never_answers_does_not_hold_up_the_turn() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let load = Load {
            address: silent.local_addr().unwrap(),
            kind: Kind::Put,
            clients: 2,
            keys: 1,
            value: 1,
            warm: Duration::ZERO,
            length: Duration::from_millis(1),
            drain: Duration::from_millis(5),
        };
        let (done, (), ()) = load.drive(|| ()).await;
        assert_eq!((done.ops, done.errors), (0, 2));
        assert_eq!(done.complaint.as_deref(), Some("no answer within 5ms"));
    }
}
