//! Which slot a thread counts itself in, and what orders its count with what it reads.
//!
//! A slot that one thread has to itself needs no locked addition, and a fence that the reader would pay at every
//! call can be left to whoever collects, once in a while: `membarrier(2)` has every thread of the process execute
//! one (the asymmetric fence of userspace RCU; Desnoyers et al., "User-Level Implementations of Read-Copy Update",
//! IEEE TPDS 2012). So the first slots are *seats*, each with one thread as owner, and the last ones are shared by
//! all threads that found no seat. Where the system has no such call, all slots are shared and readers fence.
//!
//! No thread-local destructor gives a seat back, for the library may be unloaded before the thread ends. A thread that
//! finds no free seat takes that of a thread that has ended, which is told by its id.
//!
//! Not here: what is counted (`Epochs`).
//!
//! Invariants:
//!   S1. A seat's counts are written by its owner only.
//!   S2. `HAS_BARRIER` is decided before the first seat is given out, and never changes.
//!
//! Locks: none.

use crate::sync::{Ordering, fence};
#[cfg(not(loom))]
use std::cell::Cell;

/// Slots with one owner each. As many threads as that read without a locked instruction.
#[cfg(not(loom))]
pub(super) const SEAT_COUNT: usize = 28;
/// Slots that threads without a seat share.
#[cfg(not(loom))]
const SHARED_COUNT: usize = 4;
#[cfg(loom)]
pub(super) const SEAT_COUNT: usize = 1;
#[cfg(loom)]
const SHARED_COUNT: usize = 1;

/// All slots: the seats come first.
pub(super) const SLOT_COUNT: usize = SEAT_COUNT + SHARED_COUNT;

/// Whether nobody but the calling thread, whose slot this is, writes to it (S1).
#[inline]
pub(super) fn is_seat(slot: usize) -> bool {
    slot < SEAT_COUNT
}

/// Between a seat's count and its owner's reads.
#[inline]
pub(super) fn fence_of_reader() {
    #[cfg(all(target_os = "linux", not(loom), not(miri)))]
    // The compiler may not move the reads; the processor is stopped by whoever collects. Seats exist only where that
    // works.
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
    #[cfg(not(all(target_os = "linux", not(loom), not(miri))))]
    fence(Ordering::SeqCst);
}

/// Between the unlinking of what is retired and the look at all counts: orders the two for the caller, and each seat's
/// count with its owner's reads.
pub(super) fn fence_of_collector() {
    fence(Ordering::SeqCst);
    #[cfg(all(target_os = "linux", not(loom), not(miri)))]
    system::barrier();
}

/// The calling thread's slot.
#[cfg(not(loom))]
#[inline]
pub(super) fn slot_of_thread() -> usize {
    const NONE: usize = usize::MAX;
    thread_local! {
        // Const and without a destructor: a plain load, and nothing to run at the thread's end.
        static SLOT: Cell<usize> = const { Cell::new(NONE) };
    }
    #[cold]
    fn taken() -> usize {
        #[cfg(all(target_os = "linux", not(miri)))]
        let seat = system::take_seat();
        #[cfg(not(all(target_os = "linux", not(miri))))]
        let seat = None;
        let slot = seat.unwrap_or_else(shared_slot);
        SLOT.set(slot);
        slot
    }
    let slot = SLOT.get();
    if slot == NONE { taken() } else { slot }
}

#[cfg(not(loom))]
fn shared_slot() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    SEAT_COUNT + NEXT.fetch_add(1, Ordering::Relaxed) % SHARED_COUNT
}

#[cfg(loom)]
loom::thread_local! {
    pub(super) static SLOT: std::cell::Cell<usize> = std::cell::Cell::new(SEAT_COUNT);
}

#[cfg(loom)]
pub(super) fn slot_of_thread() -> usize {
    SLOT.with(|slot| slot.get())
}

#[cfg(all(target_os = "linux", not(loom), not(miri)))]
mod system {
    //! What of this is Linux's.

    use super::{Ordering, SEAT_COUNT, fence};
    use std::sync::OnceLock;
    use std::sync::atomic::AtomicU64;

    /// In a forked child, the owner of every seat that somebody had before: no process has such an id.
    const OF_A_PARENT: u64 = u64::MAX;
    /// Process and thread that own each seat, 0 for nobody.
    static OWNERS: [AtomicU64; SEAT_COUNT] = [const { AtomicU64::new(0) }; SEAT_COUNT];
    /// See S2.
    static HAS_BARRIER: OnceLock<bool> = OnceLock::new();

    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: the call takes three integers and touches no memory of the caller's.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    fn has_barrier() -> bool {
        *HAS_BARRIER.get_or_init(|| membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) && watch_forks())
    }

    fn watch_forks() -> bool {
        // SAFETY: the handler is a function of this library; the C library forgets it when it is unloaded (it is
        // registered under the library's own handle).
        unsafe { libc::pthread_atfork(None, None, Some(in_forked_child)) == 0 }
    }

    /// A child, or a child of it, may be given the id of a process before it, and its threads those of threads before
    /// them: by their names alone, seats would pass for those of its own that have ended. Stores to memory only, as is
    /// allowed here.
    extern "C" fn in_forked_child() {
        OWNERS.iter().filter(|owner| owner.load(Ordering::Relaxed) != 0).for_each(|owner| {
            owner.store(OF_A_PARENT, Ordering::Relaxed);
        });
    }

    /// A full fence on every thread of this process.
    pub(super) fn barrier() {
        // Without it there are no seats, and every slot's counting is a fence by itself.
        if HAS_BARRIER.get() != Some(&true) {
            return;
        }
        // In a forked child the registration is that of the parent's memory, which is gone.
        let is_done = membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED)
            || (membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
                && membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED));
        // To go on would be to free what somebody reads. It worked before, so it works.
        assert!(is_done, "membarrier(2) has stopped working");
    }

    /// A seat for the calling thread, if there is one.
    pub(super) fn take_seat() -> Option<usize> {
        if !has_barrier() {
            return None;
        }
        // A collector that saw no barrier yet fenced before this, and whoever sits here sees what it unlinked.
        fence(Ordering::SeqCst);
        // SAFETY: takes nothing, returns a number.
        let thread = unsafe { libc::syscall(libc::SYS_gettid) } as u32;
        let me = u64::from(std::process::id()) << 32 | u64::from(thread);
        // Every other line first: processors like to fetch lines in pairs.
        let seats = || (0..SEAT_COUNT).step_by(2).chain((1..SEAT_COUNT).step_by(2));
        let take = |seat: &usize, owner| {
            OWNERS[*seat].compare_exchange(owner, me, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        // A thread with this very id that owned a seat has ended, or the id would not be ours.
        seats()
            .find(|seat| OWNERS[*seat].load(Ordering::Relaxed) == me)
            .or_else(|| seats().find(|seat| take(seat, 0)))
            .or_else(|| {
                seats().find(|seat| {
                    let owner = OWNERS[*seat].load(Ordering::Relaxed);
                    has_ended(owner) && take(seat, owner)
                })
            })
    }

    /// Whether a seat's owner is a thread of this process that has ended. Then all that it stored is visible to
    /// everyone: the kernel forgets a thread's id only after it has left its processor.
    ///
    /// Threads of a parent are never said to have ended: the one that forked lives on in the child, in its seat.
    fn has_ended(owner: u64) -> bool {
        let (process, thread) = ((owner >> 32) as u32, owner as u32);
        if process != std::process::id() {
            return false;
        }
        // SAFETY: signal 0 is sent to nobody: the call only says whether the thread exists.
        let refused = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, 0) } != 0;
        refused && std::io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
    }

    #[cfg(test)]
    mod tests {
        use super::super::{SEAT_COUNT, is_seat, slot_of_thread};
        use super::*;

        #[test]
        fn seats_of_threads_that_have_ended_are_taken_again() {
            // One after the other, more of them than there are seats. Other tests' threads may own all for a while.
            let threads = (0..8 * SEAT_COUNT).map(|_| std::thread::spawn(slot_of_thread).join().expect("no panic"));
            let seated = threads.filter(|slot| is_seat(*slot)).count();
            assert!(seated > 2 * SEAT_COUNT, "{seated}");
        }

        #[test]
        fn no_two_threads_that_live_own_one_seat() {
            let count = SEAT_COUNT + 20;
            let all_are_here = std::sync::Barrier::new(count);
            let slots: Vec<usize> = std::thread::scope(|scope| {
                let taken = || {
                    let slot = slot_of_thread();
                    all_are_here.wait();
                    assert_eq!(slot_of_thread(), slot);
                    slot
                };
                let threads: Vec<_> = (0..count).map(|_| scope.spawn(taken)).collect();
                threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
            });
            let mut seats: Vec<_> = slots.iter().filter(|slot| is_seat(**slot)).collect();
            assert!(seats.len() < count, "there are more threads than seats");
            let all = seats.len();
            seats.sort_unstable();
            seats.dedup();
            assert_eq!(seats.len(), all, "{slots:?}");
        }

        #[test]
        fn only_ended_threads_of_this_process_count_as_ended() {
            let ended = std::thread::spawn(|| {
                // SAFETY: takes nothing, returns a number.
                unsafe { libc::syscall(libc::SYS_gettid) as u32 }
            });
            let ended = u64::from(ended.join().expect("no panic"));
            let process = u64::from(std::process::id());
            // Its joiner is woken a little before the kernel forgets the id.
            let is_forgotten = (0..60_000).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(1));
                has_ended(process << 32 | ended)
            });
            assert!(is_forgotten, "thread {ended} has ended and still counts as living after a minute");
            assert!(!has_ended(process << 32 | process), "the main thread lives");
            assert!(!has_ended((process + 1) << 32 | ended), "another process's");
            assert!(!has_ended(0));
        }

        #[test]
        fn no_seat_of_a_parent_is_named_after_a_process_in_its_child() {
            let seat = slot_of_thread();
            assert!(OWNERS.iter().any(|owner| owner.load(Ordering::Relaxed) != 0), "somebody sits");
            // SAFETY: the child looks at atomics, and ends by `_exit`.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let is_unnamed = |owner: &AtomicU64| [0, OF_A_PARENT].contains(&owner.load(Ordering::Relaxed));
                // Who forked sits where it sat.
                let is_right = OWNERS.iter().all(is_unnamed) && slot_of_thread() == seat && !has_ended(OF_A_PARENT);
                // SAFETY: ends the process, returns never.
                unsafe { libc::_exit(if is_right { 0 } else { 1 }) };
            }
            let mut status = 1;
            // SAFETY: a child of this process; the status is valid for a store.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert_eq!(status, 0);
        }

        #[test]
        fn the_barrier_holds_wherever_there_are_seats() {
            assert!(has_barrier(), "membarrier(2) is in every Linux since 4.14");
            barrier();
        }
    }
}
