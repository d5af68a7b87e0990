//! What a reader of the core found that the tests had not: each test here failed once.
//!
//! Not here: random programs (`model`), every crash and every failing call in turn (`crash`, `failures`).

use crate::basics::Scratch;
use larder::storage::SimulatedStorage;
use larder::storage::sim::CallKind;
use larder::store::{BatchOp, Ttl, Tuning};
use larder::{CompactionMode, Options, Status, Store, SyncMode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const EIO: i32 = 5;
const EACCES: i32 = 13;
const SEGMENT_BYTES: u64 = 16 << 10;

fn small(sync: SyncMode) -> Options {
    Options { sync, segment_bytes: SEGMENT_BYTES, compaction: CompactionMode::Manual, ..Options::default() }
}

fn tuning(has_background: bool) -> Tuning {
    Tuning { segment_bytes_first: SEGMENT_BYTES, has_background, ..Tuning::default() }
}

fn open(sim: &SimulatedStorage, options: &Options) -> Store {
    Store::open_in(Arc::new(sim.clone()), options, &tuning(false)).unwrap()
}

fn key(n: u64) -> Vec<u8> {
    format!("key-{n:06}").into_bytes()
}

#[test]
fn p3_in_mode_always_no_reader_sees_a_part_of_a_batch_that_another_sync_made_durable() {
    let sim = SimulatedStorage::new(1);
    sim.set_write_back(0);
    let options = Options { segment_bytes: 1 << 20, ..small(SyncMode::Always) };
    let storage = Arc::new(sim.clone());
    let tuning = Tuning { segment_bytes_first: 1 << 20, ..tuning(true) };
    let store = Store::open_in(storage, &options, &tuning).unwrap();
    const KEY_COUNT: u64 = 4_000;
    let keys: Vec<_> = (0..KEY_COUNT).map(key).collect();
    let is_over = AtomicBool::new(false);
    let number = |key: &[u8]| store.get(key).unwrap().map_or(0, |value| u64::from_le_bytes(value.try_into().unwrap()));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                store.sync().unwrap();
            }
        });
        scope.spawn(|| {
            let mut round = 0_u64;
            while !is_over.load(Ordering::Relaxed) {
                round += 1;
                let value = round.to_le_bytes();
                let ops: Vec<_> =
                    keys.iter().map(|key| BatchOp::Set { key, value: &value, ttl: Ttl::Forever }).collect();
                store.write(&ops, false).unwrap();
            }
        });
        let mut torn = None;
        let mut back = None;
        let mut seen = 0;
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(2) && torn.is_none() && back.is_none() {
            let (first, last) = (number(&keys[0]), number(&keys[KEY_COUNT as usize - 1]));
            if first > last {
                torn = Some((first, last));
            }
            if first < seen {
                back = Some((seen, first));
            }
            seen = last;
        }
        is_over.store(true, Ordering::Relaxed);
        assert_eq!((torn, back), (None, None), "a batch was seen in part, or was taken back");
        assert!(seen > 1);
    });
    store.close().unwrap();
}

/// A store with dead records in several sealed segments, and what it holds.
/// Keys, and the values that they should have.
type Expected = Vec<(Vec<u8>, Option<Vec<u8>>)>;

fn worn(sim: &SimulatedStorage, sync: SyncMode) -> (Store, Expected) {
    let store = open(sim, &small(sync));
    let value = |n: u64, round: u8| vec![round; 200 + n as usize];
    for round in 1..=3 {
        for n in 0..100 {
            store.set(&key(n), &value(n, round)).unwrap();
        }
        store.step_background().unwrap();
    }
    for n in (0..100).step_by(5) {
        store.del(&key(n)).unwrap();
    }
    let expected = (0..100).map(|n| (key(n), (n % 5 != 0).then(|| value(n, 3)))).collect();
    (store, expected)
}

fn assert_holds(store: &Store, expected: &[(Vec<u8>, Option<Vec<u8>>)], what: &str) {
    for (key, value) in expected {
        assert_eq!(&store.get(key).unwrap(), value, "{what}: {}", String::from_utf8_lossy(key));
    }
}

#[test]
fn r6_an_edit_of_the_manifest_that_failed_but_may_be_on_disk_costs_no_file_that_it_names_or_drops() {
    for kind in [CallKind::Sync, CallKind::SyncDirectory, CallKind::WriteAt, CallKind::Rename] {
        for n in 1..40 {
            let sim = SimulatedStorage::new(n);
            let (store, expected) = worn(&sim, SyncMode::None);
            sim.fail_kind(kind, n, EIO);
            let result = store.compact();
            sim.clear_failures();
            let what = format!("{kind:?} {n}: {result:?}");
            assert_holds(&store, &expected, &what);
            let sim = sim.kill();
            drop(store);
            let store = Store::open_in(Arc::new(sim.clone()), &small(SyncMode::None), &tuning(false));
            let store = store.unwrap_or_else(|error| panic!("{what}: {error}\n{:#?}", sim.names()));
            assert_holds(&store, &expected, &what);
            store.compact().unwrap();
            store.close().unwrap();
        }
    }
}

#[test]
fn a_file_that_cannot_be_removed_after_a_compaction_is_left_behind_and_swept_later() {
    let options = Options { compaction: CompactionMode::Auto, ..small(SyncMode::None) };
    for n in 1..20 {
        let sim = SimulatedStorage::new(n);
        let store = open(&sim, &options);
        // Several segments with a little left alive in each: compacted together.
        for n in 0..300 {
            store.set(&key(n), &[1; 500]).unwrap();
        }
        while store.step_background().unwrap() {}
        for n in (0..300).filter(|n| n % 10 != 0) {
            store.set(&key(n), b"").unwrap();
        }
        sim.fail_kind(CallKind::Remove, n, EACCES);
        for _ in 0..20 {
            store.step_background().unwrap();
        }
        sim.clear_failures();
        store.set(b"after", b"").unwrap();
        store.compact().unwrap();
        store.close().unwrap();
        let store = open(&sim, &options);
        for n in 0..300 {
            assert_eq!(store.get(&key(n)).unwrap().unwrap().len(), if n % 10 == 0 { 500 } else { 0 });
        }
        let segments = sim.names().iter().filter(|name| name.ends_with(".seg")).count() as u64;
        assert_eq!(segments, store.stats().unwrap().segments, "{:?}", sim.names());
    }
}

#[test]
fn only_names_that_larder_writes_are_its_own() {
    let scratch = Scratch::new();
    std::fs::write(scratch.path().join("INDEX-of-my-papers"), b"dear").unwrap();
    let error = Store::open(scratch.path(), &Options::default()).err().expect("not a store and not empty");
    assert_eq!(error.status(), Status::InvalidArgument);
    std::fs::remove_file(scratch.path().join("INDEX-of-my-papers")).unwrap();
    Store::open(scratch.path(), &Options::default()).unwrap().close().unwrap();
    std::fs::write(scratch.path().join("INDEX-of-my-papers"), b"dear").unwrap();
    Store::open(scratch.path(), &Options::default()).unwrap().close().unwrap();
    assert_eq!(std::fs::read(scratch.path().join("INDEX-of-my-papers")).unwrap(), b"dear");
}

/// Tombstones go in the end, also when a segment without any record was sealed.
#[test]
fn an_empty_segment_does_not_keep_compaction_from_its_sweeps() {
    let sim = SimulatedStorage::new(1);
    let options = Options { compaction: CompactionMode::Auto, ..small(SyncMode::None) };
    let store = open(&sim, &options);
    for n in 0..200 {
        store.set(&key(n), &[1; 100]).unwrap();
    }
    store.del(&key(0)).unwrap();
    store.compact().unwrap();
    // The active segment is empty now, and too small for this.
    store.set(b"large", &[1; 2 * SEGMENT_BYTES as usize]).unwrap();
    // A segment that is not worth a compaction stands before the empty one.
    store.set(&key(1), &[1; 100]).unwrap();
    for n in 1_000..4_000 {
        store.set(&key(n), b"").unwrap();
        store.del(&key(n)).unwrap();
        if n % 50 == 0 {
            while store.step_background().unwrap() {}
        }
    }
    for _ in 0..200 {
        store.step_background().unwrap();
    }
    let stats = store.stats().unwrap();
    assert!(stats.dead_bytes < stats.live_bytes / 4 + 2 * SEGMENT_BYTES, "{stats:?}");
}

#[test]
fn the_background_comes_to_rest_and_does_not_sweep_again_and_again() {
    for count in (300..1_500).step_by(300) {
        let sim = SimulatedStorage::new(1);
        let options = Options { compaction: CompactionMode::Auto, ..small(SyncMode::None) };
        let store = open(&sim, &options);
        for n in 0..count {
            store.set(&key(n), &[1; 100]).unwrap();
            if n % 3 != 0 {
                store.set(&key(10_000 + n), b"").unwrap();
                store.del(&key(10_000 + n)).unwrap();
            }
        }
        for _ in 0..300 {
            store.step_background().unwrap();
        }
        let before = sim.call_count();
        for _ in 0..10 {
            store.step_background().unwrap();
        }
        assert_eq!(sim.call_count(), before, "{count}: {:#?}", &sim.trace()[sim.trace().len() - 20..]);
    }
}

/// An operator may put an undamaged copy of a segment back: then what was deleted must stay so.
#[test]
fn r1_tombstones_stay_while_a_damaged_segment_holds_older_versions() {
    let sim = SimulatedStorage::new(1);
    let (store, expected) = worn(&sim, SyncMode::None);
    store.close().unwrap();
    let damaged = sim.names().into_iter().find(|name| name.ends_with(".seg")).unwrap();
    let good = sim.read_file(&damaged);
    sim.flip_bit(&damaged, 64 + 40, 0);
    let store = open(&sim, &Options { compaction: CompactionMode::Auto, ..small(SyncMode::None) });
    for _ in 0..50 {
        store.step_background().unwrap();
    }
    for _ in 0..3 {
        let _ = store.compact();
    }
    let sim = sim.kill();
    drop(store);
    let mut healed = good.clone();
    healed[48..64].copy_from_slice(&sim.read_file(&damaged)[48..64]);
    sim.write_file(&damaged, &healed);
    let store = open(&sim, &small(SyncMode::None));
    assert_holds(&store, &expected, "healed");
}

/// Several writers, the background, and a kill: each writer knows exactly what its keys should hold.
#[test]
fn what_several_writers_left_is_there_after_a_kill_and_nothing_else() {
    use larder::store::{Condition, SetOptions};
    const WRITER_COUNT: u64 = 3;
    const KEY_COUNT: u64 = 60;
    for seed in 0..12_u64 {
        let sim = SimulatedStorage::new(seed);
        sim.set_write_back(0);
        let options = Options { segment_bytes: 4096, compaction: CompactionMode::Auto, ..small(SyncMode::None) };
        let tuning = Tuning { segment_bytes_first: 4096, ..tuning(true) };
        let mut expected: Vec<Vec<Option<Vec<u8>>>> = vec![vec![None; KEY_COUNT as usize]; WRITER_COUNT as usize];
        let mut sim = sim;
        for round in 0..3_u64 {
            let store = Store::open_in(Arc::new(sim.clone()), &options, &tuning).unwrap();
            std::thread::scope(|scope| {
                for (writer, mine) in expected.iter_mut().enumerate() {
                    let store = &store;
                    scope.spawn(move || {
                        let mut random = crate::world::Random::new(seed * 1_000 + round * 10 + writer as u64);
                        let name = |n: u64| key(writer as u64 * 1_000 + n);
                        for step in 0..600_u64 {
                            let n = random.below(KEY_COUNT);
                            let value = vec![step as u8; random.below(120) as usize];
                            match random.below(8) {
                                0..=2 => {
                                    store.set(&name(n), &value).unwrap();
                                    mine[n as usize] = Some(value);
                                }
                                3..=4 => {
                                    assert_eq!(store.del(&name(n)).unwrap(), mine[n as usize].take().is_some());
                                }
                                5 => {
                                    let over = SetOptions {
                                        ttl: Ttl::Millis(1_000),
                                        condition: Condition::Always,
                                        sync: false,
                                    };
                                    store.set_with(&name(n), &value, &over).unwrap();
                                    store.expire(&name(n), Some(0)).unwrap();
                                    mine[n as usize] = None;
                                }
                                6 => {
                                    let m = (n + 1) % KEY_COUNT;
                                    let (set, del) = (name(n), name(m));
                                    let ops = [
                                        BatchOp::Set { key: &set, value: &value, ttl: Ttl::Forever },
                                        BatchOp::Del { key: &del },
                                    ];
                                    store.write(&ops, false).unwrap();
                                    mine[n as usize] = Some(value);
                                    mine[m as usize] = None;
                                }
                                _ => assert_eq!(store.get(&name(n)).unwrap(), mine[n as usize]),
                            }
                            if step % 200 == 100 && writer == 0 {
                                store.compact().unwrap();
                            }
                        }
                    });
                }
            });
            let check = |store: &Store, what: &str| {
                for (writer, keys) in expected.iter().enumerate() {
                    for (n, value) in keys.iter().enumerate() {
                        let key = key(writer as u64 * 1_000 + n as u64);
                        assert_eq!(&store.get(&key).unwrap(), value, "{what} {seed} {round} {writer} {n}");
                    }
                }
                let count = expected.iter().flatten().flatten().count() as u64;
                assert_eq!(store.len().unwrap(), count, "{what} {seed} {round}");
            };
            sim.advance_ms(1_500);
            check(&store, "before");
            if round == 1 {
                store.close().unwrap();
            }
            let next = sim.kill();
            drop(store);
            sim = next;
            let store = open(&sim, &options);
            check(&store, "after");
            let stats = store.stats().unwrap();
            while store.step_background().unwrap() {}
            check(&store, "stepped");
            store.close().unwrap();
            let again = open(&sim, &options);
            check(&again, "closed");
            drop((again, stats));
        }
    }
}

#[test]
fn p5_on_a_full_disk_a_compaction_begins_where_it_can() {
    let sim = SimulatedStorage::new(1);
    let store = open(&sim, &small(SyncMode::None));
    // The first segments are nearly all live, the last ones nearly all dead.
    for n in 0..200 {
        store.set(&key(n), &[1; 500]).unwrap();
        if n % 30 == 0 {
            store.set(&key(n), &[2; 500]).unwrap();
        }
    }
    for n in 0..200 {
        store.set(&key(1_000 + n % 3), &[3; 500]).unwrap();
    }
    store.step_background().unwrap();
    sim.set_space(Some(sim.space_used()));
    while store.set(&key(2_000), &[1; 100]).is_ok() {}
    let before = store.stats().unwrap();
    store.compact().unwrap();
    let after = store.stats().unwrap();
    assert!(after.dead_bytes < before.dead_bytes / 5, "{before:?}\n{after:?}");
    store.set(&key(2_000), &[1; 100]).unwrap();
}

/// As a host with `ulimit -n 1024` and a store of 100 GiB.
#[test]
fn sealed_segments_take_no_file_descriptors() {
    let scratch = Scratch::new();
    let options = Options { segment_bytes: 64 << 10, ..small(SyncMode::None) };
    let tuning = Tuning { segment_bytes_first: 64 << 10, ..tuning(false) };
    let storage = |create| larder::storage::DiskStorage::open(scratch.path(), create, false).unwrap();
    let directory = std::fs::canonicalize(scratch.path()).unwrap();
    let open_count = || {
        let links = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| entry.ok()?.path().read_link().ok());
        links.filter(|link| link.starts_with(&directory)).count()
    };
    let store = Store::open_in(Arc::new(storage(true)), &options, &tuning).unwrap();
    for n in 0..60 {
        store.set(&key(n), &[1; 30_000]).unwrap();
        store.step_background().unwrap();
    }
    assert!(store.stats().unwrap().segments > 25);
    assert!(open_count() < 10, "{}", open_count());
    store.close().unwrap();
    let store = Store::open_in(Arc::new(storage(false)), &options, &tuning).unwrap();
    assert!(open_count() < 10, "{}", open_count());
    assert_eq!(store.get(&key(7)).unwrap().unwrap().len(), 30_000);
}

#[test]
fn p6_a_kept_expiry_is_checked_before_it_is_written_once_more() {
    let sim = SimulatedStorage::new(1);
    let store = open(&sim, &small(SyncMode::None));
    let hour = larder::store::SetOptions {
        ttl: Ttl::Millis(3_600_000),
        condition: larder::store::Condition::Always,
        sync: false,
    };
    store.set_with(b"key", b"1", &hour).unwrap();
    let segment = sim.names().into_iter().find(|name| sim.read_file(name).get(96..99) == Some(b"key")).unwrap();
    sim.flip_bit(&segment, 64 + 24 + 5, 2);
    let keep = larder::store::SetOptions { ttl: Ttl::Keep, ..hour };
    assert_eq!(store.set_with(b"key", b"2", &keep).unwrap_err().status(), Status::Corrupt);
    let ops = [BatchOp::Set { key: b"key", value: b"2", ttl: Ttl::Keep }];
    assert_eq!(store.write(&ops, false).unwrap_err().status(), Status::Corrupt);
    store.set(b"key", b"3").unwrap();
    assert_eq!(store.get(b"key").unwrap().unwrap(), b"3");
}

/// What is damaged while a compaction runs must not get a checksum of its own.
#[test]
fn p6_a_record_is_checked_when_compaction_copies_it_and_not_only_when_it_looks() {
    const SEGMENT_BYTES: u64 = 8 << 20;
    let sim = SimulatedStorage::new(1);
    let options = Options { segment_bytes: SEGMENT_BYTES, compaction: CompactionMode::Auto, ..small(SyncMode::None) };
    let tuning = Tuning { segment_bytes_first: SEGMENT_BYTES, ..tuning(false) };
    let store = Store::open_in(Arc::new(sim.clone()), &options, &tuning).unwrap();
    let value = |n: u64| vec![n as u8; 200_000];
    for n in 0..44 {
        store.set(&key(n), &value(n)).unwrap();
    }
    let is_kept = |n: &u64| n % 3 == 1;
    for n in (0..44).filter(|n| !is_kept(n)) {
        store.del(&key(n)).unwrap();
    }
    let holds = |name: &String| sim.read_file(name).windows(10).position(|bytes| bytes == key(1));
    let (segment, at) = sim.names().into_iter().find_map(|name| holds(&name).map(|at| (name, at))).unwrap();
    let mut is_damaged = false;
    for _ in 0..4 {
        // The first rest is the one after looking at half of the segment.
        let _ = store.step_background_with(&mut || {
            if !std::mem::replace(&mut is_damaged, true) {
                sim.flip_bit(&segment, at as u64 + 1_000, 0);
            }
        });
    }
    assert!(is_damaged, "nothing was compacted");
    let status = store.get(&key(1)).err().map(|error| error.status());
    assert_eq!(status, Some(Status::Corrupt), "a flipped bit was copied");
    for n in (4..44).filter(is_kept) {
        assert!(store.get(&key(n)).unwrap().unwrap() == value(n), "{n}");
    }
}
