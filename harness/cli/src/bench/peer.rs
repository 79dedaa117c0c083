//! Another checker, beside ours.
//!
//! Any program can be one. It is called as
//!
//! ```text
//! PEER MODEL HISTORY.jsonl HISTORY.json
//! ```
//!
//! where both files hold the same history, the first as our JSON lines, the second as Porcupine's operations,
//! and the peer takes the one it likes. It prints one JSON object on standard output and ends with 0:
//!
//! ```text
//! {"verdict": "valid", "ms": 1.25}
//! ```
//!
//! The verdict is `valid`, `invalid` or `unknown`; `ms` is what its own clock says that the check took, without
//! reading the file, since that is how ours is measured. It is asked in turns with ours, and what counts is
//! the median of the ratios of neighbours.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::asked::Asked;
use super::measure::{How, Judged};
use super::report::median;
use crate::exit::Refusal;

/// Who is asked beside us.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub name: String,
    pub program: PathBuf,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Peer, String> {
        match text.split_once('=') {
            Some((name, program)) if !name.is_empty() && !program.is_empty() => {
                Ok(Peer { name: name.to_owned(), program: program.into() })
            }
            _ => Err("no program of ours: say NAME=BINARY".to_owned()),
        }
    }
}

/// What it says of one history.
#[derive(Clone, PartialEq, Debug, Deserialize)]
struct Answer {
    verdict: String,
    ms: f64,
}

/// One history, judged by both.
#[derive(Clone, Debug)]
pub(super) struct Compared {
    pub ours: String,
    pub peers: String,
    pub our_ms: f64,
    pub peer_ms: f64,
    /// How many times as long the peer takes.
    pub ratio: f64,
}

/// A history in both forms, for a peer to read.
#[derive(Debug)]
pub(super) struct Files {
    lines: PathBuf,
    operations: PathBuf,
    folder: PathBuf,
}

impl Files {
    pub(super) fn write(asked: &Asked, folder: &Path) -> io::Result<Files> {
        let files = Files {
            lines: folder.join("history.jsonl"),
            operations: folder.join("history.json"),
            folder: folder.to_owned(),
        };
        asked.write_lines(File::create(&files.lines)?)?;
        asked.write_operations(File::create(&files.operations)?)?;
        Ok(files)
    }
}

/// The longest answer that anybody reads, in bytes.
const LONGEST: u64 = 1 << 16;

impl Peer {
    /// Whether there is such a program.
    pub(super) fn is_there(&self) -> Result<(), Refusal> {
        match fs::metadata(&self.program) {
            Ok(file) if file.is_file() => Ok(()),
            Ok(_) => Err(Refusal::wrong(format_args!("--against {self}: not a file"))),
            Err(error) => Err(Refusal::wrong(format_args!("--against {self}: {error}"))),
        }
    }

    /// Judges a history in turns with the peer: us, them, them, us, and so on.
    pub(super) fn compare(&self, asked: &Asked, files: &Files, how: &How) -> Result<Compared, String> {
        let one = How { runs: 1, ..how.bare() };
        let (mut ours, mut theirs): (Vec<Judged>, Vec<Answer>) = (Vec::new(), Vec::new());
        for turn in 0..how.runs {
            if turn % 2 == 0 {
                ours.push(Judged::of(asked, &one));
                theirs.push(self.ask(asked, files, how.budget.time)?);
            } else {
                theirs.push(self.ask(asked, files, how.budget.time)?);
                ours.push(Judged::of(asked, &one));
            }
            if theirs.last().is_some_and(|answer| answer.verdict == "unknown") {
                break;
            }
        }
        let of = |figure: &dyn Fn(&Judged, &Answer) -> f64| {
            let figures: Vec<f64> = ours.iter().zip(&theirs).map(|(our, their)| figure(our, their)).collect();
            median(&figures).expect("there was a turn")
        };
        Ok(Compared {
            our_ms: of(&|our, _| our.ms),
            peer_ms: of(&|_, their| their.ms),
            ratio: of(&|our, their| their.ms / our.ms),
            ours: ours.last().expect("there was a turn").verdict.word().to_owned(),
            peers: theirs.pop().expect("there was a turn").verdict,
        })
    }

    /// Asks it once. One that takes longer than `patience` is stopped, and does not know.
    fn ask(&self, asked: &Asked, files: &Files, patience: Duration) -> Result<Answer, String> {
        let said = |error: io::Error| format!("{}: {error}", self.name);
        let mut out = File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(files.folder.join("answer"))
            .map_err(said)?;
        let started = Instant::now();
        let mut child = Command::new(&self.program)
            .arg(asked.model())
            .args([&files.lines, &files.operations])
            .stdin(Stdio::null())
            .stdout(out.try_clone().map_err(said)?)
            .spawn()
            .map_err(said)?;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(said)? {
                break status;
            }
            if started.elapsed() > patience {
                child.kill().and_then(|()| child.wait()).map_err(said)?;
                return Ok(Answer {
                    verdict: "unknown".to_owned(),
                    ms: super::measure::milliseconds(started.elapsed()),
                });
            }
            thread::sleep(Duration::from_millis(1));
        };
        if !status.success() {
            return Err(format!("{} ended with {status}", self.name));
        }
        let mut text = String::new();
        out.rewind().and_then(|()| out.take(LONGEST).read_to_string(&mut text)).map_err(said)?;
        self.understand(&text)
    }

    fn understand(&self, text: &str) -> Result<Answer, String> {
        let known = |answer: &Answer| matches!(answer.verdict.as_str(), "valid" | "invalid" | "unknown");
        let sane = |answer: &Answer| answer.ms.is_finite() && answer.ms >= 0.0;
        let answer = serde_json::from_str(text).ok();
        answer.filter(|answer| known(answer) && sane(answer)).ok_or_else(|| {
            let begins: String = text.trim().chars().take(80).collect();
            format!(
                "{} printed `{begins}`, which is no answer: one looks like {{\"verdict\": \"valid\", \"ms\": 1.25}}",
                self.name
            )
        })
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.name, self.program.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_verdict_and_a_time() {
        let peer: Peer = "other=/bin/other".parse().expect("it is a peer");
        let good = peer.understand("{\"verdict\": \"invalid\", \"ms\": 2, \"more\": true}\n");
        assert_eq!(good, Ok(Answer { verdict: "invalid".to_owned(), ms: 2.0 }));
        for wrong in [
            "",
            "yes",
            "{\"verdict\":\"valid\"}",
            "{\"verdict\":\"ok\",\"ms\":1}",
            "{\"verdict\":\"valid\",\"ms\":-1}",
        ] {
            let why = peer.understand(wrong).expect_err("it is none");
            assert!(why.starts_with("other printed"), "{why}");
        }
    }

    #[test]
    fn a_peer_has_a_name_and_a_program() {
        for wrong in ["porcupine", "=x", "x="] {
            assert!(wrong.parse::<Peer>().is_err(), "{wrong}");
        }
    }
}
