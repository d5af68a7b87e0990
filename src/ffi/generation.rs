//! Which process made a handle: one load and one compare tell a forked child from its parent.
//!
//! One page of the process is mapped with `MADV_WIPEONFORK`. Its first word holds the process's
//! *generation*, a number that is never 0 once a handle exists. The kernel hands a child the page
//! zeroed, after `fork` and after a bare `clone` alike, so an inherited handle finds another
//! word than the one it remembers. A child that opens a store of its own stamps the page anew, with
//! a number that none of its ancestors used. Where the kernel refuses the advice, a `pthread_atfork`
//! handler zeroes an ordinary word instead.
//!
//! Not here: what a refused call answers (`handle`).
//!
//! Invariants:
//!   G1. A generation is never 0 and never that of an ancestor: `NEXT_GENERATION` only grows, and a
//!       child inherits it.
//!   G2. The word's address never changes once published, and its page is never unmapped.
//!
//! Locks: none. `fork` may happen between any two instructions of another thread, and a lock held
//! then would stay held in the child for ever.

use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// The word that holds this process's generation; null until the first handle is made.
static WORD: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());

/// The word where the kernel cannot wipe a page.
static FALLBACK_WORD: AtomicU64 = AtomicU64::new(0);

/// The next generation to hand out; copied, not wiped, by a fork.
static NEXT_GENERATION: AtomicU64 = AtomicU64::new(1);

/// The process that made something, remembered by what it made.
#[derive(Clone, Copy)]
pub(super) struct Generation {
    word: &'static AtomicU64,
    stamped: u64,
}

impl Generation {
    /// This process's generation.
    pub(super) fn current() -> Self {
        let word = published_word();
        Self { word, stamped: stamp(word) }
    }

    /// True if another process than this one, an ancestor, made it.
    #[inline]
    pub(super) fn is_inherited(&self) -> bool {
        // Relaxed: a process's generation changes only between a fork and the child's first handle.
        self.word.load(Ordering::Relaxed) != self.stamped
    }
}

/// The generation in `word`, a new one if there is none.
fn stamp(word: &AtomicU64) -> u64 {
    match word.load(Ordering::Acquire) {
        0 => {
            let fresh = NEXT_GENERATION.fetch_add(1, Ordering::Relaxed);
            // Two threads of a child may open at once: both then use what the first one stamped.
            word.compare_exchange(0, fresh, Ordering::AcqRel, Ordering::Acquire).map_or_else(|first| first, |_| fresh)
        }
        stamped => stamped,
    }
}

fn published_word() -> &'static AtomicU64 {
    let mut word = WORD.load(Ordering::Acquire);
    if word.is_null() {
        let made = wiped_page().unwrap_or_else(word_zeroed_by_atfork);
        // The loser of a race leaves one page unused; unmapping it would need to know what it is.
        word = match WORD.compare_exchange(word, made, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => made,
            Err(first) => first,
        };
    }
    // SAFETY: `word` is not null and was made by `wiped_page` (page-aligned, zeroed, never unmapped,
    // G2) or is the address of a static; either is a valid AtomicU64 for ever.
    unsafe { &*word }
}

/// A page that a child finds zeroed; `None` if the kernel does not know how.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[allow(clippy::disallowed_methods)] // Anonymous memory: the rule is about maps of files.
fn wiped_page() -> Option<*mut AtomicU64> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let page_bytes = size_of::<AtomicU64>(); // The kernel rounds up to a page.
    // SAFETY: a new anonymous mapping where the kernel chooses aliases nothing.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), page_bytes, protection, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the range is the mapping just made, and private and anonymous as the advice demands.
    if unsafe { libc::madvise(page, page_bytes, libc::MADV_WIPEONFORK) } != 0 {
        // SAFETY: nothing points into the mapping yet.
        unsafe { libc::munmap(page, page_bytes) };
        return None;
    }
    Some(page.cast())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn wiped_page() -> Option<*mut AtomicU64> {
    None
}

/// A word that the C library's fork zeroes in the child.
fn word_zeroed_by_atfork() -> *mut AtomicU64 {
    extern "C" fn zero_in_child() {
        FALLBACK_WORD.store(0, Ordering::Relaxed);
    }
    // SAFETY: the handler is async-signal-safe (one store to a static) and takes no argument. Should
    // the registration fail for want of memory, children are not told apart, and nothing else breaks.
    unsafe { libc::pthread_atfork(None, None, Some(zero_in_child)) };
    (&raw const FALLBACK_WORD).cast_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `child` in a forked child and returns the bits it answers with.
    fn in_child(child: impl FnOnce() -> u8) -> i32 {
        // SAFETY: the child only touches atomics and leaves by _exit.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            let answer = child();
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(i32::from(answer)) };
        }
        let mut wait_status = 0;
        // SAFETY: `pid` is our child, `wait_status` is writable.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut wait_status, 0) }, pid);
        assert!(libc::WIFEXITED(wait_status));
        libc::WEXITSTATUS(wait_status)
    }

    #[test]
    fn a_child_tells_inherited_from_its_own() {
        let ours = Generation::current();
        assert!(!ours.is_inherited());
        let answer = in_child(|| {
            let before = ours.is_inherited();
            let own = Generation::current();
            let grandchild_sees_both_as_inherited = in_child(|| {
                let fresh = Generation::current();
                u8::from(own.is_inherited() && ours.is_inherited() && !fresh.is_inherited())
            }) == 1;
            u8::from(before)
                | u8::from(ours.is_inherited()) << 1
                | u8::from(!own.is_inherited()) << 2
                | u8::from(grandchild_sees_both_as_inherited) << 3
        });
        assert_eq!(answer, 0b1111);
        assert!(!ours.is_inherited());
    }

    #[test]
    fn the_fallback_tells_a_child_too() {
        // SAFETY: the address of a static.
        let word: &'static AtomicU64 = unsafe { &*word_zeroed_by_atfork() };
        let ours = Generation { word, stamped: stamp(word) };
        assert!(!ours.is_inherited());
        let answer = in_child(|| {
            let before = ours.is_inherited();
            let own = Generation { word, stamped: stamp(word) };
            u8::from(before) | u8::from(ours.is_inherited()) << 1 | u8::from(!own.is_inherited()) << 2
        });
        assert_eq!(answer, 0b111);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_child_of_a_bare_clone_is_told_too() {
        let ours = Generation::current();
        // SAFETY: clone without CLONE_VM and with a NULL stack is fork without the C library's
        // handlers; the child only loads an atomic and leaves by _exit.
        let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0usize, 0usize, 0usize, 0usize) };
        if pid == 0 {
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(i32::from(ours.is_inherited())) };
        }
        let mut wait_status = 0;
        // SAFETY: `pid` is our child, `wait_status` is writable.
        unsafe { libc::waitpid(i32::try_from(pid).unwrap(), &raw mut wait_status, 0) };
        assert_eq!(libc::WEXITSTATUS(wait_status), 1);
    }
}
