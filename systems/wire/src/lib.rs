//! Every .proto and what is generated from it; nothing else.
