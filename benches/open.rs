//! What opening costs at 10^4 to 10^7 keys: after a close in order, after a kill with the checkpoints that the store made
//! meanwhile, and by replay of everything.
//!
//! `cargo bench --bench open -- [keys at most] [directory]`; ten million by default, which take 2 GB there. 16-byte hashed
//! keys, 100-byte values, no sync per operation. (`load` and `open` are for one step
//! alone; `sets COUNT DIRECTORY` shows what checkpoints cost a set.) Times are of this machine at this moment: read the ratios.

// A benchmark reads the clock and ends at the first surprise.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod keys;

use keys::key;
use larder::store::Tuning;
use larder::{Options, Store, SyncMode};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const VALUE_LEN: usize = 100;
const ROUNDS: usize = 5;

fn options() -> Options {
    Options { sync: SyncMode::None, ..Options::default() }
}

/// In a process of its own, which then waits to be killed, or closes in order.
fn load(count: u64, path: &Path, mode: &str) {
    let store = Store::open(path, &options()).unwrap();
    let mut value = [7; VALUE_LEN];
    for n in 0..count {
        value[..8].copy_from_slice(&n.to_le_bytes());
        store.set(&key(n), &value).unwrap();
    }
    if mode == "close" {
        store.close().unwrap();
        return;
    }
    println!("loaded");
    std::thread::sleep(Duration::from_secs(600));
}

fn run(arguments: &[&str], is_killed: bool) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    if is_killed {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
        child.kill().unwrap();
    }
    child.wait().unwrap();
}

fn loaded(count: u64, path: &Path, mode: &str) {
    let _ = std::fs::remove_dir_all(path);
    run(&["load", &count.to_string(), path.to_str().unwrap(), mode], mode == "kill");
}

/// What the process has taken of its processors so far.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let behind_name = stat.rsplit(')').next().unwrap();
    let ticks: Vec<u64> = behind_name.split_whitespace().skip(11).take(2).map(|n| n.parse().unwrap()).collect();
    // In hundredths of a second, on every Linux.
    Duration::from_millis(10 * (ticks[0] + ticks[1]))
}

struct Opened {
    time: Duration,
    processor_time: Duration,
    first_get: Duration,
    replayed_bytes: u64,
    is_from_checkpoint: bool,
}

fn opened(count: u64, path: &Path) -> (Store, Opened) {
    let before = processor_time();
    let start = Instant::now();
    let store = Store::open(path, &options()).unwrap();
    let time = start.elapsed();
    let processor_time = processor_time() - before;
    let start = Instant::now();
    assert!(store.get_with(&key(count / 2), |value| value.len()).unwrap() == Some(VALUE_LEN));
    let first_get = start.elapsed();
    assert_eq!(store.len().unwrap(), count);
    let opening = store.opening().unwrap();
    let (replayed_bytes, is_from_checkpoint) = (opening.replayed_bytes, opening.is_from_checkpoint);
    (store, Opened { time, processor_time, first_get, replayed_bytes, is_from_checkpoint })
}

fn print(count: u64, what: &str, mut rows: Vec<Opened>) {
    rows.sort_by_key(|row| row.time);
    let row = &rows[rows.len() / 2];
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "| {count} | {what} | {:.2} | {:.2} to {:.2} | {:.0} | {:.0} | {:.1} | {} |",
        ms(row.time),
        ms(rows[0].time),
        ms(rows[rows.len() - 1].time),
        ms(row.processor_time),
        ms(row.first_get) * 1e3,
        row.replayed_bytes as f64 / 1e6,
        row.is_from_checkpoint
    );
}

/// How long single sets take, without checkpoints and with one every 32 MiB of records: by turns, in stores that are filled
/// side by side.
fn sets(count: u64, path: &Path) {
    let _ = std::fs::remove_dir_all(path);
    std::fs::create_dir(path).unwrap();
    let mut stores = Vec::new();
    for (what, checkpoint_bytes) in [("never", u64::MAX), ("32 MiB", 32 << 20)] {
        let storage = larder::storage::DiskStorage::open(path.join(what), true, false).unwrap();
        let tuning = Tuning { checkpoint_bytes, checkpoint_index_multiple: 0, ..Tuning::default() };
        let store = Store::open_in(std::sync::Arc::new(storage), &options(), &tuning).unwrap();
        stores.push((what, store, Vec::with_capacity(count as usize)));
    }
    const TURN: u64 = 50_000;
    for turn in 0..count / TURN {
        for (_, store, times) in &mut stores {
            for n in turn * TURN..(turn + 1) * TURN {
                let start = Instant::now();
                store.set(&key(n), &[7; VALUE_LEN]).unwrap();
                times.push(start.elapsed().as_nanos() as u32);
            }
        }
    }
    println!("| checkpoints | p50, µs | p99 | p99.9 | p99.99 | p99.999 |\n|---|---:|---:|---:|---:|---:|");
    for (what, _, times) in &mut stores {
        times.sort_unstable();
        let at = |part: f64| f64::from(times[((times.len() - 1) as f64 * part) as usize]) / 1000.0;
        let [a, b, c, d, e] = [0.5, 0.99, 0.999, 0.9999, 0.99999].map(at);
        println!("| {what} | {a:.2} | {b:.1} | {c:.1} | {d:.0} | {e:.0} |");
    }
}

fn checkpoints(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("INDEX-")).collect()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.first().is_some_and(|first| first == "load") {
        return load(arguments[1].parse().unwrap(), Path::new(&arguments[2]), &arguments[3]);
    }
    if arguments.first().is_some_and(|first| first == "open") {
        let (_store, row) = opened(arguments[1].parse().unwrap(), Path::new(&arguments[2]));
        print(0, "whatever it was", vec![row]);
        // As killed: a close would be measured with it.
        std::process::exit(0);
    }
    if arguments.first().is_some_and(|first| first == "sets") {
        let path = PathBuf::from(&arguments[2]);
        sets(arguments[1].parse().unwrap(), &path);
        return std::fs::remove_dir_all(&path).unwrap();
    }
    let count_max: u64 = arguments.first().map_or(10_000_000, |count| count.parse().unwrap());
    let parent = arguments.get(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let path = parent.join(format!("larder-open-{}", std::process::id()));
    println!("| keys | after | ms | from to | of all processors | first get, µs | MB replayed | from a checkpoint |");
    println!("|---:|---|---:|---:|---:|---:|---:|---|");
    let mut count = 10_000;
    while count <= count_max {
        loaded(count, &path, "close");
        let mut rows = Vec::new();
        for _ in 0..ROUNDS {
            let (store, row) = opened(count, &path);
            rows.push(row);
            store.close().unwrap();
        }
        print(count, "a close", rows);
        let mut rows = Vec::new();
        for _ in 0..ROUNDS.min(3) {
            checkpoints(&path).iter().for_each(|checkpoint| std::fs::remove_file(checkpoint).unwrap());
            let (store, row) = opened(count, &path);
            rows.push(row);
            store.close().unwrap();
        }
        print(count, "a close, checkpoint removed", rows);
        let mut rows = Vec::new();
        for _ in 0..ROUNDS.min(3) {
            loaded(count, &path, "kill");
            let (store, row) = opened(count, &path);
            rows.push(row);
            store.close().unwrap();
        }
        print(count, "a kill", rows);
        count *= 10;
    }
    std::fs::remove_dir_all(&path).unwrap();
}
