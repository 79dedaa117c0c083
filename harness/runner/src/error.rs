//! Why a run could not be carried out. Never a verdict on the system.

use std::io;
use std::path::{Path, PathBuf};

use history::WriteError;
use nemesis::NodeId;
use nemesis_net::{LaunchError, NetworkError};

/// A run that ended without a verdict.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a system, workload or combination that there is.
    #[error("{0}")]
    Plan(String),
    /// A node ended before the cluster had come up.
    #[error("{node} ended while it started ({status}); the end of {}:\n{output}", stderr.display())]
    Start {
        /// Which.
        node: NodeId,
        /// How.
        status: String,
        /// Where all of its output is.
        stderr: PathBuf,
        /// The last lines.
        output: String,
    },
    /// The nodes run, but do not serve.
    #[error("the cluster did not come up within {seconds} s: {missing}")]
    NotReady {
        /// How long it was waited for.
        seconds: u64,
        /// Who does not answer.
        missing: String,
    },
    /// A program could not be started.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// A link could not be opened.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The history could not be written.
    #[error(transparent)]
    History(#[from] WriteError),
    /// A fault could not be injected or healed.
    #[error("{fault}: {source}")]
    Fault {
        /// Which, and which half of it.
        fault: String,
        /// Why not.
        source: io::Error,
    },
    /// A node answered what no client can have written.
    #[error("{node} answered nonsense: {what}")]
    Nonsense {
        /// Which.
        node: NodeId,
        /// What.
        what: String,
    },
    /// A file or folder is in the way.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The machine has run out of something.
    #[error("{what}: {source}")]
    Machine {
        /// What was wanted.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl Error {
    /// Whether the user can mend it by asking for something else.
    pub fn is_users(&self) -> bool {
        matches!(self, Error::Plan(_) | Error::Launch(LaunchError::Program { .. }))
    }

    /// The exit code of a program that ends with it: 254 for what the user gave, 255 for the rest.
    pub fn exit_code(&self) -> u8 {
        if self.is_users() { 254 } else { 255 }
    }

    /// For `map_err`: this file was in the way.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        |source| Error::File { path, source }
    }
}
