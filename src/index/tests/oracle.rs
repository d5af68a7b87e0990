//! Random operations on the index and on the naive one must agree.

use super::super::naive::Naive;
use super::*;

struct Pair {
    epochs: Arc<Epochs>,
    index: Index,
    naive: Naive,
    hash: fn(u64) -> u64,
}

impl Pair {
    fn new(hash: fn(u64) -> u64) -> Self {
        let (epochs, index) = new_index();
        Pair { epochs, index, naive: Naive::default(), hash }
    }

    /// One operation on this key; `choice` says which.
    fn step(&mut self, key: u64, version: u64, choice: u64) {
        let hash = (self.hash)(key);
        let is_match = |candidate| key_of(candidate) == key;
        let expected = self.naive.find(hash, is_match);
        let found = self.index.find(&self.epochs.enter(), hash, is_match);
        assert_eq!(found, expected);
        assert_eq!(self.index.find_prefetched(&self.epochs.enter(), hash, is_match), expected);
        let mut stripe = self.index.lock(hash);
        assert_eq!(stripe.find(hash, is_match), expected);
        let new = location(key, version);
        match (expected, choice) {
            (None, 0..6) => {
                stripe.insert(hash, new);
                self.naive.insert(hash, new);
            }
            (Some(old), 6..8) => {
                assert!(stripe.replace(hash, old, new));
                assert!(self.naive.replace(hash, old, new));
            }
            (Some(old), 8..10) => {
                assert!(stripe.remove(hash, old));
                assert!(self.naive.remove(hash, old));
            }
            (Some(old), _) => {
                let stale = location(key, old.get() + 1);
                assert!(!stripe.replace(hash, stale, new));
                assert!(!stripe.remove(hash, stale));
            }
            (None, _) => assert!(!stripe.remove(hash, new)),
        }
    }

    fn check(&self) {
        let expected = self.naive.locations();
        assert_eq!(self.index.count(), expected.len() as u64);
        assert!(walk(&self.index) == expected);
        let mut seen = Vec::new();
        self.index.for_each(|location| seen.push(location));
        seen.sort();
        assert!(seen == expected);
    }
}

fn agrees_with_the_naive_one(seed: u64, hash: fn(u64) -> u64, key_count: u64, steps: u64) {
    let mut pair = Pair::new(hash);
    let mut random = Random(seed << 32);
    for step in 0..steps {
        // Phases that mostly insert and phases that mostly remove.
        let growing = (step / (steps / 4).max(1)).is_multiple_of(2);
        let choice = if growing { random.below(10) } else { 5 + random.below(6) };
        pair.step(random.below(key_count), step, choice);
        if step % (steps / 3) == 0 {
            pair.check();
        }
    }
    pair.check();
}

#[test]
fn random_operations_agree_with_the_naive_index() {
    agrees_with_the_naive_one(1, |key| hash_of(key, 64), 150_000, 400_000);
    agrees_with_the_naive_one(2, |key| hash_of(key, 64), 300, 30_000);
}

#[test]
fn random_operations_agree_when_directories_are_deep() {
    agrees_with_the_naive_one(5, hash_in_two_stripes, 60_000, 300_000);
}

#[test]
fn random_operations_agree_when_hashes_have_20_bits() {
    agrees_with_the_naive_one(3, |key| hash_of(key, 20), 150_000, 300_000);
}

#[test]
fn random_operations_agree_when_hashes_have_4_bits() {
    agrees_with_the_naive_one(4, |key| hash_of(key, 4), 2_000, 40_000);
}

#[test]
fn thousands_of_entries_with_one_hash_are_found_and_removed() {
    let (epochs, index) = new_index();
    let hash = mix(7);
    for key in 0..3000 {
        index.lock(hash).insert(hash, location(key, 0));
    }
    for key in 0..3000 {
        let found = index.find(&epochs.enter(), hash, |candidate| key_of(candidate) == key);
        assert_eq!(found, Some(location(key, 0)));
    }
    assert!(index.memory_bytes() < 400_000, "{} bytes", index.memory_bytes());
    for key in 0..3000 {
        assert!(index.lock(hash).remove(hash, location(key, 0)));
    }
    assert_eq!(index.count(), 0);
    assert_eq!(walk(&index), []);
}

fn memory_after_changing_all_keys_often(live: u64) {
    let (_epochs, index) = new_index();
    let mut random = Random(9);
    (0..live).for_each(|key| index.lock(hash_of(key, 64)).insert(hash_of(key, 64), location(key, 0)));
    let before = index.memory_bytes();
    let mut keys: Vec<u64> = (0..live).collect();
    for key in live..10 * live {
        let i = random.below(live) as usize;
        let old = std::mem::replace(&mut keys[i], key);
        assert!(index.lock(hash_of(old, 64)).remove(hash_of(old, 64), location(old, 0)));
        index.lock(hash_of(key, 64)).insert(hash_of(key, 64), location(key, 0));
    }
    let after = index.memory_bytes();
    assert_eq!(index.count(), live);
    assert!(after * 5 < before * 6 && after * 10 < live * 165, "{live} keys: {before} bytes became {after}");
}

#[test]
fn an_index_keeps_its_size_when_keys_come_and_go() {
    for live in [100_000, 115_000, 135_000, 160_000] {
        memory_after_changing_all_keys_often(live);
    }
}

#[test]
fn an_empty_index_is_small_and_has_nothing() {
    let (epochs, index) = new_index();
    assert_eq!(index.find(&epochs.enter(), 0, |_| true), None);
    assert_eq!(index.find(&epochs.enter(), u64::MAX, |_| true), None);
    index.prefetch(&epochs.enter(), 1);
    assert!(!index.lock(3).remove(3, Location::new(1)));
    assert!(!index.lock(3).replace(3, Location::new(1), Location::new(2)));
    assert_eq!((index.count(), walk(&index)), (0, vec![]));
    assert!(index.memory_bytes() < 16 << 10);
}

#[test]
fn hashes_at_both_ends_have_their_places() {
    let (epochs, index) = new_index();
    for (i, hash) in [0, 1, u64::MAX, u64::MAX - 1, 1 << 63, 1 << 58, (1 << 58) - 1].into_iter().enumerate() {
        index.lock(hash).insert(hash, location(i as u64, 0));
        assert!(index.find(&epochs.enter(), hash, |candidate| candidate == location(i as u64, 0)).is_some());
    }
    assert_eq!(walk(&index).len(), 7);
}

#[test]
fn several_stripes_are_locked_once_each() {
    let (epochs, index) = new_index();
    let hashes: Vec<u64> = (0..200).map(|key| hash_of(key, 64)).collect();
    let mut stripes = index.lock_many(hashes.iter().copied().chain(hashes.iter().copied()));
    for (key, hash) in hashes.iter().enumerate() {
        stripes.insert(*hash, location(key as u64, 0));
        assert!(stripes.replace(*hash, location(key as u64, 0), location(key as u64, 1)));
        assert!(stripes.find(*hash, |candidate| key_of(candidate) == key as u64).is_some());
    }
    assert!(stripes.remove(hashes[0], location(0, 1)));
    drop(stripes);
    assert_eq!(index.count(), 199);
    let found = index.candidates(&epochs.enter(), hashes[5]).iter().any(|candidate| candidate == location(5, 1));
    assert!(found);
}

#[test]
#[should_panic(expected = "another stripe")]
fn a_stripe_refuses_hashes_of_others() {
    let (_epochs, index) = new_index();
    index.lock(0).insert(u64::MAX, Location::new(1));
}

#[test]
#[should_panic(expected = "other epochs")]
fn a_guard_of_other_epochs_is_refused() {
    let (_epochs, index) = new_index();
    index.lock(0).insert(0, Location::new(1));
    let _ = index.find(&Epochs::new().enter(), 0, |_| true);
}

#[test]
fn update_all_keeps_moves_and_drops() {
    let (_epochs, index) = new_index();
    for key in 0..5000 {
        index.lock(hash_of(key, 12)).insert(hash_of(key, 12), location(key, 0));
    }
    index.update_all(|old| match key_of(old) % 3 {
        0 => None,
        1 => Some(old),
        _ => Some(location(key_of(old), 1)),
    });
    let mut expected: Vec<_> =
        (0..5000).filter(|key| key % 3 != 0).map(|key| location(key, u64::from(key % 3 == 2))).collect();
    expected.sort();
    assert_eq!(walk(&index), expected);
    assert_eq!(index.count(), expected.len() as u64);
}
