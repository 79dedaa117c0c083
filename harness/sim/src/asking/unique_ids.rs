//! The store counts its changes, and no two of them have the same revision: that is the id.
//!
//! It is as good an id as the log is one log. Two leaders who both acknowledge, or a change that is
//! acknowledged and lost, give a revision out twice.

use bytes::Bytes;
use checker::unique_ids::{Generate, Id};
use history::{Key, Outcome};
use kv::{Command, Reply, Revision};
use workload::UniqueIds;

use super::calls::{object, put, whole, write};
use super::{Asked, Asking, Call, Nonsense, replies};

impl Asking for UniqueIds {
    type Open = ();

    fn begin(&self, _: &Generate, key: Option<&Key>) -> (Call, ()) {
        (write(&Command::Put(put(whole(object(key)), Bytes::new()))), ())
    }

    fn changes(&self, _: &Generate, (): &()) -> bool {
        true
    }

    fn replied(&self, _: &Generate, _: Option<&Key>, (): (), reply: Reply) -> Result<Asked<Self>, Nonsense> {
        let Revision(revision) = replies::put(reply)?;
        let id = u64::try_from(revision);
        let id =
            id.map_err(|_| Nonsense(format!("a change at revision {revision}, before there was any")))?;
        Ok(Asked::Over(Outcome::Ok(Id(id))))
    }
}
