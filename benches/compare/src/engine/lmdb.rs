//! LMDB, through `lmdb.h`: one transaction an operation, or one read transaction held.

use super::{Durability, Engine, Get};
use crate::data::{Key, VALUE_LEN};
use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::path::Path;
use std::ptr;

#[repr(C)]
struct Val {
    len: usize,
    data: *const c_void,
}

unsafe extern "C" {
    fn mdb_version(major: *mut c_int, minor: *mut c_int, patch: *mut c_int) -> *const c_char;
    fn mdb_env_create(env: *mut *mut c_void) -> c_int;
    fn mdb_env_set_mapsize(env: *mut c_void, size: usize) -> c_int;
    fn mdb_env_set_maxreaders(env: *mut c_void, readers: c_uint) -> c_int;
    fn mdb_env_open(env: *mut c_void, path: *const c_char, flags: c_uint, mode: c_uint) -> c_int;
    fn mdb_env_sync(env: *mut c_void, force: c_int) -> c_int;
    fn mdb_env_close(env: *mut c_void);
    fn mdb_txn_begin(env: *mut c_void, parent: *mut c_void, flags: c_uint, txn: *mut *mut c_void) -> c_int;
    fn mdb_txn_commit(txn: *mut c_void) -> c_int;
    fn mdb_txn_abort(txn: *mut c_void);
    fn mdb_txn_reset(txn: *mut c_void);
    fn mdb_txn_renew(txn: *mut c_void) -> c_int;
    fn mdb_dbi_open(txn: *mut c_void, name: *const c_char, flags: c_uint, dbi: *mut c_uint) -> c_int;
    fn mdb_get(txn: *mut c_void, dbi: c_uint, key: *const Val, data: *mut Val) -> c_int;
    fn mdb_put(txn: *mut c_void, dbi: c_uint, key: *const Val, data: *const Val, flags: c_uint) -> c_int;
    fn mdb_del(txn: *mut c_void, dbi: c_uint, key: *const Val, data: *const Val) -> c_int;
}

const NO_SYNC: c_uint = 0x10000;
const READ_ONLY: c_uint = 0x20000;
const WRITE_MAP: c_uint = 0x80000;
const NO_TLS: c_uint = 0x200000;
const NO_READ_AHEAD: c_uint = 0x800000;
const MAP_BYTES: usize = 64 << 30;

pub fn about() -> String {
    // SAFETY: a static string, terminated.
    let version = unsafe { CStr::from_ptr(mdb_version(ptr::null_mut(), ptr::null_mut(), ptr::null_mut())) };
    format!(
        "{}; one transaction an operation, those that read renewed instead of begun, NOTLS, NORDAHEAD; unsynced rows: WRITEMAP, NOSYNC; durable rows: a sync at each commit, without WRITEMAP, which is slower there",
        version.to_string_lossy()
    )
}

thread_local! {
    /// This thread's read transaction, reset.
    static READER: Cell<*mut c_void> = const { Cell::new(ptr::null_mut()) };
}

pub struct Lmdb {
    env: *mut c_void,
    dbi: c_uint,
}

// SAFETY: an environment is for all threads; each transaction here stays on its own.
unsafe impl Sync for Lmdb {}

fn val(bytes: &[u8]) -> Val {
    Val { len: bytes.len(), data: bytes.as_ptr().cast() }
}

impl Lmdb {
    pub fn open(directory: &Path, durability: Durability) -> Self {
        let path = CString::new(directory.to_str().unwrap()).unwrap();
        let sync = if durability == Durability::Power { 0 } else { WRITE_MAP | NO_SYNC };
        let (mut env, mut txn, mut dbi) = (ptr::null_mut(), ptr::null_mut(), 0);
        // SAFETY: called in the order that lmdb.h asks for.
        unsafe {
            assert_eq!(mdb_env_create(&mut env), 0);
            assert_eq!(mdb_env_set_mapsize(env, MAP_BYTES), 0);
            assert_eq!(mdb_env_set_maxreaders(env, 256), 0);
            assert_eq!(mdb_env_open(env, path.as_ptr(), NO_TLS | NO_READ_AHEAD | sync, 0o600), 0);
            assert_eq!(mdb_txn_begin(env, ptr::null_mut(), 0, &mut txn), 0);
            assert_eq!(mdb_dbi_open(txn, ptr::null(), 0, &mut dbi), 0);
            assert_eq!(mdb_txn_commit(txn), 0);
        }
        Self { env, dbi }
    }

    fn write<R>(&self, run: impl FnOnce(*mut c_void) -> R) -> R {
        let mut txn = ptr::null_mut();
        // SAFETY: begun and committed on this thread.
        unsafe {
            assert_eq!(mdb_txn_begin(self.env, ptr::null_mut(), 0, &mut txn), 0);
            let result = run(txn);
            assert_eq!(mdb_txn_commit(txn), 0);
            result
        }
    }

    fn read<R>(&self, run: impl FnOnce(*mut c_void) -> R) -> R {
        let mut txn = READER.get();
        // SAFETY: begun once on this thread, and reset after each use. A process opens one environment only.
        unsafe {
            if txn.is_null() {
                assert_eq!(mdb_txn_begin(self.env, ptr::null_mut(), READ_ONLY, &mut txn), 0);
                READER.set(txn);
            } else {
                assert_eq!(mdb_txn_renew(txn), 0);
            }
            let result = run(txn);
            mdb_txn_reset(txn);
            result
        }
    }

    fn get_in(&self, txn: *mut c_void, key: &[u8], out: &mut Vec<u8>) -> bool {
        let mut data = Val { len: 0, data: ptr::null() };
        // SAFETY: the value is copied before the transaction ends.
        unsafe {
            if mdb_get(txn, self.dbi, &val(key), &mut data) != 0 {
                return false;
            }
            out.extend_from_slice(std::slice::from_raw_parts(data.data.cast(), data.len));
        }
        true
    }
}

impl Engine for Lmdb {
    fn set(&self, key: &[u8], value: &[u8]) {
        // SAFETY: the transaction lives; the slices are readable.
        self.write(|txn| assert_eq!(unsafe { mdb_put(txn, self.dbi, &val(key), &val(value), 0) }, 0));
    }

    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        self.read(|txn| self.get_in(txn, key, out))
    }

    fn del(&self, key: &[u8]) -> bool {
        // SAFETY: as for `set`.
        self.write(|txn| unsafe { mdb_del(txn, self.dbi, &val(key), ptr::null()) } == 0)
    }

    fn batch(&self, pairs: &[(Key, [u8; VALUE_LEN])]) {
        self.write(|txn| {
            for (key, value) in pairs {
                // SAFETY: as for `set`.
                assert_eq!(unsafe { mdb_put(txn, self.dbi, &val(key), &val(value), 0) }, 0);
            }
        });
    }

    fn get_many(&self, keys: &[Key], out: &mut Vec<u8>) -> usize {
        self.read(|txn| keys.iter().filter(|key| self.get_in(txn, key.as_slice(), out)).count())
    }

    fn with_snapshot(&self, run: &mut dyn FnMut(&mut Get)) -> bool {
        self.read(|txn| run(&mut |key, out| self.get_in(txn, key, out)));
        true
    }

    fn view(&self, key: &[u8]) -> Option<usize> {
        self.read(|txn| {
            let mut data = Val { len: 0, data: ptr::null() };
            // SAFETY: the value is looked at before the transaction ends.
            unsafe {
                assert_eq!(mdb_get(txn, self.dbi, &val(key), &mut data), 0);
                std::hint::black_box(*data.data.cast::<u8>());
            }
            Some(data.len)
        })
    }

    fn close(self: Box<Self>) {
        let reader = READER.replace(ptr::null_mut());
        // SAFETY: of this thread no transaction is left; others have ended.
        unsafe {
            if !reader.is_null() {
                mdb_txn_abort(reader);
            }
            assert_eq!(mdb_env_sync(self.env, 1), 0);
            mdb_env_close(self.env);
        }
    }
}
