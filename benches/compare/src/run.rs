//! The parent: runs each engine in child processes, one engine after the other and round after round, so that a
//! machine whose speed drifts drifts for all of them.
//!
//! A child that fails or hangs costs its rows, which the results name, and makes the program fail at its end.

use crate::engine;
use crate::results::{Measured, Part, load_average, machine};
use crate::work::LOADED;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// No child takes longer between two rows.
const SILENCE_MAX: Duration = Duration::from_secs(600);
pub const DURABLE_THREADS: [u64; 4] = [1, 8, 32, 64];

/// What to run.
pub struct Plan {
    pub keys: Vec<u64>,
    pub rounds: u64,
    pub engines: Vec<String>,
    pub parts: Vec<String>,
    pub seconds: f64,
    pub directory: PathBuf,
    pub results: PathBuf,
}

/// A directory that is gone when this is.
struct Scratch(PathBuf);

impl Scratch {
    fn new(parent: &Path) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
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

impl Plan {
    /// Runs all of it and keeps what was measured; false if something could not be.
    pub fn run(&self) -> bool {
        let progress = Progress::new(self);
        let mut is_whole = true;
        for &keys in &self.keys {
            for part in &self.parts {
                let part = self.part(part, keys, &progress);
                part.save(&self.results);
                eprintln!("{} {}", progress.says(), part.path(&self.results).display());
                for what in &part.left_out {
                    eprintln!("LEFT OUT: {what}");
                    is_whole = false;
                }
            }
        }
        is_whole
    }

    fn part(&self, name: &str, keys: u64, progress: &Progress) -> Part {
        let engines: Vec<_> = self.engines.iter().filter(|engine| engine::has_part(engine, name)).collect();
        let mut part = Part {
            part: name.to_owned(),
            keys,
            rounds: self.rounds,
            commit: commit(),
            machine: machine(),
            load: [load_average(); 2],
            engines: Vec::new(),
            left_out: Vec::new(),
            measured: Vec::new(),
        };
        for engine in engines.iter() {
            match engine::why_missing(engine) {
                Some(why) => part.left_out.push(format!("{engine}: {why}")),
                None => part.engines.push(((*engine).clone(), engine::about(engine))),
            }
        }
        for round in 0..self.rounds {
            // Another one is first in each round.
            let mut engines = part.engines.clone();
            let engine_count = engines.len().max(1);
            engines.rotate_left(round as usize % engine_count);
            for (engine, _) in engines {
                let so_far = progress.says();
                eprintln!("{so_far} {keys} keys, {name}, round {} of {}: {engine}", round + 1, self.rounds);
                let child = Setup { plan: self, engine: &engine, keys, round };
                if let Err(why) = child.part(name, &mut part.measured) {
                    part.left_out.push(format!("{name} at {keys} keys, round {}: {why}", round + 1));
                }
                progress.done.fetch_add(1, Ordering::Relaxed);
            }
        }
        part.load[1] = load_average();
        part
    }
}

/// How much of a run is done, counted in turns of one engine at one part.
struct Progress {
    begin: Instant,
    done: AtomicU64,
    all: u64,
}

impl Progress {
    fn new(plan: &Plan) -> Self {
        let has = |part: &String| plan.engines.iter().filter(|engine| engine::has_part(engine, part)).count() as u64;
        let all = plan.rounds * plan.keys.len() as u64 * plan.parts.iter().map(has).sum::<u64>();
        Self { begin: Instant::now(), done: AtomicU64::new(0), all }
    }

    fn says(&self) -> String {
        format!("[{:4} s, {:3} of {}]", self.begin.elapsed().as_secs(), self.done.load(Ordering::Relaxed), self.all)
    }
}

/// What Larder was built from; a change that is not committed shows.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let changed = git(&["status", "--porcelain", "--", "src", "Cargo.toml"]).is_some_and(|files| !files.is_empty());
    let commit = git(&["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "unknown".into());
    if changed { commit + ", changed" } else { commit }
}

/// What all children of one engine in one round have in common.
struct Setup<'a> {
    plan: &'a Plan,
    engine: &'a str,
    keys: u64,
    round: u64,
}

impl Setup<'_> {
    fn part(&self, part: &str, measured: &mut Vec<Measured>) -> Result<(), String> {
        match part {
            "durable" => DURABLE_THREADS.iter().try_for_each(|threads| {
                let scratch = Scratch::new(&self.plan.directory);
                self.child(&format!("durable:{threads}"), &scratch.0, measured)
            }),
            "open" => ["closed", "killed"].iter().try_for_each(|how| {
                let scratch = Scratch::new(&self.plan.directory);
                self.child(&format!("leave:{how}"), &scratch.0, measured)?;
                self.child(&format!("open:{how}"), &scratch.0, measured)
            }),
            part => {
                let scratch = Scratch::new(&self.plan.directory);
                self.child(part, &scratch.0, measured)
            }
        }
    }

    /// Runs one child to its end, or kills it once it says that it has loaded; keeps what it reports.
    fn child(&self, what: &str, directory: &Path, measured: &mut Vec<Measured>) -> Result<(), String> {
        let (keys, round, seconds) = (self.keys.to_string(), self.round.to_string(), self.plan.seconds.to_string());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child", what, self.engine, &keys, &round, &seconds])
            .arg(directory)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let outcome = listen(&mut child, measured);
        if outcome != Ok(Ended::OfItself) {
            let _ = child.kill();
        }
        let status = child.wait().map_err(|error| error.to_string())?;
        match outcome {
            Ok(Ended::OfItself) if !status.success() => Err(format!("{}: {what} ended with {status}", self.engine)),
            Ok(_) => Ok(()),
            Err(why) => Err(format!("{}: {what} {why}", self.engine)),
        }
    }
}

#[derive(PartialEq, Eq)]
enum Ended {
    OfItself,
    ToBeKilled,
}

fn listen(child: &mut Child, measured: &mut Vec<Measured>) -> Result<Ended, String> {
    let stdout = child.stdout.take().ok_or("has no output")?;
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|l| sender.send(l)));
    loop {
        match lines.recv_timeout(SILENCE_MAX) {
            Ok(line) if line == LOADED => return Ok(Ended::ToBeKilled),
            Ok(line) => measured.push(serde_json::from_str(&line).map_err(|error| format!("said {line}: {error}"))?),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(Ended::OfItself),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                return Err(format!("said nothing for {} s", SILENCE_MAX.as_secs()));
            }
        }
    }
}
