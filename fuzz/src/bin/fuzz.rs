//! Runs the targets: the corpus first, then made-up inputs until the time is over.
//!
//! ```text
//! fuzz [--seconds T] [--seed N] [--replay] [target …]
//! fuzz --unpack DIR target        the corpus as files
//! fuzz --pack DIR target          files into the corpus
//! fuzz --run FILE target          one input
//! ```
//!
//! Each target runs in a process of its own, so that a crash of any kind leaves its input behind: it is in
//! `found/<target>`, and goes into `corpus/<target>.hex` once it is mended. With `--replay` there is no other input than the
//! corpus. No coverage guides this driver; `bin/guided` is for that.

use larder_fuzz::mutate::{Random, mutated};
use larder_fuzz::{TARGETS, Target, corpus, target, targets};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

struct Arguments {
    seconds: f64,
    seed: u64,
    is_replay: bool,
    /// What is to be done with a file or directory instead.
    task: Option<(String, PathBuf)>,
    /// Set in the process that runs one target: where it leaves the input that it is at.
    current: Option<PathBuf>,
    targets: Vec<&'static Target>,
}

fn parse() -> Result<Arguments, String> {
    let mut parsed =
        Arguments { seconds: 60.0, seed: 1, is_replay: false, task: None, current: None, targets: Vec::new() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} wants a value"));
        match argument.as_str() {
            "--seconds" => parsed.seconds = value()?.parse().map_err(|_| "--seconds wants a number")?,
            "--seed" => parsed.seed = value()?.parse().map_err(|_| "--seed wants a number")?,
            "--replay" => parsed.is_replay = true,
            "--current" => parsed.current = Some(value()?.into()),
            "--unpack" | "--pack" | "--run" => parsed.task = Some((argument.clone(), value()?.into())),
            name => parsed.targets.push(target(name).ok_or(format!("there is no target {name}"))?),
        }
    }
    if parsed.targets.is_empty() {
        parsed.targets = TARGETS.iter().collect();
    }
    Ok(parsed)
}

fn main() -> ExitCode {
    let arguments = match parse() {
        Ok(arguments) => arguments,
        Err(what) => {
            eprintln!("{what}\nusage: fuzz [--seconds T] [--seed N] [--replay] [target …]");
            return ExitCode::from(2);
        }
    };
    match (&arguments.task, &arguments.current) {
        (Some((task, path)), _) => match carry_out(task, path, arguments.targets[0]) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{task} {}: {error}", path.display());
                ExitCode::FAILURE
            }
        },
        (None, Some(current)) => run_one(&arguments, current),
        (None, None) => run_all(&arguments),
    }
}

fn carry_out(task: &str, path: &Path, target: &Target) -> std::io::Result<()> {
    match task {
        "--unpack" => corpus::unpack(target.name, path),
        "--pack" => corpus::pack(target.name, path).map(|count| println!("{}: {count} new inputs", target.name)),
        _ => {
            (target.run)(&fs::read(path)?);
            targets::calls::clear();
            Ok(())
        }
    }
}

/// Starts a process per target, one after the other.
fn run_all(arguments: &Arguments) -> ExitCode {
    let current = std::env::temp_dir().join(format!("larder-fuzz-current-{}", std::process::id()));
    let mut failed = 0;
    for target in &arguments.targets {
        let _ = fs::remove_file(&current);
        let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
        command.arg("--current").arg(&current).arg(target.name);
        command.args(["--seed", &arguments.seed.to_string()]);
        command.args(["--seconds", &(arguments.seconds / arguments.targets.len() as f64).to_string()]);
        if arguments.is_replay {
            command.arg("--replay");
        }
        let status = command.status().expect("this program, once more");
        if !status.success() {
            failed += 1;
            match fs::read(&current).and_then(|input| corpus::keep(target.name, &input)) {
                Ok(path) => println!("fuzz: {}: {status}; the input is {}", target.name, path.display()),
                Err(error) => println!("fuzz: {}: {status}; the input could not be kept: {error}", target.name),
            }
        }
    }
    let _ = fs::remove_file(&current);
    println!("{} passed, {failed} failed", arguments.targets.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The input that is run now, in a mapped file: it outlives whatever the input does to this process.
struct Current {
    map: *mut u8,
    file: fs::File,
}

const CURRENT_LEN_MAX: usize = 1 << 20;

impl Current {
    fn new(path: &Path) -> std::io::Result<Self> {
        use std::os::fd::AsRawFd;
        let file = fs::File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        file.set_len(CURRENT_LEN_MAX as u64)?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping of a file that is as long; nothing of ours is replaced.
        let map = unsafe {
            libc::mmap(std::ptr::null_mut(), CURRENT_LEN_MAX, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        if map == libc::MAP_FAILED { Err(std::io::Error::last_os_error()) } else { Ok(Self { map: map.cast(), file }) }
    }

    /// The length goes in front; cut to what the input is when a panic ends the run.
    fn note(&self, input: &[u8]) {
        let len = input.len().min(CURRENT_LEN_MAX - 8);
        // SAFETY: within the map, which is never unmapped, and nobody else writes there.
        unsafe {
            self.map.cast::<u64>().write_unaligned(len as u64);
            self.map.add(8).copy_from_nonoverlapping(input.as_ptr(), len);
        }
    }

    /// Leaves the bare input behind.
    fn leave(&self, input: &[u8]) {
        let _ = self.file.set_len(0);
        let _ = std::os::unix::fs::FileExt::write_all_at(&self.file, input, 0);
    }
}

fn run_one(arguments: &Arguments, path: &Path) -> ExitCode {
    let target = arguments.targets[0];
    let current = Current::new(path).expect("a file for the current input");
    let seeds = match corpus::seeds(target.name) {
        Ok(seeds) => seeds,
        Err(error) => {
            println!("fuzz: {}: no corpus: {error}", target.name);
            return ExitCode::FAILURE;
        }
    };
    let begin = Instant::now();
    let mut executions = 0_u64;
    for (number, seed) in seeds.iter().enumerate() {
        executions += 1;
        if !holds(target, &current, seed) {
            println!("fuzz: {}: fails with input {} of the corpus", target.name, number + 1);
            return ExitCode::FAILURE;
        }
    }
    let mut random = Random(arguments.seed);
    let mut said_at = Instant::now();
    while !arguments.is_replay && begin.elapsed().as_secs_f64() < arguments.seconds {
        let input = mutated(&mut random, &seeds);
        executions += 1;
        if !holds(target, &current, &input) {
            return ExitCode::FAILURE;
        }
        if said_at.elapsed() > Duration::from_secs(5) {
            println!("fuzz: {}: {executions} executions in {:.0} s", target.name, begin.elapsed().as_secs_f64());
            said_at = Instant::now();
        }
    }
    targets::calls::clear();
    let elapsed = begin.elapsed().as_secs_f64();
    println!(
        "torture: fuzz={} executions={executions} seeds={} seconds={elapsed:.1} wrong=0 crashed=0",
        target.name,
        seeds.len()
    );
    ExitCode::SUCCESS
}

fn holds(target: &Target, current: &Current, input: &[u8]) -> bool {
    current.note(input);
    let is_ok = catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_ok();
    if !is_ok {
        current.leave(input);
        targets::calls::clear();
    }
    is_ok
}
