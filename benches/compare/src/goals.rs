//! The goals: in each row, so many times the rate of another engine in the same run, or a limit.

use crate::engine::PERSISTENT_PEERS;
use crate::results::{Part, Results, median};
use std::fmt::Write;

/// Whom a rate is compared with.
enum Peer {
    /// That engine in the same row.
    Of(&'static str),
    /// That engine in another row.
    In(&'static str, &'static str),
    /// The best in the same row of all others that keep what they are given, candystore apart: it was not asked for.
    Best,
}

enum Goal {
    /// At least so many times the rate of that peer.
    Times(f64, Peer),
    /// At most that, in the row's own unit, at key counts up to that.
    AtMost(f64, u64),
}

use Goal::{AtMost, Times};
use Peer::{Best, In, Of};

const HELD: [(&str, &str); 4] = [
    ("get, uniform, 1 thread", "get, uniform, 1 thread, snapshot held"),
    ("get, uniform, 2 threads", "get, uniform, 2 threads, snapshot held"),
    ("get, zipf 0.99, 1 thread", "get, zipf 0.99, 1 thread, snapshot held"),
    ("get, zipf 0.99, 2 threads", "get, zipf 0.99, 2 threads, snapshot held"),
];

/// The map with the fast hasher and the one with the standard library's both.
const MAPS: [&str; 2] = ["map", "map-siphash"];

fn goals() -> Vec<(&'static str, Goal)> {
    let mut goals = Vec::new();
    for (row, held) in HELD {
        goals.push((row, Times(3.5, Of("lmdb"))));
        goals.push((row, Times(2.5, In("lmdb", held))));
        goals.extend(MAPS.map(|map| (row, Times(1.3, Of(map)))));
    }
    goals.push(("get, uniform, 2 threads", Times(1.8, In("larder", "get, uniform, 1 thread"))));
    goals.push(("get, zipf 0.99, 2 threads", Times(1.8, In("larder", "get, zipf 0.99, 1 thread"))));
    let against = |row, lmdb, map| {
        let maps = MAPS.map(|name| (row, Times(map, Of(name))));
        [(row, Times(lmdb, Of("lmdb")))].into_iter().chain(maps)
    };
    goals.extend(against("get, miss", 8.0, 1.0));
    goals.push(("get, miss", Times(1.5, Of("candystore"))));
    goals.extend(against("get, 32 a call", 12.0, 4.0));
    goals.extend(against("load", 8.0, 2.0));
    for row in ["overwrite", "mixed 50/50, 1 thread", "mixed 50/50, 2 threads", "delete"] {
        goals.extend(against(row, 8.0, 0.8));
    }
    goals.push(("set of 64 KiB", Times(4.0, Of("lmdb"))));
    // Within 1.3 times of it.
    goals.push(("set of 64 KiB", Times(1.0 / 1.3, Of("bare"))));
    goals.push(("view of 64 KiB", Times(0.8, In("larder", "view of 100 bytes beside"))));
    for row in ["durable set, 1 thread", "durable set, 8 threads", "durable set, 32 threads"] {
        goals.push((row, Times(1.3, Best)));
        // Within 1.15 times of it.
        goals.push((row, Times(1.0 / 1.15, Of("bare"))));
    }
    goals.push(("durable set, 32 threads", Times(2.0, Of("rocksdb"))));
    goals.push(("open after a close, ms", AtMost(20.0, u64::MAX)));
    goals.push(("open after a kill, ms", AtMost(1_000.0, 10_000_000)));
    goals.push(("memory per key, bytes", AtMost(16.0, u64::MAX)));
    goals.push(("index per key, bytes", AtMost(16.0, u64::MAX)));
    goals.push(("disk less two segments per byte of live records, most", AtMost(1.5, u64::MAX)));
    goals.push(("disk less two segments per byte of live records, after a rest", AtMost(1.5, u64::MAX)));
    goals.push(("set while growing, p99.99, µs", AtMost(1_000.0, u64::MAX)));
    goals.push(("set while overwriting, p99.99, µs", AtMost(1_000.0, u64::MAX)));
    goals
}

impl Goal {
    fn says(&self, row: &str) -> String {
        let unit = row.rsplit([' ', ',']).next().unwrap_or_default();
        let unit = if matches!(unit, "ms" | "µs" | "bytes") { format!(" {unit}") } else { String::new() };
        match self {
            AtMost(limit, _) => format!("at most {limit}{unit}"),
            Times(ratio, peer) => {
                let ratio = format!("{:.2}", ratio).trim_end_matches('0').trim_end_matches('.').to_owned();
                match peer {
                    Of(name) => format!("{ratio} × {name}"),
                    In("larder", row) => format!("{ratio} × its own \"{row}\""),
                    In(name, _) => format!("{ratio} × {name}, snapshot held"),
                    Best => format!("{ratio} × the best other store"),
                }
            }
        }
    }

    /// What there is of it, and whether that is enough; `None` if it was not measured.
    fn reached(&self, results: &Results, row: &str, keys: u64) -> Option<(String, bool)> {
        let ours = results.median("larder", row, keys)?;
        let rate = |name: &str| results.median(name, row, keys);
        let (ratio, theirs, note) = match self {
            AtMost(limit, keys_max) => {
                let digits = if ours < 100.0 { 1 } else { 0 };
                return (keys <= *keys_max).then(|| (format!("{ours:.digits$}"), ours <= *limit));
            }
            Times(ratio, Of(name)) => (*ratio, rate(name)?, String::new()),
            Times(ratio, In(name, row)) => (*ratio, results.median(name, row, keys)?, String::new()),
            Times(ratio, Best) => {
                let peers = PERSISTENT_PEERS.into_iter().filter(|name| *name != "candystore");
                let rates = peers.filter_map(|name| rate(name).map(|rate| (name, rate)));
                let (name, best) = rates.max_by(|a, b| a.1.total_cmp(&b.1))?;
                (*ratio, best, format!(" ({name})"))
            }
        };
        Some((format!("{:.2} ×{note}", ours / theirs), ours / theirs >= ratio))
    }
}

/// A table of all goals, a column for each key count at which most of the rows were measured.
pub fn table(out: &mut String, results: &Results) {
    let goals = goals();
    let is_measured = |keys: &u64| goals.iter().any(|(row, goal)| goal.reached(results, row, *keys).is_some());
    let sizes: Vec<_> = results.sizes().into_iter().filter(is_measured).collect();
    let heads: Vec<_> = sizes.iter().map(|keys| format!("{} keys", crate::svg::short(*keys as f64))).collect();
    let _ = write!(out, "| row | goal | {} |\n|---|---|{}\n", heads.join(" | "), "---|".repeat(sizes.len()));
    let (mut reached, mut missed) = (0, 0);
    for (row, goal) in &goals {
        let mut cell = |keys: &u64| match goal.reached(results, row, *keys) {
            Some((what, true)) => {
                reached += 1;
                format!("{what}, reached")
            }
            Some((what, false)) => {
                missed += 1;
                format!("**{what}, not reached**")
            }
            None => "not measured".into(),
        };
        let cells: Vec<_> = sizes.iter().map(&mut cell).collect();
        let _ = writeln!(out, "| {row} | {} | {} |", goal.says(row), cells.join(" | "));
    }
    let _ = write!(out, "\n{reached} reached, {missed} not.\n\n");
}

/// Go's goals, of its own part: what each is, what there is of it, and whether that is enough.
pub fn of_go(part: &Part) -> Vec<(String, String, bool)> {
    let middle = |name: &str, row: &str| {
        median(part.measured.iter().filter(|m| m.engine == name && m.row == row).map(|m| m.value).collect())
    };
    let mut goals = Vec::new();
    let mut count = |row: &str, most: f64| {
        if let Some(value) = middle("larder", row) {
            goals.push((format!("{row}: at most {most}"), format!("{value:.3}"), value < most + 0.01));
        }
    };
    count("GetInto, allocations per call", 0.0);
    count("GetInto, cgo calls per call", 1.0);
    let mut times = |row: &str, peer: &str, peer_row: &str, ratio: f64, whom: String| {
        if let (Some(ours), Some(theirs)) = (middle("larder", row), middle(peer, peer_row)) {
            goals.push((format!("{row}: {ratio} × {whom}"), format!("{:.2} ×", ours / theirs), ours / theirs >= ratio));
        }
    };
    for row in GO_ROWS {
        for (peer, _) in part.engines.iter().filter(|(name, _)| name != "larder") {
            times(row, peer, row, 2.0, peer.clone());
        }
    }
    times("GetMany of 32, keys", "larder", "GetInto", 5.0, "its own GetInto".into());
    goals
}

const GO_ROWS: [&str; 6] =
    ["Set, new keys", "GetInto", "Get", "GetMany of 32, keys", "Set, overwriting", "Batch of 32, keys"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Measured;

    fn results(figures: &[(&str, &str, f64)]) -> Results {
        let measured = figures.iter().map(|(engine, row, value)| Measured {
            engine: (*engine).to_owned(),
            row: (*row).to_owned(),
            keys: 1_000,
            value: *value,
            cpu_ns: None,
        });
        Results {
            parts: vec![Part {
                part: "unsynced".into(),
                keys: 1_000,
                rounds: 1,
                commit: String::new(),
                machine: Vec::new(),
                load: [0.0; 2],
                engines: Vec::new(),
                left_out: Vec::new(),
                measured: measured.collect(),
            }],
        }
    }

    #[test]
    fn a_goal_is_reached_from_its_ratio_on() {
        for (ours, is_reached) in [(799.0, false), (800.0, true)] {
            let results = results(&[("larder", "load", ours), ("lmdb", "load", 100.0)]);
            assert_eq!(Times(8.0, Of("lmdb")).reached(&results, "load", 1_000).map(|(_, yes)| yes), Some(is_reached));
            assert_eq!(Times(8.0, Of("map")).reached(&results, "load", 1_000), None);
        }
    }

    #[test]
    fn goals_of_go_are_counts_and_ratios() {
        let rows =
            [("larder", "GetInto", 1_000.0), ("bbolt", "GetInto", 600.0), ("larder", "GetMany of 32, keys", 5_000.0)];
        let counts = [("larder", "GetInto, allocations per call", 0.0), ("larder", "GetInto, cgo calls per call", 2.0)];
        let mut part = results(&[rows.as_slice(), counts.as_slice()].concat()).parts.remove(0);
        part.engines = vec![("larder".into(), String::new()), ("bbolt".into(), String::new())];
        let reached: Vec<_> = of_go(&part).into_iter().map(|(_, what, is_reached)| (what, is_reached)).collect();
        let expected = [("0.000", true), ("2.000", false), ("1.67 ×", false), ("5.00 ×", true)];
        assert_eq!(reached, expected.map(|(what, is_reached)| (what.to_owned(), is_reached)));
    }

    #[test]
    fn the_best_other_store_is_neither_larder_nor_a_map() {
        let row = "durable set, 8 threads";
        let figures = [("larder", row, 900.0), ("bare", row, 999.0), ("redb", row, 100.0), ("sqlite", row, 300.0)];
        let reached = Times(1.3, Best).reached(&results(&figures), row, 1_000);
        assert_eq!(reached, Some(("3.00 × (sqlite)".into(), true)));
    }

    #[test]
    fn a_limit_holds_up_to_its_key_count() {
        let results = results(&[("larder", "open after a kill, ms", 1_500.0)]);
        let row = "open after a kill, ms";
        assert_eq!(AtMost(1_000.0, 10_000).reached(&results, row, 1_000), Some(("1500".into(), false)));
        assert_eq!(AtMost(1_000.0, 10).reached(&results, row, 1_000), None);
    }
}
