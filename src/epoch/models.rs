//! The interleavings of a few threads, all of them, under loom:
//! `RUSTFLAGS="--cfg loom" cargo test --release --lib epoch`.

use super::*;
use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicUsize as ModelUsize;
use loom::thread;
use std::sync::Arc;

/// Something that a reader may look at and that is overwritten when it is freed. loom fails the model
/// if the two can meet.
#[derive(Clone)]
struct Watched(Arc<UnsafeCell<u32>>);

// SAFETY: that accesses do not meet is what is tested, and loom checks it.
unsafe impl Send for Watched {}
// SAFETY: as above.
unsafe impl Sync for Watched {}

impl Watched {
    fn new() -> Self {
        Watched(Arc::new(UnsafeCell::new(1)))
    }

    fn look(&self) {
        // SAFETY: loom checks that nobody writes meanwhile.
        self.0.with(|value| assert_eq!(unsafe { *value }, 1));
    }
}

/// Frees a [`Watched`].
struct Freeing(Watched);

impl Drop for Freeing {
    fn drop(&mut self) {
        // SAFETY: loom checks that nobody looks meanwhile.
        self.0.0.with_mut(|value| unsafe { *value = 0 });
    }
}

fn model(preemptions: usize, f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(f);
}

/// Readers look at whichever of two things is linked; the writer unlinks the first, retires it and
/// takes `steps` chances to free it.
fn readers_and_a_writer(readers: usize, steps: usize, steps_before: usize) {
    let epochs = Arc::new(Epochs::new());
    for _ in 0..steps_before {
        epochs.retire(Box::new(()));
        epochs.collect();
    }
    let things = [Watched::new(), Watched::new()];
    let linked = Arc::new(ModelUsize::new(0));
    let readers: Vec<_> = (0..readers)
        .map(|reader| {
            let (epochs, things, linked) = (Arc::clone(&epochs), things.clone(), Arc::clone(&linked));
            thread::spawn(move || {
                // The first one has a seat, the second counts itself in a slot that is shared.
                super::seats::SLOT.with(|slot| slot.set(reader % SLOT_COUNT));
                let guard = epochs.enter();
                things[linked.load(Ordering::Acquire)].look();
                guard.count_get(true);
            })
        })
        .collect();
    linked.store(1, Ordering::Release);
    epochs.retire(Box::new(Freeing(things[0].clone())));
    (0..steps).for_each(|_| drop(epochs.collect()));
    for reader in readers {
        reader.join().unwrap();
    }
    epochs.drain();
    assert_eq!((epochs.retired_count(), epochs.hits() >= 1), (0, true));
}

#[test]
fn nothing_is_freed_under_a_reader() {
    model(3, || readers_and_a_writer(1, 3, 0));
}

#[test]
fn nothing_is_freed_under_a_reader_of_the_other_parity() {
    model(3, || readers_and_a_writer(1, 3, 1));
}

#[test]
fn nothing_is_freed_under_two_readers() {
    model(2, || readers_and_a_writer(2, 2, 0));
}

#[test]
fn nothing_is_freed_under_a_reader_when_two_threads_collect() {
    model(2, || {
        let epochs = Arc::new(Epochs::new());
        let thing = Watched::new();
        let linked = Arc::new(ModelUsize::new(1));
        let collector = thread::spawn({
            let epochs = Arc::clone(&epochs);
            move || {
                epochs.collect();
                epochs.collect();
            }
        });
        let reader = thread::spawn({
            let (epochs, thing, linked) = (Arc::clone(&epochs), thing.clone(), Arc::clone(&linked));
            move || {
                let _guard = epochs.enter();
                if linked.load(Ordering::Acquire) == 1 {
                    thing.look();
                }
            }
        });
        linked.store(0, Ordering::Release);
        epochs.retire(Box::new(Freeing(thing)));
        epochs.collect();
        collector.join().unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn a_gate_closes_only_when_nobody_is_inside() {
    model(2, || {
        let gate = Arc::new(Gate::new(Arc::new(Epochs::new()), Watched::new()));
        let user = thread::spawn({
            let gate = Arc::clone(&gate);
            move || {
                if let Some(guard) = gate.enter() {
                    guard.look();
                }
            }
        });
        let value = gate.close().unwrap();
        drop(Freeing(value));
        assert!(gate.enter().is_none());
        user.join().unwrap();
    });
}

#[test]
fn only_one_of_two_closers_gets_the_value() {
    model(2, || {
        let gate = Arc::new(Gate::new(Arc::new(Epochs::new()), Watched::new()));
        let other = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.close().map(Freeing).is_some()
        });
        let here = gate.close().map(Freeing).is_some();
        assert!(other.join().unwrap() != here);
    });
}
