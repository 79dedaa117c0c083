//! Real processes, real clients, the recorder.

pub mod plan;
pub mod progress;
pub mod report;
