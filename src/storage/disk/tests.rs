//! The real directory, on whatever file system the temporary directory is on; where that cannot be
//! had otherwise, on small ones mounted for one thread only, which takes root.

mod locking;
mod opening;
mod refusals;
mod staging;

use super::*;
use crate::storage::AppendMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A directory of its own for one test, removed with it.
pub(in crate::storage) struct Scratch(PathBuf);

impl Scratch {
    pub(in crate::storage) fn new() -> Self {
        let template = std::env::temp_dir().join("larder-test-XXXXXX");
        let mut template = CString::new(template.as_os_str().as_bytes()).unwrap().into_bytes_with_nul();
        // SAFETY: the template is writable and NUL-terminated.
        let made = unsafe { libc::mkdtemp(template.as_mut_ptr().cast()) };
        assert!(!made.is_null(), "{}", io::Error::last_os_error());
        template.pop();
        Self(PathBuf::from(String::from_utf8(template).unwrap()))
    }

    pub(in crate::storage) fn path(&self) -> &Path {
        &self.0
    }

    pub(in crate::storage) fn storage(&self) -> DiskStorage {
        DiskStorage::open(self.path(), true, false).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn errno<T>(result: io::Result<T>) -> i32 {
    result.err().expect("a failure").raw_os_error().unwrap()
}

/// Starts this test program again for one test only, which acts on the directory at `path`.
fn start_again(test: &str, path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("storage::disk::tests::{test}"), "--nocapture", "--test-threads=1"])
        .env(DIRECTORY_VARIABLE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Where a test started by `start_again` acts; `None` in an ordinary run.
fn told_directory() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY_VARIABLE).map(PathBuf::from)
}

const DIRECTORY_VARIABLE: &str = "LARDER_TEST_DIRECTORY";

fn blocks_len(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().blocks() * 512
}

#[test]
fn what_is_appended_through_a_map_is_read_from_the_file_and_the_other_way_round() {
    let scratch = Scratch::new();
    let storage = scratch.storage();
    let file = storage.create("a").unwrap();
    file.reserve(8192).unwrap();
    let map = AppendMap::new(file.map(8192, MapAccess::ReadWrite).unwrap(), 0, 0..0, 0);
    let mut claim = map.claim(15).unwrap();
    claim.bytes().copy_from_slice(b"through the map");
    assert!(claim.publish());
    let mut read = [0; 15];
    file.read_at(&mut read, 0).unwrap();
    assert_eq!(&read, b"through the map");
    file.write_at(b"X", 8).unwrap();
    assert_eq!(map.read(0..15).unwrap(), b"through Xhe map");
    assert_eq!(file.read_at(&mut read, 8190).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    file.sync().unwrap();
    storage.sync_directory().unwrap();
    storage.remove("a").unwrap();
    drop((file, storage));
    assert_eq!(map.read(0..15).unwrap(), b"through Xhe map");
}

#[test]
fn the_directory_creates_lists_renames_and_removes() {
    let scratch = Scratch::new();
    let storage = scratch.storage();
    let sorted = || {
        let mut names = storage.list().unwrap();
        names.sort();
        names
    };
    assert_eq!(sorted(), Vec::<String>::new());
    for n in 0..300 {
        storage.create(&format!("{n:03}")).unwrap();
    }
    assert_eq!(sorted().len(), 300);
    assert_eq!(sorted().len(), 300, "a list does not start where the last one ended");
    for n in 2..300 {
        storage.remove(&format!("{n:03}")).unwrap();
    }
    assert_eq!(errno(storage.create("000")), libc::EEXIST);
    storage.open("000", MapAccess::ReadWrite).unwrap().write_at(b"zero", 0).unwrap();
    storage.rename("000", "001").unwrap();
    storage.sync_directory().unwrap();
    assert_eq!(sorted(), ["001"]);
    assert_eq!(std::fs::read(scratch.path().join("001")).unwrap(), b"zero");
    assert_eq!(errno(storage.open("000", MapAccess::ReadOnly)), libc::ENOENT);
    assert_eq!(errno(storage.remove("000")), libc::ENOENT);
    assert_eq!(errno(storage.rename("000", "002")), libc::ENOENT);
}

#[test]
fn reserved_space_has_blocks_reads_as_zeros_and_keeps_what_was_there() {
    let scratch = Scratch::new();
    let storage = scratch.storage();
    let file = storage.create("a").unwrap();
    file.write_at(b"kept", 0).unwrap();
    file.reserve(0).unwrap();
    file.reserve(1 << 20).unwrap();
    assert_eq!(file.len().unwrap(), 1 << 20);
    assert!(blocks_len(&scratch.path().join("a")) >= 1 << 20);
    file.reserve(4096).unwrap();
    assert_eq!(file.len().unwrap(), 1 << 20, "a reservation never shortens");
    let mut read = vec![1; 1 << 20];
    file.read_at(&mut read, 0).unwrap();
    assert_eq!(&read[..4], b"kept");
    assert!(read[4..].iter().all(|byte| *byte == 0));
}

#[test]
fn a_punched_hole_is_rounded_inwards_and_gives_blocks_back() {
    let scratch = Scratch::new();
    let file = scratch.storage().create("a").unwrap();
    file.write_at(&[1; 16 * 4096], 0).unwrap();
    file.sync().unwrap();
    let before = blocks_len(&scratch.path().join("a"));
    file.punch_hole(100, 4096).unwrap();
    file.punch_hole(4095, 4097).unwrap();
    file.punch_hole(u64::MAX - 10, 10).unwrap();
    file.punch_hole(2 * 4096 - 1, 6 * 4096 + 2).unwrap();
    let bytes = std::fs::read(scratch.path().join("a")).unwrap();
    let expected: Vec<u8> = (0..16).flat_map(|page| [u8::from(!(1..=7).contains(&page)); 4096]).collect();
    assert_eq!(bytes.len(), 16 * 4096);
    assert!(bytes == expected, "pages 1 to 7 are holes and nothing else is");
    assert!(blocks_len(&scratch.path().join("a")) < before);
}

#[test]
fn a_map_lies_inside_the_file_and_may_be_empty() {
    let scratch = Scratch::new();
    let storage = scratch.storage();
    let file = storage.create("a").unwrap();
    assert!(file.map(0, MapAccess::ReadOnly).unwrap().is_empty());
    file.write_at(&[1; 100], 0).unwrap();
    assert_eq!(file.map(101, MapAccess::ReadOnly).err().unwrap().kind(), io::ErrorKind::UnexpectedEof);
    let read_only = storage.open("a", MapAccess::ReadOnly).unwrap();
    assert_eq!(errno(read_only.map(100, MapAccess::ReadWrite)), libc::EACCES);
    let map = read_only.map(100, MapAccess::ReadOnly).unwrap().into_bytes();
    assert_eq!(map.read(0..100).unwrap(), [1; 100]);
}

#[test]
fn a_store_stays_in_its_directory_when_that_is_renamed() {
    let scratch = Scratch::new();
    let (old, new) = (scratch.path().join("old"), scratch.path().join("new"));
    let storage = DiskStorage::open(&old, true, false).unwrap();
    std::fs::rename(&old, &new).unwrap();
    let impostor = DiskStorage::open(&old, true, false).unwrap();
    storage.create("a").unwrap();
    assert_eq!(storage.list().unwrap(), ["a"]);
    assert_eq!(impostor.list().unwrap(), Vec::<String>::new());
    assert!(new.join("a").exists());
}

#[test]
fn every_descriptor_is_closed_on_exec() {
    let scratch = Scratch::new();
    let storage = scratch.storage();
    let _file = storage.create("a").unwrap();
    let _guard = storage.lock().unwrap();
    let mut checked_count = 0;
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let entry = entry.unwrap();
        if std::fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(scratch.path())) {
            let number: i32 = entry.file_name().to_str().unwrap().parse().unwrap();
            // SAFETY: only asks for the descriptor's flags.
            let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
            assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
            checked_count += 1;
        }
    }
    assert_eq!(checked_count, 3, "the directory, the file and the lock");
}

#[test]
fn clock_and_randomness_are_the_systems() {
    let scratch = Scratch::new();
    let storage = scratch.storage();
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    assert!((now_ms..now_ms + 5000).contains(&storage.now_ms()));
    assert_ne!(storage.random_u64(), storage.random_u64());
    assert!((0..8).any(|_| storage.random_u64() >> 56 != 0), "all bytes are drawn");
}
