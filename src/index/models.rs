//! The interleavings of a reader and a writer, all of them, under loom:
//! `RUSTFLAGS="--cfg loom" cargo test --release --lib index`.
//!
//! In models a stripe's first page has one group of two lines of two words and a spill of one, and
//! splits when it is full, so everything that can happen to a page happens within a few inserts.

use super::entry::Probe;
use super::*;
use loom::thread;

/// The `n`th hash whose home is this line and whose window begins with this bit.
fn hash_at(line: usize, half: u32, n: usize) -> u64 {
    let candidates = (1u64..).map(|i| u64::from(half) << 63 | i << 41);
    let mut fits = candidates.filter(|hash| {
        let probe = Probe::of_hash(*hash);
        probe.line(2) == line && probe.prefix(1) == half
    });
    fits.nth(n).unwrap()
}

fn location(n: u64) -> Location {
    Location::new(n)
}

/// Runs a writer beside a reader that looks for `hash` twice; it must be found at one of `places`.
fn reader_beside(prepared: impl Fn(&Index), writer: impl Fn(&Index), hash: u64, places: &'static [u64]) {
    let epochs = Arc::new(Epochs::new());
    let index = Arc::new(Index::new(Arc::clone(&epochs)));
    prepared(&index);
    let reader = thread::spawn({
        let (epochs, index) = (Arc::clone(&epochs), Arc::clone(&index));
        move || {
            let guard = epochs.enter();
            let found = index.find(&guard, hash, |found| places.contains(&found.get()));
            assert!(found.is_some(), "missed");
        }
    });
    writer(&index);
    reader.join().unwrap();
    let found = index.find(&epochs.enter(), hash, |found| places.contains(&found.get()));
    assert!(found.is_some(), "missed in the end");
}

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

/// Two entries at home in line 0, and a third that had to go to line 1.
fn with_a_displaced_one(index: &Index) {
    for n in 0..3 {
        index.lock(0).insert(hash_at(0, 0, n), location(n as u64 + 1));
    }
}

#[test]
fn a_displaced_entry_is_found_while_its_home_empties_and_fills() {
    model(|| {
        let [a, b, c] = [0, 1, 2].map(|n| hash_at(0, 0, n));
        let writer = move |index: &Index| {
            let mut stripe = index.lock(0);
            assert!(stripe.remove(a, location(1)));
            assert!(stripe.remove(b, location(2)));
            stripe.insert(hash_at(0, 0, 3), location(4));
        };
        reader_beside(with_a_displaced_one, writer, c, &[3]);
    });
}

#[test]
fn a_displaced_entry_is_found_while_another_displaced_one_goes() {
    model(|| {
        let c = hash_at(0, 0, 2);
        let prepared = |index: &Index| {
            with_a_displaced_one(index);
            index.lock(0).insert(hash_at(0, 0, 3), location(4));
        };
        let writer = |index: &Index| assert!(index.lock(0).remove(hash_at(0, 0, 3), location(4)));
        reader_beside(prepared, writer, c, &[3]);
    });
}

#[test]
fn a_spilled_entry_is_found_while_its_lines_empty() {
    model(|| {
        let e = hash_at(0, 0, 4);
        let prepared = |index: &Index| {
            with_a_displaced_one(index);
            index.lock(0).insert(hash_at(0, 0, 3), location(4));
            index.lock(0).insert(hash_at(0, 0, 4), location(5));
        };
        let writer = |index: &Index| {
            let mut stripe = index.lock(0);
            assert!(stripe.remove(hash_at(0, 0, 2), location(3)));
            assert!(stripe.remove(hash_at(0, 0, 0), location(1)));
            stripe.insert(hash_at(1, 0, 0), location(6));
        };
        reader_beside(prepared, writer, e, &[5]);
    });
}

#[test]
fn a_replaced_entry_is_found_at_its_old_or_its_new_location() {
    model(|| {
        let c = hash_at(0, 0, 2);
        let writer = move |index: &Index| {
            let mut stripe = index.lock(0);
            assert!(!stripe.replace(c, location(9), location(8)));
            assert!(stripe.replace(c, location(3), location(7)));
        };
        reader_beside(with_a_displaced_one, writer, c, &[3, 7]);
    });
}

#[test]
fn an_entry_is_found_while_its_page_splits() {
    model(|| {
        let c = hash_at(0, 0, 2);
        let prepared = |index: &Index| {
            with_a_displaced_one(index);
            index.lock(0).insert(hash_at(1, 1, 0), location(4));
            index.lock(0).insert(hash_at(1, 1, 1), location(5));
        };
        let writer = |index: &Index| {
            index.lock(0).insert(hash_at(1, 1, 2), location(6));
            index.lock(0).remove(hash_at(0, 0, 0), location(1));
        };
        reader_beside(prepared, writer, c, &[3]);
    });
}

#[test]
fn an_entry_is_found_while_the_spill_gets_longer() {
    model(|| {
        let e = hash_at(0, 0, 4);
        let prepared = |index: &Index| {
            // One hash for all: nothing to split by.
            (1..6).for_each(|n| index.lock(0).insert(hash_at(0, 0, 4), location(n)));
        };
        let writer = |index: &Index| {
            index.lock(0).insert(hash_at(0, 0, 4), location(6));
            index.lock(0).remove(hash_at(0, 0, 4), location(1));
        };
        reader_beside(prepared, writer, e, &[5]);
    });
}

/// What `find` and `find_prefetched` say must fit one order of events, whichever goes first.
fn both_finds_agree(prepared: impl Fn(&Index), writer: impl Fn(&Index), hash: u64, appears: bool) {
    let epochs = Arc::new(Epochs::new());
    let index = Arc::new(Index::new(Arc::clone(&epochs)));
    prepared(&index);
    let reader = thread::spawn({
        let (epochs, index) = (Arc::clone(&epochs), Arc::clone(&index));
        move || {
            let guard = epochs.enter();
            let tags_first = || index.find(&guard, hash, |_| true).is_some();
            let line_first = || index.find_prefetched(&guard, hash, |_| true).is_some();
            if appears {
                assert!(!line_first() || tags_first(), "it was there and then was not");
            } else {
                assert!(tags_first() || !line_first(), "it was gone and then was not");
            }
        }
    });
    writer(&index);
    reader.join().unwrap();
}

#[test]
fn an_entry_appears_to_all_finds_at_once() {
    let a = hash_at(0, 0, 0);
    model(move || both_finds_agree(|_| (), move |index| index.lock(0).insert(a, location(1)), a, true));
    let prepared = |index: &Index| (0..2).for_each(|n| index.lock(0).insert(hash_at(0, 0, n), location(n as u64 + 1)));
    let c = hash_at(0, 0, 2);
    model(move || both_finds_agree(prepared, move |index| index.lock(0).insert(c, location(3)), c, true));
}

#[test]
fn an_entry_disappears_from_all_finds_at_once() {
    for n in [0, 2] {
        let hash = hash_at(0, 0, n);
        let writer = move |index: &Index| assert!(index.lock(0).remove(hash, location(n as u64 + 1)));
        model(move || both_finds_agree(with_a_displaced_one, writer, hash, false));
    }
}

#[test]
fn whoever_finds_a_location_sees_what_was_written_there() {
    for replaces in [false, true] {
        model(move || {
            let epochs = Arc::new(Epochs::new());
            let index = Arc::new(Index::new(Arc::clone(&epochs)));
            let hash = hash_at(0, 0, 0);
            let neighbour = hash_at(0, 0, 1);
            index.lock(0).insert(neighbour, location(1));
            if replaces {
                index.lock(0).insert(hash, location(2));
            }
            let record = Arc::new(loom::sync::atomic::AtomicU64::new(0));
            let reader = thread::spawn({
                let (epochs, index, record) = (Arc::clone(&epochs), Arc::clone(&index), Arc::clone(&record));
                move || {
                    let guard = epochs.enter();
                    if index.find_prefetched(&guard, hash, |found| found.get() == 3).is_some() {
                        assert_eq!(record.load(std::sync::atomic::Ordering::Relaxed), 7);
                    }
                }
            });
            record.store(7, std::sync::atomic::Ordering::Relaxed);
            if replaces {
                assert!(index.lock(0).replace(hash, location(2), location(3)));
            } else {
                index.lock(0).insert(hash, location(3));
            }
            reader.join().unwrap();
        });
    }
}

/// The image of an index with three entries, in memory.
struct Memory(Vec<u8>);

impl ImageSource for Memory {
    fn read(&self, bytes: &mut [u8], offset: u64) -> bool {
        let from = &self.0[offset as usize..];
        bytes.copy_from_slice(&from[..bytes.len()]);
        true
    }

    fn is_kept(&self, _: Location) -> bool {
        true
    }

    fn rebuild(&self, _: std::ops::RangeInclusive<u64>) -> Result<Vec<(u64, Location)>, Location> {
        Err(location(9))
    }
}

#[test]
fn an_entry_is_found_whoever_loads_its_page_from_an_image() {
    model(|| {
        let seed = crate::format::Seed::new(1, 1);
        let index = Index::new(Arc::new(Epochs::new()));
        with_a_displaced_one(&index);
        let mut image = Vec::new();
        let mut out = |bytes: &[u8]| {
            image.extend_from_slice(bytes);
            Ok(())
        };
        let len = index.write_image(seed, &mut out, &mut |_| ()).unwrap();
        drop(index);
        let epochs = Arc::new(Epochs::new());
        let source: Arc<dyn ImageSource> = Arc::new(Memory(image));
        let index = Arc::new(Index::open_image(source, len, seed, Arc::clone(&epochs)).unwrap());
        let c = hash_at(0, 0, 2);
        let reader = thread::spawn({
            let (epochs, index) = (Arc::clone(&epochs), Arc::clone(&index));
            move || {
                let guard = epochs.enter();
                assert!(index.find(&guard, c, |found| found.get() == 3).is_some(), "missed");
            }
        });
        index.lock(0).insert(hash_at(0, 0, 3), location(4));
        assert!(!index.load_ahead(1) || index.count() == 4);
        reader.join().unwrap();
        let guard = epochs.enter();
        assert!(index.find(&guard, c, |found| found.get() == 3).is_some());
        assert_eq!(index.count(), 4);
    });
}
