//! The operators' door: `/health` in etcd's words, `/metrics` in Prometheus's.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::ListenerExt;
use raft::Role;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::shared::{Shared, Status};

/// Listens until the node stops.
pub(crate) async fn listen(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let router =
        Router::new().route("/health", get(health)).route("/metrics", get(metrics)).with_state(shared);
    let listener = listener.tap_io(|stream| {
        // A connection without it is slower, and works.
        let _ = stream.set_nodelay(true);
    });
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the admin door has closed");
    }
}

/// Healthy is a node that can serve: it knows a leader and does not stand still.
fn illness(status: &Status) -> Option<String> {
    match (&status.halted, status.replica.leader) {
        (Some(halt), _) => Some(format!("HALTED: {halt}")),
        (None, None) => Some("RAFT NO LEADER".to_owned()),
        (None, Some(_)) => None,
    }
}

async fn health(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let (code, body) = match illness(&shared.status()) {
        None => (StatusCode::OK, serde_json::json!({ "health": "true" })),
        Some(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, serde_json::json!({ "health": "false", "reason": reason }))
        }
    };
    (code, [(header::CONTENT_TYPE, "application/json")], body.to_string())
}

async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], render(&shared))
}

fn render(shared: &Shared) -> String {
    let status = shared.status();
    let counters = &shared.counters;
    let mut page = Page::default();
    page.gauge("raft_term", "The term of this node", status.replica.term.0);
    page.gauge("raft_is_leader", "Whether it leads", u64::from(status.replica.role == Role::Leader));
    let leader = status.replica.leader.map_or(0, |leader| u64::from(leader.0));
    page.gauge("raft_leader", "The number of the leader, 0 if none is known", leader);
    page.gauge("raft_last_index", "The last entry of its log", status.replica.last.index.0);
    page.gauge("raft_commit_index", "How far it knows the log to be committed", status.replica.commit.0);
    page.gauge("raft_applied_index", "How far it has executed the log", status.replica.applied.0);
    page.gauge("raft_snapshot_index", "The last entry of its latest snapshot", status.replica.snapshot.0);
    page.gauge(
        "raft_base_index",
        "The last entry that its log does not keep any more",
        status.replica.base.0,
    );
    let members = shared.members();
    page.gauge("raft_voters", "Members that decide", members.voters().len() as u64);
    page.gauge("raft_learners", "Members that only learn", members.learners().len() as u64);
    page.gauge("raft_heard", "Other members that a leader has heard of lately", status.replica.heard as u64);
    page.gauge("node_waiting_calls", "Calls without an answer", status.replica.waiting as u64);
    page.gauge("node_reachable_peers", "Peers it can talk to", status.reachable.len() as u64);
    page.counter("node_writes_total", "Writes asked for here", counters.writes.get());
    page.counter("node_reads_total", "Linearizable reads asked for here", counters.reads.get());
    page.counter("node_stale_reads_total", "Reads of whatever this node has", counters.stale_reads.get());
    page.counter(
        "node_refused_calls_total",
        "Calls refused since the queue was full",
        counters.refused_calls.get(),
    );
    page.head("node_outcomes_total", "What became of calls", "counter");
    for (kind, count) in
        [("done", &counters.done), ("failed", &counters.failed), ("unknown", &counters.unknown)]
    {
        page.line(&format!("node_outcomes_total{{kind=\"{kind}\"}}"), count.get());
    }
    page.counter("node_turns_total", "Turns of the event loop", counters.turns.get());
    page.counter("node_events_total", "Events stepped in those turns", counters.events.get());
    page.counter("peer_received_total", "Envelopes received", counters.received.get());
    page.counter("peer_refused_links_total", "Links of strangers refused", counters.refused_links.get());
    page.head("peer_dropped_total", "Envelopes dropped for lack of room", "counter");
    let links = shared.links.all();
    for (peer, link) in &links {
        page.line(&format!("peer_dropped_total{{peer=\"{peer}\"}}"), link.dropped());
    }
    page.head("peer_dials_total", "How often a peer was dialled", "counter");
    for (peer, link) in &links {
        page.line(&format!("peer_dials_total{{peer=\"{peer}\"}}"), link.dials());
    }
    page.head("wal_sync_seconds", "Time spent in syncs", "summary");
    page.line("wal_sync_seconds_sum", shared.disk.syncs.total().as_secs_f64());
    page.line("wal_sync_seconds_count", shared.disk.syncs.count());
    if let Some(unsynced) = &shared.disk.unsynced {
        let bytes = unsynced.load(Ordering::Relaxed);
        page.gauge("wal_unsynced_bytes", "Bytes that would die with this process", bytes);
    }
    page.0
}

/// A page of metrics in the making.
#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "gauge");
        self.line(name, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "counter");
        self.line(name, value);
    }
}
