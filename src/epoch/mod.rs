//! Readers take no locks; this says when the last of them has left what was taken out of their
//! reach: pages of the index that were replaced, segments that were retired, and, through
//! [`Gate`], a whole store that is being closed.
//!
//! Not here: what is protected, and how it is unlinked. No thread-local destructor is registered
//! and nothing is freed at a thread's end, so a library that was loaded at run time can go again.
//!
//! How it works. Every thread counts itself in and out on one of a few cache lines, its slot (`seats`).
//! There are two sets of counters, one per *parity* of the phase. What is retired lies in the bin
//! `fresh`. A *step* of [`Epochs::collect`] asks whether everyone who entered under the parity that
//! is not current has left; if so it frees the bin `waiting`, makes `fresh` the new `waiting` and
//! advances the phase, which flips the parity.
//!
//! Invariants:
//!   E1. Whatever is freed was retired before two consecutive steps.
//!   E2. Two consecutive steps scanned both parities, for the phase advances with every step.
//!   E3. A scan finds a parity empty only if every guard of that parity whose `enter` is ordered
//!       before the scan has left.
//!
//! Why two steps suffice. Let X be unlinked and then retired, and let reader R have seen X linked.
//! R's `enter` is a fence between its count and its loads (for a seat's owner it is the collector who has it executed:
//! `seats`), and a scan starts with one between the
//! unlinking (which happens before `retire`, whose mutex the scan holds) and its loads. Were the
//! scan's fence first, R's loads would see X unlinked; so R's fence is first, and the scan's loads see
//! R's count. That holds for every scan after the retirement and whatever parity R counted under,
//! also if R read the phase long ago and was late to count. By E2 and E3 the two scans before X is
//! freed include one of R's parity, and that one saw R gone; R's leaving releases and the scan
//! acquires, so all that R did happens before X is freed. The phase is needed only for progress: new
//! readers go to the other parity, so the one that is scanned runs dry.
//!
//! Why E3. Both counts of a slot only grow. A scan first sums who left, then reads who entered.
//! Leaving releases, so each departure that was counted has its own entry counted too; equal sums
//! therefore mean that the entries counted are exactly those of the departed.
//!
//! Locks: `garbage` (never held while something is dropped, never taken by a reader).

mod gate;
#[cfg(all(test, loom))]
mod models;
mod seats;
#[cfg(all(test, not(loom)))]
mod tests;

pub use gate::{Gate, GateGuard};

use crate::sync::{AtomicU64, AtomicUsize, Mutex, Ordering, fence, yield_now};
use seats::{SLOT_COUNT, fence_of_collector, fence_of_reader, is_seat, slot_of_thread};
use std::cell::Cell;
use std::marker::PhantomData;

/// From this many retired items on, [`Epochs::retire`] collects by itself.
const RETIRED_COUNT_MAX: usize = 64;

/// Who is reading, and what waits for them to leave.
pub struct Epochs {
    phase: Line<AtomicU64>,
    slots: [Slot; SLOT_COUNT],

    garbage: Mutex<Garbage>,
    /// Bins that left `garbage` and are being dropped right now.
    dropping: AtomicUsize,
}

/// Protected by the mutex around it.
struct Garbage {
    fresh: Vec<Box<dyn Send>>,
    waiting: Vec<Box<dyn Send>>,
    /// Steps taken; its lowest bit is the parity that readers use.
    phase: u64,
}

/// One cache line of counters: no two threads that read at full speed should share it.
#[repr(align(64))]
struct Slot {
    parities: [Counts; 2],
}

/// All of them only grow.
struct Counts {
    entered: AtomicU64,
    /// Who left, by [`Outcome`]: this is how gets are counted without a store of their own.
    left: [AtomicU64; 3],
}

#[repr(align(64))]
struct Line<T>(T);

#[cfg(not(loom))]
const _: () = assert!(size_of::<Slot>() == 64);

/// What the guard was used for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Other = 0,
    Miss = 1,
    Hit = 2,
}

/// As long as it lives, nothing that was reachable when it was made is freed.
///
/// Cheap to make, a load and a store each way for most threads. May nest. Do not keep one while waiting for
/// something slow: what is retired meanwhile stays in memory.
pub struct EpochGuard<'a> {
    epochs: &'a Epochs,
    counts: &'a Counts,
    is_seat: bool,
    outcome: Cell<Outcome>,
    /// Not sent to another thread: it leaves the slot that it entered, and a seat has one owner.
    of_thread: PhantomData<*const ()>,
}

impl Epochs {
    /// No readers, nothing retired.
    pub fn new() -> Self {
        Epochs {
            phase: Line(AtomicU64::new(0)),
            slots: std::array::from_fn(|_| Slot { parities: [Counts::new(), Counts::new()] }),
            garbage: Mutex::new(Garbage { fresh: Vec::new(), waiting: Vec::new(), phase: 0 }),
            dropping: AtomicUsize::new(0),
        }
    }

    /// Counts the calling thread in, until the guard is dropped. Never blocks.
    #[inline]
    pub fn enter(&self) -> EpochGuard<'_> {
        let parity = (self.phase.0.load(Ordering::Relaxed) & 1) as usize;
        let slot = slot_of_thread();
        let (counts, is_seat) = (&self.slots[slot].parities[parity], is_seat(slot));
        counts.enter(is_seat);
        EpochGuard { epochs: self, counts, is_seat, outcome: Cell::new(Outcome::Other), of_thread: PhantomData }
    }

    /// Drops `item`, later, when every guard that could have seen it is gone.
    ///
    /// The caller has already unlinked it: nobody who enters from now on can reach it. It may be
    /// dropped on any thread that calls into this object, so its `Drop` must not take locks that
    /// such a thread may hold. Never waits for a reader.
    pub fn retire(&self, item: Box<dyn Send>) {
        let retired_count = {
            let mut garbage = self.garbage.lock();
            garbage.fresh.push(item);
            garbage.fresh.len() + garbage.waiting.len()
        };
        if retired_count >= RETIRED_COUNT_MAX {
            self.collect();
        }
    }

    /// Takes one step if it is possible at once, and says how many items that freed. Never blocks:
    /// if another thread is at it, there is nothing to do here.
    pub fn collect(&self) -> usize {
        let Some(garbage) = self.garbage.try_lock() else { return 0 };
        if garbage.fresh.is_empty() && garbage.waiting.is_empty() {
            return 0;
        }
        self.step(garbage).unwrap_or(0)
    }

    /// Waits until everything that was retired before the call is freed, and so until every guard is
    /// gone that existed before the call. Must not be called by a thread that holds a guard, nor
    /// from the `Drop` of a retired item.
    pub fn drain(&self) {
        let target = self.garbage.lock().phase + 2;
        let mut round = 0u32;
        loop {
            let garbage = self.garbage.lock();
            if garbage.phase < target {
                if self.step(garbage).is_some() {
                    continue;
                }
            } else {
                drop(garbage);
                // Another thread may have taken our items out and not be done with dropping them.
                if self.dropping.load(Ordering::Acquire) == 0 {
                    return;
                }
            }
            wait(round);
            round = round.saturating_add(1);
        }
    }

    /// How many items wait to be freed.
    pub fn retired_count(&self) -> usize {
        let garbage = self.garbage.lock();
        garbage.fresh.len() + garbage.waiting.len()
    }

    /// How many gets were counted by guards that are gone.
    pub fn gets(&self) -> u64 {
        self.left(Outcome::Miss) + self.left(Outcome::Hit)
    }

    /// How many of the [`gets`](Self::gets) found something.
    pub fn hits(&self) -> u64 {
        self.left(Outcome::Hit)
    }

    fn left(&self, outcome: Outcome) -> u64 {
        let all = self.slots.iter().flat_map(|slot| &slot.parities);
        all.map(|counts| counts.left[outcome as usize].load(Ordering::Relaxed)).sum()
    }

    /// Frees `waiting` and advances the phase, or says `None` if a reader is in the way.
    fn step(&self, mut garbage: crate::sync::MutexGuard<'_, Garbage>) -> Option<usize> {
        let parity_scanned = ((garbage.phase & 1) ^ 1) as usize;
        if !self.is_empty(parity_scanned) {
            return None;
        }
        let fresh = std::mem::take(&mut garbage.fresh);
        let freed = std::mem::replace(&mut garbage.waiting, fresh);
        garbage.phase += 1;
        self.phase.0.store(garbage.phase, Ordering::Relaxed);
        let freed_count = freed.len();
        if freed_count > 0 {
            self.dropping.fetch_add(1, Ordering::Relaxed);
            let _done = Dropping(&self.dropping);
            drop(garbage);
            drop(freed);
        }
        Some(freed_count)
    }

    /// Whether nobody who entered under this parity is still in (E3).
    fn is_empty(&self, parity: usize) -> bool {
        fence_of_collector();
        self.slots.iter().all(|slot| {
            let counts = &slot.parities[parity];
            let left: u64 = counts.left.iter().map(|left| left.load(Ordering::Acquire)).sum();
            left == counts.entered.load(Ordering::Acquire)
        })
    }
}

impl Default for Epochs {
    fn default() -> Self {
        Self::new()
    }
}

impl EpochGuard<'_> {
    /// Counts this guard's use as one get.
    #[inline]
    pub fn count_get(&self, hit: bool) {
        if self.outcome.get() != Outcome::Other {
            self.count_gets(1, u64::from(hit));
            return;
        }
        self.outcome.set(if hit { Outcome::Hit } else { Outcome::Miss });
    }

    /// Counts gets that were made together under this guard; `hits` of them found something.
    pub fn count_gets(&self, gets: u64, hits: u64) {
        debug_assert!(hits <= gets);
        // As if so many guards had come and gone: entries are counted first, so the slot never
        // looks emptier than it is.
        add(&self.counts.entered, gets, self.is_seat);
        add(&self.counts.left[Outcome::Hit as usize], hits, self.is_seat);
        add(&self.counts.left[Outcome::Miss as usize], gets.saturating_sub(hits), self.is_seat);
    }

    /// Whose guard this is.
    #[inline]
    pub fn epochs(&self) -> &Epochs {
        self.epochs
    }
}

impl Drop for EpochGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        add(&self.counts.left[self.outcome.get() as usize], 1, self.is_seat);
    }
}

/// Adds to a count, with release: whatever this thread did before is seen by who acquires the sum.
#[inline]
fn add(count: &AtomicU64, more: u64, is_seat: bool) {
    if is_seat {
        // Nobody else writes it: no need for a locked addition.
        count.store(count.load(Ordering::Relaxed) + more, Ordering::Release);
    } else {
        count.fetch_add(more, Ordering::Release);
    }
}

impl Counts {
    fn new() -> Self {
        Counts { entered: AtomicU64::new(0), left: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    #[inline]
    fn enter(&self, is_seat: bool) {
        if is_seat {
            self.entered.store(self.entered.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            fence_of_reader();
            return;
        }
        self.entered.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }
}

/// Says that a bin is dropped, also if an item's `Drop` panicked.
struct Dropping<'a>(&'a AtomicUsize);

impl Drop for Dropping<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// A little longer from round to round: readers are quick, but one may have lost its processor.
fn wait(round: u32) {
    if cfg!(loom) || round < 64 {
        yield_now();
    } else {
        std::thread::sleep(std::time::Duration::from_micros(u64::from(round.min(1000))));
    }
}
