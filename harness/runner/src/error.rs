//! Why a run could not be carried out. Never a verdict on the system.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use history::WriteError;
use nemesis::NodeId;
use nemesis_net::process::describe;
use nemesis_net::{LaunchError, NetworkError};

/// The exit code that says: what was given is wrong.
const WRONG: u8 = 254;

/// A run that ended without a verdict.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a system, workload or combination that there is.
    #[error("{0}")]
    Plan(String),
    /// A node ended before the cluster had come up.
    #[error("{node} ended while it started ({}); the end of {}:\n{output}", describe(*status), stderr.display())]
    Start {
        /// Which.
        node: NodeId,
        /// How.
        status: ExitStatus,
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
    /// A node answered what no client can have written. Whoever drives clients writes it down as a
    /// violation: it does not end a run.
    #[error("{node} answered nonsense: {what}")]
    Nonsense {
        /// Which.
        node: NodeId,
        /// What.
        what: String,
    },
    /// A node ended by itself while it was measured.
    #[error("{system}: {obituary}; what is left of it cannot be measured")]
    Died {
        /// Whose.
        system: String,
        /// Which, how, and its last words.
        obituary: String,
    },
    /// The keys that are to be read could not be written.
    #[error("{system} could not be filled: {what}")]
    Fill {
        /// What.
        system: String,
        /// Why not.
        what: String,
    },
    /// The run's folder cannot be made where the user wants it.
    #[error("{}: {source}", path.display())]
    Out {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
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
    /// Whether the user can mend it by asking for something else. A node may say so, too, with the
    /// exit code that means the same in all of our programs.
    pub fn is_users(&self) -> bool {
        match self {
            Error::Plan(_) | Error::Launch(LaunchError::Program { .. }) | Error::Out { .. } => true,
            Error::Start { status, .. } => status.code() == Some(WRONG.into()),
            _ => false,
        }
    }

    /// The exit code of a program that ends with it: 254 for what the user gave, 255 for the rest.
    pub fn exit_code(&self) -> u8 {
        if self.is_users() { WRONG } else { 255 }
    }

    /// For `map_err`: this file was in the way.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        |source| Error::File { path, source }
    }

    /// For `map_err`: this was in the way of the run's folder.
    pub(crate) fn out(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        |source| Error::Out { path, source }
    }
}
