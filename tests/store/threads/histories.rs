//! Histories of a few threads over a few keys, and whether they are linearizable (P13, P3).

use super::checker::{Event, Step, check};
use super::{Ending, MODES, Moments, Random, number_of, plain, small, tuning, value};
use crate::basics::Scratch;
use crate::model::{number as from, seconds};
use larder::storage::DiskStorage;
use larder::store::{BatchOp, Condition, SetOptions, SetOutcome, Ttl, Tuning};
use larder::{Store, SyncMode};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const KEY_COUNT: u64 = 5;
const THREAD_COUNT: usize = 4;

fn key(history: u64, key: u64) -> Vec<u8> {
    format!("{history}-{key}").into_bytes()
}

/// One thread of one history.
struct Recorder<'a> {
    store: &'a Store,
    moments: &'a Moments,
    numbers: &'a AtomicU64,
    history: u64,
    random: Random,
    events: Vec<Event>,
}

impl Recorder<'_> {
    fn held(found: Option<Vec<u8>>) -> u64 {
        found.map_or(0, |value| number_of(&value))
    }

    /// Calls and notes; the answer may be several steps.
    fn record(&mut self, call: impl FnOnce(&Store) -> Vec<Step>) {
        let invoked = self.moments.next();
        let steps = call(self.store);
        let answered = self.moments.next();
        self.events.extend(steps.into_iter().map(|step| Event { step, invoked, answered }));
    }

    fn get_all(&mut self) {
        for n in 0..KEY_COUNT {
            let name = key(self.history, n);
            self.record(|store| vec![Step::Get { key: n as usize, found: Self::held(store.get(&name).unwrap()) }]);
        }
    }

    fn step(&mut self) {
        let n = self.random.below(KEY_COUNT);
        let at = n as usize;
        let name = key(self.history, n);
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let bytes = value(number, self.random.below(1_500) as usize);
        let kind = self.random.below(100);
        let conditional = |store: &Store, condition| match store
            .set_with(&name, &bytes, &SetOptions { condition, ..plain() })
            .unwrap()
        {
            SetOutcome::Stored { .. } => true,
            SetOutcome::Exists | SetOutcome::NotFound => false,
        };
        match kind {
            0..15 => self.record(|store| {
                store.set(&name, &bytes).unwrap();
                vec![Step::Set { key: at, number }]
            }),
            15..25 => self.record(|store| {
                let is_stored = conditional(store, Condition::IfAbsent);
                vec![Step::SetIfAbsent { key: at, number, is_stored }]
            }),
            25..35 => self.record(|store| {
                let is_stored = conditional(store, Condition::IfPresent);
                vec![Step::SetIfPresent { key: at, number, is_stored }]
            }),
            35..45 => self.record(|store| vec![Step::Remove { key: at, was_there: store.del(&name).unwrap() }]),
            45..50 => {
                self.record(|store| vec![Step::Remove { key: at, was_there: store.expire(&name, Some(0)).unwrap() }])
            }
            50..60 => self.batch(number, &bytes),
            60..70 => {
                let names: Vec<_> = (0..KEY_COUNT).map(|n| key(self.history, n)).collect();
                let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
                // One read after the other, in order: not one moment.
                self.record(|store| {
                    let mut steps = Vec::new();
                    let note = |place: usize, found: larder::Result<Option<&[u8]>>| {
                        steps.push(Step::Get { key: place, found: found.unwrap().map_or(0, number_of) });
                        true
                    };
                    store.get_many_with(&names, note).unwrap();
                    steps
                });
            }
            70..75 => self.record(|store| {
                let found = store.view(&name).unwrap().map_or(0, |view| number_of(view.bytes()));
                vec![Step::Get { key: at, found }]
            }),
            _ => self.record(|store| vec![Step::Get { key: at, found: Self::held(store.get(&name).unwrap()) }]),
        }
    }

    fn batch(&mut self, number: u64, bytes: &[u8]) {
        let mut writes = Vec::new();
        for n in 0..KEY_COUNT {
            match self.random.below(6) {
                0 | 1 => {}
                2 => writes.push((n as usize, 0)),
                // What a batch itself overwrites is never seen.
                3 => writes.extend([(n as usize, 0), (n as usize, number)]),
                _ => writes.push((n as usize, number)),
            }
        }
        let names: Vec<_> = writes.iter().map(|(n, _)| key(self.history, *n as u64)).collect();
        let op = |((_, held), key): (&(usize, u64), _)| match held {
            0 => BatchOp::Del { key },
            _ => BatchOp::Set { key, value: bytes, ttl: Ttl::Forever },
        };
        let ops: Vec<_> = writes.iter().zip(names.iter().map(Vec::as_slice)).map(op).collect();
        self.record(|store| {
            store.write(&ops, false).unwrap();
            vec![Step::Batch { writes }]
        });
    }
}

fn assert_linearizable(what: &str, threads: &[Vec<Event>]) {
    if let Err(events) = check(threads) {
        let lines: Vec<_> = events.iter().map(|e| format!("{:6}..{:6} {:?}", e.invoked, e.answered, e.step)).collect();
        panic!("{what} cannot be explained; the search ended at\n{}", lines.join("\n"));
    }
}

/// Several histories on one store, each with keys of its own, while another thread compacts; then once more with
/// what is there after reopening as the last reads.
fn run(name: &str, sync: SyncMode, tuning: &Tuning, history_count: u64, step_count: usize) {
    let begin = Instant::now();
    let mut count = 0;
    while count == 0 || seconds().is_some_and(|limit| begin.elapsed() < limit) {
        let first = from("LARDER_FROM", 0) + count;
        run_once(name, sync, tuning, first..first + history_count, step_count);
        count += history_count;
    }
    println!("torture: histories={count} wrong=0 lost=0");
}

fn run_once(name: &str, sync: SyncMode, tuning: &Tuning, of: Range<u64>, step_count: usize) {
    let first = of.start;
    let scratch = Scratch::new();
    let open = || {
        let storage = DiskStorage::open(scratch.path(), true, false).unwrap();
        Store::open_in(Arc::new(storage), &small(sync), tuning).unwrap()
    };
    let store = open();
    let moments = Moments::default();
    let numbers = AtomicU64::new(1);
    let mut histories = Vec::new();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let is_over = &is_over;
        let _ending = Ending(is_over);
        let compacting = &store;
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                compacting.compact().unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        for history in of {
            let recorder = |thread: usize| Recorder {
                store: &store,
                moments: &moments,
                numbers: &numbers,
                history,
                random: Random(0x9E37_79B9 + history * 64 + thread as u64),
                events: Vec::new(),
            };
            let running: Vec<_> = (0..THREAD_COUNT)
                .map(|thread| {
                    let mut recorder = recorder(thread);
                    scope.spawn(move || {
                        for _ in 0..step_count {
                            recorder.step();
                        }
                        recorder.events
                    })
                })
                .collect();
            let mut threads: Vec<_> = running.into_iter().map(|thread| thread.join().unwrap()).collect();
            let mut last = recorder(THREAD_COUNT);
            last.get_all();
            threads.push(last.events);
            assert_linearizable(&format!("mode {name}, history {history}"), &threads);
            histories.push(threads);
        }
    });
    assert!(store.stats().unwrap().compactions > 0, "nothing was compacted");
    store.close().unwrap();
    let store = open();
    for (history, threads) in histories.iter_mut().enumerate() {
        let random = Random(1);
        let history = first + history as u64;
        let mut last =
            Recorder { store: &store, moments: &moments, numbers: &numbers, history, random, events: Vec::new() };
        last.get_all();
        threads[THREAD_COUNT].extend(last.events);
        assert_linearizable(&format!("mode {name}, history {history}, reopened"), threads);
    }
    assert_eq!(store.verify().unwrap().bad_records, 0);
}

#[test]
fn histories_are_linearizable_in_mode_always() {
    run("always", SyncMode::Always, &tuning(), 4, 150);
}

#[test]
fn histories_are_linearizable_in_mode_interval() {
    run(MODES[1].0, MODES[1].1, &tuning(), 6, 1_000);
}

#[test]
fn histories_are_linearizable_in_mode_none() {
    run("none", SyncMode::None, &tuning(), 6, 1_000);
}

#[test]
fn histories_of_keys_whose_hashes_collide_are_linearizable() {
    let tuning = Tuning { hash_mask: 1 << 63, ..tuning() };
    run("none", SyncMode::None, &tuning, 4, 1_000);
}

/// Many keys lie between the two that are read, so that a batch that is shown too early has time to be seen.
/// Another thread writes other keys all the while: its syncs cover the batch too.
#[test]
fn after_one_key_of_a_batch_every_other_is_at_least_as_new() {
    const MIDDLE_COUNT: usize = 300;
    for (name, sync) in MODES {
        let scratch = Scratch::new();
        let storage = DiskStorage::open(scratch.path(), true, false).unwrap();
        let store = Store::open_in(Arc::new(storage), &small(sync), &tuning()).unwrap();
        let is_over = AtomicBool::new(false);
        let goes_on = || !is_over.load(Ordering::Relaxed);
        let number = |key: &[u8]| store.get_with(key, number_of).unwrap().unwrap_or(0);
        let middle: Vec<_> = (0..MIDDLE_COUNT).map(|n| format!("middle-{n}").into_bytes()).collect();
        std::thread::scope(|scope| {
            let ending = Ending(&is_over);
            scope.spawn(|| {
                for n in 1.. {
                    let bytes = value(n, (n % 50) as usize);
                    let op = |key| BatchOp::Set { key, value: &bytes, ttl: Ttl::Forever };
                    let mut ops = vec![op(b"a")];
                    ops.extend(middle.iter().map(|key| op(key)));
                    ops.push(op(b"b"));
                    // Sometimes a member is deleted and set again in the same batch.
                    if n % 3 == 0 {
                        ops.insert(1, BatchOp::Del { key: b"b" });
                    }
                    store.write(&ops, false).unwrap();
                    if !goes_on() {
                        break;
                    }
                }
            });
            scope.spawn(|| {
                for n in 0_u64.. {
                    store.set(format!("other-{}", n % 100).as_bytes(), &value(n, 100)).unwrap();
                    if !goes_on() {
                        break;
                    }
                }
            });
            scope.spawn(|| {
                while goes_on() {
                    store.compact().unwrap();
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
            let readers: Vec<_> = [(b"a", b"b"), (b"b", b"a")]
                .into_iter()
                .map(|(first, second)| {
                    let (is_over, goes_on, number) = (&is_over, &goes_on, &number);
                    scope.spawn(move || {
                        let mut reads = 0_u64;
                        while goes_on() {
                            let n = number(first);
                            let later = number(second);
                            if later < n {
                                is_over.store(true, Ordering::Relaxed);
                                let (first, second) = (first[0] as char, second[0] as char);
                                panic!("mode {name}: batch {n} was seen at {first}, then batch {later} at {second}");
                            }
                            reads += 1;
                        }
                        reads
                    })
                })
                .collect();
            std::thread::sleep(Duration::from_millis(700));
            drop(ending);
            for reader in readers {
                assert!(reader.join().unwrap() > 100);
            }
        });
        store.close().unwrap();
    }
}
