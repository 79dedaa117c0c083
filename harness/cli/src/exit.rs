//! How the program ends.
//!
//! | Code | Means |
//! |---|---|
//! | 0 | valid, or nothing was to be judged |
//! | 1 | invalid: a promise was broken, and the evidence is printed |
//! | 2 | unknown: a budget ran out, or no fault that was asked for had an effect |
//! | 254 | what the user gave is wrong |
//! | 255 | the harness or the machine failed |

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// The exit code of a program that could not finish.
pub(crate) const BROKEN: u8 = 255;

/// An exit code with its meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    Valid,
    Invalid,
    Unknown,
    Wrong,
    Broken,
}

impl Exit {
    /// By the word of a verdict.
    pub(crate) fn of_verdict(word: &str) -> Exit {
        match word {
            "valid" => Exit::Valid,
            "invalid" => Exit::Invalid,
            _ => Exit::Unknown,
        }
    }

    /// The worse of both. What could not be judged at all outweighs a bad verdict.
    pub(crate) fn worse(self, other: Exit) -> Exit {
        let weight = |exit| match exit {
            Exit::Valid => 0,
            Exit::Unknown => 1,
            Exit::Invalid => 2,
            Exit::Wrong => 3,
            Exit::Broken => 4,
        };
        if weight(other) > weight(self) { other } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Valid => 0,
            Exit::Invalid => 1,
            Exit::Unknown => 2,
            Exit::Wrong => 254,
            Exit::Broken => BROKEN,
        })
    }
}

/// Why nothing, or not everything, was done.
#[derive(Debug)]
pub(crate) struct Refusal {
    exit: Exit,
    why: String,
}

impl Refusal {
    /// What the user gave is wrong.
    pub(crate) fn wrong(why: impl Display) -> Refusal {
        Refusal { exit: Exit::Wrong, why: why.to_string() }
    }

    /// The harness or the machine failed.
    pub(crate) fn broken(why: impl Display) -> Refusal {
        Refusal { exit: Exit::Broken, why: why.to_string() }
    }

    /// The reason, for those who print it elsewhere.
    pub(crate) fn why(&self) -> &str {
        &self.why
    }

    /// Says so, on standard error.
    pub(crate) fn tell(self) -> Exit {
        // If nobody listens there, the exit code says it alone.
        let _ = writeln!(io::stderr(), "harness: {}", self.why);
        self.exit
    }
}

/// Help and version are answers; everything else that clap says is a complaint.
pub(crate) fn of_clap(error: &clap::Error) -> Exit {
    // Where the words go cannot be helped if even that fails.
    let _ = error.print();
    if error.use_stderr() { Exit::Wrong } else { Exit::Valid }
}
