//! The program harness: run, check, list.
