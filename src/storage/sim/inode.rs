//! One simulated file: what it holds now, what of that is durable, and what may be.
//!
//! Not here: its names (`sim::directory`), the limit on space (`sim::state`).
//!
//! Invariants:
//!   F1. `durable` is the content at the last sync that succeeded, but for what `lost` names.
//!   F2. The image is replaced by a larger one only while nobody has it mapped (ST2, ST3).
//!   F3. Bytes of the image behind `len` are zeros.

use super::image::Image;
use super::random::Random;
use super::state::Survival;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// What a disk writes as one.
pub(super) const SECTOR_LEN: usize = 512;
/// What a kernel keeps clean or dirty as one, and what space is given out in.
pub(super) const PAGE_LEN: usize = 4096;
/// The longest run of sectors that is written back as one.
const RUN_SECTORS_MAX: usize = 64 * PAGE_LEN / SECTOR_LEN;

type Sector = [u8; SECTOR_LEN];

pub(super) struct Inode {
    image: Arc<Image>,
    len: usize,
    durable: Vec<u8>,
    /// Lengths since the last sync: any of them may be the one that a crash leaves.
    lens: BTreeSet<usize>,
    /// Sectors that were written back since the last sync, as they were at that moment.
    flushed: BTreeMap<usize, Sector>,
    /// Pages that a failed sync has marked clean, as they were at that moment.
    lost: BTreeMap<usize, Vec<u8>>,
    blocks: Vec<Block>,
    /// Cloned into every handle and map, so that an unlinked file lives while it is used.
    pub(super) pins: Arc<()>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    None,
    Reserved,
    Punched,
}

impl Inode {
    pub(super) fn new() -> Self {
        Self::with_durable(Vec::new(), Vec::new())
    }

    /// A file that is durable as it is, every block reserved.
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        let blocks = vec![Block::Reserved; bytes.len().div_ceil(PAGE_LEN)];
        Self::with_durable(bytes, blocks)
    }

    fn with_durable(bytes: Vec<u8>, blocks: Vec<Block>) -> Self {
        let image = Image::new(bytes.len());
        image.store(0, &bytes);
        Self {
            image: Arc::new(image),
            len: bytes.len(),
            durable: bytes,
            lens: BTreeSet::new(),
            flushed: BTreeMap::new(),
            lost: BTreeMap::new(),
            blocks,
            pins: Arc::new(()),
        }
    }

    /// The same file with memory of its own, as a killed process leaves it.
    pub(super) fn copy(&self) -> Self {
        let image = Image::new(self.len);
        image.store(0, &self.live_bytes());
        Self {
            image: Arc::new(image),
            len: self.len,
            durable: self.durable.clone(),
            lens: self.lens.clone(),
            flushed: self.flushed.clone(),
            lost: self.lost.clone(),
            blocks: self.blocks.clone(),
            pins: Arc::new(()),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn live_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        self.image.load(0, &mut bytes);
        bytes
    }

    /// Fills `buffer`; false if the file ends before.
    pub(super) fn read(&self, buffer: &mut [u8], offset: usize) -> bool {
        let is_inside = offset.checked_add(buffer.len()).is_some_and(|end| end <= self.len);
        if is_inside {
            self.image.load(offset, buffer);
        }
        is_inside
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        self.grow(end, true);
        self.image.store(offset, bytes);
        if !bytes.is_empty() {
            // A write makes a page dirty whatever it writes, so the next sync writes it.
            for page in offset / PAGE_LEN..end.div_ceil(PAGE_LEN) {
                self.lost.remove(&page);
            }
            self.set_blocks(offset / PAGE_LEN..end.div_ceil(PAGE_LEN), Block::Reserved);
        }
    }

    pub(super) fn reserve(&mut self, len: usize) {
        self.grow(len, false);
        self.set_blocks(0..len.div_ceil(PAGE_LEN), Block::Reserved);
    }

    pub(super) fn punch(&mut self, offset: usize, len: usize) {
        let start = offset.div_ceil(PAGE_LEN);
        let end = offset.saturating_add(len) / PAGE_LEN;
        for page in start..end.min(self.blocks.len()) {
            self.blocks[page] = Block::Punched;
        }
        let bytes = start.saturating_mul(PAGE_LEN)..end.saturating_mul(PAGE_LEN).min(self.len);
        if !bytes.is_empty() {
            self.image.store(bytes.start, &vec![0; bytes.len()]);
        }
    }

    /// The image for a map of `0..len`.
    ///
    /// Panics if stores could need blocks that were never reserved: on disk that is a SIGBUS.
    pub(super) fn map(&self, len: usize, is_writable: bool) -> Arc<Image> {
        let blocks = &self.blocks[..len.div_ceil(PAGE_LEN).min(self.blocks.len())];
        let is_reserved = blocks.len() * PAGE_LEN >= len && !blocks.contains(&Block::None);
        assert!(is_reserved || !is_writable, "ST3: mapped for stores before the space was reserved");
        Arc::clone(&self.image)
    }

    /// Bytes of its blocks.
    pub(super) fn space_used(&self) -> u64 {
        let count = self.blocks.iter().filter(|block| **block == Block::Reserved).count();
        (count * PAGE_LEN) as u64
    }

    /// Bytes of the blocks that `range` would need in addition.
    pub(super) fn space_needed(&self, range: Range<usize>) -> u64 {
        let pages = range.start / PAGE_LEN..range.end.div_ceil(PAGE_LEN);
        let count = pages.filter(|page| self.blocks.get(*page) != Some(&Block::Reserved)).count();
        (count * PAGE_LEN) as u64
    }

    /// How much of `len` bytes at `offset` can be written with `left` bytes of blocks to be had.
    pub(super) fn fitting_len(&self, offset: usize, len: usize, left: u64) -> usize {
        let mut end = offset;
        while end < offset + len {
            let page_end = (end / PAGE_LEN + 1) * PAGE_LEN;
            if self.space_needed(offset..page_end) > left {
                break;
            }
            end = page_end;
        }
        len.min(end - offset)
    }

    /// A sync of `pages` that succeeded: they are durable, but for those that are lost and unchanged since. The length
    /// is durable too.
    pub(super) fn sync(&mut self, pages: Range<usize>) {
        if self.durable.len() != self.len {
            let mut grown = vec![0; self.len];
            grown[..self.durable.len()].copy_from_slice(&self.durable);
            self.durable = grown;
        }
        for (page, durable) in self.durable.chunks_mut(PAGE_LEN).enumerate() {
            if !pages.contains(&page) {
                continue;
            }
            let offset = page * PAGE_LEN;
            if let Some(lost) = self.lost.get(&page) {
                if lost.len() == durable.len() && self.image.equals(offset, lost) {
                    continue;
                }
                self.lost.remove(&page);
            }
            self.image.load(offset, durable);
        }
        let lost = &self.lost;
        self.flushed.retain(|sector, _| {
            let page = sector * SECTOR_LEN / PAGE_LEN;
            lost.contains_key(&page) || !pages.contains(&page)
        });
        self.lens.clear();
    }

    /// A sync of `pages` that failed: every one that was to be written is clean and not durable.
    pub(super) fn fail_sync(&mut self, pages: Range<usize>) {
        let end = pages.end.saturating_mul(PAGE_LEN).min(self.len);
        for offset in (pages.start * PAGE_LEN..end).step_by(PAGE_LEN) {
            let mut live = vec![0; PAGE_LEN.min(self.len - offset)];
            self.image.load(offset, &mut live);
            let durable = self.durable.get(offset..).unwrap_or_default();
            if durable.get(..live.len()) != Some(&live[..]) {
                self.lost.insert(offset / PAGE_LEN, live);
            }
        }
    }

    /// Writes some run of sectors back, unasked. What is on the disk then is still not durable.
    pub(super) fn write_back(&mut self, random: &mut Random) {
        let sector_count = self.len.div_ceil(SECTOR_LEN);
        if sector_count == 0 {
            return;
        }
        let first = random.below(sector_count);
        let run = 1 + random.below(RUN_SECTORS_MAX);
        for sector in first..(first + run).min(sector_count) {
            let live = self.live_sector(sector);
            if live != self.durable_sector(sector) {
                self.flushed.insert(sector, live);
            }
        }
    }

    /// The file after a power cut.
    pub(super) fn crash(&self, random: &mut Random, survival: Survival) -> Inode {
        let (len, mut choose) = match survival {
            Survival::Nothing => (self.durable.len(), Choice::new(0)),
            Survival::Everything => (self.len, Choice::new(1)),
            Survival::Mixed => (self.crashed_len(random), Choice::new(random.below(6))),
        };
        let mut bytes = vec![0; len];
        for (sector, target) in bytes.chunks_mut(SECTOR_LEN).enumerate() {
            let source = match choose.next(random, len.div_ceil(SECTOR_LEN)) {
                Version::Durable => self.durable_sector(sector),
                Version::Flushed => self.flushed.get(&sector).copied().unwrap_or_else(|| self.durable_sector(sector)),
                Version::Live => self.live_sector(sector),
            };
            target.copy_from_slice(&source[..target.len()]);
        }
        Inode::durable(bytes)
    }

    fn crashed_len(&self, random: &mut Random) -> usize {
        let between: Vec<usize> = self.lens.iter().copied().collect();
        match random.below(4) {
            0 => self.durable.len(),
            1 if !between.is_empty() => between[random.below(between.len())],
            _ => self.len,
        }
    }

    pub(super) fn flip_bit(&mut self, offset: usize, bit: u32) {
        assert!(offset < self.len && bit < 8, "no bit {bit} of byte {offset} in a file of {} bytes", self.len);
        let mut byte = [0];
        self.image.load(offset, &mut byte);
        self.image.store(offset, &[byte[0] ^ 1 << bit]);
        if let Some(durable) = self.durable.get_mut(offset) {
            *durable ^= 1 << bit;
        }
        if let Some(flushed) = self.flushed.get_mut(&(offset / SECTOR_LEN)) {
            flushed[offset % SECTOR_LEN] ^= 1 << bit;
        }
    }

    pub(super) fn truncate(&mut self, len: usize) {
        assert_eq!(Arc::strong_count(&self.image), 1, "ST2: truncated while it is mapped");
        let mut bytes = self.live_bytes();
        bytes.resize(len, 0);
        let pins = Arc::clone(&self.pins);
        *self = Self { pins, ..Inode::durable(bytes) };
    }

    fn live_sector(&self, sector: usize) -> Sector {
        let mut bytes = [0; SECTOR_LEN];
        let start = (sector * SECTOR_LEN).min(self.len);
        let end = (start + SECTOR_LEN).min(self.len);
        self.image.load(start, &mut bytes[..end - start]);
        bytes
    }

    fn durable_sector(&self, sector: usize) -> Sector {
        let mut bytes = [0; SECTOR_LEN];
        let found = self.durable.chunks(SECTOR_LEN).nth(sector).unwrap_or_default();
        bytes[..found.len()].copy_from_slice(found);
        bytes
    }

    /// Makes the file at least `len` long. With `spare`, leaves room for more, as an append will follow.
    fn grow(&mut self, len: usize, spare: bool) {
        if len > self.image.capacity() {
            // Moving the memory would pull it away from under a map (F2).
            assert_eq!(Arc::strong_count(&self.image), 1, "ST2, ST3: grown while it is mapped");
            let image = Image::new(if spare { len.max(self.len * 2) } else { len });
            image.store(0, &self.live_bytes());
            self.image = Arc::new(image);
        }
        if len > self.len {
            self.lens.insert(self.len);
            self.len = len;
        }
        if self.blocks.len() < self.len.div_ceil(PAGE_LEN) {
            self.blocks.resize(self.len.div_ceil(PAGE_LEN), Block::None);
        }
    }

    fn set_blocks(&mut self, pages: Range<usize>, block: Block) {
        self.blocks[pages].fill(block);
    }
}

/// Which of its versions a sector has after a power cut.
#[derive(Clone, Copy)]
enum Version {
    Durable,
    Flushed,
    Live,
}

/// Draws versions sector by sector, in one of several patterns, so that the rare cases (nothing
/// lost, everything lost, one hole, one island) are as likely as the mixed ones.
struct Choice {
    style: usize,
    /// What the present run has, and how many sectors are left of it.
    version: Version,
    remaining: usize,
}

impl Choice {
    fn new(style: usize) -> Self {
        Self { style, version: Version::Durable, remaining: 0 }
    }

    fn next(&mut self, random: &mut Random, sector_count: usize) -> Version {
        match self.style {
            0 => return Version::Durable,
            1 => return Version::Live,
            2 => return Self::any(random),
            _ => {}
        }
        if self.remaining == 0 {
            (self.version, self.remaining) = match self.style {
                // Runs of any version, short ones and long ones.
                3 => (Self::any(random), 1 + random.below(RUN_SECTORS_MAX)),
                4 => (Self::any(random), 1 + random.below(8)),
                // Two versions, the border anywhere.
                _ => (Self::any(random), 1 + random.below(sector_count)),
            };
        }
        self.remaining -= 1;
        self.version
    }

    fn any(random: &mut Random) -> Version {
        [Version::Durable, Version::Flushed, Version::Live][random.below(3)]
    }
}
