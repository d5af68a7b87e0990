//! What was measured: one file for each part and key count, and medians over all of them.
//!
//! All figures of a file come from one run, in which the engines took turns, so its ratios hold. A new run of a part
//! writes its file anew.

use crate::engine;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What one row of one round came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    pub engine: String,
    pub row: String,
    pub keys: u64,
    /// Operations a second for rates; else the row's own unit.
    pub value: f64,
    /// For rates: time of processors for one operation, an engine's own threads included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ns: Option<f64>,
}

/// One part at one key count.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    pub part: String,
    pub keys: u64,
    pub rounds: u64,
    /// The commit that Larder was built from.
    pub commit: String,
    pub machine: Vec<String>,
    /// The machine's load, averaged over a minute, before the first child and after the last: 1 is one busy thread.
    pub load: [f64; 2],
    /// Name, version and settings.
    pub engines: Vec<(String, String)>,
    /// What was asked for and not measured, and why.
    pub left_out: Vec<String>,
    pub measured: Vec<Measured>,
}

impl Part {
    pub fn path(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{}-{}.json", self.part, self.keys))
    }

    pub fn save(&self, directory: &Path) {
        std::fs::create_dir_all(directory).unwrap();
        let text = serde_json::to_string_pretty(self).unwrap() + "\n";
        std::fs::write(self.path(directory), text).unwrap();
    }
}

/// Everything that a document is made of.
pub struct Results {
    pub parts: Vec<Part>,
}

impl Results {
    /// All files of a directory, ordered by key count and as parts are run.
    pub fn load(directory: &Path) -> Self {
        let entries = std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let paths = entries.flatten().map(|entry| entry.path());
        // What is not named as `path` names a part is another benchmark's (the server's).
        let has_keys = |stem: &str| stem.rsplit_once('-').is_some_and(|(_, keys)| keys.parse::<u64>().is_ok());
        let is_json = |path: &PathBuf| {
            path.extension().is_some_and(|extension| extension == "json")
                && path.file_stem().and_then(|stem| stem.to_str()).is_some_and(has_keys)
        };
        let mut parts: Vec<Part> = paths
            .filter(is_json)
            .map(|path| {
                let text = std::fs::read_to_string(&path).unwrap();
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            })
            .collect();
        let order = |part: &Part| crate::PARTS.iter().position(|name| *name == part.part).unwrap_or(crate::PARTS.len());
        parts.sort_by_key(|part| (part.keys, order(part)));
        assert!(!parts.is_empty(), "{} has no results", directory.display());
        Self { parts }
    }

    /// The parts of the Rust program; Go's are a table of their own.
    pub fn own(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.part != "go")
    }

    pub fn median(&self, engine: &str, row: &str, keys: u64) -> Option<f64> {
        median(self.all(engine, row, keys).map(|m| m.value).collect())
    }

    pub fn median_cpu_ns(&self, engine: &str, row: &str, keys: u64) -> Option<f64> {
        median(self.all(engine, row, keys).filter_map(|m| m.cpu_ns).collect())
    }

    fn all(&self, engine: &str, row: &str, keys: u64) -> impl Iterator<Item = &Measured> {
        let all = self.own().filter(move |part| part.keys == keys).flat_map(|part| &part.measured);
        all.filter(move |m| m.engine == engine && m.row == row)
    }

    pub fn sizes(&self) -> Vec<u64> {
        let mut sizes: Vec<_> = self.own().map(|part| part.keys).collect();
        sizes.dedup();
        sizes
    }

    /// All rows, in the order in which they were first measured.
    pub fn rows(&self, keys: u64) -> Vec<&str> {
        let mut rows: Vec<&str> = Vec::new();
        for measured in self.own().filter(|part| part.keys == keys).flat_map(|part| &part.measured) {
            if !rows.contains(&measured.row.as_str()) {
                rows.push(&measured.row);
            }
        }
        rows
    }

    /// Names of all engines that have a figure, in the program's order.
    pub fn names(&self) -> Vec<&'static str> {
        let has = |name: &&str| self.own().any(|part| part.measured.iter().any(|m| m.engine == **name));
        engine::NAMES.into_iter().filter(has).collect()
    }
}

pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        len if len % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

/// Rows in which less is better; all others are rates.
pub fn is_cost(row: &str) -> bool {
    row.ends_with("µs") || row.ends_with("ms") || row.ends_with('%') || row.contains("per ")
}

/// Processors, caches, memory and kernel.
pub fn machine() -> Vec<String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map(|rest| rest.trim_start_matches([' ', '\t', ':'])).unwrap_or_default();
    let processors = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let cache = read("/sys/devices/system/cpu/cpu0/cache/index3/size");
    let memory = read("/proc/meminfo").lines().next().unwrap_or_default().to_owned();
    vec![
        format!("{processors} × {model}, L3 cache {}", cache.trim()),
        memory.split_whitespace().collect::<Vec<_>>().join(" "),
        read("/proc/version").split_whitespace().take(3).collect::<Vec<_>>().join(" "),
    ]
}

pub fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_or_between_the_two() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    #[test]
    fn rates_and_costs_are_told_apart() {
        for cost in ["open after a kill, ms", "set while growing, p99, µs", "memory per key, bytes"] {
            assert!(is_cost(cost), "{cost}");
        }
        for rate in ["load", "get, 32 a call", "durable set, 1 thread", "view of 100 bytes beside"] {
            assert!(!is_cost(rate), "{rate}");
        }
    }
}
