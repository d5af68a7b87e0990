//! Larder, through its C ABI as `include/larder.h` declares it.

use super::{Durability, Engine, Key};
use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;
use std::ptr;

#[repr(C)]
struct Stats {
    struct_size: u32,
    reserved: u32,
    keys: u64,
    live_bytes: u64,
    dead_bytes: u64,
    file_bytes: u64,
    segments: u64,
    mapped_bytes: u64,
    index_bytes: u64,
}

#[repr(C)]
struct View {
    data: *const c_void,
    len: usize,
    version: u64,
    expires_at_ms: i64,
    pin: *mut c_void,
}

#[allow(clippy::missing_safety_doc)]
unsafe extern "C" {
    fn larder_options_new() -> *mut c_void;
    fn larder_options_set(options: *mut c_void, name: *const c_char, value: *const c_char, err: *mut c_void) -> i32;
    fn larder_options_free(options: *mut c_void);
    fn larder_open(location: *const c_char, options: *const c_void, out: *mut *mut c_void, err: *mut c_void) -> i32;
    fn larder_close(db: *mut c_void, err: *mut c_void) -> i32;
    fn larder_set(db: *mut c_void, key: *const u8, key_len: usize, value: *const u8, value_len: usize, err: *mut c_void) -> i32;
    fn larder_get_into(db: *mut c_void, key: *const u8, key_len: usize, buffer: *mut u8, capacity: usize, need: *mut usize, err: *mut c_void) -> i32;
    fn larder_del(db: *mut c_void, key: *const u8, key_len: usize, err: *mut c_void) -> i32;
    fn larder_write_packed(db: *mut c_void, ops: *const u8, len: usize, flags: u32, failed: *mut usize, err: *mut c_void) -> i32;
    fn larder_get_many_packed(db: *mut c_void, keys: *const u8, len: usize, out: *mut u8, capacity: usize, used: *mut usize, answered: *mut usize, err: *mut c_void) -> i32;
    fn larder_get_view(db: *mut c_void, key: *const u8, key_len: usize, view: *mut View, err: *mut c_void) -> i32;
    fn larder_view_release(view: *mut View);
    fn larder_stats_get(db: *mut c_void, stats: *mut Stats, err: *mut c_void) -> i32;
    fn larder_version_string() -> *const c_char;
}

pub fn about() -> String {
    // SAFETY: a static string, terminated.
    let version = unsafe { CStr::from_ptr(larder_version_string()) };
    format!("Larder {}, liblarder.so through the C ABI; unsynced rows: sync=none; durable rows: sync=always; all else as by default (every copying read is checked)", version.to_string_lossy())
}

pub struct Larder {
    db: *mut c_void,
}

// SAFETY: the handle is for any thread at any time, as the header says.
unsafe impl Sync for Larder {}

impl Larder {
    pub fn open(directory: &Path, durability: Durability) -> Self {
        let location = CString::new(directory.to_str().unwrap()).unwrap();
        let sync = if durability == Durability::Power { c"always" } else { c"none" };
        let mut db = ptr::null_mut();
        // SAFETY: terminated strings, options that are freed once, a writable output, no error wanted.
        unsafe {
            let options = larder_options_new();
            assert_eq!(larder_options_set(options, c"sync".as_ptr(), sync.as_ptr(), ptr::null_mut()), 0);
            assert_eq!(larder_open(location.as_ptr(), options, &mut db, ptr::null_mut()), 0);
            larder_options_free(options);
        }
        Self { db }
    }
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(8), 0);
}

impl Engine for Larder {
    fn set(&self, key: &[u8], value: &[u8]) {
        // SAFETY: the handle is open; both slices are readable.
        let status = unsafe { larder_set(self.db, key.as_ptr(), key.len(), value.as_ptr(), value.len(), ptr::null_mut()) };
        assert_eq!(status, 0);
    }

    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        let mut need = 0;
        loop {
            let room = out.spare_capacity_mut();
            // SAFETY: the spare room is writable for its length.
            let status = unsafe {
                larder_get_into(self.db, key.as_ptr(), key.len(), room.as_mut_ptr().cast(), room.len(), &mut need, ptr::null_mut())
            };
            match status {
                0 => {
                    // SAFETY: so many bytes were written behind the present end.
                    unsafe { out.set_len(out.len() + need) };
                    return true;
                }
                _ if need > room.len() => out.reserve(need),
                _ => return false,
            }
        }
    }

    fn del(&self, key: &[u8]) -> bool {
        // SAFETY: the handle is open; the slice is readable.
        unsafe { larder_del(self.db, key.as_ptr(), key.len(), ptr::null_mut()) == 0 }
    }

    fn batch(&self, pairs: &[(Key, Vec<u8>)]) {
        // { u32 op, u32 key_len, u64 value_len, i64 ttl_ms, key, value, zeros to 8 }*, as larder_write_packed says.
        let mut ops = Vec::with_capacity(pairs.len() * 160);
        for (key, value) in pairs {
            ops.extend_from_slice(&PACKED_SET.to_le_bytes());
            ops.extend_from_slice(&(key.len() as u32).to_le_bytes());
            ops.extend_from_slice(&(value.len() as u64).to_le_bytes());
            ops.extend_from_slice(&0_i64.to_le_bytes());
            ops.extend_from_slice(key);
            ops.extend_from_slice(value);
            pad(&mut ops);
        }
        // SAFETY: the handle is open; the buffer is readable.
        let status = unsafe { larder_write_packed(self.db, ops.as_ptr(), ops.len(), 0, ptr::null_mut(), ptr::null_mut()) };
        assert_eq!(status, 0);
    }

    fn get_many(&self, keys: &[Key], out: &mut Vec<u8>) -> usize {
        let mut packed = Vec::with_capacity(keys.len() * 24);
        for key in keys {
            packed.extend_from_slice(&(key.len() as u32).to_le_bytes());
            packed.extend_from_slice(key);
            pad(&mut packed);
        }
        let (mut used, mut answered) = (0, 0);
        out.reserve(keys.len() * 256);
        let room = out.spare_capacity_mut();
        // SAFETY: keys are readable, the room is writable, the outputs are ours.
        let status = unsafe {
            larder_get_many_packed(self.db, packed.as_ptr(), packed.len(), room.as_mut_ptr().cast(), room.len(), &mut used, &mut answered, ptr::null_mut())
        };
        assert_eq!((status, answered), (0, keys.len()));
        // SAFETY: so many bytes were written behind the present end.
        unsafe { out.set_len(out.len() + used) };
        answered
    }

    fn view(&self, key: &[u8]) -> Option<usize> {
        let mut view = View { data: ptr::null(), len: 0, version: 0, expires_at_ms: 0, pin: ptr::null_mut() };
        // SAFETY: the handle is open, the view is ours and released once.
        unsafe {
            assert_eq!(larder_get_view(self.db, key.as_ptr(), key.len(), &mut view, ptr::null_mut()), 0);
            let first = *view.data.cast::<u8>();
            std::hint::black_box(first);
            let len = view.len;
            larder_view_release(&mut view);
            Some(len)
        }
    }

    fn index_bytes(&self) -> Option<u64> {
        // SAFETY: zeros are a value of these integers.
        let mut stats: Stats = unsafe { std::mem::zeroed() };
        stats.struct_size = size_of::<Stats>() as u32;
        // SAFETY: the struct says how long it is.
        assert_eq!(unsafe { larder_stats_get(self.db, &mut stats, ptr::null_mut()) }, 0);
        Some(stats.index_bytes)
    }

    fn close(self: Box<Self>) {
        // SAFETY: closed once.
        assert_eq!(unsafe { larder_close(self.db, ptr::null_mut()) }, 0);
    }
}

const PACKED_SET: u32 = 1;
