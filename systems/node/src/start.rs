//! Starting a node: opening what it knows, then its doors.

use std::future::Future;
use std::sync::Arc;

use replica::{Effects, Replica};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wal::{Disk, FolderDisk, FolderError, LossyDisk};

use crate::admin;
use crate::clock::Clock;
use crate::config::{Config, DiskKind, Doors};
use crate::event_loop::{Callers, EventLoop, Report};
use crate::handle::{Handle, Machine};
use crate::peers::{self, Incoming, Links};
use crate::publish::publish;
use crate::shared::{DiskFigures, Shared};
use crate::shutdown::End;
use crate::timers::Timers;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// What is in it cannot be used.
    #[error(transparent)]
    Replica(#[from] replica::OpenError),
    /// A door does not open.
    #[error("listening: {0}")]
    Listen(#[from] std::io::Error),
}

/// Starts a node on the current runtime. Blocks until its log is recovered; from then on it takes part.
pub async fn start<M: Machine>(config: Config, doors: Doors, machine: M) -> Result<Handle<M>, StartError> {
    let (report, reports) = mpsc::unbounded_channel();
    let report = move |ticket, result| {
        // Nobody listens any more once the loop has ended.
        let _ = report.send((ticket, result));
    };
    let (folder, delay) = (config.folder.clone(), config.sync_delay);
    match config.disk {
        DiskKind::Real => {
            let disk = FolderDisk::open_slow(folder, delay, report)?;
            let figures = DiskFigures { syncs: disk.sync_times(), unsynced: None };
            start_on(Opened { disk, figures, reports }, &config, doors, machine)
        }
        DiskKind::Lossy => {
            let disk = LossyDisk::open(folder, delay, report)?;
            let figures = DiskFigures { syncs: disk.sync_times(), unsynced: Some(disk.unsynced()) };
            tracing::warn!(lost = disk.lost_before(), "for tests: what is not synced dies with this process");
            start_on(Opened { disk, figures, reports }, &config, doors, machine)
        }
    }
}

struct Opened<D> {
    disk: D,
    figures: DiskFigures,
    reports: mpsc::UnboundedReceiver<Report>,
}

fn start_on<M: Machine, D: Disk + Send + 'static>(
    opened: Opened<D>,
    config: &Config,
    doors: Doors,
    machine: M,
) -> Result<Handle<M>, StartError> {
    let Opened { disk, figures, reports } = opened;
    let clock = Clock::new();
    let mut effects = Effects::default();
    let replica = Replica::open(config.replica.clone(), machine, disk, clock.now(), &mut effects)?;
    let status = replica.status();
    tracing::info!(identity = %config.replica.identity, last = %status.last, term = %status.term, "opened");

    let stop = CancellationToken::new();
    let tasks = Tasks { tracker: TaskTracker::new(), stop: stop.clone() };
    let links = Arc::new(Links::new(config, tasks.clone()));
    let shared = Arc::new(Shared::new(status, Arc::clone(&replica.members().now), links, figures));
    let (queue, requests) = mpsc::channel(config.queue);
    let event_loop = EventLoop {
        replica,
        queue: requests,
        reports,
        clock,
        timers: Timers::new(rand::random()),
        shared: Arc::clone(&shared),
        stop: stop.clone(),
        callers: Callers::new(),
        followed: None,
    };
    let incoming: Incoming<M> = Incoming::new(config, queue.clone(), Arc::clone(&shared), tasks.clone());
    tasks.spawn(peers::listen(listener(doors.peers)?, incoming, stop.clone()));
    if let Some(admin) = doors.admin {
        tasks.spawn(admin::listen(listener(admin)?, Arc::clone(&shared), stop.clone()));
    }
    let (ended, end) = watch::channel(None);
    let handle = Handle { queue, shared, stop, end };
    tasks.spawn(publish(handle.clone(), config.id(), config.about.clone()));
    tokio::spawn(supervise(event_loop.run(effects), tasks, ended));
    Ok(handle)
}

/// Everything that ends with the node.
#[derive(Clone)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// Runs a task until it is done or the node stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                () = task => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

/// Waits for the loop to end, takes everything else down with it, and says how it ended.
async fn supervise<F>(running: F, tasks: Tasks, ended: watch::Sender<Option<End>>)
where
    F: Future<Output = End> + Send + 'static,
{
    let end = tokio::spawn(running).await.unwrap_or(End::Broken);
    tasks.stop.cancel();
    tasks.tracker.close();
    tasks.tracker.wait().await;
    tracing::info!(%end, "ended");
    ended.send_replace(Some(end));
}

fn listener(bound: std::net::TcpListener) -> std::io::Result<TcpListener> {
    bound.set_nonblocking(true)?;
    TcpListener::from_std(bound)
}
