//! Real processes, real clients, the recorder.
//!
//! [`run`] carries out one [`Plan`]: it starts a cluster, lets clients work on it while faults come
//! and go, heals everything, reads all once more, and has the history judged. It meets the system as
//! its users do, through the protocol it speaks and the processes it consists of; it links none of
//! its code. What it tests is a black box, ours or not.
//!
//! Where to read:
//!
//! * [`execute`](mod@execute) is the order of a run, from the first process to the verdict;
//! * [`drive`] hands out work to clients; [`recorder`] writes down what they ask and hear;
//! * [`etcd`] is a client: one attempt per call, and a closed table of the errors that mean `fail`;
//! * [`cluster`] starts, kills and connects nodes, and is what faults are carried out on; `seats` replaces
//!   members;
//! * [`system`] says how a system is started, [`probe`] whether it answers and who leads;
//! * [`report`] is what is left when all is over, beside the [`folder`].
//!
//! Three kinds of error are never mixed: what a system does wrong is in the history and judged there;
//! what the user gave wrong and what fails in the harness or the machine are an [`Error`] each, and
//! end the run without a verdict.
#![forbid(unsafe_code)]

pub mod bench;
pub mod cluster;
pub mod drive;
pub mod error;
pub mod etcd;
pub mod execute;
pub mod folder;
pub mod latency;
mod members;
mod overseer;
pub mod plan;
pub mod play;
pub mod probe;
pub mod progress;
pub mod recorder;
pub mod report;
mod seats;
mod stores;
pub mod system;

pub use error::Error;
pub use execute::run;
pub use plan::{Disk, Plan};
pub use progress::{Live, Phase, Progress, Silent};
pub use report::{Check, Failings, FaultReport, Report, Standing};
