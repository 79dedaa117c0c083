//! Real histories, as somebody collected them: a folder with an `INDEX.tsv`.
//!
//! Its first line names the columns, and each other line is one history: the file, how it is written, what
//! it is held against, how many ops it has, and the verdict that others found (`linearizable` or
//! `not-linearizable`; anything else is not compared). More columns may follow. Files of one folder make one
//! row.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::asked::Asked;
use super::measure::{How, Judged, float, judges};
use super::report::{RowReport, count, greatest, median};
use crate::exit::Refusal;
use crate::source;

/// The histories of one folder.
#[derive(Debug)]
pub(super) struct Folder {
    pub name: String,
    pub files: Vec<Known>,
    /// Those that nothing of ours judges.
    unjudged: usize,
}

/// A history and what others found.
#[derive(Debug)]
pub(super) struct Known {
    /// Below the index.
    pub file: String,
    pub asked: Asked,
    pub expected: Option<&'static str>,
}

impl Known {
    /// Whether a verdict contradicts the one that others found.
    pub(super) fn contradicts(&self, word: &str) -> bool {
        self.expected.is_some_and(|expected| word != "unknown" && word != expected)
    }
}

/// All that an index names, folder by folder.
pub(super) fn read(root: &Path) -> Result<Vec<Folder>, Refusal> {
    let index = root.join("INDEX.tsv");
    let text = fs::read_to_string(&index).map_err(|error| source::refuse(&index, error))?;
    let mut folders: BTreeMap<String, Folder> = BTreeMap::new();
    for (number, line) in text.lines().enumerate().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [file, _format, _model, _ops, verdict, ..] = columns[..] else {
            let why = format_args!("line {}: not five columns or more, with tabs between", number + 1);
            return Err(source::refuse(&index, why));
        };
        let name = file.rsplit_once('/').map_or(".", |(folder, _)| folder);
        let folder = folders.entry(name.to_owned()).or_insert_with(|| Folder {
            name: name.to_owned(),
            files: Vec::new(),
            unjudged: 0,
        });
        let Some(asked) = Asked::read(&root.join(file))? else {
            folder.unjudged += 1;
            continue;
        };
        let expected = match verdict {
            "linearizable" => Some("valid"),
            "not-linearizable" => Some("invalid"),
            _ => None,
        };
        folder.files.push(Known { file: file.to_owned(), asked, expected });
    }
    Ok(folders.into_values().collect())
}

/// What judging all histories of a folder together, and the worst of them, should take at most, in
/// milliseconds, and some of them alone.
struct Target {
    folder: &'static str,
    sum: Option<f64>,
    worst: Option<f64>,
    files: &'static [(&'static str, f64)],
}

const TARGETS: [Target; 2] = [
    Target { folder: "porcupine-etcd", sum: Some(5.0), worst: Some(1.0), files: &[] },
    Target { folder: "porcupine-kv", sum: None, worst: None, files: &[("c50-bad", 0.5), ("c10-ok", 0.2)] },
];

/// Judges every history of a folder.
pub(super) fn measure(folder: &Folder, how: &How) -> RowReport {
    let mut report = RowReport::new(&folder.name, "histories that others recorded and judged");
    let (mut times, mut with_evidence, mut agree) = (Vec::new(), 0.0, 0_usize);
    for known in &folder.files {
        let judged = Judged::of(&known.asked, &how.bare());
        let word = judged.verdict.word();
        report.add(known.asked.ops(), &judged.words());
        judges(&judged.verdict, &mut report.by);
        agree += usize::from(known.expected == Some(word));
        if known.contradicts(word) {
            report.wrong.push(format!("{} was found {word}", known.file));
        }
        times.push(judged.ms);
        if !how.brief {
            with_evidence += Judged::of(&known.asked, how).ms;
        }
    }
    if folder.unjudged > 0 {
        let left = count(folder.unjudged, "file");
        report.notes.push(format!("{left} left out: no checker for what they ask yet"));
    }
    if times.is_empty() {
        return report;
    }
    let target = TARGETS.iter().find(|target| folder.name.ends_with(target.folder));
    report.figure("verdicts that agree", float(agree as u64), "files", None);
    report.figure("check, sum", times.iter().sum(), "ms", target.and_then(|target| target.sum));
    report.figure("check, median file", median(&times).unwrap_or(f64::NAN), "ms", None);
    let worst = greatest(&times).unwrap_or(f64::NAN);
    report.figure("check, worst file", worst, "ms", target.and_then(|target| target.worst));
    if let Some(place) = times.iter().position(|time| *time >= worst) {
        report.notes.push(format!("the worst file is {}", folder.files[place].file));
    }
    for (stem, most) in target.map_or(&[][..], |target| target.files) {
        if let Some(place) = folder.files.iter().position(|known| known.file.contains(stem)) {
            report.figure(&format!("check, {stem}"), times[place], "ms", Some(*most));
        }
    }
    if !how.brief {
        report.figure("with evidence, sum", with_evidence, "ms", None);
    }
    report
}
