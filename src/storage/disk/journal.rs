//! Whether the file system still takes what a sync was to make durable.
//!
//! `fdatasync` of ext4 can say yes to one thread while another one's aborts the journal: the changes that lead to the
//! synced bytes (blocks that count as written from now on) were in the transaction that has failed, or found no journal
//! any more, and nobody is told. Seen on Linux 6.18 with a disk that refuses writes: 8 of 100 runs lost what they had
//! acknowledged. So the journal is asked for one more transaction after the sync. One that has aborted refuses it, and
//! what has failed before the sync returned has aborted it by then.
//!
//! Where all blocks of a file count as written, durably, a sync of their bytes needs no journal, and none is asked: the
//! transaction costs a microsecond, and the next sync some thirty. (Unless the file system was mounted to have its data
//! in the journal too, which is not looked at.)
//!
//! Not here: syncs.
//!
//! Locks: none.

use super::retry;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU8, Ordering};

/// `f_type` of ext2, ext3 and ext4.
const EXT4_MAGIC: libc::c_long = 0xEF53;

/// What the journal has to do with a sync of one file: everything, or nothing once zeros were written all over it and
/// synced.
#[derive(Default)]
pub(super) struct Journal(AtomicU8);

const NEEDED: u8 = 0;
const ZEROED: u8 = 1;
const NOT_NEEDED: u8 = 2;

impl Journal {
    /// The blocks of the file change.
    pub(super) fn note_blocks(&self) {
        self.0.store(NEEDED, Ordering::Release);
    }

    /// All of the file was written.
    pub(super) fn note_zeroed(&self) {
        self.0.store(ZEROED, Ordering::Release);
    }

    /// After a sync of `file` (of all that was written to it, if `is_whole`): an error if the journal has ended meanwhile,
    /// for then the sync has proved nothing.
    pub(super) fn confirm(&self, file: &File, is_whole: bool) -> io::Result<()> {
        let state = self.0.load(Ordering::Acquire);
        if state == NOT_NEEDED {
            return Ok(());
        }
        if is_ext4(file) {
            // Reserves a byte that is there: nothing but the times of the inode changes.
            // SAFETY: the descriptor is open as long as the borrow; the call touches no memory of ours.
            let asked = retry(|| unsafe { libc::fallocate64(file.as_raw_fd(), libc::FALLOC_FL_KEEP_SIZE, 0, 1) });
            match asked {
                Err(error) if matches!(error.raw_os_error(), Some(libc::EIO | libc::EROFS | libc::ESHUTDOWN)) => {
                    return Err(error);
                }
                // Whatever else stands in its way, such as a full disk, says nothing of the journal.
                _ => {}
            }
        }
        if is_whole && state == ZEROED {
            // Unless the blocks have changed since.
            let _ = self.0.compare_exchange(ZEROED, NOT_NEEDED, Ordering::AcqRel, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn is_ext4(file: &File) -> bool {
    // SAFETY: zeros are a value of this struct of numbers.
    let mut found: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open as long as the borrow; `found` is valid for stores.
    let asked = retry(|| unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut found) });
    asked.is_ok() && found.f_type == EXT4_MAGIC
}
