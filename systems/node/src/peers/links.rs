//! All links of a node: to whom there is one, and where it leads.
//!
//! Members come and go while a node runs, and so do its links. There is one to each member, of the latest membership in
//! this node's log as well as of the latest it has executed: a new member must hear from its leader before the
//! change that makes it one can be committed. Where a member is found stands in the membership. A node that has yet to
//! read it, since it is new itself, goes by what it was told at its start, or by what its callers say of themselves.
//!
//! A node that has left is spoken to a little longer, for it has to learn that it left: a link to somebody who is no
//! member is closed when nothing was sent over it for some seconds, and opened again when there is something to send.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prost::Message;
use raft::{Envelope, Membership, NodeId};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::Uri;
use wire::peer::About;

use super::link::{Introduction, Link, keep};
use crate::config::{Config, Retry, detour};
use crate::start::Tasks;

/// How long a link to somebody who is no member is kept when nothing is sent over it.
const LINGER: Duration = Duration::from_secs(5);
/// How many nodes that may be no members are remembered by what they said of themselves.
const STRANGERS: usize = 256;
/// How many addresses a member may have.
pub const URLS: usize = 8;
/// And how long each may be, in bytes.
pub const URL: usize = 256;

/// The links of a node.
pub(crate) struct Links {
    introduction: Introduction,
    detours: BTreeMap<String, Uri>,
    retry: Retry,
    tasks: Tasks,
    /// Set once a peer says that this node was removed.
    removed: CancellationToken,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    open: BTreeMap<NodeId, Open>,
    members: BTreeSet<NodeId>,
    /// Where a node is found, as the log says.
    written: BTreeMap<NodeId, Vec<String>>,
    /// Where it is found, as somebody said.
    told: BTreeMap<NodeId, Vec<String>>,
}

struct Open {
    link: Arc<Link>,
    urls: Vec<String>,
    /// Ends the link when it is dropped.
    _close: DropGuard,
}

impl Inner {
    fn urls(&self, node: NodeId) -> Option<&Vec<String>> {
        self.written.get(&node).or_else(|| self.told.get(&node))
    }
}

impl Links {
    pub(crate) fn new(config: &Config, tasks: Tasks) -> Links {
        let told = config.peers.iter().map(|(node, url)| (*node, vec![url.clone()])).collect();
        let inner = Inner { told, ..Inner::default() };
        Links {
            introduction: Introduction::new(config),
            detours: config.detours.clone(),
            retry: config.retry,
            tasks,
            removed: CancellationToken::new(),
            inner: Mutex::new(inner),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a peer has said that this node was removed: waits until one does.
    pub(crate) async fn removed(&self) {
        self.removed.cancelled().await;
    }

    /// Queues an envelope. Never blocks.
    pub(crate) fn send(self: &Arc<Links>, envelope: &Envelope) {
        let mut inner = self.inner();
        if let Some(open) = inner.open.get(&envelope.to) {
            return open.link.send(envelope);
        }
        // Somebody who is no member, or not yet, as far as this node knows.
        if let Some(link) = self.open(&mut inner, envelope.to) {
            link.send(envelope);
            self.close_later(envelope.to);
        } else {
            tracing::debug!(%envelope, "nobody knows where this node is");
        }
    }

    /// Where a caller says that it is found. What the log says counts for more.
    pub(crate) fn introduce(&self, peer: NodeId, peer_urls: &[String]) {
        let mut inner = self.inner();
        let room = inner.told.contains_key(&peer) || inner.told.len() < STRANGERS;
        let short = peer_urls.len() <= URLS && peer_urls.iter().all(|url| url.len() <= URL);
        if room && short && !peer_urls.is_empty() {
            inner.told.insert(peer, peer_urls.to_vec());
        }
    }

    /// These belong to the cluster, by the log and by what of it is executed.
    pub(crate) fn follow(self: &Arc<Links>, latest: &Membership, executed: &Membership) {
        let mut inner = self.inner();
        let own = self.introduction.from;
        let mut members: BTreeSet<NodeId> = latest.nodes().into_iter().chain(executed.nodes()).collect();
        if members.is_empty() {
            // A node that has yet to hear who the members are calls those it was told of: should it have been
            // removed already, they will say so.
            members.extend(inner.told.keys());
        }
        members.remove(&own);
        // The latest is told last, and so counts.
        for (node, context) in executed.contexts().iter().chain(latest.contexts()) {
            let urls = About::decode(&context[..]).map(|about| about.peer_urls).unwrap_or_default();
            if !urls.is_empty() {
                inner.written.insert(*node, urls);
            }
        }
        let left: Vec<NodeId> = inner.members.difference(&members).copied().collect();
        inner.members = members;
        for node in left {
            self.close_later(node);
        }
        for node in inner.members.clone() {
            let moved = inner.open.get(&node).is_none_or(|open| inner.urls(node) != Some(&open.urls));
            if moved && self.open(&mut inner, node).is_none() {
                tracing::warn!(from = %own, peer = %node, "nobody knows where this member is");
            }
        }
    }

    /// Opens a link in place of the one there may be.
    fn open(self: &Arc<Links>, inner: &mut Inner, peer: NodeId) -> Option<Arc<Link>> {
        let urls = inner.urls(peer)?.clone();
        let uri = |url: &String| detour(&self.detours, url).or_else(|| url.parse().ok());
        let uris: Vec<Uri> = urls.iter().filter_map(uri).collect();
        if uris.is_empty() {
            return None;
        }
        let link = Arc::new(Link::new(self.introduction.clone(), peer, uris));
        let close = CancellationToken::new();
        let (keeping, closed) = (keep(Arc::clone(&link), self.retry, self.removed.clone()), close.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = keeping => {}
                () = closed.cancelled() => {}
            }
        });
        inner.open.insert(peer, Open { link: Arc::clone(&link), urls, _close: close.drop_guard() });
        Some(link)
    }

    /// Closes a link after a while, if its peer is no member then.
    fn close_later(self: &Arc<Links>, node: NodeId) {
        let links = Arc::downgrade(self);
        self.tasks.spawn(async move {
            let mut sent = 0;
            loop {
                tokio::time::sleep(LINGER).await;
                let Some(links) = links.upgrade() else { return };
                let mut inner = links.inner();
                let now = inner.open.get(&node).map(|open| open.link.sent());
                match now {
                    None => return,
                    Some(_) if inner.members.contains(&node) => return,
                    Some(now) if now == sent => {
                        inner.open.remove(&node);
                        return;
                    }
                    Some(now) => sent = now,
                }
            }
        });
    }

    /// The members that this node can talk to.
    pub(crate) fn reachable(&self) -> BTreeSet<NodeId> {
        let inner = self.inner();
        let up = inner.open.iter().filter(|(node, open)| inner.members.contains(node) && open.link.is_up());
        up.map(|(node, _)| *node).collect()
    }

    /// All links there are at the moment.
    pub(crate) fn all(&self) -> Vec<(NodeId, Arc<Link>)> {
        self.inner().open.iter().map(|(node, open)| (*node, Arc::clone(&open.link))).collect()
    }
}
