//! Many operations in one call, over flat buffers.
//!
//! Not here: the buffers' layout (`packed_format`).

use super::arguments::{buffer, bytes, invalid, required};
use super::error::{larder_error, larder_status};
use super::handle::{larder, on_store};
use super::keys::LARDER_SYNC;
use super::packed_format::{Answers, parse_keys, parse_ops};
use crate::error::Status;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// Carries out all operations of a buffer or none: for readers, after any failure and after any crash.
///
/// ```text
/// { u32 op (1 set, 2 del), u32 key_len, u64 value_len, i64 ttl_ms, key, value, zeros to 8 }*
/// ```
///
/// Little-endian; each entry is padded with zeros to a multiple of 8 bytes, counted from its start. The
/// buffer itself needs no alignment. `ttl_ms` is as for `larder_set_with`; a del has no value and no TTL
/// and its key need not be there. A key may be named twice: the last operation wins. `flags` is 0 or
/// `LARDER_SYNC`. An empty buffer is fine. Over a cluster of servers keys in several slots are `LARDER_UNSUPPORTED`.
///
/// Threads: any. Blocks: as `larder_set`; with `LARDER_SYNC` until the batch is durable.
/// Returns: `LARDER_OK`; `LARDER_INVALID_ARGUMENT` for unknown operations and flags, lengths that leave
/// the buffer, padding that is not zero, trailing bytes and TTLs out of range; `LARDER_TOO_LARGE` for a
/// key or value over its limit; `LARDER_CLOSED`, `LARDER_READ_ONLY`, `LARDER_NO_SPACE`, `LARDER_IO`,
/// `LARDER_CORRUPT`, `LARDER_FORKED`, `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
///
/// # Safety
///
/// `db` comes from `larder_open`. `ops` is readable for `len` bytes during the call and nobody changes it
/// meanwhile; or NULL with length 0. `bad_offset` is NULL or writable; it is set on a failure that is one
/// entry's fault, to that entry's offset, and untouched otherwise. `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_write_packed(
    db: *mut larder,
    ops: *const c_void,
    len: usize,
    flags: u32,
    bad_offset: *mut usize,
    err: *mut larder_error,
) -> larder_status {
    // SAFETY: the caller's promise.
    unsafe {
        on_store(db, err, |db| {
            let buffer = bytes("ops", ops, len)?;
            if flags & !LARDER_SYNC != 0 {
                return Err(invalid(format!("flags are {flags:#x}: only LARDER_SYNC is known here")));
            }
            let ops = parse_ops(buffer).map_err(|rejected| {
                if let (Some(bad_offset), Some(offset)) = (NonNull::new(bad_offset), rejected.entry_offset) {
                    bad_offset.write(offset);
                }
                rejected.error
            })?;
            db.target().write(&ops, flags & LARDER_SYNC != 0).map(|()| Status::Ok)
        })
    }
}

/// Reads many keys into one buffer, in their order.
///
/// ```text
/// keys: { u32 key_len, key, zeros to 8 }*
/// out:  { i32 status, u32 0, u64 value_len, value, zeros to 8 }*
/// ```
///
/// Little-endian; each entry is padded with zeros to a multiple of 8 bytes, counted from its start. The
/// buffers need no alignment. An answer's status is `LARDER_OK`, `LARDER_NOT_FOUND`, or what reading that
/// key failed with; only the first has a value. The answers are not a snapshot.
///
/// It stops before the first answer that does not fit and returns `LARDER_BUFFER_TOO_SMALL`: `*answered`
/// keys are done, and the caller goes on from there. If that is 0, the next value alone is larger than the
/// buffer; `larder_get` reads it.
///
/// Threads: any. Blocks: as `larder_get`.
/// Returns: `LARDER_OK`; `LARDER_BUFFER_TOO_SMALL`; `LARDER_INVALID_ARGUMENT` for lengths that leave the
/// buffer, padding that is not zero and trailing bytes; `LARDER_TOO_LARGE` for a key over the limit;
/// `LARDER_CLOSED`, `LARDER_FORKED`, `LARDER_IO`, `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
///
/// # Safety
///
/// `db` comes from `larder_open`. `keys` is readable for `len` bytes during the call and nobody changes it
/// meanwhile; or NULL with length 0. `out` is writable for `capacity` bytes, or NULL with capacity 0, and
/// does not overlap `keys`; on a failure its content is undefined. `used` (bytes of `out`) and `answered`
/// (keys) are writable, and set on `LARDER_OK` and `LARDER_BUFFER_TOO_SMALL`. `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_get_many_packed(
    db: *mut larder,
    keys: *const c_void,
    len: usize,
    out: *mut c_void,
    capacity: usize,
    used: *mut usize,
    answered: *mut usize,
    err: *mut larder_error,
) -> larder_status {
    // SAFETY: the caller's promise; `out` is made a slice only after `buffer` judged it, and one of no
    // bytes in place of NULL. The outputs are not NULL once `required` says so.
    unsafe {
        on_store(db, err, |db| {
            let keys = bytes("keys", keys, len)?;
            buffer("out", out, capacity)?;
            let (used, answered) = (required("used", used)?, required("answered", answered)?);
            let keys = parse_keys(keys).map_err(|rejected| rejected.error)?;
            let out = NonNull::new(out.cast::<MaybeUninit<u8>>()).unwrap_or(NonNull::dangling());
            let mut answers = Answers::new(std::slice::from_raw_parts_mut(out.as_ptr(), capacity));
            db.target().get_many_with(&keys, |_, outcome| match outcome {
                Ok(Some(value)) => answers.push(Status::Ok, value),
                Ok(None) => answers.push(Status::NotFound, b""),
                Err(error) => answers.push(error.status(), b""),
            })?;
            used.write(answers.used);
            answered.write(answers.count);
            Ok(if answers.count == keys.len() { Status::Ok } else { Status::BufferTooSmall })
        })
    }
}
