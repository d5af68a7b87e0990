//! What can go wrong, in the words and numbers of the C ABI.
//!
//! One [`Status`] per thing that a caller can do something about; one [`Error`] that adds the
//! system's errno, the file offset of damage and a sentence that names the cause.
//!
//! Not here: outcomes that are no failure (a missing key is `Ok(None)` or `Ok(false)` in Rust;
//! `ffi` turns it into its status).

use std::fmt;
use std::io;

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// A status of the C ABI. Numbers are written once and never reused; 0 is done, 1–99 are expected
/// outcomes, 100 and up are failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// No such live key, or no such store.
    NotFound = 1,
    /// The key is there but its time is over (only where a function distinguishes this).
    Expired = 2,
    /// The key is live and the caller asked for it to be absent.
    Exists = 3,
    /// Version or transaction conflict.
    Conflict = 4,
    /// A cursor is at its end.
    Done = 5,
    /// The caller's buffer is too small; the needed length was handed out.
    BufferTooSmall = 6,
    /// NULL, out of range, unknown option.
    InvalidArgument = 100,
    /// Key, value or batch over its limit.
    TooLarge = 101,
    /// Another process or handle has the store open.
    Busy = 102,
    /// The handle is closed.
    Closed = 103,
    /// Opened read-only, or made read-only by an earlier failure.
    ReadOnly = 104,
    /// Disk full, or the store's own size limit; nothing changed.
    NoSpace = 105,
    /// The operating system said no.
    Io = 106,
    /// Stored bytes fail their check.
    Corrupt = 107,
    /// A handle inherited over `fork`.
    Forked = 108,
    /// This target or build cannot do it.
    Unsupported = 109,
    /// Format or ABI version that this library does not know.
    Incompatible = 110,
    /// Memory could not be had.
    OutOfMemory = 111,
    /// A long call was ended by the caller.
    Interrupted = 112,
    /// A bug in the library, contained.
    Panic = 113,
}

impl Status {
    /// The status's own sentence, used where nothing more specific is known.
    pub fn sentence(self) -> &'static str {
        match self {
            Status::Ok => "",
            Status::NotFound => "no such live key or store",
            Status::Expired => "the key is there but its time is over",
            Status::Exists => "the key is already there",
            Status::Conflict => "the key has changed in the meantime",
            Status::Done => "the cursor is at its end",
            Status::BufferTooSmall => "the buffer is too small for the value",
            Status::InvalidArgument => "an argument is not valid",
            Status::TooLarge => "a key or value is over its limit",
            Status::Busy => "the store is open elsewhere",
            Status::Closed => "the handle is closed",
            Status::ReadOnly => "the store takes no writes",
            Status::NoSpace => "there is no room for this write",
            Status::Io => "the operating system reported an error",
            Status::Corrupt => "stored bytes fail their check",
            Status::Forked => "the handle was inherited over fork and works only in the process that opened it",
            Status::Unsupported => "this target or build cannot do that",
            Status::Incompatible => "the format version is not known to this library",
            Status::OutOfMemory => "memory could not be had",
            Status::Interrupted => "the call was interrupted",
            Status::Panic => "a bug in the library was contained",
        }
    }
}

/// A failure: its status and what is known about the cause.
///
/// One pointer wide, so that results which are nearly always good stay small.
#[derive(Clone, Debug)]
pub struct Error(Box<Cause>);

#[derive(Clone, Debug)]
struct Cause {
    status: Status,
    os_errno: i32,
    offset: u64,
    message: String,
}

impl Error {
    /// A failure with one sentence that names its cause.
    #[cold]
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self(Box::new(Cause { status, os_errno: 0, offset: 0, message: message.into() }))
    }

    /// Damage at `offset` of `file`.
    #[cold]
    pub fn corrupt(file: &str, offset: u64, what: &str) -> Self {
        let message = format!("{file}: {what} at offset {offset}");
        Self(Box::new(Cause { status: Status::Corrupt, os_errno: 0, offset, message }))
    }

    /// A call of the operating system that failed: `action` is a phrase such as "create 000001.seg".
    ///
    /// Out of space in any of its forms (ENOSPC, EDQUOT, EFBIG) is [`Status::NoSpace`], ENOMEM is
    /// [`Status::OutOfMemory`]; everything else is [`Status::Io`].
    #[cold]
    pub fn from_io(action: &str, source: &io::Error) -> Self {
        let os_errno = source.raw_os_error().unwrap_or(0);
        let status = match os_errno {
            libc::ENOSPC | libc::EDQUOT | libc::EFBIG => Status::NoSpace,
            libc::ENOMEM => Status::OutOfMemory,
            _ => Status::Io,
        };
        Self(Box::new(Cause { status, os_errno, offset: 0, message: format!("cannot {action}: {source}") }))
    }

    /// The same failure, with more words behind its sentence.
    #[cfg(feature = "remote")]
    #[cold]
    pub(crate) fn with_words(mut self, words: &str) -> Self {
        self.0.message.push_str(words);
        self
    }

    /// What kind of failure it is.
    pub fn status(&self) -> Status {
        self.0.status
    }

    /// The system's errno, 0 if none.
    pub fn os_errno(&self) -> i32 {
        self.0.os_errno
    }

    /// File offset of damage, else 0.
    pub fn offset(&self) -> u64 {
        self.0.offset
    }

    /// One sentence that names the file, the limit or the owner's pid.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::new(status, status.sentence())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Error {}
