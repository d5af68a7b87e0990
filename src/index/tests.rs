//! The index against the naive one, under several threads, as an image, and its costs.
//!
//! Keys are numbers, and a location holds its key and a version, so that comparing "in the log" is
//! taking the location apart.

// Tests read the clock, and end at the first surprise.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod costs;
mod images;
mod oracle;
mod threads;

use super::*;

/// The location of a version of a key: keys below 2^24, versions below 2^15.
fn location(key: u64, version: u64) -> Location {
    Location::new(((key + 1) << 15) | (version % (1 << 15)))
}

fn key_of(location: Location) -> u64 {
    (location.get() >> 15) - 1
}

/// A hash of a key that takes one of 2^`bits` values, spread over all 64 bits like those of a real hash.
fn hash_of(key: u64, bits: u32) -> u64 {
    mix(mix(key) >> (64 - bits))
}

/// A hash of a key that falls into one of two stripes: few keys make many pages, of unequal depth.
fn hash_in_two_stripes(key: u64) -> u64 {
    mix(key) & (u64::MAX >> 5)
}

/// Every bit of the result depends on every bit of the number.
fn mix(mut number: u64) -> u64 {
    number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ number >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ number >> 31
}

/// A reproducible sequence.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

fn new_index() -> (Arc<Epochs>, Index) {
    let epochs = Arc::new(Epochs::new());
    (Arc::clone(&epochs), Index::new(epochs))
}

/// All locations that a walk over the pages sees.
fn walk(index: &Index) -> Vec<Location> {
    let mut all = Vec::new();
    let mut from = Some(0);
    while let Some(hash) = from {
        from = index.collect(hash, &mut all);
        assert!(from.is_none_or(|next| next > hash));
    }
    all.sort();
    all
}
