//! The power is cut, or the process killed, at every call that the store makes: in short programs, in the
//! open before them and the close after them, and in the recovery from all that (P12).

use crate::model::{for_seeds, program};
use crate::world::{Mix, Op, Random, World, draw_checkpoints, small_options, small_tuning, sync_modes};
use larder::store::Tuning;
use larder::{Options, SyncMode};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

/// What is cut short: a new store that goes through `ops`, and is closed.
struct Program {
    seed: u64,
    options: Options,
    tuning: Tuning,
    ops: Vec<Op>,
}

impl Program {
    fn draw(seed: u64, sync: SyncMode) -> Self {
        let mut random = Random::new(seed);
        let mix = Mix {
            value_len_max: [60, 400, 1_500][random.below(3) as usize],
            large_one_in: if random.one_in(3) { 12 } else { 0 },
            has_restarts: false,
        };
        let op_count = 10 + random.below(30) as usize;
        let mut ops = program(&mut random, &mix, op_count);
        // Reads make no calls worth being cut short at.
        ops.retain(|op| !matches!(op, Op::Get { .. } | Op::Exists { .. } | Op::GetMany { .. } | Op::Walk { .. }));
        for op in [Op::Step, Op::Step, Op::Compact, Op::Reopen] {
            let place = random.below(ops.len() as u64 + 1) as usize;
            ops.insert(place, op);
        }
        let hash_mask = if random.one_in(3) { u64::MAX } else { 0xF << 60 };
        let tuning = draw_checkpoints(&mut random, small_tuning(hash_mask));
        Self { seed: random.next(), options: small_options(sync, 4096), tuning, ops }
    }

    /// Runs it, with the power failing at call `crash_at`. True if it came to its end before.
    fn run(&self, crash_at: Option<u64>) -> (World, bool) {
        let sim = larder::storage::SimulatedStorage::new(self.seed);
        let mut world = World::unopened(sim, self.options.clone(), self.tuning);
        if let Some(n) = crash_at {
            world.sim.crash_at_call(n);
        }
        let is_done = self.run_in(&mut world, crash_at);
        (world, is_done)
    }

    fn run_in(&self, world: &mut World, crash_at: Option<u64>) -> bool {
        if world.try_open().is_err() {
            return false;
        }
        for op in &self.ops {
            if !world.apply_until_cut(op, crash_at).unwrap_or(false) {
                return false;
            }
        }
        if world.store().close().is_ok() && crash_at.is_none_or(|n| world.sim.call_count() < n) {
            world.closed();
            return true;
        }
        false
    }
}

struct Counts {
    images: AtomicU64,
    kills: AtomicU64,
    calls: AtomicU64,
    /// Opens after a crash or kill, and how many of them started from a checkpoint.
    opens: AtomicU64,
    from_checkpoint: AtomicU64,
}

static COUNTS: Counts = Counts {
    images: AtomicU64::new(0),
    kills: AtomicU64::new(0),
    calls: AtomicU64::new(0),
    opens: AtomicU64::new(0),
    from_checkpoint: AtomicU64::new(0),
};

/// Opens, and counts.
fn open(world: &mut World) {
    world.open();
    COUNTS.opens.fetch_add(1, Ordering::Relaxed);
    let opening = world.store().opening().unwrap();
    COUNTS.from_checkpoint.fetch_add(u64::from(opening.is_from_checkpoint), Ordering::Relaxed);
}

/// Runs `check`, and says where it was if that fails.
fn at<R>(place: impl Fn() -> String, check: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| {
        eprintln!("{}", place());
        resume_unwind(panic)
    })
}

/// Power cuts at every call of a program; `images` directories drawn for each.
fn cut_everywhere(program: &Program, images: u64) {
    let mut random = Random::new(program.seed ^ 0xC7A5);
    for n in 1.. {
        let (world, is_done) = program.run(Some(n));
        COUNTS.calls.fetch_add(1, Ordering::Relaxed);
        for _ in 0..images {
            let seed = random.next();
            COUNTS.images.fetch_add(1, Ordering::Relaxed);
            let place =
                || format!("power cut at call {n}, image {seed}; {:#?}\ncalls: {:#?}", program.ops, world.last_calls());
            at(place, || {
                let mut next = world.after_power_cut(seed);
                open(&mut next);
                next.check_after_power_cut();
            });
        }
        // The recovery is cut short too: at one of its calls, in turn with the program's.
        let seed = random.next();
        let cut = 1 + random.below(14);
        let place =
            || format!("power cut at call {n}, image {seed}, then at call {cut} of the recovery; {:#?}", program.ops);
        at(place, || recover_with_cuts(world.after_power_cut(seed), cut, random.next()));
        if is_done {
            break;
        }
    }
}

/// Opens with the power failing at call `cut`, then again without.
fn recover_with_cuts(mut world: World, cut: u64, seed: u64) {
    world.sim.crash_at_call(cut);
    let is_open = world.try_open().is_ok();
    COUNTS.images.fetch_add(1, Ordering::Relaxed);
    if is_open {
        world.sim.clear_failures();
        world.check_after_power_cut();
        return;
    }
    // Whatever it had done: another cut, or a kill.
    if seed.is_multiple_of(4) {
        world.kill()
    } else {
        world.cut_power(seed)
    }
    open(&mut world);
    world.check_after_power_cut();
}

/// Every call of the recovery from one image, with more than one image after it (P12).
fn cut_every_recovery(program: &Program, stride: u64) {
    let mut random = Random::new(program.seed ^ 0x12EC);
    let mut n = 1 + random.below(stride);
    loop {
        let (world, is_done) = program.run(Some(n));
        let first = random.next();
        for cut in 1..=40 {
            let mut again = world.after_power_cut(first);
            again.sim.crash_at_call(cut);
            let was_cut = again.try_open().is_err();
            for seed in 0..2 {
                COUNTS.images.fetch_add(1, Ordering::Relaxed);
                let place = || {
                    format!(
                        "power cut at call {n}, image {first}, call {cut} of the recovery, image {seed}; {:#?}",
                        program.ops
                    )
                };
                at(place, || {
                    let mut last = again.after_power_cut(seed);
                    open(&mut last);
                    last.check_after_power_cut();
                });
            }
            if !was_cut {
                break;
            }
        }
        if is_done {
            break;
        }
        n += 1 + random.below(stride);
    }
}

/// The process is killed at every call: it is never made, and all before it are as they were.
fn kill_everywhere(program: &Program) {
    for n in 1.. {
        let (mut world, is_done) = program.run(Some(n));
        COUNTS.kills.fetch_add(1, Ordering::Relaxed);
        let place = || format!("killed at call {n}; {:#?}", program.ops);
        at(place, || {
            world.kill();
            open(&mut world);
            world.check_after_kill_in_a_write();
        });
        if is_done {
            break;
        }
    }
}

fn run_all(sync: SyncMode, default_cases: u64) {
    for_seeds("crash", default_cases, |seed| {
        let program = Program::draw(seed, sync);
        cut_everywhere(&program, 2);
        if seed % 2 == 0 {
            kill_everywhere(&program);
        } else {
            cut_every_recovery(&program, 12);
        }
    });
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    println!(
        "crash: so far {} crash images and {} kills, after cuts at {} calls; {} of {} opens from a checkpoint",
        count(&COUNTS.images),
        count(&COUNTS.kills),
        count(&COUNTS.calls),
        count(&COUNTS.from_checkpoint),
        count(&COUNTS.opens)
    );
    assert!(count(&COUNTS.from_checkpoint) > count(&COUNTS.opens) / 20, "checkpoints were hardly put to the test");
}

#[test]
fn a_crash_at_any_call_in_mode_always_leaves_every_acknowledged_write() {
    run_all(sync_modes()[0], 16);
}

#[test]
fn a_crash_at_any_call_in_mode_interval_leaves_a_prefix() {
    run_all(sync_modes()[1], 16);
}

#[test]
fn a_crash_at_any_call_in_mode_none_leaves_a_prefix() {
    run_all(sync_modes()[2], 16);
}
