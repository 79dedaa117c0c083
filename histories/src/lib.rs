//! What a history is and how it is read and written.
