//! The keys of the benchmarks: the same sixteen hashed bytes for a number in each of them.

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): one-to-one, so keys are distinct.
pub fn mixed(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

pub fn key(n: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mixed(n).to_le_bytes());
    key[8..].copy_from_slice(&mixed(n + 1).to_le_bytes());
    key
}
