//! Group sync in mode `always`: writers share syncs, none is told of its write before a sync that covers it,
//! and no reader sees a write before it is durable.

use super::stopping::{StoppingStorage, Valve};
use super::{Ending, number_of, plain, value};
use crate::basics::Scratch;
use larder::storage::Storage;
use larder::store::{BatchOp, Condition, SetOptions, SetOutcome, Ttl, TtlState, Tuning};
use larder::{Options, Store, SyncMode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// So long a call is watched for not coming back.
const WATCHED: Duration = Duration::from_millis(30);

fn open(scratch: &Scratch) -> (Store, Arc<Valve>) {
    let (storage, valve) = StoppingStorage::open(scratch.path());
    let options = Options { sync: SyncMode::Always, ..Options::default() };
    let store = Store::open_in(storage as Arc<dyn Storage>, &options, &Tuning::default()).unwrap();
    // The first write makes a segment, or takes the one that the background made.
    store.set(b"first", b"").unwrap();
    (store, valve)
}

fn number(store: &Store, key: &[u8]) -> u64 {
    store.get(key).unwrap().map_or(0, |value| number_of(&value))
}

/// Every way to look at a key says that it holds `expected` (0: nothing).
fn assert_shown(what: &str, store: &Store, key: &[u8], expected: u64) {
    assert_eq!(number(store, key), expected, "{what}: get");
    assert_eq!(store.exists(key).unwrap(), expected != 0, "{what}: exists");
    let view = store.view(key).unwrap();
    assert_eq!(view.map_or(0, |view| number_of(view.bytes())), expected, "{what}: view");
    let is_there = !matches!(store.ttl(key).unwrap(), TtlState::Absent | TtlState::Expired);
    assert_eq!(is_there, expected != 0, "{what}: ttl");
    let note = |_, found: larder::Result<Option<&[u8]>>| {
        assert_eq!(found.unwrap().map_or(0, number_of), expected, "{what}: get_many");
        true
    };
    store.get_many_with(&[key], note).unwrap();
    let mut cursor = store.cursor(key).unwrap();
    let found = cursor.next().unwrap().map_or(0, |(_, value)| number_of(value));
    assert_eq!(found, expected, "{what}: cursor");
}

/// Runs `write` while syncs are stopped, and looks at the keys before and after they go on.
fn assert_hidden_while_syncing(
    what: &str,
    store: &Store,
    valve: &Valve,
    write: impl FnOnce() + Send,
    shown: &[(&[u8], u64, u64)],
) {
    std::thread::scope(|scope| {
        let shut = valve.shut();
        let writing = scope.spawn(write);
        valve.await_waiting();
        for (key, before, _) in shown {
            assert_shown(&format!("{what}, not yet durable"), store, key, *before);
        }
        std::thread::sleep(WATCHED);
        assert!(!writing.is_finished(), "{what}: answered before it was durable");
        for (key, before, _) in shown {
            assert_shown(&format!("{what}, still not durable"), store, key, *before);
        }
        drop(shut);
        writing.join().unwrap();
        for (key, _, after) in shown {
            assert_shown(&format!("{what}, durable"), store, key, *after);
        }
    });
}

#[test]
fn nobody_sees_a_write_before_it_is_durable() {
    let scratch = Scratch::new();
    let (store, valve) = open(&scratch);
    let put = |key: &[u8], n| store.set(key, &value(n, 10)).map(|_| ()).unwrap();
    let hidden = |what: &str, write: &(dyn Fn() + Sync), shown: &[(&[u8], u64, u64)]| {
        assert_hidden_while_syncing(what, &store, &valve, write, shown);
    };
    hidden("the first set", &|| put(b"k", 1), &[(b"k", 0, 1)]);
    hidden("a set", &|| put(b"k", 2), &[(b"k", 1, 2)]);
    let set_if = |key: &[u8], n, condition| {
        let options = SetOptions { condition, ..plain() };
        assert!(matches!(store.set_with(key, &value(n, 0), &options).unwrap(), SetOutcome::Stored { .. }));
    };
    hidden("a set if present", &|| set_if(b"k", 3, Condition::IfPresent), &[(b"k", 2, 3)]);
    hidden("a set if absent", &|| set_if(b"l", 4, Condition::IfAbsent), &[(b"l", 0, 4)]);
    hidden("a delete", &|| assert!(store.del(b"k").unwrap()), &[(b"k", 3, 0)]);
    hidden("a set after it", &|| put(b"k", 5), &[(b"k", 0, 5)]);
    hidden("an expiry at once", &|| assert!(store.expire(b"k", Some(0)).unwrap()), &[(b"k", 5, 0)]);
    put(b"k", 6);
    let batch = || {
        let set = |key, value| BatchOp::Set { key, value, ttl: Ttl::Forever };
        let (seven, eight) = (value(7, 0), value(8, 0));
        let ops = [set(b"k", &seven), set(b"m", &seven), set(b"k", &eight), BatchOp::Del { key: b"l" }];
        store.write(&ops, false).unwrap();
    };
    hidden("a batch", &batch, &[(b"k", 6, 8), (b"l", 4, 0), (b"m", 0, 7)]);
    let expire = || assert!(store.expire(b"k", Some(60_000)).unwrap());
    std::thread::scope(|scope| {
        let shut = valve.shut();
        let writing = scope.spawn(expire);
        valve.await_waiting();
        assert_eq!(store.ttl(b"k").unwrap(), TtlState::Forever);
        drop(shut);
        writing.join().unwrap();
        assert!(matches!(store.ttl(b"k").unwrap(), TtlState::Millis(_)));
    });
}

#[test]
fn several_writes_of_one_key_in_one_sync_show_the_last_durable_version() {
    let scratch = Scratch::new();
    let (store, valve) = open(&scratch);
    store.set(b"k", &value(1, 0)).unwrap();
    std::thread::scope(|scope| {
        let shut = valve.shut();
        let first = scope.spawn(|| store.set(b"k", &value(2, 0)).unwrap());
        valve.await_waiting();
        // Each is appended before the next begins: their order is known though none has returned.
        let sets_before = store.stats().unwrap().dead_bytes;
        let second = scope.spawn(|| store.del(b"k").unwrap());
        while store.stats().unwrap().dead_bytes == sets_before {
            std::thread::yield_now();
        }
        let third = scope.spawn(|| store.set(b"k", &value(3, 0)).unwrap());
        std::thread::sleep(WATCHED);
        assert_shown("three writes", &store, b"k", 1);
        drop(shut);
        let first = first.join().unwrap();
        assert!(second.join().unwrap());
        assert!(third.join().unwrap() > first + 1);
        assert_shown("three writes, durable", &store, b"k", 3);
    });
}

/// What answers without writing must not rest on what a power cut takes back.
#[test]
fn an_answer_that_rests_on_an_unsettled_write_waits_for_it() {
    let scratch = Scratch::new();
    let (store, valve) = open(&scratch);
    let set_if =
        |key: &[u8], condition| store.set_with(key, &value(9, 0), &SetOptions { condition, ..plain() }).unwrap();
    let waits = |what: &str, write: &(dyn Fn() + Sync), observe: &(dyn Fn() + Sync)| {
        std::thread::scope(|scope| {
            let shut = valve.shut();
            let writing = scope.spawn(write);
            valve.await_waiting();
            let observing = scope.spawn(observe);
            std::thread::sleep(WATCHED);
            assert!(!observing.is_finished(), "{what}: answered before what it rests on was durable");
            drop(shut);
            writing.join().unwrap();
            observing.join().unwrap();
        });
    };
    let set = || {
        store.set(b"a", &value(1, 0)).unwrap();
    };
    let exists = || assert_eq!(set_if(b"a", Condition::IfAbsent), SetOutcome::Exists);
    waits("set if absent", &set, &exists);
    let delete = || assert!(store.del(b"a").unwrap());
    waits("set if present", &delete, &|| assert_eq!(set_if(b"a", Condition::IfPresent), SetOutcome::NotFound));
    set();
    waits("delete", &delete, &|| assert!(!store.del(b"a").unwrap()));
    set();
    waits("expire", &delete, &|| assert!(!store.expire(b"a", Some(1_000)).unwrap()));
    set();
    waits("expire that changes nothing", &set, &|| assert!(store.expire(b"a", None).unwrap()));
    let expire = || assert!(store.expire(b"a", Some(0)).unwrap());
    waits("delete of what has expired", &expire, &|| assert!(!store.del(b"a").unwrap()));
    assert_shown("after all of them", &store, b"a", 0);
}

#[test]
fn concurrent_durable_writes_share_syncs_and_each_is_covered_by_one() {
    for (thread_count, set_count) in [(1_u64, 20), (8, 25), (32, 15)] {
        let scratch = Scratch::new();
        let (store, valve) = open(&scratch);
        valve.slow_down(Duration::from_millis(2));
        let syncs_before = store.stats().unwrap().syncs;
        let calls: Vec<(u64, u64)> = std::thread::scope(|scope| {
            let run = |thread: u64| {
                let (store, moments) = (&store, &valve.moments);
                move || {
                    let set = |n: u64| {
                        let invoked = moments.next();
                        store.set(format!("{thread}-{n}").as_bytes(), &value(n, 50)).unwrap();
                        (invoked, moments.next())
                    };
                    (0..set_count).map(set).collect::<Vec<_>>()
                }
            };
            let running: Vec<_> = (0..thread_count).map(|thread| scope.spawn(run(thread))).collect();
            running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let syncs = valve.syncs();
        for (invoked, answered) in &calls {
            let covers = |(began, ended): &(u64, u64)| invoked < began && ended < answered;
            assert!(syncs.iter().any(covers), "{thread_count} threads: a set returned without a sync");
        }
        let sync_count = store.stats().unwrap().syncs - syncs_before;
        let call_count = calls.len() as u64;
        match thread_count {
            1 => assert!(sync_count >= call_count, "{sync_count} syncs for {call_count} sets"),
            8 => assert!(sync_count < call_count, "{sync_count} syncs for {call_count} sets of 8 threads"),
            _ => assert!(sync_count < call_count / 2, "{sync_count} syncs for {call_count} sets of 32 threads"),
        }
        store.close().unwrap();
    }
}

/// A batch can be durable before the index shows all of it, because the sync was another writer's. Here syncs take
/// no time, so that this happens often.
#[test]
fn a_batch_that_the_sync_of_another_covers_is_seen_whole() {
    const MIDDLE_COUNT: usize = 2_000;
    let scratch = Scratch::new();
    let (store, valve) = open(&scratch);
    valve.skip();
    let middle: Vec<_> = (0..MIDDLE_COUNT).map(|n| format!("middle-{n}").into_bytes()).collect();
    let is_over = AtomicBool::new(false);
    let goes_on = || !is_over.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        let ending = Ending(&is_over);
        scope.spawn(|| {
            for n in (1..).take_while(|_| goes_on()) {
                let bytes = value(n, 0);
                let op = |key| BatchOp::Set { key, value: &bytes, ttl: Ttl::Forever };
                let keys =
                    [b"a".as_slice()].into_iter().chain(middle.iter().map(Vec::as_slice)).chain([b"b".as_slice()]);
                store.write(&keys.map(op).collect::<Vec<_>>(), false).unwrap();
            }
        });
        scope.spawn(|| {
            while goes_on() {
                store.set(b"other", b"").unwrap();
            }
        });
        let reading = scope.spawn(|| {
            while goes_on() {
                let a = number(&store, b"a");
                let b = number(&store, b"b");
                assert!(b >= a, "batch {a} was seen at a, then batch {b} at b");
            }
        });
        for _ in 0..80 {
            if reading.is_finished() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(ending);
        reading.join().unwrap();
    });
}

#[test]
fn r12_a_write_that_is_refused_because_of_a_failure_during_its_sync_changes_nothing() {
    let scratch = Scratch::new();
    let (storage, valve) = StoppingStorage::open(scratch.path());
    let (options, tuning) = (Options::default(), Tuning { has_background: false, ..Tuning::default() });
    let store = Store::open_in(storage as Arc<dyn Storage>, &options, &tuning).unwrap();
    let keys: [&[u8]; 2] = [b"led", b"waiting"];
    for key in keys {
        store.set(key, b"before").unwrap();
    }
    let outcomes = std::thread::scope(|scope| {
        let shut = valve.shut();
        let led = scope.spawn(|| store.set(keys[0], b"after").is_ok());
        valve.await_waiting();
        let waiting = scope.spawn(|| store.set(keys[1], b"after").is_ok());
        while store.stats().unwrap().sets < 4 {
            std::thread::yield_now();
        }
        store.refuse_writes("something else has failed");
        drop(shut);
        [led.join().unwrap(), waiting.join().unwrap()]
    });
    let check = |store: &Store, who: &str| {
        for (key, was_acknowledged) in keys.iter().zip(outcomes) {
            let expected: &[u8] = if was_acknowledged { b"after" } else { b"before" };
            let found = store.get(key).unwrap().unwrap();
            let key = String::from_utf8_lossy(key);
            assert!(found == expected, "{who}: {key:?}, acknowledged: {was_acknowledged}");
        }
    };
    check(&store, "readers");
    assert!(store.close().is_err());
    check(&Store::open(scratch.path(), &options).unwrap(), "the next open");
}
