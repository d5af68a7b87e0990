//! Calls on the whole store, and its figures.
//!
//! Not here: opening and closing (`handle`).

use super::arguments::{invalid, required};
use super::error::{larder_error, larder_status};
use super::handle::{larder, on_store};
use crate::error::{Error, Status};
use crate::stats::Stats;
use std::mem::offset_of;

/// The figures of one store at one moment. Counts start at zero when the store is opened.
///
/// The caller sets `struct_size` to `sizeof(larder_stats)`, at least 8 and at most 65536, and the
/// library writes no byte beyond it: what it knows more is left out, what the caller knows more is
/// zeroed.
#[repr(C)]
pub struct larder_stats {
    /// Size of the caller's struct, bytes. Set it before the call.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Live keys.
    pub keys: u64,
    /// Bytes of whole live records, heads and padding included.
    pub live_bytes: u64,
    /// Bytes of records that compaction can or will drop, tombstones included.
    pub dead_bytes: u64,
    /// Bytes that the segment files take on disk, reserved room included.
    pub file_bytes: u64,
    /// Segment files.
    pub segments: u64,
    /// Bytes of address space that the segments' maps take.
    pub mapped_bytes: u64,
    /// Bytes of memory of the index.
    pub index_bytes: u64,
    /// Views that are held and not yet released.
    pub pinned_views: u64,
    /// Reads of one key, of any kind.
    pub gets: u64,
    /// Of those, how many found a live key.
    pub hits: u64,
    /// Records written by set, set with options, expire and batches.
    pub sets: u64,
    /// Keys deleted.
    pub dels: u64,
    /// Keys removed because their time was over.
    pub expired: u64,
    /// Syncs of the log.
    pub syncs: u64,
    /// Compactions that were committed.
    pub compactions: u64,
    /// Bytes of records that compactions copied.
    pub compacted_bytes: u64,
}

/// `struct_size` and `reserved`, which every caller's struct has.
const STATS_HEAD_BYTES: u32 = 8;

/// A size above this was never set: zeroing what it claims would destroy the caller's memory.
const STATS_BYTES_MAX: u32 = 64 << 10;

const _: () = {
    assert!(offset_of!(larder_stats, keys) == STATS_HEAD_BYTES as usize);
    assert!(size_of::<larder_stats>() == 8 + 16 * 8);
};

/// Counts the keys. Keys that are expired and not yet swept may be counted for at most one second.
///
/// Threads: any. Blocks: never.
/// Returns: `LARDER_OK`; `LARDER_INVALID_ARGUMENT`, `LARDER_CLOSED`, `LARDER_FORKED`, `LARDER_PANIC`.
/// Since 0.1.0.
///
/// # Safety
///
/// `db` comes from `larder_open`. `count` is writable, and written only on `LARDER_OK`. `err` is NULL or
/// writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_len(db: *mut larder, count: *mut u64, err: *mut larder_error) -> larder_status {
    // SAFETY: the caller's promise; `count` is not NULL once `required` says so.
    unsafe {
        on_store(db, err, |db| {
            let count = required("count", count)?;
            count.write(db.target().len()?);
            Ok(Status::Ok)
        })
    }
}

/// Makes everything durable that was acknowledged before the call, in every sync mode. On a store that
/// is open read-only there is nothing to do.
///
/// The first sync that fails makes the store read-only until it is opened again: a later one that
/// succeeds would prove nothing.
///
/// Threads: any. Blocks: until the disk has it.
/// Returns: `LARDER_OK`; `LARDER_IO` or `LARDER_NO_SPACE` if the sync failed; `LARDER_READ_ONLY` after an
/// earlier failure; `LARDER_UNSUPPORTED` over a server that cannot promise it; `LARDER_INVALID_ARGUMENT`,
/// `LARDER_CLOSED`, `LARDER_FORKED`, `LARDER_PANIC`. Since 0.1.0.
///
/// # Safety
///
/// `db` comes from `larder_open`. `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_sync(db: *mut larder, err: *mut larder_error) -> larder_status {
    // SAFETY: the caller's promise.
    unsafe { on_store(db, err, |db| db.target().sync().map(|()| Status::Ok)) }
}

/// Reclaims the space of what was overwritten, deleted and expired. With the option `compaction=auto`
/// no call is needed.
///
/// Threads: any. Blocks: while it copies what is live; other calls go on meanwhile.
/// Returns: `LARDER_OK`; `LARDER_READ_ONLY`; `LARDER_CORRUPT` if a record fails its check;
/// `LARDER_UNSUPPORTED` over a server; `LARDER_INVALID_ARGUMENT`, `LARDER_CLOSED`, `LARDER_NO_SPACE`,
/// `LARDER_IO`, `LARDER_FORKED`, `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
///
/// # Safety
///
/// `db` comes from `larder_open`. `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_compact(db: *mut larder, err: *mut larder_error) -> larder_status {
    // SAFETY: the caller's promise.
    unsafe { on_store(db, err, |db| db.target().compact().map(|()| Status::Ok)) }
}

/// Checks every record of the log. `*bad_records` is set on `LARDER_OK`, to 0, and on the
/// `LARDER_CORRUPT` that reports damage, whose error names the first place.
///
/// Threads: any. Blocks: while it reads the whole store; other calls go on meanwhile.
/// Returns: `LARDER_OK`; `LARDER_CORRUPT`; `LARDER_UNSUPPORTED` over a server; `LARDER_INVALID_ARGUMENT`,
/// `LARDER_CLOSED`, `LARDER_FORKED`, `LARDER_IO`, `LARDER_OUT_OF_MEMORY`, `LARDER_PANIC`. Since 0.1.0.
///
/// # Safety
///
/// `db` comes from `larder_open`. `bad_records` is writable. `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_verify(
    db: *mut larder,
    bad_records: *mut u64,
    err: *mut larder_error,
) -> larder_status {
    // SAFETY: the caller's promise; `bad_records` is not NULL once `required` says so.
    unsafe {
        on_store(db, err, |db| {
            let bad_records = required("bad_records", bad_records)?;
            let report = db.target().verify()?;
            bad_records.write(report.bad_records);
            match report.bad_records {
                0 => Ok(Status::Ok),
                _ => Err(report.first.unwrap_or_else(|| Error::from(Status::Corrupt))),
            }
        })
    }
}

/// Reads the store's figures. They are read one after the other while other calls go on, so their sums
/// need not match to the last byte.
///
/// Threads: any. Blocks: never.
/// Returns: `LARDER_OK`; `LARDER_INVALID_ARGUMENT` for NULL and a `struct_size` out of range;
/// `LARDER_UNSUPPORTED` over a server; `LARDER_CLOSED`, `LARDER_FORKED`, `LARDER_PANIC`. Since 0.1.0.
///
/// # Safety
///
/// `db` comes from `larder_open`. `stats` is writable for the `struct_size` bytes that it begins with, and
/// written only on `LARDER_OK`. `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_stats_get(
    db: *mut larder,
    stats: *mut larder_stats,
    err: *mut larder_error,
) -> larder_status {
    // SAFETY: the caller's promise: `stats` is NULL or writable for the size it names. Its first field is
    // there whatever the size, since less than STATS_HEAD_BYTES is refused by reading nothing else.
    unsafe {
        on_store(db, err, |db| {
            let stats = required("stats", stats)?;
            let struct_size = stats.cast::<u32>().read();
            if !(STATS_HEAD_BYTES..=STATS_BYTES_MAX).contains(&struct_size) {
                return Err(invalid(format!(
                    "stats->struct_size is {struct_size}, not {STATS_HEAD_BYTES} to {STATS_BYTES_MAX}; set it to sizeof(larder_stats)"
                )));
            }
            let known = larder_stats::new(struct_size, &db.target().stats()?);
            let struct_bytes = struct_size as usize;
            let known_bytes = struct_bytes.min(size_of::<larder_stats>());
            let target = stats.cast::<u8>().as_ptr();
            std::ptr::copy_nonoverlapping((&raw const known).cast::<u8>(), target, known_bytes);
            target.add(known_bytes).write_bytes(0, struct_bytes - known_bytes);
            Ok(Status::Ok)
        })
    }
}

impl larder_stats {
    fn new(struct_size: u32, stats: &Stats) -> Self {
        // Taken apart without `..`, so that a figure added to one and not to the other does not compile.
        let Stats {
            keys,
            live_bytes,
            dead_bytes,
            file_bytes,
            segments,
            mapped_bytes,
            index_bytes,
            pinned_views,
            gets,
            hits,
            sets,
            dels,
            expired,
            syncs,
            compactions,
            compacted_bytes,
        } = *stats;
        Self {
            struct_size,
            reserved: 0,
            keys,
            live_bytes,
            dead_bytes,
            file_bytes,
            segments,
            mapped_bytes,
            index_bytes,
            pinned_views,
            gets,
            hits,
            sets,
            dels,
            expired,
            syncs,
            compactions,
            compacted_bytes,
        }
    }
}
