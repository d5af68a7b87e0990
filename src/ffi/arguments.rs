//! Judging what C hands over, before anything is made of it.
//!
//! Each function names the parameter in its error. Lengths are judged as numbers first: a slice of
//! a NULL pointer, or of more than `isize::MAX` bytes, must not even exist.

use crate::error::{Error, Result, Status};
use crate::store::{KEY_BYTES_MAX, Ttl, VALUE_BYTES_MAX};
use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;

/// Longest time to live, milliseconds (146 million years). Added to any time of today it stays in 64
/// bits, and whether a TTL is valid does not depend on the clock.
pub(super) const TTL_MS_MAX: i64 = (1 << 62) - 1;

/// `ttl_ms` of a set that keeps the present expiry, and of an expire that takes it away.
const TTL_MS_KEEP: i64 = -1;

pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::new(Status::InvalidArgument, message)
}

// Failures are put into words out of line: the hot calls are small without them.

#[cold]
fn null(name: &str) -> Error {
    invalid(format!("{name} is NULL"))
}

#[cold]
fn null_with_length(name: &str, len: usize) -> Error {
    invalid(format!("{name} is NULL, but its length is {len}"))
}

#[cold]
fn longer_than_memory(name: &str, len: usize) -> Error {
    invalid(format!("{name} cannot have {len} bytes: nothing in memory is that long"))
}

#[cold]
pub(super) fn key_too_large(name: &str, len: usize) -> Error {
    Error::new(Status::TooLarge, format!("{name} has {len} bytes, more than the {KEY_BYTES_MAX} that a key may have"))
}

#[cold]
pub(super) fn value_too_large(len: u64) -> Error {
    Error::new(
        Status::TooLarge,
        format!("value has {len} bytes, more than the {VALUE_BYTES_MAX} that a value may have"),
    )
}

/// The bytes that `data` and `len` describe; `(NULL, 0)` is the empty string.
///
/// # Safety
///
/// `data` is NULL or readable for `len` bytes that nobody changes during `'a`.
#[inline]
pub(super) unsafe fn bytes<'a>(name: &str, data: *const c_void, len: usize) -> Result<&'a [u8]> {
    if data.is_null() {
        return if len == 0 { Ok(&[]) } else { Err(null_with_length(name, len)) };
    }
    if isize::try_from(len).is_err() {
        return Err(longer_than_memory(name, len));
    }
    // SAFETY: not NULL, no longer than isize::MAX (both judged above); readable and unchanged by the
    // caller's promise; bytes have no alignment.
    Ok(unsafe { std::slice::from_raw_parts(data.cast(), len) })
}

/// As [`bytes`], for a key or a prefix of keys.
///
/// # Safety
///
/// As [`bytes`].
#[inline]
pub(super) unsafe fn key<'a>(name: &str, data: *const c_void, len: usize) -> Result<&'a [u8]> {
    if len > KEY_BYTES_MAX && !data.is_null() {
        return Err(key_too_large(name, len));
    }
    // SAFETY: the caller's promise, unchanged.
    unsafe { bytes(name, data, len) }
}

/// As [`bytes`], for a value.
///
/// # Safety
///
/// As [`bytes`].
#[inline]
pub(super) unsafe fn value<'a>(data: *const c_void, len: usize) -> Result<&'a [u8]> {
    if len as u64 > VALUE_BYTES_MAX && !data.is_null() {
        return Err(value_too_large(len as u64));
    }
    // SAFETY: the caller's promise, unchanged.
    unsafe { bytes("value", data, len) }
}

/// An output, or anything else that has to be there.
#[inline]
pub(super) fn required<T>(name: &str, pointer: *mut T) -> Result<NonNull<T>> {
    NonNull::new(pointer).ok_or_else(|| null(name))
}

/// The length of a buffer that is written to.
#[inline]
pub(super) fn buffer<T>(name: &str, data: *mut T, capacity: usize) -> Result<()> {
    if data.is_null() && capacity > 0 {
        return Err(null_with_length(name, capacity));
    }
    if isize::try_from(capacity).is_err() {
        return Err(longer_than_memory(name, capacity));
    }
    Ok(())
}

/// A NUL-terminated string.
///
/// # Safety
///
/// `text` is NULL or points to a NUL-terminated string that nobody changes during `'a`.
pub(super) unsafe fn text<'a>(name: &str, text: *const c_char) -> Result<&'a CStr> {
    if text.is_null() {
        return Err(null(name));
    }
    // SAFETY: not NULL (judged above), terminated and unchanged by the caller's promise.
    Ok(unsafe { CStr::from_ptr(text) })
}

/// The TTL of a set: 0 for ever, -1 keep.
pub(super) fn ttl_of_set(ttl_ms: i64) -> Result<Ttl> {
    match ttl_ms {
        0 => Ok(Ttl::Forever),
        TTL_MS_KEEP => Ok(Ttl::Keep),
        _ => ttl_in_range(ttl_ms).map(Ttl::Millis),
    }
}

/// The TTL of an expire: `None` is for ever (-1), 0 is at once.
pub(super) fn ttl_of_expire(ttl_ms: i64) -> Result<Option<u64>> {
    match ttl_ms {
        TTL_MS_KEEP => Ok(None),
        _ => ttl_in_range(ttl_ms).map(Some),
    }
}

fn ttl_in_range(ttl_ms: i64) -> Result<u64> {
    u64::try_from(ttl_ms)
        .ok()
        .filter(|_| ttl_ms <= TTL_MS_MAX)
        .ok_or_else(|| invalid(format!("ttl_ms is {ttl_ms}: neither -1 nor 0 to {TTL_MS_MAX}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than any key or value may be, and never read.
    fn somewhere() -> *const c_void {
        NonNull::<u8>::dangling().as_ptr().cast_const().cast()
    }

    fn status_of<T>(result: Result<T>) -> Status {
        result.map_or_else(|error| error.status(), |_| Status::Ok)
    }

    #[test]
    fn null_is_the_empty_string_and_nothing_else() {
        // SAFETY: nothing is read through NULL.
        unsafe {
            assert_eq!(bytes("key", std::ptr::null(), 0).unwrap(), b"");
            for len in [1, KEY_BYTES_MAX, KEY_BYTES_MAX + 1, usize::MAX] {
                assert_eq!(status_of(bytes("ops", std::ptr::null(), len)), Status::InvalidArgument);
                assert_eq!(status_of(key("key", std::ptr::null(), len)), Status::InvalidArgument);
                assert_eq!(status_of(value(std::ptr::null(), len)), Status::InvalidArgument);
            }
        }
    }

    #[test]
    fn lengths_are_judged_before_a_byte_is_read() {
        // SAFETY: every length here is refused, so nothing is read.
        unsafe {
            for len in [KEY_BYTES_MAX + 1, isize::MAX as usize, isize::MAX as usize + 1, usize::MAX] {
                assert_eq!(status_of(key("key", somewhere(), len)), Status::TooLarge);
            }
            for len in [u32::MAX as usize + 1, isize::MAX as usize, usize::MAX] {
                assert_eq!(status_of(value(somewhere(), len)), Status::TooLarge);
            }
            for len in [isize::MAX as usize + 1, usize::MAX] {
                assert_eq!(status_of(bytes("ops", somewhere(), len)), Status::InvalidArgument);
                assert_eq!(status_of(buffer("out", somewhere().cast_mut(), len)), Status::InvalidArgument);
            }
        }
    }

    #[test]
    fn the_longest_key_is_taken() {
        let longest = vec![7u8; KEY_BYTES_MAX];
        // SAFETY: the vector is readable for its length.
        let taken = unsafe { key("key", longest.as_ptr().cast(), longest.len()) }.unwrap();
        assert_eq!(taken.len(), KEY_BYTES_MAX);
    }

    #[test]
    fn ttls_are_judged_at_their_limits() {
        assert_eq!(ttl_of_set(0).unwrap(), Ttl::Forever);
        assert_eq!(ttl_of_set(-1).unwrap(), Ttl::Keep);
        assert_eq!(ttl_of_set(1).unwrap(), Ttl::Millis(1));
        assert_eq!(ttl_of_set(TTL_MS_MAX).unwrap(), Ttl::Millis(TTL_MS_MAX as u64));
        assert_eq!(ttl_of_expire(-1).unwrap(), None);
        assert_eq!(ttl_of_expire(0).unwrap(), Some(0));
        for ttl_ms in [-2, i64::MIN, TTL_MS_MAX + 1, i64::MAX] {
            assert_eq!(status_of(ttl_of_set(ttl_ms)), Status::InvalidArgument, "{ttl_ms}");
            assert_eq!(status_of(ttl_of_expire(ttl_ms)), Status::InvalidArgument, "{ttl_ms}");
        }
    }
}
