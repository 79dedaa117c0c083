//! What a history is, and how it is read and written.
//!
//! A history is all that clients of a system asked and were told, with the faults among it, one JSON
//! object a line. It is the only evidence that a verdict rests on, so it must read without tools:
//!
//! ```text
//! {"index":0,"time":1023045,"process":2,"type":"invoke","f":"write","key":"x","value":3,"node":"n2"}
//! {"index":1,"time":1980022,"process":0,"type":"invoke","f":"read","key":"x","value":null,"node":"n1"}
//! {"index":2,"time":2000000,"process":"nemesis","type":"info","f":"partition","value":{"blocks":[[1],[2,3]]}}
//! {"index":3,"time":2310409,"process":0,"type":"ok","f":"read","key":"x","value":3,"node":"n1"}
//! {"index":4,"time":6023049,"process":2,"type":"info","f":"write","key":"x","value":3,"error":"no answer within 5s","node":"n2"}
//! ```
//!
//! Words and names are Jepsen's. `ok` happened; `fail` certainly did not; everything else is `info`
//! and stays open to the end of the history. [`Writer`] and [`Reader`] keep the same rules
//! ([`Breach`]); [`History`] is what checkers take: each op with its end.
//!
//! What an op is, a workload says, by [`Operation`]. Three stand here, since no workload of ours has them:
//! [`MutexOp`], [`Txn`], and [`Plain`], which takes whatever stands in a file.
//!
//! Histories that others recorded can be read too: [`Format`] says which, [`Reading`] what their lines
//! mean where there is a choice. [`Writer::edn`] and [`write_porcupine`] write ours for the tools of others.
//!
//! Left out: Jepsen's binary files (`test.jepsen`), which hold the same ops as the `history.edn` beside them;
//! and the way back from Porcupine's operations, which have lost the reasons and the nemesis.
#![forbid(unsafe_code)]

mod attempt;
mod edn;
mod edn_fields;
mod edn_reader;
mod edn_stream;
mod foreign;
mod format;
mod jepsen_edn;
mod jepsen_log;
mod json;
mod lines;
mod mutex;
mod names;
mod observation;
mod operation;
mod plain;
mod porcupine;
mod porcupine_kv;
mod reader;
mod reading;
mod rules;
mod txn;
mod writer;

pub use attempt::{Attempt, History, Pairing, Torn};
pub use edn::{Edn, EdnError, NotEdn};
pub use foreign::NotALine;
pub use format::{Format, Opening};
pub use mutex::{MutexDone, MutexOp};
pub use names::{Key, Moment, NodeId, NotANode, Process};
pub use observation::{Kind, Line, NemesisOp, Observation, Outcome};
pub use operation::{Answered, Asked, Operation, Unreadable};
pub use plain::Plain;
pub use porcupine::write_porcupine;
pub use reader::{Flaw, ReadError, Reader};
pub use reading::Reading;
pub use rules::Breach;
pub use txn::{MicroOp, Seen, Txn, TxnRead};
pub use writer::{WriteError, Writer};
