//! The options object: names and values over [`Options`].
//!
//! Not here: which options there are ([`crate::options`]).

use super::arguments::{invalid, text};
use super::contained::{contain, silence_contained_panics};
use super::error::{larder_error, larder_status};
use super::handle::{Handle, Kind, judge, run};
use crate::error::{Result, Status};
use crate::options::Options;
use std::ffi::{CStr, c_char};
use std::mem::offset_of;
use std::ptr::{NonNull, null_mut};

/// How a store is to be opened. Owned by whoever made it with `larder_options_new`, until
/// `larder_options_free`; `larder_open` copies, so it may be reused, changed or freed at once. For
/// one thread at a time.
pub struct larder_options(Handle<Chosen>);

const _: () = assert!(offset_of!(larder_options, 0) == 0);

/// Options, and which of them were set rather than left as they are.
#[derive(Clone, Default)]
pub(super) struct Chosen {
    pub(super) options: Options,
    #[cfg(feature = "remote")]
    names: Vec<String>,
}

impl Chosen {
    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        self.options.set(name, value)?;
        #[cfg(feature = "remote")]
        if !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
        Ok(())
    }

    /// An option that was set and that only directories have.
    #[cfg(feature = "remote")]
    pub(super) fn name_for_directories(&self) -> Option<&str> {
        const OF_SERVERS: [&str; 5] = ["read_only", "timeout_ms", "connect_timeout_ms", "user", "password"];
        self.names.iter().map(String::as_str).find(|name| !OF_SERVERS.contains(name))
    }
}

impl Kind for Chosen {
    const MAGIC: u64 = u64::from_le_bytes(*b"larder:o");
    const PARAMETER: &'static str = "options";
    const BOUND_TO_PROCESS: bool = false;
}

/// Makes options that hold the defaults. Free them with `larder_options_free`.
///
/// Threads: any. Blocks: never. Returns: the options, or NULL if memory could not be had. Since 0.1.0.
#[unsafe(no_mangle)]
pub extern "C" fn larder_options_new() -> *mut larder_options {
    contain(|| {
        silence_contained_panics();
        Box::into_raw(Box::new(larder_options(Handle::new(Chosen::default()))))
    })
    .unwrap_or(null_mut())
}

/// Sets one option. On a failure the options are as they were.
///
/// - `sync`: when an acknowledged write is durable. `always` (the default): at once; `interval:<ms>`, 1 to
///   86400000: synced that often; `none`: when the kernel likes.
/// - `read_only`: `true` or `false` (the default).
/// - `create`: `true` (the default) or `false`: create the store if it is not there.
/// - `segment_size`: bytes that segment files grow to, 64KiB to 4GiB; 64MiB by default.
/// - `max_size`: most bytes on disk; 0 (the default) is no limit.
/// - `verify_reads`: which reads check the record's checksum. `copies` (the default), `all` (views too) or
///   `none`.
/// - `compaction`: `auto` (the default) or `manual`: only `larder_compact`.
/// - `timeout_ms`: how long a call waits for a server's next bytes, 1 to 86400000; 5000 by default.
/// - `connect_timeout_ms`: how long a call waits for a connection to a server, 1 to 86400000; 2000 by default.
/// - `user`: who asks a server; its default user if it is not set. What the location says goes before it.
/// - `password`: the user's password.
///
/// The last four have no effect on a directory; of the others a server takes `read_only` alone. Bytes are
/// digits, or digits and one of `KiB`, `MiB`, `GiB`, without blanks.
///
/// Threads: any, but one at a time for the same options. Blocks: never.
/// Returns: `LARDER_OK`; `LARDER_INVALID_ARGUMENT` for NULL, an unknown name, a malformed value or one
/// out of range, and text that is not UTF-8; `LARDER_PANIC`. Since 0.1.0.
///
/// # Safety
///
/// `options` comes from `larder_options_new` and is not freed. `name` and `value` are NUL-terminated;
/// they are read during the call and not kept. `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_options_set(
    options: *mut larder_options,
    name: *const c_char,
    value: *const c_char,
    err: *mut larder_error,
) -> larder_status {
    // SAFETY: the caller's promise: `options` is NULL or live, and for this thread alone; the texts
    // are NULL or terminated; `err` is NULL or writable.
    unsafe {
        run(err, None, || {
            let mut options = present(options)?;
            let name = utf8("name", text("name", name)?)?;
            let value = utf8("value", text("value", value)?)?;
            options.as_mut().inner.set(name, value)?;
            Ok(Status::Ok)
        })
    }
}

/// Frees options. NULL is fine.
///
/// Threads: any, but one at a time for the same options. Blocks: never. Returns: nothing. Since 0.1.0.
///
/// # Safety
///
/// `options` is NULL, or comes from `larder_options_new` and is not freed; it may not be used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_options_free(options: *mut larder_options) {
    // SAFETY: the caller's promise; a pointer to another kind of object is left alone. What comes from
    // `larder_options_new` is a Box.
    let freed = contain(|| unsafe {
        if present(options).is_ok() {
            drop(Box::from_raw(options));
        }
    });
    // Nobody could be told of a panic here, and dropping options has no way to make one.
    debug_assert!(freed.is_ok());
}

/// What `options` hold; the defaults for NULL.
///
/// # Safety
///
/// `options` is NULL or live, and nobody changes it during the call.
pub(super) unsafe fn copied(options: *const larder_options) -> Result<Chosen> {
    if options.is_null() {
        return Ok(Chosen::default());
    }
    // SAFETY: live by the caller's promise, and of the right kind once `present` says so; nobody
    // changes it meanwhile.
    unsafe { present(options.cast_mut()).map(|handle| handle.as_ref().inner.clone()) }
}

/// # Safety
///
/// `options` is NULL or a live object of this library.
unsafe fn present(options: *mut larder_options) -> Result<NonNull<Handle<Chosen>>> {
    // SAFETY: the caller's promise; the handle is the object's first field (asserted above).
    unsafe { judge(options.cast()) }.map_err(|refusal| invalid(refusal.message::<Chosen>()))
}

fn utf8<'a>(name: &str, text: &'a CStr) -> Result<&'a str> {
    text.to_str().map_err(|_| invalid(format!("{name} is not UTF-8")))
}
