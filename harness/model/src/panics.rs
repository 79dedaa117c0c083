//! What a failed assertion said.
//!
//! A core that asserts what does not hold has been led astray by what happened to it. How, is what a model
//! checker can tell: so the assertion becomes a state like any other, with a path that leads to it, and
//! neither fills the screen nor ends the program.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static NOTING: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

static HOOK: Once = Once::new();

/// Runs this. If it panics: what the panic said, and where. Panics of other threads are printed as ever.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if NOTING.get() {
                let said = info.payload_as_str().unwrap_or("it did not say why");
                let place = info.location().map_or_else(String::new, |place| {
                    let file = place.file().rsplit('/').next().unwrap_or_default();
                    format!(" ({file}:{})", place.line())
                });
                LAST.set(format!("{said}{place}"));
            } else {
                usual(info);
            }
        }));
    });
    let before = NOTING.replace(true);
    let ran = panic::catch_unwind(AssertUnwindSafe(run));
    NOTING.set(before);
    ran.map_err(|_| LAST.take())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_sentence_with_a_place() {
        let said = caught(|| panic!("a sentence that must be true")).unwrap_err();
        assert!(said.starts_with("a sentence that must be true (panics.rs:"), "{said}");
        assert_eq!(caught(|| 7), Ok(7));
    }
}
