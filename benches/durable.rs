//! Durable sets: N threads that each wait for the disk, next to bare loops that do nothing but the
//! disk's part of it, in alternating rounds of one run.
//!
//! `cargo bench --bench durable -- [seconds per round] [rounds] [directory] [threads,...]`. Read the ratios, and let
//! the directory be on a disk: a sync of a file in memory costs nothing.
//!
//! A bare loop appends records of the size of the store's to one file, shares a sync among the threads that
//! wait for one, by the same rule as the store, and knows neither keys nor an index. There are three: a map of
//! reserved space with `fdatasync`; a map of space that was written before with `msync` of what is new; and
//! a buffer with `pwritev2(RWF_DSYNC)` into space that was written before.

// A benchmark reads the clock and ends at the first surprise.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use larder::{Options, Store, SyncMode};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

const VALUE_LEN: usize = 100;
/// Head, key, value and padding of the store's record.
const RECORD_LEN: usize = 152;
/// Of a bare loop's file. Where it was written before the loop starts again at its beginning.
const WRITTEN_LEN: usize = 64 << 20;
const RESERVED_LEN: usize = 2 << 30;

/// How a bare loop makes a group durable.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    MapFdatasync,
    MapMsync,
    Dsync,
}

const WAYS: [Way; 3] = [Way::MapFdatasync, Way::MapMsync, Way::Dsync];

impl Way {
    fn file_len(self) -> usize {
        if self == Way::MapFdatasync { RESERVED_LEN } else { WRITTEN_LEN }
    }

    fn name(self) -> &'static str {
        match self {
            Way::MapFdatasync => "map, fdatasync",
            Way::MapMsync => "map, written, msync",
            Way::Dsync => "pwritev2, written",
        }
    }
}

/// Who waits for which sync.
struct Group {
    state: Mutex<GroupState>,
    /// By parity of the sync that is waited for.
    synced: [Condvar; 2],
}

struct GroupState {
    durable: u64,
    sync_number: u64,
    is_led: bool,
    /// What the sync that is under way covers; 0 while its group forms.
    covered: u64,
    /// Threads that wait for the sync under way or forming, and for the one after it.
    waiting: [u64; 2],
    expected: u64,
    pace: Duration,
}

impl Group {
    fn new() -> Self {
        let state = GroupState {
            durable: 0,
            sync_number: 0,
            is_led: false,
            covered: 0,
            waiting: [0; 2],
            expected: 1,
            pace: Duration::ZERO,
        };
        Self { state: Mutex::new(state), synced: [Condvar::new(), Condvar::new()] }
    }

    /// Returns once record `number` is durable; `sync` makes what is there durable and says up to which record.
    fn through(&self, number: u64, end: impl Fn() -> u64, sync: impl Fn(u64)) {
        let mut state = self.state.lock().unwrap();
        loop {
            if state.durable >= number {
                return;
            }
            if !state.is_led {
                break;
            }
            let own = state.sync_number + u64::from(state.covered != 0 && number > state.covered);
            let parity = (own & 1) as usize;
            state.waiting[parity] += 1;
            while state.sync_number <= own && state.is_led {
                state = self.synced[parity].wait(state).unwrap();
            }
            if state.sync_number <= own {
                // Nobody leads: whoever is first does.
                state.waiting[parity] -= 1;
            }
        }
        state.is_led = true;
        state.covered = 0;
        let parity = (state.sync_number & 1) as usize;
        let (expected, deadline) = (state.expected, Instant::now() + state.pace / 2);
        while state.waiting[parity] + 1 < expected && Instant::now() < deadline {
            drop(state);
            std::thread::yield_now();
            state = self.state.lock().unwrap();
        }
        state.covered = end();
        let covered = state.covered;
        drop(state);
        let start = Instant::now();
        sync(covered);
        let pace = start.elapsed();
        let mut state = self.state.lock().unwrap();
        state.durable = covered;
        state.pace = pace.min(Duration::from_millis(1));
        state.expected = state.waiting[0] + state.waiting[1] + 1;
        state.waiting[parity] = 0;
        state.sync_number += 1;
        state.is_led = false;
        let has_next = state.waiting[parity ^ 1] > 0;
        drop(state);
        if has_next {
            self.synced[parity ^ 1].notify_one();
        }
        self.synced[parity].notify_all();
    }
}

/// A bare loop's file.
struct Bare {
    way: Way,
    file: std::fs::File,
    map: memmap2::MmapRaw,
    tail: Mutex<Tail>,
    /// Records that are synced.
    synced_count: AtomicU64,
    group: Group,
    syncs: AtomicU64,
}

struct Tail {
    count: u64,
    staged: Vec<u8>,
}

impl Bare {
    fn new(directory: &Path, way: Way) -> Self {
        let path = directory.join("bare");
        let file = std::fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        // SAFETY: the descriptor is open; the call touches no memory.
        assert_eq!(unsafe { libc::fallocate64(file.as_raw_fd(), 0, 0, way.file_len() as i64) }, 0);
        if way != Way::MapFdatasync {
            // Small writes: large ones would leave the cache in large units, which are written back whole.
            (0..WRITTEN_LEN).step_by(4096).for_each(|offset| file.write_all_at(&[0; 4096], offset as u64).unwrap());
        }
        file.sync_all().unwrap();
        let map = memmap2::MmapOptions::new().len(way.file_len()).map_raw(&file).unwrap();
        let tail = Mutex::new(Tail { count: 0, staged: Vec::new() });
        Self { way, file, map, tail, synced_count: AtomicU64::new(0), group: Group::new(), syncs: AtomicU64::new(0) }
    }

    fn append(&self, record: &[u8; RECORD_LEN]) {
        let number = {
            let mut tail = self.tail.lock().unwrap();
            assert!(
                self.way != Way::MapFdatasync || tail.count < self.slots(),
                "the file is full: fewer seconds, please"
            );
            if self.way == Way::Dsync {
                tail.staged.extend_from_slice(record);
            } else {
                // SAFETY: in bounds (checked above), and the lock makes this thread the only one to store there.
                unsafe {
                    let target = self.map.as_mut_ptr().add(self.offset_of(tail.count));
                    target.copy_from_nonoverlapping(record.as_ptr(), RECORD_LEN);
                }
            }
            tail.count += 1;
            tail.count
        };
        self.group.through(number, || self.tail.lock().unwrap().count, |covered| self.sync(covered));
    }

    fn slots(&self) -> u64 {
        (self.way.file_len() / RECORD_LEN) as u64
    }

    fn offset_of(&self, count: u64) -> usize {
        (count % self.slots()) as usize * RECORD_LEN
    }

    fn sync(&self, covered: u64) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        let before = self.synced_count.swap(covered, Ordering::Relaxed);
        let (start, count) = (self.offset_of(before), (covered - before).min(self.slots() - before % self.slots()));
        let len = count as usize * RECORD_LEN;
        match self.way {
            Way::MapFdatasync => self.file.sync_data().unwrap(),
            Way::MapMsync => self.map.flush_range(start, len).unwrap(),
            Way::Dsync => {
                let mut bytes = std::mem::take(&mut self.tail.lock().unwrap().staged);
                // Where the file starts again the rest of a group is left out: once in 441,505 records.
                bytes.truncate(len);
                let part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
                // SAFETY: one buffer that lives and is not changed during the call.
                let written = unsafe { libc::pwritev2(self.file.as_raw_fd(), &part, 1, start as i64, libc::RWF_DSYNC) };
                assert_eq!(written, bytes.len() as isize);
            }
        }
    }
}

/// What one round came to.
#[derive(Clone, Copy)]
struct Rate {
    per_second: f64,
    per_sync: f64,
    syncs_per_second: f64,
}

/// `threads` threads that call `operation` with a number of their own until the time is over.
fn round(threads: u64, time: Duration, syncs: impl Fn() -> u64, operation: impl Fn(u64) + Sync) -> Rate {
    let is_over = AtomicBool::new(false);
    let count = AtomicU64::new(0);
    let syncs_before = syncs();
    let start = Instant::now();
    let elapsed = std::thread::scope(|scope| {
        for thread in 0..threads {
            let (is_over, count, operation) = (&is_over, &count, &operation);
            scope.spawn(move || {
                let mut done = 0;
                while !is_over.load(Ordering::Relaxed) {
                    operation(thread << 40 | done);
                    done += 1;
                }
                count.fetch_add(done, Ordering::Relaxed);
            });
        }
        std::thread::sleep(time);
        is_over.store(true, Ordering::Relaxed);
        start.elapsed()
    });
    let (count, syncs) = (count.into_inner() as f64, (syncs() - syncs_before) as f64);
    Rate {
        per_second: count / elapsed.as_secs_f64(),
        per_sync: count / syncs,
        syncs_per_second: syncs / elapsed.as_secs_f64(),
    }
}

fn key(n: u64) -> [u8; 16] {
    let mixed = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mixed.to_le_bytes());
    key[8..].copy_from_slice(&(mixed ^ mixed >> 31).to_be_bytes());
    key
}

fn median(rates: &[Rate]) -> Rate {
    let mut sorted = rates.to_vec();
    sorted.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    sorted[sorted.len() / 2]
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let seconds: f64 = arguments.first().map_or(0.5, |seconds| seconds.parse().unwrap());
    let rounds: u64 = arguments.get(1).map_or(9, |rounds| rounds.parse().unwrap());
    let parent = arguments.get(2).map_or_else(std::env::temp_dir, PathBuf::from);
    let threads = arguments.get(3).map_or("1,2,8,32,64", |threads| threads);
    let time = Duration::from_secs_f64(seconds);
    let directory = parent.join(format!("larder-durable-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    eprintln!("{rounds} rounds of {seconds} s each, in {}", directory.display());
    println!(
        "| threads | what | sets/s | of the best bare loop | records a sync | syncs/s |\n|---:|---|---:|---:|---:|---:|"
    );
    for threads in threads.split(',').map(|threads| threads.parse::<u64>().unwrap()) {
        let path = directory.join(format!("{threads}"));
        let store = Store::open(&path, &Options { sync: SyncMode::Always, ..Options::default() }).unwrap();
        let loops = WAYS.map(|way| Bare::new(&directory, way));
        let store_round = |number: u64, time| {
            let syncs = || store.stats().unwrap().syncs;
            let set = |n: u64| assert_ne!(store.set(&key(number << 56 | n), &[7; VALUE_LEN]).unwrap(), 0);
            round(threads, time, syncs, set)
        };
        let bare_round = |bare: &Bare, time| {
            let syncs = || bare.syncs.load(Ordering::Relaxed);
            round(threads, time, syncs, |n| bare.append(&[n as u8; RECORD_LEN]))
        };
        // Not counted: the store's first segments are small, and everybody's memory is cold.
        store_round(0, time);
        for bare in &loops {
            bare_round(bare, time / 4);
        }
        let mut larder = Vec::new();
        let mut bare = WAYS.map(|_| Vec::new());
        for number in 0..rounds {
            larder.push(store_round(number + 1, time));
            loops.iter().zip(&mut bare).for_each(|(bare, rates)| rates.push(bare_round(bare, time)));
        }
        store.close().unwrap();
        std::fs::remove_dir_all(&path).unwrap();
        let best = bare.iter().map(|rates| median(rates).per_second).fold(0.0, f64::max);
        let named = WAYS.into_iter().map(Way::name).zip(&bare);
        for (name, rates) in std::iter::once(("Larder", &larder)).chain(named) {
            let Rate { per_second, per_sync, syncs_per_second } = median(rates);
            let ratio = per_second / best;
            println!("| {threads} | {name} | {per_second:.0} | {ratio:.2} | {per_sync:.1} | {syncs_per_second:.0} |");
        }
    }
    std::fs::remove_dir_all(&directory).unwrap();
}
