//! What the index costs, printed: `cargo test --release -- --ignored index_ --nocapture`.

use super::*;
use std::time::Instant;

fn fill(index: &Index, keys: std::ops::Range<u64>) {
    for key in keys {
        let hash = mix(key);
        index.lock(hash).insert(hash, Location::new(key + 1));
    }
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn memory_up_to(count_max: u64) {
    let before = resident_bytes();
    let (_epochs, index) = new_index();
    let mut worst = 0.0f64;
    let mut count = 100_000;
    let mut filled = 0;
    while count <= count_max {
        fill(&index, filled..count);
        filled = count;
        let per_key = index.memory_bytes() as f64 / count as f64;
        let resident = (resident_bytes() - before) as f64 / count as f64;
        worst = worst.max(per_key);
        println!("{count:>10} keys: {per_key:.2} bytes a key, resident {resident:.2}");
        count = if count * 11 / 10 > count_max && count < count_max { count_max } else { count * 11 / 10 };
    }
    println!("worst: {worst:.2} bytes a key");
    assert!(worst <= 16.0);
}

#[test]
#[ignore = "a measurement: seconds and 200 MB"]
fn index_memory() {
    memory_up_to(10_000_000);
}

#[test]
#[ignore = "a measurement: a minute and 1 GB"]
fn index_memory_50_million() {
    memory_up_to(50_000_000);
}

#[test]
#[ignore = "a measurement"]
fn index_growth_pause() {
    let (_epochs, index) = new_index();
    let mut pauses = Vec::with_capacity(10_000_000);
    for key in 0..10_000_000u64 {
        let hash = mix(key);
        let start = Instant::now();
        index.lock(hash).insert(hash, Location::new(key + 1));
        pauses.push(start.elapsed().as_nanos() as u32);
    }
    pauses.sort_unstable();
    let at = |part: f64| f64::from(pauses[((pauses.len() - 1) as f64 * part) as usize]) / 1000.0;
    println!(
        "one insert of 10 million, µs: p50 {:.2}, p99 {:.2}, p99.9 {:.2}, p99.99 {:.1}, p99.999 {:.1}, max {:.1}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(0.9999),
        at(0.99999),
        at(1.0)
    );
}
