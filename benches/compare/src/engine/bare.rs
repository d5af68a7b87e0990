//! What the machine can do, without a store: a group commit with nothing behind it, and a copy into a populated map.
//!
//! Durable: the log of a store that has no index, no checksums and no format. Threads put their record into a buffer;
//! whoever finds no write under way writes all that is there with one `pwritev2(RWF_DSYNC)` into room that was reserved
//! before. Unsynced: values are copied into, and out of, a mapping whose pages are all there.

use super::{Durability, Engine};
use crate::data::{Key, LARGE_LEN, VALUE_LEN};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::{Condvar, Mutex};

pub const ABOUT: &str = "no store: durable rows: a group commit of 136-byte records by pwritev2(RWF_DSYNC) into room \
    reserved by fallocate; rows of 64 KiB: memcpy into and out of a populated map of a file";

const RECORD_LEN: usize = 136;
const FILE_BYTES: usize = 1 << 30;
const SLOT_COUNT: usize = 4_096;

#[derive(Default)]
struct Group {
    waiting: Vec<u8>,
    last_ticket: u64,
    durable_ticket: u64,
    is_writing: bool,
    end: i64,
}

pub struct Bare {
    file: File,
    durability: Durability,
    group: Mutex<Group>,
    written: Condvar,
    /// The mapping, and how many values were put into it.
    map: Mutex<(Map, usize)>,
}

struct Map(*mut u8);

// SAFETY: the mapping is touched under its mutex, and lives as long as the process.
unsafe impl Send for Map {}

impl Bare {
    pub fn open(directory: &Path, durability: Durability) -> Self {
        let path = directory.join("bare");
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap();
        // SAFETY: an open file; a mapping of its whole reserved length at an address of the kernel's choice.
        let map = unsafe {
            assert_eq!(libc::posix_fallocate(file.as_raw_fd(), 0, FILE_BYTES as i64), 0);
            let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
            let len = if durability == Durability::Power { 4096 } else { SLOT_COUNT * LARGE_LEN };
            let map = libc::mmap(std::ptr::null_mut(), len, access, flags, file.as_raw_fd(), 0);
            assert_ne!(map, libc::MAP_FAILED);
            map.cast::<u8>().write_bytes(1, len);
            map.cast()
        };
        let group = Mutex::default();
        Self { file, durability, group, written: Condvar::new(), map: Mutex::new((Map(map), 0)) }
    }

    fn commit(&self, key: &[u8], value: &[u8]) {
        let mut group = self.group.lock().unwrap();
        group.waiting.extend_from_slice(key);
        group.waiting.extend_from_slice(value);
        let padding = RECORD_LEN - key.len() - value.len();
        group.waiting.extend(std::iter::repeat_n(0, padding));
        group.last_ticket += 1;
        let ticket = group.last_ticket;
        while group.durable_ticket < ticket {
            if group.is_writing {
                group = self.written.wait(group).unwrap();
                continue;
            }
            group.is_writing = true;
            drop(group);
            // Those that the last write has just woken get to add theirs.
            std::thread::yield_now();
            group = self.group.lock().unwrap();
            let (records, upto, at) = (std::mem::take(&mut group.waiting), group.last_ticket, group.end);
            group.end += records.len() as i64;
            drop(group);
            let part = libc::iovec { iov_base: records.as_ptr().cast_mut().cast(), iov_len: records.len() };
            // SAFETY: one part, readable for its length, is written within the reserved room.
            let wrote = unsafe {
                libc::pwritev2(self.file.as_raw_fd(), &part, 1, at % (FILE_BYTES as i64 / 2), libc::RWF_DSYNC)
            };
            assert_eq!(usize::try_from(wrote), Ok(records.len()));
            group = self.group.lock().unwrap();
            group.durable_ticket = upto;
            group.is_writing = false;
            self.written.notify_all();
        }
    }
}

impl Engine for Bare {
    fn set(&self, key: &[u8], value: &[u8]) {
        if self.durability == Durability::Power {
            return self.commit(key, value);
        }
        let mut map = self.map.lock().unwrap();
        assert!(value.len() <= LARGE_LEN);
        let at = map.1 % SLOT_COUNT * LARGE_LEN;
        map.1 += 1;
        // SAFETY: the slot is inside the mapping, and the mutex keeps others out.
        unsafe { map.0.0.add(at).copy_from_nonoverlapping(value.as_ptr(), value.len()) };
    }

    /// Any slot that the key stands for: there is no index.
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        let map = self.map.lock().unwrap();
        let slot = usize::from(key[0]) | usize::from(key[1]) << 8;
        // SAFETY: as in `set`.
        unsafe {
            let value = map.0.0.add(slot % SLOT_COUNT.min(map.1.max(1)) * LARGE_LEN);
            out.extend_from_slice(std::slice::from_raw_parts(value, LARGE_LEN));
        }
        true
    }

    fn del(&self, _key: &[u8]) -> bool {
        false
    }

    fn batch(&self, pairs: &[(Key, [u8; VALUE_LEN])]) {
        pairs.iter().for_each(|(key, value)| self.set(key, value));
    }

    fn close(self: Box<Self>) {}
}
