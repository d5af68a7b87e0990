//! Larder beside its peers: `make bench-compare` in the repository's root, or `larder-compare --help`.
//!
//! The parent runs each engine in child processes, one engine after the other and round after round, so that a machine
//! whose speed drifts drifts for all of them; it keeps medians. Results go to a JSON file, and from there to
//! docs/benchmarks.md with its drawings (`render`).

mod engine;
mod latency;
mod render;
mod svg;
mod work;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use work::{Child, Measured};

const HELP: &str = "larder-compare [--keys N,N,…] [--rounds N] [--engines A,B,…] [--only PART,…] [--directory D] [--out FILE]
larder-compare render FILE DOCUMENT
parts: unsynced large durable open latency
A directory on the disk to be measured, not on tmpfs. Ten million keys take up to 12 GB and half an hour a round.";

const PARTS: [&str; 5] = ["unsynced", "large", "durable", "open", "latency"];
const DURABLE_THREADS: [u64; 4] = [1, 8, 32, 64];
const DURABLE_SECONDS: f64 = 3.0;
/// No child takes longer.
const CHILD_TIME_MAX: Duration = Duration::from_secs(900);

/// What was measured, and with what.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct Results {
    pub machine: Vec<String>,
    pub engines: Vec<(String, String)>,
    pub rounds: u64,
    pub measured: Vec<Measured>,
}

struct Plan {
    keys: Vec<u64>,
    rounds: u64,
    engines: Vec<String>,
    parts: Vec<String>,
    directory: PathBuf,
    out: PathBuf,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("child") => child(&arguments[1..]),
        Some("render") if arguments.len() == 3 => {
            let results = std::fs::read_to_string(&arguments[1]).unwrap_or_else(|error| panic!("{}: {error}", arguments[1]));
            render::write(&serde_json::from_str(&results).unwrap(), Path::new(&arguments[2]));
        }
        Some("--help" | "render") => println!("{HELP}"),
        _ => match plan(&arguments) {
            Ok(plan) => run(&plan),
            Err(what) => {
                eprintln!("{what}\n{HELP}");
                std::process::exit(2);
            }
        },
    }
}

fn plan(arguments: &[String]) -> Result<Plan, String> {
    let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut plan = Plan {
        keys: vec![1_000_000],
        rounds: 3,
        engines: names(&engine::NAMES),
        parts: names(&PARTS),
        directory: std::env::temp_dir(),
        out: PathBuf::from("benchmarks.json"),
    };
    let known = |value: &str, all: &[&str]| -> Result<Vec<String>, String> {
        let chosen: Vec<_> = value.split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        match chosen.iter().find(|name| !all.contains(&name.as_str())) {
            Some(name) => Err(format!("{name} is not one of {}", all.join(", "))),
            None => Ok(chosen),
        }
    };
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return Err(format!("{} needs a value", pair[0])) };
        let number = |value: &str| value.replace('_', "").parse::<u64>().map_err(|error| format!("{name} {value}: {error}"));
        match name.as_str() {
            "--keys" => plan.keys = value.split([',', ' ']).filter(|n| !n.is_empty()).map(number).collect::<Result<_, _>>()?,
            "--rounds" => plan.rounds = number(value)?.max(1),
            "--engines" => plan.engines = known(value, &engine::NAMES)?,
            "--only" => plan.parts = known(value, &PARTS)?,
            "--directory" => plan.directory = PathBuf::from(value),
            "--out" => plan.out = PathBuf::from(value),
            other => return Err(format!("{other} is no option")),
        }
    }
    Ok(plan)
}

/// A directory that is gone when this is.
struct Scratch(PathBuf);

impl Scratch {
    fn new(parent: &Path) -> Self {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let n = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = parent.join(format!("larder-compare-{}-{n}", std::process::id()));
        std::fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(plan: &Plan) {
    let begin = Instant::now();
    let mut measured = Vec::new();
    let steps = plan.keys.len() as u64 * plan.rounds * plan.parts.len() as u64 * plan.engines.len() as u64;
    let mut step = 0;
    for &keys in &plan.keys {
        for round in 0..plan.rounds {
            for part in &plan.parts {
                for engine in &plan.engines {
                    step += 1;
                    let elapsed = begin.elapsed().as_secs();
                    eprintln!("[{elapsed:5} s] {step}/{steps}: {engine}, {part}, {keys} keys, round {}", round + 1);
                    run_part(plan, engine, part, keys, round, &mut measured);
                    save(plan, &measured);
                }
            }
        }
    }
    eprintln!("{} rows in {}", measured.len(), plan.out.display());
}

fn save(plan: &Plan, measured: &[Measured]) {
    let results = Results {
        machine: machine(),
        engines: plan.engines.iter().map(|name| (name.clone(), engine::about(name))).collect(),
        rounds: plan.rounds,
        measured: measured.to_vec(),
    };
    std::fs::write(&plan.out, serde_json::to_string_pretty(&results).unwrap()).unwrap();
}

fn machine() -> Vec<String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).map(|rest| rest.trim_start_matches([' ', '\t', ':']).to_owned());
    let processors = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let cache = read("/sys/devices/system/cpu/cpu0/cache/index3/size");
    let memory = read("/proc/meminfo").lines().next().unwrap_or_default().to_owned();
    vec![
        format!("{processors} × {}, L3 cache {}", model.unwrap_or_default(), cache.trim()),
        memory.split_whitespace().collect::<Vec<_>>().join(" "),
        read("/proc/version").split_whitespace().take(3).collect::<Vec<_>>().join(" "),
    ]
}

fn run_part(plan: &Plan, engine: &str, part: &str, keys: u64, round: u64, measured: &mut Vec<Measured>) {
    let run = |what: &str, directory: &Path, measured: &mut Vec<Measured>| {
        spawn(what, engine, keys, round, directory, measured);
    };
    match part {
        "durable" if engine::is_persistent(engine) => {
            for threads in DURABLE_THREADS {
                let scratch = Scratch::new(&plan.directory);
                run(&format!("durable:{threads}"), &scratch.0, measured);
            }
        }
        "open" if engine::is_persistent(engine) => {
            for (leave, open) in [("leave:closed", "open:closed"), ("leave:killed", "open:killed")] {
                let scratch = Scratch::new(&plan.directory);
                run(leave, &scratch.0, measured);
                run(open, &scratch.0, measured);
            }
        }
        "durable" | "open" => {}
        part => {
            let scratch = Scratch::new(&plan.directory);
            run(part, &scratch.0, measured);
        }
    }
}

/// Runs one child to its end, or kills it once it says that it has loaded; keeps what it reports.
fn spawn(what: &str, engine: &str, keys: u64, round: u64, directory: &Path, measured: &mut Vec<Measured>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", what, engine, &keys.to_string(), &round.to_string(), directory.to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    let mut is_killed = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line == "loaded" {
            child.kill().unwrap();
            is_killed = true;
            break;
        }
        measured.push(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}")));
        if begin.elapsed() > CHILD_TIME_MAX {
            child.kill().unwrap();
            panic!("{engine}: {what} with {keys} keys takes longer than {} s", CHILD_TIME_MAX.as_secs());
        }
    }
    let status = child.wait().unwrap();
    assert!(is_killed || status.success(), "{engine}: {what} with {keys} keys ended with {status}");
}

fn child(arguments: &[String]) {
    let [what, engine, keys, round, directory] = arguments else { panic!("{HELP}") };
    let mut report = |measured: Measured| println!("{}", serde_json::to_string(&measured).unwrap());
    let mut child = Child {
        engine,
        keys: keys.parse().unwrap(),
        round: round.parse().unwrap(),
        directory: Path::new(directory),
        report: &mut report,
    };
    match what.split_once(':') {
        Some(("durable", threads)) => child.durable(threads.parse().unwrap(), DURABLE_SECONDS),
        Some(("leave", how)) => child.leave(how == "closed"),
        Some(("open", how)) => child.open(if how == "closed" { "open after a close, ms" } else { "open after a kill, ms" }),
        _ if what == "unsynced" => child.unsynced(),
        _ if what == "large" => child.large(),
        _ if what == "latency" => child.latencies(),
        _ => panic!("{HELP}"),
    }
    use std::io::Write;
    std::io::stdout().flush().unwrap();
    // Whatever an engine would do at its end is not part of any row.
    std::process::exit(0);
}
