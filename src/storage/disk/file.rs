//! One open file on disk: positioned reads and writes, reserved space, maps.
//!
//! Not here: names and directories (`disk`), access to mapped bytes (`storage::map`).
//!
//! Invariants: D3 (see `disk`), ST2 and ST3 (see `storage`).
//!
//! Locks: none; the system orders what happens to one file.

use super::journal::Journal;
use super::staged::StagedPages;
use super::{File, MapAccess, retry};
use crate::storage::map::{AppendMap, Backing, Map, PageSize};
use memmap2::{MmapOptions, MmapRaw};
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;
use std::sync::Arc;

/// What `punch_hole` rounds to: no file system of Linux allocates in smaller blocks and punches them.
const BLOCK_LEN: u64 = 4096;
/// How much `write_zeros` writes before it syncs.
const SYNCED_LEN: u64 = 1 << 20;
/// What the start of a range of a map is rounded to: maps begin at a page, and none is smaller.
const MEMORY_PAGE_LEN: usize = 4096;

/// A file of a store; its descriptor is closed when this is dropped, maps of it live on.
pub(super) struct DiskFile {
    file: Arc<std::fs::File>,
    journal: Journal,
}

impl DiskFile {
    pub(super) fn new(file: std::fs::File) -> Self {
        Self { file: Arc::new(file), journal: Journal::default() }
    }

    /// Has `reserve` make the file `len` bytes long from its present end, which it is given, or
    /// leaves it as long as it is.
    pub(super) fn grow(&self, len: u64, reserve: impl FnOnce(u64) -> io::Result<()>) -> io::Result<()> {
        let len_before = self.len()?;
        if len == 0 {
            return Ok(());
        }
        if len > len_before {
            require_within_limit(len)?;
        }
        let reserved = reserve(len_before);
        if reserved.is_err() && len > len_before {
            // Part of it may be allocated. Nobody has mapped what lies behind the old end, so it can
            // be given back (D3); should that fail too, the first error is the one to report.
            let _ = self.file.set_len(len_before);
        }
        reserved
    }

    /// `fallocate` with signed offsets as the system wants them.
    fn allocate(&self, mode: libc::c_int, offset: u64, len: u64) -> io::Result<()> {
        let too_large = |_| io::Error::from_raw_os_error(libc::EFBIG);
        let offset = libc::off64_t::try_from(offset).map_err(too_large)?;
        let len = libc::off64_t::try_from(len).map_err(too_large)?;
        // SAFETY: the descriptor is open as long as `self`; the call touches no memory of ours.
        retry(|| unsafe { libc::fallocate64(self.file.as_raw_fd(), mode, offset, len) }).map(drop)
    }
}

impl File for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        require_within_limit(offset.saturating_add(bytes.len() as u64))?;
        self.file.write_all_at(bytes, offset)
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        self.journal.note_blocks();
        self.grow(len, |start| match self.allocate(0, 0, len) {
            Err(error) if is_unsupported(&error) => write_zeros(&self.file, start, len),
            other => other,
        })
    }

    fn write_zeros(&self, len: u64) -> io::Result<()> {
        for start in (0..len).step_by(SYNCED_LEN as usize) {
            write_zeros(&self.file, start, len.min(start + SYNCED_LEN))?;
            // Piece by piece: who waits for the disk meanwhile waits for one of them at most.
            self.file.sync_data()?;
        }
        if len >= self.len()? {
            self.journal.note_zeroed();
        }
        Ok(())
    }

    fn punch_hole(&self, offset: u64, len: u64) -> io::Result<()> {
        let start = offset.checked_next_multiple_of(BLOCK_LEN).unwrap_or(u64::MAX);
        let end = offset.saturating_add(len) / BLOCK_LEN * BLOCK_LEN;
        if start >= end {
            return Ok(());
        }
        self.journal.note_blocks();
        match self.allocate(libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE, start, end - start) {
            Err(error) if is_unsupported(&error) => Ok(()),
            other => other,
        }
    }

    fn sync(&self) -> io::Result<()> {
        // `fdatasync` also covers pages that were dirtied through a map, and the file's length.
        self.file.sync_data()?;
        self.journal.confirm(&self.file, true)
    }

    fn sync_range(&self, map: &AppendMap, range: Range<usize>) -> io::Result<()> {
        map.sync(range)?;
        self.journal.confirm(&self.file, false)
    }

    fn map_staged(&self, len: usize) -> io::Result<Map> {
        if len as u64 > self.len()? {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than what was to be mapped"));
        }
        StagedPages::map(&self.file, len)
    }

    fn map(&self, len: usize, access: MapAccess) -> io::Result<Map> {
        if len as u64 > self.len()? {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than what was to be mapped"));
        }
        if len == 0 {
            let nothing = NonNull::<u64>::dangling().cast();
            // SAFETY: aligned, and valid for the zero bytes it has.
            return Ok(unsafe { Map::new(nothing, 0, access, Arc::new(NoPages)) });
        }
        let mut options = MmapOptions::new();
        options.len(len);
        let pages = match access {
            MapAccess::ReadOnly => options.map_raw_read_only(&*self.file)?,
            MapAccess::ReadWrite => options.map_raw(&*self.file)?,
        };
        let base = NonNull::new(pages.as_mut_ptr()).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        // SAFETY: page-aligned; valid for `len` bytes until `pages` is unmapped, which the backing
        // does when it is dropped; the file is that long (checked above) and never shortened (ST2);
        // whoever maps for stores is the only one to do so (the store's lock, `log`).
        Ok(unsafe { Map::new(base, len, access, Arc::new(Pages { pages })) })
    }
}

/// Offset and length of the pages that `range` touches, as far as `len` bytes are mapped.
pub(super) fn whole_pages(range: &Range<usize>, len: usize) -> (usize, usize) {
    let start = (range.start - range.start % MEMORY_PAGE_LEN).min(len);
    (start, range.end.clamp(start, len) - start)
}

/// Has the system read the pages that `range` touches.
pub(super) fn fetch_pages(pages: &MmapRaw, range: &Range<usize>) -> io::Result<()> {
    let (start, len) = whole_pages(range, pages.len());
    // SAFETY: pages of a live map of our own (`whole_pages`); the call changes no byte. What a load would meet as a
    // signal is an errno here.
    let result = unsafe { libc::madvise(pages.as_mut_ptr().add(start).cast(), len, libc::MADV_POPULATE_READ) };
    if result == 0 {
        return Ok(());
    }
    let refused = io::Error::last_os_error();
    match refused.raw_os_error() {
        Some(libc::EFAULT | libc::EHWPOISON) => Err(io::Error::from_raw_os_error(libc::EIO)),
        Some(libc::ENOMEM) => Err(refused),
        // Not known before Linux 5.14.
        _ => Ok(()),
    }
}

/// Mapped pages, unmapped when dropped.
struct Pages {
    pages: MmapRaw,
}

impl Backing for Pages {
    // The one place for it (ST1).
    #[allow(clippy::disallowed_methods)]
    fn sync(&self, range: Range<usize>) -> io::Result<()> {
        let (start, len) = whole_pages(&range, self.pages.len());
        // SAFETY: pages of a live map of our own (`whole_pages`); the call changes no byte of them.
        retry(|| unsafe { libc::msync(self.pages.as_mut_ptr().add(start).cast(), len, libc::MS_SYNC) }).map(drop)
    }

    fn populate(&self, range: Range<usize>, size: PageSize) {
        let (start, len) = whole_pages(&range, self.pages.len());
        let advise = |advice| {
            // SAFETY: pages of a live map of our own (`whole_pages`); no advice given here changes a byte of them, and
            // their blocks are reserved (ST3).
            unsafe { libc::madvise(self.pages.as_mut_ptr().add(start).cast(), len, advice) };
        };
        if size == PageSize::Huge {
            advise(libc::MADV_HUGEPAGE);
        }
        // Refused before Linux 5.14: then pages come one by one, as stores ask.
        advise(libc::MADV_POPULATE_WRITE);
        if size == PageSize::Huge {
            // The pages stay huge. Should they leave the cache, a read is not to bring back two mebibytes at a time.
            advise(libc::MADV_NOHUGEPAGE);
        }
    }

    fn fetch(&self, range: Range<usize>) -> io::Result<()> {
        fetch_pages(&self.pages, &range)
    }

    fn protect(&self) {
        // SAFETY: exactly the pages of a live map of our own. `AppendMap::protect` has seen to it that
        // nobody of ours stores there from now on; a refusal leaves the map as it was.
        unsafe { libc::mprotect(self.pages.as_mut_ptr().cast(), self.pages.len(), libc::PROT_READ) };
    }
}

/// What a map of no bytes lives on.
struct NoPages;

impl Backing for NoPages {
    fn sync(&self, _: Range<usize>) -> io::Result<()> {
        Ok(())
    }
}

/// EFBIG for what would pass the process's limit on the length of files: the system would say so by
/// a signal that ends the host.
pub(super) fn require_within_limit(end: u64) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the limit is valid for a store. Left as it is, unlimited, should the call fail.
    unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) };
    if end > limit.rlim_cur { Err(io::Error::from_raw_os_error(libc::EFBIG)) } else { Ok(()) }
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS))
}

/// What stands in for `fallocate` where there is none: blocks that were written exist.
///
/// Holes before `start` stay holes, for what is there may be data; the log reserves new files only. A page at a
/// time: the cache keeps what it was given at once in units of that size, and writes back whole units.
pub(super) fn write_zeros(file: &std::fs::File, start: u64, end: u64) -> io::Result<()> {
    let zeros = [0_u8; BLOCK_LEN as usize];
    let mut offset = start;
    while offset < end {
        let len = usize::try_from(end - offset).unwrap_or(usize::MAX).min(zeros.len());
        file.write_all_at(&zeros[..len], offset)?;
        offset += len as u64;
    }
    Ok(())
}
