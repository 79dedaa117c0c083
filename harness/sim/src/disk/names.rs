//! The names in a folder: as a process sees them, and as they would be after a power cut.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use wal::FileId;

#[derive(Debug, Default)]
pub(super) struct Names {
    now: BTreeMap<String, FileId>,
    certain: BTreeMap<String, FileId>,
    /// What the cache takes to be certain, if a sync failed: it no longer means to write that.
    believed: Option<BTreeMap<String, FileId>>,
}

impl Names {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, FileId)> {
        self.now.iter().map(|(name, &file)| (name, file))
    }

    /// The names that a power cut would leave alone.
    pub(super) fn certain(&self) -> impl Iterator<Item = (&String, FileId)> {
        self.certain.iter().map(|(name, &file)| (name, file))
    }

    pub(super) fn find(&self, name: &str) -> Option<FileId> {
        self.now.get(name).copied()
    }

    pub(super) fn add(&mut self, name: &str, file: FileId) {
        self.now.insert(name.to_owned(), file);
    }

    pub(super) fn rename(&mut self, from: &str, to: String) -> io::Result<()> {
        let file = self.now.remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.now.insert(to, file);
        Ok(())
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        self.now.remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn sync(&mut self) {
        match self.believed.take() {
            None => self.certain.clone_from(&self.now),
            Some(believed) => {
                carry_over(&believed, &self.now, &mut self.certain);
                self.believed = Some(self.now.clone());
            }
        }
    }

    /// A sync fails as that of a file does: what could not be written counts as clean from now on. It is
    /// still seen, and the next sync succeeds without it.
    pub(super) fn fail_sync(&mut self) {
        self.believed = Some(self.now.clone());
    }

    /// The cache gives back what it need not keep: here, when a process dies.
    pub(super) fn evict(&mut self) {
        if let Some(believed) = self.believed.take() {
            let seen = std::mem::replace(&mut self.now, self.certain.clone());
            carry_over(&believed, &seen, &mut self.now);
        }
    }

    /// Whether some name, certain or not, leads to this file.
    pub(super) fn lead_to(&self, file: FileId) -> bool {
        self.now.values().chain(self.certain.values()).any(|&there| there == file)
    }

    /// The power goes: each name is as it was at the last sync of the folder, or as it is now. Says how
    /// many are not what the process had seen.
    pub(super) fn cut(&mut self, mut keep: impl FnMut() -> bool) -> u64 {
        let mut touched: Vec<String> = self.now.keys().chain(self.certain.keys()).cloned().collect();
        touched.sort_unstable();
        touched.dedup();
        touched.retain(|name| self.now.get(name) != self.certain.get(name));
        let believed = self.believed.take();
        let forgotten = |name: &String, now: Option<&FileId>| {
            believed.as_ref().is_some_and(|believed| believed.get(name) == now)
        };
        let mut lost = 0;
        for name in touched {
            if forgotten(&name, self.now.get(&name)) || !keep() {
                lost += 1;
            } else if let Some(&file) = self.now.get(&name) {
                self.certain.insert(name, file);
            } else {
                self.certain.remove(&name);
            }
        }
        self.now.clone_from(&self.certain);
        lost
    }

    /// Names that lead where an earlier one leads: a rename of which the power left both sides. To be
    /// called when all names are certain; each of them is to lead to a copy of its own.
    pub(super) fn part(&mut self, mut copy: impl FnMut(FileId) -> FileId) {
        let mut seen = BTreeSet::new();
        for file in self.now.values_mut() {
            if !seen.insert(*file) {
                *file = copy(*file);
            }
        }
        self.certain.clone_from(&self.now);
    }
}

/// Does to some names what leads from `before` to `after`.
fn carry_over(
    before: &BTreeMap<String, FileId>,
    after: &BTreeMap<String, FileId>,
    to: &mut BTreeMap<String, FileId>,
) {
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        to.remove(name);
    }
    for (name, file) in after.iter().filter(|(name, file)| before.get(*name) != Some(*file)) {
        to.insert(name.clone(), *file);
    }
}
