//! Bugs that stores of this kind really had, each as a test that this store would fail if it had it too.
//! The names and numbers are those of the projects' issues, pull requests or commits.
//!
//! Not here: how long anything takes. Of redis #12602 (a growing index pauses the store) the cause is tested, which is that
//! one write moves the whole index; the benchmarks have the times.

use crate::world::{small_options, small_tuning};
use larder::storage::SimulatedStorage;
use larder::storage::sim::CallKind;
use larder::store::{Condition, SetOptions, Ttl, Tuning};
use larder::{Options, Status, Store, SyncMode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn options() -> Options {
    small_options(SyncMode::None, 4096)
}

fn open(sim: &SimulatedStorage) -> Store {
    Store::open_in(Arc::new(sim.clone()), &options(), &small_tuning(u64::MAX)).unwrap()
}

/// Kills the process, and opens the store in the next one.
fn kill_and_open(sim: &mut SimulatedStorage, store: Store) -> Store {
    *sim = sim.kill();
    drop(store);
    open(sim)
}

fn set_ttl(store: &Store, key: &[u8], value: &[u8], ttl_ms: u64) {
    let options = SetOptions { ttl: Ttl::Millis(ttl_ms), condition: Condition::Always, sync: false };
    store.set_with(key, value, &options).unwrap();
}

/// Writes enough that other segments fill, and lets the background do what it would.
fn churn(store: &Store, rounds: u8) {
    for n in 0..rounds {
        store.set(b"churn", &[n; 1_200]).unwrap();
        store.step_background().unwrap();
    }
}

fn segments(sim: &SimulatedStorage) -> Vec<String> {
    sim.names().into_iter().filter(|name| name.ends_with(".seg")).collect()
}

#[test]
fn bitcask_82_and_rosedb_258_a_deleted_key_does_not_return_after_a_partial_merge() {
    let mut sim = SimulatedStorage::new(82);
    let mut store = open(&sim);
    store.set(b"k", b"old").unwrap();
    store.set(b"stays", &[1; 3_500]).unwrap();
    // Does not fit there any more, so what comes next is in another segment.
    store.set(b"churn", &[0; 900]).unwrap();
    store.del(b"k").unwrap();
    for _ in 0..4 {
        churn(&store, 15);
        assert_eq!(store.get(b"k").unwrap(), None);
        store = kill_and_open(&mut sim, store);
        assert_eq!(store.get(b"k").unwrap(), None, "after a kill");
    }
    assert!(segments(&sim).contains(&"000001.seg".to_owned()), "the old value is gone, so the test shows nothing");
}

#[test]
fn bitcask_pr148_a_delete_beside_a_merge_wins() {
    for seed in 0..30_u64 {
        let mut sim = SimulatedStorage::new(seed);
        let store = open(&sim);
        for n in 0..40_u64 {
            store.set(&n.to_le_bytes(), &[1; 250]).unwrap();
            store.set(b"churn", &[2; 100]).unwrap();
        }
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in (0..40_u64).filter(|n| (n + seed) % 2 == 0) {
                    assert!(store.del(&n.to_le_bytes()).unwrap());
                }
            });
            store.compact().unwrap();
        });
        let check = |store: &Store| {
            for n in 0..40_u64 {
                let is_deleted = (n + seed) % 2 == 0;
                assert_eq!(store.exists(&n.to_le_bytes()).unwrap(), !is_deleted, "key {n}, seed {seed}");
            }
        };
        check(&store);
        let store = kill_and_open(&mut sim, store);
        check(&store);
        store.compact().unwrap();
        check(&kill_and_open(&mut sim, store));
    }
}

#[test]
fn badger_2286_a_value_does_not_return_long_after_its_tombstone_is_gone() {
    let mut sim = SimulatedStorage::new(2286);
    let mut store = open(&sim);
    for n in 0..60_u64 {
        store.set(&n.to_le_bytes(), &[1; 300]).unwrap();
    }
    for n in (0..60_u64).step_by(3) {
        store.del(&n.to_le_bytes()).unwrap();
    }
    for round in 0..12 {
        match round % 4 {
            0 => store.compact().unwrap(),
            1 => churn(&store, 8),
            2 => store = kill_and_open(&mut sim, store),
            _ => {
                store.close().unwrap();
                store = open(&sim);
            }
        }
        for n in 0..60_u64 {
            assert_eq!(store.exists(&n.to_le_bytes()).unwrap(), n % 3 != 0, "key {n} in round {round}");
        }
    }
}

#[test]
fn scylla_9534_an_older_value_does_not_return_once_the_expired_one_is_compacted_away() {
    let mut sim = SimulatedStorage::new(9534);
    let mut store = open(&sim);
    store.set(b"k", b"older, for ever").unwrap();
    store.set(b"stays", &[1; 3_500]).unwrap();
    // Does not fit there any more, so what comes next is in another segment.
    store.set(b"churn", &[0; 900]).unwrap();
    set_ttl(&store, b"k", b"newer, for a while", 100);
    churn(&store, 10);
    sim.advance_ms(10_000);
    for _ in 0..4 {
        churn(&store, 12);
        assert_eq!(store.get(b"k").unwrap(), None);
        store = kill_and_open(&mut sim, store);
        assert_eq!(store.get(b"k").unwrap(), None, "after a kill");
    }
    store.compact().unwrap();
    assert_eq!(kill_and_open(&mut sim, store).get(b"k").unwrap(), None);
}

#[test]
fn bitcask_pr192_a_read_that_meets_an_expired_value_leaves_the_newer_one_alone() {
    let sim = SimulatedStorage::new(192);
    let store = open(&sim);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                store.get(b"k").unwrap();
                store.step_background().unwrap();
            }
        });
        for n in 0..2_000_u64 {
            set_ttl(&store, b"k", b"short", 1);
            sim.advance_ms(300);
            store.set(b"k", &n.to_le_bytes()).unwrap();
            assert_eq!(store.get(b"k").unwrap(), Some(n.to_le_bytes().to_vec()));
        }
        is_over.store(true, Ordering::Release);
    });
}

#[test]
fn bitcask_pr20_and_140_the_wall_clock_orders_nothing() {
    let mut sim = SimulatedStorage::new(20);
    let mut store = open(&sim);
    for n in 0..30_u8 {
        store.set(b"k", &[n; 400]).unwrap();
        store.set(&[n], &[n; 400]).unwrap();
        // An hour back, and sometimes a day ahead.
        sim.advance_ms(if n % 5 == 0 { 86_400_000 } else { -3_600_000 });
        match n % 6 {
            0 => store.compact().unwrap(),
            3 => store = kill_and_open(&mut sim, store),
            _ => {
                store.step_background().unwrap();
            }
        }
        assert_eq!(store.get(b"k").unwrap(), Some(vec![n; 400]));
    }
    let store = kill_and_open(&mut sim, store);
    assert_eq!(store.get(b"k").unwrap(), Some(vec![29; 400]));
}

#[test]
fn bitcask_pr152_a_file_that_the_figures_call_dead_keeps_its_live_record() {
    let mut sim = SimulatedStorage::new(152);
    let mut store = open(&sim);
    for round in 0..10_u8 {
        store.set(&[b'l', round], &[round; 30]).unwrap();
        for n in 0..8 {
            store.set(b"churn", &[n; 900]).unwrap();
        }
        // Through a checkpoint, which keeps the figures, and without one.
        if round % 2 == 0 {
            store.close().unwrap();
            store = open(&sim);
        } else {
            store = kill_and_open(&mut sim, store);
        }
        churn(&store, 4);
        store.compact().unwrap();
        for earlier in 0..=round {
            assert_eq!(store.get(&[b'l', earlier]).unwrap(), Some(vec![earlier; 30]));
        }
    }
}

#[test]
fn bitcask_171_a_truncated_checkpoint_does_not_keep_a_store_from_opening() {
    let sim = SimulatedStorage::new(171);
    let store = open(&sim);
    store.set(b"k", b"v").unwrap();
    store.close().unwrap();
    for len in [0, 1, 63, 64, 200, 1_000, 4_000] {
        let name = sim.names().into_iter().find(|name| name.starts_with("INDEX-")).unwrap();
        let bytes = sim.read_file(&name);
        sim.write_file(&name, &bytes[..len.min(bytes.len())]);
        let store = open(&sim);
        assert_eq!(store.get(b"k").unwrap(), Some(b"v".to_vec()));
        store.close().unwrap();
    }
}

#[test]
fn bitcask_212_recovery_checks_every_record_and_says_the_same_each_time() {
    let mut sim = SimulatedStorage::new(212);
    let store = open(&sim);
    for n in 0..30_u8 {
        store.set(&[n], &[n; 300]).unwrap();
    }
    store.sync().unwrap();
    sim = sim.kill();
    drop(store);
    let name = &segments(&sim)[0];
    sim.flip_bit(name, 1_000, 2);
    let try_open = || Store::open_in(Arc::new(sim.clone()), &options(), &small_tuning(u64::MAX));
    let first = try_open().err().expect("damage was not seen");
    assert_eq!(first.status(), Status::Corrupt);
    for _ in 0..3 {
        let again = try_open().err().expect("damage was not seen");
        assert_eq!((again.status(), again.message()), (first.status(), first.message()));
    }
}

#[test]
fn bitcask_136_an_empty_newest_file_does_not_stall_writes() {
    let mut sim = SimulatedStorage::new(136);
    let store = open(&sim);
    store.set(b"k", b"v").unwrap();
    sim = sim.kill();
    drop(store);
    sim.write_file("000002.seg", b"");
    sim.write_file("999999.seg", b"");
    let store = open(&sim);
    for n in 0..40 {
        store.set(b"k", &[n; 500]).unwrap();
        store.step_background().unwrap();
    }
    let store = kill_and_open(&mut sim, store);
    assert_eq!(store.get(b"k").unwrap(), Some(vec![39; 500]));
}

#[test]
fn rosedb_342_a_crash_between_the_data_and_the_checkpoint_leaves_a_store_that_opens() {
    for n in 1.. {
        let sim = SimulatedStorage::new(342);
        let store = open(&sim);
        for n in 0..20_u8 {
            store.set(&[n % 5], &[n; 500]).unwrap();
        }
        store.sync().unwrap();
        sim.crash_at_call(n);
        let is_closed = store.close().is_ok();
        for seed in 0..4 {
            let next = sim.crash(seed);
            // Cut short once more, while the checkpoint is looked at and removed.
            next.crash_at_call(1 + seed * 5);
            let _ = Store::open_in(Arc::new(next.clone()), &options(), &small_tuning(u64::MAX));
            let store = open(&next.crash(seed));
            for n in 15..20_u8 {
                assert_eq!(store.get(&[n % 5]).unwrap(), Some(vec![n; 500]), "call {n}, seed {seed}");
            }
        }
        if is_closed {
            break;
        }
    }
}

#[test]
fn nutsdb_392_a_merge_does_not_bring_back_a_value_that_was_updated_meanwhile() {
    let mut sim = SimulatedStorage::new(392);
    let store = open(&sim);
    for n in 0..20_u64 {
        store.set(&n.to_le_bytes(), &[0; 200]).unwrap();
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..150_u8 {
                for n in 0..20_u64 {
                    store.set(&n.to_le_bytes(), &[round; 200]).unwrap();
                    assert_eq!(store.get(&n.to_le_bytes()).unwrap(), Some(vec![round; 200]));
                }
            }
            is_over.store(true, Ordering::Release);
        });
        while !is_over.load(Ordering::Acquire) {
            store.compact().unwrap();
        }
    });
    let store = kill_and_open(&mut sim, store);
    for n in 0..20_u64 {
        assert_eq!(store.get(&n.to_le_bytes()).unwrap(), Some(vec![149; 200]));
    }
}

#[test]
fn bitcask_956cec0_the_inputs_of_a_merge_that_failed_are_still_there() {
    for kind in [CallKind::Create, CallKind::Reserve, CallKind::Map, CallKind::Sync, CallKind::WriteAt] {
        for n in 1..6 {
            let mut sim = SimulatedStorage::new(956);
            let store = open(&sim);
            for n in 0..20_u8 {
                store.set(&[n], &[n; 300]).unwrap();
                store.set(b"churn", &[n; 300]).unwrap();
            }
            sim.fail_kind(kind, n, 5);
            let before = segments(&sim);
            let result = store.compact();
            // Later failures may strike when the first inputs are rightly gone.
            if result.is_err() && n == 1 {
                for name in &before {
                    assert!(segments(&sim).contains(name), "{name} is gone after {kind:?} {n}");
                }
            }
            let check = |store: &Store| {
                for n in 0..20_u8 {
                    assert_eq!(store.get(&[n]).unwrap(), Some(vec![n; 300]), "{kind:?} {n}");
                }
            };
            check(&store);
            check(&kill_and_open(&mut sim, store));
        }
    }
}

#[test]
fn badger_pr755_expiries_survive_replay_and_compaction() {
    let mut sim = SimulatedStorage::new(755);
    let mut store = open(&sim);
    for n in 0..20_u8 {
        set_ttl(&store, &[n], &[n; 300], 1_000 + u64::from(n) * 1_000);
    }
    let expiry = |store: &Store, n: u8| store.view(&[n]).unwrap().map(|view| view.expires_at_ms());
    let expected: Vec<_> = (0..20_u8).map(|n| expiry(&store, n)).collect();
    assert!(expected.iter().all(|at| at.is_some_and(|at| at != 0)));
    for how in 0..3 {
        match how {
            0 => {}
            1 => store.compact().unwrap(),
            _ => churn(&store, 20),
        }
        store = kill_and_open(&mut sim, store);
        let found: Vec<_> = (0..20_u8).map(|n| expiry(&store, n)).collect();
        assert_eq!(found, expected, "{how}");
    }
    sim.advance_ms(10_500);
    for n in 0..20_u8 {
        assert_eq!(store.exists(&[n]).unwrap(), n >= 10, "key {n}");
    }
}

#[test]
fn pebble_453_and_6031_damage_of_any_durable_record_is_never_taken_for_the_end_of_the_log() {
    let mut sim = SimulatedStorage::new(453);
    let store = open(&sim);
    for n in 0..40_u8 {
        store.set(&[n], &[n; 250]).unwrap();
    }
    store.sync().unwrap();
    sim = sim.kill();
    drop(store);
    let mut count = 0;
    for name in segments(&sim) {
        let bytes = sim.read_file(&name);
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        for at in (64..used).step_by(29) {
            let damaged = sim.kill();
            damaged.flip_bit(&name, at as u64, (at % 8) as u32);
            let opened = Store::open_in(Arc::new(damaged.clone()), &options(), &small_tuning(u64::MAX));
            assert_eq!(opened.err().map(|error| error.status()), Some(Status::Corrupt), "{name} at {at}");
            count += 1;
            sim = damaged.kill();
            sim.write_file(&name, &bytes);
        }
    }
    assert!(count > 300, "only {count} places were damaged");
}

#[test]
fn redb_fd82cedb_a_segment_and_its_name_are_durable_before_the_manifest_names_it() {
    let sim = SimulatedStorage::new(0xFD82);
    let store = open(&sim);
    for n in 0..30_u8 {
        store.set(&[n % 3], &[n; 1_000]).unwrap();
        store.step_background().unwrap();
    }
    let trace = sim.trace();
    let mut created: Vec<String> = Vec::new();
    for (place, line) in trace.iter().enumerate() {
        if let Some(name) = line.strip_prefix("create ").filter(|name| name.ends_with(".seg")) {
            created.push(name.to_owned());
            let edit = trace[place..].iter().position(|line| line.starts_with("write MANIFEST ")).unwrap() + place;
            let before = &trace[place..edit];
            assert!(before.contains(&format!("sync {name}")), "{before:#?}");
            assert_eq!(before.last().map(String::as_str), Some("sync-directory"), "{before:#?}");
        }
    }
    assert!(created.len() > 5, "{created:?}");
}

#[test]
fn redis_12602_no_single_write_grows_the_index_by_more_than_a_few_pages() {
    let sim = SimulatedStorage::new(12_602);
    let large = Tuning { segment_bytes_first: 1 << 20, ..small_tuning(u64::MAX) };
    let store = Store::open_in(Arc::new(sim), &small_options(SyncMode::None, 1 << 20), &large).unwrap();
    let (mut before, mut steps, mut largest) = (store.stats().unwrap().index_bytes, 0_u64, 0);
    for n in 0..150_000_u64 {
        store.set(&n.to_le_bytes(), b"v").unwrap();
        let after = store.stats().unwrap().index_bytes;
        steps += u64::from(after > before);
        largest = largest.max(after.saturating_sub(before));
        before = after;
        if n % 1_000 == 0 {
            store.step_background().unwrap();
        }
    }
    // A table that doubles would have moved megabytes in one of them.
    assert!(before > 1 << 20, "{before} bytes of index: the test shows nothing");
    assert!(largest <= 64 << 10, "one write grew the index by {largest} bytes of {before}");
    assert!(steps > 100, "the index grew in {steps} steps only");
}
