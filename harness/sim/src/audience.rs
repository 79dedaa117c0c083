//! Who a life is lived for: what it writes down of itself, and who may end it.

use std::sync::atomic::{AtomicBool, Ordering};

/// What is wanted of a life besides its end. Nothing of it changes what happens.
#[derive(Clone, Copy, Default, Debug)]
pub struct Audience<'a> {
    /// What happens, line by line.
    pub trace: bool,
    /// What each core was given.
    pub inputs: bool,
    /// Raised from outside, it ends the life where it stands.
    pub stop: Option<&'a AtomicBool>,
}

impl<'a> Audience<'a> {
    /// Only the end is wanted.
    pub fn nobody() -> Audience<'static> {
        Audience::default()
    }

    /// Somebody reads along.
    pub fn reader() -> Audience<'static> {
        Audience { trace: true, ..Audience::default() }
    }

    /// The same, and somebody wants to know what each core was given.
    #[must_use]
    pub fn with_inputs(self) -> Audience<'a> {
        Audience { inputs: true, ..self }
    }

    /// The same, until this is raised.
    #[must_use]
    pub fn until(self, stop: &'a AtomicBool) -> Audience<'a> {
        Audience { stop: Some(stop), ..self }
    }

    /// Whether it was.
    pub(crate) fn has_left(&self) -> bool {
        self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }
}
