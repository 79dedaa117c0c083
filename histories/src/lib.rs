//! What a history is and how it is read and written.
#![forbid(unsafe_code)]

mod attempt;
mod names;
mod observation;
mod operation;

pub use attempt::{Attempt, History};
pub use names::{Key, Moment, NodeId, NotANode, Process};
pub use observation::{Kind, Line, NemesisOp, Observation, Outcome};
pub use operation::{Answered, Asked, Operation, Unreadable};
