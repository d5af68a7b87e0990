//! Random operations against an ordered map: also closed, killed, and with the power cut.
//!
//! Segments of 4 KiB, eight keys, hashes of four bits: what would need a large store happens within
//! a few operations. `LARDER_CASES` sets how many programs run per variant, `LARDER_SEED` runs the one
//! program of that seed.

use crate::world::{Mix, Op, Random, World, draw_checkpoints, draw_op, small_options, small_tuning, sync_modes};
use larder::{Status, SyncMode};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// A number from the environment, or `default`.
pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// Runs `run` with each seed; a failure is reported with its seed.
pub fn for_seeds(what: &str, default_count: u64, run: impl Fn(u64)) {
    let only = std::env::var("LARDER_SEED").ok().map(|text| text.parse().unwrap());
    let seeds = only.map_or(0..number("LARDER_CASES", default_count), |seed| seed..seed + 1);
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
            eprintln!("{what}: failed with LARDER_SEED={seed}");
            resume_unwind(panic);
        }
    }
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

#[test]
fn random_programs_agree_with_the_model_in_mode_always() {
    for_seeds("mode always", CASES, |seed| run_one(seed, sync_modes()[0]));
}

#[test]
fn random_programs_agree_with_the_model_in_mode_interval() {
    for_seeds("mode interval", CASES, |seed| run_one(seed, sync_modes()[1]));
}

#[test]
fn random_programs_agree_with_the_model_in_mode_none() {
    for_seeds("mode none", CASES, |seed| run_one(seed, sync_modes()[2]));
}
