//! Views: reading a value where it lies.
//!
//! The pin behind a view owns the [`TargetView`], and with it whatever keeps the bytes readable.
//!
//! Not here: how that is done ([`crate::store::View`]).

use super::arguments::{key, required};
use super::contained::contain;
use super::error::{larder_error, larder_status};
use super::handle::{Handle, Kind, judge, larder, on_store, refuse_writes};
use super::target::TargetView;
use crate::error::Status;
use std::ffi::c_void;
use std::ptr::{NonNull, null, null_mut};

/// A value in place, readable until it is released: through overwrite, delete, compaction and close of
/// the store. The struct is the caller's, what it points to is the library's. It may be copied, but only
/// one copy may be released. It has no thread affinity but is for one thread at a time. For ever of this
/// layout.
#[repr(C)]
pub struct larder_view {
    /// The value; not NULL while the view is held, also for an empty value. Read only.
    pub data: *const c_void,
    /// Its length, bytes.
    pub len: usize,
    /// The record's sequence number; 0 over a server, which counts none.
    pub version: u64,
    /// When it expires, Unix milliseconds; 0 without expiry.
    pub expires_at_ms: i64,
    /// The library's: what `larder_view_release` gives back.
    pub pin: *mut c_void,
}

const _: () = assert!(size_of::<larder_view>() == 40);

const RELEASED: larder_view = larder_view { data: null(), len: 0, version: 0, expires_at_ms: 0, pin: null_mut() };

struct Pin {
    view: TargetView,
    db: &'static larder,
}

const _: () = {
    const fn any_thread<T: Send>() {}
    any_thread::<Pin>();
};

impl Kind for Pin {
    const MAGIC: u64 = u64::from_le_bytes(*b"larder:v");
    const PARAMETER: &'static str = "view->pin";
    const BOUND_TO_PROCESS: bool = true;
}

/// Reads `key` in place: no copy, whatever the value's size (over a server, a copy). Its checksum is checked only with the
/// option `verify_reads=all`. What a held view pins on disk and in memory cannot be reclaimed.
///
/// Threads: any. Blocks: as `larder_get`; reading the bytes may wait for the disk.
/// Returns: `LARDER_OK`; `LARDER_NOT_FOUND`; `LARDER_CORRUPT` if the value is checked and fails;
/// `LARDER_INVALID_ARGUMENT`, `LARDER_TOO_LARGE`, `LARDER_CLOSED`, `LARDER_FORKED`, `LARDER_IO`,
/// `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
///
/// # Safety
///
/// `db` comes from `larder_open`. `key` is readable for `key_len` bytes during the call, or NULL with
/// length 0. `out` is writable and holds no view that is still to be released; it is set on `LARDER_OK`,
/// and only then, and given back with `larder_view_release`. `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_get_view(
    db: *mut larder,
    key: *const c_void,
    key_len: usize,
    out: *mut larder_view,
    err: *mut larder_error,
) -> larder_status {
    // SAFETY: the caller's promise; `out` is not NULL once `required` says so.
    unsafe {
        on_store(db, err, |db| {
            let key = self::key("key", key, key_len)?;
            let out = required("out", out)?;
            let Some(view) = db.target().view(key)? else { return Ok(Status::NotFound) };
            let pin = Box::new(Handle::new(Pin { view, db }));
            let view = &pin.inner.view;
            let handed_out = larder_view {
                data: view.bytes().as_ptr().cast(),
                len: view.bytes().len(),
                version: view.version(),
                expires_at_ms: i64::try_from(view.expires_at_ms()).unwrap_or(i64::MAX),
                pin: null_mut(),
            };
            out.write(larder_view { pin: Box::into_raw(pin).cast(), ..handed_out });
            Ok(Status::Ok)
        })
    }
}

/// Releases a view and zeroes it, so that a second release is harmless. NULL and a zeroed view are fine.
/// In a forked child an inherited view is only zeroed.
///
/// Threads: any, but one at a time for the same view. Blocks: never. Returns: nothing. Since 0.1.0.
///
/// # Safety
///
/// `view` is NULL, zeroed, or filled by `larder_get_view`; the bytes it points to may not be used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_view_release(view: *mut larder_view) {
    // SAFETY: the caller's promise: `view` is NULL or initialised and for this thread alone, and a pin
    // that is not NULL was made by `larder_get_view` and is in no other view that is released.
    unsafe {
        let Some(view) = NonNull::new(view) else { return };
        let pin = view.read().pin.cast::<Handle<Pin>>();
        view.write(RELEASED);
        if judge::<Pin>(pin).is_err() {
            return;
        }
        let pin = Box::from_raw(pin);
        let db = pin.inner.db;
        if let Err(told) = contain(|| drop(pin)) {
            refuse_writes(Some(db), &told);
        }
    }
}
