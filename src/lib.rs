//! Larder: a key-value store that other programs embed.
//!
//! Data is an append-only log of memory-mapped segment files; an index in memory says where each
//! live key's record is. A set is a copy into the map, a get is one index line and one record line.
//!
//! `ARCHITECTURE.md` has the bird's-eye view, `docs/format.md` the bytes, `include/larder.h` the
//! C ABI.

#[cfg(not(all(target_endian = "little", target_pointer_width = "64")))]
compile_error!("Larder's maps are little-endian and 64 bits wide");

pub mod error;
pub mod ffi;
pub mod options;
pub mod stats;

// Public for benchmarks and for the tests of formats; no part of the API.
#[doc(hidden)]
pub mod epoch;
#[doc(hidden)]
pub mod format;
#[doc(hidden)]
pub mod index;
#[doc(hidden)]
pub mod rules;
mod slots;
mod sort;
pub mod storage;
mod sync;

mod lock;
mod log;

mod checkpoint;
mod compaction;
mod expiry;
mod recovery;
mod salvage;

mod cursor;
pub mod store;

#[cfg(feature = "remote")]
pub mod remote;

pub use error::{Error, Result, Status};
pub use options::{CompactionMode, Options, SyncMode, VerifyReads};
#[doc(hidden)]
pub use salvage::salvage_in;
pub use salvage::{Loss, SalvageReport, salvage};
pub use stats::Stats;
pub use store::Store;
