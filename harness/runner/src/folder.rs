//! The folder of a run: everything that is needed to argue about its verdict, and to repeat it.
//!
//! `OUT/<system>-<workload>-<nemesis>/<time>-<seed>/` holds
//!
//! * `run.json`: what was asked, of which builds, on which machine;
//! * `history.jsonl`: what clients asked and heard, and what was broken;
//! * `schedule.toml`: every fault as it was resolved, to be repeated;
//! * `results.json`: the verdict, its evidence, and figures;
//! * `nodes/<node>/`: output, and the data folder of a run that was not valid.
//!
//! `OUT/latest` links to the newest.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use nemesis::NodeId;
use serde::Serialize;

use crate::error::Error;
use crate::plan::Plan;

/// A run's own folder.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes one that nobody has, and links `latest` to it.
    pub fn create(plan: &Plan, started: SystemTime) -> Result<Folder, Error> {
        Folder::named(&plan.out, &plan.title(), &format!("{}-{}", stamp(started), plan.seed))
    }

    /// Makes `out/group/name`, or if somebody has that, `name.2` and so on; and links `latest` to it.
    pub fn named(out: &Path, group: &str, name: &str) -> Result<Folder, Error> {
        let group = out.join(group);
        fs::create_dir_all(&group).map_err(Error::out(&group))?;
        let path = (1..)
            .map(|attempt| if attempt == 1 { name.to_owned() } else { format!("{name}.{attempt}") })
            .map(|name| group.join(name))
            .find_map(|path| match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
                Err(source) => Some(Err(Error::Out { path, source })),
                Ok(()) => Some(Ok(path)),
            })
            .expect("the attempts do not end")?;
        let path = fs::canonicalize(&path).map_err(Error::out(&path))?;
        link(out, &path)?;
        Ok(Folder { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A new file in it.
    pub fn create_file(&self, name: &str) -> Result<File, Error> {
        let path = self.file(name);
        File::create_new(&path).map_err(Error::file(&path))
    }

    /// Writes a file anew: whoever reads it finds the old or the new one, never a half.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<(), Error> {
        let (path, beside) = (self.file(name), self.file(&format!("{name}.new")));
        fs::write(&beside, content).map_err(Error::file(&beside))?;
        fs::rename(&beside, &path).map_err(Error::file(&path))
    }

    /// Writes a file as JSON for people.
    pub fn write_json(&self, name: &str, content: &impl Serialize) -> Result<(), Error> {
        let json = serde_json::to_string_pretty(content).map_err(io::Error::from);
        self.write(name, json.map_err(Error::file(&self.file(name)))? + "\n")
    }

    /// The folder of a node.
    pub fn node(&self, node: NodeId) -> Result<PathBuf, Error> {
        let path = self.path.join("nodes").join(node.to_string());
        fs::create_dir_all(&path).map_err(Error::file(&path))?;
        Ok(path)
    }

    /// Forgets what the nodes had on disk.
    pub fn drop_data(&self) -> Result<(), Error> {
        let nodes = self.path.join("nodes");
        for node in fs::read_dir(&nodes).map_err(Error::file(&nodes))? {
            let data = node.map_err(Error::file(&nodes))?.path().join("data");
            match fs::remove_dir_all(&data) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other.map_err(Error::file(&data))?,
            }
        }
        Ok(())
    }
}

/// Points `out/latest` to the run, replacing the old link in one step.
fn link(out: &Path, run: &Path) -> Result<(), Error> {
    let out = fs::canonicalize(out).map_err(Error::out(out))?;
    let target = run.strip_prefix(&out).unwrap_or(run);
    let (latest, beside) = (out.join("latest"), out.join(format!("latest.{}", std::process::id())));
    symlink(target, &beside).map_err(Error::out(&beside))?;
    fs::rename(&beside, &latest).map_err(|error| {
        let _ = fs::remove_file(&beside); // of two complaints, the first one helps
        Error::out(&latest)(error)
    })
}

/// `20261122T235803`, in universal time.
fn stamp(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

/// The Gregorian date so many days after 1970-01-01, by counting in years that begin in March, so
/// that the day of a leap year is the last one of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // since 0000-03-01
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (month, turn) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + turn, month, date)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |seconds| stamp(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "19700101T000000");
        assert_eq!(at(951_782_400), "20000229T000000");
        assert_eq!(at(951_868_799), "20000229T235959");
        assert_eq!(at(1_795_391_883), "20261122T235803");
        assert_eq!(at(4_107_542_400), "21000301T000000");
    }

    #[test]
    fn each_run_has_a_folder_of_its_own_and_latest_links_to_the_newest() {
        let out = tempfile::tempdir().unwrap();
        let plan = Plan { out: out.path().join("runs"), seed: 7, ..Plan::default() };
        let started = UNIX_EPOCH + Duration::from_secs(1_795_391_883);
        let first = Folder::create(&plan, started).unwrap();
        let second = Folder::create(&plan, started).unwrap();
        assert!(first.path().ends_with("runs/raft-register-none/20261122T235803-7"));
        assert!(second.path().ends_with("runs/raft-register-none/20261122T235803-7.2"));
        let latest = plan.out.join("latest");
        assert_eq!(fs::canonicalize(&latest).unwrap(), second.path());
        assert!(fs::read_link(&latest).unwrap().is_relative(), "the folder of runs can be moved");
    }

    #[test]
    fn only_data_is_dropped() {
        let out = tempfile::tempdir().unwrap();
        let plan = Plan { out: out.path().to_owned(), ..Plan::default() };
        let folder = Folder::create(&plan, UNIX_EPOCH).unwrap();
        let node = folder.node(NodeId(1)).unwrap();
        folder.node(NodeId(2)).unwrap();
        fs::create_dir(node.join("data")).unwrap();
        fs::write(node.join("stderr"), "words").unwrap();
        folder.drop_data().unwrap();
        assert!(!node.join("data").exists() && node.join("stderr").exists());
    }

    #[test]
    fn what_is_in_the_way_is_named() {
        let out = tempfile::tempdir().unwrap();
        let file = out.path().join("runs");
        fs::write(&file, "not a folder").unwrap();
        let plan = Plan { out: file.clone(), ..Plan::default() };
        let error = Folder::create(&plan, UNIX_EPOCH).unwrap_err();
        assert!(error.to_string().starts_with(&file.display().to_string()), "{error}");
        assert_eq!(error.exit_code(), 254, "another folder would do");

        let plan = Plan { out: out.path().join("other"), ..plan };
        fs::create_dir_all(plan.out.join("latest")).unwrap();
        let error = Folder::create(&plan, UNIX_EPOCH).unwrap_err().to_string();
        assert!(error.contains("/latest: "), "{error}");
        let left = fs::read_dir(&plan.out).unwrap().map(|entry| entry.unwrap().file_name());
        let left: BTreeSet<_> = left.collect();
        assert_eq!(left, ["latest", "raft-register-none"].map(Into::into).into(), "no half of a link stays");
    }
}
