//! Where in a page an entry may lie, and what a word of tags looks like: arithmetic, no memory.
//!
//! Not here: the page itself (`page`), which bits of a hash decide (`entry`).

use super::entry::{GROUP_COUNT, Probe};
use std::ops::Range;

/// Words in a line: one cache line.
pub(super) const LINE_WORDS: usize = if cfg!(loom) { 2 } else { 8 };
/// Lines per group of a stripe's first page.
pub(super) const LINES_FIRST: usize = if cfg!(loom) { 2 } else { 1 };
/// Lines per group after a split.
pub(super) const LINES_SPLIT: usize = if cfg!(loom) { 2 } else { 4 };
/// Lines per group of the largest page.
pub(super) const LINES_MAX: usize = if cfg!(loom) { 2 } else { 7 };
/// Entries in the spill above which a page grows, if it is not too empty for that.
pub(super) const SPILL_FIRST: usize = if cfg!(loom) { 1 } else { 16 };

/// How many lines away from its home an entry may lie.
const REACH: usize = 2;

/// The flags among a line's tags: eighth bits of bytes.
pub(super) const fn displaced(distance: usize) -> u64 {
    0x80 << (8 * (distance - 1))
}
pub(super) const SPILLED: u64 = 1 << 63;
pub(super) const FLAGS: u64 = displaced(1) | displaced(2) | SPILLED;
const _: () = assert!(REACH == 2 && FLAGS & TAGS == 0);

/// Each byte's lowest bit, for those bytes that stand for a word.
const BYTES: u64 = 0x0101_0101_0101_0101 >> (64 - 8 * LINE_WORDS);
/// Each byte's tag.
const TAGS: u64 = BYTES * 0x7F;

/// The line that is so far from a probe's home, around its group.
#[inline]
pub(super) fn line_at(probe: Probe, distance: usize, lines_per_group: usize) -> usize {
    let line = probe.line(lines_per_group) + distance;
    probe.group * lines_per_group + if line < lines_per_group { line } else { line - lines_per_group }
}

/// How far from its home an entry may lie: 0 first.
pub(super) fn distances(lines_per_group: usize) -> Range<usize> {
    0..lines_per_group.min(REACH + 1)
}

/// The highest bit of each byte whose tag is this, and no other bit.
#[inline]
pub(super) fn bytes_equal(tags: u64, tag: u8) -> u64 {
    let different = (tags & TAGS) ^ (BYTES * u64::from(tag));
    // No byte exceeds 0x7F, so adding 0x7F carries into its highest bit unless it is 0, and not beyond.
    !(different + TAGS) & (BYTES << 7)
}

/// Lines of tags.
pub(super) const fn tag_lines(lines_per_group: usize) -> usize {
    GROUP_COUNT * lines_per_group / LINE_WORDS
}

/// Lines of tags and of entries: a multiple of what it is for one line per group.
pub(super) const fn body_len(lines_per_group: usize) -> usize {
    if cfg!(loom) {
        // One group of two lines: a line of tags, and those two. Other sizes do not occur in models.
        return lines_per_group * 2;
    }
    tag_lines(lines_per_group) + GROUP_COUNT * lines_per_group
}

/// Entries that a page's lines have room for.
pub(super) const fn lines_capacity(lines_per_group: usize) -> usize {
    GROUP_COUNT * lines_per_group * LINE_WORDS
}
