//! Readers beside writers: a key that is there throughout is never missed.

use super::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const DURATION: Duration = Duration::from_millis(600);

/// Keys in `0..stable` are inserted first and only ever replaced; the rest come and go, so that pages
/// fill, spill, grow and split around the stable ones, from a small index each round.
fn readers_never_miss(hash_of: fn(u64) -> u64, stable: u64, passing: u64) {
    let end = Instant::now() + DURATION;
    let mut rounds = 0u64;
    let finds = AtomicU64::new(0);
    while Instant::now() < end {
        rounds += 1;
        let (epochs, index) = new_index();
        for key in 0..stable {
            index.lock(hash_of(key)).insert(hash_of(key), location(key, 0));
        }
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for reader in 0..2 {
                let (epochs, index, done, finds) = (&epochs, &index, &done, &finds);
                scope.spawn(move || {
                    let mut random = Random(rounds << 20 | reader);
                    while !done.load(Ordering::Relaxed) {
                        let key = random.below(stable);
                        let guard = epochs.enter();
                        // Now and then a reader stops in the middle, with its guard, until the page it
                        // is on was replaced.
                        let mut stops = random.below(16) == 0;
                        let is_match = |found| {
                            if std::mem::take(&mut stops) {
                                std::thread::yield_now();
                            }
                            key_of(found) == key
                        };
                        let hash = hash_of(key);
                        let found = if random.below(2) == 0 {
                            index.find(&guard, hash, is_match)
                        } else {
                            index.find_prefetched(&guard, hash, is_match)
                        };
                        assert!(found.is_some(), "key {key} is missing in round {rounds}");
                        finds.fetch_add(1, Ordering::Relaxed);
                        if random.below(5000) == 0 {
                            drop(guard);
                            let seen = walk(index).into_iter().map(key_of).filter(|key| *key < stable);
                            assert!(seen.eq(0..stable), "a walk missed a key or saw one twice");
                        }
                    }
                });
            }
            let writers = [0, 1].map(|writer| {
                let index = &index;
                scope.spawn(move || {
                    let mut random = Random(rounds << 20 | 16 | writer);
                    // Each writer has its own keys: the odd or the even ones.
                    let own = |random: &mut Random, limit: u64| random.below(limit / 2) * 2 + writer;
                    let mut live = vec![false; passing as usize];
                    let mut versions = vec![0; stable as usize];
                    for step in 0..passing * 3 {
                        if Instant::now() > end {
                            break;
                        }
                        let i = own(&mut random, passing);
                        let hash = hash_of(stable + i);
                        let entry = location(stable + i, 0);
                        match std::mem::replace(&mut live[i as usize], step % 8 != 0) {
                            false if step % 8 != 0 => index.lock(hash).insert(hash, entry),
                            true if step % 8 == 0 => assert!(index.lock(hash).remove(hash, entry)),
                            // Present and meant to be: out and in again, so that words change hands.
                            true => {
                                assert!(index.lock(hash).remove(hash, entry));
                                index.lock(hash).insert(hash, entry);
                            }
                            false => {}
                        }
                        let key = own(&mut random, stable);
                        let version = &mut versions[key as usize];
                        let (old, new) = (location(key, *version), location(key, *version + 1));
                        assert!(index.lock(hash_of(key)).replace(hash_of(key), old, new));
                        *version += 1;
                    }
                })
            });
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            done.store(true, Ordering::Relaxed);
        });
        epochs.drain();
        assert_eq!(epochs.retired_count(), 0);
    }
    assert!(finds.load(Ordering::Relaxed) > 0);
}

#[test]
fn readers_never_miss_a_key_that_stays_while_pages_grow_and_split() {
    readers_never_miss(hash_in_two_stripes, 20_000, 400_000);
}

#[test]
fn readers_never_miss_a_key_that_stays_in_crowded_lines() {
    // Few bits: every hash has its crowd, so there are many candidates, and lines overflow all the time.
    readers_never_miss(|key| hash_of(key, 14), 8_000, 100_000);
    readers_never_miss(|key| hash_of(key, 10), 4_000, 20_000);
    readers_never_miss(|key| hash_of(key, 4), 200, 1_000);
}
