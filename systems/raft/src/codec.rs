//! Entries and envelopes as bytes: on the wire between nodes, and in the log on disk.
//!
//! Written by hand, so that the core needs no protocol compiler and every byte can be accounted for.
//! Numbers are little-endian and of fixed width. Each entry and each envelope starts with a version
//! byte; a reader refuses a version it does not know instead of guessing. Commands are not copied on
//! reading: they share the buffer they came in.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};

use crate::checkpoint::Checkpoint;
use crate::entry::{Entry, Payload, Proposal, Request, Suffix, Wanted};
use crate::ids::{EntryId, Index, NodeId, RequestId, SessionId, Term, Wall};
use crate::membership::{Change, Membership, Unfit};
use crate::message::{Envelope, Message};
use crate::quorum::Voters;
use crate::seam::{Refusal, Unchanged};

/// The layout that this build writes.
pub const VERSION: u8 = 1;

/// Why bytes are not what they should be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    /// It ends too early.
    #[error("ends {missing} bytes too early")]
    Short {
        /// How many bytes are missing, at least.
        missing: usize,
    },
    /// A version from another time.
    #[error("has version {0}, this build reads {VERSION}")]
    Version(u8),
    /// A kind that this build does not know.
    #[error("{what} of unknown kind {kind}")]
    Kind {
        /// What has that kind.
        what: &'static str,
        /// The number found.
        kind: u8,
    },
    /// Members that contradict each other.
    #[error("has members that contradict each other")]
    Membership,
    /// Entries that do not follow each other.
    #[error("entries after {0} do not continue it")]
    Suffix(EntryId),
    /// More bytes than meaning.
    #[error("has {0} bytes too many")]
    Trailing(usize),
}

/// Appends `entry` to `out`.
pub fn encode_entry(entry: &Entry, out: &mut Vec<u8>) {
    out.put_u8(VERSION);
    put_entry_id(entry.id, out);
    out.put_u64_le(entry.stamp.0);
    match &entry.request {
        None => out.put_u8(0),
        Some(request) => {
            out.put_u8(1);
            put_request(request, out);
        }
    }
    put_payload(&entry.payload, out);
}

/// Reads one entry from the front of `from`.
pub fn decode_entry(from: &mut Bytes) -> Result<Entry, Malformed> {
    version(from)?;
    let id = get_entry_id(from)?;
    let stamp = Wall(get_u64(from)?);
    let request = match get_u8(from)? {
        0 => None,
        1 => Some(get_request(from)?),
        kind => return Err(Malformed::Kind { what: "request", kind }),
    };
    let payload = get_payload(from)?;
    Ok(Entry { id, stamp, request, payload })
}

/// One envelope as bytes.
pub fn encode_envelope(envelope: &Envelope) -> Bytes {
    let mut out = Vec::with_capacity(64);
    out.put_u8(VERSION);
    out.put_u16_le(envelope.from.0);
    out.put_u16_le(envelope.to.0);
    out.put_u64_le(envelope.term.0);
    put_message(&envelope.message, &mut out);
    Bytes::from(out)
}

/// Reads an envelope that fills `from` exactly.
pub fn decode_envelope(mut from: Bytes) -> Result<Envelope, Malformed> {
    version(&mut from)?;
    let envelope = Envelope {
        from: NodeId(get_u16(&mut from)?),
        to: NodeId(get_u16(&mut from)?),
        term: Term(get_u64(&mut from)?),
        message: get_message(&mut from)?,
    };
    if from.has_remaining() { Err(Malformed::Trailing(from.remaining())) } else { Ok(envelope) }
}

// --- messages: one kind byte each, never reused -------------------------------------------------

const REQUEST_PRE_VOTE: u8 = 1;
const PRE_VOTE: u8 = 2;
const REQUEST_VOTE: u8 = 3;
const VOTE: u8 = 4;
const APPEND: u8 = 5;
const MATCHED: u8 = 6;
const DIVERGED: u8 = 7;
const HEARTBEAT: u8 = 8;
const HEARTBEAT_REPLY: u8 = 9;
const OUTDATED: u8 = 10;
const FORWARD: u8 = 11;
const FORWARD_READ: u8 = 12;
const REFUSED: u8 = 13;
const READ_AT: u8 = 14;
const TIMEOUT_NOW: u8 = 15;
const SNAPSHOT: u8 = 16;
const FETCH: u8 = 17;
const PIECE: u8 = 18;

fn put_message(message: &Message, out: &mut Vec<u8>) {
    match message {
        Message::RequestPreVote { last } => {
            out.put_u8(REQUEST_PRE_VOTE);
            put_entry_id(*last, out);
        }
        Message::PreVote { granted } => {
            out.put_u8(PRE_VOTE);
            out.put_u8(u8::from(*granted));
        }
        Message::RequestVote { last, called } => {
            out.put_u8(REQUEST_VOTE);
            put_entry_id(*last, out);
            out.put_u8(u8::from(*called));
        }
        Message::Vote { granted } => {
            out.put_u8(VOTE);
            out.put_u8(u8::from(*granted));
        }
        Message::Append { suffix, commit } => {
            out.put_u8(APPEND);
            out.put_u64_le(commit.0);
            put_entry_id(suffix.after(), out);
            put_len(suffix.entries().len(), out);
            for entry in suffix.entries() {
                encode_entry(entry, out);
            }
        }
        Message::Matched { upto } => {
            out.put_u8(MATCHED);
            out.put_u64_le(upto.0);
        }
        Message::Diverged { after, probe } => {
            out.put_u8(DIVERGED);
            put_entry_id(*after, out);
            put_entry_id(*probe, out);
        }
        Message::Heartbeat { round, commit } => {
            out.put_u8(HEARTBEAT);
            out.put_u64_le(*round);
            out.put_u64_le(commit.0);
        }
        Message::HeartbeatReply { round } => {
            out.put_u8(HEARTBEAT_REPLY);
            out.put_u64_le(*round);
        }
        Message::Outdated => out.put_u8(OUTDATED),
        Message::Forward { proposals } => {
            out.put_u8(FORWARD);
            put_len(proposals.len(), out);
            for proposal in proposals {
                put_request(&proposal.request, out);
                put_wanted(&proposal.wanted, out);
            }
        }
        Message::ForwardRead { ids } => {
            out.put_u8(FORWARD_READ);
            put_request_ids(ids, out);
        }
        Message::Refused { ids, why } => {
            out.put_u8(REFUSED);
            put_request_ids(ids, out);
            put_refusal(*why, out);
        }
        Message::ReadAt { ids, index } => {
            out.put_u8(READ_AT);
            put_request_ids(ids, out);
            out.put_u64_le(index.0);
        }
        Message::TimeoutNow => out.put_u8(TIMEOUT_NOW),
        Message::Snapshot { checkpoint } => {
            out.put_u8(SNAPSHOT);
            encode_checkpoint(checkpoint, out);
        }
        Message::Fetch { id, offset } => {
            out.put_u8(FETCH);
            put_entry_id(*id, out);
            out.put_u64_le(*offset);
        }
        Message::Piece { id, offset, total, bytes } => {
            out.put_u8(PIECE);
            put_entry_id(*id, out);
            out.put_u64_le(*offset);
            out.put_u64_le(*total);
            put_bytes(bytes, out);
        }
    }
}

fn get_message(from: &mut Bytes) -> Result<Message, Malformed> {
    Ok(match get_u8(from)? {
        REQUEST_PRE_VOTE => Message::RequestPreVote { last: get_entry_id(from)? },
        PRE_VOTE => Message::PreVote { granted: get_bool(from)? },
        REQUEST_VOTE => Message::RequestVote { last: get_entry_id(from)?, called: get_bool(from)? },
        VOTE => Message::Vote { granted: get_bool(from)? },
        APPEND => {
            let commit = Index(get_u64(from)?);
            let after = get_entry_id(from)?;
            let entries = get_list(from, decode_entry)?;
            let suffix = Suffix::new(after, entries).ok_or(Malformed::Suffix(after))?;
            Message::Append { suffix, commit }
        }
        MATCHED => Message::Matched { upto: Index(get_u64(from)?) },
        DIVERGED => Message::Diverged { after: get_entry_id(from)?, probe: get_entry_id(from)? },
        HEARTBEAT => Message::Heartbeat { round: get_u64(from)?, commit: Index(get_u64(from)?) },
        HEARTBEAT_REPLY => Message::HeartbeatReply { round: get_u64(from)? },
        OUTDATED => Message::Outdated,
        FORWARD => Message::Forward {
            proposals: get_list(from, |from| {
                Ok(Proposal { request: get_request(from)?, wanted: get_wanted(from)? })
            })?,
        },
        FORWARD_READ => Message::ForwardRead { ids: get_list(from, get_request_id)? },
        REFUSED => Message::Refused { ids: get_list(from, get_request_id)?, why: get_refusal(from)? },
        READ_AT => Message::ReadAt { ids: get_list(from, get_request_id)?, index: Index(get_u64(from)?) },
        TIMEOUT_NOW => Message::TimeoutNow,
        SNAPSHOT => Message::Snapshot { checkpoint: decode_checkpoint(from)? },
        FETCH => Message::Fetch { id: get_entry_id(from)?, offset: get_u64(from)? },
        PIECE => Message::Piece {
            id: get_entry_id(from)?,
            offset: get_u64(from)?,
            total: get_u64(from)?,
            bytes: get_bytes(from)?,
        },
        kind => return Err(Malformed::Kind { what: "message", kind }),
    })
}

// --- payloads -----------------------------------------------------------------------------------

const NOOP: u8 = 0;
const OPEN_SESSION: u8 = 1;
const COMMAND: u8 = 2;
const MEMBERSHIP: u8 = 3;
const CHANGE: u8 = 4;

fn put_payload(payload: &Payload, out: &mut Vec<u8>) {
    match payload {
        Payload::Noop => out.put_u8(NOOP),
        Payload::OpenSession => out.put_u8(OPEN_SESSION),
        Payload::Command(command) => {
            out.put_u8(COMMAND);
            put_bytes(command, out);
        }
        Payload::Membership(membership) => {
            out.put_u8(MEMBERSHIP);
            encode_membership(membership, out);
        }
    }
}

fn get_payload(from: &mut Bytes) -> Result<Payload, Malformed> {
    Ok(match get_u8(from)? {
        NOOP => Payload::Noop,
        OPEN_SESSION => Payload::OpenSession,
        COMMAND => Payload::Command(get_bytes(from)?),
        MEMBERSHIP => Payload::Membership(Arc::new(decode_membership(from)?)),
        kind => return Err(Malformed::Kind { what: "payload", kind }),
    })
}

fn put_wanted(wanted: &Wanted, out: &mut Vec<u8>) {
    match wanted {
        Wanted::Session => out.put_u8(OPEN_SESSION),
        Wanted::Command(command) => {
            out.put_u8(COMMAND);
            put_bytes(command, out);
        }
        Wanted::Change(changes) => {
            out.put_u8(CHANGE);
            put_len(changes.len(), out);
            for change in changes {
                put_change(change, out);
            }
        }
    }
}

fn get_wanted(from: &mut Bytes) -> Result<Wanted, Malformed> {
    Ok(match get_u8(from)? {
        OPEN_SESSION => Wanted::Session,
        COMMAND => Wanted::Command(get_bytes(from)?),
        CHANGE => Wanted::Change(get_list(from, get_change)?),
        kind => return Err(Malformed::Kind { what: "proposal", kind }),
    })
}

// --- members ------------------------------------------------------------------------------------

/// Appends `checkpoint` to `out`.
pub fn encode_checkpoint(checkpoint: &Checkpoint, out: &mut Vec<u8>) {
    put_entry_id(checkpoint.id, out);
    out.put_u64_le(checkpoint.stamp.0);
    out.put_u64_le(checkpoint.since.0);
    encode_membership(&checkpoint.membership, out);
}

/// Reads a checkpoint from the front of `from`.
pub fn decode_checkpoint(from: &mut Bytes) -> Result<Checkpoint, Malformed> {
    Ok(Checkpoint {
        id: get_entry_id(from)?,
        stamp: Wall(get_u64(from)?),
        since: Index(get_u64(from)?),
        membership: Arc::new(decode_membership(from)?),
    })
}

/// Appends `membership` to `out`.
pub fn encode_membership(membership: &Membership, out: &mut Vec<u8>) {
    out.put_u16_le(membership.last_id().0);
    put_nodes(membership.voters().iter(), membership.voters().len(), out);
    let before = membership.before();
    put_nodes(before.into_iter().flat_map(Voters::iter), before.map_or(0, Voters::len), out);
    put_nodes(membership.learners().iter().copied(), membership.learners().len(), out);
    put_len(membership.contexts().len(), out);
    for (node, context) in membership.contexts() {
        out.put_u16_le(node.0);
        put_bytes(context, out);
    }
}

/// Reads a membership from the front of `from`.
pub fn decode_membership(from: &mut Bytes) -> Result<Membership, Malformed> {
    let last = get_node(from)?;
    let voters = Voters::new(get_nodes(from)?);
    let before = Voters::new(get_nodes(from)?);
    let before = (!before.is_empty()).then_some(before);
    let learners = get_nodes(from)?;
    let contexts = get_list(from, |from| Ok((get_node(from)?, get_bytes(from)?)))?;
    let in_order = contexts.is_sorted_by(|(a, _), (b, _)| a < b);
    let membership = Membership::from_parts(voters, before, learners, contexts.into_iter().collect(), last);
    membership.filter(|_| in_order).ok_or(Malformed::Membership)
}

const ADD_VOTER: u8 = 0;
const ADD_LEARNER: u8 = 1;
const PROMOTE: u8 = 2;
const DEMOTE: u8 = 3;
const REMOVE: u8 = 4;
const DESCRIBE: u8 = 5;
const SINCE: u8 = 6;

fn put_change(change: &Change, out: &mut Vec<u8>) {
    let (kind, node, context) = match change {
        Change::AddVoter { context } => (ADD_VOTER, None, Some(context)),
        Change::AddLearner { context } => (ADD_LEARNER, None, Some(context)),
        Change::Promote(node) => (PROMOTE, Some(node), None),
        Change::Demote(node) => (DEMOTE, Some(node), None),
        Change::Remove(node) => (REMOVE, Some(node), None),
        Change::Describe { node, context } => (DESCRIBE, Some(node), Some(context)),
        Change::Since(index) => {
            out.put_u8(SINCE);
            return out.put_u64_le(index.0);
        }
    };
    out.put_u8(kind);
    if let Some(node) = node {
        out.put_u16_le(node.0);
    }
    if let Some(context) = context {
        put_bytes(context, out);
    }
}

fn get_change(from: &mut Bytes) -> Result<Change, Malformed> {
    Ok(match get_u8(from)? {
        ADD_VOTER => Change::AddVoter { context: get_bytes(from)? },
        ADD_LEARNER => Change::AddLearner { context: get_bytes(from)? },
        PROMOTE => Change::Promote(get_node(from)?),
        DEMOTE => Change::Demote(get_node(from)?),
        REMOVE => Change::Remove(get_node(from)?),
        DESCRIBE => Change::Describe { node: get_node(from)?, context: get_bytes(from)? },
        SINCE => Change::Since(Index(get_u64(from)?)),
        kind => return Err(Malformed::Kind { what: "change", kind }),
    })
}

// --- refusals: a kind byte and two numbers ------------------------------------------------------

fn put_refusal(why: Refusal, out: &mut Vec<u8>) {
    let (kind, a, b) = match why {
        Refusal::NoLeader => (0, 0, 0),
        Refusal::NotLeader => (1, 0, 0),
        Refusal::Full => (2, 0, 0),
        Refusal::TooLarge => (3, 0, 0),
        Refusal::Transferring => (4, 0, 0),
        Refusal::BadTransferee(node) => (5, node.0, 0),
        Refusal::Untransferred => (6, 0, 0),
        Refusal::Change(Unchanged::Early) => (7, 0, 0),
        Refusal::Change(Unchanged::Pending) => (8, 0, 0),
        Refusal::Change(Unchanged::Behind(node)) => (9, node.0, 0),
        Refusal::Change(Unchanged::NoQuorum { heard, needed }) => (10, heard, needed),
        Refusal::Change(Unchanged::Outdated) => (18, 0, 0),
        Refusal::Change(Unchanged::Unfit(unfit)) => match unfit {
            Unfit::Nothing => (11, 0, 0),
            Unfit::Joint => (12, 0, 0),
            Unfit::Stranger(node) => (13, node.0, 0),
            Unfit::NoLearner(node) => (14, node.0, 0),
            Unfit::NoVoter(node) => (15, node.0, 0),
            Unfit::LastVoter => (16, 0, 0),
            Unfit::Full => (17, 0, 0),
        },
    };
    out.put_u8(kind);
    out.put_u16_le(a);
    out.put_u16_le(b);
}

fn get_refusal(from: &mut Bytes) -> Result<Refusal, Malformed> {
    let (kind, a, b) = (get_u8(from)?, get_u16(from)?, get_u16(from)?);
    let node = NodeId(a);
    let why = match kind {
        0 => Refusal::NoLeader,
        1 => Refusal::NotLeader,
        2 => Refusal::Full,
        3 => Refusal::TooLarge,
        4 => Refusal::Transferring,
        5 => Refusal::BadTransferee(node),
        6 => Refusal::Untransferred,
        7 => Refusal::Change(Unchanged::Early),
        8 => Refusal::Change(Unchanged::Pending),
        9 => Refusal::Change(Unchanged::Behind(node)),
        10 => Refusal::Change(Unchanged::NoQuorum { heard: a, needed: b }),
        11 => Refusal::Change(Unfit::Nothing.into()),
        12 => Refusal::Change(Unfit::Joint.into()),
        13 => Refusal::Change(Unfit::Stranger(node).into()),
        14 => Refusal::Change(Unfit::NoLearner(node).into()),
        15 => Refusal::Change(Unfit::NoVoter(node).into()),
        16 => Refusal::Change(Unfit::LastVoter.into()),
        17 => Refusal::Change(Unfit::Full.into()),
        18 => Refusal::Change(Unchanged::Outdated),
        kind => return Err(Malformed::Kind { what: "refusal", kind }),
    };
    let mut again = Vec::with_capacity(5);
    put_refusal(why, &mut again);
    let same = again[1..] == [a.to_le_bytes(), b.to_le_bytes()].concat();
    if same { Ok(why) } else { Err(Malformed::Kind { what: "refusal with surplus numbers", kind }) }
}

// --- the small parts ------------------------------------------------------------------------------

fn put_entry_id(id: EntryId, out: &mut Vec<u8>) {
    out.put_u64_le(id.index.0);
    out.put_u64_le(id.term.0);
}

fn get_entry_id(from: &mut Bytes) -> Result<EntryId, Malformed> {
    Ok(EntryId { index: Index(get_u64(from)?), term: Term(get_u64(from)?) })
}

fn put_request_id(id: RequestId, out: &mut Vec<u8>) {
    out.put_u64_le(id.session.0);
    out.put_u64_le(id.seq);
}

fn get_request_id(from: &mut Bytes) -> Result<RequestId, Malformed> {
    Ok(RequestId { session: SessionId(get_u64(from)?), seq: get_u64(from)? })
}

fn put_request_ids(ids: &[RequestId], out: &mut Vec<u8>) {
    put_len(ids.len(), out);
    for id in ids {
        put_request_id(*id, out);
    }
}

fn put_request(request: &Request, out: &mut Vec<u8>) {
    put_request_id(request.id, out);
    out.put_u64_le(request.floor);
}

fn get_request(from: &mut Bytes) -> Result<Request, Malformed> {
    Ok(Request { id: get_request_id(from)?, floor: get_u64(from)? })
}

fn put_nodes(nodes: impl Iterator<Item = NodeId>, count: usize, out: &mut Vec<u8>) {
    put_len(count, out);
    nodes.for_each(|node| out.put_u16_le(node.0));
}

/// Nodes in order, none twice: what was written is what is read.
fn get_nodes(from: &mut Bytes) -> Result<BTreeSet<NodeId>, Malformed> {
    let nodes = get_list(from, get_node)?;
    if nodes.is_sorted_by(|a, b| a < b) {
        Ok(nodes.into_iter().collect())
    } else {
        Err(Malformed::Membership)
    }
}

fn get_node(from: &mut Bytes) -> Result<NodeId, Malformed> {
    Ok(NodeId(get_u16(from)?))
}

fn put_bytes(bytes: &Bytes, out: &mut Vec<u8>) {
    put_len(bytes.len(), out);
    out.put_slice(bytes);
}

fn get_bytes(from: &mut Bytes) -> Result<Bytes, Malformed> {
    let length = get_u32(from)? as usize;
    need(from, length)?;
    Ok(from.split_to(length))
}

fn put_len(length: usize, out: &mut Vec<u8>) {
    out.put_u32_le(u32::try_from(length).expect("a message is far below 4 GiB: its batch was bounded"));
}

/// Reads a count and that many items. The count is not trusted with memory: items come one by one,
/// and the bytes run out before the memory does.
fn get_list<T>(
    from: &mut Bytes,
    mut item: impl FnMut(&mut Bytes) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let count = get_u32(from)?;
    (0..count).map(|_| item(from)).collect()
}

fn version(from: &mut Bytes) -> Result<(), Malformed> {
    match get_u8(from)? {
        VERSION => Ok(()),
        other => Err(Malformed::Version(other)),
    }
}

fn need(from: &Bytes, bytes: usize) -> Result<(), Malformed> {
    match bytes.checked_sub(from.remaining()) {
        None | Some(0) => Ok(()),
        Some(missing) => Err(Malformed::Short { missing }),
    }
}

fn get_u8(from: &mut Bytes) -> Result<u8, Malformed> {
    need(from, 1)?;
    Ok(from.get_u8())
}

fn get_bool(from: &mut Bytes) -> Result<bool, Malformed> {
    match get_u8(from)? {
        0 => Ok(false),
        1 => Ok(true),
        kind => Err(Malformed::Kind { what: "yes or no", kind }),
    }
}

fn get_u16(from: &mut Bytes) -> Result<u16, Malformed> {
    need(from, 2)?;
    Ok(from.get_u16_le())
}

fn get_u32(from: &mut Bytes) -> Result<u32, Malformed> {
    need(from, 4)?;
    Ok(from.get_u32_le())
}

fn get_u64(from: &mut Bytes) -> Result<u64, Malformed> {
    need(from, 8)?;
    Ok(from.get_u64_le())
}
