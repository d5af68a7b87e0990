//! A directory in memory that can lose power, be killed, run out of space, fail the nth call and
//! have its clock set.
//!
//! It is the store's test bench: recovery and compaction run against it at every point where they
//! could be cut off, and under Miri, which refuses real maps. What it does after a power cut is the
//! worst that Linux file systems were seen to do, drawn from a seed:
//!   - of what was not synced, every 512-byte sector is old, new, or as it was at some moment in
//!     between (written back by itself), each on its own or in runs of up to 64 pages, so holes of
//!     zeros in front of newer data occur;
//!   - a file's length is the old one, the new one, or in between;
//!   - creations, renames and removals without a `sync_directory` survive or not, each on its own or
//!     as a prefix; of those that touch the same name, a later one never without the earlier;
//!   - a write that is cut short has been done in part, but one of an aligned 8-byte word is whole or not
//!     there: no page cache tears one;
//!   - what a failed sync was to write stays lost, and the next sync says `Ok` all the same.
//!
//! Not here: sectors that are torn inside, and disks that lie about what they synced.
//!
//! A handle is one reference to the directory; clones refer to the same one. [`SimulatedStorage::crash`]
//! and [`SimulatedStorage::kill`] give a new directory and leave a dead one behind, in which every
//! call is EIO and every map is still memory.
//!
//! Locks: one mutex around the whole state, never held while anything else is locked. Stores through
//! maps take no lock: a sync or write-back beside them copies whatever is there, as a kernel does
//! (under Miri and thread sanitizers run both on one thread).

mod call;
mod directory;
mod image;
mod inode;
mod random;
mod state;
#[cfg(test)]
mod tests;
mod traits;

pub use call::CallKind;

use crate::lock::Mutex;
use call::Failure;
use state::State;
use std::sync::Arc;

/// A simulated directory; see the module.
#[derive(Clone)]
pub struct SimulatedStorage {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
}

impl SimulatedStorage {
    /// An empty directory. Two with the same seed and the same calls behave the same.
    pub fn new(seed: u64) -> Self {
        Self::from_state(State::new(seed))
    }

    fn from_state(state: State) -> Self {
        Self { shared: Arc::new(Shared { state: Mutex::new(state) }) }
    }

    /// Cuts the power: the directory as the next boot finds it, drawn from `seed`. Locks are free,
    /// injected failures are forgotten, limits and clock stay. This handle and its clones are dead.
    ///
    /// After [`SimulatedStorage::crash_at_call`] has struck, the power was cut at that call.
    pub fn crash(&self, seed: u64) -> Self {
        Self::from_state(self.shared.state.lock().crash(seed))
    }

    /// Kills the process with signal 9: the directory exactly as it is, with what is not yet durable
    /// still not durable. Locks are free, injected failures are forgotten. This handle and its
    /// clones are dead.
    pub fn kill(&self) -> Self {
        Self::from_state(self.shared.state.lock().kill())
    }

    /// Makes the `n`th call from now (1 is the next one) fail with `errno`.
    pub fn fail_call(&self, n: u64, errno: i32) {
        self.shared.state.lock().calls.fail(Failure { kind: None, remaining: n, errno });
    }

    /// Makes the `n`th call of `kind` from now fail with `errno`.
    pub fn fail_kind(&self, kind: CallKind, n: u64, errno: i32) {
        self.shared.state.lock().calls.fail(Failure { kind: Some(kind), remaining: n, errno });
    }

    /// Cuts the power at the `n`th call from now: it and all later ones fail with EIO, and what
    /// [`SimulatedStorage::crash`] then starts from is the state at that call.
    pub fn crash_at_call(&self, n: u64) {
        self.shared.state.lock().calls.crash_at(n);
    }

    /// Forgets all failures that have not yet struck.
    pub fn clear_failures(&self) {
        self.shared.state.lock().calls.clear_failures();
    }

    /// How many calls of [`Storage`](super::Storage) and [`File`](super::File) were made, clock and randomness not counted.
    pub fn call_count(&self) -> u64 {
        self.shared.state.lock().calls.count()
    }

    /// The calls so far, in order: `create 000001.seg`, `write MANIFEST 0+64`, `sync MANIFEST`,
    /// `sync-directory` … A failed one ends in ` = errno 28`. The last 100 000 are kept.
    pub fn trace(&self) -> Vec<String> {
        self.shared.state.lock().calls.trace()
    }

    /// Forgets the calls so far, though not their count.
    pub fn clear_trace(&self) {
        self.shared.state.lock().calls.clear_trace();
    }

    /// Limits the blocks of all files together; `None` is no limit. What is over it already stays.
    pub fn set_space(&self, bytes: Option<u64>) {
        self.shared.state.lock().space_bytes_max = bytes;
    }

    /// Bytes of the blocks that files have now, unlinked ones in use included.
    pub fn space_used(&self) -> u64 {
        self.shared.state.lock().content.space_used()
    }

    /// Makes the file system read-only (EROFS for whatever would change it), or writable again.
    pub fn set_read_only(&self, is_read_only: bool) {
        self.shared.state.lock().is_read_only = is_read_only;
    }

    /// At how many of 256 calls some run of sectors is written back by itself; 64 at the start.
    pub fn set_write_back(&self, of_256: u32) {
        self.shared.state.lock().write_back_of_256 = of_256;
    }

    /// Sets the clock, forwards or backwards. It stands still by itself.
    pub fn set_now_ms(&self, now_ms: u64) {
        self.shared.state.lock().now_ms = now_ms;
    }

    /// Moves the clock.
    pub fn advance_ms(&self, by_ms: i64) {
        let mut state = self.shared.state.lock();
        state.now_ms = state.now_ms.saturating_add_signed(by_ms);
    }

    /// All names, sorted. Not counted as a call, and works on a dead directory too, as all below.
    pub fn names(&self) -> Vec<String> {
        self.shared.state.lock().content.directory.live().keys().cloned().collect()
    }

    /// A file's present content. Panics if there is no such file.
    pub fn read_file(&self, name: &str) -> Vec<u8> {
        self.shared.state.lock().content.inode(name).live_bytes()
    }

    /// Puts a file there, or in place of another, durably. Maps of the other keep its memory.
    pub fn write_file(&self, name: &str, bytes: &[u8]) {
        self.shared.state.lock().content.put_file(name, bytes);
    }

    /// Flips bit `bit` of the byte at `offset`, durably. Panics outside the file.
    pub fn flip_bit(&self, name: &str, offset: u64, bit: u32) {
        self.shared.state.lock().content.inode(name).flip_bit(offset as usize, bit);
    }

    /// Cuts or extends a file to `len`, durably. Nobody may have it mapped.
    pub fn truncate(&self, name: &str, len: u64) {
        self.shared.state.lock().content.inode(name).truncate(len as usize);
    }

    /// Removes a file, durably. Panics if there is no such file.
    pub fn delete(&self, name: &str) {
        self.shared.state.lock().content.delete_file(name);
    }
}
