//! The Rust API: one store, usable from any thread at any time.

use crate::error::Result;
use crate::options::Options;
use crate::stats::Stats;
use std::path::Path;

/// Longest key, bytes.
pub const KEY_BYTES_MAX: usize = u16::MAX as usize;
/// Longest value, bytes.
pub const VALUE_BYTES_MAX: u64 = u32::MAX as u64;

/// How long a written key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// For ever.
    Forever,
    /// As long as the present version of the key (for ever if there is none).
    Keep,
    /// This many milliseconds from the call on; at least 1.
    Millis(u64),
}

/// When a set is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// In any case.
    Always,
    /// Only if the key is not live.
    IfAbsent,
    /// Only if the key is live.
    IfPresent,
}

/// How [`Store::set_with`] sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetOptions {
    /// How long the key lives.
    pub ttl: Ttl,
    /// When the set is carried out.
    pub condition: Condition,
    /// Return only when the write is durable, whatever the sync mode.
    pub sync: bool,
}

/// What [`Store::set_with`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOutcome {
    /// The value is stored under this version.
    Stored {
        /// The record's sequence number.
        version: u64,
    },
    /// Nothing changed: the key is live and was to be absent.
    Exists,
    /// Nothing changed: the key is not live and was to be present.
    NotFound,
}

/// How much longer a key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TtlState {
    /// There is no such key.
    Absent,
    /// The key is there but its time is over.
    Expired,
    /// The key lives for ever.
    Forever,
    /// The key lives this many milliseconds more.
    Millis(u64),
}

/// One operation of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchOp<'a> {
    /// Sets `key` to `value`.
    Set {
        /// The key.
        key: &'a [u8],
        /// The value.
        value: &'a [u8],
        /// How long it lives.
        ttl: Ttl,
    },
    /// Deletes `key`; it need not be there.
    Del {
        /// The key.
        key: &'a [u8],
    },
}

/// What [`Store::verify`] found.
#[derive(Clone, Debug, Default)]
pub struct VerifyReport {
    /// Records (or headers) that fail their check.
    pub bad_records: u64,
    /// The first of them, with file and offset.
    pub first: Option<crate::error::Error>,
}

/// A value that stays readable, in place, until it is dropped: through overwrite, delete,
/// compaction and close of the store.
pub struct View {}

impl View {
    /// The value.
    pub fn bytes(&self) -> &[u8] {
        todo!()
    }
    /// The record's sequence number.
    pub fn version(&self) -> u64 {
        todo!()
    }
    /// Unix milliseconds, 0 without expiry.
    pub fn expires_at_ms(&self) -> u64 {
        todo!()
    }
}

/// Walks all live keys. Not a snapshot: every key that is live throughout is returned exactly once.
pub struct Cursor {}

impl Cursor {
    /// The next key and value, borrowed until the next call; `None` at the end.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        todo!()
    }
}

/// An open store. Shared by reference between threads; closed by [`Store::close`] or on drop.
pub struct Store {}

#[allow(unused_variables, missing_docs)]
impl Store {
    pub fn open(location: &Path, options: &Options) -> Result<Self> {
        todo!()
    }
    /// Closes: joins the threads, syncs, writes a checkpoint, unlocks. Everything afterwards is
    /// `Closed`, a second close too. Waits for calls of other threads that are under way.
    pub fn close(&self) -> Result<()> {
        todo!()
    }
    pub fn set(&self, key: &[u8], value: &[u8]) -> Result<u64> {
        todo!()
    }
    pub fn set_with(&self, key: &[u8], value: &[u8], options: &SetOptions) -> Result<SetOutcome> {
        todo!()
    }
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        todo!()
    }
    /// Hands the checked value to `read` in place: the one read that copying reads are built of.
    pub fn get_with<R>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        todo!()
    }
    /// Looks all keys up, overlapping their cache misses, and hands the answers to `answer` in
    /// order (position, outcome) until it returns false.
    pub fn get_many_with(
        &self,
        keys: &[&[u8]],
        answer: impl FnMut(usize, Result<Option<&[u8]>>) -> bool,
    ) -> Result<()> {
        todo!()
    }
    pub fn view(&self, key: &[u8]) -> Result<Option<View>> {
        todo!()
    }
    pub fn exists(&self, key: &[u8]) -> Result<bool> {
        todo!()
    }
    /// False if the key was not live.
    pub fn del(&self, key: &[u8]) -> Result<bool> {
        todo!()
    }
    pub fn ttl(&self, key: &[u8]) -> Result<TtlState> {
        todo!()
    }
    /// `None` makes the key live for ever, `Some(0)` expires it at once. False if it was not live.
    pub fn expire(&self, key: &[u8], ttl_ms: Option<u64>) -> Result<bool> {
        todo!()
    }
    /// Applies all operations or none. Durable on return in mode `always` or if `sync` is set.
    pub fn write(&self, ops: &[BatchOp<'_>], sync: bool) -> Result<()> {
        todo!()
    }
    pub fn len(&self) -> Result<u64> {
        todo!()
    }
    pub fn sync(&self) -> Result<()> {
        todo!()
    }
    pub fn compact(&self) -> Result<()> {
        todo!()
    }
    pub fn verify(&self) -> Result<VerifyReport> {
        todo!()
    }
    pub fn stats(&self) -> Result<Stats> {
        todo!()
    }
    pub fn cursor(&self, prefix: &[u8]) -> Result<Cursor> {
        todo!()
    }
    /// After a contained panic: every later write is `ReadOnly`.
    pub fn refuse_writes(&self, why: &str) {
        todo!()
    }
}
