//! Calls that fail, a full disk, and what the simulation refuses.

use super::*;

#[test]
fn the_nth_call_fails_with_its_errno_and_the_next_one_does_not() {
    let storage = SimulatedStorage::new(1);
    storage.fail_call(2, libc::ENOMEM);
    storage.create("a").unwrap();
    assert_eq!(errno(storage.create("b")), libc::ENOMEM);
    storage.create("b").unwrap();
    storage.fail_call(1, libc::EIO);
    storage.clear_failures();
    storage.create("c").unwrap();
}

#[test]
fn the_nth_call_of_a_kind_fails_and_changes_nothing() {
    let storage = SimulatedStorage::new(1);
    let file = durable_file(&storage, "a", &[1; 100]);
    let before = (storage.names(), storage.read_file("a"), storage.space_used());
    for (kind, n) in [
        (CallKind::List, 1),
        (CallKind::Create, 1),
        (CallKind::Open, 2),
        (CallKind::Rename, 1),
        (CallKind::Remove, 1),
        (CallKind::SyncDirectory, 1),
        (CallKind::Lock, 1),
        (CallKind::ProbeLock, 1),
        (CallKind::Len, 1),
        (CallKind::ReadAt, 2),
        (CallKind::Reserve, 1),
        (CallKind::PunchHole, 1),
        (CallKind::Sync, 1),
        (CallKind::Map, 1),
    ] {
        storage.fail_kind(kind, n, libc::EDQUOT);
        let once = || match kind {
            CallKind::List => storage.list().map(drop),
            CallKind::Create => storage.create("b").map(drop),
            CallKind::Open => storage.open("a", MapAccess::ReadOnly).map(drop),
            CallKind::Rename => storage.rename("a", "b"),
            CallKind::Remove => storage.remove("a"),
            CallKind::SyncDirectory => storage.sync_directory(),
            CallKind::Lock => storage.lock().map(drop).map_err(io_of),
            CallKind::ProbeLock => storage.probe_lock().map_err(io_of),
            CallKind::Len => file.len().map(drop),
            CallKind::ReadAt => file.read_at(&mut [0; 10], 0),
            CallKind::WriteAt => file.write_at(&[0; 10], 0),
            CallKind::Reserve => file.reserve(10_000),
            CallKind::PunchHole => file.punch_hole(0, 4096),
            CallKind::Sync => file.sync(),
            CallKind::Map => file.map(100, MapAccess::ReadOnly).map(drop),
        };
        for _ in 1..n {
            once().unwrap();
        }
        assert_eq!(errno(once()), libc::EDQUOT, "{kind:?}");
        assert_eq!((storage.names(), storage.read_file("a"), storage.space_used()), before, "{kind:?}");
    }
    storage.lock().unwrap();
}

fn io_of(error: LockError) -> std::io::Error {
    match error {
        LockError::Io(error) => error,
        LockError::Busy { pid } => panic!("busy: {pid}"),
    }
}

#[test]
fn a_failed_write_may_have_written_some_of_its_bytes() {
    let mut lens = std::collections::BTreeSet::new();
    for seed in 0..SEEDS {
        let storage = SimulatedStorage::new(seed);
        let file = storage.create("a").unwrap();
        storage.fail_kind(CallKind::WriteAt, 1, libc::EIO);
        assert_eq!(errno(file.write_at(&[1; 100], 0)), libc::EIO);
        lens.insert(file.len().unwrap());
    }
    assert!(cfg!(miri) || lens.len() > 10, "{lens:?}");
}

#[test]
fn a_sync_after_a_failed_one_says_ok_and_makes_nothing_durable() {
    let bytes_after = |seed, change: fn(&dyn File)| {
        let storage = SimulatedStorage::new(seed);
        let file = durable_file(&storage, "a", &[0; 8192]);
        file.write_at(&[1; 8192], 0).unwrap();
        storage.fail_kind(CallKind::Sync, 1, libc::EIO);
        assert_eq!(errno(file.sync()), libc::EIO);
        change(&*file);
        file.sync().unwrap();
        file.sync().unwrap();
        // In the same boot it reads as if nothing had happened.
        let mut read = [0; 8192];
        file.read_at(&mut read, 0).unwrap();
        assert_eq!(read[1..], [1; 8191]);
        storage.crash(seed).read_file("a")
    };
    assert_sometimes("lost", |seed| bytes_after(seed, |_| {}).contains(&0));
    // Only what is changed again is written again, page by page.
    let rewrite: fn(&dyn File) = |file| file.write_at(&[2], 0).unwrap();
    assert_sometimes("the other page lost", |seed| {
        let bytes = bytes_after(seed, rewrite);
        assert_eq!((bytes[0], &bytes[1..4096]), (2, &[1; 4095][..]), "changed again, so written again");
        bytes[4096..].contains(&0)
    });
}

#[test]
fn what_a_failed_sync_lost_is_lost_to_later_power_cuts_and_kills_too() {
    assert_sometimes("lost", |seed| {
        let storage = SimulatedStorage::new(seed);
        let file = durable_file(&storage, "a", &[0; 4096]);
        file.write_at(&[1; 4096], 0).unwrap();
        storage.fail_kind(CallKind::Sync, 1, libc::EIO);
        file.sync().unwrap_err();
        let next = storage.kill();
        assert_eq!(next.read_file("a"), [1; 4096], "still in the page cache");
        next.open("a", MapAccess::ReadWrite).unwrap().sync().unwrap();
        next.crash(seed).read_file("a") != [1; 4096]
    });
}

#[test]
fn a_directory_sync_after_a_failed_one_says_ok_and_makes_only_later_changes_durable() {
    assert_sometimes("lost", |seed| {
        let storage = SimulatedStorage::new(seed);
        storage.create("a").unwrap();
        storage.fail_kind(CallKind::SyncDirectory, 1, libc::EIO);
        storage.sync_directory().unwrap_err();
        storage.create("b").unwrap();
        storage.sync_directory().unwrap();
        let names = storage.crash(seed).names();
        assert!(names.contains(&"b".to_owned()));
        !names.contains(&"a".to_owned())
    });
}

#[test]
fn a_full_disk_refuses_a_reservation_and_keeps_nothing_of_it() {
    let storage = SimulatedStorage::new(1);
    storage.set_space(Some(5 * 4096));
    let file = storage.create("a").unwrap();
    file.reserve(3 * 4096).unwrap();
    assert_eq!(storage.space_used(), 3 * 4096);
    assert_eq!(errno(file.reserve(6 * 4096)), libc::ENOSPC);
    assert_eq!((file.len().unwrap(), storage.space_used()), (3 * 4096, 3 * 4096));
    file.reserve(3 * 4096).unwrap();
    let other = storage.create("b").unwrap();
    assert_eq!(errno(other.reserve(3 * 4096)), libc::ENOSPC);
    assert_eq!(errno(other.write_at(&[1; 3 * 4096], 0)), libc::ENOSPC);
    assert_eq!(other.len().unwrap(), 2 * 4096, "what fits was written");
    file.write_at(&[1; 3 * 4096], 0).unwrap();
    file.punch_hole(100, 2 * 4096).unwrap();
    assert_eq!(storage.space_used(), 4 * 4096);
    assert_eq!(storage.read_file("a"), [[1; 4096], [0; 4096], [1; 4096]].concat());
    other.reserve(3 * 4096).unwrap();
    storage.set_space(None);
    other.reserve(100 * 4096).unwrap();
}

#[test]
fn a_removed_file_gives_its_space_back_when_nobody_uses_it_any_more() {
    let storage = SimulatedStorage::new(1);
    storage.set_space(Some(4096));
    let file = storage.create("a").unwrap();
    file.reserve(4096).unwrap();
    let map = file.map(4096, MapAccess::ReadOnly).unwrap();
    storage.remove("a").unwrap();
    drop(file);
    let other = storage.create("b").unwrap();
    assert_eq!(errno(other.reserve(4096)), libc::ENOSPC);
    drop(map);
    other.reserve(4096).unwrap();
}

#[test]
fn a_read_only_file_system_changes_nothing() {
    let storage = SimulatedStorage::new(1);
    let file = durable_file(&storage, "a", b"old");
    storage.set_read_only(true);
    assert_eq!(errno(storage.create("b")), libc::EROFS);
    assert_eq!(errno(storage.rename("a", "b")), libc::EROFS);
    assert_eq!(errno(storage.remove("a")), libc::EROFS);
    assert_eq!(errno(storage.open("a", MapAccess::ReadWrite)), libc::EROFS);
    assert_eq!(errno(file.write_at(b"new", 0)), libc::EROFS);
    assert_eq!(errno(file.reserve(10)), libc::EROFS);
    assert!(matches!(storage.lock(), Err(LockError::Io(_))));
    storage.probe_lock().unwrap();
    storage.open("a", MapAccess::ReadOnly).unwrap();
    assert_eq!((storage.names(), storage.read_file("a")), (vec!["a".to_owned()], b"old".to_vec()));
}

#[test]
#[should_panic(expected = "ST3")]
fn a_map_for_stores_over_unreserved_space_is_refused() {
    let storage = SimulatedStorage::new(1);
    let file = storage.create("a").unwrap();
    file.write_at(b"x", 100_000).unwrap();
    let _ = file.map(100_001, MapAccess::ReadWrite);
}

#[test]
#[should_panic(expected = "ST2")]
fn a_mapped_file_is_not_grown() {
    let storage = SimulatedStorage::new(1);
    let file = storage.create("a").unwrap();
    file.reserve(4096).unwrap();
    let _map = file.map(4096, MapAccess::ReadOnly).unwrap();
    let _ = file.reserve(8192);
}
