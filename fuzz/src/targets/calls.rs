//! A sequence of C calls beside a map: each answers what the map says, whatever closed, killed itself or compacted between.

use crate::input::Input;
use ::larder::ffi::cursor::{larder_cursor_close, larder_cursor_next, larder_cursor_open};
use ::larder::ffi::error::{
    LARDER_CLOSED, LARDER_DONE, LARDER_EXISTS, LARDER_INVALID_ARGUMENT, LARDER_NOT_FOUND, LARDER_OK, larder_error,
};
use ::larder::ffi::expiry::{larder_expire, larder_ttl};
use ::larder::ffi::handle::{larder, larder_close, larder_open};
use ::larder::ffi::keys::{
    larder_del, larder_exists, larder_free, larder_get, larder_get_into, larder_set, larder_set_with,
};
use ::larder::ffi::options::{larder_options_free, larder_options_new, larder_options_set};
use ::larder::ffi::store::{larder_compact, larder_len, larder_sync, larder_verify};
use ::larder::ffi::view::{larder_get_view, larder_view, larder_view_release};
use std::collections::BTreeMap;
use std::ffi::{CString, c_void};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr::{null, null_mut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A store in a directory of its own, which goes with it.
pub(super) struct Opened {
    pub(super) handle: *mut larder,
    path: PathBuf,
    options: Vec<(&'static str, &'static str)>,
}

/// In memory where there is such a place: the disk is not what is tested here.
fn scratch() -> &'static PathBuf {
    static SCRATCH: OnceLock<PathBuf> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        let memory = PathBuf::from("/dev/shm");
        let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let path = base.join(format!("larder-fuzz-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a scratch directory");
        path
    })
}

/// Removes what stores left; for the end of a process.
pub fn clear() {
    let _ = fs::remove_dir_all(scratch());
}

impl Opened {
    /// A new, empty one.
    pub(super) fn fresh(options: &[(&'static str, &'static str)]) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let path = scratch().join(COUNT.fetch_add(1, Ordering::Relaxed).to_string());
        let mut opened = Self { handle: null_mut(), path, options: options.to_vec() };
        opened.open();
        opened
    }

    fn open(&mut self) {
        let text = |text: &str| CString::new(text).expect("no NUL in it");
        let path = CString::new(self.path.as_os_str().as_bytes()).expect("no NUL in it");
        let options = larder_options_new();
        let mut err = larder_error { status: 0, os_errno: 0, offset: 0, message: [0; 240] };
        // SAFETY: options and strings live through the calls, the outputs are variables.
        unsafe {
            for (name, value) in &self.options {
                assert_eq!(
                    larder_options_set(options, text(name).as_ptr(), text(value).as_ptr(), null_mut()),
                    LARDER_OK
                );
            }
            let status = larder_open(path.as_ptr(), options, &mut self.handle, &mut err);
            assert_eq!(status, LARDER_OK, "a store that was closed in order does not open");
            larder_options_free(options);
        }
    }

    fn close(&mut self) {
        // SAFETY: a handle may be closed any number of times.
        unsafe {
            assert_eq!(larder_close(self.handle, null_mut()), LARDER_OK);
            assert_eq!(larder_close(self.handle, null_mut()), LARDER_CLOSED);
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { larder_close(self.handle, null_mut()) };
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// What the map holds of a key.
#[derive(Clone)]
struct Held {
    value: Vec<u8>,
    expires: bool,
}

type Model = BTreeMap<Vec<u8>, Held>;

const OPTIONS: [&[(&str, &str)]; 4] = [
    &[("sync", "none"), ("segment_size", "64KiB")],
    &[("sync", "interval:5"), ("segment_size", "64KiB"), ("verify_reads", "all")],
    &[("sync", "always"), ("segment_size", "64KiB")],
    &[("sync", "none"), ("segment_size", "64KiB"), ("compaction", "manual"), ("verify_reads", "none")],
];

/// Long enough to be there at the end of the input.
const LONG_MS: i64 = 1 << 40;

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut store = Opened::fresh(OPTIONS[input.below(OPTIONS.len())]);
    let mut model = Model::new();
    for _ in 0..200 {
        if input.is_over() {
            break;
        }
        step(&mut input, &mut store, &mut model);
    }
    check_all(&store, &model);
    store.close();
    store.open();
    check_all(&store, &model);
}

fn value(input: &mut Input<'_>) -> Vec<u8> {
    let (len, byte) = (input.below(300), input.u8());
    // Now and then one that fills a segment, or more.
    let len = if byte == 0xFF { len * 300 } else { len };
    vec![byte; len]
}

fn at(bytes: &[u8]) -> *const c_void {
    if bytes.is_empty() { null() } else { bytes.as_ptr().cast() }
}

fn step(input: &mut Input<'_>, store: &mut Opened, model: &mut Model) {
    let op = input.u8();
    // Few keys, so that the same ones come again; the empty one too.
    let key = vec![input.u8() % 6; usize::from(op >> 4) % 4];
    let present = model.get(&key).cloned();
    let absent_or = |status: i32| if present.is_some() { status } else { LARDER_NOT_FOUND };
    let db = store.handle;
    // SAFETY: the store is open, slices and variables live through each call.
    unsafe {
        match op & 15 {
            0..=2 => {
                let value = value(input);
                assert_eq!(larder_set(db, at(&key), key.len(), at(&value), value.len(), null_mut()), LARDER_OK);
                model.insert(key, Held { value, expires: false });
            }
            3 | 4 => {
                assert_eq!(larder_del(db, at(&key), key.len(), null_mut()), absent_or(LARDER_OK));
                model.remove(&key);
            }
            5 | 6 => set_with(input, db, key, model),
            7 => {
                let ttl_ms = [-1, 0, LONG_MS, -2, i64::MAX][input.below(5)];
                let status = larder_expire(db, at(&key), key.len(), ttl_ms, null_mut());
                match ttl_ms {
                    -2 | i64::MAX => assert_eq!(status, LARDER_INVALID_ARGUMENT),
                    _ => assert_eq!(status, absent_or(LARDER_OK)),
                }
                match (model.get_mut(&key), ttl_ms) {
                    (Some(_), 0) => drop(model.remove(&key)),
                    (Some(held), -1) => held.expires = false,
                    (Some(held), LONG_MS) => held.expires = true,
                    _ => {}
                }
            }
            8 => check_key(db, &key, present.as_ref()),
            9 => {
                // Into a buffer that may be too small: then the length is said, and nothing is written.
                let capacity = input.below(400);
                let mut buffer = vec![0xEE_u8; capacity];
                let mut need = usize::MAX;
                let status = larder_get_into(
                    db,
                    at(&key),
                    key.len(),
                    buffer.as_mut_ptr().cast(),
                    capacity,
                    &mut need,
                    null_mut(),
                );
                if let Some(held) = &present {
                    assert_eq!(need, held.value.len());
                    assert_eq!(status == LARDER_OK, need <= capacity);
                    if status == LARDER_OK {
                        assert_eq!(buffer[..need], held.value);
                    }
                } else {
                    assert_eq!(status, LARDER_NOT_FOUND);
                }
            }
            10 => {
                let mut view = larder_view { data: null(), len: 0, version: 0, expires_at_ms: 0, pin: null_mut() };
                let status = larder_get_view(db, at(&key), key.len(), &mut view, null_mut());
                assert_eq!(status, absent_or(LARDER_OK));
                if let Some(held) = &present {
                    assert_eq!(larder_compact(db, null_mut()), LARDER_OK);
                    assert_eq!(std::slice::from_raw_parts(view.data.cast::<u8>(), view.len), held.value);
                    assert_eq!(view.expires_at_ms != 0, held.expires);
                }
                larder_view_release(&mut view);
                larder_view_release(&mut view);
            }
            11 => assert_eq!(larder_sync(db, null_mut()), LARDER_OK),
            12 => assert_eq!(larder_compact(db, null_mut()), LARDER_OK),
            13 => {
                let mut bad_records = u64::MAX;
                assert_eq!(larder_verify(db, &mut bad_records, null_mut()), LARDER_OK);
                assert_eq!(bad_records, 0);
            }
            14 => {
                store.close();
                store.open();
            }
            _ => check_all(store, model),
        }
    }
}

/// # Safety
/// `db` is an open store.
unsafe fn set_with(input: &mut Input<'_>, db: *mut larder, key: Vec<u8>, model: &mut Model) {
    let value = value(input);
    let ttl_ms = [0, -1, LONG_MS, -2][input.below(4)];
    let flags = u32::from(input.u8() % 9);
    let mut version = 0;
    // SAFETY: as the caller says; slices and variables live through the call.
    let status = unsafe {
        let (key_at, value_at) = (at(&key), at(&value));
        larder_set_with(db, key_at, key.len(), value_at, value.len(), ttl_ms, flags, &mut version, null_mut())
    };
    let present = model.get(&key);
    let expected = match (flags & 3, present) {
        _ if flags > 7 || flags & 3 == 3 || ttl_ms == -2 => LARDER_INVALID_ARGUMENT,
        (1, Some(_)) => LARDER_EXISTS,
        (2, None) => LARDER_NOT_FOUND,
        _ => LARDER_OK,
    };
    assert_eq!(status, expected, "flags {flags}, ttl {ttl_ms}");
    if status == LARDER_OK {
        assert!(version > 0);
        let expires = ttl_ms == LONG_MS || (ttl_ms == -1 && present.is_some_and(|held| held.expires));
        model.insert(key, Held { value, expires });
    }
}

/// # Safety
/// `db` is an open store.
unsafe fn check_key(db: *mut larder, key: &[u8], held: Option<&Held>) {
    let (mut value, mut len, mut ttl_ms) = (null_mut(), 0, i64::MIN);
    // SAFETY: as the caller says; what `larder_get` hands out is read and freed once.
    unsafe {
        let expected = if held.is_some() { LARDER_OK } else { LARDER_NOT_FOUND };
        assert_eq!(larder_get(db, at(key), key.len(), &mut value, &mut len, null_mut()), expected);
        assert_eq!(larder_exists(db, at(key), key.len(), null_mut()), expected);
        let status = larder_ttl(db, at(key), key.len(), &mut ttl_ms, null_mut());
        if let Some(held) = held {
            assert_eq!(std::slice::from_raw_parts(value.cast::<u8>(), len), held.value);
            assert_eq!((status, ttl_ms == -1), (LARDER_OK, !held.expires));
            larder_free(value);
        } else {
            // One that was expired may still be remembered.
            assert_ne!(status, LARDER_OK);
        }
    }
}

fn check_all(store: &Opened, model: &Model) {
    let mut cursor = null_mut();
    let mut count = 0;
    // SAFETY: the store is open; what the cursor hands out is read before its next step.
    unsafe {
        for (key, held) in model {
            check_key(store.handle, key, Some(held));
        }
        assert_eq!(larder_cursor_open(store.handle, null(), 0, &mut cursor, null_mut()), LARDER_OK);
        loop {
            let (mut key, mut key_len, mut value, mut value_len) = (null(), 0, null(), 0);
            let status = larder_cursor_next(cursor, &mut key, &mut key_len, &mut value, &mut value_len, null_mut());
            if status == LARDER_DONE {
                break;
            }
            assert_eq!(status, LARDER_OK);
            let key = std::slice::from_raw_parts(key.cast::<u8>(), key_len);
            let value = std::slice::from_raw_parts(value.cast::<u8>(), value_len);
            assert_eq!(model.get(key).map(|held| held.value.as_slice()), Some(value), "a cursor shows {key:?}");
            count += 1;
        }
        larder_cursor_close(cursor);
        let mut len = 0;
        assert_eq!(larder_len(store.handle, &mut len, null_mut()), LARDER_OK);
        // Those that expired a moment ago may still be counted.
        assert!(len >= model.len() as u64);
    }
    assert_eq!(count, model.len(), "a cursor shows each key once");
}
