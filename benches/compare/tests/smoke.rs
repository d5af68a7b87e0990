//! The whole comparison in miniature: every part of every engine that is here, ten thousand keys, less than a minute.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("stores")).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// Runs the program with the stores and results in here.
    fn compare(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_larder-compare"));
        command.args(arguments).args(["--directory", &self.path("stores"), "--results", &self.path("results")]);
        command.output().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A row of the first table of the key count.
fn row<'a>(document: &'a str, name: &str) -> &'a str {
    let begin = format!("| {name} | ");
    let tables = document.split_once("## 10,000 keys").unwrap().1;
    tables.lines().find(|line| line.starts_with(&begin)).unwrap_or_else(|| panic!("no row {name}"))
}

#[test]
fn every_part_of_every_engine_is_measured_and_rendered() {
    let scratch = Scratch::new("smoke");
    let output = scratch.compare(&["--keys", "10000", "--rounds", "1", "--seconds", "0.1"]);
    let said = text(&output);
    // A library that is missing here leaves its engine out, and the program then fails and says so.
    let is_whole = !said.contains("LEFT OUT");
    assert_eq!(output.status.success(), is_whole, "{said}");
    assert!(
        said.lines().filter(|line| line.starts_with("LEFT OUT")).all(|line| line.contains("apt-get install")),
        "{said}"
    );
    assert_eq!(std::fs::read_dir(scratch.path("stores")).unwrap().count(), 0, "stores are left behind");

    let render = Command::new(env!("CARGO_BIN_EXE_larder-compare"))
        .args(["render", &scratch.path("results"), &scratch.path("results.md")])
        .output()
        .unwrap();
    assert!(render.status.success(), "{}", text(&render));
    let document = std::fs::read_to_string(scratch.path("results.md")).unwrap();
    let head = document.lines().find(|line| line.starts_with("| | larder | ")).unwrap();
    let figures = |line: &str| {
        line.split('|')
            .filter(|cell| cell.trim().starts_with(['*', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']))
            .count()
    };
    let engines = head.split('|').filter(|cell| !cell.trim().is_empty()).count();
    assert!(engines >= 7, "{head}");
    // All but the bare machine have these, all that keep anything those.
    for name in ["load", "get, uniform, 2 threads", "get, zipf 0.99, 1 thread", "get, miss", "get, 32 a call", "delete"]
    {
        assert_eq!(figures(row(&document, name)), engines - 1, "{name}\n{document}");
    }
    for name in ["disk per live byte, after overwrites and a rest", "open after a close, ms"] {
        assert_eq!(figures(row(&document, name)), engines - 3, "{name}\n{document}");
    }
    assert_eq!(figures(row(&document, "durable set, 64 threads")), engines - 3, "{document}");
    assert_eq!(figures(row(&document, "set of 64 KiB")), engines, "{document}");
    assert!(row(&document, "open after a kill, keys lost, %").contains("| **0.00** |"), "{document}");
    assert!(document.contains("| load | 8 × lmdb |") && document.contains(" reached, "), "{document}");
    for drawing in ["durable", "latency-growing", "latency-overwriting", "ratios-stores-10000", "ratios-map-10000"] {
        let svg = std::fs::read_to_string(scratch.path(&format!("results/{drawing}.svg"))).unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"));
    }
}

#[test]
fn a_child_that_fails_is_named_and_the_others_are_measured() {
    let scratch = Scratch::new("failure");
    // No file may be longer than some kilobytes: Larder cannot have its first segment, and a map needs no file.
    let output = Command::new("sh")
        .args(["-c", "ulimit -f 32 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_larder-compare")])
        .args(["--keys", "1000", "--rounds", "1", "--seconds", "0.1", "--only", "unsynced", "--engines", "larder,map"])
        .args(["--directory", &scratch.path("stores"), "--results", &scratch.path("results")])
        .output()
        .unwrap();
    let said = text(&output);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("LEFT OUT: unsynced at 1000 keys, round 1: larder: unsynced ended with"), "{said}");
    let results = std::fs::read_to_string(scratch.path("results/unsynced-1000.json")).unwrap();
    assert!(results.contains("larder: unsynced ended with") && results.contains("\"engine\": \"map\""), "{results}");
}
