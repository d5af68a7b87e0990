//! What the simulation promises to the tests that use it. A power cut is drawn from a seed, so what
//! *may* happen is shown by drawing many, and what must not by the same.

mod damage;
mod failures;
mod power;

use super::*;
use crate::storage::{AppendMap, File, LockError, MapAccess, Storage};

/// How many power cuts are drawn where something must happen in some of them. Miri looks at memory,
/// not at chances, and is slow: it draws a few and asserts only what must not happen.
const SEEDS: u64 = if cfg!(miri) { 3 } else { 400 };

/// A file that is durable, name and all.
fn durable_file(storage: &SimulatedStorage, name: &str, bytes: &[u8]) -> Box<dyn File> {
    let file = storage.create(name).unwrap();
    file.write_at(bytes, 0).unwrap();
    file.sync().unwrap();
    storage.sync_directory().unwrap();
    file
}

fn map_to_append(file: &dyn File, len: usize) -> AppendMap {
    AppendMap::new(file.map(len, MapAccess::ReadWrite).unwrap(), 0, 0..0, 0)
}

fn append(map: &AppendMap, bytes: &[u8]) {
    let mut claim = map.claim(bytes.len()).unwrap();
    claim.bytes().copy_from_slice(bytes);
    assert!(claim.publish());
}

fn errno<T>(result: std::io::Result<T>) -> i32 {
    result.err().expect("a failure").raw_os_error().unwrap()
}

/// In how many of the drawn cases `happens` is true.
fn count_of(happens: impl FnMut(u64) -> bool) -> usize {
    (0..SEEDS).map(happens).filter(|happened| *happened).count()
}

/// Asserts that something happens in some of the drawn cases, but not in all.
fn assert_sometimes(what: &str, happens: impl FnMut(u64) -> bool) {
    let count = count_of(happens);
    assert!(cfg!(miri) || count > 0 && count < SEEDS as usize, "{what}: in {count} of {SEEDS} cases");
}

#[test]
fn what_is_appended_through_a_map_is_read_from_the_file_and_the_other_way_round() {
    let storage = SimulatedStorage::new(1);
    let file = storage.create("a").unwrap();
    file.reserve(8192).unwrap();
    let map = map_to_append(&*file, 8192);
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
fn a_file_grows_by_writes_and_keeps_what_it_had() {
    let storage = SimulatedStorage::new(1);
    let file = storage.create("a").unwrap();
    for n in 0..100_u8 {
        file.write_at(&[n; 7], u64::from(n) * 10).unwrap();
    }
    assert_eq!(file.len().unwrap(), 997);
    let expected: Vec<u8> = (0..997).map(|at| if at % 10 < 7 { (at / 10) as u8 } else { 0 }).collect();
    assert_eq!(storage.read_file("a"), expected);
}

#[test]
fn an_unlinked_file_stays_usable_through_its_handle_and_its_map() {
    let storage = SimulatedStorage::new(1);
    let file = durable_file(&storage, "a", &[7; 4096]);
    let map = file.map(4096, MapAccess::ReadOnly).unwrap().into_bytes();
    storage.remove("a").unwrap();
    storage.sync_directory().unwrap();
    assert_eq!(storage.names(), Vec::<String>::new());
    assert_eq!(errno(storage.open("a", MapAccess::ReadOnly)), libc::ENOENT);
    assert_eq!(file.len().unwrap(), 4096);
    drop(file);
    storage.sync_directory().unwrap();
    drop(storage);
    assert_eq!(map.read(0..4096).unwrap(), [7; 4096]);
}

#[test]
fn the_directory_answers_like_a_file_system() {
    let storage = SimulatedStorage::new(1);
    storage.create("a").unwrap();
    assert_eq!(errno(storage.create("a")), libc::EEXIST);
    assert_eq!(errno(storage.rename("b", "c")), libc::ENOENT);
    assert_eq!(errno(storage.remove("b")), libc::ENOENT);
    storage.create("b").unwrap().write_at(b"b", 0).unwrap();
    storage.rename("b", "a").unwrap();
    assert_eq!(storage.list().unwrap(), ["a"]);
    assert_eq!(storage.read_file("a"), b"b");
    storage.rename("a", "a").unwrap();
    assert_eq!(storage.read_file("a"), b"b");
    let read_only = storage.open("a", MapAccess::ReadOnly).unwrap();
    assert_eq!(errno(read_only.write_at(b"x", 0)), libc::EBADF);
    assert_eq!(errno(read_only.reserve(10)), libc::EBADF);
    assert_eq!(errno(read_only.punch_hole(0, 10)), libc::EBADF);
    assert_eq!(errno(read_only.map(1, MapAccess::ReadWrite)), libc::EACCES);
    assert_eq!(read_only.map(2, MapAccess::ReadOnly).err().unwrap().kind(), std::io::ErrorKind::UnexpectedEof);
    assert_eq!(read_only.map(0, MapAccess::ReadOnly).unwrap().len(), 0);
    assert_eq!(storage.read_file("a"), b"b");
}

#[test]
fn the_lock_is_busy_while_its_guard_lives_and_free_after_a_kill() {
    let storage = SimulatedStorage::new(1);
    storage.probe_lock().unwrap();
    let guard = storage.lock().unwrap();
    let pid = std::process::id();
    assert!(matches!(storage.lock(), Err(LockError::Busy { pid: owner }) if owner == pid));
    assert!(matches!(storage.probe_lock(), Err(LockError::Busy { pid: owner }) if owner == pid));
    assert_eq!(storage.read_file("LOCK"), format!("{pid}\n").into_bytes());
    let next = storage.kill();
    let next_guard = next.lock().unwrap();
    drop(guard);
    assert!(matches!(next.probe_lock(), Err(LockError::Busy { .. })), "an old guard has no say in the new one");
    drop(next_guard);
    next.lock().unwrap();
}

#[test]
fn the_clock_is_set_by_hand_and_kept_over_a_crash() {
    let storage = SimulatedStorage::new(1);
    storage.set_now_ms(5000);
    storage.advance_ms(250);
    assert_eq!(storage.now_ms(), 5250);
    storage.advance_ms(-1250);
    assert_eq!(storage.now_ms(), 4000);
    assert_eq!(storage.crash(1).now_ms(), 4000);
}

#[test]
fn the_same_seed_gives_the_same_story_and_another_one_another() {
    let story = |seed| {
        let storage = SimulatedStorage::new(seed);
        let file = durable_file(&storage, "a", &[1; 9000]);
        file.write_at(&[2; 9000], 0).unwrap();
        storage.rename("a", "b").unwrap();
        let identity = storage.random_u64();
        let after = storage.crash(seed);
        (identity, after.random_u64(), after.names(), after.read_file(&after.names()[0]))
    };
    assert_eq!(story(7), story(7));
    assert_ne!(story(7).0, story(8).0);
    assert_ne!(story(7).0, story(7).1);
}

#[test]
fn the_trace_names_the_calls_in_order() {
    let storage = SimulatedStorage::new(1);
    let _guard = storage.lock().unwrap();
    let file = storage.create("MANIFEST.new").unwrap();
    file.reserve(4096).unwrap();
    file.write_at(b"edit", 0).unwrap();
    storage.fail_kind(CallKind::Sync, 1, libc::EIO);
    file.sync().unwrap_err();
    storage.rename("MANIFEST.new", "MANIFEST").unwrap();
    file.sync().unwrap();
    storage.sync_directory().unwrap();
    let map = file.map(4096, MapAccess::ReadWrite).unwrap();
    storage.remove("MANIFEST").unwrap();
    file.punch_hole(0, 4096).unwrap();
    assert_eq!(file.len().unwrap(), map.len() as u64);
    let expected = [
        "lock",
        "create MANIFEST.new",
        "reserve MANIFEST.new 4096",
        "write MANIFEST.new 0+4",
        "sync MANIFEST.new = errno 5",
        "rename MANIFEST.new MANIFEST",
        "sync MANIFEST",
        "sync-directory",
        "map MANIFEST 4096",
        "remove MANIFEST",
        "punch (unlinked) 0+4096",
        "len (unlinked)",
    ];
    assert_eq!(storage.trace(), expected);
    assert_eq!(storage.call_count(), expected.len() as u64);
    storage.clear_trace();
    assert_eq!(storage.trace(), Vec::<String>::new());
}
