//! The mutex of what is not modelled: the standard library's, without its poison.
//!
//! Whoever waits for it is known to the kernel alone. parking_lot keeps waiters in a table of the process, and a forked child
//! that opens a store of its own finds threads there that it has not, or the table's own locks taken for ever.
//!
//! Not here: what loom looks at (`sync`).

use std::sync::{PoisonError, TryLockError};

pub(crate) use std::sync::MutexGuard;

/// A value that one thread at a time may use. What a panic leaves behind is looked at by those who caught it.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
