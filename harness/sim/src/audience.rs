//! Who a life is lived for: what it writes down of itself, who may end it, and how much of it they see.

use std::sync::atomic::{AtomicBool, Ordering};

/// What is wanted of a life besides its end. Nothing of it changes what happens, only when it is called bad.
#[derive(Clone, Copy, Default, Debug)]
pub struct Audience<'a> {
    /// What happens, line by line.
    pub trace: bool,
    /// What each core was given.
    pub inputs: bool,
    /// Raised from outside, it ends the life where it stands.
    pub stop: Option<&'a AtomicBool>,
    /// Nobody looks into the nodes: no invariant ends the life, only what clients and operators notice.
    pub outside: bool,
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

    /// The same, seen from outside.
    #[must_use]
    pub fn outside(self) -> Audience<'a> {
        Audience { outside: true, ..self }
    }

    /// Whether it was.
    pub(crate) fn has_left(&self) -> bool {
        self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }
}
