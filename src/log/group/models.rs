//! The interleavings of writers that share syncs, all of them, under loom:
//! `RUSTFLAGS="--cfg loom" cargo test --release --lib log::group`.
//!
//! A writer takes a number from what stands for the log, and waits until that is durable. A sync takes what has been
//! numbered when it begins. In models no group is waited for: that is a matter of time, not of order. loom itself reports
//! a writer that nobody wakes.

use super::*;
use crate::error::{Error, Status};
use loom::sync::atomic::{AtomicBool, AtomicU64};
use loom::thread;
use std::sync::Arc;

struct World {
    group: GroupSync,
    written: AtomicU64,
    on_disk: AtomicU64,
    is_syncing: AtomicBool,
    has_failed: AtomicBool,
    /// The sync that fails, if one does.
    failing: Option<u64>,
    sync_count: AtomicU64,
}

impl World {
    fn new(failing: Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            group: GroupSync::new(0),
            written: AtomicU64::new(0),
            on_disk: AtomicU64::new(0),
            is_syncing: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
            failing,
            sync_count: AtomicU64::new(0),
        })
    }

    fn failure(&self) -> Result<()> {
        if self.has_failed.load(Ordering::Acquire) { Err(Error::from(Status::Io)) } else { Ok(()) }
    }

    fn write(&self) -> Result<()> {
        let seqno = self.written.fetch_add(1, Ordering::AcqRel) + 1;
        let answer = self.group.through(
            seqno,
            || self.failure(),
            |term| {
                assert!(!self.is_syncing.swap(true, Ordering::AcqRel), "G1: two lead");
                let covered = self.written.load(Ordering::Acquire);
                term.covers(covered);
                let fails = self.failing == Some(self.sync_count.fetch_add(1, Ordering::AcqRel));
                if fails {
                    self.has_failed.store(true, Ordering::Release);
                } else {
                    self.on_disk.store(covered, Ordering::Release);
                }
                self.is_syncing.store(false, Ordering::Release);
                self.failure()
            },
        );
        assert!(answer.is_err() || self.on_disk.load(Ordering::Acquire) >= seqno, "G3: durable, and not on the disk");
        answer
    }
}

fn model(threads: usize, failing: Option<u64>) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(move || {
        let world = World::new(failing);
        let others: Vec<_> = (1..threads)
            .map(|_| {
                let world = Arc::clone(&world);
                thread::spawn(move || world.write().is_ok())
            })
            .collect();
        let own = world.write().is_ok();
        let others = others.into_iter().map(|other| other.join().unwrap());
        let count = others.chain([own]).filter(|is_ok| *is_ok).count();
        assert!(failing.is_some() || count == threads, "without a failure all are served");
        // What was served before the failure stays served; nobody after it is.
        assert!(failing != Some(0) || count == 0, "R11: acknowledged after a failure");
    });
}

#[test]
fn every_writer_is_served_by_a_sync_that_covers_it() {
    model(3, None);
}

#[test]
fn a_failed_sync_is_everybodys_and_nobody_waits_for_ever() {
    model(3, Some(0));
}

#[test]
fn a_later_failure_takes_nothing_back() {
    model(3, Some(1));
}
