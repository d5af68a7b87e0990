//! Nothing is freed too early, everything is freed in the end.

// Tests read the clock, and end at the first surprise.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Counts its drops.
struct Item(Arc<AtomicUsize>);

impl Drop for Item {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn an_item_lives_as_long_as_a_guard_that_may_have_seen_it() {
    let epochs = Epochs::new();
    let dropped = Arc::new(AtomicUsize::new(0));
    let guard = epochs.enter();
    epochs.retire(Box::new(Item(Arc::clone(&dropped))));
    for _ in 0..10 {
        epochs.collect();
        assert_eq!(dropped.load(Ordering::SeqCst), 0);
    }
    drop(guard);
    let freed = (0..3).map(|_| epochs.collect()).sum::<usize>();
    assert_eq!((freed, dropped.load(Ordering::SeqCst)), (1, 1));
}

#[test]
fn later_guards_do_not_hold_an_item_back() {
    let epochs = Epochs::new();
    let dropped = Arc::new(AtomicUsize::new(0));
    let mut guard = epochs.enter();
    epochs.retire(Box::new(Item(Arc::clone(&dropped))));
    // There is always a guard, but never for long the same.
    for _ in 0..4 {
        epochs.collect();
        guard = std::mem::replace(&mut guard, epochs.enter());
        drop(std::mem::replace(&mut guard, epochs.enter()));
    }
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
    drop(guard);
}

#[test]
fn retiring_many_collects_by_itself() {
    let epochs = Epochs::new();
    let dropped = Arc::new(AtomicUsize::new(0));
    for _ in 0..1000 {
        epochs.retire(Box::new(Item(Arc::clone(&dropped))));
        assert!(epochs.retired_count() <= 2 * RETIRED_COUNT_MAX);
    }
    epochs.drain();
    assert_eq!((dropped.load(Ordering::SeqCst), epochs.retired_count()), (1000, 0));
}

#[test]
fn dropping_the_epochs_frees_what_is_left() {
    let epochs = Epochs::new();
    let dropped = Arc::new(AtomicUsize::new(0));
    (0..5).for_each(|_| epochs.retire(Box::new(Item(Arc::clone(&dropped)))));
    drop(epochs);
    assert_eq!(dropped.load(Ordering::SeqCst), 5);
}

#[test]
fn gets_and_hits_are_counted_exactly() {
    let epochs = Epochs::new();
    std::thread::scope(|scope| {
        for thread in 0..40u64 {
            let epochs = &epochs;
            scope.spawn(move || {
                for i in 0..100 {
                    epochs.enter().count_get(i % 4 == 0);
                    let _not_a_get = epochs.enter();
                }
                let guard = epochs.enter();
                guard.count_get(thread % 2 == 0);
                guard.count_get(true);
                guard.count_gets(32, 30);
            });
        }
    });
    assert_eq!(epochs.gets(), 40 * (100 + 2 + 32));
    assert_eq!(epochs.hits(), 40 * (25 + 1 + 30) + 20);
    epochs.drain();
}

#[test]
fn an_item_that_panics_when_dropped_stops_nobody() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    let epochs = Epochs::new();
    epochs.retire(Box::new(Bad));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| epochs.drain())).is_err());
    epochs.drain();
}

#[test]
fn readers_of_a_swapped_box_never_see_it_freed() {
    const ALIVE: u64 = 0x1234_5678;
    struct Guarded(AtomicU64);
    impl Drop for Guarded {
        fn drop(&mut self) {
            self.0.store(0, Ordering::SeqCst);
        }
    }
    struct Sent(*mut Guarded);
    // SAFETY: the pointer is to a box of atomics, and nobody else frees it.
    unsafe impl Send for Sent {}
    impl Drop for Sent {
        fn drop(&mut self) {
            // SAFETY: from a box, retired once.
            drop(unsafe { Box::from_raw(self.0) });
        }
    }

    let epochs = Epochs::new();
    let shared = AtomicPtr::new(Box::into_raw(Box::new(Guarded(AtomicU64::new(ALIVE)))));
    let done = AtomicBool::new(false);
    let end = Instant::now() + Duration::from_millis(400);
    let freed = std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let guard = epochs.enter();
                    let now = shared.load(Ordering::Acquire);
                    for _ in 0..8 {
                        // SAFETY: what is tested.
                        assert_eq!(unsafe { (*now).0.load(Ordering::SeqCst) }, ALIVE);
                    }
                    drop(guard);
                }
            });
        }
        let mut freed = 0;
        while Instant::now() < end {
            let old = shared.swap(Box::into_raw(Box::new(Guarded(AtomicU64::new(ALIVE)))), Ordering::AcqRel);
            epochs.retire(Box::new(Sent(old)));
            freed += epochs.collect();
        }
        done.store(true, Ordering::Relaxed);
        freed
    });
    assert!(freed > 0);
    drop(Sent(shared.into_inner()));
}

#[test]
fn a_gate_closes_once_and_waits_for_its_guards() {
    let gate = Arc::new(Gate::new(Arc::new(Epochs::new()), vec![1, 2, 3]));
    let guard = gate.enter().unwrap();
    assert_eq!(guard.len(), 3);
    let closer = std::thread::spawn({
        let gate = Arc::clone(&gate);
        move || gate.close()
    });
    while !gate.is_closed() {
        std::thread::yield_now();
    }
    assert!(gate.enter().is_none());
    assert_eq!(gate.close(), None);
    std::thread::sleep(Duration::from_millis(20));
    assert!(!closer.is_finished());
    assert_eq!(*guard, [1, 2, 3]);
    drop(guard);
    assert_eq!(closer.join().unwrap(), Some(vec![1, 2, 3]));
}

#[test]
fn a_gate_that_nobody_closed_drops_its_value() {
    let dropped = Arc::new(AtomicUsize::new(0));
    drop(Gate::new(Arc::new(Epochs::new()), Item(Arc::clone(&dropped))));
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
    let gate = Gate::new(Arc::new(Epochs::new()), Item(Arc::clone(&dropped)));
    drop(gate.close());
    drop(gate);
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
}

#[test]
fn a_guard_leaves_when_its_holder_panics() {
    let gate = Gate::new(Arc::new(Epochs::new()), 7);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _guard = gate.enter().unwrap();
        panic!("on purpose");
    }));
    assert!(result.is_err());
    assert_eq!(gate.close(), Some(7));
}

#[test]
fn calls_beside_a_close_find_the_value_whole_or_gone() {
    let end = Instant::now() + Duration::from_millis(300);
    while Instant::now() < end {
        let gate = Gate::new(Arc::new(Epochs::new()), Box::new(AtomicU64::new(5)));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while let Some(guard) = gate.enter() {
                        assert_eq!(guard.load(Ordering::Relaxed), 5);
                        guard.epoch().count_get(true);
                    }
                });
            }
            let value = scope.spawn(|| gate.close()).join().unwrap().unwrap();
            value.store(6, Ordering::Relaxed);
            drop(value);
        });
    }
}
