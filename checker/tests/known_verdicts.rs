//! Real histories that others recorded, with verdicts that others found.
//!
//! They are not part of this repository. Where they are laid beside it, as `../shared/histories` with an
//! `INDEX.tsv` (file, format, model, number of ops, verdict), the checker must agree with every verdict
//! of the formats that can be read; elsewhere these tests say that they were skipped.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may stop where it stands, and says why"
)]

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use checker::kv::{self, Kv};
use checker::mutex::{self, Mutex};
use checker::register::{self, Register};
use checker::{Budget, Checker, Model, RetOf, Verdict, verify_linearization};
use history::{Format, History, Opening};

/// A line of the index.
#[derive(Clone, Debug)]
struct Known {
    file: String,
    format: Format,
    mutex: bool,
    ops: usize,
    verdict: &'static str,
}

impl Known {
    /// None if the line is of a format that is not read.
    fn of_line(line: &str) -> Option<Known> {
        let columns: Vec<&str> = line.split('\t').collect();
        let [file, format, model, ops, verdict, ..] = columns[..] else { panic!("the index says `{line}`") };
        let format = match format {
            "jepsen-log" => Format::JepsenLog,
            "jepsen-edn-lines" => Format::PorcupineKv,
            "jepsen-edn" if !model.starts_with("txn") => Format::JepsenEdn,
            _ => return None,
        };
        let verdict = match verdict {
            "linearizable" => "valid",
            "not-linearizable" => "invalid",
            other => panic!("the index says `{other}` of {file}"),
        };
        let mutex = model.starts_with("mutex");
        Some(Known { mutex, file: file.to_owned(), format, ops: ops.parse().unwrap(), verdict })
    }

    /// What the checker says otherwise.
    fn disagreement(&self, folder: &Path) -> Option<String> {
        let judged = match self.format {
            Format::PorcupineKv => self.judge(folder, &kv::kv(), &Kv::plain()),
            Format::JepsenEdn if self.mutex => self.judge(folder, &mutex::mutex(), &Mutex),
            Format::JepsenLog | Format::JepsenEdn => self.judge(folder, &register::cas_register(), &Register),
            Format::JsonLines => unreachable!("nobody else writes these"),
        };
        judged.err().map(|why| format!("{}: {why}", self.file))
    }

    /// Judges it, and holds the proof, if there is one, against the model.
    fn judge<M: Model>(
        &self,
        folder: &Path,
        checker: &dyn Checker<M::Op, RetOf<M>>,
        model: &M,
    ) -> Result<(), String> {
        let file = BufReader::new(File::open(folder.join(&self.file)).map_err(|error| error.to_string())?);
        let opening = Opening::read(file, None).map_err(|error| error.to_string())?;
        // A file without a line could be of any format.
        let format = opening.format().unwrap_or(self.format);
        if format != self.format {
            return Err(format!("taken for {format}"));
        }
        let history = opening.into_reader::<M::Op>(format).read_all().map_err(|error| error.to_string())?;
        // Knossos counts after it has dropped what failed and what says nothing.
        let fits = match format {
            Format::JepsenEdn => self.ops <= history.attempts.len(),
            _ => self.ops == history.attempts.len(),
        };
        if !fits || history.torn.is_some() {
            return Err(format!("{} ops in place of {}", history.attempts.len(), self.ops));
        }
        let verdict = checker.check(&history, &Budget::default());
        if verdict.word() != self.verdict {
            return Err(format!("{} in place of {}", verdict.word(), self.verdict));
        }
        match verdict {
            Verdict::Valid { linearization } => {
                let order = linearization.ok_or("no linearization")?;
                verify_linearization(model, &history, &order).map_err(|error| error.to_string())
            }
            Verdict::Invalid { witness } => {
                let named = witness.ops.iter().filter(|op| op.named).count();
                if named < 2 {
                    Err(format!("a sentence of {named} ops: {}", witness.sentence))
                } else {
                    Ok(())
                }
            }
            Verdict::Unknown { .. } => Ok(()),
        }
    }
}

/// The folder and its index; none if there is no such folder.
fn known() -> Option<(PathBuf, Vec<Known>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/histories");
    match fs::read_to_string(folder.join("INDEX.tsv")) {
        Ok(index) => Some((folder, index.lines().skip(1).filter_map(Known::of_line).collect())),
        Err(error) => {
            eprintln!("skipped: {}: {error}", folder.display());
            None
        }
    }
}

#[test]
fn verdicts_agree_with_those_that_others_found() {
    let Some((folder, known)) = known() else { return };
    assert!(known.len() >= 60, "{} files", known.len());
    let wrong: Vec<String> = known.iter().filter_map(|known| known.disagreement(&folder)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_of_these_formats_is_missing_in_the_index() {
    let Some((folder, known)) = known() else { return };
    for part in ["porcupine-etcd", "porcupine-kv"] {
        for file in folder.join(part).read_dir().unwrap() {
            let name = format!("{part}/{}", file.unwrap().file_name().to_str().unwrap());
            assert!(known.iter().any(|known| known.file == name), "{name}");
        }
    }
}

#[test]
fn a_wrong_verdict_would_be_noticed() {
    let Some((folder, known)) = known() else { return };
    let kv = known.iter().filter(|known| known.format == Format::PorcupineKv);
    for known in kv.chain(known.iter().take(6)) {
        let verdict = if known.verdict == "valid" { "invalid" } else { "valid" };
        assert!(Known { verdict, ..known.clone() }.disagreement(&folder).is_some(), "{}", known.file);
        assert!(
            Known { ops: known.ops + 1, ..known.clone() }.disagreement(&folder).is_some(),
            "{}",
            known.file
        );
    }
}

/// What a reader makes of a timeout decides verdicts: were such ops left out, some logs would be called
/// invalid that are not.
#[test]
fn ops_that_stay_open_decide_some_of_these_verdicts() {
    let Some((folder, known)) = known() else { return };
    let mistaken = |known: &&Known| {
        let file = BufReader::new(File::open(folder.join(&known.file)).unwrap());
        let reader = Opening::read(file, None).unwrap().into_reader(known.format);
        let mut history: History<register::Op, register::Ret> = reader.read_all().unwrap();
        history.attempts.retain(|attempt| !attempt.is_open());
        register::cas_register().check(&history, &Budget::default()).word() != known.verdict
    };
    assert!(known.iter().filter(|known| known.format == Format::JepsenLog).any(|known| mistaken(&known)));
}
