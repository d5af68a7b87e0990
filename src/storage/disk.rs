//! The real directory: a store's files on a file system of this machine.
//!
//! Every name is resolved against one descriptor of the directory (`openat` and kin), so a store
//! whose directory is renamed, or whose process changes its working directory, never writes into
//! another one.
//!
//! Not here: which files count, and whether a directory's content is a store (`log::manifest`).
//!
//! Invariants:
//!   D1. A `DiskStorage` that was opened read-only changes nothing, not even by mistake.
//!   D2. A directory that this call created, or found empty, has a durable name when `open` returns.
//!   D3. A file is shortened only where `reserve` undoes its own growth, before anybody maps it.
//!
//! Locks: none in memory; `LOCK` on disk (see `disk::lock`).

// The one place that may call the file system and the clock (ST1).
#![allow(clippy::disallowed_methods)]

mod file;
mod journal;
mod lock;
mod staged;
#[cfg(test)]
pub(super) mod tests;

use super::{File, LockError, LockGuard, MapAccess, Storage};
use crate::error::{Error, Result, Status};
use file::DiskFile;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::time::{SystemTime, UNIX_EPOCH};

/// The name of the lock file.
const LOCK_NAME: &str = "LOCK";
/// Modes of what is created, before the process's umask.
const FILE_MODE: libc::mode_t = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

/// A directory of this machine's file system.
pub struct DiskStorage {
    /// As the caller wrote it, for messages only.
    path: PathBuf,
    directory: OwnedFd,
    is_read_only: bool,
}

impl DiskStorage {
    /// Opens the directory `path`; creates it, though not its parents, if it is missing, `create`
    /// is set and `read_only` is not.
    ///
    /// Errors: [`Status::NotFound`] if it is missing and may not be created;
    /// [`Status::InvalidArgument`] if the path names a file or can be no path at all;
    /// [`Status::Io`] with the errno for everything else, such as a missing parent (ENOENT) or no
    /// permission (EACCES). Each message names the path.
    pub fn open(path: impl AsRef<Path>, create: bool, read_only: bool) -> Result<Self> {
        let path = path.as_ref();
        let shown = path.display();
        if path.as_os_str().is_empty() || path.as_os_str().as_bytes().contains(&0) {
            return Err(Error::new(Status::InvalidArgument, format!("{:?} cannot be a directory's path", path)));
        }
        let is_created = match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => false,
            Ok(_) => {
                return Err(Error::new(Status::InvalidArgument, format!("{shown} is a file, not a directory")));
            }
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
                if read_only || !create {
                    return Err(Error::new(Status::NotFound, format!("there is no store at {shown}")));
                }
                create_directory(path).map_err(|e| Error::from_io(&format!("create {shown}"), &e))?
            }
            Err(refused) => return Err(Error::from_io(&format!("look at {shown}"), &refused)),
        };
        let opened = Self::open_existing(path, read_only).and_then(|storage| {
            if !read_only {
                storage.check_writable()?;
                storage.make_own_name_durable(is_created)?;
            }
            Ok(storage)
        });
        if opened.is_err() && is_created {
            // A failed open leaves nothing behind (R12); the directory is empty, so nothing is lost.
            let _ = std::fs::remove_dir(path);
        }
        opened
    }

    fn open_existing(path: &Path, read_only: bool) -> Result<Self> {
        let directory = std::os::unix::fs::OpenOptionsExt::custom_flags(
            std::fs::OpenOptions::new().read(true),
            libc::O_DIRECTORY | libc::O_CLOEXEC,
        )
        .open(path)
        .map_err(|e| Error::from_io(&format!("open {}", path.display()), &e))?;
        Ok(Self { path: path.to_owned(), directory: directory.into(), is_read_only: read_only })
    }

    /// One clear error at open instead of a later one from the first file that is created.
    fn check_writable(&self) -> Result<()> {
        // SAFETY: the descriptor is open as long as `self`; the name is NUL-terminated.
        let answer = retry(|| unsafe {
            libc::faccessat(self.directory.as_raw_fd(), c".".as_ptr(), libc::W_OK | libc::X_OK, libc::AT_EACCESS)
        });
        answer.map_err(|e| Error::from_io(&format!("write to {}", self.path.display()), &e))?;
        Ok(())
    }

    /// Without this a power cut could take back the directory together with everything that was
    /// acknowledged in it. Also done for an empty directory: whoever made it may not have synced it.
    fn make_own_name_durable(&self, is_created: bool) -> Result<()> {
        let action = || format!("sync the directory above {}", self.path.display());
        if !is_created && !self.list().map_err(|e| Error::from_io(&action(), &e))?.is_empty() {
            return Ok(());
        }
        let done = match self.open_at(c"..", libc::O_RDONLY | libc::O_DIRECTORY) {
            Ok(parent) => sync_descriptor(&parent),
            // A parent that may be passed through but not read cannot be synced on its own.
            // SAFETY: the descriptor is open as long as `self`.
            Err(_) => retry(|| unsafe { libc::syncfs(self.directory.as_raw_fd()) }).map(drop),
        };
        done.map_err(|e| Error::from_io(&action(), &e))
    }

    fn open_at(&self, name: &CStr, flags: libc::c_int) -> io::Result<std::fs::File> {
        // Files take no notice of O_NONBLOCK; but a pipe that somebody put in their place would hang
        // whoever opens it.
        let flags = flags | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;
        // SAFETY: the descriptor is open as long as `self`; the name is NUL-terminated; the mode is
        // passed as `openat` with O_CREAT reads it.
        let descriptor =
            retry(|| unsafe { libc::openat(self.directory.as_raw_fd(), name.as_ptr(), flags, FILE_MODE) })?;
        // SAFETY: just opened, and owned by nobody else.
        Ok(unsafe { std::fs::File::from_raw_fd(descriptor) })
    }

    /// D1: the flag is checked here and not left to the file system, which may well be writable.
    fn require_writable(&self) -> io::Result<()> {
        if self.is_read_only { Err(io::Error::from_raw_os_error(libc::EROFS)) } else { Ok(()) }
    }
}

impl Storage for DiskStorage {
    fn describe(&self) -> String {
        self.path.display().to_string()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        // A descriptor of its own: the position in a directory belongs to the open file.
        let directory = self.open_at(c".", libc::O_RDONLY | libc::O_DIRECTORY)?;
        DirectoryStream::new(directory.into())?.names()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.require_writable()?;
        let file = self.open_at(&plain_name(name)?, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL)?;
        Ok(Box::new(DiskFile::new(file)))
    }

    fn open(&self, name: &str, access: MapAccess) -> io::Result<Box<dyn File>> {
        let flags = match access {
            MapAccess::ReadOnly => libc::O_RDONLY,
            MapAccess::ReadWrite => {
                self.require_writable()?;
                libc::O_RDWR
            }
        };
        Ok(Box::new(DiskFile::new(self.open_at(&plain_name(name)?, flags)?)))
    }

    fn rename(&self, source: &str, target: &str) -> io::Result<()> {
        self.require_writable()?;
        let (source, target) = (plain_name(source)?, plain_name(target)?);
        let directory = self.directory.as_raw_fd();
        // SAFETY: the descriptor is open as long as `self`; both names are NUL-terminated.
        retry(|| unsafe { libc::renameat(directory, source.as_ptr(), directory, target.as_ptr()) }).map(drop)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.require_writable()?;
        let name = plain_name(name)?;
        // SAFETY: the descriptor is open as long as `self`; the name is NUL-terminated.
        retry(|| unsafe { libc::unlinkat(self.directory.as_raw_fd(), name.as_ptr(), 0) }).map(drop)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.require_writable()?;
        sync_descriptor(&self.directory)
    }

    fn lock(&self) -> std::result::Result<Box<dyn LockGuard>, LockError> {
        self.require_writable().map_err(LockError::Io)?;
        let name = plain_name(LOCK_NAME).map_err(LockError::Io)?;
        Ok(Box::new(lock::acquire(|| self.open_at(&name, libc::O_RDWR | libc::O_CREAT))?))
    }

    fn probe_lock(&self) -> std::result::Result<(), LockError> {
        let name = plain_name(LOCK_NAME).map_err(LockError::Io)?;
        match self.open_at(&name, libc::O_RDONLY) {
            Ok(file) => lock::probe(&file),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(refused) => Err(LockError::Io(refused)),
        }
    }

    fn now_ms(&self) -> u64 {
        // A clock before 1970 reads as 1970: `expiry::Clock` keeps time from running backwards.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn random_u64(&self) -> u64 {
        let mut bytes = [0_u8; 8];
        // SAFETY: the buffer is valid for stores of its length.
        let filled = retry(|| unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) as libc::c_int });
        match filled {
            Ok(8) => u64::from_le_bytes(bytes),
            // A kernel without the call: unlikely to repeat is what was promised, not secret.
            _ => {
                let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
                let own = u64::from(std::process::id()) << 32 ^ bytes.as_ptr() as u64;
                (nanos ^ own).wrapping_mul(0x9E37_79B9_7F4A_7C15)
            }
        }
    }
}

/// Creates the last component of `path`; false if somebody else did in the meantime.
fn create_directory(path: &Path) -> io::Result<bool> {
    match std::fs::DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Ok(()) => Ok(true),
        Err(raced) if raced.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(refused) => Err(refused),
    }
}

/// `name` as the system takes it: one component, no separator.
fn plain_name(name: &str) -> io::Result<CString> {
    debug_assert!(!name.is_empty() && !name.contains('/'), "{name:?} is no plain file name");
    Ok(CString::new(name)?)
}

/// `fsync`: data and metadata, and for a directory its entries.
fn sync_descriptor(descriptor: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: the descriptor is open as long as the borrow.
    let synced = retry(|| unsafe { libc::fsync(descriptor.as_raw_fd()) });
    match synced {
        // Some file systems have nothing to sync for a directory, and say so with EINVAL.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        other => other.map(drop),
    }
}

/// Repeats a system call while signals interrupt it; −1 becomes the error in `errno`.
fn retry(mut call: impl FnMut() -> libc::c_int) -> io::Result<libc::c_int> {
    loop {
        let answer = call();
        if answer >= 0 {
            return Ok(answer);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// An open directory stream, closed when dropped.
struct DirectoryStream(NonNull<libc::DIR>);

impl DirectoryStream {
    fn new(directory: OwnedFd) -> io::Result<Self> {
        // SAFETY: the descriptor is open and a directory; on success the stream owns it.
        let stream = unsafe { libc::fdopendir(directory.as_raw_fd()) };
        let stream = NonNull::new(stream).ok_or_else(io::Error::last_os_error)?;
        std::mem::forget(directory);
        Ok(Self(stream))
    }

    fn names(&mut self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        loop {
            // SAFETY: `errno` is this thread's own; the stream is open and used by nobody else.
            let entry = unsafe {
                *libc::__errno_location() = 0;
                libc::readdir(self.0.as_ptr())
            };
            let Some(entry) = NonNull::new(entry) else {
                // NULL is the end, unless `errno` was set.
                let error = io::Error::last_os_error();
                return if error.raw_os_error() == Some(0) { Ok(names) } else { Err(error) };
            };
            // SAFETY: the entry is valid until the next `readdir`, and its name is NUL-terminated.
            let name = unsafe { CStr::from_ptr((&raw const (*entry.as_ptr()).d_name).cast()) };
            if name != c"." && name != c".." {
                // A foreign name that is no UTF-8 is still listed, so that it counts as foreign.
                names.push(name.to_string_lossy().into_owned());
            }
        }
    }
}

impl Drop for DirectoryStream {
    fn drop(&mut self) {
        // SAFETY: the stream is open, and not used after this.
        unsafe { libc::closedir(self.0.as_ptr()) };
    }
}
