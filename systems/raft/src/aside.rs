//! A note beside a value.

use std::hash::{Hash, Hasher};

/// Something that is kept beside a value and is no part of it: all notes are equal, so none tells two
/// values apart. For counts that say how a state was reached, which a model checker must not see.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Aside<T>(pub(crate) T);

impl<T> PartialEq for Aside<T> {
    fn eq(&self, _: &Aside<T>) -> bool {
        true
    }
}

impl<T> Eq for Aside<T> {}

impl<T> Hash for Aside<T> {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
