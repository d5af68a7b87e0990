//! Random operations against an ordered map: also closed, killed, and with the power cut.
//!
//! Segments of 4 KiB, eight keys, hashes of four bits: what would need a large store happens within
//! a few operations. `LARDER_CASES` sets how many programs run per variant, `LARDER_SEED` runs the one
//! program of that seed. With `LARDER_SECONDS` programs run until that time is over, from the seed `LARDER_FROM` on.

use crate::world::{Mix, Op, Random, World, draw_checkpoints, draw_op, small_options, small_tuning, sync_modes};
use larder::{Status, SyncMode};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// A number from the environment, or `default`.
pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// How long a test that has no end of its own is to run, if somebody says so.
pub fn seconds() -> Option<Duration> {
    match number("LARDER_SECONDS", 0) {
        0 => None,
        seconds => Some(Duration::from_secs(seconds)),
    }
}

/// Runs `run` with each seed, and says how many; a failure is reported with its seed.
pub fn for_seeds(what: &str, default_count: u64, run: impl Fn(u64)) -> u64 {
    let begin = Instant::now();
    let only = std::env::var("LARDER_SEED").ok().map(|text| text.parse().unwrap());
    let from = number("LARDER_FROM", 0);
    let end = if seconds().is_some() { u64::MAX } else { number("LARDER_CASES", default_count) };
    let seeds = only.map_or(from..end, |seed: u64| seed..seed + 1);
    let mut count = 0;
    for seed in seeds {
        if count > 0 && seconds().is_some_and(|limit| begin.elapsed() >= limit) {
            break;
        }
        count += 1;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
            eprintln!("{what}: failed with LARDER_SEED={seed}");
            resume_unwind(panic);
        }
    }
    count
}

/// Runs the operations, and prints them if that fails.
pub fn run_program(world: &mut World, ops: &[Op]) {
    for (place, op) in ops.iter().enumerate() {
        match catch_unwind(AssertUnwindSafe(|| world.apply(op))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) if error.status() == Status::NoSpace && world.may_be_full => {}
            Ok(Err(error)) => {
                eprintln!("{}", listing(ops, place));
                panic!("operation {place}, {op:?}: {error}\ncalls: {:#?}", world.last_calls());
            }
            Err(panic) => {
                eprintln!("{}", listing(ops, place));
                resume_unwind(panic);
            }
        }
    }
}

fn listing(ops: &[Op], last: usize) -> String {
    ops[..=last].iter().enumerate().map(|(place, op)| format!("{place:4}  {op:?}\n")).collect()
}

/// One program of `op_count` operations.
pub fn program(random: &mut Random, mix: &Mix, op_count: usize) -> Vec<Op> {
    let mut number = 0;
    (0..op_count).map(|_| draw_op(random, mix, &mut number)).collect()
}

fn run_one(seed: u64, sync: SyncMode) {
    let mut random = Random::new(seed);
    let hash_mask = if random.one_in(3) { u64::MAX } else { 0xF << 60 };
    let segment_bytes = if random.one_in(6) { 64 << 10 } else { 4096 };
    let value_len_max = [0, 40, 300, 2_000][random.below(4) as usize];
    let large_one_in = if random.one_in(2) { 0 } else { 40 };
    let mix = Mix { value_len_max, large_one_in, has_restarts: !random.one_in(6) };
    let op_count = 20 + random.below(180) as usize;
    let ops = program(&mut random, &mix, op_count);
    let tuning = draw_checkpoints(&mut random, small_tuning(hash_mask));
    let mut world = World::new(random.next(), small_options(sync, segment_bytes), tuning);
    world.sim.set_write_back(random.below(257) as u32);
    run_program(&mut world, &ops);
    world.check_all();
}

const CASES: u64 = 1_000;

fn run_all(what: &str, sync: SyncMode) {
    let count = for_seeds(what, CASES, |seed| run_one(seed, sync));
    println!("torture: model_programs={count} lost=0 wrong=0");
}

#[test]
fn random_programs_agree_with_the_model_in_mode_always() {
    run_all("mode always", sync_modes()[0]);
}

#[test]
fn random_programs_agree_with_the_model_in_mode_interval() {
    run_all("mode interval", sync_modes()[1]);
}

#[test]
fn random_programs_agree_with_the_model_in_mode_none() {
    run_all("mode none", sync_modes()[2]);
}
