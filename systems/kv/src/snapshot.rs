//! The state, and replies, as bytes: for snapshots.
//!
//! The state comes in pieces. The first says the revisions; those that follow hold versions of keys, in order, and
//! then the changes. A piece is cut when it has grown to [`PIECE`], so its size is bounded by that and the largest
//! value.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{BufMut, Bytes};
use raft::machine::Unreadable;

use crate::chunks::KeyChunk;
use crate::codec::{
    self, Malformed, get_bool, get_bytes, get_i64, get_list, get_option, get_u8, get_u32, put_bool,
    put_bytes, put_list, put_option,
};
use crate::command::{LeaseId, Revision};
use crate::history::{Live, Version};
use crate::reply::{Answer, Deleted, KeyValue, Kvs, Refusal, Replaced, Reply, TxnAnswer};
use crate::store::{Change, Store};

/// How large a piece grows before it is cut.
const PIECE: usize = 64 << 10;
const VERSION: u8 = 1;

const HEAD: u8 = 0;
const KEYS: u8 = 1;
const CHANGES: u8 = 2;

/// A store that stands still, and gives itself away piece by piece.
#[derive(Debug)]
pub struct Frozen {
    head: Option<Bytes>,
    keys: VecDeque<Arc<KeyChunk>>,
    /// How many versions of the first chunk were given away.
    given: usize,
    changes: VecDeque<Arc<Vec<Change>>>,
    /// How many changes of the first chunk are gone, or were given away.
    gone: usize,
}

impl Frozen {
    pub(crate) fn new(store: &Store) -> Frozen {
        let mut head = vec![HEAD, VERSION];
        head.put_i64_le(store.revision().0);
        head.put_i64_le(store.compacted().0);
        let (changes, gone) = store.changes.chunks();
        Frozen { head: Some(Bytes::from(head)), keys: store.keys.chunks(), given: 0, changes, gone }
    }

    fn keys(&mut self, out: &mut Vec<u8>) {
        while let Some(chunk) = self.keys.front() {
            let versions = chunk
                .iter()
                .flat_map(|(key, history)| history.versions().iter().map(move |version| (key, version)));
            for (key, version) in versions.skip(self.given) {
                if out.len() >= PIECE {
                    return;
                }
                put_bytes(key, out);
                put_version(version, out);
                self.given += 1;
            }
            self.keys.pop_front();
            self.given = 0;
        }
    }

    fn changes(&mut self, out: &mut Vec<u8>) {
        while let Some(chunk) = self.changes.front() {
            for change in &chunk[self.gone..] {
                if out.len() >= PIECE {
                    return;
                }
                out.put_i64_le(change.revision.0);
                out.put_u32_le(change.sub);
                put_bytes(&change.key, out);
                self.gone += 1;
            }
            self.changes.pop_front();
            self.gone = 0;
        }
    }
}

impl Iterator for Frozen {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if let Some(head) = self.head.take() {
            return Some(head);
        }
        let mut out = vec![KEYS];
        self.keys(&mut out);
        if out.len() == 1 {
            out[0] = CHANGES;
            self.changes(&mut out);
        }
        (out.len() > 1).then(|| Bytes::from(out))
    }
}

/// A store, from its pieces.
pub(crate) fn thaw(pieces: &mut dyn Iterator<Item = Bytes>) -> Result<Store, Unreadable> {
    let mut store = None;
    for piece in pieces {
        add(&mut store, piece)
            .map_err(|malformed| Unreadable(format!("a piece of the store {malformed}")))?;
    }
    store.ok_or_else(|| Unreadable("the store has no first piece".to_owned()))
}

fn add(store: &mut Option<Store>, mut piece: Bytes) -> Result<(), Malformed> {
    match (get_u8(&mut piece)?, store) {
        (HEAD, empty @ None) => {
            let version = get_u8(&mut piece)?;
            if version != VERSION {
                return Err(Malformed::Version(version));
            }
            let (revision, compacted) = (get_i64(&mut piece)?, get_i64(&mut piece)?);
            *empty = Some(Store::at(Revision(revision), Revision(compacted)));
            Ok(())
        }
        (KEYS, Some(store)) => {
            while !piece.is_empty() {
                let key = get_bytes(&mut piece)?;
                store.load_version(&key, get_version(&mut piece)?);
            }
            Ok(())
        }
        (CHANGES, Some(store)) => {
            while !piece.is_empty() {
                let (revision, sub) = (Revision(get_i64(&mut piece)?), get_u32(&mut piece)?);
                store.load_change(revision, sub, &get_bytes(&mut piece)?);
            }
            Ok(())
        }
        (kind, _) => Err(Malformed::Kind { what: "piece", kind }),
    }
}

fn put_version(version: &Version, out: &mut Vec<u8>) {
    out.put_i64_le(version.at.0);
    put_option(version.live.as_ref(), out, |live, out| {
        out.put_i64_le(live.create.0);
        out.put_i64_le(live.version);
        out.put_i64_le(live.lease.0);
        put_bytes(&live.value, out);
    });
}

fn get_version(from: &mut Bytes) -> Result<Version, Malformed> {
    let at = Revision(get_i64(from)?);
    let live = get_option(from, |from| {
        let (create, version) = (Revision(get_i64(from)?), get_i64(from)?);
        let (lease, value) = (LeaseId(get_i64(from)?), get_bytes(from)?);
        // Kept as it came, it would keep alive the whole piece.
        Ok(Live { create, version, value: Bytes::copy_from_slice(&value), lease })
    })?;
    Ok(Version { at, live })
}

// --- replies ------------------------------------------------------------------------------------------

const RANGE: u8 = 0;
const PUT: u8 = 1;
const DELETE_RANGE: u8 = 2;
const TXN: u8 = 3;
const COMPACTED: u8 = 4;
const MEMBERS: u8 = 5;
const SIZE: u8 = 6;

/// How deep a transaction's answers may nest: no deeper than what was asked.
const MAX_DEPTH: usize = crate::check::MAX_OPS + 1;

pub(crate) fn put_reply(reply: &Reply, out: &mut Vec<u8>) {
    out.put_i64_le(reply.revision.0);
    match &reply.result {
        Ok(answer) => {
            put_bool(true, out);
            put_answer(answer, out);
        }
        Err(refusal) => {
            put_bool(false, out);
            put_refusal(refusal, out);
        }
    }
}

pub(crate) fn get_reply(from: &mut Bytes) -> Result<Reply, Malformed> {
    let revision = Revision(get_i64(from)?);
    let result = if get_bool(from)? { Ok(get_answer(from, MAX_DEPTH)?) } else { Err(get_refusal(from)?) };
    Ok(Reply { revision, result })
}

fn put_answer(answer: &Answer, out: &mut Vec<u8>) {
    match answer {
        Answer::Range(range) => {
            out.put_u8(RANGE);
            put_list(&range.kvs, out, put_kv);
            put_bool(range.more, out);
            out.put_i64_le(range.count);
        }
        Answer::Put(put) => {
            out.put_u8(PUT);
            put_option(put.previous.as_ref(), out, put_kv);
        }
        Answer::DeleteRange(deleted) => {
            out.put_u8(DELETE_RANGE);
            out.put_i64_le(deleted.count);
            put_list(&deleted.previous, out, put_kv);
        }
        Answer::Txn(txn) => {
            out.put_u8(TXN);
            put_bool(txn.succeeded, out);
            put_list(&txn.answers, out, |(revision, answer), out| {
                out.put_i64_le(revision.0);
                put_answer(answer, out);
            });
        }
        Answer::Compacted => out.put_u8(COMPACTED),
        Answer::Members(membership) => {
            out.put_u8(MEMBERS);
            raft::codec::encode_membership(membership, out);
        }
        Answer::Size(bytes) => {
            out.put_u8(SIZE);
            out.put_u64_le(*bytes as u64);
        }
        Answer::Image(_) => {
            unreachable!("no command is answered with an image, and only those are remembered")
        }
    }
}

fn get_answer(from: &mut Bytes, depth: usize) -> Result<Answer, Malformed> {
    let Some(deeper) = depth.checked_sub(1) else { return Err(Malformed::Deep) };
    Ok(match get_u8(from)? {
        RANGE => {
            let kvs = get_list(from, get_kv)?;
            Answer::Range(Kvs { kvs, more: get_bool(from)?, count: get_i64(from)? })
        }
        PUT => Answer::Put(Replaced { previous: get_option(from, get_kv)? }),
        DELETE_RANGE => {
            let count = get_i64(from)?;
            Answer::DeleteRange(Deleted { count, previous: get_list(from, get_kv)? })
        }
        TXN => {
            let succeeded = get_bool(from)?;
            let answers = get_list(from, |from| Ok((Revision(get_i64(from)?), get_answer(from, deeper)?)))?;
            Answer::Txn(TxnAnswer { succeeded, answers })
        }
        COMPACTED => Answer::Compacted,
        MEMBERS => {
            let membership = raft::codec::decode_membership(from);
            let unknown = |_| Malformed::Kind { what: "membership", kind: MEMBERS };
            Answer::Members(Arc::new(membership.map_err(unknown)?))
        }
        SIZE => Answer::Size(usize::try_from(get_i64(from)?).map_err(|_| Malformed::Short)?),
        kind => return Err(Malformed::Kind { what: "answer", kind }),
    })
}

fn put_kv(kv: &KeyValue, out: &mut Vec<u8>) {
    put_bytes(&kv.key, out);
    put_bytes(&kv.value, out);
    for number in [kv.create.0, kv.modified.0, kv.version, kv.lease.0] {
        out.put_i64_le(number);
    }
}

fn get_kv(from: &mut Bytes) -> Result<KeyValue, Malformed> {
    let (key, value) = (get_bytes(from)?, get_bytes(from)?);
    let (create, modified) = (Revision(get_i64(from)?), Revision(get_i64(from)?));
    let (version, lease) = (get_i64(from)?, LeaseId(get_i64(from)?));
    // Kept as they came, they would keep alive the whole piece.
    let (key, value) = (Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value));
    Ok(KeyValue { key, value, create, modified, version, lease })
}

/// Refusals that say nothing more, by their number.
const REFUSALS: [Refusal; 7] = [
    Refusal::EmptyKey,
    Refusal::KeyNotFound,
    Refusal::TooManyOps,
    Refusal::DuplicateKey,
    Refusal::Compacted,
    Refusal::FutureRevision,
    Refusal::LeaseNotFound,
];
const MALFORMED: u8 = 255;

fn put_refusal(refusal: &Refusal, out: &mut Vec<u8>) {
    if let Refusal::Malformed(why) = refusal {
        out.put_u8(MALFORMED);
        return codec::put_malformed(why, out);
    }
    let place = REFUSALS.iter().position(|known| known == refusal);
    let place = place.expect("every refusal but that of a malformed command is in the table");
    out.put_u8(u8::try_from(place).expect("the table is short"));
}

fn get_refusal(from: &mut Bytes) -> Result<Refusal, Malformed> {
    let kind = get_u8(from)?;
    if kind == MALFORMED {
        return Ok(Refusal::Malformed(codec::get_malformed(from)?));
    }
    REFUSALS.get(usize::from(kind)).cloned().ok_or(Malformed::Kind { what: "refusal", kind })
}
