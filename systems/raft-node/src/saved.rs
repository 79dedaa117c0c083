//! A store in a file: what `etcdctl snapshot save` writes, and `raft-node recover` reads.
//!
//! ```text
//! raft-node image 1\n   the kind of file
//! length, bytes         the cluster's name, then the store piece by piece; 4 bytes for each length
//! 0, zeros              to a multiple of 512
//! SHA-256               of all before it; etcdctl asks for it to be there, by the file's length
//! ```
//!
//! The file is not etcd's: that one is a page file of its storage engine. What is inside is the store alone. Who
//! belongs to the cluster and what sessions remember is not part of it, as with etcd.

use bytes::{BufMut, Bytes, BytesMut};
use kv::{Frozen, Store};
use raft::StateMachine;
use raft::machine::Unreadable;
use sha2::{Digest, Sha256};

const HEAD: &[u8] = b"raft-node image 1\n";
/// The size of a block: the length of a file is a multiple of it, and [`SUM`] more.
const BLOCK: usize = 512;
/// The length of the checksum.
const SUM: usize = 32;

/// A part of the file, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Its bytes.
    pub blob: Bytes,
    /// How many come after it, as far as that is known: 0 for the last, 1 for all before it.
    pub remaining_bytes: u64,
}

/// A file in the making.
#[derive(Debug)]
pub struct Image {
    /// What comes first: the head, and the cluster's name.
    first: Option<BytesMut>,
    store: Frozen,
    sum: Sha256,
    written: usize,
    done: bool,
}

impl Image {
    /// Of this store, of the cluster of this name.
    pub fn new(cluster: &str, store: &Store) -> Image {
        let mut first = BytesMut::from(HEAD);
        put(cluster.as_bytes(), &mut first);
        Image { first: Some(first), store: store.freeze(), sum: Sha256::new(), written: 0, done: false }
    }

    fn add(&mut self, bytes: BytesMut) -> Piece {
        self.sum.update(&bytes);
        self.written += bytes.len();
        Piece { blob: bytes.freeze(), remaining_bytes: 1 }
    }

    fn last(&mut self) -> Piece {
        let mut end = BytesMut::new();
        end.put_u32_le(0);
        let short = (self.written + end.len()).next_multiple_of(BLOCK) - self.written;
        end.resize(short, 0);
        self.sum.update(&end);
        end.extend_from_slice(&self.sum.clone().finalize());
        self.done = true;
        Piece { blob: end.freeze(), remaining_bytes: 0 }
    }
}

fn put(bytes: &[u8], out: &mut BytesMut) {
    out.put_u32_le(u32::try_from(bytes.len()).expect("a piece is no larger than a value and a few KiB"));
    out.put_slice(bytes);
}

impl Iterator for Image {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        if let Some(first) = self.first.take() {
            return Some(self.add(first));
        }
        match self.store.next() {
            Some(piece) => {
                let mut framed = BytesMut::with_capacity(piece.len() + size_of::<u32>());
                put(&piece, &mut framed);
                Some(self.add(framed))
            }
            None => (!self.done).then(|| self.last()),
        }
    }
}

/// Why a file is not read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unsaved {
    /// Nothing of ours.
    #[error("not a file that `snapshot save` has written from a raft-node")]
    Foreign,
    /// It was cut short, or a bit of it changed.
    #[error("its checksum does not fit: it is damaged, or was not written to its end")]
    Damaged,
    /// Its parts make no store.
    #[error("{0}")]
    Unreadable(String),
}

/// Reads a file: the cluster's name, and the store.
///
/// # Errors
/// It is none of ours, or damaged.
pub fn read(file: &Bytes) -> Result<(String, Store), Unsaved> {
    if !file.starts_with(HEAD) {
        return Err(Unsaved::Foreign);
    }
    let (body, sum) = file.split_at_checked(file.len() - SUM.min(file.len())).ok_or(Unsaved::Damaged)?;
    if !body.len().is_multiple_of(BLOCK) || Sha256::digest(body)[..] != *sum {
        return Err(Unsaved::Damaged);
    }
    let mut pieces = Pieces(file.slice(HEAD.len()..body.len()));
    let cluster =
        pieces.next().and_then(|name| String::from_utf8(name.to_vec()).ok()).ok_or(Unsaved::Damaged)?;
    let mut store = Store::new();
    store.restore(&mut pieces).map_err(|Unreadable(why)| Unsaved::Unreadable(why))?;
    Ok((cluster, store))
}

/// What stands between the lengths, up to the first that is 0.
struct Pieces(Bytes);

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let (length, rest) = self.0.split_first_chunk()?;
        let length = u32::from_le_bytes(*length) as usize;
        let found = (length > 0).then_some(rest).and_then(|rest| rest.get(..length)).is_some();
        found.then(|| {
            let piece = self.0.slice(size_of::<u32>()..size_of::<u32>() + length);
            self.0 = self.0.slice(size_of::<u32>() + length..);
            piece
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kv::{Command, Put};

    fn store(keys: usize) -> Store {
        let mut store = Store::new();
        for number in 0..keys {
            let (key, value) = (format!("k{number}").into(), Some(vec![7; 100].into()));
            let put = Command::Put(Put { key, value, lease: Some(kv::LeaseId::NONE), previous: false });
            assert!(store.execute(&put).result.is_ok());
        }
        store
    }

    fn saved(store: &Store) -> Vec<u8> {
        let pieces: Vec<Piece> = Image::new("c", store).collect();
        assert_eq!(pieces.last().unwrap().remaining_bytes, 0);
        pieces.into_iter().flat_map(|piece| piece.blob).collect()
    }

    #[test]
    fn what_was_saved_is_read() {
        for keys in [0, 1, 3000] {
            let store = store(keys);
            let file = saved(&store);
            assert_eq!(file.len() % BLOCK, SUM, "what etcdctl looks for");
            assert_eq!(read(&Bytes::from(file)), Ok(("c".to_owned(), store)));
        }
    }

    #[test]
    fn every_changed_or_missing_byte_is_noticed() {
        let file = saved(&store(3));
        for place in 0..file.len() {
            let mut changed = file.clone();
            changed[place] ^= 1;
            assert!(read(&Bytes::from(changed)).is_err(), "byte {place}");
            assert!(read(&Bytes::copy_from_slice(&file[..place])).is_err(), "cut at {place}");
        }
    }
}
