//! Everything at once, until the store is closed under its users: writers that read what they wrote, readers
//! and cursors that must find what is always there, views that must not change, compaction, verification.

use super::{Ending, MODES, Random, number_of, plain, small, tuning, value};
use crate::basics::Scratch;
use larder::storage::DiskStorage;
use larder::store::{BatchOp, Condition, SetOptions, SetOutcome, Ttl, View};
use larder::{Error, Status, Store};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const WRITER_COUNT: u64 = 4;
const KEYS_PER_WRITER: u64 = 60;
/// Keys that are overwritten all the time and never absent.
const LASTING_COUNT: u64 = 200;

fn lasting(n: u64) -> Vec<u8> {
    format!("lasting-{n:04}").into_bytes()
}

fn assert_closed(error: &Error) {
    assert_eq!(error.status(), Status::Closed, "{error}");
}

/// What a key holds: the number of its value.
type Contents = HashMap<Vec<u8>, u64>;

struct Writer<'a> {
    store: &'a Store,
    own: u64,
    random: Random,
    number: u64,
    /// What was acknowledged.
    contents: Contents,
}

impl Writer<'_> {
    fn draw_key(&mut self) -> Vec<u8> {
        format!("own-{}-{}", self.own, self.random.below(KEYS_PER_WRITER)).into_bytes()
    }

    /// A call on one of this writer's keys, then a read of it.
    fn step(&mut self) -> Result<(), Error> {
        let key = self.draw_key();
        self.number += 1;
        let number = self.number;
        let bytes = value(number, self.random.below(900) as usize);
        let present = self.contents.contains_key(&key);
        match self.random.below(10) {
            0..=3 => {
                self.store.set(&key, &bytes)?;
                self.contents.insert(key.clone(), number);
            }
            4 => {
                let condition = if number.is_multiple_of(2) { Condition::IfAbsent } else { Condition::IfPresent };
                let outcome = self.store.set_with(&key, &bytes, &SetOptions { condition, ..plain() })?;
                let is_stored = matches!(outcome, SetOutcome::Stored { .. });
                assert_eq!(is_stored, present == (condition == Condition::IfPresent), "{condition:?}");
                if is_stored {
                    self.contents.insert(key.clone(), number);
                }
            }
            5 | 6 => {
                assert_eq!(self.store.del(&key)?, present, "del");
                self.contents.remove(&key);
            }
            7 => {
                assert_eq!(self.store.expire(&key, Some(0))?, present, "expire");
                self.contents.remove(&key);
            }
            _ => {
                // Its own keys and the lasting ones of which it is the only writer.
                let other = self.draw_key();
                let kept = lasting(self.own + WRITER_COUNT * self.random.below(LASTING_COUNT / WRITER_COUNT));
                let set = |key| BatchOp::Set { key, value: &bytes, ttl: Ttl::Forever };
                self.store.write(&[set(&key), set(&kept), BatchOp::Del { key: &other }], false)?;
                self.contents.insert(key.clone(), number);
                self.contents.insert(kept, number);
                self.contents.remove(&other);
            }
        }
        let found = self.store.get_with(&key, number_of)?;
        assert_eq!(found, self.contents.get(&key).copied(), "a writer reads its own write");
        Ok(())
    }
}

/// Reads lasting keys, whose numbers only grow, and keeps some views.
fn read(store: &Store, seed: u64, views: &mut Vec<(View, Vec<u8>)>) -> Result<(), Error> {
    let mut random = Random(seed);
    let mut newest = vec![0; LASTING_COUNT as usize];
    loop {
        let n = random.below(LASTING_COUNT);
        let key = lasting(n);
        let number = if random.below(8) == 0 {
            let view = store.view(&key)?.expect("a lasting key is there");
            let number = number_of(view.bytes());
            if views.len() < 64 {
                let bytes = view.bytes().to_vec();
                views.push((view, bytes));
            }
            number
        } else {
            store.get_with(&key, number_of)?.expect("a lasting key is there")
        };
        assert!(number >= newest[n as usize], "a value went back from {} to {number}", newest[n as usize]);
        newest[n as usize] = number;
    }
}

/// Walks the store, again and again: every lasting key exactly once.
fn walk(store: &Store, walk_count: &AtomicU64) -> Result<(), Error> {
    loop {
        let mut seen = vec![0_u32; LASTING_COUNT as usize];
        let mut cursor = store.cursor(b"")?;
        while let Some((key, value)) = cursor.next()? {
            number_of(value);
            if let Some(digits) = key.strip_prefix(b"lasting-") {
                let n: usize = std::str::from_utf8(digits).unwrap().parse().unwrap();
                seen[n] += 1;
            }
        }
        for (n, count) in seen.iter().enumerate() {
            assert_eq!(*count, 1, "a cursor saw lasting key {n} so often");
        }
        walk_count.fetch_add(1, Ordering::Relaxed);
    }
}

fn maintain(store: &Store) -> Result<(), Error> {
    for round in 0_u64.. {
        store.compact()?;
        if round.is_multiple_of(8) {
            assert_eq!(store.verify()?.bad_records, 0);
        }
        store.stats()?;
        store.len()?;
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn assert_contents(store: &Store, expected: &Contents) {
    let mut found = Contents::new();
    let mut cursor = store.cursor(b"").unwrap();
    while let Some((key, value)) = cursor.next().unwrap() {
        assert!(found.insert(key.to_vec(), number_of(value)).is_none(), "a cursor returned a key twice");
    }
    assert_eq!(&found, expected);
    for (key, number) in expected {
        assert_eq!(store.get_with(key, number_of).unwrap(), Some(*number));
    }
    assert_eq!(store.verify().unwrap().bad_records, 0);
    // A key whose time is over may be counted for a second more.
    for _ in 0..150 {
        if store.len().unwrap() == expected.len() as u64 {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(store.len().unwrap(), expected.len() as u64);
}

fn run(mode: usize, duration: Duration) {
    let (name, sync) = MODES[mode];
    let scratch = Scratch::new();
    let open = || {
        let storage = DiskStorage::open(scratch.path(), true, false).unwrap();
        Store::open_in(Arc::new(storage), &small(sync), &tuning()).unwrap()
    };
    let store = open();
    let first = value(0, 100);
    let keys: Vec<_> = (0..LASTING_COUNT).map(lasting).collect();
    let ops: Vec<_> = keys.iter().map(|key| BatchOp::Set { key, value: &first, ttl: Ttl::Forever }).collect();
    store.write(&ops, false).unwrap();
    let walk_count = AtomicU64::new(0);
    let mut expected: Contents = keys.into_iter().map(|key| (key, 0)).collect();
    let mut views = Vec::new();
    let has_failed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let store = &store;
        let (walk_count, has_failed) = (&walk_count, &has_failed);
        // Whoever panics ends the waiting below; the close then ends everybody.
        let writers: Vec<_> = (0..WRITER_COUNT)
            .map(|own| {
                let random = Random(0xABCD_EF01 + own);
                let mut writer = Writer { store, own, random, number: 0, contents: Contents::new() };
                scope.spawn(move || {
                    let _ending = Ending(has_failed);
                    loop {
                        if let Err(error) = writer.step() {
                            assert_closed(&error);
                            return (writer.contents, writer.number);
                        }
                    }
                })
            })
            .collect();
        let readers: Vec<_> = (0..2)
            .map(|reader| {
                scope.spawn(move || {
                    let _ending = Ending(has_failed);
                    let mut views = Vec::new();
                    assert_closed(&read(store, 77 + reader, &mut views).unwrap_err());
                    views
                })
            })
            .collect();
        let walking = scope.spawn(move || {
            let _ending = Ending(has_failed);
            assert_closed(&walk(store, walk_count).unwrap_err());
        });
        let maintaining = scope.spawn(move || {
            let _ending = Ending(has_failed);
            assert_closed(&maintain(store).unwrap_err());
        });
        let mut waited = Duration::ZERO;
        while waited < duration && !has_failed.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(10));
            waited += Duration::from_millis(10);
        }
        let stats = store.stats().unwrap();
        store.close().unwrap();
        for writer in writers {
            let (contents, number) = writer.join().unwrap();
            assert!(number > 10, "mode {name}: a writer came to {number} calls");
            // A call that was answered with Closed has changed nothing: what was acknowledged is all there is.
            expected.extend(contents);
        }
        for reader in readers {
            views.extend(reader.join().unwrap());
        }
        walking.join().unwrap();
        maintaining.join().unwrap();
        assert!(stats.compactions > 0 && stats.segments > 1, "mode {name}: nothing was compacted: {stats:?}");
    });
    assert!(walk_count.load(Ordering::Relaxed) > 0, "mode {name}: no walk was completed");
    assert!(views.len() > 20, "mode {name}: {} views", views.len());
    for (view, bytes) in &views {
        assert_eq!(view.bytes(), bytes, "a view outlives overwriting, compaction and close");
    }
    assert_eq!(store.close().unwrap_err().status(), Status::Closed);
    let reopened = open();
    assert_contents(&reopened, &expected);
    for (view, bytes) in &views {
        assert_eq!(view.bytes(), bytes, "a view outlives the next opening");
    }
    reopened.close().unwrap();
}

#[test]
fn nothing_is_lost_torn_or_seen_twice_until_close_in_mode_always() {
    run(0, Duration::from_millis(1_000));
}

#[test]
fn nothing_is_lost_torn_or_seen_twice_until_close_in_mode_interval() {
    run(1, Duration::from_millis(1_000));
}

#[test]
fn nothing_is_lost_torn_or_seen_twice_until_close_in_mode_none() {
    run(2, Duration::from_millis(1_000));
}

/// Many short lives, so that closes meet calls at every moment.
#[test]
fn a_close_at_any_moment_is_answered_with_closed_and_loses_nothing() {
    let scratch = Scratch::new();
    let mut expected = Contents::new();
    for round in 0..40_u64 {
        let (_, sync) = MODES[(round % 3) as usize];
        let storage = DiskStorage::open(scratch.path(), true, false).unwrap();
        let store = Store::open_in(Arc::new(storage), &small(sync), &tuning()).unwrap();
        let calling = AtomicU64::new(0);
        let contents: Vec<Contents> = std::thread::scope(|scope| {
            let run = |own: u64| {
                let (store, calling, mut contents) = (&store, &calling, Contents::new());
                move || {
                    for n in 1.. {
                        let key = format!("{own}-{}", n % 20).into_bytes();
                        let number = round * 1_000_000 + n;
                        match store.set(&key, &value(number, 300)) {
                            Ok(_) => contents.insert(key, number),
                            Err(error) => {
                                assert_closed(&error);
                                return contents;
                            }
                        };
                        calling.fetch_add(1, Ordering::Relaxed);
                    }
                    contents
                }
            };
            let running: Vec<_> = (0..3).map(|own| scope.spawn(run(own))).collect();
            let compacting = scope.spawn(|| {
                while let Ok(()) = store.compact() {}
                assert_closed(&store.compact().unwrap_err());
            });
            while calling.load(Ordering::Relaxed) < 5 + round * 7 % 50 {
                std::thread::yield_now();
            }
            // Two at once: one of them closes.
            let other = scope.spawn(|| store.close());
            let outcomes = [store.close(), other.join().unwrap()];
            let closed_count = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
            assert_eq!(closed_count, 1, "{outcomes:?}");
            outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).for_each(assert_closed);
            compacting.join().unwrap();
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        expected.extend(contents.into_iter().flatten());
    }
    let store = Store::open(scratch.path(), &small(MODES[2].1)).unwrap();
    assert_contents(&store, &expected);
}
