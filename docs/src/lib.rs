//! The book, and the tests that hold the house to its plan. The chapters are the Markdown files of
//! this folder; `architecture.md` is the first. The tests read `cargo metadata`
//! and the chapters: a crate may import from lower floors only, a link must lead somewhere, and code
//! quoted in a chapter must stand in the file it is quoted from.
