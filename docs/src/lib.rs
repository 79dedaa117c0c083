//! Tests that hold the house to its plan: floors, links, quotes.
