//! Systems that say no: full, without `fallocate`, read-only, without permission. Each takes root,
//! for a mount or a user that only one thread of this process sees, and says so where it has none.

use super::*;

/// Runs `test` on a thread of its own with a fresh file system of `kind` at the path it is given.
fn with_file_system(kind: &CStr, options: &CStr, test: impl FnOnce(&Path) + Send) {
    let scratch = Scratch::new();
    let target = CString::new(scratch.path().as_os_str().as_bytes()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let flags = libc::MS_REC | libc::MS_PRIVATE;
            let none = std::ptr::null();
            // SAFETY: this thread alone leaves the mounts of the process; every string is
            // NUL-terminated and lives through the calls.
            let mounted = unsafe {
                libc::unshare(libc::CLONE_NEWNS) == 0
                    && libc::mount(none, c"/".as_ptr(), none, flags, none.cast()) == 0
                    && libc::mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), 0, options.as_ptr().cast()) == 0
            };
            if !mounted {
                println!("SKIPPED: mounting {kind:?} takes root: {}", io::Error::last_os_error());
                return;
            }
            test(scratch.path());
        });
    });
}

#[test]
fn a_full_disk_refuses_a_reservation_and_keeps_nothing_of_it() {
    with_file_system(c"tmpfs", c"size=64k", |path| {
        let storage = DiskStorage::open(path, true, false).unwrap();
        let file = storage.create("a").unwrap();
        file.write_at(b"kept", 0).unwrap();
        assert_eq!(errno(file.reserve(1 << 20)), libc::ENOSPC);
        assert_eq!(file.len().unwrap(), 4);
        assert_eq!(blocks_len(&path.join("a")), 4096);
        file.reserve(32 * 1024).unwrap();
        let other = storage.create("b").unwrap();
        assert_eq!(errno(other.reserve(60 * 1024)), libc::ENOSPC);
        assert_eq!((other.len().unwrap(), blocks_len(&path.join("b"))), (0, 0));
    });
}

#[test]
fn a_file_system_without_fallocate_gets_zeros_written_and_keeps_its_holes() {
    with_file_system(c"ramfs", c"", |path| {
        let storage = DiskStorage::open(path, true, false).unwrap();
        let file = storage.create("a").unwrap();
        file.write_at(b"kept", 0).unwrap();
        file.reserve(200_000).unwrap();
        let bytes = std::fs::read(path.join("a")).unwrap();
        assert_eq!(bytes.len(), 200_000);
        assert_eq!(&bytes[..4], b"kept");
        file.punch_hole(0, 8192).unwrap();
        assert_eq!(std::fs::read(path.join("a")).unwrap(), bytes);
    });
}

#[test]
fn zeros_that_do_not_fit_are_an_error() {
    with_file_system(c"tmpfs", c"size=64k", |path| {
        let file = std::fs::File::create(path.join("a")).unwrap();
        assert_eq!(errno(file::write_zeros(&file, 0, 1 << 20)), libc::ENOSPC);
    });
}

#[test]
fn a_lock_on_a_full_disk_is_taken_without_a_pid() {
    with_file_system(c"tmpfs", c"size=16k", |path| {
        let storage = DiskStorage::open(path, true, false).unwrap();
        storage.create("a").unwrap().reserve(16 * 1024).unwrap();
        let _guard = storage.lock().unwrap();
        assert!(matches!(storage.lock(), Err(LockError::Busy { pid: 0 })));
    });
}

#[test]
fn p14_read_only_media_open_read_only_and_say_so_otherwise() {
    with_file_system(c"tmpfs", c"size=64k", |path| {
        DiskStorage::open(path, true, false).unwrap().create("a").unwrap();
        let target = CString::new(path.as_os_str().as_bytes()).unwrap();
        let none = std::ptr::null();
        // SAFETY: every string is NUL-terminated and lives through the call.
        let remounted =
            unsafe { libc::mount(none, target.as_ptr(), none, libc::MS_REMOUNT | libc::MS_RDONLY, none.cast()) };
        assert_eq!(remounted, 0);
        let refused = DiskStorage::open(path, true, false).err().unwrap();
        assert_eq!((refused.status(), refused.os_errno()), (Status::Io, libc::EROFS));
        assert!(refused.message().contains(&path.display().to_string()));
        let storage = DiskStorage::open(path, true, true).unwrap();
        assert_eq!(storage.list().unwrap(), ["a"]);
        storage.open("a", MapAccess::ReadOnly).unwrap();
        storage.probe_lock().unwrap();
    });
}

#[test]
fn no_permission_is_eacces_with_the_path() {
    let scratch = Scratch::new();
    let store = scratch.path().join("store");
    DiskStorage::open(&store, true, false).unwrap();
    let mode =
        |path: &Path, bits| std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(bits)).unwrap();
    mode(scratch.path(), 0o755);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // SAFETY: changes only which user this thread is to the file system, and the thread ends.
            let before = unsafe { libc::syscall(libc::SYS_setfsuid, 65_534) };
            // SAFETY: −1 changes nothing and answers who we are.
            let now = unsafe { libc::syscall(libc::SYS_setfsuid, -1) };
            if before == now && before != 65_534 {
                println!("SKIPPED: being another user takes root");
                return;
            }
            let refused = |path: &Path, create, read_only| {
                let error = DiskStorage::open(path, create, read_only).err().unwrap();
                assert_eq!((error.status(), error.os_errno()), (Status::Io, libc::EACCES));
                assert!(error.message().contains(&path.display().to_string()));
            };
            refused(&store, true, false);
            refused(&scratch.path().join("new"), true, false);
            assert!(DiskStorage::open(&store, false, true).is_ok(), "it may be read");
        });
    });
    mode(&store, 0o700);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // SAFETY: as above.
            unsafe { libc::syscall(libc::SYS_setfsuid, 65_534) };
            // SAFETY: as above.
            if unsafe { libc::syscall(libc::SYS_setfsuid, -1) } == 65_534 {
                let error = DiskStorage::open(&store, false, true).err().unwrap();
                assert_eq!((error.status(), error.os_errno()), (Status::Io, libc::EACCES));
            }
        });
    });
}

#[test]
fn what_was_reserved_in_vain_is_taken_back() {
    let scratch = Scratch::new();
    let path = scratch.path().join("a");
    std::fs::write(&path, b"kept").unwrap();
    let open = || std::fs::File::options().write(true).open(&path).unwrap();
    let refused = file::DiskFile::new(open()).grow(1 << 20, |start| {
        file::write_zeros(&open(), start, 10_000)?;
        assert_eq!(std::fs::metadata(&path)?.len(), 10_000);
        Err(io::Error::from_raw_os_error(libc::ENOSPC))
    });
    assert_eq!(errno(refused), libc::ENOSPC);
    assert_eq!(std::fs::read(&path).unwrap(), b"kept");
}

/// Not a test of its own, but the process that the next one starts.
#[test]
fn writer_under_a_limit() {
    let Some(path) = told_directory() else { return };
    let limit = libc::rlimit { rlim_cur: 100_000, rlim_max: 100_000 };
    // SAFETY: a valid limit, for this process only, which is there for this test.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) }, 0);
    let file = DiskStorage::open(&path, true, false).unwrap().create("a").unwrap();
    file.reserve(100_000).unwrap();
    assert_eq!(errno(file.reserve(100_001)), libc::EFBIG);
    file.write_at(b"fits", 99_996).unwrap();
    assert_eq!(errno(file.write_at(b"not", 99_998)), libc::EFBIG);
    assert_eq!(errno(file.write_at(b"not", u64::MAX)), libc::EFBIG);
    assert_eq!(file.len().unwrap(), 100_000);
}

#[test]
fn p5_the_limit_on_file_lengths_is_an_error_and_no_signal() {
    let scratch = Scratch::new();
    let output = start_again("refusals::writer_under_a_limit", scratch.path()).wait_with_output().unwrap();
    assert!(output.status.success(), "{:?}", output);
    assert_eq!(std::fs::read(scratch.path().join("a")).unwrap()[99_996..], *b"fits");
}
