//! The store counts its changes, and no two of them have the same revision: that is the id.
//!
//! It is as good an id as the log is one log. Two leaders who both acknowledge, or a change that is
//! acknowledged and lost, give a revision out twice.

use bytes::Bytes;
use checker::unique_ids::{Generate, Id};
use history::{Key, Outcome};

use super::request::{object, whole};
use super::{Asked, Asking, Nonsense, Put, Reply, Request, Revision};
use crate::UniqueIds;

impl Asking for UniqueIds {
    type Open = ();

    fn begin(&self, _: &Generate, key: Option<&Key>) -> (Request, ()) {
        (Request::Put(Put { key: whole(object(key)), value: Bytes::new() }), ())
    }

    fn replied(&self, _: &Generate, _: Option<&Key>, (): (), reply: Reply) -> Result<Asked<Self>, Nonsense> {
        let Revision(revision) = reply.put()?;
        match u64::try_from(revision) {
            Ok(id @ 1..) => Ok(Asked::Over(Outcome::Ok(Id(id)))),
            _ => Err(Nonsense(format!("a change at revision {revision}, before there was any"))),
        }
    }
}
