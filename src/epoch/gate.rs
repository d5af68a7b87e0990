//! A value that can be taken away once everyone who uses it has left.
//!
//! Not here: what "closed" means to a caller (`store` makes a status of it).
//!
//! Invariants:
//!   G1. The value is in place as long as `closed` is false or a [`GateGuard`] exists.
//!   G2. `closed` turns true once and never back; whoever turned it owns taking the value out.
//!
//! Why G1. A guard is made by entering the epochs and then reading `closed` as false. To the
//! epochs, `closed` turning true is the unlinking of the value, so once [`Epochs::drain`] returns,
//! every such guard is gone (the argument is at the top of the parent module).
//!
//! Locks: none of its own.

use super::{EpochGuard, Epochs};
use crate::sync::{AtomicBool, Ordering};
use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::Arc;

/// A value that many threads use until one of them closes it.
pub struct Gate<T> {
    epochs: Arc<Epochs>,
    closed: AtomicBool,
    value: UnsafeCell<ManuallyDrop<T>>,
}

/// Access to the value; as long as one exists, [`Gate::close`] waits.
pub struct GateGuard<'a, T> {
    gate: &'a Gate<T>,
    epoch: EpochGuard<'a>,
}

// SAFETY: the gate hands out `&T` to any thread (so T: Sync) and moves T out on whichever thread
// closes or drops it (so T: Send). The cell is written to only by `close` and `drop`: see there.
unsafe impl<T: Send + Sync> Sync for Gate<T> {}

impl<T> Gate<T> {
    /// Opens the gate to `value`, whose own lock-free parts retire through the same `epochs`.
    pub fn new(epochs: Arc<Epochs>, value: T) -> Self {
        Gate { epochs, closed: AtomicBool::new(false), value: UnsafeCell::new(ManuallyDrop::new(value)) }
    }

    /// Access to the value, or `None` once it is closed. Never blocks.
    #[inline]
    pub fn enter(&self) -> Option<GateGuard<'_, T>> {
        let epoch = self.epochs.enter();
        if self.closed.load(Ordering::Acquire) {
            return None;
        }
        Some(GateGuard { gate: self, epoch })
    }

    /// Takes the value out: the first caller gets it, when every guard is gone and everything that
    /// they retired is freed. Anyone else gets `None` at once. Must not be called by a thread that
    /// holds a guard.
    pub fn close(&self) -> Option<T> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return None;
        }
        self.epochs.drain();
        // What the last guards retired while we waited for them.
        self.epochs.drain();
        // SAFETY: by G1 no guard exists any more, and none will: nobody else refers to the value.
        // It is read out once, for only one caller ever turns `closed` (G2), and `drop` leaves it
        // alone from then on.
        let value = unsafe { ManuallyDrop::take(&mut *self.value.get()) };
        Some(value)
    }

    /// Whether someone has closed it, or is about to.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The epochs that protect the value.
    pub fn epochs(&self) -> &Arc<Epochs> {
        &self.epochs
    }
}

impl<T> Drop for Gate<T> {
    fn drop(&mut self) {
        if !self.closed.load(Ordering::Acquire) {
            // SAFETY: guards borrow the gate, so none exists; `close` did not take the value.
            unsafe { ManuallyDrop::drop(self.value.get_mut()) };
        }
    }
}

impl<T> GateGuard<'_, T> {
    /// The guard that also protects what the value's lock-free parts hand out.
    #[inline]
    pub fn epoch(&self) -> &EpochGuard<'_> {
        &self.epoch
    }

    /// The epochs that protect the value.
    #[inline]
    pub fn epochs(&self) -> &Arc<Epochs> {
        &self.gate.epochs
    }
}

impl<T> Deref for GateGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: by G1 the value is in place as long as this guard exists, and it is only written
        // to when none does.
        unsafe { &*self.gate.value.get() }
    }
}
