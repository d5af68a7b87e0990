//! One test for each rule of the design, R1 to R12: a short scenario that fails when the rule is broken. Which
//! mutation of the code each was seen to catch is in `README.md` beside this file.

use crate::passing::passes_on_storage;
use crate::world::{small_options, small_tuning};
use larder::storage::sim::CallKind;
use larder::storage::{File, SimulatedStorage, Storage};
use larder::store::{BatchOp, Condition, SetOptions, Ttl};
use larder::{CompactionMode, Error, Options, Status, Store, SyncMode};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

fn open_with(sim: &SimulatedStorage, options: &Options) -> Result<Store, Error> {
    Store::open_in(Arc::new(sim.clone()), options, &small_tuning(u64::MAX))
}

fn open(sim: &SimulatedStorage, sync: SyncMode) -> Store {
    open_with(sim, &small_options(sync, 4096)).unwrap()
}

/// Kills the process that has the store open.
fn kill(sim: &mut SimulatedStorage, store: Store) {
    *sim = sim.kill();
    drop(store);
}

fn set_ttl(store: &Store, key: &[u8], value: &[u8], ttl_ms: u64) {
    let options = SetOptions { ttl: Ttl::Millis(ttl_ms), condition: Condition::Always, sync: false };
    store.set_with(key, value, &options).unwrap();
}

fn get(store: &Store, key: &[u8]) -> Option<Vec<u8>> {
    store.get(key).unwrap()
}

fn has_file(sim: &SimulatedStorage, name: &str) -> bool {
    sim.names().iter().any(|other| other == name)
}

/// Steps until nothing is left to do.
fn settle(store: &Store) {
    for _ in 0..100 {
        if !store.step_background().unwrap() {
            return;
        }
    }
    panic!("the background finds no end");
}

/// `victim` is written to the first segment, among records that stay live; `guard` into a later one that
/// compaction takes, while the first stays.
fn guard_outlives_compaction(guard: impl Fn(&SimulatedStorage, &Store)) {
    let mut sim = SimulatedStorage::new(1);
    let store = open(&sim, SyncMode::None);
    store.set(b"victim", b"old").unwrap();
    store.set(b"live 1", &[1; 1_900]).unwrap();
    store.set(b"live 2", &[2; 1_900]).unwrap();
    // Does not fit there any more, so what comes next is in another segment.
    store.set(b"churn", &[0; 900]).unwrap();
    guard(&sim, &store);
    for n in 0..12 {
        store.set(b"churn", &[n; 900]).unwrap();
    }
    settle(&store);
    assert!(store.stats().unwrap().compactions > 0, "nothing was compacted");
    assert!(has_file(&sim, "000001.seg"), "the older version is gone, so the test shows nothing");
    assert_eq!(get(&store, b"victim"), None);
    kill(&mut sim, store);
    let store = open(&sim, SyncMode::None);
    assert_eq!(get(&store, b"victim"), None, "an older version is back");
    assert_eq!(get(&store, b"live 1"), Some(vec![1; 1_900]));
}

#[test]
fn r1_a_tombstone_survives_compaction_while_an_older_version_may_exist() {
    guard_outlives_compaction(|_, store| {
        store.del(b"victim").unwrap();
    });
}

#[test]
fn r1_an_expired_record_guards_older_versions_like_a_tombstone() {
    guard_outlives_compaction(|sim, store| {
        set_ttl(store, b"victim", b"newer", 10);
        sim.advance_ms(1_000);
    });
}

#[test]
fn r1_tombstones_go_once_nothing_older_is_left() {
    let sim = SimulatedStorage::new(1);
    let store = open(&sim, SyncMode::None);
    for n in 0..200_u32 {
        store.set(&n.to_le_bytes(), &[7; 100]).unwrap();
    }
    for n in 0..200_u32 {
        store.del(&n.to_le_bytes()).unwrap();
    }
    store.compact().unwrap();
    store.compact().unwrap();
    let stats = store.stats().unwrap();
    assert_eq!(stats.dead_bytes, 0, "{stats:?}");
}

/// The segment that holds `pattern`, which is found in one only.
fn segment_with(sim: &SimulatedStorage, pattern: &[u8]) -> String {
    let names = sim.names().into_iter().filter(|name| name.ends_with(".seg"));
    let mut found = names.filter(|name| sim.read_file(name).windows(pattern.len()).any(|window| window == pattern));
    let name = found.next().unwrap();
    assert_eq!(found.next(), None, "more than one segment holds it");
    name
}

#[test]
fn r2_order_is_the_seqno_not_the_file_and_copies_keep_seqno_and_expiry() {
    const OLDER: &[u8] = b"the older value, which compaction copies";
    const NEWER: &[u8] = b"the newer value, written after that";
    let options = Options { compaction: CompactionMode::Manual, ..small_options(SyncMode::None, 4096) };
    let mut sim = SimulatedStorage::new(2);
    let store = open_with(&sim, &options).unwrap();
    let version = store.set(b"kept", b"x").unwrap();
    set_ttl(&store, b"lasting", b"x", 50_000);
    let expires_at_ms = store.view(b"lasting").unwrap().unwrap().expires_at_ms();
    store.set(b"a", OLDER).unwrap();
    for n in 0..9 {
        store.set(b"churn", &[n; 900]).unwrap();
    }
    // The next segment is made before the compaction's output, and used after it.
    store.step_background().unwrap();
    store.compact().unwrap();
    store.set(b"a", NEWER).unwrap();
    for n in 0..9 {
        store.set(b"churn", &[n; 900]).unwrap();
    }
    // Sealed, both of them: then they are read again in the order of their numbers.
    store.step_background().unwrap();
    let (older, newer) = (segment_with(&sim, OLDER), segment_with(&sim, NEWER));
    assert!(newer < older, "{newer} does not come before {older}, so the test shows nothing");
    let check = |store: &Store| {
        assert_eq!(get(store, b"a").as_deref(), Some(NEWER));
        assert_eq!(store.view(b"kept").unwrap().unwrap().version(), version);
        assert_eq!(store.view(b"lasting").unwrap().unwrap().expires_at_ms(), expires_at_ms);
    };
    check(&store);
    kill(&mut sim, store);
    let store = open_with(&sim, &options).unwrap();
    check(&store);
    store.compact().unwrap();
    check(&store);
    kill(&mut sim, store);
    check(&open_with(&sim, &options).unwrap());
}

#[test]
fn r3_an_expired_key_never_returns_though_the_clock_steps_back_over_restarts() {
    for sync in [SyncMode::Always, SyncMode::None] {
        for how in 0..14 {
            let mut sim = SimulatedStorage::new(3);
            let mut store = open(&sim, sync);
            // So that the segment of the key is not worth compacting, which would end the key for good.
            store.set(b"live", &[1; 3_700]).unwrap();
            if how == 5 {
                // No segment is open for writing after a recovery.
                store.set(b"first", b"1").unwrap();
                set_ttl(&store, b"k", b"v", 100);
                kill(&mut sim, store);
                store = open(&sim, sync);
            } else {
                set_ttl(&store, b"k", b"v", 100);
            }
            store.sync().unwrap();
            sim.advance_ms(1_000);
            assert_eq!(get(&store, b"k"), None);
            match how {
                0 | 5 => kill(&mut sim, store),
                1 => store.close().unwrap(),
                2 => {
                    // The segment in which the clock was noted is full, and sealed.
                    for n in 0..10 {
                        store.set(b"filler", &[n; 1_500]).unwrap();
                        store.step_background().unwrap();
                    }
                    kill(&mut sim, store);
                }
                3 => {
                    kill(&mut sim, store);
                    let again = open(&sim, sync);
                    kill(&mut sim, again);
                }
                _ => {
                    // Nothing was written since the last sync but the clock.
                    store.sync().unwrap();
                    sim = sim.crash(how);
                    drop(store);
                }
            }
            sim.advance_ms(-50_000);
            let store = open(&sim, sync);
            assert_eq!(get(&store, b"k"), None, "restart {how} in mode {sync:?}");
        }
    }
}

#[test]
fn r4_the_sweep_for_expired_records_leaves_a_newer_value_alone() {
    let sim = SimulatedStorage::new(4);
    let store = open(&sim, SyncMode::None);
    set_ttl(&store, b"k", b"old", 10);
    set_ttl(&store, b"other", b"old", 10);
    store.set(b"k", b"new").unwrap();
    sim.advance_ms(10_000);
    store.step_background().unwrap();
    assert_eq!(store.stats().unwrap().expired, 1, "only the other key is over");
    assert_eq!(get(&store, b"k"), Some(b"new".to_vec()));
}

/// A directory that, once, does something in the middle of a call: when the next file is made whose name begins
/// like this.
pub struct Interrupted {
    pub sim: SimulatedStorage,
    pub name_prefix: &'static str,
    pub at_create: Arc<Mutex<Option<Interruption>>>,
}

pub type Interruption = Box<dyn FnOnce() + Send>;

impl Storage for Interrupted {
    passes_on_storage!(sim: describe list open rename remove sync_directory lock probe_lock now_ms random_u64);

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let interruption = self.at_create.lock().unwrap().take_if(|_| name.starts_with(self.name_prefix));
        if let Some(interruption) = interruption {
            interruption();
        }
        self.sim.create(name)
    }
}

#[test]
fn r4_what_is_written_while_compaction_copies_is_not_overwritten_by_the_copy() {
    for sync in [SyncMode::Always, SyncMode::None] {
        let sim = SimulatedStorage::new(4);
        let at_create = Arc::new(Mutex::new(None::<Interruption>));
        let storage = Interrupted { sim: sim.clone(), name_prefix: "", at_create: Arc::clone(&at_create) };
        let options = Options { compaction: CompactionMode::Manual, ..small_options(sync, 4096) };
        let store = Arc::new(Store::open_in(Arc::new(storage), &options, &small_tuning(u64::MAX)).unwrap());
        for key in [b"set", b"del", b"exp"] {
            store.set(key, b"old").unwrap();
        }
        for n in 0..16 {
            store.set(b"churn", &[n; 900]).unwrap();
        }
        // The next segment is there, so the first file that a compaction makes is its output.
        store.step_background().unwrap();
        // The compaction has looked at every record, and is about to copy those that it found live.
        let writer = Arc::clone(&store);
        *at_create.lock().unwrap() = Some(Box::new(move || {
            writer.set(b"set", b"new").unwrap();
            writer.del(b"del").unwrap();
            assert!(writer.expire(b"exp", Some(1)).unwrap());
        }));
        store.compact().unwrap();
        assert!(at_create.lock().unwrap().is_none(), "the compaction made no output");
        sim.advance_ms(1_000);
        let check = |store: &Store| {
            assert_eq!(get(store, b"set"), Some(b"new".to_vec()));
            assert_eq!(get(store, b"del"), None);
            assert_eq!(get(store, b"exp"), None);
        };
        check(&store);
        store.compact().unwrap();
        check(&store);
        let next = sim.kill();
        check(&open(&next, sync));
    }
}

#[test]
fn r4_compaction_never_puts_an_older_value_in_place_of_a_concurrent_write() {
    const KEY_COUNT: u64 = 4;
    let sim = SimulatedStorage::new(4);
    let store = open(&sim, SyncMode::None);
    let acknowledged: [AtomicU64; KEY_COUNT as usize] = [const { AtomicU64::new(0) }; KEY_COUNT as usize];
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..40_000_u64 {
                let key = n % KEY_COUNT;
                store.set(&key.to_le_bytes(), &n.to_le_bytes()).unwrap();
                acknowledged[key as usize].store(n, Ordering::Release);
            }
            is_over.store(true, Ordering::Release);
        });
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                for key in 0..KEY_COUNT {
                    let least = acknowledged[key as usize].load(Ordering::Acquire);
                    let Some(value) = get(&store, &key.to_le_bytes()) else {
                        assert_eq!(least, 0, "key {key} is gone");
                        continue;
                    };
                    let value = u64::from_le_bytes(value.try_into().unwrap());
                    assert!(value >= least, "key {key} went back from {least} to {value}");
                }
            }
        });
        while !is_over.load(Ordering::Acquire) {
            store.compact().unwrap();
        }
    });
}

#[test]
fn r5_a_checkpoint_that_is_damaged_or_older_never_changes_an_answer() {
    let sim = SimulatedStorage::new(5);
    let checkpoint = |sim: &SimulatedStorage| sim.names().into_iter().find(|name| name.starts_with("INDEX-")).unwrap();
    let fill = |store: &Store| {
        for n in 0..40_u32 {
            store.set(&(n % 10).to_le_bytes(), &[n as u8; 400]).unwrap();
        }
    };
    let check = |store: &Store| {
        for n in 30..40_u32 {
            assert_eq!(get(store, &(n % 10).to_le_bytes()), Some(vec![n as u8; 400]));
        }
        assert_eq!(store.len().unwrap(), 10);
        assert_eq!(store.verify().unwrap().bad_records, 0);
    };
    let store = open(&sim, SyncMode::None);
    fill(&store);
    store.close().unwrap();
    let older_name = checkpoint(&sim);
    let older = sim.read_file(&older_name);
    // The same seqno, other places: compaction moves everything and writes nothing new.
    let store = open(&sim, SyncMode::None);
    check(&store);
    store.compact().unwrap();
    store.close().unwrap();
    let name = checkpoint(&sim);
    assert_eq!(name, older_name, "the older checkpoint has another name, so the test shows nothing");
    let newer = sim.read_file(&name);
    sim.write_file(&name, &older);
    let store = open(&sim, SyncMode::None);
    check(&store);
    store.close().unwrap();
    for at in (0..newer.len()).step_by(61) {
        let name = checkpoint(&sim);
        let len = sim.read_file(&name).len();
        sim.flip_bit(&name, (at % len) as u64, (at % 8) as u32);
        let store = open(&sim, SyncMode::None);
        check(&store);
        store.close().unwrap();
    }
}

#[test]
fn r5_every_record_recovered_is_checked() {
    let mut sim = SimulatedStorage::new(5);
    let store = open(&sim, SyncMode::Always);
    for n in 0..20_u8 {
        store.set(&[n], &[n; 300]).unwrap();
    }
    kill(&mut sim, store);
    sim.flip_bit("000001.seg", 64 + 200, 3);
    let error = open_with(&sim, &small_options(SyncMode::Always, 4096)).err().expect("damage was not seen");
    assert_eq!(error.status(), Status::Corrupt);
    assert!(error.message().contains("000001.seg"), "{error}");
}

#[test]
fn r6_compaction_makes_its_output_durable_then_commits_one_edit_then_unlinks() {
    let sim = SimulatedStorage::new(6);
    let store = open(&sim, SyncMode::None);
    for n in 0..20 {
        store.set(&[n % 4], &[n; 700]).unwrap();
        store.set(&[100 + n], &[n; 100]).unwrap();
    }
    sim.clear_trace();
    settle(&store);
    assert!(store.stats().unwrap().compactions > 0);
    let trace = sim.trace();
    let removal = trace.iter().position(|line| line.starts_with("remove ") && line.ends_with(".seg")).unwrap();
    let input = trace[removal].strip_prefix("remove ").unwrap();
    let commit = trace[..removal].iter().rposition(|line| line == "sync MANIFEST").unwrap();
    let output_created = trace[..commit].iter().rposition(|line| line.starts_with("create ")).unwrap();
    let output = trace[output_created].strip_prefix("create ").unwrap();
    let place = |from: usize, line: &str| {
        let found = trace[from..commit].iter().rposition(|other| other == line);
        found.map(|at| from + at).unwrap_or_else(|| panic!("no {line} before the edit: {trace:#?}"))
    };
    // The last sync of the output's data and name, after the last store into it and before the edit.
    let synced = place(output_created + 4, &format!("sync {output}"));
    let named = place(output_created, "sync-directory");
    let edit = trace[..commit].iter().rposition(|line| line.starts_with("write MANIFEST")).unwrap();
    assert!(synced < edit && named < edit, "{trace:#?}");
    assert_ne!(input, output);
    // Nothing but unlinking ever happens to an input.
    let touched = |line: &&String| line.contains(input) && !line.starts_with("sync") && !line.starts_with("punch");
    let calls: Vec<_> = trace.iter().filter(touched).collect();
    assert_eq!(calls, [&format!("remove {input}")], "{trace:#?}");
}

#[test]
fn r6_a_power_cut_at_any_call_of_a_compaction_loses_nothing() {
    for n in 1.. {
        let sim = SimulatedStorage::new(6);
        let store = open(&sim, SyncMode::Always);
        for n in 0..30 {
            store.set(&[n % 4], &[n; 700]).unwrap();
        }
        let before = sim.call_count();
        sim.crash_at_call(n);
        let is_done = store.compact().is_ok();
        assert!(!is_done || sim.call_count() > before + 10, "the compaction made no calls");
        for seed in 0..6 {
            let next = sim.crash(seed);
            let store = open(&next, SyncMode::Always);
            for n in 26..30 {
                assert_eq!(get(&store, &[n % 4]), Some(vec![n; 700]), "call {n}, seed {seed}");
            }
        }
        if is_done {
            break;
        }
    }
}

#[test]
fn r7_files_that_the_manifest_does_not_name_are_swept_on_open() {
    let mut sim = SimulatedStorage::new(7);
    let store = open(&sim, SyncMode::Always);
    store.set(b"k", b"v").unwrap();
    kill(&mut sim, store);
    for name in ["000099.seg", "MANIFEST.new"] {
        sim.write_file(name, b"left by a crash");
    }
    // Not one that Larder writes, so not Larder's to remove.
    sim.write_file("notes.txt", b"mine");
    let store = open(&sim, SyncMode::Always);
    assert!(!has_file(&sim, "000099.seg") && !has_file(&sim, "MANIFEST.new"), "{:?}", sim.names());
    assert!(has_file(&sim, "notes.txt"));
    assert_eq!(get(&store, b"k"), Some(b"v".to_vec()));
    // A reader sweeps nothing.
    store.close().unwrap();
    sim.write_file("000099.seg", b"left by a crash");
    let read_only = Options { read_only: true, ..small_options(SyncMode::Always, 4096) };
    let store = open_with(&sim, &read_only).unwrap();
    assert!(has_file(&sim, "000099.seg"));
    assert_eq!(get(&store, b"k"), Some(b"v".to_vec()));
}

#[test]
fn r8_a_batch_is_whole_or_absent_after_a_power_cut() {
    let mut counts = [0, 0];
    for seed in 0..300 {
        let sim = SimulatedStorage::new(seed);
        let store = open(&sim, SyncMode::None);
        store.set(b"before", b"x").unwrap();
        store.sync().unwrap();
        let values = [[1; 700], [2; 700], [3; 700]];
        let ops: Vec<BatchOp<'_>> = [b"a", b"b", b"c"]
            .iter()
            .zip(&values)
            .map(|(key, value)| BatchOp::Set { key: *key, value, ttl: Ttl::Forever })
            .collect();
        store.write(&ops, false).unwrap();
        let next = sim.crash(seed);
        drop(store);
        let store = open(&next, SyncMode::None);
        let found: Vec<bool> = [b"a", b"b", b"c"].iter().map(|key| store.exists(*key).unwrap()).collect();
        assert!(found == [true; 3] || found == [false; 3], "seed {seed}: {found:?}");
        assert!(store.exists(b"before").unwrap());
        counts[usize::from(found[0])] += 1;
    }
    assert!(counts[0] > 20 && counts[1] > 20, "not enough cuts of either kind: {counts:?}");
}

/// A killed store with the records `a`, `b` and `c` of 300 bytes each, and the offset of `b`.
fn three_records(sync: SyncMode) -> (SimulatedStorage, u64) {
    let mut sim = SimulatedStorage::new(9);
    let store = open(&sim, sync);
    for key in [b"a", b"b", b"c"] {
        store.set(key, &[key[0]; 300]).unwrap();
    }
    let record_len = (store.stats().unwrap().live_bytes) / 3;
    kill(&mut sim, store);
    (sim, 64 + record_len)
}

#[test]
fn r9_damage_below_the_durable_mark_is_corruption_and_above_it_a_torn_tail() {
    let (sim, offset) = three_records(SyncMode::Always);
    sim.flip_bit("000001.seg", offset + 100, 0);
    for read_only in [false, true] {
        let options = Options { read_only, ..small_options(SyncMode::Always, 4096) };
        let error = open_with(&sim, &options).err().expect("durable records are missing, and nobody says so");
        assert_eq!(error.status(), Status::Corrupt);
        assert!(error.message().contains("000001.seg"), "{error}");
        assert_eq!(error.offset(), offset);
    }
    let (sim, offset) = three_records(SyncMode::None);
    sim.flip_bit("000001.seg", offset + 100, 0);
    let store = open(&sim, SyncMode::None);
    assert_eq!(get(&store, b"a"), Some(vec![b'a'; 300]));
    assert_eq!((get(&store, b"b"), get(&store, b"c")), (None, None));
}

#[test]
fn r10_nothing_is_appended_behind_a_cut_tail_and_what_is_kept_is_durable() {
    let (mut sim, offset) = three_records(SyncMode::None);
    sim.flip_bit("000001.seg", offset + 100, 0);
    let store = open(&sim, SyncMode::None);
    assert_eq!(get(&store, b"b"), None);
    // As long as the lost record: behind it, in the same place, the old `c` would be found again.
    store.set(b"B", &[b'B'; 300]).unwrap();
    kill(&mut sim, store);
    let store = open(&sim, SyncMode::None);
    assert_eq!(get(&store, b"a"), Some(vec![b'a'; 300]));
    assert_eq!(get(&store, b"B"), Some(vec![b'B'; 300]));
    assert_eq!((get(&store, b"b"), get(&store, b"c")), (None, None), "a lost write is back");
    drop(store);
    // Opening acknowledges what it shows: a power cut right after it takes nothing back, nor if the sync
    // before it had failed and left pages that only look clean.
    for seed in 0..20 {
        let mut sim = SimulatedStorage::new(9);
        let store = open(&sim, SyncMode::None);
        store.set(b"a", &[1; 3_000]).unwrap();
        store.set(b"b", &[2; 3_000]).unwrap();
        if seed % 2 == 0 {
            sim.fail_kind(CallKind::Sync, 1, 5);
            store.sync().unwrap_err();
        }
        kill(&mut sim, store);
        let store = open(&sim, SyncMode::None);
        let next = sim.crash(seed);
        drop(store);
        let store = open(&next, SyncMode::None);
        assert_eq!(get(&store, b"a"), Some(vec![1; 3_000]), "seed {seed}");
        assert_eq!(get(&store, b"b"), Some(vec![2; 3_000]), "seed {seed}");
    }
}

#[test]
fn r11_after_the_first_failed_sync_no_write_is_acknowledged_though_a_retry_would_succeed() {
    for sync in [SyncMode::Always, SyncMode::None] {
        let sim = SimulatedStorage::new(11);
        let store = open(&sim, sync);
        store.set(b"k", b"1").unwrap();
        sim.fail_kind(CallKind::Sync, 1, 5);
        let first = if sync == SyncMode::Always { store.set(b"k", b"2").map(|_| ()) } else { store.sync() };
        assert_eq!(first.unwrap_err().status(), Status::Io);
        for _ in 0..3 {
            let error = store.set(b"k", b"3").unwrap_err();
            assert_eq!(error.status(), Status::ReadOnly);
            assert!(error.message().contains("sync"), "{error}");
            assert_eq!(store.sync().unwrap_err().status(), Status::ReadOnly);
            assert_eq!(store.del(b"k").unwrap_err().status(), Status::ReadOnly);
        }
        assert_eq!(get(&store, b"k"), Some(b"1".to_vec()));
        assert_eq!(store.close().unwrap_err().status(), Status::Io);
        let store = open(&sim, sync);
        assert_eq!(get(&store, b"k"), Some(b"1".to_vec()));
        store.set(b"k", b"4").unwrap();
    }
}

#[test]
fn r12_a_write_that_fails_changes_nothing_for_readers_nor_for_the_next_open() {
    // Of each case so many that in some of them all of the write reached the file before the sync failed.
    for case in 0..900 {
        let (seed, case) = (case / 6, case % 6);
        let is_killed = case % 2 == 0;
        let mut sim = SimulatedStorage::new(seed);
        let store = open(&sim, SyncMode::Always);
        store.set(b"k", b"1").unwrap();
        sim.fail_kind(CallKind::Sync, 1, 5);
        match case / 2 {
            0 => drop(store.set(b"k", b"2").unwrap_err()),
            1 => drop(store.set(b"new", b"2").unwrap_err()),
            _ => drop(store.del(b"k").unwrap_err()),
        }
        assert_eq!(get(&store, b"new"), None);
        assert_eq!(get(&store, b"k"), Some(b"1".to_vec()));
        assert_eq!(store.len().unwrap(), 1);
        if is_killed {
            kill(&mut sim, store);
        } else {
            store.close().unwrap_err();
        }
        let store = open(&sim, SyncMode::Always);
        assert_eq!(get(&store, b"k"), Some(b"1".to_vec()), "a write that failed is back");
        assert_eq!(get(&store, b"new"), None, "a write that failed is back");
    }
    // Also for want of room: nothing was appended.
    let mut sim = SimulatedStorage::new(12);
    let store = open(&sim, SyncMode::Always);
    store.set(b"k", b"1").unwrap();
    sim.set_space(Some(sim.space_used()));
    assert_eq!(store.set(b"k", &[2; 9_000]).unwrap_err().status(), Status::NoSpace);
    assert_eq!(get(&store, b"k"), Some(b"1".to_vec()));
    kill(&mut sim, store);
    assert_eq!(get(&open(&sim, SyncMode::Always), b"k"), Some(b"1".to_vec()));
}

#[test]
fn r12_an_open_that_fails_leaves_the_directory_as_it_was() {
    let (sim, _) = three_records(SyncMode::Always);
    sim.flip_bit("MANIFEST", 20, 0);
    let contents = |sim: &SimulatedStorage| -> Vec<_> {
        sim.names().into_iter().map(|name| (sim.read_file(&name), name)).collect()
    };
    let before = contents(&sim);
    open_with(&sim, &small_options(SyncMode::Always, 4096)).err().expect("a damaged manifest was taken");
    assert_eq!(contents(&sim), before);
    // The clock of the simulation stands still by itself, so nothing here depends on the time of day.
    assert_eq!(Storage::now_ms(&sim), Storage::now_ms(&sim));
}
