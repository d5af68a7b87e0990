//! The panic guard: a bug in the library is a status, never the end of the host.
//!
//! A panic is caught, and it is silent: a guest does not write to its host's stderr. Rust prints
//! through a hook that is one per copy of the standard library. In `liblarder.so` that copy is the
//! library's own; in a Rust program it is the program's, so the hook set here passes everything on
//! that did not panic inside a guarded call or on one of Larder's own threads.
//!
//! Not here: what a panic does to the handle (`handle`).

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

/// Names of the library's own threads begin with this.
const THREAD_NAME_PREFIX: &str = "larder";

thread_local! {
    /// True while this thread runs a guarded body.
    static IN_GUARD: Cell<bool> = const { Cell::new(false) };
}

static HOOK_IS_SET: AtomicBool = AtomicBool::new(false);

/// Runs `body`; a panic is caught and told as one sentence.
#[inline]
pub(super) fn contain<R>(body: impl FnOnce() -> R) -> Result<R, String> {
    IN_GUARD.with(|in_guard| {
        let outer = in_guard.replace(true);
        // The exports hand out nothing that a panic could have left half-changed: a store that
        // panicked refuses writes, and everything else is dropped with the body.
        let outcome = catch_unwind(AssertUnwindSafe(body));
        in_guard.set(outer);
        outcome.map_err(told)
    })
}

/// Keeps contained panics from being printed. Called by whatever makes the first handle.
pub(super) fn silence_contained_panics() {
    // A thread that is unwinding may not touch the hook: the next call sets it.
    if std::thread::panicking() || HOOK_IS_SET.swap(true, Ordering::AcqRel) {
        return;
    }
    let outer = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let is_ours = IN_GUARD.with(Cell::get)
            || std::thread::current().name().is_some_and(|name| name.starts_with(THREAD_NAME_PREFIX));
        if !is_ours {
            outer(panic);
        }
    }));
}

#[cold]
fn told(payload: Box<dyn Any + Send>) -> String {
    let what = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => "no message".to_owned(),
    };
    // A payload of any type may panic once more in its drop; that one is let go.
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
    format!("a bug in the library was contained: {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_whatever_its_payload_is() {
        silence_contained_panics();
        assert_eq!(contain(|| 7), Ok(7));
        let told = contain(|| panic!("plain")).unwrap_err();
        assert!(told.ends_with(": plain"), "{told}");
        let told = contain(|| panic!("formatted {}", 1)).unwrap_err();
        assert!(told.ends_with(": formatted 1"), "{told}");
        let told = contain(|| std::panic::panic_any(5)).unwrap_err();
        assert!(told.ends_with(": no message"), "{told}");
    }

    #[test]
    fn a_payload_that_panics_in_its_drop_is_contained_too() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("in drop");
            }
        }
        silence_contained_panics();
        assert!(contain(|| std::panic::panic_any(Bomb)).is_err());
    }

    #[test]
    fn the_guard_is_left_again_and_nests() {
        silence_contained_panics();
        let _ = contain(|| {
            let _ = contain(|| panic!("inner"));
            assert!(IN_GUARD.with(Cell::get));
        });
        assert!(!IN_GUARD.with(Cell::get));
    }
}
