//! The lock between handles, threads, processes and their forked children.

use super::*;
use std::io::{BufRead, BufReader};
use std::os::fd::RawFd;
use std::time::Instant;

#[test]
fn p10_a_second_opener_is_busy_at_once_with_the_pid_and_the_lock_is_free_after_the_first() {
    let scratch = Scratch::new();
    let (first, second) = (scratch.storage(), scratch.storage());
    first.probe_lock().unwrap();
    let guard = first.lock().unwrap();
    let own_pid = std::process::id();
    let begun = Instant::now();
    assert!(matches!(second.lock(), Err(LockError::Busy { pid }) if pid == own_pid));
    assert!(matches!(second.probe_lock(), Err(LockError::Busy { pid }) if pid == own_pid));
    assert!(begun.elapsed().as_millis() < 500, "busy is said at once");
    assert_eq!(std::fs::read_to_string(scratch.path().join("LOCK")).unwrap(), format!("{own_pid}\n"));
    drop(guard);
    second.probe_lock().unwrap();
    let guard = second.lock().unwrap();
    assert!(matches!(first.lock(), Err(LockError::Busy { .. })));
    drop(guard);
}

#[test]
fn a_probe_in_the_way_of_a_writer_is_waited_for() {
    let scratch = Scratch::new();
    let storage = scratch.storage();
    drop(storage.lock().unwrap());
    let probing = std::fs::File::open(scratch.path().join("LOCK")).unwrap();
    // SAFETY: an open descriptor.
    assert_eq!(unsafe { libc::flock(probing.as_raw_fd(), libc::LOCK_SH) }, 0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| storage.lock().map(drop));
        std::thread::sleep(std::time::Duration::from_micros(500));
        drop(probing);
        writer.join().unwrap().unwrap();
    });
}

#[test]
fn a_lock_file_without_a_pid_is_busy_with_pid_0() {
    let scratch = Scratch::new();
    let storage = scratch.storage();
    let _guard = storage.lock().unwrap();
    for content in ["", "\n", "somebody\n", "99999999999999999999\n"] {
        std::fs::write(scratch.path().join("LOCK"), content).unwrap();
        assert!(matches!(storage.lock(), Err(LockError::Busy { pid: 0 })), "{content:?}");
    }
}

#[test]
fn a_probe_keeps_nothing_even_while_its_descriptor_lives_on() {
    let scratch = Scratch::new();
    let storage = scratch.storage();
    drop(storage.lock().unwrap());
    let inherited = std::fs::File::open(scratch.path().join("LOCK")).unwrap();
    lock::probe(&inherited).unwrap();
    storage.lock().unwrap();
}

#[test]
fn a_pid_that_cannot_be_written_leaves_none_rather_than_a_wrong_one() {
    // SAFETY: a NUL-terminated name; the new descriptor is owned by the file alone.
    let sealed = unsafe { std::fs::File::from_raw_fd(libc::memfd_create(c"LOCK".as_ptr(), libc::MFD_ALLOW_SEALING)) };
    std::os::unix::fs::FileExt::write_all_at(&sealed, b"4711\n", 0).unwrap();
    // SAFETY: an open descriptor. Writes are refused from now on.
    assert_eq!(unsafe { libc::fcntl(sealed.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_WRITE) }, 0);
    let _guard = lock::acquire(|| sealed.try_clone()).unwrap();
    assert_eq!(sealed.metadata().unwrap().len(), 0);
}

#[test]
fn a_lock_that_was_not_given_leaves_no_descriptor_behind() {
    let scratch = Scratch::new();
    let storage = scratch.storage();
    let _guard = storage.lock().unwrap();
    for _ in 0..3 {
        assert!(storage.lock().is_err());
    }
    let opened = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| {
        std::fs::read_link(entry.unwrap().path()).ok().filter(|target| *target == scratch.path().join("LOCK"))
    });
    assert_eq!(opened.count(), 1);
}

/// Not a test of its own, but the process that the next one starts: takes the lock, forks a child
/// that outlives it, and waits to be killed.
#[test]
fn holder_of_a_lock_that_has_a_forked_child() {
    let Some(path) = told_directory() else { return };
    let storage = DiskStorage::open(&path, false, false).unwrap();
    let descriptors = || {
        let entries = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap());
        entries.filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|target| target == path.join("LOCK")))
    };
    let guard = storage.lock().unwrap();
    let descriptor: RawFd = descriptors().next().unwrap().file_name().to_str().unwrap().parse().unwrap();
    // SAFETY: the only thread that matters here is this one, and it goes on in the child.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let kept_count = descriptors().count();
        // The number may be in use for something else by now. The guard has no business with it.
        // SAFETY: plain system calls on descriptors of this process.
        unsafe { libc::dup2(1, descriptor) };
        drop(guard);
        // SAFETY: as above.
        let is_unharmed = unsafe { libc::fcntl(descriptor, libc::F_GETFD) } >= 0;
        // SAFETY: as above.
        println!("inherited by {} kept {kept_count} unharmed {is_unharmed}", unsafe { libc::getpid() });
        std::thread::sleep(std::time::Duration::from_secs(20));
        // SAFETY: ends the child without what the parent still has to do.
        unsafe { libc::_exit(0) };
    }
    std::thread::sleep(std::time::Duration::from_secs(20));
}

#[test]
fn p10_the_lock_dies_with_its_holder_though_a_forked_child_lives_on() {
    let scratch = Scratch::new();
    let storage = scratch.storage();
    let mut holder = start_again("locking::holder_of_a_lock_that_has_a_forked_child", scratch.path());
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines().map(|line| line.unwrap());
    let told = lines.find_map(|line| line.split_once("inherited by ").map(|(_, told)| told.to_owned())).unwrap();
    let (child, told) = told.split_once(' ').unwrap();
    let child: libc::pid_t = child.parse().unwrap();
    let busy = storage.lock().map(drop);
    holder.kill().unwrap();
    holder.wait().unwrap();
    let freed = storage.lock().map(drop);
    let state = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap();
    // SAFETY: the child is ours to end: started above, by the process that is gone.
    unsafe { libc::kill(child, libc::SIGKILL) };
    assert!(matches!(busy, Err(LockError::Busy { pid }) if pid == holder.id()), "held by {}", holder.id());
    freed.expect("the holder is dead");
    assert!(!state.contains(") Z"), "the child outlived its parent: {state}");
    assert_eq!(told, "kept 0 unharmed true");
}
