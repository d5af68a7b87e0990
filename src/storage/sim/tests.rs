//! What the simulation promises to tests that use it.

use super::*;
use crate::storage::{AppendMap, File, LockError, MapAccess, Storage};

/// How many crashes are drawn where something must happen in some of them.
const SEEDS: u64 = if cfg!(miri) { 40 } else { 400 };

fn file_with(storage: &SimulatedStorage, name: &str, bytes: &[u8]) -> Box<dyn File> {
    let file = storage.create(name).unwrap();
    file.write_at(bytes, 0).unwrap();
    file.sync().unwrap();
    storage.sync_directory().unwrap();
    file
}

fn appendable(file: &dyn File, len: usize) -> AppendMap {
    AppendMap::new(file.map(len, MapAccess::ReadWrite).unwrap(), 0, 0..0, 0)
}

fn append(map: &AppendMap, bytes: &[u8]) {
    let mut claim = map.claim(bytes.len()).unwrap();
    claim.bytes().copy_from_slice(bytes);
    assert!(claim.publish());
}

fn errno<T>(result: std::io::Result<T>) -> i32 {
    result.err().unwrap().raw_os_error().unwrap()
}

#[test]
fn what_is_appended_through_a_map_is_read_from_the_file_and_the_other_way_round() {
    let storage = SimulatedStorage::new(1);
    let file = storage.create("a").unwrap();
    file.reserve(8192).unwrap();
    let map = appendable(&*file, 8192);
    append(&map, b"through the map");
    let mut read = [0; 15];
    file.read_at(&mut read, 0).unwrap();
    assert_eq!(&read, b"through the map");
    file.write_at(b"X", 8).unwrap();
    assert_eq!(map.read(0..15).unwrap(), b"through Xhe map");
    assert_eq!(storage.read_file("a")[..15], *b"through Xhe map");
    assert_eq!(file.read_at(&mut read, 8190).unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn what_was_synced_is_never_lost() {
    let bytes: Vec<u8> = (0..20_000_u32).map(|n| n as u8 | 1).collect();
    for seed in 0..SEEDS {
        let storage = SimulatedStorage::new(seed);
        let file = file_with(&storage, "a", &bytes);
        file.write_at(&[0; 100], 20_000).unwrap();
        let after = storage.crash(seed);
        assert_eq!(after.read_file("a")[..bytes.len()], bytes);
    }
}

#[test]
fn the_lock_is_busy_while_its_guard_lives_and_free_after_a_kill() {
    let storage = SimulatedStorage::new(1);
    storage.probe_lock().unwrap();
    let guard = storage.lock().unwrap();
    let pid = std::process::id();
    assert!(matches!(storage.lock(), Err(LockError::Busy { pid: owner }) if owner == pid));
    assert!(matches!(storage.probe_lock(), Err(LockError::Busy { pid: owner }) if owner == pid));
    let next = storage.kill();
    next.lock().unwrap();
    drop(guard);
    assert_eq!(storage.read_file("LOCK"), format!("{pid}\n").into_bytes());
    assert_eq!(errno(storage.list()), libc::EIO);
}
