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
}

/// What came of it.
#[derive(Default)]
pub(super) struct Done {
    pub(super) ops: u32,
    pub(super) errors: u32,
    pub(super) seconds: f64,
    pub(super) latencies: Latencies,
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
        for client in clients {
            let done = client.await.expect("clients do not panic");
            all.ops += done.ops;
            all.errors += done.errors;
            all.latencies.merge(&done.latencies);
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
            let began = Instant::now();
            let answer = self.ask().await;
            match stage.load(Ordering::Relaxed) {
                OVER => return done,
                COUNTING if answer.is_ok() => {
                    done.ops += 1;
                    done.latencies.add(began.elapsed());
                }
                COUNTING => done.errors += 1,
                _ => {}
            }
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
