//! Threads that a guest may start, and the clock they pace themselves by.
//!
//! A handler of the host must not run on a thread that the host does not know: its stack is small, and
//! runtimes such as Go's look for state of their own there. So every signal is blocked on it.

use std::io;
use std::mem::MaybeUninit;
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// A moment, for waiting and pacing only: what is stored goes by [`super::Storage::now_ms`].
#[derive(Clone, Copy)]
pub struct Moment(Instant);

#[allow(clippy::disallowed_methods)]
impl Moment {
    /// This moment.
    pub fn now() -> Self {
        Self(Instant::now())
    }

    /// The time since then.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Starts a thread on which no signal handler runs.
pub fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    without_signals(|| Builder::new().name(name.to_owned()).spawn(run))
}

/// As [`spawn`], for a thread that may borrow, because it ends with the scope.
pub fn spawn_scoped<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    run: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, T>> {
    without_signals(|| Builder::new().name(name.to_owned()).spawn_scoped(scope, run))
}

/// How many threads the machine runs at the same time.
pub fn processor_count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Calls `start` with every signal blocked: a thread inherits the mask of the one that starts it.
fn without_signals<R>(start: impl FnOnce() -> R) -> R {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are valid places; `sigfillset` initialises the one that `pthread_sigmask` reads,
    // and that initialises the other.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
    }
    let started = start();
    // SAFETY: `before` was initialised by the call above, which cannot fail with these arguments.
    unsafe {
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
    }
    started
}
