//! Every fallible call of the ABI in one table, with names for its parameters, so that a test can bend
//! one parameter of each.
//!
//! Here too: a store in a directory of its own, and an error that starts out as garbage.

use ::larder::ffi::cursor::{larder_cursor, larder_cursor_close, larder_cursor_next, larder_cursor_open};
use ::larder::ffi::error::{LARDER_NOT_FOUND, larder_error, larder_status, larder_status_name};
use ::larder::ffi::expiry::{larder_expire, larder_ttl};
use ::larder::ffi::handle::{larder, larder_close, larder_open};
use ::larder::ffi::keys::*;
use ::larder::ffi::options::{larder_options, larder_options_free, larder_options_new, larder_options_set};
use ::larder::ffi::packed::{larder_get_many_packed, larder_write_packed};
use ::larder::ffi::store::{larder_compact, larder_len, larder_stats, larder_stats_get, larder_sync, larder_verify};
use ::larder::ffi::view::{larder_get_view, larder_view_release};
use std::ffi::{CStr, CString, c_void};
use std::path::{Path, PathBuf};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering};

/// What outputs hold before a call, so that a change can be seen.
const UNTOUCHED_WORD: u64 = 0x5A5A_5A5A_5A5A_5A5A;

/// A directory that is gone with the test.
pub struct WorkDir(PathBuf);

impl WorkDir {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("larder-abi-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a directory of its own");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn location(&self, name: &str) -> CString {
        CString::new(self.0.join(name).into_os_string().into_encoded_bytes()).expect("a path holds no NUL")
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A store opened through the ABI; its directory goes with it.
pub struct Opened {
    pub db: *mut larder,
    /// Goes after the store was closed.
    _dir: WorkDir,
}

impl Opened {
    pub fn new() -> Self {
        let dir = WorkDir::new();
        let db = open(&dir.location("store"), &[]);
        Self { db, _dir: dir }
    }

    pub fn set(&self, key: &[u8], value: &[u8]) {
        let mut err = garbage();
        // SAFETY: the slices and `err` are live.
        let status = unsafe {
            larder_set(self.db, key.as_ptr().cast(), key.len(), value.as_ptr().cast(), value.len(), &raw mut err)
        };
        assert_eq!(status, 0, "{}", message(&err));
    }

    /// The value as `larder_get` copies it.
    pub fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let (mut value, mut len, mut err) = (null_mut(), usize::MAX, garbage());
        // SAFETY: the key, the outputs and `err` are live; on LARDER_OK `value` is a buffer of `len` bytes
        // that is ours until it is freed.
        unsafe {
            let status =
                larder_get(self.db, key.as_ptr().cast(), key.len(), &raw mut value, &raw mut len, &raw mut err);
            if status == LARDER_NOT_FOUND {
                return None;
            }
            assert_eq!(status, 0, "{}", message(&err));
            assert!(!value.is_null());
            let copy = std::slice::from_raw_parts(value.cast::<u8>(), len).to_vec();
            larder_free(value);
            Some(copy)
        }
    }

    pub fn close(&self) -> larder_status {
        // SAFETY: the handle comes from `larder_open`.
        unsafe { larder_close(self.db, null_mut()) }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // A test may have closed it; a second close is harmless.
        self.close();
    }
}

/// Opens a store with small segments, no sync per write, and `options`.
pub fn open(location: &CStr, options: &[(&CStr, &CStr)]) -> *mut larder {
    let (mut db, mut err) = (null_mut(), garbage());
    // SAFETY: every pointer is live for the call it is passed to.
    unsafe {
        let object = larder_options_new();
        let defaults = [(c"sync", c"none"), (c"segment_size", c"64KiB")];
        for (name, value) in defaults.iter().chain(options) {
            assert_eq!(larder_options_set(object, name.as_ptr(), value.as_ptr(), &raw mut err), 0);
        }
        let status = larder_open(location.as_ptr(), object, &raw mut db, &raw mut err);
        larder_options_free(object);
        assert_eq!(status, 0, "{}", message(&err));
    }
    db
}

/// An error as a caller's stack may hold it.
pub fn garbage() -> larder_error {
    larder_error { status: 0x5A5A, os_errno: 0x5A5A, offset: 0x5A5A, message: [0x5A; 240] }
}

pub fn message(err: &larder_error) -> &str {
    // SAFETY: every test fills the error by a call first, and calls terminate the message inside the array.
    unsafe { CStr::from_ptr(err.message.as_ptr()) }.to_str().expect("UTF-8")
}

pub fn status_name(status: larder_status) -> &'static str {
    // SAFETY: the function returns static strings.
    unsafe { CStr::from_ptr(larder_status_name(status)) }.to_str().expect("UTF-8")
}

/// What a pointer parameter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pointer {
    Store,
    Cursor,
    Options,
    /// Bytes or text that are read.
    Input(&'static [u8]),
    /// Written on success; NULL is refused.
    Output,
    /// Written on success; may be NULL.
    OptionalOutput,
    /// A `larder_stats` with its size set.
    Stats,
}

/// One call, with lengths and numbers that make it succeed on a store that has [`KEY`].
pub struct Call {
    pub name: &'static str,
    pub parameters: &'static [(&'static str, Pointer)],
    pub run: unsafe fn(&[*mut c_void], *mut larder_error) -> larder_status,
}

/// The key that calls of the table find.
pub const KEY: &[u8] = b"key";
/// A del of a key of one byte that need not be there.
const OPS: &[u8] = b"\x02\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0x\0\0\0\0\0\0\0";
/// Two keys, one of which is there.
const KEYS: &[u8] = b"\x03\0\0\0key\0\x01\0\0\0x\0\0\0";
/// Bytes that each output has.
const OUTPUT_BYTES: usize = 256;

use Pointer::{Cursor, Input, OptionalOutput, Options, Output, Stats, Store};

/// A row of the table: the function, its pointers, and its arguments made of them.
macro_rules! call {
    ($function:ident, [$($parameter:expr),*], |$pointers:ident, $err:ident| ($($argument:expr),*)) => {
        Call {
            name: stringify!($function),
            parameters: &[$($parameter),*],
            run: |$pointers, $err| {
                // SAFETY: whoever runs a row passes live pointers of the kinds that it lists, or NULL; lengths
                // in the row are those of its inputs and outputs.
                unsafe { $function($($argument),*) }
            },
        }
    };
}

/// Every function that takes an error, but for open, close and salvage, which the tests call by name.
pub static CALLS: &[Call] = &[
    call!(
        larder_options_set,
        [("options", Options), ("name", Input(b"sync\0")), ("value", Input(b"none\0"))],
        |p, err| (p[0].cast(), p[1].cast(), p[2].cast(), err)
    ),
    call!(larder_set, [("db", Store), ("key", Input(KEY)), ("value", Input(b"value"))], |p, err| (
        p[0].cast(),
        p[1],
        KEY.len(),
        p[2],
        5,
        err
    )),
    call!(
        larder_set_with,
        [("db", Store), ("key", Input(KEY)), ("value", Input(b"value")), ("version", OptionalOutput)],
        |p, err| (p[0].cast(), p[1], KEY.len(), p[2], 5, 0, 0, p[3].cast(), err)
    ),
    call!(larder_get, [("db", Store), ("key", Input(KEY)), ("value", Output), ("value_len", Output)], |p, err| (
        p[0].cast(),
        p[1],
        KEY.len(),
        p[2].cast(),
        p[3].cast(),
        err
    )),
    call!(larder_get_into, [("db", Store), ("key", Input(KEY)), ("buffer", Output), ("need", Output)], |p, err| (
        p[0].cast(),
        p[1],
        KEY.len(),
        p[2],
        OUTPUT_BYTES,
        p[3].cast(),
        err
    )),
    call!(larder_get_view, [("db", Store), ("key", Input(KEY)), ("out", Output)], |p, err| (
        p[0].cast(),
        p[1],
        KEY.len(),
        p[2].cast(),
        err
    )),
    call!(larder_exists, [("db", Store), ("key", Input(KEY))], |p, err| (p[0].cast(), p[1], KEY.len(), err)),
    call!(larder_ttl, [("db", Store), ("key", Input(KEY)), ("ttl_ms", Output)], |p, err| (
        p[0].cast(),
        p[1],
        KEY.len(),
        p[2].cast(),
        err
    )),
    call!(larder_expire, [("db", Store), ("key", Input(KEY))], |p, err| (p[0].cast(), p[1], KEY.len(), -1, err)),
    call!(larder_len, [("db", Store), ("count", Output)], |p, err| (p[0].cast(), p[1].cast(), err)),
    call!(larder_sync, [("db", Store)], |p, err| (p[0].cast(), err)),
    call!(larder_compact, [("db", Store)], |p, err| (p[0].cast(), err)),
    call!(larder_verify, [("db", Store), ("bad_records", Output)], |p, err| (p[0].cast(), p[1].cast(), err)),
    call!(larder_stats_get, [("db", Store), ("stats", Stats)], |p, err| (p[0].cast(), p[1].cast(), err)),
    call!(larder_cursor_open, [("db", Store), ("prefix", Input(b"k")), ("out", Output)], |p, err| (
        p[0].cast(),
        p[1],
        1,
        p[2].cast(),
        err
    )),
    call!(
        larder_cursor_next,
        [("cursor", Cursor), ("key", Output), ("key_len", Output), ("value", Output), ("value_len", Output)],
        |p, err| (p[0].cast(), p[1].cast(), p[2].cast(), p[3].cast(), p[4].cast(), err)
    ),
    call!(larder_write_packed, [("db", Store), ("ops", Input(OPS)), ("bad_offset", OptionalOutput)], |p, err| (
        p[0].cast(),
        p[1],
        OPS.len(),
        0,
        p[2].cast(),
        err
    )),
    call!(
        larder_get_many_packed,
        [("db", Store), ("keys", Input(KEYS)), ("out", Output), ("used", Output), ("answered", Output)],
        |p, err| (p[0].cast(), p[1], KEYS.len(), p[2], OUTPUT_BYTES, p[3].cast(), p[4].cast(), err)
    ),
    call!(larder_del, [("db", Store), ("key", Input(KEY))], |p, err| (p[0].cast(), p[1], KEY.len(), err)),
];

/// Objects that calls of the table are made with.
pub struct Objects {
    pub db: *mut larder,
    pub cursor: *mut larder_cursor,
    options: *mut larder_options,
    outputs: Vec<[u64; OUTPUT_BYTES / 8]>,
}

impl Objects {
    pub fn new(opened: &Opened) -> Self {
        opened.set(KEY, b"value");
        let mut cursor = null_mut();
        // SAFETY: the handle is open, `cursor` is writable.
        assert_eq!(unsafe { larder_cursor_open(opened.db, null_mut(), 0, &raw mut cursor, null_mut()) }, 0);
        Self { db: opened.db, cursor, options: larder_options_new(), outputs: Vec::new() }
    }

    /// The pointers that make `call` succeed; outputs are untouched.
    pub fn pointers(&mut self, call: &Call) -> Vec<*mut c_void> {
        self.outputs.clear();
        self.outputs.resize(call.parameters.len(), [UNTOUCHED_WORD; OUTPUT_BYTES / 8]);
        let outputs = &mut self.outputs;
        let (db, cursor, options) = (self.db.cast(), self.cursor.cast(), self.options.cast());
        (0..call.parameters.len())
            .map(|index| match call.parameters[index].1 {
                Store => db,
                Cursor => cursor,
                Options => options,
                Input(bytes) => bytes.as_ptr().cast_mut().cast(),
                Output | OptionalOutput => outputs[index].as_mut_ptr().cast(),
                Stats => {
                    let stats: *mut larder_stats = outputs[index].as_mut_ptr().cast();
                    // SAFETY: an output is aligned and longer than the struct.
                    unsafe { (&raw mut (*stats).struct_size).write(size_of::<larder_stats>() as u32) };
                    stats.cast()
                }
            })
            .collect()
    }

    /// Whether no output was written since [`Self::pointers`]; of stats all but the size.
    pub fn are_outputs_untouched(&self) -> bool {
        self.outputs.iter().flat_map(|output| &output[1..]).all(|word| *word == UNTOUCHED_WORD)
            && self.outputs.iter().all(|output| {
                let [first, ..] = output;
                *first == UNTOUCHED_WORD || *first as u32 == size_of::<larder_stats>() as u32
            })
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        // SAFETY: both were made in `new` and are used by nobody any more.
        unsafe {
            larder_cursor_close(self.cursor);
            larder_options_free(self.options);
        }
    }
}

/// Gives back what a successful call of the table handed out.
///
/// # Safety
///
/// The call succeeded with these pointers, none of them NULL.
pub unsafe fn give_back(call: &Call, pointers: &[*mut c_void]) {
    // SAFETY: the outputs were written by the call.
    unsafe {
        match call.name {
            "larder_get" => larder_free(pointers[2].cast::<*mut c_void>().read()),
            "larder_get_view" => larder_view_release(pointers[2].cast()),
            "larder_cursor_open" => larder_cursor_close(pointers[2].cast::<*mut larder_cursor>().read()),
            _ => {}
        }
    }
}
