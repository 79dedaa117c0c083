//! Ops, generators, and which checker judges them; pure.
