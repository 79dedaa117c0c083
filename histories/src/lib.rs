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
//! What an op is, a workload says, by [`Operation`]; this crate knows none.
//!
//! Histories that others recorded can be read too: [`Format`] says which.
//!
//! Left out for now: Jepsen's EDN files.
#![forbid(unsafe_code)]

mod attempt;
mod edn;
mod foreign;
mod format;
mod jepsen_log;
mod json;
mod names;
mod observation;
mod operation;
mod porcupine_kv;
mod reader;
mod rules;
mod writer;

pub use attempt::{Attempt, History, Pairing, Torn};
pub use edn::NotEdn;
pub use foreign::NotALine;
pub use format::{Format, Opening};
pub use names::{Key, Moment, NodeId, NotANode, Process};
pub use observation::{Kind, Line, NemesisOp, Observation, Outcome};
pub use operation::{Answered, Asked, Operation, Unreadable};
pub use reader::{Flaw, ReadError, Reader};
pub use rules::Breach;
pub use writer::{WriteError, Writer};
