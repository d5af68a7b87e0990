//! Several threads on one store: what they may see of each other's writes (P3, P13), on real
//! directories, with the background at work and segments so small that rotating, sealing and compacting
//! happen all the time.
//!
//! `checker` decides whether a history can be explained, `histories` records them, `stress` looks for
//! lost and torn values while the store is closed under its users, `group` stops the disk in the middle of a
//! sync, `killed` ends the process.

mod checker;
mod group;
mod histories;
mod killed;
mod stopping;
mod stress;

use larder::store::{SetOptions, Tuning};
use larder::{Options, SyncMode};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The sync modes, and what they are called in messages.
const MODES: [(&str, SyncMode); 3] = [
    ("always", SyncMode::Always),
    ("interval", SyncMode::Interval(Duration::from_millis(5))),
    ("none", SyncMode::None),
];

fn small(sync: SyncMode) -> Options {
    Options { sync, segment_bytes: 64 << 10, ..Options::default() }
}

fn tuning() -> Tuning {
    // Checkpoints all the time, so that they have every race there is.
    let (checkpoint_bytes, checkpoint_index_multiple) = (32 << 10, 0);
    Tuning { segment_bytes_first: 64 << 10, checkpoint_bytes, checkpoint_index_multiple, ..Tuning::default() }
}

fn plain() -> SetOptions {
    use larder::store::{Condition, Ttl};
    SetOptions { ttl: Ttl::Forever, condition: Condition::Always, sync: false }
}

/// Counts moments: what was counted earlier happened earlier.
#[derive(Default)]
struct Moments(AtomicU64);

impl Moments {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// Tells the others to end, also when the one that has it panics.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A value that is known by its number and cannot be torn unnoticed.
fn value(number: u64, len: usize) -> Vec<u8> {
    let mut value = number.to_le_bytes().to_vec();
    value.resize(8 + len, (number as u8).wrapping_mul(31));
    value
}

/// The number of a value; panics if it is torn.
fn number_of(value: &[u8]) -> u64 {
    let number = u64::from_le_bytes(value[..8].try_into().unwrap());
    assert!(value[8..].iter().all(|byte| *byte == (number as u8).wrapping_mul(31)), "value {number} is torn");
    number
}

/// Small and repeatable.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// What `make tsan` proves with that the sanitizer is on; without the variable, which only that sets, nothing races.
#[test]
fn a_race_is_found_where_there_is_one() {
    struct Racy(std::cell::UnsafeCell<u64>);
    // SAFETY: none, and that is the point: two threads write to it without any order.
    unsafe impl Sync for Racy {}
    if std::env::var_os("LARDER_TEST_RACE").is_none() {
        return;
    }
    let racy = &Racy(std::cell::UnsafeCell::new(0));
    let both = std::sync::Barrier::new(2);
    let write = || {
        both.wait();
        for n in 0..1_000 {
            // SAFETY: in bounds and alive; not exclusive, on purpose.
            unsafe { *racy.0.get() = std::hint::black_box(n) };
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(write);
        scope.spawn(write);
    });
}
