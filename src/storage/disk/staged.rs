//! Pages of a file that are stored to in memory of this process, and brought into the file by writes.
//!
//! A page that is shared with the file is protected whenever it is written back, so that the next
//! store to it is noticed: by a fault, which takes the file system's locks, and which all who
//! publish later wait behind. Where syncs are small and frequent, a copy costs less. What the
//! file has seen for long is shared with it again, so that no more than `STAGED_LEN_MAX` bytes are kept twice.
//!
//! Not here: which bytes are complete (`storage::map`).
//!
//! Invariants:
//!   SP1. Below `shared_len` the pages are the file's own. Nobody stores there any more, but for words.
//!   SP2. The file has seen everything below `shared_len`, so that sharing a page changes no byte of it.
//!
//! Locks: `file`, held for a clone.

// The place for maps of a kind that the crate for maps does not know (ST1).
#![allow(clippy::disallowed_methods)]

use super::file::{fetch_pages, require_within_limit};
use crate::lock::Mutex;
use crate::storage::MapAccess;
use crate::storage::map::{Backing, Map};
use memmap2::{MmapOptions, MmapRaw};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How much is kept twice before it is shared, bytes.
const STAGED_LEN_MAX: usize = 1 << 20;
const PAGE_LEN: usize = 4096;

/// Mapped pages with copies of their own, unmapped when dropped.
pub(super) struct StagedPages {
    pages: MmapRaw,
    /// Until the pages are protected: then nothing is written any more.
    file: Mutex<Option<Arc<File>>>,
    shared_len: AtomicUsize,
}

impl StagedPages {
    /// Maps the first `len` bytes of `file`, which is at least that long.
    pub(super) fn map(file: &Arc<File>, len: usize) -> io::Result<Map> {
        let mut options = MmapOptions::new();
        // SAFETY: nobody shortens the file while it is mapped (ST2), and bytes of it that were not copied yet are
        // written by nobody but this object, with what the map shows there already (SP2).
        let pages = MmapRaw::from(unsafe { options.len(len).map_copy(&**file)? });
        let base = NonNull::new(pages.as_mut_ptr()).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        let staged = Self { pages, file: Mutex::new(Some(Arc::clone(file))), shared_len: AtomicUsize::new(0) };
        // SAFETY: page-aligned; valid for `len` bytes until `pages` is unmapped, which the backing does when it is
        // dropped; whoever maps for stores is the only one to do so (the store's lock, `log`).
        Ok(unsafe { Map::new(base, len, MapAccess::ReadWrite, Arc::new(staged)) })
    }

    fn file(&self) -> io::Result<Arc<File>> {
        self.file.lock().clone().ok_or_else(|| io::Error::other("written to after it was protected"))
    }

    /// Writes `range` to the file, with `flags` for each part.
    fn write(&self, file: &File, range: Range<usize>, flags: libc::c_int) -> io::Result<()> {
        // The limit may be lower than it was when the room was reserved, and counts for writes into that too.
        require_within_limit(range.end as u64)?;
        let mut offset = range.start;
        while offset < range.end.min(self.pages.len()) {
            // SAFETY: in bounds of the map, by the loop's condition.
            let start = unsafe { self.pages.as_mut_ptr().add(offset) };
            let part = libc::iovec { iov_base: start.cast(), iov_len: range.end.min(self.pages.len()) - offset };
            let place = libc::off64_t::try_from(offset).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
            // SAFETY: one buffer, of published bytes of a live map, which nobody changes (`AppendMap`).
            let written = unsafe { libc::pwritev2(file.as_raw_fd(), &part, 1, place, flags) };
            match written {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                1.. => offset += written.unsigned_abs(),
                _ => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    /// Shares with the file what it has seen, up to `end`, once that is much.
    fn share(&self, file: &File, end: usize) {
        let (start, end) = (self.shared_len.load(Ordering::Acquire), end - end % PAGE_LEN);
        if end >= start + STAGED_LEN_MAX && self.remap(file, start..end, libc::PROT_READ | libc::PROT_WRITE) {
            self.shared_len.store(end, Ordering::Release);
        }
    }

    /// Puts the file's own pages in the place of copies; whoever reads there sees the same bytes before and after.
    /// If the system refuses, the copies stay.
    fn remap(&self, file: &File, range: Range<usize>, protection: libc::c_int) -> bool {
        let Ok(offset) = libc::off64_t::try_from(range.start) else { return false };
        // Elsewhere first: where the file refuses (a file system that was shut down does), a map with MAP_FIXED has
        // already taken away what was there.
        // SAFETY: a new map at a place of the system's choice; the file is that long (ST2), and its space reserved (ST3).
        let fresh = unsafe {
            libc::mmap64(std::ptr::null_mut(), range.len(), protection, libc::MAP_SHARED, file.as_raw_fd(), offset)
        };
        if fresh == libc::MAP_FAILED {
            return false;
        }
        // SAFETY: whole pages of a live map of our own, at which nothing but the same bytes of the same file is put
        // (SP2), in one step for whoever reads there; nobody else knows `fresh`.
        let place = unsafe {
            let start: *mut libc::c_void = self.pages.as_mut_ptr().add(range.start).cast();
            libc::mremap(fresh, range.len(), range.len(), libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED, start)
        };
        if place == libc::MAP_FAILED {
            // SAFETY: the map that was just made, which nobody has seen.
            unsafe { libc::munmap(fresh, range.len()) };
        }
        place != libc::MAP_FAILED
    }
}

impl Backing for StagedPages {
    fn write_out(&self, range: Range<usize>) -> io::Result<()> {
        let file = self.file()?;
        let end = range.end;
        self.write(&file, range, 0)?;
        self.share(&file, end);
        Ok(())
    }

    fn sync(&self, range: Range<usize>) -> io::Result<()> {
        let file = self.file()?;
        let end = range.end;
        match self.write(&file, range.clone(), libc::RWF_DSYNC) {
            // A system that does not know the flag.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL)) => {
                self.write(&file, range, 0)?;
                file.sync_data()?;
            }
            other => other?,
        }
        self.share(&file, end);
        Ok(())
    }

    fn write_out_word(&self, offset: usize, word: [u8; 8]) {
        // Like a store that never reaches the disk, should it fail: words are not relied on before a sync of the file.
        if let Ok(file) = self.file()
            && require_within_limit((offset + word.len()) as u64).is_ok()
        {
            let _ = file.write_all_at(&word, offset as u64);
        }
    }

    fn fetch(&self, range: Range<usize>) -> io::Result<()> {
        fetch_pages(&self.pages, &range)
    }

    fn protect(&self) {
        let Some(file) = self.file.lock().take() else { return };
        // A refusal leaves the map as it was.
        self.remap(&file, 0..self.pages.len(), libc::PROT_READ);
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use std::os::fd::{FromRawFd, OwnedFd};
    use std::os::unix::net::UnixStream;

    #[test]
    fn copies_stay_where_the_file_refuses_to_be_mapped() {
        let (socket, _other) = UnixStream::pair().unwrap();
        // A socket is asked, and refuses, as late as a file system that was shut down.
        let refusing = File::from(OwnedFd::from(socket));
        // SAFETY: a new descriptor, which the file owns.
        let file = unsafe { File::from_raw_fd(libc::memfd_create(c"staged".as_ptr(), 0)) };
        file.set_len(8 * PAGE_LEN as u64).unwrap();
        file.write_all_at(&[7; 8 * PAGE_LEN], 0).unwrap();
        let mut options = MmapOptions::new();
        // SAFETY: a file of this test's own, which keeps its length.
        let pages = MmapRaw::from(unsafe { options.len(8 * PAGE_LEN).map_copy(&file).unwrap() });
        let staged = StagedPages { pages, file: Mutex::new(None), shared_len: AtomicUsize::new(0) };
        for protection in [libc::PROT_READ | libc::PROT_WRITE, libc::PROT_READ] {
            assert!(!staged.remap(&refusing, PAGE_LEN..3 * PAGE_LEN, protection));
            // SAFETY: in bounds; if the pages are gone this test dies here.
            let bytes = unsafe { std::slice::from_raw_parts(staged.pages.as_ptr(), 8 * PAGE_LEN) };
            assert!(bytes.iter().all(|byte| *byte == 7));
        }
        file.write_all_at(&[8; PAGE_LEN], PAGE_LEN as u64).unwrap();
        assert!(staged.remap(&file, PAGE_LEN..2 * PAGE_LEN, libc::PROT_READ));
        // SAFETY: in bounds, and stored to by nobody.
        let bytes = unsafe { std::slice::from_raw_parts(staged.pages.as_ptr(), 8 * PAGE_LEN) };
        assert!(bytes[PAGE_LEN..2 * PAGE_LEN].iter().all(|byte| *byte == 8), "the file's pages are not there");
    }
}
