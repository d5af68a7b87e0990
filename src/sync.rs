//! The atomics and the mutex of the lock-free parts: the real ones, or loom's under `cfg(loom)`.
//!
//! Not here: `Arc`, which is always the standard one (its counting is not what the models check).
//!
//! Only `epoch`, `index` and `log`'s group sync import this; everything else uses the standard types directly.

#[cfg(not(loom))]
pub(crate) use crate::lock::{Mutex, MutexGuard};
pub(crate) use std::sync::atomic::Ordering;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, fence};

// With its condition variable, which wakes everybody by one call; parking_lot's has one wake the next.
#[cfg(not(loom))]
pub(crate) use std::sync::{Condvar, Mutex as WaitMutex, MutexGuard as WaitGuard};

#[cfg(loom)]
pub(crate) use loom::sync::{Condvar, Mutex as WaitMutex, MutexGuard as WaitGuard};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, fence};
#[cfg(loom)]
pub(crate) use model::{Mutex, MutexGuard};

/// Gives the processor to another thread.
pub(crate) fn yield_now() {
    #[cfg(not(loom))]
    std::thread::yield_now();
    #[cfg(loom)]
    loom::thread::yield_now();
}

#[cfg(loom)]
mod model {
    //! loom's mutex with the signatures of the real one.

    pub(crate) use loom::sync::MutexGuard;

    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            match self.0.lock() {
                Ok(guard) => guard,
                Err(poisoned) => poisoned.into_inner(),
            }
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }
    }
}
