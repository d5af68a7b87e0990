//! The workloads, and the one child process that runs them on one engine.
//!
//! Every row is bounded by a count of operations and by time, so that an engine which is slow at something does not
//! hold the others up: what is compared is the rate of what was done.

use crate::engine::{self, Durability, Engine, Key};
use crate::latency::Latencies;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub const VALUE_LEN: usize = 100;
pub const LARGE_LEN: usize = 64 << 10;
pub const GROUP_LEN: usize = 32;
/// Most operations of a row, per thread.
const OPS_MAX: u64 = 2_000_000;
/// Longest time of a row.
const ROW_TIME_MAX: Duration = Duration::from_secs(12);
/// Longest time of a load one by one; the rest is loaded in batches.
const LOAD_TIME_MAX: Duration = Duration::from_secs(60);

/// What one row of one round came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    pub engine: String,
    pub row: String,
    pub keys: u64,
    /// Operations a second for rates; else the row's own unit.
    pub value: f64,
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): one-to-one, so keys are distinct.
pub fn mixed(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

pub fn key(n: u64) -> Key {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mixed(n).to_le_bytes());
    key[8..].copy_from_slice(&mixed(n + 1).to_le_bytes());
    key
}

fn value(n: u64) -> [u8; VALUE_LEN] {
    let mut value = [n as u8; VALUE_LEN];
    value[..8].copy_from_slice(&n.to_le_bytes());
    value
}

/// Ranks that are chosen as Zipf's law says, by rejection inversion (Hörmann, Derflinger 1996), for exponents below 1.
pub struct Zipf {
    count: f64,
    exponent: f64,
    at_first: f64,
    at_last: f64,
}

impl Zipf {
    pub fn new(count: u64, exponent: f64) -> Self {
        let mut this = Self { count: count as f64, exponent, at_first: 0.0, at_last: 0.0 };
        this.at_first = this.integral(1.5) - 1.0;
        this.at_last = this.integral(this.count + 0.5);
        this
    }

    fn integral(&self, x: f64) -> f64 {
        (x.powf(1.0 - self.exponent) - 1.0) / (1.0 - self.exponent)
    }

    fn inverse(&self, y: f64) -> f64 {
        (1.0 + y * (1.0 - self.exponent)).powf(1.0 / (1.0 - self.exponent))
    }

    /// The rank below `count` that `random` stands for.
    pub fn rank(&self, mut random: u64) -> u64 {
        loop {
            random = mixed(random.wrapping_add(0x9E37_79B9_7F4A_7C15));
            let u = self.at_last + (random >> 11) as f64 / (1_u64 << 53) as f64 * (self.at_first - self.at_last);
            let x = self.inverse(u);
            let rank = (x + 0.5).floor().clamp(1.0, self.count);
            if u >= self.integral(rank + 0.5) - rank.powf(-self.exponent) {
                return rank as u64 - 1;
            }
        }
    }
}

/// One child's work on one engine.
pub struct Child<'a> {
    pub engine: &'a str,
    pub keys: u64,
    pub round: u64,
    pub directory: &'a Path,
    pub report: &'a mut dyn FnMut(Measured),
}

impl Child<'_> {
    fn say(&mut self, row: &str, value: f64) {
        (self.report)(Measured { engine: self.engine.to_owned(), row: row.to_owned(), keys: self.keys, value });
    }

    /// Has `threads` threads do `op` with random numbers below the key count; operations a second.
    fn rate(&mut self, row: &str, threads: u64, per_op: u64, ops: u64, op: &(dyn Fn(u64) + Sync)) {
        let begin = Instant::now();
        let done = AtomicU64::new(0);
        let seed = mixed(self.round + 77);
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let done = &done;
                scope.spawn(move || {
                    let mut count = 0;
                    while count < ops / per_op {
                        op(mixed(seed ^ (thread << 48) ^ count));
                        count += 1;
                        if count % 256 == 0 && begin.elapsed() > ROW_TIME_MAX {
                            break;
                        }
                    }
                    done.fetch_add(count * per_op, Ordering::Relaxed);
                });
            }
        });
        let rate = done.into_inner() as f64 / begin.elapsed().as_secs_f64();
        self.say(row, rate);
    }

    /// Loads all keys: one by one as long as that takes no more than a minute, then in batches.
    fn load(&mut self, engine: &dyn Engine) {
        let begin = Instant::now();
        let mut loaded = 0;
        while loaded < self.keys && (loaded % 1024 != 0 || begin.elapsed() < LOAD_TIME_MAX) {
            engine.set(&key(loaded), &value(loaded));
            loaded += 1;
        }
        self.say("load", loaded as f64 / begin.elapsed().as_secs_f64());
        self.fill(engine, loaded);
    }

    fn fill(&self, engine: &dyn Engine, from: u64) {
        for start in (from..self.keys).step_by(1_000) {
            let pairs: Vec<_> =
                (start..self.keys.min(start + 1_000)).map(|n| (key(n), value(n).to_vec())).collect();
            engine.batch(&pairs);
        }
    }

    /// Everything that needs no sync.
    pub fn unsynced(&mut self) {
        let before = anonymous_bytes();
        let engine = engine::open(self.engine, self.directory, Durability::Process);
        let engine = &*engine;
        let keys = self.keys;
        let ops = keys.clamp(100_000, OPS_MAX);
        self.load(engine);
        self.say("memory per key, bytes", anonymous_bytes().saturating_sub(before) as f64 / keys as f64);
        if let Some(bytes) = engine.index_bytes() {
            self.say("index per key, bytes", bytes as f64 / keys as f64);
        }
        let get = |n: u64| {
            thread_buffer(|buffer| {
                assert!(engine.get(&key(n % keys), buffer), "a key is missing");
            });
        };
        self.rate("get, uniform, 1 thread", 1, 1, ops, &get);
        self.rate("get, uniform, 2 threads", 2, 1, ops, &get);
        let zipf = Zipf::new(keys, 0.99);
        let ranks: Vec<u32> = (0..ops.min(1 << 20)).map(|n| zipf.rank(mixed(n ^ self.round << 32)) as u32).collect();
        // Ranks are spread over the keys, or the most wanted would lie side by side.
        let ranked = |n: u64| get(mixed(u64::from(ranks[n as usize % ranks.len()])) % keys);
        self.rate("get, zipf 0.99, 1 thread", 1, 1, ops, &ranked);
        self.rate("get, zipf 0.99, 2 threads", 2, 1, ops, &ranked);
        self.snapshot(engine, ops);
        self.rate("get, miss", 1, 1, ops, &|n| {
            thread_buffer(|buffer| assert!(!engine.get(&key(keys + n % keys), buffer)));
        });
        self.rate("get, 32 a call", 1, GROUP_LEN as u64, ops, &|n| {
            let group: [Key; GROUP_LEN] = std::array::from_fn(|i| key(mixed(n + i as u64) % keys));
            thread_buffer(|buffer| assert_eq!(engine.get_many(&group, buffer), GROUP_LEN));
        });
        let set = |n: u64| engine.set(&key(n % keys), &value(n));
        self.rate("overwrite", 1, 1, ops, &set);
        self.rate("mixed 50/50, 1 thread", 1, 1, ops, &|n| if n >> 63 == 0 { get(n) } else { set(n) });
        self.rate("mixed 50/50, 2 threads", 2, 1, ops, &|n| if n >> 63 == 0 { get(n) } else { set(n) });
        self.rate("batch of 32", 1, GROUP_LEN as u64, ops, &|n| {
            let pairs: Vec<_> = (0..GROUP_LEN as u64).map(|i| (key(mixed(n + i) % keys), value(n + i).to_vec())).collect();
            engine.batch(&pairs);
        });
        if engine::is_persistent(self.engine) {
            let disk = disk_bytes(self.directory) as f64 / (keys * (16 + VALUE_LEN as u64)) as f64;
            self.say("disk per live byte, after overwrites", disk);
        }
        let next = AtomicU64::new(0);
        self.rate("delete", 1, 1, ops.min(keys), &|_| {
            assert!(engine.del(&key(next.fetch_add(1, Ordering::Relaxed))));
        });
    }

    fn snapshot(&mut self, engine: &dyn Engine, ops: u64) {
        let (keys, seed, begin) = (self.keys, mixed(self.round + 5), Instant::now());
        let mut count = 0;
        let mut buffer = Vec::with_capacity(VALUE_LEN);
        let has_one = engine.with_snapshot(&mut |get| {
            while count < ops && (count % 256 != 0 || begin.elapsed() < ROW_TIME_MAX) {
                buffer.clear();
                assert!(get(&key(mixed(seed ^ count) % keys), &mut buffer));
                count += 1;
            }
        });
        if has_one {
            self.say("get, uniform, snapshot held", count as f64 / begin.elapsed().as_secs_f64());
        }
    }

    /// Values of 64 KiB.
    pub fn large(&mut self) {
        const COUNT: u64 = 4_000;
        let engine = engine::open(self.engine, self.directory, Durability::Process);
        let engine = &*engine;
        let large = vec![0xA5; LARGE_LEN];
        let next = AtomicU64::new(0);
        self.rate("set of 64 KiB", 1, 1, COUNT, &|_| engine.set(&key(next.fetch_add(1, Ordering::Relaxed)), &large));
        let count = next.into_inner();
        self.rate("get of 64 KiB", 1, 1, 3 * COUNT, &|n| {
            thread_buffer(|buffer| assert!(engine.get(&key(n % count), buffer)));
        });
        if engine.view(&key(0)).is_some() {
            self.rate("view of 64 KiB", 1, 1, 30 * COUNT, &|n| assert_eq!(engine.view(&key(n % count)), Some(LARGE_LEN)));
        }
    }

    /// Durable sets by so many threads.
    pub fn durable(&mut self, threads: u64, seconds: f64) {
        let engine = engine::open(self.engine, self.directory, Durability::Power);
        let engine = &*engine;
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        let (done, begin) = (AtomicU64::new(0), Instant::now());
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let done = &done;
                scope.spawn(move || {
                    let mut count = 0;
                    while Instant::now() < end {
                        engine.set(&key(thread << 40 | count), &value(count));
                        count += 1;
                    }
                    done.fetch_add(count, Ordering::Relaxed);
                });
            }
        });
        let rate = done.into_inner() as f64 / begin.elapsed().as_secs_f64();
        self.say(&format!("durable set, {threads} thread{}", if threads == 1 { "" } else { "s" }), rate);
    }

    /// Loads and closes; or says that it has loaded, and waits to be killed.
    pub fn leave(&mut self, is_closed: bool) {
        let engine = engine::open(self.engine, self.directory, Durability::Process);
        self.fill(&*engine, 0);
        if is_closed {
            engine.close();
            return;
        }
        println!("loaded");
        std::thread::sleep(Duration::from_secs(600));
    }

    /// Opens what another process left, and reads one key.
    pub fn open(&mut self, row: &str) {
        let begin = Instant::now();
        let engine = engine::open(self.engine, self.directory, Durability::Process);
        let mut buffer = Vec::new();
        if !engine.get(&key(self.keys / 2), &mut buffer) {
            eprintln!("{}: {row}: what was not synced is lost, so there is nothing to measure", self.engine);
            return;
        }
        self.say(row, begin.elapsed().as_secs_f64() * 1e3);
        for n in (0..self.keys).step_by(1 + self.keys as usize / 1_000) {
            assert!(engine.get(&key(n), &mut buffer), "a key is missing");
        }
        std::mem::forget(engine);
    }

    /// How long single sets take, while the store grows from nothing and while it is overwritten.
    pub fn latencies(&mut self) {
        let engine = engine::open(self.engine, self.directory, Durability::Process);
        let keys = self.keys;
        for (row, count) in [("growing", keys), ("overwriting", 2 * keys)] {
            let mut latencies = Latencies::default();
            let begin = Instant::now();
            for n in 0..count {
                let at = if row == "growing" { n } else { mixed(n + 3) % keys };
                let start = Instant::now();
                engine.set(&key(at), &value(n));
                latencies.add(start.elapsed());
                if n % 1024 == 0 && begin.elapsed() > LOAD_TIME_MAX {
                    break;
                }
            }
            for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("max", 1.0)] {
                self.say(&format!("set while {row}, {name}, µs"), latencies.at(share).as_nanos() as f64 / 1e3);
            }
        }
        std::mem::forget(engine);
    }
}

/// Runs `run` with this thread's buffer, empty.
fn thread_buffer(run: impl FnOnce(&mut Vec<u8>)) {
    thread_local! {
        static BUFFER: std::cell::RefCell<Vec<u8>> = std::cell::RefCell::new(Vec::with_capacity(LARGE_LEN + 4096));
    }
    BUFFER.with_borrow_mut(|buffer| {
        buffer.clear();
        run(buffer);
        std::hint::black_box(buffer.as_slice());
    });
}

/// Memory of this process that no file backs.
fn anonymous_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// What the files of a directory take on disk.
fn disk_bytes(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(directory).unwrap().flatten();
    entries
        .map(|entry| {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() { disk_bytes(&entry.path()) } else { metadata.blocks() * 512 }
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipf_prefers_low_ranks_as_the_law_says() {
        let zipf = Zipf::new(1_000, 0.99);
        let mut counts = vec![0_u32; 1_000];
        (0..200_000).for_each(|n| counts[zipf.rank(n) as usize] += 1);
        let expected: f64 = 200_000.0 / (1..=1_000).map(|rank| f64::from(rank).powf(-0.99)).sum::<f64>();
        assert!((f64::from(counts[0]) / expected - 1.0).abs() < 0.05, "{} {expected}", counts[0]);
        assert!((f64::from(counts[9]) / (expected * 10_f64.powf(-0.99)) - 1.0).abs() < 0.1);
    }
}
