//! The moment at which a wait for a server is over.
//!
//! The one place here that asks a clock. It has no say in what is stored, so it is not the storage's.

#![allow(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

/// When a wait is over.
#[derive(Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    /// So long from now.
    pub(super) fn after(wait: Duration) -> Self {
        Self(Instant::now() + wait)
    }

    /// What is left until then.
    pub(super) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}
