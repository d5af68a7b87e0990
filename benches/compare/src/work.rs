//! The workloads, and the one child process that runs them on one engine.
//!
//! Every row is bounded by a count of operations and by time, so that an engine which is slow at something does not
//! hold the others up: what is compared is the rate of what was done.

use crate::data::{Key, LARGE_LEN, VALUE_LEN, Zipf, key, mixed, number_of, value};
use crate::engine::{self, Durability, Engine};
use crate::footprint::{DiskWatch, anonymous_bytes, cpu_time, disk_bytes, have_free_memory};
use crate::latency::Latencies;
use crate::results::Measured;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub const GROUP_LEN: usize = 32;
/// Operations of a row that reads, per thread: at least, and at most.
const READS: (u64, u64) = (300_000, 2_000_000);
/// Operations of a row that writes: at least, and at most. At most twice the keys, so that compaction has work.
const WRITES: (u64, u64) = (300_000, 20_000_000);
/// Less than the records of one block of 4 KiB.
const WARMING_STEP: usize = 16;
/// Values of 64 KiB: 256 MiB of them.
const LARGE_COUNT: u64 = 4_096;
/// Keys of a load that are measured, about.
const LOAD_MEASURED_MAX: u64 = 10_000_000;
/// What a row that writes finds free: as much as it takes, and the engine's own room beside.
const FREE_BYTES: u64 = 1 << 30;
/// Disk use is looked at once more when an engine has had so long to clear up.
const REST: Duration = Duration::from_secs(3);

/// Hands out random numbers until a row is over.
type Numbers<'a> = dyn FnMut() -> Option<u64> + 'a;

/// One child's work on one engine.
pub struct Child<'a> {
    pub engine: &'a str,
    pub keys: u64,
    pub round: u64,
    pub directory: &'a Path,
    /// Longest time of a row; a load one by one that is measured has five times that, then it goes on in batches.
    pub row_time_max: Duration,
    pub report: &'a mut dyn FnMut(Measured),
}

impl Child<'_> {
    fn say(&mut self, row: &str, value: f64) {
        let (engine, row) = (self.engine.to_owned(), row.to_owned());
        (self.report)(Measured { engine, row, keys: self.keys, value, cpu_ns: None });
    }

    /// So many operations since then, and what processor time each has taken, an engine's own threads included.
    fn say_rate(&mut self, row: &str, ops: u64, spent: Spent) {
        let (engine, row, ops) = (self.engine.to_owned(), row.to_owned(), ops as f64);
        let cpu_ns = Some(spent.cpu.as_nanos() as f64 / ops);
        (self.report)(Measured { engine, row, keys: self.keys, value: ops / spent.wall.as_secs_f64(), cpu_ns });
    }

    /// Has `threads` threads do `op` with random numbers; operations a second.
    fn rate(&mut self, row: &str, threads: u64, per_op: u64, ops: u64, op: &(dyn Fn(u64) + Sync)) {
        self.rate_within(row, threads, ops / per_op, per_op, &|next| {
            while let Some(random) = next() {
                op(random);
            }
        });
    }

    /// Has `threads` threads do `run` with numbers as long as there are any; what one number stands for is counted.
    fn rate_within(
        &mut self,
        row: &str,
        threads: u64,
        numbers: u64,
        per_number: u64,
        run: &(dyn Fn(&mut Numbers) + Sync),
    ) {
        let (seed, time_max) = (mixed(self.round + 77), self.row_time_max);
        let done = AtomicU64::new(0);
        let since = Since::now();
        let begin = since.wall;
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let done = &done;
                scope.spawn(move || {
                    let mut count = 0;
                    run(&mut || {
                        let is_over = count == numbers || (count % 256 == 255 && begin.elapsed() > time_max);
                        (!is_over).then(|| {
                            count += 1;
                            mixed(seed ^ (thread << 48) ^ count)
                        })
                    });
                    done.fetch_add(count * per_number, Ordering::Relaxed);
                });
            }
        });
        self.say_rate(row, done.into_inner(), since.spent());
    }

    /// Loads all keys: one by one for a while, then the others in batches in the order of their bytes, which is the
    /// fastest way for the trees and leaves them in their best shape. How many, and what was spent, of the first.
    fn load(&self, engine: &dyn Engine, time_max: Duration) -> (u64, Spent) {
        have_free_memory(FREE_BYTES + 200 * self.keys.min(LOAD_MEASURED_MAX));
        let since = Since::now();
        let begin = since.wall;
        let mut loaded = 0;
        while loaded < self.keys && (loaded % 1024 != 0 || begin.elapsed() < time_max) {
            engine.set(&key(loaded), &value(loaded));
            loaded += 1;
        }
        let spent = since.spent();
        let mut others: Vec<_> = (loaded..self.keys).collect();
        others.sort_unstable_by_key(|n| key(*n));
        for numbers in others.chunks(10_000) {
            let pairs: Vec<_> = numbers.iter().map(|n| (key(*n), value(*n))).collect();
            engine.batch(&pairs);
        }
        (loaded, spent)
    }

    /// A thousand keys have a value, whole, and one that was written to them.
    fn check(&self, engine: &dyn Engine) {
        let mut buffer = Vec::new();
        for n in (0..self.keys).step_by(1 + self.keys as usize / 1_000) {
            buffer.clear();
            assert!(engine.get(&key(n), &mut buffer), "{}: key {n} is missing", self.engine);
            let number = number_of(&buffer).map(|number| number % self.keys);
            assert_eq!(number, Some(n), "{}: key {n} has another's value", self.engine);
        }
    }

    /// Everything that needs no sync.
    pub fn unsynced(&mut self) {
        let before = anonymous_bytes();
        let engine = engine::open(self.engine, self.directory, Durability::Unsynced);
        let engine = &*engine;
        let keys = self.keys;
        let (loaded, spent) = self.load(engine, 5 * self.row_time_max);
        self.say_rate("load", loaded, spent);
        self.say("memory per key, bytes", anonymous_bytes().saturating_sub(before) as f64 / keys as f64);
        if let Some(figures) = engine.figures() {
            self.say("index per key, bytes", figures.index_bytes as f64 / keys as f64);
        }
        self.check(engine);
        self.warm(engine);
        self.gets(engine);
        self.writes(engine);
        self.check(engine);
        let next = AtomicU64::new(0);
        have_free_memory(FREE_BYTES);
        self.rate("delete", 1, 1, keys.min(READS.1), &|_| {
            assert!(engine.del(&key(next.fetch_add(1, Ordering::Relaxed))));
        });
        assert!(!engine.get(&key(0), &mut Vec::new()), "what was deleted is there");
    }

    /// Reads through the store in the order of the keys' bytes, so that an engine that has a cache of its own has its
    /// blocks in there before any row is about that.
    fn warm(&self, engine: &dyn Engine) {
        let mut numbers: Vec<_> = (0..self.keys).collect();
        numbers.sort_unstable_by_key(|n| key(*n));
        let begin = Instant::now();
        for (i, n) in numbers.iter().step_by(WARMING_STEP).enumerate() {
            thread_buffer(|buffer| assert!(engine.get(&key(*n), buffer), "a key is missing"));
            if i % 256 == 255 && begin.elapsed() > 5 * self.row_time_max {
                return;
            }
        }
    }

    fn gets(&mut self, engine: &dyn Engine) {
        let keys = self.keys;
        let ops = keys.clamp(READS.0, READS.1);
        let zipf = Zipf::new(keys, 0.99);
        let ranks: Vec<u32> = (0..ops.min(1 << 20)).map(|n| zipf.rank(mixed(n ^ (self.round << 32))) as u32).collect();
        let uniform = |random: u64| random % keys;
        // Ranks are spread over the keys, or the most wanted would lie side by side.
        let zipf = |random: u64| mixed(u64::from(ranks[random as usize % ranks.len()])) % keys;
        let distributions: [(&str, &(dyn Fn(u64) -> u64 + Sync)); 2] = [("uniform", &uniform), ("zipf 0.99", &zipf)];
        for (name, choose) in distributions {
            for threads in [1, 2] {
                let row = format!("get, {name}, {threads} thread{}", if threads == 1 { "" } else { "s" });
                self.rate(&row, threads, 1, ops, &|random| {
                    thread_buffer(|buffer| assert!(engine.get(&key(choose(random)), buffer), "a key is missing"));
                });
                if engine.with_snapshot(&mut |_| ()) {
                    self.rate_within(&format!("{row}, snapshot held"), threads, ops, 1, &|next| {
                        let mut buffer = Vec::with_capacity(VALUE_LEN);
                        engine.with_snapshot(&mut |get| {
                            while let Some(random) = next() {
                                buffer.clear();
                                assert!(get(&key(choose(random)), &mut buffer), "a key is missing");
                                std::hint::black_box(&buffer);
                            }
                        });
                    });
                }
            }
        }
        self.rate("get, miss", 1, 1, ops, &|n| {
            thread_buffer(|buffer| assert!(!engine.get(&key(keys + n % keys), buffer)));
        });
        self.rate("get, 32 a call", 1, GROUP_LEN as u64, ops, &|n| {
            let group: [Key; GROUP_LEN] = std::array::from_fn(|i| key(mixed(n + i as u64) % keys));
            thread_buffer(|buffer| assert_eq!(engine.get_many(&group, buffer), GROUP_LEN));
        });
    }

    fn writes(&mut self, engine: &dyn Engine) {
        let keys = self.keys;
        let ops = (2 * keys).clamp(WRITES.0, WRITES.1);
        let watch = engine::is_persistent(self.engine).then(|| DiskWatch::new(self.directory));
        let set = |n: u64| engine.set(&key(n % keys), &value(n));
        let mixture = |n: u64| match n >> 63 {
            0 => thread_buffer(|buffer| assert!(engine.get(&key(n % keys), buffer), "a key is missing")),
            _ => set(n),
        };
        have_free_memory(FREE_BYTES);
        self.rate("overwrite", 1, 1, ops, &set);
        have_free_memory(FREE_BYTES);
        self.rate("mixed 50/50, 1 thread", 1, 1, ops, &mixture);
        have_free_memory(FREE_BYTES);
        self.rate("mixed 50/50, 2 threads", 2, 1, ops, &mixture);
        have_free_memory(FREE_BYTES);
        self.rate("batch of 32", 1, GROUP_LEN as u64, ops, &|n| {
            let pairs: [_; GROUP_LEN] = std::array::from_fn(|i| {
                let n = mixed(n + i as u64);
                (key(n % keys), value(n))
            });
            engine.batch(&pairs);
        });
        if let Some(watch) = watch {
            let user_bytes = (keys * (16 + VALUE_LEN as u64)) as f64;
            let most = watch.most_bytes();
            std::thread::sleep(REST.min(3 * self.row_time_max));
            let rested = disk_bytes(self.directory);
            self.say("disk per live byte, most while overwriting", most as f64 / user_bytes);
            self.say("disk per live byte, after overwrites and a rest", rested as f64 / user_bytes);
            if let Some(figures) = engine.figures() {
                let beyond = |disk: u64| disk.saturating_sub(figures.slack_bytes) as f64 / figures.live_bytes as f64;
                self.say("disk less two segments per byte of live records, most", beyond(most));
                self.say("disk less two segments per byte of live records, after a rest", beyond(rested));
            }
        }
    }

    /// Values of 64 KiB.
    pub fn large(&mut self) {
        let engine = engine::open(self.engine, self.directory, Durability::Unsynced);
        let engine = &*engine;
        let large = vec![0xA5; LARGE_LEN];
        let next = AtomicU64::new(0);
        let set = |_| engine.set(&key(next.fetch_add(1, Ordering::Relaxed)), &large);
        have_free_memory(FREE_BYTES);
        self.rate("set of 64 KiB", 1, 1, LARGE_COUNT, &set);
        let count = next.load(Ordering::Relaxed);
        // What engines do behind the sets is not the gets' own.
        std::thread::sleep(REST);
        self.rate("get of 64 KiB", 1, 1, 3 * LARGE_COUNT, &|n| {
            thread_buffer(|buffer| {
                assert!(engine.get(&key(n % count), buffer));
                assert_eq!(buffer.len(), LARGE_LEN);
            });
        });
        if engine.view(&key(0)).is_some() {
            let view = |n: u64| assert_eq!(engine.view(&key(n % count)), Some(LARGE_LEN));
            self.rate("view of 64 KiB", 1, 1, 60 * LARGE_COUNT, &view);
            (0..count).for_each(|n| engine.set(&key(count + n), &value(n)));
            let view = |n: u64| assert_eq!(engine.view(&key(count + n % count)), Some(VALUE_LEN));
            self.rate("view of 100 bytes beside", 1, 1, 60 * LARGE_COUNT, &view);
        }
    }

    /// Durable sets by so many threads.
    pub fn durable(&mut self, threads: u64) {
        let engine = engine::open(self.engine, self.directory, Durability::Power);
        let engine = &*engine;
        engine.set(&key(u64::MAX / 2), &value(0));
        let since = Since::now();
        let end = since.wall + self.row_time_max / 4;
        let done = AtomicU64::new(0);
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
        let row = format!("durable set, {threads} thread{}", if threads == 1 { "" } else { "s" });
        self.say_rate(&row, done.into_inner(), since.spent());
    }

    /// Loads and closes; or says that it has loaded, and waits to be killed.
    pub fn leave(&mut self, is_closed: bool) {
        let engine = engine::open(self.engine, self.directory, Durability::Process);
        self.load(&*engine, self.row_time_max);
        if is_closed {
            engine.close();
            return;
        }
        println!("{LOADED}");
        std::thread::sleep(Duration::from_secs(600));
    }

    /// Opens what another process left, and reads one key.
    pub fn open(&mut self, row: &str) {
        let begin = Instant::now();
        let engine = engine::open(self.engine, self.directory, Durability::Process);
        let mut buffer = Vec::new();
        let has_first = engine.get(&key(self.keys / 2), &mut buffer);
        let ms = begin.elapsed().as_secs_f64() * 1e3;
        let keys = self.keys;
        let sample = || (0..keys).step_by(1 + keys as usize / 1_000);
        let missing = sample().filter(|n| !engine.get(&key(*n), &mut buffer)).count();
        if has_first && missing == 0 {
            self.say(&format!("{row}, ms"), ms);
            self.check(&*engine);
        }
        self.say(&format!("{row}, keys lost, %"), 100.0 * missing as f64 / sample().count() as f64);
        std::mem::forget(engine);
    }

    /// How long single sets take, while the store grows from nothing and while it is overwritten.
    pub fn latencies(&mut self) {
        let engine = engine::open(self.engine, self.directory, Durability::Unsynced);
        let (keys, time_max) = (self.keys, 3 * self.row_time_max);
        let mut loaded = 0;
        for (row, count) in [("growing", keys), ("overwriting", 2 * keys)] {
            let mut latencies = Latencies::default();
            have_free_memory(FREE_BYTES + 200 * keys.min(LOAD_MEASURED_MAX));
            let begin = Instant::now();
            for n in 0..count {
                let at = if row == "growing" { n } else { mixed(n + 3) % loaded };
                let start = Instant::now();
                engine.set(&key(at), &value(at));
                latencies.add(start.elapsed());
                loaded = loaded.max(at + 1);
                if n % 1024 == 1023 && begin.elapsed() > time_max {
                    break;
                }
            }
            for (name, share) in SHARES {
                self.say(&format!("set while {row}, {name}, µs"), latencies.at(share).as_nanos() as f64 / 1e3);
            }
        }
        std::mem::forget(engine);
    }
}

/// When a row has begun, by the clock and by what the process had used of its processors.
struct Since {
    wall: Instant,
    cpu: Duration,
}

impl Since {
    fn now() -> Self {
        Self { wall: Instant::now(), cpu: cpu_time() }
    }

    fn spent(&self) -> Spent {
        Spent { wall: self.wall.elapsed(), cpu: cpu_time() - self.cpu }
    }
}

struct Spent {
    wall: Duration,
    cpu: Duration,
}

/// What a child says when it is ready to be killed.
pub const LOADED: &str = "loaded";

/// Of the sets whose latencies are told.
pub const SHARES: [(&str, f64); 5] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("max", 1.0)];

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
