//! The hash of a key: XXH3, 64 bits, with a seed of the store's own.
//!
//! The seed keeps whoever chooses keys from choosing collisions. A checkpoint holds positions that
//! come from this hash, so it may only change together with the format version.

use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

/// XXH3 of `key`, 128 bits: stands for the key itself where there is no room for it. Only as good as `seed` is random.
pub fn digest(key: &[u8], seed: u64) -> u128 {
    xxh3_128_with_seed(key, seed)
}

/// Hashes the keys of one store.
#[derive(Clone, Copy, Debug)]
pub struct KeyHasher {
    seed: u64,
    mask: u64,
}

impl KeyHasher {
    /// The hasher of the store whose manifest has this seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, mask: u64::MAX }
    }

    /// Only the bits of `mask` count: for tests that want every collision there can be.
    pub fn with_mask(seed: u64, mask: u64) -> Self {
        Self { seed, mask }
    }

    /// The hash of `key`.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, self.seed) & self.mask
    }
}
