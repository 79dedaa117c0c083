//! The versions of one key, oldest first.

use bytes::Bytes;

use crate::command::{LeaseId, Revision};
use crate::reply::KeyValue;
use crate::store::Digest;

/// What one change made of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Version {
    /// The store's revision. Its place among the other changes of a transaction, the sub-revision,
    /// is kept once for all keys, in [`Change`](crate::Change).
    pub(crate) at: Revision,
    /// What it became; `None` if it was deleted.
    pub(crate) live: Option<Live>,
}

/// A key while it lives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Live {
    pub(crate) create: Revision,
    pub(crate) version: i64,
    pub(crate) value: Bytes,
    pub(crate) lease: LeaseId,
}

/// The versions of one key. Revisions never fall; there is at least one version.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyHistory(Vec<Version>);

impl KeyHistory {
    /// What the last change made of it.
    pub(crate) fn now(&self) -> Option<(Revision, &Live)> {
        self.0.last().and_then(Version::alive)
    }

    /// What it was at `revision`: what the last change up to then had made of it.
    pub(crate) fn at(&self, revision: Revision) -> Option<(Revision, &Live)> {
        let after = self.0.partition_point(|version| version.at <= revision);
        self.0[..after].last().and_then(Version::alive)
    }

    /// Writes it down that the key was put. Returns how many bytes that takes.
    pub(crate) fn put(&mut self, at: Revision, value: Bytes, lease: LeaseId) -> usize {
        let (create, version) = self.now().map_or((at, 1), |(_, before)| (before.create, before.version + 1));
        self.push(Version { at, live: Some(Live { create, version, value, lease }) })
    }

    /// Writes it down that the key was deleted. Returns how many bytes that takes.
    pub(crate) fn delete(&mut self, at: Revision) -> usize {
        self.push(Version { at, live: None })
    }

    /// All versions, oldest first.
    pub(crate) fn versions(&self) -> &[Version] {
        &self.0
    }

    /// Adds a version, the latest. Returns how many bytes it takes.
    pub(crate) fn push(&mut self, version: Version) -> usize {
        let weight = version.weight();
        self.0.push(version);
        weight
    }

    /// Forgets what no read at `revision` or later can see. Returns how many bytes that frees.
    pub(crate) fn compact(&mut self, revision: Revision) -> usize {
        let after = self.0.partition_point(|version| version.at <= revision);
        let Some(visible) = after.checked_sub(1) else { return 0 };
        let keep = if self.0[visible].live.is_some() { visible } else { after };
        self.0.drain(..keep).map(|version| version.weight()).sum()
    }

    /// Whether nothing is left of it.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Feeds all that distinguishes one history from another to `digest`, one number or byte string
    /// at a time.
    pub(crate) fn digest(&self, digest: &mut Digest) {
        digest.number(self.0.len() as u64);
        for version in &self.0 {
            version.digest(digest);
        }
    }

    /// Adds the key with its versions up to a revision, if there are any.
    pub(crate) fn digest_until(&self, key: &[u8], last: Revision, digest: &mut Digest) {
        let mut versions = self.0.iter().take_while(|version| version.at <= last).peekable();
        if versions.peek().is_some() {
            digest.bytes(key);
        }
        versions.for_each(|version| version.digest(digest));
    }
}

impl Version {
    fn digest(&self, digest: &mut Digest) {
        digest.number(self.at.0.cast_unsigned());
        match &self.live {
            None => digest.number(0),
            Some(live) => {
                digest.number(1);
                digest.number(live.create.0.cast_unsigned());
                digest.number(live.version.cast_unsigned());
                digest.number(live.lease.0.cast_unsigned());
                digest.bytes(&live.value);
            }
        }
    }

    fn alive(&self) -> Option<(Revision, &Live)> {
        self.live.as_ref().map(|live| (self.at, live))
    }

    fn weight(&self) -> usize {
        size_of::<Version>() + self.live.as_ref().map_or(0, |live| live.value.len())
    }
}

impl Live {
    /// As it is shown to clients.
    pub(crate) fn show(&self, key: &Bytes, modified: Revision) -> KeyValue {
        KeyValue {
            key: key.clone(),
            value: self.value.clone(),
            create: self.create,
            modified,
            version: self.version,
            lease: self.lease,
        }
    }
}
