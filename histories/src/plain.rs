//! Ops as they stand in a file, whatever they mean.

use crate::operation::{Answered, Asked, Operation, Unreadable};

/// Whatever is asked, and whatever is answered: enough to look at a history, or to write it in another
/// format, without a workload that knows its ops.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plain(pub Asked);

impl Operation for Plain {
    type Ret = Answered;

    fn ask(&self) -> Asked {
        self.0.clone()
    }

    fn read_ask(asked: &Asked) -> Result<Plain, Unreadable> {
        Ok(Plain(asked.clone()))
    }

    fn answer(&self, ret: &Answered) -> Answered {
        ret.clone()
    }

    fn read_answer(&self, answered: &Answered) -> Result<Answered, Unreadable> {
        Ok(answered.clone())
    }
}
