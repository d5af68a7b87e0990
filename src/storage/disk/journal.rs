//! Whether the file system still takes what a sync was to make durable.
//!
//! `fdatasync` of ext4 can say yes to one thread while another one's aborts the journal: the changes that lead to the
//! synced bytes (blocks that count as written from now on) were in the transaction that has failed, or found no journal
//! any more, and nobody is told (seen on Linux 6.18 with a disk that refuses writes: 8 of 100 runs lost what they had
//! acknowledged). So after each sync the journal is asked for one more transaction. One that has aborted refuses it, and
//! whatever has failed before the sync returned has aborted it by then.
//!
//! Not here: syncs.
//!
//! Locks: none.

use super::retry;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::OnceLock;

/// `f_type` of ext2, ext3 and ext4.
const EXT4_MAGIC: libc::c_long = 0xEF53;

/// The journal under a store that is written to; of other file systems than ext4 nothing is asked.
#[derive(Default)]
pub(super) struct Journal {
    /// A file whose changes nobody waits for: asking changes its inode, and a later sync of it would have more to do.
    asked: OnceLock<File>,
}

impl Journal {
    /// From now on `confirm` asks the file system of the file that `open` opens, if it is one that has to be asked.
    pub(super) fn watch(&self, open: impl FnOnce() -> io::Result<File>) -> io::Result<()> {
        if self.asked.get().is_none() {
            let file = open()?;
            if is_ext4(&file) {
                let _ = self.asked.set(file);
            }
        }
        Ok(())
    }

    /// An error if the journal has ended: then no sync that has returned since proves anything.
    pub(super) fn confirm(&self) -> io::Result<()> {
        let Some(file) = self.asked.get() else { return Ok(()) };
        // Reserves a byte that is there: nothing but the times of the inode changes.
        // SAFETY: the descriptor is open as long as the borrow; the call touches no memory of ours.
        let asked = retry(|| unsafe { libc::fallocate64(file.as_raw_fd(), libc::FALLOC_FL_KEEP_SIZE, 0, 1) });
        match asked {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EIO | libc::EROFS | libc::ESHUTDOWN)) => Err(error),
            // Whatever else stands in its way, such as a full disk, says nothing of the journal.
            _ => Ok(()),
        }
    }
}

fn is_ext4(file: &File) -> bool {
    // SAFETY: zeros are a value of this struct of numbers.
    let mut found: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open as long as the borrow; `found` is valid for stores.
    let asked = retry(|| unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut found) });
    asked.is_ok() && found.f_type == EXT4_MAGIC
}
