//! Handles: opening, closing, and the way every call comes in.
//!
//! A `larder` is a small shell around a [`Target`] that is never freed, so that a call on a closed
//! handle is answered instead of reading freed memory. What the target holds is let go by its close, but
//! for the gate that says that it is closed.
//!
//! Not here: what a call does once it is let in.
//!
//! Invariants:
//!   H1. A handle begins with its kind's magic number and the generation it was made in, so that both
//!       can be judged before anything else is touched.
//!   H2. A `larder` is never freed and never moved: `&'static larder` is sound.
//!
//! Locks: none; the list of shells is pushed to by compare-and-swap.

use super::arguments::{invalid, required, text};
use super::contained::{contain, silence_contained_panics};
use super::error::{fill, larder_error, larder_status, report, report_error};
use super::generation::Generation;
use super::options::{copied, larder_options};
use super::target::Target;
use crate::error::{Result, Status};
use std::ffi::c_char;
use std::mem::offset_of;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

/// An open store. Made by `larder_open`, for any thread at any time, and consumed by `larder_close`:
/// after that every call on it, a second close too, returns `LARDER_CLOSED` and has no effect. For that
/// a shell of less than 4 KiB of memory stays allocated for each store that was ever opened, and is not
/// used again; maps, files, threads, index and all else of the store do not stay. In a forked child
/// every call on it returns `LARDER_FORKED`.
pub struct larder(Shell);

/// What C's pointer leads to.
#[repr(C)]
struct Shell {
    handle: Handle<Target>,
    /// See `SHELLS`.
    before: AtomicPtr<larder>,
}

/// The shells of all stores that were ever opened, each pointing at the one before: reachable, so that
/// leak checkers of the host do not report what stays on purpose.
static SHELLS: AtomicPtr<larder> = AtomicPtr::new(ptr::null_mut());

/// Puts a shell on the list. Without a lock, because a forked child does it too.
fn keep(shell: &'static larder) -> *mut larder {
    let pointer = ptr::from_ref(shell).cast_mut();
    let mut before = SHELLS.load(Ordering::Relaxed);
    loop {
        shell.0.before.store(before, Ordering::Relaxed);
        match SHELLS.compare_exchange_weak(before, pointer, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return pointer,
            Err(seen) => before = seen,
        }
    }
}

impl larder {
    pub(super) fn target(&self) -> &Target {
        &self.0.handle.inner
    }
}

// What the header says of threads, and H1.
const _: () = {
    const fn any_thread_at_any_time<T: Send + Sync>() {}
    any_thread_at_any_time::<Target>();
    assert!(offset_of!(larder, 0) == 0);
};

impl Kind for Target {
    const MAGIC: u64 = u64::from_le_bytes(*b"larder:s");
    const PARAMETER: &'static str = "db";
    const BOUND_TO_PROCESS: bool = true;
}

/// Opens the store in the directory `location`, with `options` or, for NULL, the defaults. The last
/// component of the path is created if need be, its parents are not.
///
/// A location that begins with the name of a scheme and a colon names another target. `unix:PATH`,
/// `redis://HOST:PORT` and `redis+cluster://HOST:PORT,HOST:PORT` are servers that speak the protocol of
/// Redis; a library that was built for them (`make install REMOTE=1`) gives the same handle over them, others
/// return `LARDER_UNSUPPORTED`. What a server cannot promise is `LARDER_UNSUPPORTED` in every function, and
/// where functions below speak of the disk, the server answers or `LARDER_IO` is returned within the timeouts
/// of the options. For a directory of such a name write `./unix:dir`.
///
/// Threads: any. Blocks: reads files, waits for the disk, never for another process; for a server at most as
/// long as `connect_timeout_ms` and `timeout_ms` say.
/// Returns: `LARDER_OK`; `LARDER_NOT_FOUND` if there is no store and none was to be created;
/// `LARDER_INVALID_ARGUMENT` for NULL, an empty or malformed location, a directory that is neither empty nor a
/// store, and a user or password that a server refuses; `LARDER_BUSY` if another process or handle has the store open; `LARDER_UNSUPPORTED` for a scheme
/// that is not known, and for options that a server has not; `LARDER_CORRUPT`, `LARDER_INCOMPATIBLE`, `LARDER_READ_ONLY`, `LARDER_NO_SPACE`,
/// `LARDER_IO`, `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
///
/// # Safety
///
/// `location` is NUL-terminated, any bytes; it and `options` are read during the call and not kept.
/// `out` is writable; on `LARDER_OK`, and only then, it is set to the handle, which the caller gives back
/// with `larder_close`. `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_open(
    location: *const c_char,
    options: *const larder_options,
    out: *mut *mut larder,
    err: *mut larder_error,
) -> larder_status {
    // SAFETY: the caller's promise: `location` is NULL or terminated, `options` NULL or live, `out` and
    // `err` NULL or writable.
    unsafe {
        run(err, None, || {
            silence_contained_panics();
            let location = text("location", location)?;
            let out = required("out", out)?;
            let target = Target::open(location, &copied(options)?)?;
            let before = AtomicPtr::new(ptr::null_mut());
            out.write(keep(Box::leak(Box::new(larder(Shell { handle: Handle::new(target), before })))));
            Ok(Status::Ok)
        })
    }
}

/// Closes a store, whatever happens: waits for calls of other threads that are under way, joins the
/// library's threads, syncs in every sync mode, unlocks. Cursors of the store return `LARDER_CLOSED`
/// from then on; views stay readable until they are released. NULL is `LARDER_OK`.
///
/// Threads: any. Blocks: waits for the disk and for calls under way.
/// Returns: `LARDER_OK`; `LARDER_CLOSED` for a second close and `LARDER_FORKED` in a forked child, both
/// without effect; what the last sync returned, or the failure that made the store refuse writes before:
/// `LARDER_IO`, `LARDER_NO_SPACE`, `LARDER_CORRUPT`, `LARDER_PANIC`: the store is closed, and what was not
/// durable before the call may be lost by a power cut; `LARDER_INVALID_ARGUMENT`. Since 0.1.0.
///
/// # Safety
///
/// `db` is NULL or comes from `larder_open`, closed or not. `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_close(db: *mut larder, err: *mut larder_error) -> larder_status {
    // SAFETY: the caller's promise.
    unsafe {
        if db.is_null() {
            return report(err, Status::Ok);
        }
        on_store(db, err, |db| db.target().close().map(|()| Status::Ok))
    }
}

/// What a handle is one of.
pub(super) trait Kind {
    /// Its first eight bytes.
    const MAGIC: u64;
    /// What the header calls the parameter.
    const PARAMETER: &'static str;
    /// Whether a forked child may not use it.
    const BOUND_TO_PROCESS: bool;
}

/// What every object that C holds begins with.
#[repr(C)]
pub(super) struct Handle<T> {
    magic: u64,
    made_in: Generation,
    pub(super) inner: T,
}

impl<T: Kind> Handle<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { magic: T::MAGIC, made_in: Generation::current(), inner }
    }
}

/// Why a handle is not let in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Null,
    OtherKind,
    Inherited,
}

impl Refusal {
    pub(super) fn message<T: Kind>(self) -> String {
        match self {
            Refusal::Null => format!("{} is NULL", T::PARAMETER),
            Refusal::OtherKind => format!("{} points to another kind of object", T::PARAMETER),
            Refusal::Inherited => Status::Forked.sentence().to_owned(),
        }
    }

    /// # Safety
    ///
    /// `err` is NULL or writable.
    #[cold]
    pub(super) unsafe fn report<T: Kind>(self, err: *mut larder_error) -> larder_status {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                // No allocation: another thread may have held the allocator's lock at the fork.
                Refusal::Inherited => report(err, Status::Forked),
                _ => report_error(err, &invalid(self.message::<T>())),
            }
        }
    }
}

/// Judges a handle by its first words.
///
/// # Safety
///
/// `handle` is NULL or points to a live object of this library, of whatever kind.
#[inline]
pub(super) unsafe fn judge<T: Kind>(handle: *mut Handle<T>) -> std::result::Result<NonNull<Handle<T>>, Refusal> {
    let present = NonNull::new(handle).ok_or(Refusal::Null)?;
    // SAFETY: not NULL; every object of this library is aligned to 8 and begins with its magic number
    // (H1), and only after that matched is anything else of it read, which T's constructor wrote. No
    // reference is made, so nothing is claimed about the rest of the object.
    unsafe {
        if (&raw const (*handle).magic).read() != T::MAGIC {
            return Err(Refusal::OtherKind);
        }
        if T::BOUND_TO_PROCESS && (&raw const (*handle).made_in).read().is_inherited() {
            return Err(Refusal::Inherited);
        }
    }
    Ok(present)
}

/// Runs a call on a store: judges the handle, guards the body, fills the error.
///
/// # Safety
///
/// `db` is NULL or comes from `larder_open`; `err` is NULL or writable.
#[inline]
pub(super) unsafe fn on_store(
    db: *mut larder,
    err: *mut larder_error,
    body: impl FnOnce(&'static larder) -> Result<Status>,
) -> larder_status {
    // SAFETY: the caller's promise; the handle is the shell's first field (asserted above). Once it is
    // judged it is a `larder`, and that is never freed, moved or borrowed mutably (H2).
    unsafe {
        match judge::<Target>(db.cast()) {
            Ok(_) => {
                let db: &'static larder = &*db;
                run(err, Some(db), || body(db))
            }
            Err(refusal) => refusal.report::<Target>(err),
        }
    }
}

/// Runs `body` under the panic guard and fills `err` with its outcome. After a panic `db`, if there is
/// one, refuses writes.
///
/// # Safety
///
/// `err` is NULL or writable.
#[inline]
pub(super) unsafe fn run(
    err: *mut larder_error,
    db: Option<&larder>,
    body: impl FnOnce() -> Result<Status>,
) -> larder_status {
    // SAFETY: the caller's promise.
    unsafe {
        match contain(body) {
            Ok(Ok(status)) => report(err, status),
            Ok(Err(error)) => report_error(err, &error),
            Err(told) => {
                refuse_writes(db, &told);
                fill(err, Status::Panic, 0, 0, &told)
            }
        }
    }
}

/// After a contained panic the store's memory may be half-changed: reads go on, writes do not.
#[cold]
pub(super) fn refuse_writes(db: Option<&larder>, told: &str) {
    if let Some(db) = db {
        // A second panic has nobody left to tell; the first one is being reported already.
        let _ = contain(|| db.target().refuse_writes(told));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_of_another_kind_is_refused() {
        let mut options = Handle::new(crate::ffi::options::Chosen::default());
        // SAFETY: a live handle, of the wrong kind on purpose.
        let refusal = unsafe { judge::<Target>((&raw mut options).cast()) }.err();
        assert!(refusal == Some(Refusal::OtherKind));
        // SAFETY: a live handle of its kind, and NULL.
        unsafe {
            assert!(judge(&raw mut options).is_ok());
            assert!(judge::<Target>(std::ptr::null_mut()).err() == Some(Refusal::Null));
        }
    }
}
