//! How long a key lives: asking and changing it.
//!
//! Not here: setting a value and its TTL in one (`keys`).

use super::arguments::{key, required, ttl_of_expire};
use super::error::{larder_error, larder_status};
use super::handle::{larder, on_store};
use super::keys::ok_if;
use crate::error::Status;
use crate::store::TtlState;
use std::ffi::c_void;

/// Says how many milliseconds `key` has left; -1 is no expiry.
///
/// Threads: any. Blocks: as `larder_get`.
/// Returns: `LARDER_OK`; `LARDER_EXPIRED` if the key's time is over and the store still remembers it;
/// `LARDER_NOT_FOUND`; `LARDER_INVALID_ARGUMENT`, `LARDER_TOO_LARGE`, `LARDER_CLOSED`, `LARDER_CORRUPT`,
/// `LARDER_FORKED`, `LARDER_IO`, `LARDER_PANIC`. Since 0.1.0.
///
/// # Safety
///
/// `db` comes from `larder_open`. `key` is readable for `key_len` bytes during the call, or NULL with
/// length 0. `ttl_ms` is writable, and written only on `LARDER_OK`. `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_ttl(
    db: *mut larder,
    key: *const c_void,
    key_len: usize,
    ttl_ms: *mut i64,
    err: *mut larder_error,
) -> larder_status {
    // SAFETY: the caller's promise; `ttl_ms` is not NULL once `required` says so.
    unsafe {
        on_store(db, err, |db| {
            let key = self::key("key", key, key_len)?;
            let ttl_ms = required("ttl_ms", ttl_ms)?;
            let left_ms = match db.target().ttl(key)? {
                TtlState::Absent => return Ok(Status::NotFound),
                TtlState::Expired => return Ok(Status::Expired),
                TtlState::Forever => -1,
                TtlState::Millis(left_ms) => i64::try_from(left_ms).unwrap_or(i64::MAX),
            };
            ttl_ms.write(left_ms);
            Ok(Status::Ok)
        })
    }
}

/// Gives a live `key` a new time to live of `ttl_ms` from now on: 0 expires it at once, -1 takes its expiry
/// away, at most 2^62 - 1.
///
/// Threads: any. Blocks: as `larder_set`.
/// Returns: `LARDER_OK`; `LARDER_NOT_FOUND` if the key is not live; `LARDER_INVALID_ARGUMENT` for other
/// TTLs and NULL; `LARDER_TOO_LARGE`, `LARDER_CLOSED`, `LARDER_READ_ONLY`, `LARDER_NO_SPACE`,
/// `LARDER_IO`, `LARDER_CORRUPT`, `LARDER_FORKED`, `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
///
/// # Safety
///
/// `db` comes from `larder_open`. `key` is readable for `key_len` bytes during the call, or NULL with
/// length 0. `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_expire(
    db: *mut larder,
    key: *const c_void,
    key_len: usize,
    ttl_ms: i64,
    err: *mut larder_error,
) -> larder_status {
    // SAFETY: the caller's promise.
    unsafe {
        on_store(db, err, |db| {
            let key = self::key("key", key, key_len)?;
            db.target().expire(key, ttl_of_expire(ttl_ms)?).map(ok_if)
        })
    }
}
