//! From results to a document: tables of medians with ratios, the goals, and drawings beside it.

use crate::Results;
use crate::svg::{self, Lines, short};
use std::fmt::Write;
use std::path::Path;

/// A goal: in this row, at least so many times the rate of that engine in that row.
struct Goal {
    row: &'static str,
    peer: &'static str,
    peer_row: &'static str,
    ratio: f64,
}

const fn goal(row: &'static str, peer: &'static str, ratio: f64) -> Goal {
    Goal { row, peer, peer_row: row, ratio }
}

const GOALS: [Goal; 34] = [
    goal("get, uniform, 1 thread", "lmdb", 3.5),
    goal("get, uniform, 2 threads", "lmdb", 3.5),
    goal("get, zipf 0.99, 1 thread", "lmdb", 3.5),
    goal("get, zipf 0.99, 2 threads", "lmdb", 3.5),
    Goal { row: "get, uniform, 1 thread", peer: "lmdb", peer_row: "get, uniform, snapshot held", ratio: 2.5 },
    goal("get, uniform, 1 thread", "map", 1.3),
    goal("get, uniform, 2 threads", "map", 1.3),
    goal("get, zipf 0.99, 1 thread", "map", 1.3),
    goal("get, zipf 0.99, 2 threads", "map", 1.3),
    goal("get, miss", "lmdb", 8.0),
    goal("get, miss", "map", 1.0),
    goal("get, 32 a call", "lmdb", 12.0),
    goal("get, 32 a call", "map", 4.0),
    goal("load", "lmdb", 8.0),
    goal("load", "map", 2.0),
    goal("overwrite", "lmdb", 8.0),
    goal("overwrite", "map", 0.8),
    goal("mixed 50/50, 1 thread", "lmdb", 8.0),
    goal("mixed 50/50, 1 thread", "map", 0.8),
    goal("mixed 50/50, 2 threads", "lmdb", 8.0),
    goal("mixed 50/50, 2 threads", "map", 0.8),
    goal("delete", "lmdb", 8.0),
    goal("delete", "map", 0.8),
    goal("set of 64 KiB", "lmdb", 4.0),
    goal("durable set, 1 thread", "lmdb", 1.3),
    goal("durable set, 1 thread", "rocksdb", 1.3),
    goal("durable set, 1 thread", "sqlite", 1.3),
    goal("durable set, 1 thread", "fjall", 1.3),
    goal("durable set, 1 thread", "redb", 1.3),
    goal("durable set, 8 threads", "rocksdb", 1.3),
    goal("durable set, 8 threads", "fjall", 1.3),
    goal("durable set, 8 threads", "redb", 1.3),
    goal("durable set, 32 threads", "rocksdb", 2.0),
    goal("durable set, 32 threads", "fjall", 1.3),
];

/// Limits that are not ratios: the row's value may not be more.
const LIMITS: [(&str, f64, &str); 5] = [
    ("open after a close, ms", 20.0, "20 ms at any size"),
    ("open after a kill, ms", 1_000.0, "1 s at 10 million keys"),
    ("index per key, bytes", 16.0, "16 bytes"),
    ("set while growing, p99.99, µs", 1_000.0, "1 ms"),
    ("set while overwriting, p99.99, µs", 1_000.0, "1 ms"),
];

/// Whether less is better, and the value is printed as it is.
fn is_cost(row: &str) -> bool {
    row.contains("bytes") || row.contains(", ms") || row.contains("µs") || row.contains("per live byte")
}

impl Results {
    fn median(&self, engine: &str, row: &str, keys: u64) -> Option<f64> {
        let matches = |m: &&crate::work::Measured| m.engine == engine && m.row == row && m.keys == keys;
        let mut values: Vec<_> = self.measured.iter().filter(matches).map(|m| m.value).collect();
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then(|| values[values.len() / 2])
    }

    fn sizes(&self) -> Vec<u64> {
        let mut sizes: Vec<_> = self.measured.iter().map(|m| m.keys).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    /// All rows, in the order in which they were first measured.
    fn rows(&self, keys: u64) -> Vec<&str> {
        let mut rows: Vec<&str> = Vec::new();
        for measured in self.measured.iter().filter(|m| m.keys == keys) {
            if !rows.contains(&measured.row.as_str()) {
                rows.push(&measured.row);
            }
        }
        rows
    }

    fn names(&self) -> Vec<&str> {
        self.engines.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// Writes the document, and its drawings into a directory of its name.
pub fn write(results: &Results, document: &Path) {
    let drawings = document.with_extension("");
    std::fs::create_dir_all(&drawings).unwrap();
    let place = drawings.file_name().unwrap().to_str().unwrap();
    let mut out = String::new();
    head(&mut out, results);
    for keys in results.sizes() {
        table(&mut out, results, keys);
        let bars = bars(results, keys);
        if bars.len() > 3 {
            let name = format!("ratios-{keys}.svg");
            std::fs::write(drawings.join(&name), svg::ratio_bars(&format!("Larder against the best other engine that keeps what it is given, {} keys", short(keys as f64)), &bars)).unwrap();
            let _ = write!(out, "![Ratios]({place}/{name})\n\n");
        }
        goals(&mut out, results, keys);
    }
    for (name, drawing) in drawings_of(results) {
        std::fs::write(drawings.join(&name), drawing.draw()).unwrap();
        let _ = write!(out, "![{}]({place}/{name})\n\n", drawing.title);
    }
    out.push_str(include_str!("../notes.md"));
    std::fs::write(document, out).unwrap_or_else(|error| panic!("{}: {error}", document.display()));
}

fn head(out: &mut String, results: &Results) {
    let _ = write!(
        out,
        "# Benchmarks\n\nWritten by `make bench-compare`; `make bench-compare-render` renders it again from what was measured. Keys are 16 hashed bytes, values 100\n\
         bytes that are copied out. Each engine runs in processes of its own, in turn with the others, {} round{}; figures are medians, rates in thousands\n\
         a second unless a row says otherwise. The machine is a virtual one and noisy: read the ratios, which are of the same run.\n\nMachine: {}.\n\n",
        results.rounds, if results.rounds == 1 { "" } else { "s" }, results.machine.join("; ")
    );
    for (name, about) in &results.engines {
        let _ = writeln!(out, "- **{name}**: {about}");
    }
    out.push('\n');
}

fn figure(row: &str, value: f64) -> String {
    match value {
        v if is_cost(row) && v >= 100.0 => format!("{v:.0}"),
        v if is_cost(row) => format!("{v:.1}"),
        v if v >= 100_000.0 => format!("{:.0}", v / 1e3),
        v => format!("{:.1}", v / 1e3),
    }
}

fn table(out: &mut String, results: &Results, keys: u64) {
    let names = results.names();
    let _ = write!(out, "## {keys} keys\n\n| | {} |\n|---|{}\n", names.join(" | "), "---:|".repeat(names.len()));
    for row in results.rows(keys) {
        let ours = results.median("larder", row, keys);
        let cells: Vec<_> = names
            .iter()
            .map(|name| match (results.median(name, row, keys), ours) {
                (None, _) => String::new(),
                (Some(value), _) if *name == "larder" => format!("**{}**", figure(row, value)),
                (Some(value), Some(ours)) => {
                    let ratio = if is_cost(row) { value / ours } else { ours / value };
                    format!("{} ({ratio:.2}×)", figure(row, value))
                }
                (Some(value), None) => figure(row, value),
            })
            .collect();
        let _ = writeln!(out, "| {row} | {} |", cells.join(" | "));
    }
    out.push_str("\nIn brackets, how many times better Larder is.\n\n");
}

/// Larder against the best other engine that is persistent, row by row.
fn bars(results: &Results, keys: u64) -> Vec<(String, f64)> {
    let others: Vec<_> = results.names().into_iter().filter(|name| *name != "larder" && *name != "map").collect();
    let bar = |row: &&str| {
        let ours = results.median("larder", row, keys)?;
        let all = others.iter().filter_map(|name| results.median(name, row, keys));
        let best = if is_cost(row) { all.min_by(f64::total_cmp)? } else { all.max_by(f64::total_cmp)? };
        let ratio = if is_cost(row) { best / ours } else { ours / best };
        (ours > 0.0 && ratio > 0.0).then(|| ((*row).to_owned(), ratio))
    };
    results.rows(keys).iter().filter_map(bar).collect()
}

fn goals(out: &mut String, results: &Results, keys: u64) {
    let mut lines = Vec::new();
    for Goal { row, peer, peer_row, ratio } in GOALS {
        if let (Some(ours), Some(theirs)) = (results.median("larder", row, keys), results.median(peer, peer_row, keys)) {
            let reached = ours / theirs;
            let verdict = if reached >= ratio { "reached" } else { "**missed**" };
            let against = if peer_row == row { peer.to_owned() } else { format!("{peer}, {peer_row}") };
            lines.push(format!("| {row} | {ratio} × {against} | {reached:.2} × | {verdict} |"));
        }
    }
    for (row, limit, says) in LIMITS {
        if let Some(ours) = results.median("larder", row, keys) {
            let verdict = if ours <= limit { "reached" } else { "**missed**" };
            lines.push(format!("| {row} | at most {says} | {ours:.1} | {verdict} |"));
        }
    }
    if !lines.is_empty() {
        let _ = write!(out, "Goals at {keys} keys:\n\n| row | goal | reached | |\n|---|---|---:|---|\n{}\n\n", lines.join("\n"));
    }
}

fn drawings_of(results: &Results) -> Vec<(String, Lines<'static>)> {
    let sizes = results.sizes();
    let Some(&largest) = sizes.last() else { return Vec::new() };
    let names = results.names();
    let mut drawings = Vec::new();
    let mut add = |name: String, lines: Lines<'static>| {
        let count = |(_, values): &(String, Vec<Option<f64>>)| values.iter().flatten().count();
        if lines.x.len() > 1 && lines.series.iter().any(|series| count(series) > 1) {
            drawings.push((name, Lines { series: lines.series.into_iter().filter(|s| count(s) > 0).collect(), ..lines }));
        }
    };
    let series = |value: &dyn Fn(&str) -> Vec<Option<f64>>| names.iter().map(|name| ((*name).to_owned(), value(name))).collect();

    let threads = [1, 8, 32, 64];
    let durable = |threads: u64| format!("durable set, {threads} thread{}", if threads == 1 { "" } else { "s" });
    add("durable.svg".into(), Lines {
        title: "Durable sets a second, by threads",
        x_label: "threads",
        y_label: "sets a second",
        x: threads.iter().map(u64::to_string).collect(),
        series: series(&|name| {
            let at = |t: &u64| sizes.iter().find_map(|keys| results.median(name, &durable(*t), *keys));
            threads.iter().map(at).collect()
        }),
        is_log: true,
    });
    let shares = ["p50", "p99", "p99.9", "p99.99", "max"];
    for (phase, title) in [("growing", "Latency of a set while the store grows"), ("overwriting", "Latency of a set while all is overwritten")] {
        add(format!("latency-{phase}.svg"), Lines {
            title,
            x_label: "share of all sets",
            y_label: "µs",
            x: shares.iter().map(|share| (*share).to_owned()).collect(),
            series: series(&|name| {
                shares.iter().map(|share| results.median(name, &format!("set while {phase}, {share}, µs"), largest)).collect()
            }),
            is_log: true,
        });
    }
    for (row, name, title) in [
        ("get, uniform, 1 thread", "growth-get.svg", "Cost of a get as the store grows"),
        ("load", "growth-load.svg", "Cost of a set of a new key as the store grows"),
        ("overwrite", "growth-overwrite.svg", "Cost of an overwrite as the store grows"),
    ] {
        if sizes.len() < 3 {
            break;
        }
        add(name.into(), Lines {
            title,
            x_label: "keys",
            y_label: "ns",
            x: sizes.iter().map(|keys| short(*keys as f64)).collect(),
            series: series(&|engine| sizes.iter().map(|keys| results.median(engine, row, *keys).map(|rate| 1e9 / rate)).collect()),
            is_log: true,
        });
    }
    drawings
}
