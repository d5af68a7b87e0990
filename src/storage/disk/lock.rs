//! The store's lock: `flock` on a file that says whose it is.
//!
//! `flock` belongs to the open file, so it excludes other handles of the same process too, and the
//! system drops it with the last descriptor. A forked child inherits descriptors and would so keep
//! the lock of a parent that is long dead; a fork handler closes them in the child.
//!
//! Not here: what an opener does when the lock is taken (`store`).
//!
//! Invariants:
//!   L1. A lock dies with the process that took it, whatever children it has (P10).
//!   L2. A guard that was inherited over `fork` touches neither lock nor descriptor: the number may
//!       long belong to another file of the child.
//!   L3. Fork handlers only touch atomics and call `close`: both are safe whatever the other
//!       threads of the parent were doing.
//!
//! Locks: none in memory.

use super::file::require_within_limit;
use super::retry;
use crate::storage::{LockError, LockGuard};
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

/// A probe of a read-only opener holds a shared lock for some microseconds; a writer that loses
/// against one looks again. Three milliseconds at most, so that busy is still said at once.
const ATTEMPTS_MAX: u32 = 4;
const ATTEMPT_PAUSE: Duration = Duration::from_millis(1);

/// How many locks of one process are closed in its forked children. Beyond it locks still exclude
/// each other; only L1 then waits for the children, too.
const INHERITED_COUNT_MAX: usize = 1024;

/// Descriptors that a forked child closes; −1 is a free place.
static INHERITED: [AtomicI32; INHERITED_COUNT_MAX] = [const { AtomicI32::new(-1) }; INHERITED_COUNT_MAX];
/// Forks that have begun, ever, and that are going on now: a descriptor that was opened but not yet
/// in `INHERITED` while one of them copied the process must not be locked.
static FORKS_BEGUN: AtomicU64 = AtomicU64::new(0);
static FORKS_RUNNING: AtomicU64 = AtomicU64::new(0);

/// Holds the lock until dropped.
pub(super) struct DiskLock {
    inherited: Inherited,
    owner_pid: u32,
}

impl LockGuard for DiskLock {}

impl Drop for DiskLock {
    fn drop(&mut self) {
        if std::process::id() != self.owner_pid {
            return; // L2: the fork handler has closed it, or nobody may.
        }
        // Unlocked by name and not by closing alone: a child that was forked past the handler (a
        // raw `clone`) has the descriptor as well.
        let _ = flock(&self.inherited.file, libc::LOCK_UN);
        self.inherited.release();
    }
}

/// Takes the lock on the file that `open` opens, and writes this process's pid into it.
pub(super) fn acquire(open: impl Fn() -> io::Result<File>) -> Result<DiskLock, LockError> {
    let mut inherited = Inherited::open(open).map_err(LockError::Io)?;
    match lock_exclusively(&inherited.file) {
        Ok(()) => Ok(DiskLock { inherited, owner_pid: std::process::id() }),
        Err(refused) => {
            inherited.release();
            Err(refused)
        }
    }
}

fn lock_exclusively(file: &File) -> Result<(), LockError> {
    for attempt in 1.. {
        match flock(file, libc::LOCK_EX) {
            Ok(()) => break,
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(LockError::Io(error)),
            Err(_) if attempt >= ATTEMPTS_MAX => return Err(LockError::Busy { pid: read_pid(file) }),
            Err(_) => std::thread::sleep(ATTEMPT_PAUSE),
        }
    }
    let line = format!("{}\n", std::process::id());
    let is_allowed = require_within_limit(line.len() as u64);
    let written =
        is_allowed.and_then(|()| file.write_all_at(line.as_bytes(), 0)).and_then(|()| file.set_len(line.len() as u64));
    if written.is_err() {
        // The lock is what counts. On a full disk it has no pid, rather than a wrong one.
        let _ = file.set_len(0);
    }
    Ok(())
}

/// Says whether somebody holds the lock on `file`, by taking a shared one for a moment.
pub(super) fn probe(file: &File) -> Result<(), LockError> {
    match flock(file, libc::LOCK_SH) {
        // Unlocked by name, so that a child forked in this moment keeps nothing.
        Ok(()) => flock(file, libc::LOCK_UN).map_err(LockError::Io),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(LockError::Busy { pid: read_pid(file) }),
        Err(error) => Err(LockError::Io(error)),
    }
}

fn flock(file: &File, operation: libc::c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open as long as the borrow; the call touches no memory of ours.
    retry(|| unsafe { libc::flock(file.as_raw_fd(), operation | libc::LOCK_NB) }).map(drop)
}

/// The pid in the file, 0 if there is none to be read.
fn read_pid(file: &File) -> u32 {
    let mut bytes = [0_u8; 16];
    let len = file.read_at(&mut bytes, 0).unwrap_or(0);
    let line = bytes[..len].split(|byte| *byte == b'\n').next().unwrap_or_default();
    std::str::from_utf8(line).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// An open file whose descriptor forked children close.
struct Inherited {
    /// Not dropped on its own: whether it may be closed depends on the process (L2).
    file: ManuallyDrop<File>,
    place: Option<usize>,
}

impl Inherited {
    fn open(open: impl Fn() -> io::Result<File>) -> io::Result<Self> {
        watch_forks()?;
        // Ends at the first try unless other threads fork all the time; then the last one counts.
        for attempt in 0.. {
            let forks_begun = FORKS_BEGUN.load(Ordering::SeqCst);
            let is_last = attempt >= 1000;
            if FORKS_RUNNING.load(Ordering::SeqCst) != 0 && !is_last {
                std::thread::yield_now();
                continue;
            }
            let file = open()?;
            let place = register(file.as_raw_fd());
            let mut inherited = Self { file: ManuallyDrop::new(file), place };
            if FORKS_BEGUN.load(Ordering::SeqCst) == forks_begun || is_last {
                return Ok(inherited);
            }
            // A child may have this open file without knowing of it. It is not locked yet: a new one.
            inherited.release();
        }
        unreachable!("the last attempt returns")
    }

    /// Closes the file. Only in the process that opened it, and only once.
    fn release(&mut self) {
        if let Some(place) = self.place.take() {
            // Before the close: afterwards the number may belong to somebody else.
            INHERITED[place].store(-1, Ordering::SeqCst);
        }
        // SAFETY: called once, by the guard's drop or by who gives up before there is a guard; the
        // file is not used afterwards.
        unsafe { ManuallyDrop::drop(&mut self.file) };
    }
}

/// Notes a descriptor for the fork handler; `None` if all places are taken.
fn register(descriptor: RawFd) -> Option<usize> {
    INHERITED
        .iter()
        .position(|place| place.compare_exchange(-1, descriptor, Ordering::SeqCst, Ordering::SeqCst).is_ok())
}

/// Registers the fork handlers, once per process.
fn watch_forks() -> io::Result<()> {
    static ERRNO: OnceLock<libc::c_int> = OnceLock::new();
    // SAFETY: the handlers are functions of this library; the C library forgets them when it is
    // unloaded (they are registered under the library's own handle).
    let errno = *ERRNO
        .get_or_init(|| unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(in_forked_child)) });
    if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(errno)) }
}

extern "C" fn before_fork() {
    // In this order: who reads them the other way round misses no fork.
    FORKS_RUNNING.fetch_add(1, Ordering::SeqCst);
    FORKS_BEGUN.fetch_add(1, Ordering::SeqCst);
}

extern "C" fn after_fork() {
    FORKS_RUNNING.fetch_sub(1, Ordering::SeqCst);
}

extern "C" fn in_forked_child() {
    // Whatever other threads were forking, they are not in this process.
    FORKS_RUNNING.store(0, Ordering::SeqCst);
    for place in &INHERITED {
        let descriptor = place.swap(-1, Ordering::SeqCst);
        if descriptor >= 0 {
            // SAFETY: an open descriptor of a lock file, which the guard that came along will
            // neither use nor close (L2).
            unsafe { libc::close(descriptor) };
        }
    }
}
