//! Statuses and the caller's error, as C sees them.
//!
//! The numbers are those of [`Status`]; the table below is checked against it at compile time.
//!
//! Not here: what goes wrong and why ([`crate::error`]).
//!
//! Invariants:
//!   E1. `larder_error` has 256 bytes for ever, its fields where the asserts say.
//!   E2. A message is NUL-terminated and cut only between characters.

use crate::error::{Error, Status};
use std::ffi::{CStr, c_char};
use std::mem::offset_of;

/// The outcome of a call, one of the constants above: 0 is done, 1 to 99 are expected outcomes, 100 and
/// up are failures. The numbers are never reused, and more may be added.
pub type larder_status = i32;

/// Done.
pub const LARDER_OK: i32 = 0;
/// No such live key; from `larder_open`, no such store.
pub const LARDER_NOT_FOUND: i32 = 1;
/// The key is there but its time is over (only where a function says that it distinguishes this).
pub const LARDER_EXPIRED: i32 = 2;
/// `LARDER_IF_ABSENT` was asked for and the key is live.
pub const LARDER_EXISTS: i32 = 3;
/// Version or transaction conflict.
pub const LARDER_CONFLICT: i32 = 4;
/// The cursor is at its end.
pub const LARDER_DONE: i32 = 5;
/// The caller's buffer is too small; the needed length was handed out.
pub const LARDER_BUFFER_TOO_SMALL: i32 = 6;
/// NULL, out of range, or an unknown option or flag.
pub const LARDER_INVALID_ARGUMENT: i32 = 100;
/// A key, value or batch is over its limit.
pub const LARDER_TOO_LARGE: i32 = 101;
/// Another process or handle has the store open; the message names its pid. Returned at once.
pub const LARDER_BUSY: i32 = 102;
/// The handle is closed.
pub const LARDER_CLOSED: i32 = 103;
/// The store was opened read-only, or an earlier failure made it read-only.
pub const LARDER_READ_ONLY: i32 = 104;
/// The disk is full, or the store's own size limit is reached; nothing changed.
pub const LARDER_NO_SPACE: i32 = 105;
/// The operating system said no; `os_errno` says why.
pub const LARDER_IO: i32 = 106;
/// Stored bytes fail their check; file and offset are in the error.
pub const LARDER_CORRUPT: i32 = 107;
/// The handle was inherited over fork.
pub const LARDER_FORKED: i32 = 108;
/// This target or build cannot do it.
pub const LARDER_UNSUPPORTED: i32 = 109;
/// A format or ABI version that this library does not know.
pub const LARDER_INCOMPATIBLE: i32 = 110;
/// Memory could not be had.
pub const LARDER_OUT_OF_MEMORY: i32 = 111;
/// A long call was ended by the caller.
pub const LARDER_INTERRUPTED: i32 = 112;
/// A bug in the library, contained. The handle refuses writes from then on.
pub const LARDER_PANIC: i32 = 113;

/// Bytes of `larder_error.message`, its NUL included.
const MESSAGE_BYTES: usize = 240;

/// What went wrong. 256 bytes that the caller owns, for ever of this layout; the library keeps no
/// pointer to it. Every call that takes one fills it: `status` equals what the call returns, and the
/// message is empty on `LARDER_OK`, the status's own sentence on 1 to 99, and on failures one
/// sentence that names the parameter, file, limit or process at fault.
#[repr(C)]
pub struct larder_error {
    /// What the call returned.
    pub status: larder_status,
    /// The system's errno, 0 if none.
    pub os_errno: i32,
    /// File offset of the damage for `LARDER_CORRUPT`, else 0.
    pub offset: u64,
    /// NUL-terminated UTF-8.
    pub message: [c_char; 240],
}

const _: () = {
    assert!(size_of::<larder_error>() == 256);
    assert!(offset_of!(larder_error, os_errno) == 4);
    assert!(offset_of!(larder_error, offset) == 8);
    assert!(offset_of!(larder_error, message) == 16);
    assert!(size_of::<larder_error>() - offset_of!(larder_error, message) == MESSAGE_BYTES);
    let mut index = 0;
    while index < STATUSES.len() {
        assert!(STATUSES[index].0 as i32 == STATUSES[index].1);
        index += 1;
    }
};

const STATUSES: [(Status, larder_status, &CStr); 21] = [
    (Status::Ok, LARDER_OK, c"LARDER_OK"),
    (Status::NotFound, LARDER_NOT_FOUND, c"LARDER_NOT_FOUND"),
    (Status::Expired, LARDER_EXPIRED, c"LARDER_EXPIRED"),
    (Status::Exists, LARDER_EXISTS, c"LARDER_EXISTS"),
    (Status::Conflict, LARDER_CONFLICT, c"LARDER_CONFLICT"),
    (Status::Done, LARDER_DONE, c"LARDER_DONE"),
    (Status::BufferTooSmall, LARDER_BUFFER_TOO_SMALL, c"LARDER_BUFFER_TOO_SMALL"),
    (Status::InvalidArgument, LARDER_INVALID_ARGUMENT, c"LARDER_INVALID_ARGUMENT"),
    (Status::TooLarge, LARDER_TOO_LARGE, c"LARDER_TOO_LARGE"),
    (Status::Busy, LARDER_BUSY, c"LARDER_BUSY"),
    (Status::Closed, LARDER_CLOSED, c"LARDER_CLOSED"),
    (Status::ReadOnly, LARDER_READ_ONLY, c"LARDER_READ_ONLY"),
    (Status::NoSpace, LARDER_NO_SPACE, c"LARDER_NO_SPACE"),
    (Status::Io, LARDER_IO, c"LARDER_IO"),
    (Status::Corrupt, LARDER_CORRUPT, c"LARDER_CORRUPT"),
    (Status::Forked, LARDER_FORKED, c"LARDER_FORKED"),
    (Status::Unsupported, LARDER_UNSUPPORTED, c"LARDER_UNSUPPORTED"),
    (Status::Incompatible, LARDER_INCOMPATIBLE, c"LARDER_INCOMPATIBLE"),
    (Status::OutOfMemory, LARDER_OUT_OF_MEMORY, c"LARDER_OUT_OF_MEMORY"),
    (Status::Interrupted, LARDER_INTERRUPTED, c"LARDER_INTERRUPTED"),
    (Status::Panic, LARDER_PANIC, c"LARDER_PANIC"),
];

/// The constant's name, as `"LARDER_NOT_FOUND"`; `"LARDER_UNKNOWN"` for a number that is no status.
/// Never NULL. The string is the library's and lives as long as the library is loaded.
///
/// Threads: any. Blocks: never. Returns: a string. Since 0.1.0.
#[unsafe(no_mangle)]
pub extern "C" fn larder_status_name(status: larder_status) -> *const c_char {
    STATUSES.iter().find(|(_, number, _)| *number == status).map_or(c"LARDER_UNKNOWN", |(_, _, name)| name).as_ptr()
}

/// Fills `err` with an outcome that needs no more words than its own sentence. Allocates nothing, so
/// a forked child may get here.
///
/// # Safety
///
/// `err` is NULL or writable.
#[inline]
pub(super) unsafe fn report(err: *mut larder_error, status: Status) -> larder_status {
    if status != Status::Ok {
        // SAFETY: the caller's promise.
        return unsafe { fill(err, status, 0, 0, status.sentence()) };
    }
    if !err.is_null() {
        // SAFETY: `err` is not NULL, and aligned and writable by the caller's promise. No copy is called
        // for an empty message: this is every hot call's way out.
        unsafe {
            (&raw mut (*err).status).write(LARDER_OK);
            (&raw mut (*err).os_errno).write(0);
            (&raw mut (*err).offset).write(0);
            (&raw mut (*err).message).cast::<u8>().write(0);
        }
    }
    LARDER_OK
}

/// Fills `err` with a failure.
///
/// # Safety
///
/// `err` is NULL or writable.
#[cold]
pub(super) unsafe fn report_error(err: *mut larder_error, error: &Error) -> larder_status {
    let status = error.status();
    // Expected outcomes have one sentence each, however the store came to them.
    let message = if (status as i32) < 100 { status.sentence() } else { error.message() };
    // SAFETY: the caller's promise.
    unsafe { fill(err, status, error.os_errno(), error.offset(), message) }
}

/// As [`report`], with a message.
///
/// # Safety
///
/// `err` is NULL or writable.
#[cold]
pub(super) unsafe fn fill(
    err: *mut larder_error,
    status: Status,
    os_errno: i32,
    offset: u64,
    message: &str,
) -> larder_status {
    let number = status as larder_status;
    if !err.is_null() {
        let text = cut(message);
        // SAFETY: `err` is not NULL, aligned and writable by the caller's promise; it may be
        // uninitialised, so no reference to it is made. `text` is at most MESSAGE_BYTES - 1 long
        // (`cut`), so it and its NUL stay inside `message`, and it cannot overlap memory that the
        // caller alone owns.
        unsafe {
            (&raw mut (*err).status).write(number);
            (&raw mut (*err).os_errno).write(os_errno);
            (&raw mut (*err).offset).write(offset);
            let target = (&raw mut (*err).message).cast::<u8>();
            std::ptr::copy_nonoverlapping(text.as_ptr(), target, text.len());
            target.add(text.len()).write(0);
        }
    }
    number
}

/// As much of `message` as fits, in whole characters.
#[inline]
fn cut(message: &str) -> &str {
    let mut len = message.len().min(MESSAGE_BYTES - 1);
    while !message.is_char_boundary(len) {
        len -= 1;
    }
    &message[..len]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(status: Status, os_errno: i32, offset: u64, message: &str) -> larder_error {
        let mut err = std::mem::MaybeUninit::<larder_error>::uninit();
        // SAFETY: `err` is writable; every field but the message's tail is written by `fill`, and the
        // tail is bytes, set here.
        unsafe {
            err.as_mut_ptr().cast::<u8>().write_bytes(0xAA, size_of::<larder_error>());
            assert_eq!(fill(err.as_mut_ptr(), status, os_errno, offset, message), status as i32);
            err.assume_init()
        }
    }

    fn message(err: &larder_error) -> &str {
        // SAFETY: `fill` terminates the message inside the array.
        unsafe { CStr::from_ptr(err.message.as_ptr()) }.to_str().expect("UTF-8")
    }

    #[test]
    fn every_field_is_filled() {
        let err = filled(Status::Corrupt, 5, 4096, "000001.seg: bad");
        assert_eq!((err.status, err.os_errno, err.offset), (LARDER_CORRUPT, 5, 4096));
        assert_eq!(message(&err), "000001.seg: bad");
        let err = filled(Status::Ok, 0, 0, "");
        assert_eq!((err.status, err.os_errno, err.offset, message(&err)), (0, 0, 0, ""));
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        for len in [238, 239, 240, 241, 1000] {
            assert_eq!(message(&filled(Status::Io, 0, 0, &"x".repeat(len))).len(), len.min(239), "{len}");
        }
        for shift in 0..4 {
            let text = "x".repeat(shift) + &"\u{1F600}".repeat(100);
            let err = filled(Status::Io, 0, 0, &text);
            let cut = message(&err);
            assert!(text.starts_with(cut));
            assert!((236..=239).contains(&cut.len()), "{shift}: {}", cut.len());
        }
    }

    #[test]
    fn expected_outcomes_have_one_sentence_each() {
        let mut err = filled(Status::Ok, 0, 0, "");
        let error = Error::new(Status::NotFound, "there is no store in \"x\"");
        // SAFETY: `err` is ours.
        assert_eq!(unsafe { report_error(&raw mut err, &error) }, LARDER_NOT_FOUND);
        assert_eq!(message(&err), Status::NotFound.sentence());
        for (status, number, _) in STATUSES {
            // SAFETY: `err` is ours.
            assert_eq!(unsafe { report(&raw mut err, status) }, number);
            assert_eq!(message(&err).is_empty(), status == Status::Ok, "{status:?}");
        }
    }

    #[test]
    fn a_missing_error_is_fine() {
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { report(std::ptr::null_mut(), Status::Busy) }, LARDER_BUSY);
    }

    #[test]
    fn status_names_are_the_constants() {
        // SAFETY: the function returns static strings.
        let name = |status| unsafe { CStr::from_ptr(larder_status_name(status)) }.to_str().expect("UTF-8");
        assert_eq!(name(LARDER_NOT_FOUND), "LARDER_NOT_FOUND");
        assert_eq!(name(LARDER_PANIC), "LARDER_PANIC");
        for unknown in [-1, 7, 99, 114, i32::MAX, i32::MIN] {
            assert_eq!(name(unknown), "LARDER_UNKNOWN", "{unknown}");
        }
    }
}
