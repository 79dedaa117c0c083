//! The networks and processes that carry faults out.
