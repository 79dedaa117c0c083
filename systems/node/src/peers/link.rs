//! The sending side of a link.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::Stream;
use raft::{Envelope, NodeId, SessionId, codec};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Endpoint, Uri};
use tonic::{Code, Status};
use wire::peer::Frames;
use wire::peer::peer_client::PeerClient;

use super::queue::Queue;
use crate::config::{Config, Retry};

/// How long a peer may take to accept a connection, or to answer a ping.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a peer is pinged: how long a dead connection may go unnoticed, about.
const PING: Duration = Duration::from_secs(1);
/// With this code a peer says that the caller was removed from the cluster, and with no other.
pub(super) const LEFT: Code = Code::FailedPrecondition;
/// What may be under way to a peer that is slow to read.
const WINDOW: u32 = 4 << 20;

/// What a node says of itself when it calls.
#[derive(Clone, Debug)]
pub(crate) struct Introduction {
    cluster: String,
    pub(crate) from: NodeId,
    boot: u64,
    /// Where the peer finds this node, should it not know.
    peer_urls: Vec<String>,
}

impl Introduction {
    pub(crate) fn new(config: &Config) -> Introduction {
        let SessionId(boot) = config.replica.boot;
        let cluster = config.replica.identity.cluster.clone();
        Introduction { cluster, from: config.id(), boot, peer_urls: config.about.peer_urls.clone() }
    }
}

/// This node's way to one peer.
#[derive(Debug)]
pub(crate) struct Link {
    introduction: Introduction,
    peer: NodeId,
    /// Where it is found: the next if one does not answer.
    uris: Vec<Uri>,
    up: AtomicBool,
    dials: AtomicU64,
    sent: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    queue: Queue,
    /// Which connection may take from the queue: an old one that lingers must not.
    connection: u64,
    waker: Option<Waker>,
}

impl Link {
    pub(crate) fn new(introduction: Introduction, peer: NodeId, uris: Vec<Uri>) -> Link {
        Link {
            introduction,
            peer,
            uris,
            up: AtomicBool::new(false),
            dials: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            waiting: Mutex::new(Waiting::default()),
        }
    }

    /// Queues an envelope. Never blocks; drops the oldest if there is no room.
    pub(crate) fn send(&self, envelope: &Envelope) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let mut waiting = self.waiting();
        waiting.queue.push(codec::encode_envelope(envelope));
        if let Some(waker) = waiting.waker.take() {
            waker.wake();
        }
    }

    /// Whether the peer has accepted the link, and has not been lost since.
    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// How many envelopes were given up for lack of room.
    pub(crate) fn dropped(&self) -> u64 {
        self.waiting().queue.dropped()
    }

    /// How many envelopes were queued.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// How often it was dialled.
    pub(crate) fn dials(&self) -> u64 {
        self.dials.load(Ordering::Relaxed)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection's stream of frames. The first is empty: it only says who calls, and where the caller is found. A
    /// connection made before gets nothing any more.
    fn frames(self: &Arc<Link>) -> FrameStream {
        let mut waiting = self.waiting();
        waiting.connection += 1;
        FrameStream { link: Arc::clone(self), connection: waiting.connection, introduced: false }
    }

    fn frame(&self, envelope: Vec<bytes::Bytes>) -> Frames {
        let Introduction { cluster, from, boot, .. } = &self.introduction;
        let (cluster, from, boot) = (cluster.clone(), u32::from(from.0), *boot);
        Frames { cluster, from, boot, envelope, ..Frames::default() }
    }

    /// Dials, and sends until the connection ends. `Ok` if it was up for a while.
    async fn connect(self: &Arc<Link>, uri: &Uri) -> Result<(), Status> {
        self.dials.fetch_add(1, Ordering::Relaxed);
        let endpoint = Endpoint::from(uri.clone())
            .tcp_nodelay(true)
            .connect_timeout(PATIENCE)
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PATIENCE)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW);
        let channel = endpoint.connect().await.map_err(|error| Status::unavailable(chain(&error)))?;
        let mut answers = PeerClient::new(channel).link(self.frames()).await?.into_inner();
        self.up.store(true, Ordering::Relaxed);
        tracing::info!(from = %self.introduction.from, peer = %self.peer, %uri, "link is up");
        let mut end = Ok(());
        while end.is_ok() {
            match answers.message().await {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(status) => end = Err(status),
            }
        }
        self.up.store(false, Ordering::Relaxed);
        let reason = end.as_ref().err().map_or("the peer closed it", Status::message);
        tracing::info!(from = %self.introduction.from, peer = %self.peer, reason, "link is down");
        Ok(())
    }
}

/// Keeps a link up for as long as the node lives, or belongs to the cluster: `removed` is told if the peer says that it
/// does no longer.
pub(crate) async fn keep(link: Arc<Link>, retry: Retry, removed: CancellationToken) {
    let from = link.introduction.from;
    let mut wait = retry.first;
    let mut last = String::new();
    for uri in link.uris.iter().cycle() {
        let begun = Instant::now();
        match link.connect(uri).await {
            Ok(()) if begun.elapsed() > retry.longest => {
                wait = retry.first;
                last.clear();
            }
            Err(status) if status.code() == LEFT => {
                tracing::error!(%from, peer = %link.peer, reason = status.message(), "no member any more");
                removed.cancel();
            }
            // Once for each new reason: a peer that is down for an hour is not news twice a second.
            Err(status) if status.message() != last => {
                tracing::warn!(%from, peer = %link.peer, %uri, reason = status.message(), "no link");
                status.message().clone_into(&mut last);
            }
            // One that was up for a moment was turned away, perhaps: that is no success.
            Ok(()) | Err(_) => {}
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(retry.longest);
    }
}

/// An error with its causes: the outermost one of a transport says little.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Takes frames from a link's queue whenever its connection has room for one.
struct FrameStream {
    link: Arc<Link>,
    connection: u64,
    introduced: bool,
}

impl Stream for FrameStream {
    type Item = Frames;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Frames>> {
        if !self.introduced {
            self.introduced = true;
            let peer_urls = self.link.introduction.peer_urls.clone();
            let to = u32::from(self.link.peer.0);
            return Poll::Ready(Some(Frames { peer_urls, to, ..self.link.frame(Vec::new()) }));
        }
        let mut waiting = self.link.waiting();
        if waiting.connection != self.connection {
            return Poll::Ready(None);
        }
        let envelopes = waiting.queue.take_frame();
        if envelopes.is_empty() {
            waiting.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        drop(waiting);
        Poll::Ready(Some(self.link.frame(envelopes)))
    }
}
