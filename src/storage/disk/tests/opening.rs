//! Which directories open, which are created, and the sentence for each that is not.

use super::*;

fn refused(path: impl AsRef<Path>, create: bool, read_only: bool) -> Error {
    let path = path.as_ref();
    let error = DiskStorage::open(path, create, read_only).err().expect("refused");
    assert!(error.message().contains(&path.display().to_string()), "{error} names {path:?}");
    error
}

#[test]
fn the_last_component_is_created_and_no_other() {
    let scratch = Scratch::new();
    let missing_parent = refused(scratch.path().join("a/b"), true, false);
    assert_eq!((missing_parent.status(), missing_parent.os_errno()), (Status::Io, libc::ENOENT));
    assert!(!scratch.path().join("a").exists());
    DiskStorage::open(scratch.path().join("a"), true, false).unwrap();
    DiskStorage::open(scratch.path().join("a"), false, false).unwrap();
    let storage = DiskStorage::open(scratch.path().join("a/b/"), true, false).unwrap();
    assert_eq!(storage.describe(), scratch.path().join("a/b/").display().to_string());
}

#[test]
fn a_missing_directory_that_may_not_be_created_is_not_found() {
    let scratch = Scratch::new();
    for (create, read_only) in [(false, false), (true, true), (false, true)] {
        let error = refused(scratch.path().join("a"), create, read_only);
        assert_eq!(error.status(), Status::NotFound);
        assert!(!scratch.path().join("a").exists());
    }
}

#[test]
fn a_path_that_cannot_be_a_directory_is_an_invalid_argument() {
    let scratch = Scratch::new();
    let file = scratch.path().join("file");
    std::fs::write(&file, b"mine").unwrap();
    assert_eq!(refused(&file, true, false).status(), Status::InvalidArgument);
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    assert_eq!(refused("", true, false).status(), Status::InvalidArgument);
    let with_nul = DiskStorage::open("a\0b", true, false).err().unwrap();
    assert_eq!(with_nul.status(), Status::InvalidArgument);
    let below_file = refused(file.join("store"), true, false);
    assert_eq!((below_file.status(), below_file.os_errno()), (Status::Io, libc::ENOTDIR));
}

#[test]
fn p14_a_directory_opened_read_only_is_not_changed() {
    let scratch = Scratch::new();
    scratch.storage().create("a").unwrap().write_at(b"old", 0).unwrap();
    let storage = DiskStorage::open(scratch.path(), false, true).unwrap();
    assert_eq!(errno(storage.create("b")), libc::EROFS);
    assert_eq!(errno(storage.rename("a", "b")), libc::EROFS);
    assert_eq!(errno(storage.remove("a")), libc::EROFS);
    assert_eq!(errno(storage.open("a", MapAccess::ReadWrite)), libc::EROFS);
    assert!(matches!(storage.lock(), Err(LockError::Io(error)) if error.raw_os_error() == Some(libc::EROFS)));
    storage.probe_lock().unwrap();
    let file = storage.open("a", MapAccess::ReadOnly).unwrap();
    assert_eq!(errno(file.write_at(b"new", 0)), libc::EBADF);
    assert_eq!(storage.list().unwrap(), ["a"]);
    assert_eq!(std::fs::read(scratch.path().join("a")).unwrap(), b"old");
}

#[test]
fn what_is_created_has_plain_modes_under_the_umask() {
    let scratch = Scratch::new();
    let path = scratch.path().join("store");
    let storage = DiskStorage::open(&path, true, false).unwrap();
    storage.create("a").unwrap();
    drop(storage.lock().unwrap());
    // Read from /proc, as asking `umask` itself means to change it.
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let umask = status.lines().find_map(|line| line.strip_prefix("Umask:")).unwrap();
    let umask = u32::from_str_radix(umask.trim(), 8).unwrap();
    let mode_of = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode_of(&path), 0o755 & !umask);
    assert_eq!(mode_of(&path.join("a")), 0o644 & !umask);
    assert_eq!(mode_of(&path.join("LOCK")), 0o644 & !umask);
}

#[test]
fn names_that_are_no_utf8_are_listed_too() {
    use std::os::unix::ffi::OsStrExt;
    let scratch = Scratch::new();
    std::fs::write(scratch.path().join(std::ffi::OsStr::from_bytes(b"\xFF")), b"").unwrap();
    assert_eq!(scratch.storage().list().unwrap(), ["\u{FFFD}"]);
}

#[test]
fn a_pipe_in_the_place_of_a_file_hangs_nobody() {
    let scratch = Scratch::new();
    let storage = scratch.storage();
    for name in ["LOCK", "MANIFEST"] {
        let path = CString::new(scratch.path().join(name).as_os_str().as_bytes()).unwrap();
        // SAFETY: a NUL-terminated path.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    }
    let (answer, answered) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        storage.probe_lock().unwrap();
        let pipe = storage.open("MANIFEST", MapAccess::ReadOnly).unwrap();
        answer.send((pipe.len().unwrap(), pipe.read_at(&mut [0], 0).is_err())).unwrap();
    });
    assert_eq!(answered.recv_timeout(std::time::Duration::from_secs(5)), Ok((0, true)));
}
