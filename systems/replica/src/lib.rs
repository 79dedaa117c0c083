//! Raft, its log on disk and a state machine put together; no socket, no timer.
