//! Calls on one key.
//!
//! Not here: when a key expires (`expiry`), views of a value (`view`), many keys at once (`packed`).

use super::arguments::{buffer, invalid, key, required, ttl_of_set, value};
use super::error::{larder_error, larder_status};
use super::handle::{larder, on_store};
use crate::error::{Result, Status};
use crate::store::{Condition, SetOptions, SetOutcome};
use std::ffi::c_void;
use std::ptr::NonNull;

/// `larder_set_with`: set only if the key is not live.
pub const LARDER_IF_ABSENT: u32 = 1;
/// `larder_set_with`: set only if the key is live.
pub const LARDER_IF_PRESENT: u32 = 2;
/// `larder_set_with`, `larder_write_packed`: durable when the call returns, whatever the sync mode.
pub const LARDER_SYNC: u32 = 4;

/// Sets `key` to `value`, and clears an expiry.
///
/// Threads: any. Blocks: until the write is durable if `sync` is `always`; else a copy into memory, and
/// the disk only while room is made.
/// Returns: `LARDER_OK`; `LARDER_TOO_LARGE` for a key of more than 65535 bytes or a value of more than
/// 2^32 - 1; `LARDER_INVALID_ARGUMENT`, `LARDER_CLOSED`, `LARDER_READ_ONLY`, `LARDER_NO_SPACE`,
/// `LARDER_IO`, `LARDER_CORRUPT`, `LARDER_FORKED`, `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
///
/// # Safety
///
/// `db` comes from `larder_open`. `key` is readable for `key_len` bytes and `value` for `value_len`; both
/// are read during the call and not kept, and either may be NULL with length 0. `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_set(
    db: *mut larder,
    key: *const c_void,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
    err: *mut larder_error,
) -> larder_status {
    // SAFETY: the caller's promise.
    unsafe {
        on_store(db, err, |db| {
            let (key, value) = (self::key("key", key, key_len)?, self::value(value, value_len)?);
            db.target().set(key, value).map(|()| Status::Ok)
        })
    }
}

/// Reads `key` into a new buffer, which is never NULL on `LARDER_OK`, also for an empty value.
///
/// Threads: any. Blocks: never for a writer or a sync; reads of the disk where memory does not hold the
/// value.
/// Returns: `LARDER_OK`; `LARDER_NOT_FOUND`; `LARDER_CORRUPT` if the value fails its check;
/// `LARDER_INVALID_ARGUMENT`, `LARDER_TOO_LARGE`, `LARDER_CLOSED`, `LARDER_FORKED`, `LARDER_IO`,
/// `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
///
/// # Safety
///
/// `db` comes from `larder_open`. `key` is readable for `key_len` bytes during the call, or NULL with
/// length 0. `value` and `value_len` are writable; on `LARDER_OK`, and only then, they are set to the
/// buffer, which is the caller's until `larder_free`, and to the value's length. `err` is NULL or
/// writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_get(
    db: *mut larder,
    key: *const c_void,
    key_len: usize,
    value: *mut *mut c_void,
    value_len: *mut usize,
    err: *mut larder_error,
) -> larder_status {
    // SAFETY: the caller's promise; the outputs are not NULL once `required` says so.
    unsafe {
        on_store(db, err, |db| {
            let key = self::key("key", key, key_len)?;
            let (value, value_len) = (required("value", value)?, required("value_len", value_len)?);
            match db.target().get_with(key, |bytes| malloced(bytes).map(|buffer| (buffer, bytes.len())))? {
                Some(copy) => {
                    let (buffer, len) = copy?;
                    value.write(buffer.as_ptr());
                    value_len.write(len);
                    Ok(Status::Ok)
                }
                None => Ok(Status::NotFound),
            }
        })
    }
}

/// Deletes `key`.
///
/// Threads: any. Blocks: as `larder_set`.
/// Returns: `LARDER_OK`; `LARDER_NOT_FOUND` if the key was not live; `LARDER_INVALID_ARGUMENT`,
/// `LARDER_TOO_LARGE`, `LARDER_CLOSED`, `LARDER_READ_ONLY`, `LARDER_NO_SPACE`, `LARDER_IO`,
/// `LARDER_CORRUPT`, `LARDER_FORKED`, `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
///
/// # Safety
///
/// `db` comes from `larder_open`. `key` is readable for `key_len` bytes during the call, or NULL with
/// length 0. `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_del(
    db: *mut larder,
    key: *const c_void,
    key_len: usize,
    err: *mut larder_error,
) -> larder_status {
    // SAFETY: the caller's promise.
    unsafe {
        on_store(db, err, |db| {
            let key = self::key("key", key, key_len)?;
            db.target().del(key).map(ok_if)
        })
    }
}

/// Frees a buffer that `larder_get` or `larder_salvage` made. NULL is fine. The same as `free` of the C library that
/// liblarder is linked with. Works in a forked child too.
///
/// Threads: any. Blocks: never. Returns: nothing. Since 0.1.0.
///
/// # Safety
///
/// `buffer` is NULL, or comes from `larder_get` or `larder_salvage` and is not freed; it may not be used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_free(buffer: *mut c_void) {
    // SAFETY: the caller's promise; `larder_get`'s and `larder_salvage`'s buffers come from malloc.
    unsafe { libc::free(buffer) };
}

/// Reads `key` into the caller's buffer. `*need` is set to the value's length on `LARDER_OK` and on
/// `LARDER_BUFFER_TOO_SMALL`; a buffer that is too small is left untouched.
///
/// Threads: any. Blocks: as `larder_get`.
/// Returns: `LARDER_OK`; `LARDER_NOT_FOUND`; `LARDER_BUFFER_TOO_SMALL`; `LARDER_CORRUPT` if the value
/// fails its check; `LARDER_INVALID_ARGUMENT`, `LARDER_TOO_LARGE`, `LARDER_CLOSED`, `LARDER_FORKED`,
/// `LARDER_IO`, `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
///
/// # Safety
///
/// `db` comes from `larder_open`. `key` is readable for `key_len` bytes during the call, or NULL with
/// length 0. `buffer` is writable for `capacity` bytes, or NULL with capacity 0, and does not overlap
/// `key`; it is the caller's before, during and after. `need` is writable. `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_get_into(
    db: *mut larder,
    key: *const c_void,
    key_len: usize,
    buffer: *mut c_void,
    capacity: usize,
    need: *mut usize,
    err: *mut larder_error,
) -> larder_status {
    // SAFETY: the caller's promise; `need` is not NULL once `required` says so. The copy is no longer
    // than the buffer, which is not NULL where it has room, and the store's memory is not the caller's.
    unsafe {
        on_store(db, err, |db| {
            let key = self::key("key", key, key_len)?;
            self::buffer("buffer", buffer, capacity)?;
            let need = required("need", need)?;
            let found = db.target().get_with(key, |bytes| {
                if bytes.len() <= capacity && !bytes.is_empty() {
                    std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.cast(), bytes.len());
                }
                bytes.len()
            })?;
            let Some(len) = found else { return Ok(Status::NotFound) };
            need.write(len);
            Ok(if len <= capacity { Status::Ok } else { Status::BufferTooSmall })
        })
    }
}

/// Says whether `key` is live.
///
/// Threads: any. Blocks: as `larder_get`.
/// Returns: `LARDER_OK` if it is; `LARDER_NOT_FOUND` if not; `LARDER_INVALID_ARGUMENT`,
/// `LARDER_TOO_LARGE`, `LARDER_CLOSED`, `LARDER_CORRUPT`, `LARDER_FORKED`, `LARDER_IO`, `LARDER_PANIC`.
/// Since 0.1.0.
///
/// # Safety
///
/// `db` comes from `larder_open`. `key` is readable for `key_len` bytes during the call, or NULL with
/// length 0. `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_exists(
    db: *mut larder,
    key: *const c_void,
    key_len: usize,
    err: *mut larder_error,
) -> larder_status {
    // SAFETY: the caller's promise.
    unsafe {
        on_store(db, err, |db| {
            let key = self::key("key", key, key_len)?;
            db.target().exists(key).map(ok_if)
        })
    }
}

/// Sets `key` to `value` with a time to live and conditions.
///
/// `ttl_ms` counts from the call: 0 is no expiry, -1 keeps the present one (none if the key is not
/// live), at most 2^62 - 1. `flags` are `LARDER_IF_ABSENT` or `LARDER_IF_PRESENT`, and `LARDER_SYNC`.
/// `*version` becomes the record's sequence number, which grows with every change of the store; 0 over a server,
/// which counts none.
///
/// Threads: any. Blocks: as `larder_set`; with `LARDER_SYNC` until the write is durable.
/// Returns: `LARDER_OK`; `LARDER_EXISTS` if the key is live and was to be absent; `LARDER_NOT_FOUND` if
/// it is not live and was to be present; `LARDER_UNSUPPORTED` for `LARDER_SYNC` over a server that cannot promise
/// it; `LARDER_INVALID_ARGUMENT` for other TTLs, unknown flags, both IF flags and NULL; `LARDER_TOO_LARGE`,
/// `LARDER_CLOSED`, `LARDER_READ_ONLY`, `LARDER_NO_SPACE`,
/// `LARDER_IO`, `LARDER_CORRUPT`, `LARDER_FORKED`, `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
///
/// # Safety
///
/// `db` comes from `larder_open`. `key` is readable for `key_len` bytes and `value` for `value_len`; both
/// are read during the call and not kept, and either may be NULL with length 0. `version` is NULL or
/// writable, and written only on `LARDER_OK`. `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_set_with(
    db: *mut larder,
    key: *const c_void,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
    ttl_ms: i64,
    flags: u32,
    version: *mut u64,
    err: *mut larder_error,
) -> larder_status {
    // SAFETY: the caller's promise.
    unsafe {
        on_store(db, err, |db| {
            let (key, value) = (self::key("key", key, key_len)?, self::value(value, value_len)?);
            let (condition, sync) = judged(flags)?;
            let options = SetOptions { ttl: ttl_of_set(ttl_ms)?, condition, sync };
            match db.target().set_with(key, value, &options)? {
                SetOutcome::Stored { version: stored } => {
                    if let Some(version) = NonNull::new(version) {
                        version.write(stored);
                    }
                    Ok(Status::Ok)
                }
                SetOutcome::Exists => Ok(Status::Exists),
                SetOutcome::NotFound => Ok(Status::NotFound),
            }
        })
    }
}

/// What a call on a key that has to be live returns.
pub(super) fn ok_if(was_live: bool) -> Status {
    if was_live { Status::Ok } else { Status::NotFound }
}

/// The condition and the sync that the flags of a set stand for.
fn judged(flags: u32) -> Result<(Condition, bool)> {
    let condition = match flags & !LARDER_SYNC {
        0 => Condition::Always,
        LARDER_IF_ABSENT => Condition::IfAbsent,
        LARDER_IF_PRESENT => Condition::IfPresent,
        _ => {
            return Err(invalid(format!(
                "flags are {flags:#x}: one of LARDER_IF_ABSENT and LARDER_IF_PRESENT, and LARDER_SYNC, are known"
            )));
        }
    };
    Ok((condition, flags & LARDER_SYNC != 0))
}

/// A copy of `bytes` that C can free; never NULL.
pub(super) fn malloced(bytes: &[u8]) -> Result<NonNull<c_void>> {
    // SAFETY: malloc takes any length; one byte more than nothing, so that NULL always means failure.
    let buffer = NonNull::new(unsafe { libc::malloc(bytes.len().max(1)) }).ok_or(Status::OutOfMemory)?;
    // SAFETY: the new buffer has room for `bytes` and overlaps nothing.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.as_ptr().cast(), bytes.len()) };
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_one_condition_and_sync() {
        for (flags, expected) in [
            (0, Some((Condition::Always, false))),
            (LARDER_IF_ABSENT, Some((Condition::IfAbsent, false))),
            (LARDER_IF_PRESENT | LARDER_SYNC, Some((Condition::IfPresent, true))),
            (LARDER_SYNC, Some((Condition::Always, true))),
            (LARDER_IF_ABSENT | LARDER_IF_PRESENT, None),
            (LARDER_IF_ABSENT | LARDER_IF_PRESENT | LARDER_SYNC, None),
            (8, None),
            (1 << 31 | LARDER_SYNC, None),
        ] {
            assert_eq!(judged(flags).ok(), expected, "{flags:#x}");
        }
    }

    #[test]
    fn an_empty_copy_is_not_null() {
        let buffer = malloced(b"").expect("one byte");
        // SAFETY: made by malloc just now.
        unsafe { larder_free(buffer.as_ptr()) };
    }
}
