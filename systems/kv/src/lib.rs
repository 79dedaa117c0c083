//! The replicated map with etcd's semantics: revisions, ranges, transactions; pure.
