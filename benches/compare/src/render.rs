//! From results to a document: the goals, tables of medians with ratios, and drawings beside it.

use crate::results::{Part, Results, is_cost, median};
use crate::svg::{self, Lines, short};
use crate::work::SHARES;
use crate::{engine, goals, run};
use std::fmt::Write;
use std::path::Path;

/// Writes the document, and its drawings into the directory of its name.
pub fn write(results: &Results, document: &Path) {
    let drawings = document.with_extension("");
    std::fs::create_dir_all(&drawings).unwrap();
    let place = drawings.file_name().unwrap().to_str().unwrap();
    let save = |out: &mut String, name: &str, title: &str, drawing: String| {
        std::fs::write(drawings.join(name), drawing).unwrap();
        let _ = write!(out, "![{title}]({place}/{name})\n\n");
    };
    let mut out = String::new();
    head(&mut out, results);
    out.push_str(include_str!("../notes.md"));
    out.push_str("\n## Goals\n\nA goal counts in each cell by itself; ratios are of medians of one run.\n\n");
    goals::table(&mut out, results);
    for keys in results.sizes() {
        table(&mut out, results, keys);
        cpu_table(&mut out, results, keys);
        for (name, against, peers) in [
            ("stores", "the best other store", engine::PERSISTENT_PEERS.as_slice()),
            ("map", "the hash map in memory with the fast hasher", &["map"]),
        ] {
            let bars = bars(results, keys, peers);
            if bars.len() > 3 {
                let title = format!("Larder against {against}, {} keys", short(keys as f64));
                save(&mut out, &format!("ratios-{name}-{keys}.svg"), &title, svg::ratio_bars(&title, &bars));
            }
        }
    }
    out.push_str("## Drawings\n\n");
    for (name, drawing) in drawings_of(results) {
        save(&mut out, &name, drawing.title, drawing.draw());
    }
    go(&mut out, results);
    settings(&mut out, results);
    std::fs::write(document, out).unwrap_or_else(|error| panic!("{}: {error}", document.display()));
}

fn head(out: &mut String, results: &Results) {
    let first = &results.parts[0];
    let _ = write!(
        out,
        "# Benchmarks\n\nWritten by `make bench-compare`; `make bench-compare-render` renders it again from what was measured, the JSON files\n\
         beside the drawings. Keys are 16 hashed bytes, values 100 bytes that are copied out, nothing is synced but where a row says\n\
         so, and all data is in the page cache. Each engine runs in processes of its own, in turn with the others; figures are medians\n\
         of the rounds, rates in thousands a second unless a row has a unit. Larder is called through its C ABI.\n\n\
         Machine: {}. It is a virtual one and noisy: read the ratios, which are of one run.\n\n",
        first.machine.join("; ")
    );
}

/// Versions and settings, and what each file was measured from.
fn settings(out: &mut String, results: &Results) {
    out.push_str("## Engines and settings\n\n");
    let mut seen = Vec::new();
    for (name, about) in results.parts.iter().flat_map(|part| &part.engines) {
        if !seen.contains(&(name, about)) {
            seen.push((name, about));
            let _ = writeln!(out, "- **{name}**: {about}");
        }
    }
    out.push_str("\n## Runs\n\n| part | keys | rounds | Larder's commit | load of the machine, before and after |\n|---|---:|---:|---|---|\n");
    for Part { part, keys, rounds, commit, load, .. } in &results.parts {
        let _ = writeln!(out, "| {part} | {keys} | {rounds} | {commit} | {:.1}, {:.1} |", load[0], load[1]);
    }
    out.push_str("\nA load above 1 before a run is other work on the machine; durable rows with 64 threads raise it themselves.\n");
    let left_out: Vec<_> = results.parts.iter().flat_map(|part| &part.left_out).collect();
    if !left_out.is_empty() {
        out.push_str("\nLeft out:\n\n");
        left_out.iter().for_each(|what| {
            let _ = writeln!(out, "- {what}");
        });
    }
}

fn figure(row: &str, value: f64) -> String {
    match value {
        v if is_cost(row) && v >= 100.0 => format!("{v:.0}"),
        v if is_cost(row) && v < 10.0 => format!("{v:.2}"),
        v if is_cost(row) => format!("{v:.1}"),
        v if v >= 100_000.0 => format!("{:.0}", v / 1e3),
        v => format!("{:.1}", v / 1e3),
    }
}

/// How many times better the first is than the second.
fn better(row: &str, ours: f64, theirs: f64) -> f64 {
    if is_cost(row) { theirs / ours } else { ours / theirs }
}

fn table(out: &mut String, results: &Results, keys: u64) {
    let names = results.names();
    let has_any = |name: &&str| results.rows(keys).iter().any(|row| results.median(name, row, keys).is_some());
    let names: Vec<_> = names.into_iter().filter(has_any).collect();
    let _ = write!(
        out,
        "## {} keys\n\nIn brackets, how many times better Larder is.\n\n| | {} |\n|---|{}\n",
        thousands(keys),
        names.join(" | "),
        "---:|".repeat(names.len())
    );
    for row in results.rows(keys) {
        let ours = results.median("larder", row, keys);
        let cell = |name: &&str| match (results.median(name, row, keys), ours) {
            (None, _) => String::new(),
            (Some(value), _) if *name == "larder" => format!("**{}**", figure(row, value)),
            (Some(value), Some(ours)) => match better(row, ours, value) {
                ratio if ratio.is_finite() && ratio > 0.0 => format!("{} ({ratio:.2})", figure(row, value)),
                _ => figure(row, value),
            },
            (Some(value), None) => figure(row, value),
        };
        let _ = writeln!(out, "| {row} | {} |", names.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
    out.push('\n');
}

/// What other programs on the machine disturb least.
fn cpu_table(out: &mut String, results: &Results, keys: u64) {
    let has_any = |name: &&str| results.rows(keys).iter().any(|row| results.median_cpu_ns(name, row, keys).is_some());
    let names: Vec<_> = results.names().into_iter().filter(has_any).collect();
    if names.is_empty() {
        return;
    }
    let _ = write!(
        out,
        "Processor time for one operation, ns, in all threads of the process and in the kernel; in brackets, how many times less Larder takes.\n\n\
         | | {} |\n|---|{}\n",
        names.join(" | "),
        "---:|".repeat(names.len())
    );
    for row in results.rows(keys) {
        let Some(ours) = results.median_cpu_ns("larder", row, keys) else { continue };
        let cell = |name: &&str| match results.median_cpu_ns(name, row, keys) {
            None => String::new(),
            Some(ns) if *name == "larder" => format!("**{ns:.0}**"),
            Some(ns) => format!("{ns:.0} ({:.2})", ns / ours),
        };
        let _ = writeln!(out, "| {row} | {} |", names.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
    out.push('\n');
}

fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group)).collect();
    groups.join(",")
}

/// Larder against the best of some others, row by row.
fn bars(results: &Results, keys: u64, peers: &[&str]) -> Vec<(String, f64)> {
    let bar = |row: &&str| {
        let ours = results.median("larder", row, keys)?;
        let all = peers.iter().filter_map(|name| results.median(name, row, keys));
        let best = if is_cost(row) { all.min_by(f64::total_cmp)? } else { all.max_by(f64::total_cmp)? };
        let ratio = better(row, ours, best);
        (ratio.is_finite() && ratio > 0.0).then(|| ((*row).to_owned(), ratio))
    };
    results.rows(keys).iter().filter_map(bar).collect()
}

fn drawings_of(results: &Results) -> Vec<(String, Lines<'static>)> {
    let sizes = results.sizes();
    let names = results.names();
    let mut drawings = Vec::new();
    let mut add = |name: String, lines: Lines<'static>| {
        let count = |(_, values): &(String, Vec<Option<f64>>)| values.iter().flatten().count();
        if lines.x.len() > 1 && lines.series.iter().any(|series| count(series) > 1) {
            let series = lines.series.into_iter().filter(|series| count(series) > 0).collect();
            drawings.push((name, Lines { series, ..lines }));
        }
    };
    let series = |value: &dyn Fn(&str) -> Vec<Option<f64>>| {
        names.iter().map(|name| ((*name).to_owned(), value(name))).collect::<Vec<_>>()
    };
    /// The largest size that has the row.
    fn with_row(results: &Results, row: &str) -> u64 {
        let has = |keys: &u64| results.median("larder", row, *keys).is_some();
        results.sizes().into_iter().rev().find(has).unwrap_or_default()
    }

    let threads = run::DURABLE_THREADS;
    let durable = |threads: u64| format!("durable set, {threads} thread{}", if threads == 1 { "" } else { "s" });
    let keys = with_row(results, &durable(1));
    add(
        "durable.svg".into(),
        Lines {
            title: "Durable sets a second, by threads",
            x_label: "threads",
            y_label: "sets a second",
            x: threads.iter().map(u64::to_string).collect(),
            series: series(&|name| threads.iter().map(|t| results.median(name, &durable(*t), keys)).collect()),
            is_log: true,
        },
    );
    let phases = [
        ("growing", "Latency of a set while the store grows"),
        ("overwriting", "Latency of a set while all is overwritten and compaction runs"),
    ];
    for (phase, title) in phases {
        let row = |share: &str| format!("set while {phase}, {share}, µs");
        let keys = with_row(results, &row("p50"));
        add(
            format!("latency-{phase}.svg"),
            Lines {
                title,
                x_label: "share of all sets that are at least as fast",
                y_label: "µs",
                x: SHARES.iter().map(|(name, _)| (*name).to_owned()).collect(),
                series: series(&|name| {
                    SHARES.iter().map(|(share, _)| results.median(name, &row(share), keys)).collect()
                }),
                is_log: true,
            },
        );
    }
    for (row, name, title) in [
        ("get, uniform, 1 thread", "growth-get.svg", "Cost of a get as the store grows"),
        ("load", "growth-load.svg", "Cost of a set of a new key as the store grows"),
        ("overwrite", "growth-overwrite.svg", "Cost of an overwrite as the store grows"),
    ] {
        let cost = |engine: &str, keys: &u64| results.median(engine, row, *keys).map(|rate| 1e9 / rate);
        add(
            name.into(),
            Lines {
                title,
                x_label: "keys",
                y_label: "ns",
                x: sizes.iter().map(|keys| short(*keys as f64)).collect(),
                series: series(&|engine| sizes.iter().map(|keys| cost(engine, keys)).collect()),
                is_log: true,
            },
        );
    }
    drawings
}

/// The Go binding beside Go's stores, from its own program.
fn go(out: &mut String, results: &Results) {
    for part in results.parts.iter().filter(|part| part.part == "go") {
        let names: Vec<&str> = part.engines.iter().map(|(name, _)| name.as_str()).collect();
        let _ = write!(
            out,
            "## Go, {} keys\n\nThe binding of `bindings/go` beside Go's own stores, `make bench-compare-go`. In brackets, how many times better Larder is.\n\n| | {} |\n|---|{}\n",
            thousands(part.keys),
            names.join(" | "),
            "---:|".repeat(names.len())
        );
        let mut rows: Vec<&str> = Vec::new();
        for measured in &part.measured {
            if !rows.contains(&measured.row.as_str()) {
                rows.push(&measured.row);
            }
        }
        let middle = |name: &str, row: &str| {
            median(part.measured.iter().filter(|m| m.engine == name && m.row == row).map(|m| m.value).collect())
        };
        for row in rows {
            let ours = middle("larder", row);
            let cell = |name: &&str| match (middle(name, row), ours) {
                (None, _) => String::new(),
                (Some(value), Some(ours))
                    if *name != "larder" && !row.ends_with("per call") && ours > 0.0 && value > 0.0 =>
                {
                    format!("{} ({:.2})", figure(row, value), better(row, ours, value))
                }
                (Some(value), _) => format!("**{}**", figure(row, value)),
            };
            let _ = writeln!(out, "| {row} | {} |", names.iter().map(cell).collect::<Vec<_>>().join(" | "));
        }
        out.push_str("\n| goal | reached? |\n|---|---|\n");
        for (goal, what, is_reached) in goals::of_go(part) {
            let what = if is_reached { format!("{what}, reached") } else { format!("**{what}, not reached**") };
            let _ = writeln!(out, "| {goal} | {what} |");
        }
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([1, 999, 1_000, 10_000_000].map(thousands), ["1", "999", "1,000", "10,000,000"]);
    }

    #[test]
    fn less_is_better_where_a_row_is_a_cost() {
        assert_eq!(better("open after a kill, ms", 10.0, 30.0), 3.0);
        assert_eq!(better("load", 10.0, 30.0), 1.0 / 3.0);
    }
}
