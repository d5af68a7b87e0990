//! `larder bench`: how fast a store is here, on this machine and file system, in a few seconds.
//!
//! It makes a store of its own below the directory, one thread writes and reads it key by key through the public API, and
//! takes it away again. What is measured is said with the figures.
//!
//! Not here: comparisons with other stores, latencies under load, several threads (`benches`, docs/benchmarks.md).

use crate::failure::{Exit, Failure, Outcome};
use crate::output::Output;
use crate::place::Format;
use crate::progress::Progress;
use clap::{Args, ValueHint};
use indicatif::{BinaryBytes, HumanCount};
use larder::{Options, Store, SyncMode};
use serde::Serialize;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  larder bench --dir /var/tmp
  larder bench --dir /mnt/disk --keys 1000000 --value-len 1000 --durable-sets 5000 --json";

/// So often the bar is told.
const PROGRESS_STEP: u64 = 4_096;
/// What SplitMix64 adds to its state: 2^64 / the golden ratio, odd.
const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// Measure a store in a directory: sets, gets, misses, durable sets.
///
/// In the directory a store of its own is made, and removed at the end: nothing that is there is touched. One thread, one key at a
/// time, no batches. Gets and misses come in an order of their own, from memory as far as the machine has it. Durable sets
/// wait for the disk one by one, as `sync=always` does when nobody shares a sync. Other work on the machine shows in the
/// figures; run it more than once.
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Bench {
    /// A directory on the file system to measure; it must be there.
    #[arg(long, short = 'd', value_name = "DIR", value_hint = ValueHint::DirPath)]
    dir: PathBuf,
    /// So many keys.
    #[arg(long, value_name = "COUNT", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    keys: u64,
    /// Bytes of a value.
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u64).range(0..=1 << 20))]
    value_len: u64,
    /// So many durable sets.
    #[arg(long, value_name = "COUNT", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    durable_sets: u64,
    #[command(flatten)]
    format: Format,
}

#[derive(Serialize)]
struct Settings<'a> {
    larder: &'a str,
    optimized: bool,
    dir: &'a str,
    keys: u64,
    key_len: u64,
    value_len: u64,
    threads: u64,
    segment_bytes: u64,
    data_bytes: u64,
}

#[derive(Serialize)]
struct Row<'a> {
    step: &'a str,
    sync: &'a str,
    ops: u64,
    seconds: f64,
    ops_per_second: f64,
    ns_per_op: f64,
}

const KEY_LEN: u64 = 16;

/// The key of a number: spread over all bytes, so that no prefix helps anybody.
fn key_of(number: u64) -> [u8; KEY_LEN as usize] {
    let mut key = [0; KEY_LEN as usize];
    key[..8].copy_from_slice(&mixed(number).to_le_bytes());
    key[8..].copy_from_slice(&number.to_le_bytes());
    key
}

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014): a permutation of all u64.
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(GOLDEN_GAMMA);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Bench {
    pub fn run(&self) -> Outcome {
        let dir = self.dir.join(format!("larder-bench-{}", std::process::id()));
        std::fs::create_dir(&dir).map_err(|error| Failure::io(dir.display(), &error))?;
        let outcome = self.measure(&dir);
        let removed = std::fs::remove_dir_all(&dir).map_err(|error| Failure::io(dir.display(), &error));
        let exit = outcome?;
        removed?;
        Ok(exit)
    }

    fn measure(&self, dir: &Path) -> Outcome {
        let mut output = Output::new(self.format.json);
        let location = dir.join("store");
        let unsynced = Options { sync: SyncMode::None, ..Options::default() };
        self.print_settings(&unsynced, &mut output)?;
        let value = vec![b'v'; usize::try_from(self.value_len).unwrap_or_default()];
        let store = Store::open(&location, &unsynced)?;
        let random = |number: u64| mixed(number ^ GOLDEN_GAMMA) % self.keys;
        let set = |store: &Store, number| store.set(&key_of(number), &value).map(drop).map_err(Failure::from);
        self.step("set", "none", self.keys, &mut output, |number| set(&store, number))?;
        self.step("overwrite", "none", self.keys, &mut output, |number| set(&store, random(number)))?;
        self.step("get", "none", self.keys, &mut output, |number| match store.get(&key_of(random(number)))? {
            Some(found) => {
                black_box(found);
                Ok(())
            }
            None => Err(Failure::new(Exit::Other, "a key that was set is not there")),
        })?;
        self.step("miss", "none", self.keys, &mut output, |number| match store.get(&key_of(self.keys + number))? {
            None => Ok(()),
            Some(_) => Err(Failure::new(Exit::Other, "a key that was never set is there")),
        })?;
        store.close()?;
        let store = Store::open(&location, &Options { sync: SyncMode::Always, ..Options::default() })?;
        self.step("durable set", "always", self.durable_sets, &mut output, |number| set(&store, random(number)))?;
        store.close()?;
        output.flush()?;
        Ok(Exit::Done)
    }

    fn print_settings(&self, options: &Options, output: &mut Output) -> Result<(), Failure> {
        let settings = Settings {
            larder: env!("CARGO_PKG_VERSION"),
            optimized: !cfg!(debug_assertions),
            dir: &self.dir.to_string_lossy(),
            keys: self.keys,
            key_len: KEY_LEN,
            value_len: self.value_len,
            threads: 1,
            segment_bytes: options.segment_bytes,
            data_bytes: self.keys * (KEY_LEN + self.value_len),
        };
        let (keys, data) = (HumanCount(settings.keys), BinaryBytes(settings.data_bytes));
        let text = format!(
            "larder {} in {}: {keys} keys of {KEY_LEN} bytes, values of {} bytes ({data}), 1 thread, segment_size {}",
            settings.larder,
            settings.dir,
            settings.value_len,
            BinaryBytes(settings.segment_bytes),
        );
        output.either(&settings, text)?;
        if !settings.optimized && !output.is_json() {
            output.line("a build without optimization: the figures say nothing about a release")?;
        }
        if !output.is_json() {
            output.line(format_args!(
                "{:<12} {:<7} {:>12} {:>10} {:>14} {:>12}",
                "step", "sync", "operations", "seconds", "per second", "ns each"
            ))?;
        }
        output.flush()
    }

    /// Times `operation` for each number below `ops`.
    fn step(
        &self,
        name: &'static str,
        sync: &str,
        ops: u64,
        output: &mut Output,
        mut operation: impl FnMut(u64) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let progress = Progress::of_count(name, ops);
        let mut spent = Duration::ZERO;
        let mut number = 0;
        while number < ops {
            // The bar is moved between the stretches that are timed. Durable sets are slow enough for one each.
            let end = ops.min(number + if sync == "always" { 16 } else { PROGRESS_STEP });
            let begin = Instant::now();
            for number in number..end {
                operation(number)?;
            }
            spent += begin.elapsed();
            progress.advance(end - number);
            number = end;
        }
        drop(progress);
        let seconds = spent.as_secs_f64().max(f64::MIN_POSITIVE);
        let row = Row {
            step: name,
            sync,
            ops,
            seconds,
            ops_per_second: ops as f64 / seconds,
            ns_per_op: seconds * 1e9 / ops as f64,
        };
        let (count, rate) = (HumanCount(ops).to_string(), HumanCount(row.ops_per_second as u64).to_string());
        let text = format!("{name:<12} {sync:<7} {count:>12} {seconds:>10.3} {rate:>14} {:>12.0}", row.ns_per_op);
        output.either(&row, text)?;
        output.flush()
    }
}
