//! Models, the search, verdicts.
