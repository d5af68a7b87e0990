//! Everything that touches the operating system, behind two traits: a store's directory with its
//! lock and clock ([`Storage`]), and one file in it ([`File`]).
//!
//! Two implementations: [`DiskStorage`] is the real one; [`SimulatedStorage`] keeps files in memory,
//! can lose power, fails the nth call, and runs under Miri. The log, recovery and compaction know
//! neither: they are written against the traits and tested on the second.
//!
//! Not here: what the bytes mean (`format`), which files count (`log::manifest`).
//!
//! Invariants:
//!   ST1. Nothing outside this module calls the file system or a clock (`clippy.toml` enforces it).
//!   ST2. A file that is mapped is never truncated, only unlinked; so a load through a map of a
//!        healthy device cannot fault.
//!   ST3. Space is reserved on disk before it is mapped; so a store through a map never needs a
//!        block that the file system does not have.

#[cfg(test)]
mod agreement;
mod disk;
mod map;
#[doc(hidden)]
pub mod sim;
mod thread;

pub use disk::DiskStorage;
pub use thread::{Moment, processor_count, spawn, spawn_scoped};

pub use map::{AppendMap, Claim, Map, MapAccess, PageSize};
pub use sim::SimulatedStorage;

use std::io;
use std::ops::Range;

/// Why the lock of a store was not given.
#[derive(Debug)]
pub enum LockError {
    /// Another process or handle has it; its pid as written in the lock file, 0 if unreadable.
    Busy {
        /// The owner's pid.
        pid: u32,
    },
    /// The system said no.
    Io(io::Error),
}

/// Held while a store is open for writing; dropping it lets the next opener in.
///
/// Dropped in a forked child it does nothing to the parent's lock.
pub trait LockGuard: Send + Sync {}

/// One store's directory, its lock and its clock.
///
/// Names are plain file names without a separator. Errors are the system's own; a call that fails
/// has changed nothing that a reader of the directory could see, except as said.
pub trait Storage: Send + Sync {
    /// The directory as messages name it.
    fn describe(&self) -> String;

    /// The names of all entries of the directory, in no particular order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Creates an empty file, which must not exist. Its name is durable after [`Storage::sync_directory`].
    fn create(&self, name: &str) -> io::Result<Box<dyn File>>;

    /// Opens an existing file.
    fn open(&self, name: &str, access: MapAccess) -> io::Result<Box<dyn File>>;

    /// Gives `source` the name `target`, replacing it atomically. Durable after [`Storage::sync_directory`].
    fn rename(&self, source: &str, target: &str) -> io::Result<()>;

    /// Unlinks a file; open files and maps of it stay usable. Durable after [`Storage::sync_directory`].
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes creations, renames and removals durable.
    fn sync_directory(&self) -> io::Result<()>;

    /// Takes the store's lock (file `LOCK`, created if needed, its content the owner's pid), or says
    /// at once who has it.
    fn lock(&self) -> Result<Box<dyn LockGuard>, LockError>;

    /// Says whether a writer has the lock, without keeping anything. A missing `LOCK` is `Ok`.
    fn probe_lock(&self) -> Result<(), LockError>;

    /// Unix time in milliseconds. May step backwards: `expiry::Clock` is what makes it monotonic.
    fn now_ms(&self) -> u64;

    /// 64 bits that no other store is likely to have.
    fn random_u64(&self) -> u64;
}

/// One open file of a store.
///
/// All offsets and lengths are bytes from the start of the file.
// A length that has to be asked for and can fail has no use for `is_empty` beside it.
#[allow(clippy::len_without_is_empty)]
pub trait File: Send + Sync {
    /// The file's length.
    fn len(&self) -> io::Result<u64>;

    /// Fills `buffer` from `offset`; `UnexpectedEof` if the file ends before.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`, growing the file if needed. After an error any number of
    /// them may be there.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Reserves blocks for `0..len` and makes the file at least that long, filled with zeros.
    /// On an error (a full disk) nothing is left reserved that was not before.
    fn reserve(&self, len: u64) -> io::Result<()>;

    /// Writes zeros over `0..len`, which is reserved and holds nothing else, so that a sync of later changes there has
    /// nothing but their bytes to write: blocks that were never written are noted as such, and have to be noted
    /// otherwise. In small pieces, because the cache keeps what it was given at once as one, and writes it back as one.
    fn write_zeros(&self, len: u64) -> io::Result<()>;

    /// Gives the blocks of `offset..offset + len` back (rounded inwards to whole blocks); the file
    /// keeps its length and reads as zeros there. A file system that cannot do it is no error.
    fn punch_hole(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Makes the file's data, and what is needed to find it, durable: through maps and writes alike.
    /// After an error nothing may be assumed about what reached the disk, also not from a later success.
    fn sync(&self) -> io::Result<()>;

    /// Makes the published bytes of `range` of a map of this file durable, and what is needed to find them. Errors as
    /// those of [`File::sync`].
    fn sync_range(&self, map: &AppendMap, range: Range<usize>) -> io::Result<()> {
        map.sync(range)
    }

    /// Maps `0..len`, which must lie inside the file. The map outlives this handle and the name.
    fn map(&self, len: usize, access: MapAccess) -> io::Result<Map>;

    /// Maps `0..len` for stores that the file does not see before [`File::sync_range`] or [`AppendMap::write_out`]
    /// brings them there; words it sees at once. For small frequent syncs: a page that is shared with the file is
    /// protected by each sync, so that the next store to it is a fault, while others wait to publish behind it.
    fn map_staged(&self, len: usize) -> io::Result<Map>;
}
