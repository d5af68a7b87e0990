//! Checkpoints: loaded page by page, made while the store is written to, the base of recovery, never an authority.
//!
//! Not here: crashes at every call with checkpoints at every turn (`crash`, `model`), images as such (in the index).

use crate::rules::{Interrupted, Interruption};
use crate::world::{Random, small_options, small_tuning};
use larder::storage::SimulatedStorage;
use larder::storage::sim::CallKind;
use larder::store::{BatchOp, Condition, Opening, SetOptions, Ttl, TtlState, Tuning};
use larder::{CompactionMode, Options, Stats, Store, SyncMode};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

type State = BTreeMap<Vec<u8>, Vec<u8>>;

const EIO: i32 = 5;
const SECOND_MS: u64 = 1_000;

fn options(sync: SyncMode) -> Options {
    Options { compaction: CompactionMode::Manual, ..small_options(sync, 16 << 10) }
}

/// A checkpoint with every step that finds more than `checkpoint_bytes` to replay.
fn tuning(checkpoint_bytes: u64) -> Tuning {
    Tuning { checkpoint_bytes, checkpoint_index_multiple: 0, ..small_tuning(u64::MAX) }
}

fn open(sim: &SimulatedStorage, options: &Options, checkpoint_bytes: u64) -> Store {
    Store::open_in(Arc::new(sim.clone()), options, &tuning(checkpoint_bytes)).unwrap()
}

fn opening(store: &Store) -> Opening {
    store.opening().unwrap()
}

fn checkpoints(sim: &SimulatedStorage) -> Vec<String> {
    sim.names().into_iter().filter(|name| name.starts_with("INDEX")).collect()
}

/// Steps until the store has nothing to do.
fn settle(store: &Store) {
    for _ in 0..50 {
        if !store.step_background().unwrap() {
            return;
        }
    }
    panic!("the background finds no rest");
}

/// A store beside what it should hold.
struct Beside {
    state: State,
    random: Random,
    key_count: u64,
}

impl Beside {
    fn new(seed: u64, key_count: u64) -> Self {
        Self { state: State::new(), random: Random::new(seed), key_count }
    }

    fn key(&mut self) -> Vec<u8> {
        format!("key-{}", self.random.below(self.key_count)).into_bytes()
    }

    /// One write: mostly a set, for ever or for long.
    fn write(&mut self, store: &Store) {
        let (key, other) = (self.key(), self.key());
        let value = self.random.next().to_le_bytes().repeat(self.random.below(8) as usize);
        match self.random.below(10) {
            0 | 1 => {
                assert_eq!(store.del(&key).unwrap(), self.state.remove(&key).is_some());
            }
            2 => {
                let ops = [BatchOp::Set { key: &key, value: &value, ttl: Ttl::Forever }, BatchOp::Del { key: &other }];
                store.write(&ops, false).unwrap();
                self.state.insert(key, value);
                self.state.remove(&other);
            }
            3 | 4 => {
                let ttl = Ttl::Millis((1 << 40) + self.random.below(5) * SECOND_MS);
                let options = SetOptions { ttl, condition: Condition::Always, sync: false };
                store.set_with(&key, &value, &options).unwrap();
                self.state.insert(key, value);
            }
            5 => {
                store.expire(&key, Some((1 << 39) + self.random.below(5) * SECOND_MS)).unwrap();
            }
            _ => {
                store.set(&key, &value).unwrap();
                self.state.insert(key, value);
            }
        }
    }

    fn check(&self, store: &Store) {
        store.check_books().unwrap();
        assert_eq!(contents(store), self.state);
        assert_eq!(store.len().unwrap(), self.state.len() as u64);
        for n in 0..self.key_count {
            let key = format!("key-{n}").into_bytes();
            assert_eq!(store.get(&key).unwrap().as_ref(), self.state.get(&key));
        }
        assert_eq!(store.verify().unwrap().bad_records, 0);
    }
}

fn contents(store: &Store) -> State {
    let mut cursor = store.cursor(b"").unwrap();
    let mut found = State::new();
    while let Some((key, value)) = cursor.next().unwrap() {
        found.insert(key.to_vec(), value.to_vec());
    }
    found
}

/// Keys, live bytes and dead bytes.
fn figures(store: &Store) -> (u64, u64, u64) {
    let Stats { keys, live_bytes, dead_bytes, .. } = store.stats().unwrap();
    (keys, live_bytes, dead_bytes)
}

/// A copy of the directory as a kill would leave it, with or without its checkpoints.
fn killed(sim: &SimulatedStorage, with_checkpoints: bool) -> SimulatedStorage {
    let copy = SimulatedStorage::new(1);
    copy.set_now_ms(larder::storage::Storage::now_ms(sim));
    for name in sim.names() {
        if with_checkpoints || !name.starts_with("INDEX") {
            copy.write_file(&name, &sim.read_file(&name));
        }
    }
    copy
}

#[test]
fn after_a_kill_only_what_no_checkpoint_covers_is_replayed_and_the_figures_are_those_of_a_full_replay() {
    for sync in [SyncMode::None, SyncMode::Always] {
        let mut sim = SimulatedStorage::new(11);
        let mut store = open(&sim, &options(sync), 20_000);
        let mut beside = Beside::new(3, 400);
        // Not where everything was compacted just now.
        let mut saved = 0;
        for round in 0..60 {
            for _ in 0..100 {
                beside.write(&store);
            }
            store.step_background().unwrap();
            if round % 7 == 3 {
                store.compact().unwrap();
            }
            if round % 3 != 2 {
                continue;
            }
            let replayed = open(&killed(&sim, false), &options(sync), u64::MAX);
            let copy = killed(&sim, true);
            let from_checkpoint = open(&copy, &options(sync), 20_000);
            assert_eq!(figures(&from_checkpoint), figures(&replayed), "round {round}");
            assert!(!opening(&replayed).is_from_checkpoint);
            if round > 6 {
                assert!(opening(&from_checkpoint).is_from_checkpoint);
                saved += u32::from(opening(&from_checkpoint).replayed_bytes < opening(&replayed).replayed_bytes / 2);
            }
            beside.check(&replayed);
            beside.check(&from_checkpoint);
            // It goes on from there: closed, killed, or where it was.
            match round / 3 % 3 {
                0 => {
                    from_checkpoint.close().unwrap();
                    sim = copy;
                }
                1 => sim = copy.kill(),
                _ => continue,
            }
            store = open(&sim, &options(sync), 20_000);
            beside.check(&store);
        }
        assert!(saved >= 8, "{saved}");
    }
}

/// 100,000 keys, so that the image takes more than one piece, between which the background rests.
#[test]
fn what_changes_while_a_checkpoint_is_made_is_in_its_figures_or_replayed() {
    for sync in [SyncMode::None, SyncMode::Always] {
        let sim = SimulatedStorage::new(12);
        sim.set_write_back(0);
        let options = Options { sync, segment_bytes: 1 << 20, ..options(sync) };
        let quick = Options { sync: SyncMode::None, ..options.clone() };
        let mut beside = Beside::new(4, 100_000);
        let store = open(&sim, &quick, u64::MAX);
        for n in 0..beside.key_count {
            let key = format!("key-{n}").into_bytes();
            store.set(&key, b"first").unwrap();
            beside.state.insert(key, b"first".to_vec());
        }
        store.close().unwrap();
        let store = open(&sim, &options, 1_000);
        settle(&store);
        for _ in 0..200 {
            beside.write(&store);
        }
        let before = checkpoints(&sim);
        let mut rests = 0;
        store
            .step_background_with(&mut || {
                rests += 1;
                for _ in 0..500 {
                    beside.write(&store);
                }
            })
            .unwrap();
        assert!(rests >= 1 && checkpoints(&sim) != before, "{rests} rests, {before:?}");
        let again = open(&sim.kill(), &options, u64::MAX);
        assert!(opening(&again).is_from_checkpoint && opening(&again).replayed_bytes < 500_000);
        beside.check(&again);
        beside.check(&store);
    }
}

/// A closed store with overwritten, deleted, expiring and expired keys, and what is in it.
fn worn(sim: &SimulatedStorage) -> State {
    let store = open(sim, &options(SyncMode::None), u64::MAX);
    let mut beside = Beside::new(5, 600);
    for n in 0..2_000_u64 {
        beside.write(&store);
        if n % 40 == 0 {
            // One that goes by the clock, over an older version that does not.
            let key = format!("over-{}", n / 80).into_bytes();
            store.set(&key, b"older").unwrap();
            let options = SetOptions { ttl: Ttl::Millis(1 + n), condition: Condition::Always, sync: false };
            store.set_with(&key, b"short-lived", &options).unwrap();
        }
    }
    sim.advance_ms(1_000);
    // Some are over and have left the index, others are over and have not, others live for another second.
    settle(&store);
    sim.advance_ms(400);
    store.close().unwrap();
    sim.advance_ms(10_000);
    beside.state
}

/// Where the pages of the only checkpoint lie in its file.
fn pages(sim: &SimulatedStorage) -> (String, Vec<std::ops::Range<usize>>) {
    let [name] = checkpoints(sim).try_into().unwrap();
    let bytes = sim.read_file(&name);
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
    let image_end = 64 + u64_at(40);
    let table = 64 + u64_at(image_end - 64 + 24);
    let starts = (table..image_end - 64).step_by(32).map(|entry| 64 + u64_at(entry));
    let mut starts: Vec<_> = starts.collect();
    starts.push(table);
    (name, starts.windows(2).map(|pair| pair[0]..pair[1]).collect())
}

fn is_right(store: &Store, expected: &State, what: &str) {
    assert_eq!(&contents(store), expected, "{what}");
    store.check_books().unwrap_or_else(|wrong| panic!("{what}: {wrong}"));
    assert_eq!(store.len().unwrap(), expected.len() as u64, "{what}");
}

#[test]
fn p8_a_page_of_a_checkpoint_that_is_damaged_before_or_after_the_opening_changes_nothing() {
    let sim = SimulatedStorage::new(13);
    let expected = worn(&sim);
    let (name, pages) = pages(&sim);
    assert!(pages.len() >= 64, "{}", pages.len());
    let mut random = Random::new(6);
    for (n, page) in pages.iter().enumerate() {
        let copy = killed(&sim, true);
        let damage = |at: usize| copy.flip_bit(&name, at as u64, n as u32 % 8);
        let at = page.start + random.below(page.len() as u64) as usize;
        let is_early = n % 2 == 0;
        if is_early {
            damage(at);
        }
        let store = open(&copy, &options(SyncMode::None), u64::MAX);
        assert!(opening(&store).is_from_checkpoint && opening(&store).replayed_bytes == 0);
        if !is_early {
            damage(at);
        }
        is_right(&store, &expected, &format!("page {n}, byte {at}, early: {is_early}"));
        // What the next open finds is whole.
        store.close().unwrap();
        let store = open(&copy, &options(SyncMode::None), u64::MAX);
        assert!(opening(&store).is_from_checkpoint);
        is_right(&store, &expected, "after the close");
    }
}

#[test]
fn every_way_of_reading_loads_what_is_in_a_checkpoint_only() {
    let sim = SimulatedStorage::new(23);
    let expected = worn(&sim);
    let keys: Vec<&[u8]> = expected.keys().map(Vec::as_slice).collect();
    let each = |store: &Store, is_there: &dyn Fn(&Store, &[u8]) -> bool| {
        keys.iter().for_each(|key| assert!(is_there(store, key), "{key:?}"));
    };
    type Look<'a> = &'a dyn Fn(&Store);
    let looks: [Look<'_>; 7] = [
        &|store| each(store, &|store, key| store.get(key).unwrap().as_ref() == expected.get(key)),
        &|store| each(store, &|store, key| store.view(key).unwrap().unwrap().bytes() == expected[key]),
        &|store| each(store, &|store, key| store.exists(key).unwrap()),
        &|store| each(store, &|store, key| store.ttl(key).unwrap() != TtlState::Absent),
        &|store| assert_eq!(contents(store), expected),
        &|store| {
            let answer = |place: usize, found: larder::Result<Option<&[u8]>>| {
                assert_eq!(found.unwrap(), expected.get(keys[place]).map(Vec::as_slice));
                true
            };
            store.get_many_with(&keys, answer).unwrap();
        },
        &|store| each(store, &|store, key| store.del(key).unwrap()),
    ];
    for look in looks {
        let store = open(&killed(&sim, true), &options(SyncMode::None), u64::MAX);
        assert!(opening(&store).is_from_checkpoint);
        look(&store);
    }
}

#[test]
fn p8_pages_that_cannot_be_read_are_found_again_by_whoever_needs_them_first() {
    let sim = SimulatedStorage::new(14);
    let expected = worn(&sim);
    let (name, pages) = pages(&sim);
    for first in ["get", "set", "del", "batch", "background", "compaction"] {
        let copy = killed(&sim, true);
        let store = open(&copy, &options(SyncMode::None), u64::MAX);
        let mut expected = expected.clone();
        if first == "get" {
            // A device that cannot read, for a while.
            (1..=20).for_each(|n| copy.fail_kind(CallKind::ReadAt, n, EIO));
        } else {
            pages.iter().for_each(|page| copy.flip_bit(&name, page.start as u64 + 80, 1));
        }
        let keys: Vec<_> = expected.keys().cloned().collect();
        for (n, key) in keys.iter().enumerate() {
            match first {
                "get" => assert_eq!(store.get(key).unwrap().as_ref(), expected.get(key)),
                "set" => {
                    store.set(key, b"set").unwrap();
                    expected.insert(key.clone(), b"set".to_vec());
                }
                "del" => {
                    assert!(store.del(key).unwrap());
                    expected.remove(key);
                }
                "batch" => {
                    let fresh = format!("fresh-{n}").into_bytes();
                    let ops = [
                        BatchOp::Set { key: &fresh, value: b"1", ttl: Ttl::Forever },
                        BatchOp::Set { key, value: b"2", ttl: Ttl::Forever },
                    ];
                    store.write(&ops, false).unwrap();
                    expected.insert(fresh, b"1".to_vec());
                    expected.insert(key.clone(), b"2".to_vec());
                }
                "background" => drop(store.step_background().unwrap()),
                _ => store.compact().unwrap(),
            }
            if n == 150 {
                break;
            }
        }
        is_right(&store, &expected, first);
        settle(&store);
        is_right(&store, &expected, first);
        let store = open(&copy.kill(), &options(SyncMode::None), u64::MAX);
        is_right(&store, &expected, first);
    }
}

#[test]
fn p8_a_checkpoint_that_is_damaged_as_a_kill_shows_it_changes_nothing() {
    let sim = SimulatedStorage::new(15);
    let store = open(&sim, &options(SyncMode::None), 30_000);
    let mut beside = Beside::new(7, 300);
    for round in 0..40 {
        (0..50).for_each(|_| beside.write(&store));
        store.step_background().unwrap();
        if round % 9 == 4 {
            store.compact().unwrap();
        }
    }
    (0..50).for_each(|_| beside.write(&store));
    let (name, _) = pages(&sim);
    let len = sim.read_file(&name).len();
    let mut from_checkpoint = 0;
    for n in 0..150 {
        let copy = killed(&sim, true);
        if n % 3 == 0 {
            copy.write_file(&name, &sim.read_file(&name)[..len * n / 150]);
        } else {
            copy.flip_bit(&name, (len * n / 150) as u64, n as u32 % 8);
        }
        let store = open(&copy, &options(SyncMode::None), 30_000);
        from_checkpoint += u32::from(opening(&store).is_from_checkpoint);
        is_right(&store, &beside.state, &format!("{n}"));
    }
    assert!(from_checkpoint < 75, "{from_checkpoint} of 150 damaged checkpoints were used and not missed");
}

#[test]
fn damage_of_both_a_checkpoint_and_the_log_is_reported_and_no_key_is_said_to_be_absent() {
    let sim = SimulatedStorage::new(16);
    let expected = worn(&sim);
    let (name, pages) = pages(&sim);
    let store = open(&sim, &options(SyncMode::None), u64::MAX);
    pages.iter().for_each(|page| sim.flip_bit(&name, page.start as u64 + 80, 1));
    let segment = sim.names().into_iter().filter(|name| name.ends_with(".seg")).nth(1).unwrap();
    sim.flip_bit(&segment, 1_000, 3);
    for (key, value) in &expected {
        match store.get(key) {
            Ok(found) => assert_eq!(found.as_ref(), Some(value)),
            Err(error) => {
                assert_eq!(error.status(), larder::Status::Corrupt);
                assert!(error.message().contains(&segment), "{error}");
            }
        }
    }
    let mut cursor = store.cursor(b"").unwrap();
    assert!(std::iter::from_fn(|| Some(cursor.next().map(|next| next.map(drop)))).take(1_000).any(|it| it.is_err()));
    assert_eq!(store.set(b"new", b"value").unwrap_err().status(), larder::Status::ReadOnly);
}

#[test]
fn r5_a_checkpoint_that_is_newer_than_the_history_is_void_and_removed() {
    let sim = SimulatedStorage::new(17);
    let expected = worn(&sim);
    let older = killed(&sim, false);
    let store = open(&sim, &options(SyncMode::None), u64::MAX);
    store.set(b"later", b"1").unwrap();
    store.close().unwrap();
    let [newer] = checkpoints(&sim).try_into().unwrap();
    for is_read_only in [true, false] {
        let copy = killed(&older, true);
        copy.write_file(&newer, &sim.read_file(&newer));
        let options = Options { read_only: is_read_only, ..options(SyncMode::None) };
        let store = open(&copy, &options, u64::MAX);
        assert!(!opening(&store).is_from_checkpoint);
        is_right(&store, &expected, "newer");
        assert_eq!(checkpoints(&copy).is_empty(), !is_read_only, "{:?}", copy.names());
    }
}

/// As if the files of a backup had been put beside a checkpoint that the store made later. What it covers is the same; only
/// what it shows is newer.
#[test]
fn r5_a_checkpoint_is_void_if_only_what_it_shows_is_newer_than_the_history() {
    let sim = SimulatedStorage::new(24);
    let (at_create, older) = (Arc::new(Mutex::new(None::<Interruption>)), Arc::new(Mutex::new(None)));
    let storage = Interrupted { sim: sim.clone(), name_prefix: "INDEX.new", at_create: Arc::clone(&at_create) };
    let store = Arc::new(Store::open_in(Arc::new(storage), &options(SyncMode::None), &tuning(5_000)).unwrap());
    let mut beside = Beside::new(10, 60);
    (0..200).for_each(|_| beside.write(&store));
    let (writer, copy, of) = (Arc::clone(&store), Arc::clone(&older), sim.clone());
    *at_create.lock().unwrap() = Some(Box::new(move || {
        *copy.lock().unwrap() = Some(killed(&of, false));
        (0..60).for_each(|n| drop(writer.del(format!("key-{n}").as_bytes())));
    }));
    store.step_background().unwrap();
    let older = older.lock().unwrap().take().expect("no checkpoint was made");
    let [newer] = checkpoints(&sim).try_into().unwrap();
    older.write_file(&newer, &sim.read_file(&newer));
    let store = open(&older, &options(SyncMode::None), u64::MAX);
    assert!(!opening(&store).is_from_checkpoint && !beside.state.is_empty());
    is_right(&store, &beside.state, "newer");
}

#[test]
fn a_checkpoint_is_durable_before_it_has_its_name_and_so_is_what_it_shows() {
    let mut sim = SimulatedStorage::new(18);
    let mut store = open(&sim, &options(SyncMode::None), 5_000);
    let mut beside = Beside::new(8, 200);
    for seed in 0..60 {
        let names = checkpoints(&sim);
        while checkpoints(&sim) == names {
            (0..20).for_each(|_| beside.write(&store));
            store.step_background().unwrap();
        }
        assert_eq!(checkpoints(&sim).len(), 1, "the one before it is gone");
        sim = sim.crash(seed);
        store = open(&sim, &options(SyncMode::None), 5_000);
        assert!(opening(&store).is_from_checkpoint, "power cut {seed}");
        is_right(&store, &beside.state, "after the power cut");
    }
}

#[test]
fn what_is_written_while_a_checkpoint_is_made_is_durable_if_the_checkpoint_is() {
    for seed in 0..20 {
        let sim = SimulatedStorage::new(22);
        sim.set_write_back(seed as u32 % 2 * 64);
        let at_create = Arc::new(Mutex::new(None::<Interruption>));
        let storage = Interrupted { sim: sim.clone(), name_prefix: "INDEX.new", at_create: Arc::clone(&at_create) };
        let store = Arc::new(Store::open_in(Arc::new(storage), &options(SyncMode::None), &tuning(5_000)).unwrap());
        let mut beside = Beside::new(seed, 60);
        (0..200).for_each(|_| beside.write(&store));
        // What is covered is sealed by now, and no page is copied yet: the index will show these.
        let writer = Arc::clone(&store);
        *at_create.lock().unwrap() = Some(Box::new(move || {
            (0..30).for_each(|n| drop(writer.set(format!("key-{n}").as_bytes(), b"beside")));
            (30..60).for_each(|n| drop(writer.del(format!("key-{n}").as_bytes())));
        }));
        store.step_background().unwrap();
        assert!(at_create.lock().unwrap().is_none(), "no checkpoint was made");
        beside.state = (0..30).map(|n| (format!("key-{n}").into_bytes(), b"beside".to_vec())).collect();
        let again = open(&sim.crash(seed), &options(SyncMode::None), u64::MAX);
        assert!(opening(&again).is_from_checkpoint, "power cut {seed}");
        is_right(&again, &beside.state, "after the power cut");
    }
}

#[test]
fn r7_a_checkpoint_that_was_never_finished_is_swept_on_open() {
    let sim = SimulatedStorage::new(19);
    let expected = worn(&sim);
    let [name] = checkpoints(&sim).try_into().unwrap();
    sim.write_file("INDEX.new", &sim.read_file(&name)[..500]);
    sim.write_file("INDEX-00000000000000000001", b"not one");
    let store = open(&sim, &options(SyncMode::None), u64::MAX);
    assert_eq!(checkpoints(&sim), [name]);
    is_right(&store, &expected, "swept");
}

#[test]
fn a_checkpoint_that_fails_at_any_call_is_no_error_and_the_next_one_succeeds() {
    for errno in [EIO, 28] {
        for n in 1.. {
            let sim = SimulatedStorage::new(20);
            let store = open(&sim, &options(SyncMode::None), 5_000);
            let mut beside = Beside::new(9, 50);
            (0..300).for_each(|_| beside.write(&store));
            sim.clear_trace();
            let first = sim.call_count();
            sim.fail_call(n, errno);
            store.step_background().unwrap();
            let calls = sim.call_count() - first;
            sim.clear_failures();
            is_right(&store, &beside.state, &format!("errno {errno} at call {n}: {:#?}", sim.trace()));
            if store.set(b"next", b"1").is_ok() {
                store.del(b"next").unwrap();
                for _ in 0..20 {
                    (0..100).for_each(|_| beside.write(&store));
                    store.step_background().unwrap();
                }
                assert_eq!(checkpoints(&sim).len(), 1, "errno {errno} at call {n}: {:?}", sim.names());
            }
            let again = open(&sim.kill(), &options(SyncMode::None), u64::MAX);
            is_right(&again, &beside.state, "after a kill");
            if n > calls {
                break;
            }
        }
    }
}

#[test]
fn what_an_opening_reads_of_a_checkpoint_does_not_grow_with_the_store() {
    let mut reads = Vec::new();
    for key_count in [10_u32, 1_000, 40_000] {
        let sim = SimulatedStorage::new(21);
        sim.set_write_back(0);
        let options = Options { segment_bytes: 8 << 20, ..options(SyncMode::None) };
        let store = open(&sim, &options, u64::MAX);
        for n in 0..key_count {
            store.set(&n.to_le_bytes(), b"value").unwrap();
        }
        store.close().unwrap();
        sim.clear_trace();
        let store = open(&sim, &options, u64::MAX);
        let is_read = |line: &&String| line.starts_with("read INDEX-") || line.starts_with("map INDEX-");
        reads.push(sim.trace().iter().filter(is_read).count());
        // One get, one page.
        assert!(store.get(&1_u32.to_le_bytes()).unwrap().is_some());
        assert_eq!(sim.trace().iter().filter(is_read).count(), reads[0] + 1);
        store.close().unwrap();
    }
    assert!(reads.iter().all(|count| *count == reads[0]), "{reads:?}");
}
