//! Salvage: what is intact in a damaged store, into a new one.
//!
//! Not here: how ([`crate::salvage`]).

use super::arguments::{invalid, required, text};
use super::contained::silence_contained_panics;
use super::error::{larder_error, larder_status};
use super::handle::run;
use super::keys::malloced;
use super::options::{copied, larder_options};
use super::target::directory;
use crate::error::Status;
use crate::salvage::{SalvageReport, salvage};
use std::ffi::{c_char, c_void};
use std::fmt::Write;
use std::mem::offset_of;

/// What `larder_salvage` did.
///
/// The caller sets `struct_size` to `sizeof(larder_salvage_report)`, at least 8 and at most 65536, and the
/// library writes no byte beyond it: what it knows more is left out, what the caller knows more is
/// zeroed.
#[repr(C)]
pub struct larder_salvage_report {
    /// Size of the caller's struct, bytes. Set it before the call.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Segment files that were read.
    pub segments: u64,
    /// Intact records in them, overwritten ones and tombstones among them.
    pub records: u64,
    /// Keys that the new store has.
    pub keys: u64,
    /// Bytes of their records.
    pub bytes: u64,
    /// Damaged places, each a line of the list of losses.
    pub losses: u64,
    /// Their bytes.
    pub lost_bytes: u64,
    /// 1 if the list of files was there and complete, else 0: then a record may be back that was no part
    /// of the store any more, of a key deleted long ago, or of a write that a power cut had taken back.
    pub has_whole_manifest: u64,
}

/// `struct_size` and `reserved`, which every caller's struct has.
const REPORT_HEAD_BYTES: u32 = 8;

/// A size above this was never set: zeroing what it claims would destroy the caller's memory.
const REPORT_BYTES_MAX: u32 = 64 << 10;

const _: () = {
    assert!(offset_of!(larder_salvage_report, segments) == REPORT_HEAD_BYTES as usize);
    assert!(size_of::<larder_salvage_report>() == 8 + 7 * 8);
};

/// Writes what is intact in the store in the directory `source` into a new store in the directory
/// `target`, which must be missing or empty. No byte of the source is changed, and nothing is created in
/// it: it may be on read-only media, and refused by `larder_open`.
///
/// A value is written only if its record's check holds, and only if no intact record of its key is newer.
/// Expiries and versions stay; keys that were deleted stay so. Where the newest record of a key is damaged,
/// an older one takes its place, if one is left: the loss says so if the key can still be read. A
/// batch that was durable and lost some of its records keeps the others.
///
/// `losses` is text: for each damaged place one line, ended by a newline, with six fields between tabs:
/// file; offset; length, both in bytes; key; version that the new store has of that key; what is wrong. A key
/// or version that there is not is `-`; a key stands in double quotes, with `\xNN` for every byte but
/// printable ASCII, and for the quote and the backslash. The key is as far as it can be read: the damage may
/// be in it. Damage is no failure: the call returns `LARDER_OK`, and the report counts it.
///
/// Of the options `segment_size` is used, the size of the new store's files.
///
/// Threads: any. Blocks: while it reads the whole source and writes the target.
/// Returns: `LARDER_OK`; `LARDER_NOT_FOUND` if there is no store in `source`; `LARDER_BUSY` while a writer has
/// it open; `LARDER_INVALID_ARGUMENT` for NULL, a `struct_size` out of range, and a target that is not empty;
/// `LARDER_CORRUPT` if no file says intact which store it is; `LARDER_INCOMPATIBLE` for a newer format;
/// `LARDER_UNSUPPORTED` for a location with a scheme; `LARDER_NO_SPACE`, `LARDER_IO`,
/// `LARDER_OUT_OF_MEMORY`, `LARDER_READ_ONLY`, `LARDER_PANIC`: then `target` holds no store, and what was
/// written is removed. Since 0.1.0.
///
/// # Safety
///
/// `source` and `target` are NUL-terminated, any bytes; they and `options`, which may be NULL for the
/// defaults, are read during the call and not kept. `report` is writable for the `struct_size` bytes that it
/// begins with. `losses` and `losses_len` are writable, or both NULL if the list is not wanted; on
/// `LARDER_OK` `*losses` is a new buffer of `*losses_len` bytes, never NULL, that the caller gives back with
/// `larder_free`. `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn larder_salvage(
    source: *const c_char,
    target: *const c_char,
    options: *const larder_options,
    report: *mut larder_salvage_report,
    losses: *mut *mut c_void,
    losses_len: *mut usize,
    err: *mut larder_error,
) -> larder_status {
    // SAFETY: the caller's promise: the texts are NULL or terminated, `options` NULL or live, the outputs NULL or
    // writable, `report` for the size it names. Its first field is there whatever the size, since less than
    // REPORT_HEAD_BYTES is refused by reading nothing else.
    unsafe {
        run(err, None, || {
            silence_contained_panics();
            let source = directory("source", text("source", source)?)?;
            let target = directory("target", text("target", target)?)?;
            let report = required("report", report)?;
            if losses.is_null() != losses_len.is_null() {
                return Err(invalid("one of losses and losses_len is NULL, and the other is not"));
            }
            let struct_size = report.cast::<u32>().read();
            if !(REPORT_HEAD_BYTES..=REPORT_BYTES_MAX).contains(&struct_size) {
                return Err(invalid(format!(
                    "report->struct_size is {struct_size}, not {REPORT_HEAD_BYTES} to {REPORT_BYTES_MAX}; set it to sizeof(larder_salvage_report)"
                )));
            }
            let chosen = copied(options)?;
            let done = salvage(source, target, &chosen.options, &mut |_, _| true)?;
            if !losses.is_null() {
                let list = listed(&done);
                losses.write(malloced(list.as_bytes())?.as_ptr());
                losses_len.write(list.len());
            }
            let known = larder_salvage_report::new(struct_size, &done);
            let struct_bytes = struct_size as usize;
            let known_bytes = struct_bytes.min(size_of::<larder_salvage_report>());
            let bytes = report.cast::<u8>().as_ptr();
            std::ptr::copy_nonoverlapping((&raw const known).cast::<u8>(), bytes, known_bytes);
            bytes.add(known_bytes).write_bytes(0, struct_bytes - known_bytes);
            Ok(Status::Ok)
        })
    }
}

impl larder_salvage_report {
    fn new(struct_size: u32, done: &SalvageReport) -> Self {
        // Taken apart without `..`, so that a figure added to one and not to the other does not compile.
        let SalvageReport { segments, records, keys, bytes, lost_bytes, has_whole_manifest, losses } = done;
        Self {
            struct_size,
            reserved: 0,
            segments: *segments,
            records: *records,
            keys: *keys,
            bytes: *bytes,
            losses: losses.len() as u64,
            lost_bytes: *lost_bytes,
            has_whole_manifest: (*has_whole_manifest).into(),
        }
    }
}

fn listed(done: &SalvageReport) -> String {
    let mut list = String::new();
    for loss in &done.losses {
        // Writing into a string cannot fail.
        let _ = writeln!(list, "{loss}");
    }
    list
}
