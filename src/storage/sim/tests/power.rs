//! Power cuts and kills.

use super::*;

const SECTOR: usize = 512;

#[test]
fn what_was_synced_is_never_lost() {
    let bytes: Vec<u8> = (0..10_000_u32).map(|n| n as u8 | 1).collect();
    for seed in 0..SEEDS {
        let storage = SimulatedStorage::new(seed);
        let file = durable_file(&storage, "a", &bytes);
        file.write_at(&[0; 100], 10_000).unwrap();
        let after = storage.crash(seed);
        assert_eq!(after.read_file("a")[..bytes.len()], bytes);
    }
}

/// Sixteen sectors that were zeros and are now ones, unsynced, after a power cut.
fn unsynced_sectors(seed: u64) -> Vec<u8> {
    let storage = SimulatedStorage::new(seed);
    let file = durable_file(&storage, "a", &[0; 16 * SECTOR]);
    let map = map_to_append(&*file, 16 * SECTOR);
    append(&map, &[1; 16 * SECTOR]);
    file.len().unwrap();
    let bytes = storage.crash(seed ^ 0xABCD).read_file("a");
    assert_eq!(bytes.len(), 16 * SECTOR);
    for sector in bytes.chunks(SECTOR) {
        assert!(sector.iter().all(|byte| *byte == sector[0] && *byte <= 1), "a sector is old or new");
    }
    bytes.chunks(SECTOR).map(|sector| sector[0]).collect()
}

#[test]
fn what_was_not_synced_is_sometimes_lost_sometimes_kept_and_sometimes_torn() {
    assert_sometimes("all lost", |seed| unsynced_sectors(seed).iter().all(|sector| *sector == 0));
    assert_sometimes("all kept", |seed| unsynced_sectors(seed).iter().all(|sector| *sector == 1));
    assert_sometimes("torn", |seed| {
        let sectors = unsynced_sectors(seed);
        sectors.contains(&0) && sectors.contains(&1)
    });
    assert_sometimes("torn inside a page", |seed| {
        let sectors = unsynced_sectors(seed);
        sectors.chunks(8).any(|page| page.contains(&0) && page.contains(&1))
    });
}

#[test]
fn zeros_in_front_of_newer_data_occur() {
    assert_sometimes("a hole", |seed| {
        let sectors = unsynced_sectors(seed);
        sectors.iter().position(|sector| *sector == 0) < sectors.iter().rposition(|sector| *sector == 1)
    });
}

/// A sector that was 0 durably, then 1, then 2, and what a power cut made of it.
fn rewritten_sector(seed: u64, write_back_of_256: u32) -> u8 {
    let storage = SimulatedStorage::new(seed);
    let file = durable_file(&storage, "a", &[0; SECTOR]);
    storage.set_write_back(write_back_of_256);
    file.write_at(&[1; SECTOR], 0).unwrap();
    file.len().unwrap();
    storage.set_write_back(0);
    file.write_at(&[2; SECTOR], 0).unwrap();
    storage.crash(seed).read_file("a")[0]
}

#[test]
fn a_version_between_the_last_sync_and_the_end_may_come_back_if_it_was_written_back() {
    for version in 0..=2 {
        assert_sometimes("a version", |seed| rewritten_sector(seed, 256) == version);
    }
    assert_eq!(count_of(|seed| rewritten_sector(seed, 0) == 1), 0);
}

#[test]
fn a_sync_forgets_what_was_written_back_before() {
    for seed in 0..SEEDS {
        let storage = SimulatedStorage::new(seed);
        storage.set_write_back(256);
        let file = durable_file(&storage, "a", &[0; SECTOR]);
        file.write_at(&[1; SECTOR], 0).unwrap();
        file.len().unwrap();
        file.write_at(&[2; SECTOR], 0).unwrap();
        file.sync().unwrap();
        assert_eq!(storage.crash(seed).read_file("a"), [2; SECTOR]);
    }
}

#[test]
fn an_unsynced_length_may_be_old_new_or_between() {
    let len_after = |seed| {
        let storage = SimulatedStorage::new(seed);
        let file = durable_file(&storage, "a", &[1; 100]);
        file.write_at(&[2; 100], 100).unwrap();
        file.reserve(5000).unwrap();
        storage.crash(seed).read_file("a").len()
    };
    for len in [100, 200, 5000] {
        assert_sometimes("a length", |seed| len_after(seed) == len);
    }
    assert_eq!(count_of(|seed| ![100, 200, 5000].contains(&len_after(seed))), 0);
}

#[test]
fn a_new_file_without_a_directory_sync_may_be_missing_even_if_it_was_synced_itself() {
    let survives = |seed, is_directory_synced: bool| {
        let storage = SimulatedStorage::new(seed);
        let file = storage.create("a").unwrap();
        file.write_at(&[1; 100], 0).unwrap();
        file.sync().unwrap();
        if is_directory_synced {
            storage.sync_directory().unwrap();
        }
        let after = storage.crash(seed);
        let is_there = !after.names().is_empty();
        assert!(!is_there || after.read_file("a") == [1; 100]);
        is_there
    };
    assert_sometimes("the name", |seed| survives(seed, false));
    assert_eq!(count_of(|seed| survives(seed, true)), SEEDS as usize);
}

#[test]
fn a_name_that_was_synced_may_name_an_empty_file_if_the_file_was_not() {
    assert_sometimes("an empty file", |seed| {
        let storage = SimulatedStorage::new(seed);
        storage.create("a").unwrap().write_at(&[1; 100], 0).unwrap();
        storage.sync_directory().unwrap();
        storage.crash(seed).read_file("a").is_empty()
    });
}

#[test]
fn a_rename_without_a_directory_sync_is_done_or_undone_as_a_whole() {
    assert_sometimes("undone", |seed| {
        let storage = SimulatedStorage::new(seed);
        durable_file(&storage, "MANIFEST", b"old");
        durable_file(&storage, "MANIFEST.new", b"new");
        storage.rename("MANIFEST.new", "MANIFEST").unwrap();
        let after = storage.crash(seed);
        let is_undone = after.read_file("MANIFEST") == b"old";
        let names: &[&str] = if is_undone { &["MANIFEST", "MANIFEST.new"] } else { &["MANIFEST"] };
        assert_eq!(after.names(), names);
        assert!(is_undone || after.read_file("MANIFEST") == b"new");
        is_undone
    });
}

#[test]
fn a_removed_file_may_come_back_until_the_directory_is_synced() {
    let comes_back = |seed, is_directory_synced: bool| {
        let storage = SimulatedStorage::new(seed);
        durable_file(&storage, "a", b"old");
        storage.remove("a").unwrap();
        if is_directory_synced {
            storage.sync_directory().unwrap();
        }
        let after = storage.crash(seed);
        let is_back = after.names() == ["a"];
        assert!(!is_back || after.read_file("a") == b"old");
        is_back
    };
    assert_sometimes("back", |seed| comes_back(seed, false));
    assert_eq!(count_of(|seed| comes_back(seed, true)), 0);
}

#[test]
fn changes_of_different_names_survive_independently_and_those_of_one_name_in_order() {
    let names_after = |seed| {
        let storage = SimulatedStorage::new(seed);
        storage.create("x").unwrap();
        storage.create("y").unwrap();
        storage.rename("x", "x1").unwrap();
        storage.rename("x1", "x2").unwrap();
        let names = storage.crash(seed).names();
        assert!(names.iter().filter(|name| name.starts_with('x')).count() <= 1, "{names:?}");
        names
    };
    for expected in [vec![], vec!["x"], vec!["y"], vec!["x", "y"], vec!["x1", "y"], vec!["x2", "y"], vec!["x2"]] {
        assert_sometimes("a set of names", |seed| names_after(seed) == expected);
    }
}

#[test]
fn several_crashes_of_one_run_start_from_the_same_moment() {
    let storage = SimulatedStorage::new(1);
    let file = durable_file(&storage, "a", &[0; 4096]);
    let map = map_to_append(&*file, 4096);
    append(&map, &[1; 512]);
    let first = storage.crash(5).read_file("a");
    // The power is gone, though this thread does not know it yet.
    append(&map, &[9; 512]);
    assert_eq!(map.read(512..1024).unwrap(), [9; 512]);
    assert_eq!(storage.crash(5).read_file("a"), first);
    assert_eq!(count_of(|seed| storage.crash(seed).read_file("a").contains(&9)), 0);
    assert_eq!(storage.kill().read_file("a")[..1024], [[1; 512], [0; 512]].concat());
}

#[test]
fn a_dead_directory_answers_eio_to_everything() {
    let storage = SimulatedStorage::new(1);
    let file = durable_file(&storage, "a", &[7; 4096]);
    let map = file.map(4096, MapAccess::ReadOnly).unwrap().into_bytes();
    let _next = storage.kill();
    for _ in 0..2 {
        assert_eq!(errno(storage.list()), libc::EIO);
        assert_eq!(errno(storage.create("b")), libc::EIO);
        assert_eq!(errno(storage.open("a", MapAccess::ReadOnly)), libc::EIO);
        assert_eq!(errno(storage.rename("a", "b")), libc::EIO);
        assert_eq!(errno(storage.remove("a")), libc::EIO);
        assert_eq!(errno(storage.sync_directory()), libc::EIO);
        assert!(matches!(storage.lock(), Err(LockError::Io(error)) if error.raw_os_error() == Some(libc::EIO)));
        assert!(matches!(storage.probe_lock(), Err(LockError::Io(_))));
        assert_eq!(errno(file.len()), libc::EIO);
        assert_eq!(errno(file.read_at(&mut [0], 0)), libc::EIO);
        assert_eq!(errno(file.write_at(&[0], 0)), libc::EIO);
        assert_eq!(errno(file.reserve(1)), libc::EIO);
        assert_eq!(errno(file.punch_hole(0, 4096)), libc::EIO);
        assert_eq!(errno(file.sync()), libc::EIO);
        assert_eq!(errno(file.map(1, MapAccess::ReadOnly)), libc::EIO);
    }
    assert_eq!(map.read(0..4096).unwrap(), [7; 4096]);
    assert_eq!(storage.read_file("a"), [7; 4096]);
}

#[test]
fn a_killed_process_leaves_everything_as_it_was_but_not_durable() {
    assert_sometimes("lost after all", |seed| {
        let storage = SimulatedStorage::new(seed);
        let file = durable_file(&storage, "a", &[0; 4096]);
        let map = map_to_append(&*file, 4096);
        append(&map, &[1; 4096]);
        storage.create("b").unwrap();
        let next = storage.kill();
        assert_eq!(next.names(), ["a", "b"]);
        assert_eq!(next.read_file("a"), [1; 4096]);
        next.crash(seed).read_file("a") == [0; 4096]
    });
}

#[test]
fn the_power_can_be_cut_at_any_call() {
    let run = |storage: &SimulatedStorage| -> std::io::Result<()> {
        let file = storage.create("a")?;
        file.reserve(4096)?;
        storage.sync_directory()?;
        let map = map_to_append(&*file, 4096);
        append(&map, &[1; 512]);
        file.sync()?;
        append(&map, &[2; 512]);
        file.sync()
    };
    let whole = SimulatedStorage::new(1);
    run(&whole).unwrap();
    assert_eq!(whole.call_count(), 6);
    for n in 1..=7 {
        let is_two_there = count_of(|seed| {
            let storage = SimulatedStorage::new(seed);
            storage.crash_at_call(n);
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&storage)));
            assert_eq!(matches!(outcome, Ok(Ok(()))), n == 7);
            let after = storage.crash(seed);
            let bytes = if after.names().is_empty() { Vec::new() } else { after.read_file("a") };
            assert!(n < 4 || bytes.len() == 4096 || bytes.is_empty());
            assert!(n < 6 || bytes[..512] == [1; 512], "the first sync was done");
            bytes.contains(&2)
        });
        match n {
            ..6 => assert_eq!(is_two_there, 0, "not yet written at call {n}"),
            6 => assert!(cfg!(miri) || is_two_there > 0 && is_two_there < SEEDS as usize, "written but not synced"),
            _ => assert_eq!(is_two_there, SEEDS as usize),
        }
    }
}

#[test]
fn a_write_that_the_power_cut_short_has_written_some_of_its_bytes() {
    let mut lens = std::collections::BTreeSet::new();
    for seed in 0..SEEDS {
        let storage = SimulatedStorage::new(seed);
        let file = durable_file(&storage, "a", &[]);
        storage.crash_at_call(1);
        file.write_at(&[1; 3000], 0).unwrap_err();
        let bytes = storage.kill().read_file("a");
        assert!(bytes.iter().all(|byte| *byte == 1));
        lens.insert(bytes.len());
    }
    assert!(cfg!(miri) || lens.len() > 10, "{lens:?}");
}
