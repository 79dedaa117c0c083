//! A read is answered from a state no older than the moment it was asked (dissertation §6.4).
//!
//! So the index that a leader names for it covers everything that was committed by then, whoever knew.

use std::collections::BTreeMap;

use super::Violation;
use crate::ids::{Index, NodeId, RequestId};
use crate::seam::Answer;

/// Reads under way, and how much was committed when they were asked.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Reads(BTreeMap<RequestId, Index>);

impl Reads {
    pub(super) fn asked(&mut self, read: RequestId, committed: Index) {
        self.0.insert(read, committed);
    }

    pub(super) fn answered(&mut self, node: NodeId, answer: &Answer) -> Result<(), Violation> {
        match *answer {
            Answer::Refused { id, .. } => {
                self.0.remove(&id);
            }
            Answer::ReadAt { id, index } => {
                if let Some(committed) = self.0.remove(&id)
                    && index < committed
                {
                    return Err(Violation::ReadTooOld { node, read: id, index, committed });
                }
            }
            Answer::Accepted { .. } | Answer::Forwarded { .. } | Answer::Transferred { .. } => {}
        }
        Ok(())
    }
}
