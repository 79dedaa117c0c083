//! How a node ends, and what its process then says.

use replica::Halt;
use tokio::signal::unix::{SignalKind, signal};

/// Why a node runs no more.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum End {
    /// It was asked to, and left its disk in good order.
    #[error("stopped")]
    Stopped,
    /// It was asked to, and its disk did not obey. Nothing acknowledged is lost by that.
    #[error("stopped, but not in good order: {0}")]
    Untidy(wal::Failure),
    /// It fenced itself: it can no longer vouch for what it knows, or the cluster has decided to do without it.
    #[error("halted: {0}")]
    Halted(Halt),
    /// It broke one of its own rules, and has said so where it happened.
    #[error("broken by a mistake of its own")]
    Broken,
}

impl End {
    /// The exit code of a server that ends so: 0 stopped or removed from the cluster, 3 fenced, 1 anything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            End::Stopped | End::Halted(Halt::Removed) => 0,
            End::Halted(_) => 3,
            End::Untidy(_) | End::Broken => 1,
        }
    }
}

/// Waits until somebody wants this process to stop: SIGTERM, or Ctrl-C.
pub async fn asked_to_stop() -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => tracing::info!("asked to stop by SIGTERM"),
        _ = interrupt.recv() => tracing::info!("asked to stop by SIGINT"),
    }
    Ok(())
}
