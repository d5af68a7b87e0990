//! RocksDB, through `rocksdb/c.h`.

use super::{Durability, Engine};
use crate::data::{Key, VALUE_LEN};
use std::ffi::{CStr, CString, c_char, c_double, c_int, c_uchar, c_void};
use std::path::Path;
use std::ptr;

type P = *mut c_void;

unsafe extern "C" {
    fn rocksdb_options_create() -> P;
    fn rocksdb_options_set_create_if_missing(options: P, on: c_uchar);
    fn rocksdb_options_increase_parallelism(options: P, threads: c_int);
    fn rocksdb_options_set_compression(options: P, kind: c_int);
    fn rocksdb_options_set_write_buffer_size(options: P, bytes: usize);
    fn rocksdb_options_set_max_write_buffer_number(options: P, count: c_int);
    fn rocksdb_options_set_max_open_files(options: P, count: c_int);
    fn rocksdb_options_set_block_based_table_factory(options: P, table: P);
    fn rocksdb_block_based_options_create() -> P;
    fn rocksdb_block_based_options_set_filter_policy(table: P, policy: P);
    fn rocksdb_block_based_options_set_block_cache(table: P, cache: P);
    fn rocksdb_block_based_options_set_data_block_index_type(table: P, kind: c_int);
    fn rocksdb_filterpolicy_create_bloom_full(bits: c_double) -> P;
    fn rocksdb_cache_create_lru(bytes: usize) -> P;
    fn rocksdb_options_set_memtable_whole_key_filtering(options: P, on: c_uchar);
    fn rocksdb_options_set_memtable_prefix_bloom_size_ratio(options: P, ratio: c_double);
    fn rocksdb_open_column_families(
        options: P,
        path: *const c_char,
        count: c_int,
        names: *const *const c_char,
        family_options: *const P,
        families: *mut P,
        error: *mut *mut c_char,
    ) -> P;
    fn rocksdb_column_family_handle_destroy(family: P);
    fn rocksdb_close(db: P);
    fn rocksdb_writeoptions_create() -> P;
    fn rocksdb_writeoptions_set_sync(options: P, on: c_uchar);
    fn rocksdb_readoptions_create() -> P;
    fn rocksdb_put(
        db: P,
        options: P,
        key: *const u8,
        key_len: usize,
        value: *const u8,
        value_len: usize,
        error: *mut *mut c_char,
    );
    fn rocksdb_delete(db: P, options: P, key: *const u8, key_len: usize, error: *mut *mut c_char);
    fn rocksdb_get_pinned(db: P, options: P, key: *const u8, key_len: usize, error: *mut *mut c_char) -> P;
    fn rocksdb_pinnableslice_value(slice: P, len: *mut usize) -> *const u8;
    fn rocksdb_pinnableslice_destroy(slice: P);
    fn rocksdb_writebatch_create() -> P;
    fn rocksdb_writebatch_put(batch: P, key: *const u8, key_len: usize, value: *const u8, value_len: usize);
    fn rocksdb_writebatch_destroy(batch: P);
    fn rocksdb_write(db: P, options: P, batch: P, error: *mut *mut c_char);
    fn rocksdb_batched_multi_get_cf(
        db: P,
        options: P,
        family: P,
        count: usize,
        keys: *const *const u8,
        key_lens: *const usize,
        values: *mut P,
        errors: *mut *mut c_char,
        is_sorted: bool,
    );
    fn rocksdb_flush(db: P, options: P, error: *mut *mut c_char);
    fn rocksdb_flushoptions_create() -> P;
}

const CACHE_BYTES: usize = 4 << 30;

pub fn about() -> String {
    let pkg = std::process::Command::new("pkg-config").args(["--modversion", "rocksdb"]).output();
    let version = pkg.ok().map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default();
    format!(
        "RocksDB {version}, C API; bloom filters of 10 bits, 4 GiB LRU cache, hash index in data blocks, no compression, 2 background threads, write buffers of 64 MiB with bloom filters, batched_multi_get; unsynced rows: WAL without sync; durable rows: WAL with sync"
    )
}

pub struct Rocks {
    db: P,
    write: P,
    read: P,
    family: P,
}

// SAFETY: the C API's handles are for all threads.
unsafe impl Sync for Rocks {}

fn check(error: *mut c_char) {
    if !error.is_null() {
        // SAFETY: RocksDB's errors are terminated strings.
        panic!("RocksDB: {}", unsafe { CStr::from_ptr(error) }.to_string_lossy());
    }
}

impl Rocks {
    pub fn open(directory: &Path, durability: Durability) -> Self {
        let path = CString::new(directory.join("db").to_str().unwrap()).unwrap();
        let mut error = ptr::null_mut();
        // SAFETY: as the C header asks; what is made here lives as long as the process.
        unsafe {
            let options = rocksdb_options_create();
            rocksdb_options_set_create_if_missing(options, 1);
            rocksdb_options_increase_parallelism(options, 2);
            rocksdb_options_set_compression(options, 0);
            rocksdb_options_set_write_buffer_size(options, 64 << 20);
            rocksdb_options_set_max_write_buffer_number(options, 4);
            rocksdb_options_set_max_open_files(options, -1);
            rocksdb_options_set_memtable_whole_key_filtering(options, 1);
            rocksdb_options_set_memtable_prefix_bloom_size_ratio(options, 0.1);
            let table = rocksdb_block_based_options_create();
            rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(10.0));
            rocksdb_block_based_options_set_block_cache(table, rocksdb_cache_create_lru(CACHE_BYTES));
            rocksdb_block_based_options_set_data_block_index_type(table, 1);
            rocksdb_options_set_block_based_table_factory(options, table);
            let write = rocksdb_writeoptions_create();
            rocksdb_writeoptions_set_sync(write, u8::from(durability == Durability::Power));
            let (name, mut family) = (c"default".as_ptr(), ptr::null_mut());
            let db = rocksdb_open_column_families(options, path.as_ptr(), 1, &name, &options, &mut family, &mut error);
            check(error);
            Self { db, write, read: rocksdb_readoptions_create(), family }
        }
    }

    fn pinned<R>(&self, key: &[u8], run: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let mut error = ptr::null_mut();
        // SAFETY: the slice is destroyed after `run`.
        unsafe {
            let slice = rocksdb_get_pinned(self.db, self.read, key.as_ptr(), key.len(), &mut error);
            check(error);
            if slice.is_null() {
                return None;
            }
            let mut len = 0;
            let data = rocksdb_pinnableslice_value(slice, &mut len);
            let result = run(std::slice::from_raw_parts(data, len));
            rocksdb_pinnableslice_destroy(slice);
            Some(result)
        }
    }
}

impl Engine for Rocks {
    fn set(&self, key: &[u8], value: &[u8]) {
        let mut error = ptr::null_mut();
        // SAFETY: the slices are readable.
        unsafe { rocksdb_put(self.db, self.write, key.as_ptr(), key.len(), value.as_ptr(), value.len(), &mut error) };
        check(error);
    }

    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        self.pinned(key, |value| out.extend_from_slice(value)).is_some()
    }

    fn del(&self, key: &[u8]) -> bool {
        let mut error = ptr::null_mut();
        // SAFETY: the slice is readable.
        unsafe { rocksdb_delete(self.db, self.write, key.as_ptr(), key.len(), &mut error) };
        check(error);
        true
    }

    fn batch(&self, pairs: &[(Key, [u8; VALUE_LEN])]) {
        let mut error = ptr::null_mut();
        // SAFETY: the batch is destroyed after the write.
        unsafe {
            let batch = rocksdb_writebatch_create();
            for (key, value) in pairs {
                rocksdb_writebatch_put(batch, key.as_ptr(), key.len(), value.as_ptr(), value.len());
            }
            rocksdb_write(self.db, self.write, batch, &mut error);
            rocksdb_writebatch_destroy(batch);
        }
        check(error);
    }

    fn get_many(&self, keys: &[Key], out: &mut Vec<u8>) -> usize {
        const COUNT_MAX: usize = 64;
        assert!(keys.len() <= COUNT_MAX);
        let mut pointers = [ptr::null(); COUNT_MAX];
        keys.iter().zip(&mut pointers).for_each(|(key, pointer)| *pointer = key.as_ptr());
        let lens = [size_of::<Key>(); COUNT_MAX];
        let mut values = [ptr::null_mut(); COUNT_MAX];
        let mut errors = [ptr::null_mut(); COUNT_MAX];
        let mut found = 0;
        // SAFETY: all arrays are at least as long as there are keys; each value is destroyed after it was copied.
        unsafe {
            rocksdb_batched_multi_get_cf(
                self.db,
                self.read,
                self.family,
                keys.len(),
                pointers.as_ptr(),
                lens.as_ptr(),
                values.as_mut_ptr(),
                errors.as_mut_ptr(),
                false,
            );
            for (value, error) in values.iter().zip(errors).take(keys.len()) {
                check(error);
                if !value.is_null() {
                    let mut len = 0;
                    let data = rocksdb_pinnableslice_value(*value, &mut len);
                    out.extend_from_slice(std::slice::from_raw_parts(data, len));
                    rocksdb_pinnableslice_destroy(*value);
                    found += 1;
                }
            }
        }
        found
    }

    fn view(&self, key: &[u8]) -> Option<usize> {
        self.pinned(key, |value| {
            std::hint::black_box(value[0]);
            value.len()
        })
    }

    fn close(self: Box<Self>) {
        let mut error = ptr::null_mut();
        // SAFETY: closed once.
        unsafe {
            rocksdb_flush(self.db, rocksdb_flushoptions_create(), &mut error);
            check(error);
            rocksdb_column_family_handle_destroy(self.family);
            rocksdb_close(self.db);
        }
    }
}
