//! Rates of the store next to a sharded hash map in memory, in one run: load, get, miss, overwrite,
//! delete; then what opening costs, after a clean close and after a kill, and memory per key.
//!
//! `cargo bench --bench rates -- [keys] [directory]`; a million keys by default. 16-byte hashed keys,
//! 100-byte values, no sync per operation. Times are of this machine at this moment: read the ratios.

// A benchmark reads the clock and ends at the first surprise.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod keys;

use keys::{key, mixed};
use larder::{Options, Store, SyncMode};
use std::collections::HashMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::RwLock;
use std::time::{Duration, Instant};

const SHARD_COUNT: usize = 64;
const VALUE_LEN: usize = 100;

fn value(n: u64) -> [u8; VALUE_LEN] {
    let mut value = [n as u8; VALUE_LEN];
    value[..8].copy_from_slice(&n.to_le_bytes());
    value
}

type Shard = RwLock<HashMap<Box<[u8]>, Box<[u8]>>>;

/// What the store is compared with.
struct InMemory(Vec<Shard>);

impl InMemory {
    fn new() -> Self {
        Self((0..SHARD_COUNT).map(|_| RwLock::default()).collect())
    }

    fn shard(&self, key: &[u8]) -> &Shard {
        &self.0[key[0] as usize % SHARD_COUNT]
    }
}

struct Row {
    what: &'static str,
    store: Duration,
    map: Duration,
}

fn timed(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    };
    line("RssAnon")
}

fn options() -> Options {
    Options { sync: SyncMode::None, ..Options::default() }
}

fn compare(count: u64, path: &Path) -> Vec<Row> {
    let store = Store::open(path, &options()).unwrap();
    let map = InMemory::new();
    let order: Vec<u64> = (0..count).map(|n| mixed(n + 7) % count).collect();
    let mut rows = Vec::new();
    let mut buffer = Vec::with_capacity(VALUE_LEN);
    let mut row = |what, run_store: &mut dyn FnMut(), run_map: &mut dyn FnMut()| {
        let row = Row { what, store: timed(run_store), map: timed(run_map) };
        eprintln!("  {what}: done");
        rows.push(row);
    };
    let insert = |n: u64, value_of: u64| {
        let key = key(n);
        map.shard(&key).write().unwrap().insert(key.as_slice().into(), value(value_of).as_slice().into());
    };
    row("load", &mut || (0..count).for_each(|n| assert_ne!(store.set(&key(n), &value(n)).unwrap(), 0)), &mut || {
        (0..count).for_each(|n| insert(n, n))
    });
    row(
        "get, uniform",
        &mut || {
            for &n in &order {
                buffer.clear();
                assert!(store.get_with(&key(n), |value| buffer.extend_from_slice(value)).unwrap().is_some());
                black_box(&buffer);
            }
        },
        &mut || {
            let mut buffer = Vec::with_capacity(VALUE_LEN);
            for &n in &order {
                let key = key(n);
                buffer.clear();
                buffer.extend_from_slice(&map.shard(&key).read().unwrap()[key.as_slice()]);
                black_box(&buffer);
            }
        },
    );
    row(
        "get, miss",
        &mut || order.iter().for_each(|n| assert!(store.get(&key(n + count)).unwrap().is_none())),
        &mut || {
            for n in &order {
                let key = key(n + count);
                assert!(!map.shard(&key).read().unwrap().contains_key(key.as_slice()));
            }
        },
    );
    row(
        "get, 32 a call",
        &mut || {
            for group in order.chunks(32) {
                let keys: Vec<_> = group.iter().map(|n| key(*n)).collect();
                let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
                let mut buffer = Vec::with_capacity(32 * VALUE_LEN);
                let answer = |_, found: larder::Result<Option<&[u8]>>| {
                    buffer.extend_from_slice(found.unwrap().unwrap());
                    true
                };
                store.get_many_with(&keys, answer).unwrap();
                black_box(&buffer);
            }
        },
        &mut || {
            let mut buffer = Vec::with_capacity(32 * VALUE_LEN);
            for group in order.chunks(32) {
                buffer.clear();
                for &n in group {
                    let key = key(n);
                    buffer.extend_from_slice(&map.shard(&key).read().unwrap()[key.as_slice()]);
                }
                black_box(&buffer);
            }
        },
    );
    row(
        "overwrite",
        &mut || order.iter().for_each(|&n| assert_ne!(store.set(&key(n), &value(n + 1)).unwrap(), 0)),
        &mut || order.iter().for_each(|&n| insert(n, n + 1)),
    );
    row("delete half", &mut || (0..count).step_by(2).for_each(|n| assert!(store.del(&key(n)).unwrap())), &mut || {
        for n in (0..count).step_by(2) {
            let key = key(n);
            map.shard(&key).write().unwrap().remove(key.as_slice());
        }
    });
    rows
}

/// Loads in a process of its own, which then waits to be killed or closes in order.
fn load(count: u64, path: &Path, mode: &str) {
    let store = Store::open(path, &options()).unwrap();
    for n in 0..count {
        store.set(&key(n), &value(n)).unwrap();
    }
    if mode == "close" {
        store.close().unwrap();
        return;
    }
    println!("loaded");
    std::thread::sleep(Duration::from_secs(600));
}

fn loaded(count: u64, path: &Path, mode: &str) {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args(["load", &count.to_string(), path.to_str().unwrap(), mode]).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    if mode == "kill" {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
        child.kill().unwrap();
    }
    child.wait().unwrap();
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.first().is_some_and(|first| first == "load") {
        return load(arguments[1].parse().unwrap(), Path::new(&arguments[2]), &arguments[3]);
    }
    let count: u64 = arguments.first().map_or(1_000_000, |count| count.parse().unwrap());
    let parent = arguments.get(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let path = parent.join(format!("larder-rates-{}", std::process::id()));
    std::fs::create_dir(&path).unwrap();
    eprintln!("{count} keys in {}", path.display());

    println!("| {count} keys | Larder, 1000/s | hash map, 1000/s | ratio |\n|---|---:|---:|---:|");
    for row in compare(count, &path.join("compare")) {
        let operations = if row.what == "delete half" { count / 2 } else { count };
        let rate = |time: Duration| operations as f64 / time.as_secs_f64() / 1_000.0;
        let (store, map) = (rate(row.store), rate(row.map));
        println!("| {} | {store:.0} | {map:.0} | {:.2} |", row.what, store / map);
    }
    for mode in ["close", "kill"] {
        let path = path.join(mode);
        loaded(count, &path, mode);
        let before = resident_bytes();
        let start = Instant::now();
        let store = Store::open(&path, &options()).unwrap();
        let time = start.elapsed();
        assert_eq!(store.len().unwrap(), count);
        let memory = resident_bytes().saturating_sub(before) as f64 / count as f64;
        let index = store.stats().unwrap().index_bytes as f64 / count as f64;
        println!(
            "open after {mode}: {:.1} ms, {index:.1} bytes of index a key, {memory:.1} of memory",
            time.as_secs_f64() * 1e3
        );
    }
    std::fs::remove_dir_all(&path).unwrap();
}
