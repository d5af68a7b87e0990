//! What writes cost next to a sharded hash map in memory: load, overwrite, 32 overwrites a batch, half reads and half
//! writes, delete, from one thread and from two; alternating rounds, medians, ratios.
//!
//! `cargo bench --bench writes -- [keys] [rounds] [store|both] [directory]`; a million keys, three rounds, both by
//! default; `store` leaves the map out, for a profiler. 16-byte hashed keys, 100-byte values, no sync per operation,
//! compaction at work. Times are of this machine at this moment: read the ratios.

// A benchmark reads the clock and ends at the first surprise.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod keys;

use keys::{key, mixed};
use larder::store::{BatchOp, Ttl};
use larder::{Options, Store, SyncMode};
use std::collections::HashMap;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::RwLock;
use std::time::Instant;

const SHARD_COUNT: usize = 64;
const VALUE_LEN: usize = 100;
const GROUP_LEN: usize = 32;

fn value(n: u64) -> [u8; VALUE_LEN] {
    let mut value = [n as u8; VALUE_LEN];
    value[..8].copy_from_slice(&n.to_le_bytes());
    value
}

/// What both sides can do.
trait Side: Sync {
    fn set(&self, key: &[u8], value: &[u8]);
    fn set_group(&self, pairs: &[([u8; 16], [u8; VALUE_LEN])]);
    fn get(&self, key: &[u8], buffer: &mut [u8]);
    fn del(&self, key: &[u8]);
}

impl Side for Store {
    fn set(&self, key: &[u8], value: &[u8]) {
        self.set(key, value).unwrap();
    }

    fn set_group(&self, pairs: &[([u8; 16], [u8; VALUE_LEN])]) {
        let ops: [BatchOp<'_>; GROUP_LEN] = std::array::from_fn(|n| {
            let (key, value) = &pairs[n];
            BatchOp::Set { key, value, ttl: Ttl::Forever }
        });
        self.write(&ops, false).unwrap();
    }

    fn get(&self, key: &[u8], buffer: &mut [u8]) {
        assert!(self.get_with(key, |value| buffer.copy_from_slice(value)).unwrap().is_some());
    }

    fn del(&self, key: &[u8]) {
        assert!(self.del(key).unwrap());
    }
}

type Shard = RwLock<HashMap<Box<[u8]>, Box<[u8]>>>;

struct Map(Vec<Shard>);

impl Map {
    fn shard(&self, key: &[u8]) -> &Shard {
        &self.0[key[0] as usize % SHARD_COUNT]
    }
}

impl Side for Map {
    fn set(&self, key: &[u8], value: &[u8]) {
        self.shard(key).write().unwrap().insert(key.into(), value.into());
    }

    fn set_group(&self, pairs: &[([u8; 16], [u8; VALUE_LEN])]) {
        pairs.iter().for_each(|(key, value)| self.set(key, value));
    }

    fn get(&self, key: &[u8], buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.shard(key).read().unwrap()[key]);
    }

    fn del(&self, key: &[u8]) {
        assert!(self.shard(key).write().unwrap().remove(key).is_some());
    }
}

const ROWS: [(&str, u64); 8] = [
    ("load, 1 thread", 1),
    ("overwrite, 1 thread", 1),
    ("overwrite, 2 threads", 2),
    ("overwrite, 32 a batch, 1 thread", 1),
    ("mixed, 1 thread", 1),
    ("mixed, 2 threads", 2),
    ("delete, 1 thread", 1),
    ("load, 2 threads", 2),
];

/// Does the operations from one number on, so many.
type Run<'a> = &'a (dyn Fn(u64, u64) + Sync);

/// Nanoseconds an operation of each row, per thread.
fn round(side: &dyn Side, count: u64, seed: u64) -> Vec<f64> {
    let timed = |threads: u64, run: Run<'_>| {
        let (start, each) = (Instant::now(), count / threads);
        std::thread::scope(|scope| (0..threads).for_each(|thread| drop(scope.spawn(move || run(thread * each, each)))));
        start.elapsed().as_secs_f64() * 1e9 / each as f64
    };
    let load = |from: u64, each: u64| (from..from + each).for_each(|n| side.set(&key(n), &value(n)));
    let any = |n: u64| mixed(n ^ seed << 40) % count;
    let overwrite = |from: u64, each: u64| (from..from + each).for_each(|n| side.set(&key(any(n)), &value(n)));
    let overwrite_groups = |from: u64, each: u64| {
        for first in (from..from + each / GROUP_LEN as u64 * GROUP_LEN as u64).step_by(GROUP_LEN) {
            let pairs: [_; GROUP_LEN] = std::array::from_fn(|n| (key(any(first + n as u64)), value(first)));
            side.set_group(&pairs);
        }
    };
    let mixed = |from: u64, each: u64| {
        let mut buffer = [0; VALUE_LEN];
        for n in from..from + each {
            if n % 2 == 0 {
                side.set(&key(any(n)), &value(n));
            } else {
                side.get(&key(any(n)), &mut buffer);
                black_box(&buffer);
            }
        }
    };
    let delete = |from: u64, each: u64| (from..from + each).for_each(|n| side.del(&key(n)));
    let runs: [Run<'_>; ROWS.len()] =
        [&load, &overwrite, &overwrite, &overwrite_groups, &mixed, &mixed, &delete, &load];
    ROWS.iter().zip(runs).map(|((_, threads), run)| timed(*threads, run)).collect()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let count: u64 = arguments.first().map_or(1_000_000, |count| count.parse().unwrap());
    let rounds: u64 = arguments.get(1).map_or(3, |rounds| rounds.parse().unwrap());
    let has_map = arguments.get(2).is_none_or(|sides| sides == "both");
    let parent = arguments.get(3).map_or_else(std::env::temp_dir, PathBuf::from);
    let path = parent.join(format!("larder-writes-{}", std::process::id()));
    let options = Options { sync: SyncMode::None, ..Options::default() };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for seed in 0..rounds {
        eprintln!("{count} keys, round {} of {rounds}", seed + 1);
        let store = Store::open(&path, &options).unwrap();
        ours.push(round(&store, count, seed));
        drop(store);
        std::fs::remove_dir_all(&path).unwrap();
        if has_map {
            theirs.push(round(&Map((0..SHARD_COUNT).map(|_| RwLock::default()).collect()), count, seed));
        }
    }
    println!("| {count} keys | Larder, ns | hash map, ns | rate, Larder to map |\n|---|---:|---:|---:|");
    let median = |rounds: &[Vec<f64>], row: usize| {
        let mut all: Vec<f64> = rounds.iter().map(|round| round[row]).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
    };
    for (row, (what, _)) in ROWS.iter().enumerate() {
        let (ours, theirs) = (median(&ours, row), median(&theirs, row));
        println!("| {what} | {ours:.0} | {theirs:.0} | {:.2} |", theirs / ours);
    }
}
