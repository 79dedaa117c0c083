//! What a failed assertion said.
//!
//! An assertion that fails inside of a life ends that life, and is what was found; it must not fill the
//! screen, and it must not end the program. So while a life is lived, its thread notes what a panic says
//! instead of printing it. Panics of other threads are printed as ever.

use std::cell::{Cell, RefCell};
use std::panic;
use std::sync::Once;

thread_local! {
    static NOTING: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

static HOOK: Once = Once::new();

/// Runs this; whatever panics in it is noted, and goes on unwinding.
pub(crate) fn noted<T>(run: impl FnOnce() -> T) -> T {
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
    let _until = Until(NOTING.replace(true));
    run()
}

/// Notes until it is dropped, then does as before.
struct Until(bool);

impl Drop for Until {
    fn drop(&mut self) {
        NOTING.set(self.0);
    }
}

/// What the last panic of this thread said.
pub(crate) fn last() -> String {
    LAST.take()
}
