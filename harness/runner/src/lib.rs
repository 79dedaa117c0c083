//! Real processes, real clients, the recorder.
