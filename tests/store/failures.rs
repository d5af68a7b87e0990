//! Calls of the system that fail, each in its turn: what the failing write leaves, what comes after it,
//! and what the next open finds (R11, R12, P4, P5).

use crate::model::{for_seeds, program};
use crate::world::{
    Item, Mix, Op, Random, Value, World, draw_checkpoints, key_bytes, small_options, small_tuning, sync_modes,
    value_bytes,
};
use larder::storage::SimulatedStorage;
use larder::storage::sim::CallKind;
use larder::store::{Condition, Ttl};
use larder::{Error, Options, Status, SyncMode};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

const KINDS: [CallKind; 15] = [
    CallKind::List,
    CallKind::Create,
    CallKind::Open,
    CallKind::Rename,
    CallKind::Remove,
    CallKind::SyncDirectory,
    CallKind::Lock,
    CallKind::ProbeLock,
    CallKind::Len,
    CallKind::ReadAt,
    CallKind::WriteAt,
    CallKind::Reserve,
    CallKind::PunchHole,
    CallKind::Sync,
    CallKind::Map,
];

fn value(number: u64, len: usize) -> Value {
    Value { number, len }
}

fn set(key: u8, number: u64, len: usize) -> Op {
    Op::Set { key, value: value(number, len), ttl: Ttl::Forever, condition: Condition::Always, sync: false }
}

fn world(sync: SyncMode) -> World {
    World::new(7, small_options(sync, 4096), small_tuning(u64::MAX))
}

/// A run in which calls fail, and what was seen of it.
struct Run {
    world: World,
    refuses: bool,
}

impl Run {
    /// One operation; whatever the store says, readers see what they should.
    fn apply(&mut self, op: &Op) {
        let result = self.world.apply(op);
        let is_write = matches!(op, Op::Set { .. } | Op::Del { .. } | Op::Expire { .. } | Op::Batch { .. });
        match result {
            Ok(()) => {}
            Err(_) if matches!(op, Op::Reopen) => {
                // Closed all the same, or not opened again.
                self.world.store = None;
                self.open_and_check();
                self.refuses = false;
            }
            Err(error) => {
                let asked_for_sync = matches!(op, Op::Set { sync: true, .. } | Op::Batch { sync: true, .. });
                self.judge(&error);
                self.world.check_after_failure(asked_for_sync && self.world.options.sync != SyncMode::Always);
                return;
            }
        }
        assert!(!(self.refuses && is_write), "{op:?} was acknowledged after a failure");
    }

    fn judge(&mut self, error: &Error) {
        assert!(!error.message().is_empty());
        match error.status() {
            Status::ReadOnly => {
                assert!(error.message().contains("takes no writes until it is reopened"), "{error}");
                self.refuses = true;
            }
            Status::NoSpace => {}
            Status::Io => {}
            status => panic!("{status:?}: {error}"),
        }
        if self.refuses {
            assert_eq!(error.status(), Status::ReadOnly, "{error}");
        }
    }

    fn open_and_check(&mut self) {
        if self.world.try_open().is_err() {
            // The failure had not struck before; a failed open changes nothing.
            self.world.sim.clear_failures();
            self.world.open();
        }
        self.world.check_after_kill();
    }

    /// The end of the run: closed, killed, or the power cut; then what the next open finds, and keeps.
    fn end(mut self, seed: u64) {
        self.world.sim.clear_failures();
        match seed % 3 {
            0 => {
                let closed = self.world.store().close();
                if self.refuses {
                    let error = closed.expect_err("a store that refuses writes cannot be closed in order");
                    assert_ne!(error.status(), Status::ReadOnly, "the first error is wanted, not its consequence");
                }
                self.world.store = None;
                self.world.open();
                self.world.check_after_kill();
            }
            1 => {
                self.world.kill();
                self.world.open();
                self.world.check_after_kill();
            }
            _ => {
                self.world.cut_power(seed);
                self.world.open();
                self.world.check_after_power_cut();
            }
        }
        // What an open has shown is durable, and stays.
        self.world.apply(&Op::PowerCut { seed: seed / 3 }).unwrap();
        self.world.apply(&set(0, 1_000_000, 100)).unwrap();
        self.world.apply(&Op::Compact).unwrap();
        self.world.apply(&Op::Reopen).unwrap();
        self.world.apply(&Op::Verify).unwrap();
    }
}

/// Runs `ops` in a new store, of which call `n` of `kind` (of any kind) fails. False if it never came to that.
fn run_with_failure(seed: u64, options: &Options, ops: &[Op], kind: Option<CallKind>, n: u64, errno: i32) -> bool {
    let sim = SimulatedStorage::new(seed);
    let tuning = draw_checkpoints(&mut Random::new(seed), small_tuning(0xF << 60));
    let mut world = World::unopened(sim, options.clone(), tuning);
    world.may_be_full = true;
    match kind {
        Some(kind) => world.sim.fail_kind(kind, n, errno),
        None => world.sim.fail_call(n, errno),
    }
    let mut run = Run { world, refuses: false };
    run.open_and_check();
    for op in ops {
        run.apply(op);
    }
    let has_struck = run.world.sim.trace().iter().any(|line| line.ends_with(&format!("= errno {errno}")));
    run.end(Random::new(seed ^ n).next());
    has_struck
}

fn short_program(random: &mut Random) -> Vec<Op> {
    let mix = Mix {
        value_len_max: [60, 400, 1_500][random.below(3) as usize],
        large_one_in: if random.one_in(3) { 12 } else { 0 },
        has_restarts: false,
    };
    let op_count = 15 + random.below(30) as usize;
    let mut ops = program(random, &mix, op_count);
    for op in [Op::Step, Op::Compact, Op::Compact, Op::Reopen, Op::Step] {
        let place = random.below(ops.len() as u64 + 1) as usize;
        ops.insert(place, op);
    }
    ops
}

fn fail_everywhere(seed: u64, kinds: &[Option<CallKind>]) {
    let mut random = Random::new(seed);
    let ops = short_program(&mut random);
    for sync in [SyncMode::Always, SyncMode::None] {
        let options = small_options(sync, 4096);
        for errno in [EIO, ENOSPC] {
            for kind in kinds {
                for n in 1.. {
                    let run = || run_with_failure(seed, &options, &ops, *kind, n, errno);
                    match catch_unwind(AssertUnwindSafe(run)) {
                        Ok(true) => {}
                        Ok(false) => break,
                        Err(panic) => {
                            eprintln!("{sync:?}, errno {errno} at call {n} of kind {kind:?}; {ops:#?}");
                            resume_unwind(panic);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn any_single_call_may_fail() {
    for_seeds("failures", 6, |seed| fail_everywhere(seed, &[None]));
}

#[test]
fn any_single_call_of_each_kind_may_fail() {
    let kinds: Vec<_> = KINDS.iter().map(|kind| Some(*kind)).collect();
    for_seeds("failures by kind", 2, |seed| fail_everywhere(seed + 1_000, &kinds));
}

#[test]
fn two_calls_may_fail() {
    for_seeds("two failures", 150, |seed| {
        let mut random = Random::new(seed + 2_000);
        let ops = short_program(&mut random);
        let sync = sync_modes()[random.below(3) as usize];
        let sim = SimulatedStorage::new(seed);
        let tuning = draw_checkpoints(&mut random, small_tuning(0xF << 60));
        let mut world = World::unopened(sim, small_options(sync, 4096), tuning);
        world.may_be_full = true;
        let mut run = Run { world, refuses: false };
        run.open_and_check();
        let first = 1 + random.below(60);
        run.world.sim.fail_call(first, [EIO, ENOSPC][random.below(2) as usize]);
        run.world.sim.fail_call(first + 1 + random.below(6), [EIO, ENOSPC][random.below(2) as usize]);
        let result = catch_unwind(AssertUnwindSafe(|| {
            for op in &ops {
                run.apply(op);
            }
            run.end(random.next());
        }));
        if let Err(panic) = result {
            eprintln!("{sync:?}; {ops:#?}");
            resume_unwind(panic);
        }
    });
}

/// The writes that there are, each on key 1, which is live.
fn writes() -> Vec<Op> {
    vec![
        set(1, 10, 50),
        Op::Del { key: 1 },
        Op::Expire { key: 1, ttl_ms: Some(5_000) },
        Op::Batch {
            items: vec![
                Item { key: 1, set: Some((value(11, 10), Ttl::Forever)) },
                Item { key: 2, set: Some((value(12, 10), Ttl::Forever)) },
                Item { key: 1, set: None },
            ],
            sync: false,
        },
    ]
}

#[test]
fn the_write_whose_sync_fails_changes_nothing_and_no_later_one_is_acknowledged() {
    for errno in [EIO, ENOSPC] {
        for write in writes() {
            for is_killed in [false, true] {
                let mut world = world(SyncMode::Always);
                world.apply(&set(1, 1, 30)).unwrap();
                world.sim.fail_kind(CallKind::Sync, 1, errno);
                let first = world.apply(&write).unwrap_err();
                assert_eq!(first.status(), Status::Io, "{write:?}: {first}");
                world.check_after_failure(false);
                for later in writes() {
                    let error = world.apply(&later).unwrap_err();
                    assert_eq!(error.status(), Status::ReadOnly);
                    assert!(error.message().contains("takes no writes until it is reopened"), "{error}");
                    assert!(error.message().contains(first.message()), "{error} does not name {first}");
                    world.check_after_failure(false);
                }
                assert_eq!(world.apply(&Op::Sync).unwrap_err().status(), Status::ReadOnly);
                assert_eq!(world.apply(&Op::Compact).unwrap_err().status(), Status::ReadOnly);
                if is_killed {
                    world.kill();
                } else {
                    let closed = world.store().close().unwrap_err();
                    assert_eq!(closed.message(), first.message());
                    world.store = None;
                }
                world.open();
                world.check_after_kill();
                world.apply(&Op::PowerCut { seed: 3 }).unwrap();
                for later in writes() {
                    world.apply(&later).unwrap();
                }
                world.apply(&Op::Reopen).unwrap();
            }
        }
    }
}

#[test]
fn a_failed_sync_of_the_directory_is_a_failed_sync() {
    let mut world = world(SyncMode::None);
    world.apply(&set(1, 1, 30)).unwrap();
    world.sim.fail_kind(CallKind::SyncDirectory, 1, EIO);
    // Larger than any segment that is there.
    let error = world.apply(&set(1, 2, 9_000)).unwrap_err();
    assert_eq!(error.status(), Status::Io, "{error}");
    assert_eq!(world.apply(&set(1, 3, 30)).unwrap_err().status(), Status::ReadOnly);
    world.check_after_failure(false);
    world.apply(&Op::Kill).unwrap();
    world.apply(&set(1, 4, 30)).unwrap();
}

#[test]
fn what_was_acknowledged_before_a_failed_sync_stays_through_a_reopen_in_the_same_boot_and_a_power_cut() {
    for seed in 0..40 {
        let mut world = world(SyncMode::None);
        for number in 0..12 {
            world.apply(&set((number % 8) as u8, number, 700)).unwrap();
        }
        world.sim.fail_kind(CallKind::Sync, 1, EIO);
        assert_eq!(world.apply(&Op::Sync).unwrap_err().status(), Status::Io);
        assert_eq!(world.apply(&set(1, 100, 10)).unwrap_err().status(), Status::ReadOnly);
        world.check_after_failure(false);
        if seed % 2 == 0 {
            world.kill();
        } else {
            assert_eq!(world.store().close().unwrap_err().status(), Status::Io);
            world.store = None;
        }
        // The pages look clean and are not on the disk: the open must write them again.
        world.open();
        world.check_after_kill();
        world.apply(&Op::PowerCut { seed }).unwrap();
    }
}

#[test]
fn a_full_disk_refuses_sets_and_nothing_else_and_writes_resume_when_there_is_room() {
    for sync in sync_modes() {
        let mut world = world(sync);
        world.may_be_full = true;
        for _ in 0..4 {
            world.apply(&Op::Step).unwrap();
        }
        world.sim.set_space(Some(world.sim.space_used() + 20_000));
        let mut number = 0;
        let error = loop {
            number += 1;
            assert!(number < 1_000, "the disk does not fill");
            if let Err(error) = world.apply(&set((number % 8) as u8, number, 900)) {
                break error;
            }
        };
        assert_eq!(error.status(), Status::NoSpace, "{error}");
        world.check_all();
        assert_eq!(world.apply(&set(3, 5_000, 900)).unwrap_err().status(), Status::NoSpace);
        // Deletes work, all of them, and make room for sets again.
        for key in 0..7 {
            world.apply(&Op::Del { key }).unwrap();
        }
        for _ in 0..30 {
            world.apply(&Op::Step).unwrap();
        }
        world.apply(&Op::Compact).unwrap();
        world.check_all();
        world.apply(&set(1, 6_000, 900)).unwrap();
        world.apply(&Op::Reopen).unwrap();
        // And when somebody else makes room.
        world.sim.set_space(Some(world.sim.space_used()));
        let mut number = 7_000;
        while world.apply(&set(2, number, 900)).is_ok() {
            number += 1;
            assert!(number < 8_000, "the disk does not fill");
        }
        world.sim.set_space(None);
        world.apply(&set(2, 9_000, 900)).unwrap();
        world.apply(&Op::Kill).unwrap();
        world.apply(&Op::Reopen).unwrap();
    }
}

#[test]
fn a_full_disk_lets_an_existing_store_open_and_be_read() {
    for is_killed in [false, true] {
        let mut world = world(SyncMode::Always);
        for number in 0..20 {
            world.apply(&set((number % 8) as u8, number, 700)).unwrap();
        }
        if is_killed {
            world.kill();
        } else {
            world.store().close().unwrap();
            world.closed();
        }
        world.sim.set_space(Some(0));
        world.open();
        world.check_after_kill();
        world.may_be_full = true;
        assert_eq!(world.store().set(&key_bytes(1), &value_bytes(1, 5_000)).unwrap_err().status(), Status::NoSpace);
        world.check_all();
    }
}

#[test]
fn random_programs_on_a_small_disk_agree_with_the_model() {
    for_seeds("small disk", 150, |seed| {
        let mut random = Random::new(seed + 3_000);
        let sync = sync_modes()[random.below(3) as usize];
        let mut options = small_options(sync, 4096);
        let mix = Mix { value_len_max: 900, large_one_in: 30, has_restarts: true };
        let ops = program(&mut random, &mix, 150);
        let is_own_limit = random.one_in(2);
        if is_own_limit {
            options.bytes_max = 30_000 + random.below(60_000);
        }
        let tuning = draw_checkpoints(&mut random, small_tuning(0xF << 60));
        let mut world = World::new(random.next(), options, tuning);
        world.may_be_full = true;
        if !is_own_limit {
            world.sim.set_space(Some(100_000 + random.below(60_000)));
        }
        crate::model::run_program(&mut world, &ops);
    });
}

#[test]
fn a_compaction_that_fails_at_any_call_leaves_everything_as_it_was() {
    for errno in [EIO, ENOSPC] {
        for n in 1.. {
            let mut world = world(SyncMode::None);
            for number in 0..40 {
                world.apply(&set((number % 5) as u8, number, 600)).unwrap();
            }
            world.apply(&Op::Del { key: 2 }).unwrap();
            world.sim.fail_call(n, errno);
            let result = world.apply(&Op::Compact);
            let has_struck = world.sim.trace().iter().any(|line| line.ends_with(&format!("= errno {errno}")));
            world.sim.clear_failures();
            world.check_all();
            world.apply(&Op::Verify).unwrap();
            if result.is_ok() {
                world.apply(&Op::Compact).unwrap();
            }
            world.kill();
            world.open();
            world.check_after_kill();
            world.apply(&Op::PowerCut { seed: n }).unwrap();
            world.apply(&Op::Compact).unwrap();
            world.apply(&Op::Reopen).unwrap();
            if !has_struck {
                assert!(n > 10, "the compaction made no calls");
                break;
            }
        }
    }
}
