//! Cursors: reading all keys.
//!
//! A cursor remembers the handle it was opened from, for the panic guard only; what it reads it keeps
//! alive itself.
//!
//! Not here: the order of keys and what a cursor sees ([`crate::store::Cursor`]).

use super::arguments::{invalid, key, required};
use super::contained::contain;
use super::error::{larder_error, larder_status};
use super::handle::{Handle, Kind, judge, larder, on_store, refuse_writes, run};
use super::target::TargetCursor;
use crate::error::Status;
use std::ffi::c_void;
use std::mem::offset_of;
use std::ptr::NonNull;

/// A walk over all live keys of a store, in no order that means anything. Not a snapshot: every key that
/// is live throughout is returned exactly once. Owned by whoever opened it, until
/// `larder_cursor_close`; it has no thread affinity but is for one thread at a time. It survives changes,
/// compaction and close of the store, after which it returns `LARDER_CLOSED`.
pub struct larder_cursor(Handle<Walk>);

const _: () = assert!(offset_of!(larder_cursor, 0) == 0);

struct Walk {
    cursor: TargetCursor,
    db: &'static larder,
}

const _: () = {
    const fn any_thread<T: Send>() {}
    any_thread::<Walk>();
};

impl Kind for Walk {
    const MAGIC: u64 = u64::from_le_bytes(*b"larder:c");
    const PARAMETER: &'static str = "cursor";
    const BOUND_TO_PROCESS: bool = true;
}

/// Opens a cursor over the keys that begin with `prefix`; over all keys if it is empty.
///
/// Threads: any. Blocks: never.
/// Returns: `LARDER_OK`; `LARDER_TOO_LARGE` for a prefix of more than 65535 bytes;
/// `LARDER_INVALID_ARGUMENT`, `LARDER_CLOSED`, `LARDER_FORKED`, `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`.
/// Since 0.1.0.
///
/// # Safety
///
/// `db` comes from `larder_open`. `prefix` is readable for `prefix_len` bytes during the call, or NULL with
/// length 0. `out` is writable; on `LARDER_OK`, and only then, it is set to the cursor, which the caller
/// gives back with `larder_cursor_close`. `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_cursor_open(
    db: *mut larder,
    prefix: *const c_void,
    prefix_len: usize,
    out: *mut *mut larder_cursor,
    err: *mut larder_error,
) -> larder_status {
    // SAFETY: the caller's promise; `out` is not NULL once `required` says so.
    unsafe {
        on_store(db, err, |db| {
            let prefix = key("prefix", prefix, prefix_len)?;
            let out = required("out", out)?;
            let cursor = db.target().cursor(prefix)?;
            out.write(Box::into_raw(Box::new(larder_cursor(Handle::new(Walk { cursor, db })))));
            Ok(Status::Ok)
        })
    }
}

/// Steps to the next key. `*key` and `*value` are never NULL on `LARDER_OK`.
///
/// Threads: any, but one at a time for the same cursor. Blocks: as `larder_get`.
/// Returns: `LARDER_OK`; `LARDER_DONE` at the end, and from then on; `LARDER_CORRUPT` if the record fails
/// its check; `LARDER_INVALID_ARGUMENT`, `LARDER_CLOSED`, `LARDER_FORKED`, `LARDER_IO`,
/// `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
///
/// # Safety
///
/// `cursor` comes from `larder_cursor_open` and is not closed. `key` and `key_len` are writable, `value` and
/// `value_len` too or both NULL; they are set on `LARDER_OK`, and only then. The bytes are the library's,
/// readable until the next call on this cursor. `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_cursor_next(
    cursor: *mut larder_cursor,
    key: *mut *const c_void,
    key_len: *mut usize,
    value: *mut *const c_void,
    value_len: *mut usize,
    err: *mut larder_error,
) -> larder_status {
    // SAFETY: the caller's promise: the cursor is live and for this thread alone, so that one mutable
    // reference to it is the only one; the handle is its first field (asserted above). Outputs are
    // written only once they are known not to be NULL.
    unsafe {
        let walk = match judge::<Walk>(cursor.cast()) {
            Ok(mut handle) => &mut handle.as_mut().inner,
            Err(refusal) => return refusal.report::<Walk>(err),
        };
        let db = walk.db;
        run(err, Some(db), || {
            let (key, key_len) = (required("key", key)?, required("key_len", key_len)?);
            let value = match (NonNull::new(value), NonNull::new(value_len)) {
                (Some(value), Some(value_len)) => Some((value, value_len)),
                (None, None) => None,
                _ => return Err(invalid("value and value_len: one is NULL, the other is not")),
            };
            let Some((key_bytes, value_bytes)) = walk.cursor.next()? else { return Ok(Status::Done) };
            key.write(key_bytes.as_ptr().cast());
            key_len.write(key_bytes.len());
            if let Some((value, value_len)) = value {
                value.write(value_bytes.as_ptr().cast());
                value_len.write(value_bytes.len());
            }
            Ok(Status::Ok)
        })
    }
}

/// Closes a cursor, before or after its store. NULL is fine. In a forked child an inherited cursor is
/// left alone.
///
/// Threads: any, but one at a time for the same cursor. Blocks: never. Returns: nothing. Since 0.1.0.
///
/// # Safety
///
/// `cursor` is NULL, or comes from `larder_cursor_open` and is not closed; it and what it handed out may
/// not be used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_cursor_close(cursor: *mut larder_cursor) {
    // SAFETY: the caller's promise; what is let in comes from `larder_cursor_open`, so it is a Box, and
    // nobody else uses it.
    unsafe {
        if judge::<Walk>(cursor.cast()).is_err() {
            return;
        }
        let cursor = Box::from_raw(cursor);
        let db = cursor.0.inner.db;
        if let Err(told) = contain(|| drop(cursor)) {
            refuse_writes(Some(db), &told);
        }
    }
}
