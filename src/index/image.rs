//! The index as bytes, for checkpoints, and back.
//!
//! ```text
//! head    64 bytes   magic, version, the layout's constants
//! pages              each: head of 64 bytes, tags and lines as they are in memory, spill (probe, word),
//!                    zeros to 64
//! table              32 bytes a page: offset u64, prefix u32, stripe u8, depth u8, lines u8, 0,
//!                    entries in lines u32, entries in the spill u32, checksum of the page u32, zero u32
//! foot    64 bytes   magic, page count, entry count, table's offset, total length: u64 each; checksum u32
//!                    of the table and the foot before it
//! ```
//!
//! Everything is little-endian and at multiples of 8, pages at multiples of 64; nothing in it depends on
//! where it lies. An image is opened by its table alone; pages are read when they are needed (`unloaded`), and
//! each is checked then.
//!
//! Not here: a name, what the image belongs to (`checkpoint`). What is read is checked until every
//! invariant of `page` and `table` holds; only locations are taken on trust.
//!
//! Locks: each stripe's while one of its pages is copied.

use super::arena::Arena;
use super::entry::{
    DEPTH_MAX, EMPTY, GROUP_BITS, GROUP_COUNT, Location, Probe, STRIPE_BITS, WINDOW_BITS, location_of, stripe_of,
};
use super::layout::{LINE_WORDS, LINES_MAX, SPILLED, body_len, displaced, distances, line_at};
use super::page::{Page, page_bytes};
use super::page_box::PageBox;
use super::table::{STRIPE_COUNT, Table, TableStripe};
use super::{ImageSource, Index};
use crate::epoch::Epochs;
use crate::format::{Seed, read_dense};
use crate::rules::{self, Rule};
use std::io;
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"LARDERIX";
const MAGIC_AT_END: &[u8; 8] = b"XIREDRAL";
const VERSION: u32 = 2;
const HEAD_BYTES: usize = 64;
const PAGE_HEAD_BYTES: usize = 64;
const LINE_BYTES: usize = LINE_WORDS * 8;
const SPILL_ENTRY_BYTES: usize = 16;
const TABLE_ENTRY_BYTES: usize = 32;
const FOOT_BYTES: usize = 64;
const FOOT_CHECKED_BYTES: usize = 40;
/// So much of a page is read without asking whether it is there: all of a page without a spill, and most that have one.
const READ_BYTES_FIRST: u64 = 64 << 10;

/// One entry of the table: where a page is and what it covers.
#[derive(Clone, Copy, Default)]
pub(super) struct PageAt {
    offset: u64,
    pub(super) prefix: u32,
    pub(super) stripe: u8,
    pub(super) depth: u8,
    lines_per_group: u8,
    lines_used: u32,
    spill_used: u32,
    checksum: u32,
}

impl Index {
    /// Writes all entries, page by page through `out`, and returns how many bytes that took. Changes that
    /// happen meanwhile may be in it or not, each by itself: with the stripe still locked, `copied` is told
    /// the first hash that is not copied yet, `None` after the last.
    pub fn write_image(
        &self,
        seed: Seed,
        out: &mut dyn FnMut(&[u8]) -> io::Result<()>,
        copied: &mut dyn FnMut(Option<u64>),
    ) -> io::Result<u64> {
        out(&head())?;
        let mut offset = HEAD_BYTES as u64;
        let mut pages = Vec::new();
        let mut bytes = Vec::new();
        let mut from = Some(0);
        while let Some(hash) = from {
            bytes.clear();
            {
                let stripe = self.table.lock(stripe_of(hash));
                let probe = Probe::of_hash(hash);
                match stripe.page(probe) {
                    Some(page) => pages.push(PageAt { offset, ..encode_page(&stripe, page, hash, &mut bytes) }),
                    None if stripe.lost().is_some() => return Err(io::Error::other("a part of the index is lost")),
                    None => {}
                }
                from = stripe.hash_after(probe);
                copied(from);
            }
            if let Some(page) = pages.last_mut().filter(|_| !bytes.is_empty()) {
                page.checksum = seed.checksum(offset, &bytes);
            }
            out(&bytes)?;
            offset += bytes.len() as u64;
        }
        let table_at = offset;
        let mut end = Vec::with_capacity(pages.len() * TABLE_ENTRY_BYTES + FOOT_BYTES);
        pages.iter().for_each(|page| end.extend_from_slice(&page.encode()));
        let entry_count: u64 = pages.iter().map(|page| page.entry_count() as u64).sum();
        let len = table_at + (end.len() + FOOT_BYTES) as u64;
        end.extend_from_slice(&foot(pages.len() as u64, entry_count, table_at, len));
        let checksum = seed.checksum(table_at, &end);
        end.extend_from_slice(&checksum.to_le_bytes());
        end.resize((len - table_at) as usize, 0);
        out(&end)?;
        Ok(len)
    }

    /// The index whose image `source` has, `len` bytes long, or what is wrong with it. Reads nothing but the
    /// image's head, foot and table.
    pub fn open_image(
        source: Arc<dyn ImageSource>,
        len: u64,
        seed: Seed,
        epochs: Arc<Epochs>,
    ) -> Result<Index, &'static str> {
        let mut start = [0; HEAD_BYTES];
        if len < (HEAD_BYTES + FOOT_BYTES) as u64 || !source.read(&mut start, 0) || start != head() {
            return Err("the head is not that of an index image of this version");
        }
        let pages = read_table(source.as_ref(), len, seed)?;
        let table = Table::new(epochs);
        let mut rest = pages.as_slice();
        for stripe in 0..STRIPE_COUNT {
            let (own, others) = rest.split_at(rest.partition_point(|page| usize::from(page.stripe) <= stripe));
            rest = others;
            check_cover(own, stripe)?;
            let mut locked = table.lock(stripe);
            locked.deepen_directory(own.iter().map(|page| u32::from(page.depth)).max().unwrap_or(0));
            locked.add_to_count(own.iter().map(|page| page.entry_count() as i64).sum());
        }
        if !rest.is_empty() {
            return Err("a page of a stripe that does not exist");
        }
        // Later nobody could be told.
        if !table.arena().reserve(pages.iter().map(|page| page_bytes(usize::from(page.lines_per_group)))) {
            return Err("there is no memory for the index");
        }
        table.unloaded.begin(source, seed, pages);
        Ok(Index { table })
    }
}

fn head() -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    head[12..16].copy_from_slice(&[STRIPE_BITS as u8, GROUP_BITS as u8, WINDOW_BITS as u8, LINE_WORDS as u8]);
    head
}

/// The part of the foot that its checksum covers.
fn foot(page_count: u64, entry_count: u64, table_at: u64, len: u64) -> [u8; FOOT_CHECKED_BYTES] {
    let mut foot = [0; FOOT_CHECKED_BYTES];
    foot[..8].copy_from_slice(MAGIC_AT_END);
    for (to, number) in foot[8..].chunks_exact_mut(8).zip([page_count, entry_count, table_at, len]) {
        to.copy_from_slice(&number.to_le_bytes());
    }
    foot
}

impl PageAt {
    fn encode(&self) -> [u8; TABLE_ENTRY_BYTES] {
        let mut out = [0; TABLE_ENTRY_BYTES];
        out[..8].copy_from_slice(&self.offset.to_le_bytes());
        out[8..12].copy_from_slice(&self.prefix.to_le_bytes());
        out[12..16].copy_from_slice(&[self.stripe, self.depth, self.lines_per_group, 0]);
        out[16..20].copy_from_slice(&self.lines_used.to_le_bytes());
        out[20..24].copy_from_slice(&self.spill_used.to_le_bytes());
        out[24..28].copy_from_slice(&self.checksum.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8; TABLE_ENTRY_BYTES]) -> Result<Self, &'static str> {
        let [stripe, depth, lines_per_group, zero] = [bytes[12], bytes[13], bytes[14], bytes[15]];
        if u32::from(depth) > DEPTH_MAX || zero != 0 || u32_at(bytes, 28) != 0 {
            return Err("a page's depth is out of range");
        }
        if !(1..=LINES_MAX).contains(&usize::from(lines_per_group)) {
            return Err("a page's size is out of range");
        }
        Ok(PageAt {
            offset: u64_at(bytes, 0),
            prefix: u32_at(bytes, 8),
            stripe,
            depth,
            lines_per_group,
            lines_used: u32_at(bytes, 16),
            spill_used: u32_at(bytes, 20),
            checksum: u32_at(bytes, 24),
        })
    }

    /// Entries on the page.
    pub(super) fn entry_count(&self) -> usize {
        self.lines_used as usize + self.spill_used as usize
    }

    /// A probe that the page covers.
    pub(super) fn probe(&self) -> Probe {
        Probe { group: 0, window: self.prefix << (WINDOW_BITS - u32::from(self.depth)) }
    }

    /// Reads the page from its image and checks it. What no longer counts is left out.
    pub(super) fn read(
        &self,
        source: &dyn ImageSource,
        seed: Seed,
        arena: &Arc<Arena>,
    ) -> Result<PageBox, &'static str> {
        let mut bytes = vec![0; self.len().min(READ_BYTES_FIRST) as usize];
        if !source.read(&mut bytes, self.offset) {
            return Err("a page cannot be read");
        }
        // All that is large of a page is its spill.
        let rest_offset = self.offset + bytes.len() as u64;
        let mut read = |rest: &mut [u8], at: u64| source.read(rest, rest_offset + at);
        let rest = read_dense(self.len() - bytes.len() as u64, &mut read).ok_or("a page's spill cannot be read")?;
        bytes.try_reserve_exact(rest.len()).map_err(|_| "there is no memory for a page")?;
        bytes.extend_from_slice(&rest);
        if seed.checksum(self.offset, &bytes) != self.checksum && rules::holds(Rule::PagesChecked) {
            return Err("a page fails its check");
        }
        decode_page(self, &bytes, source, arena)
    }

    /// The length of its tags and lines.
    fn body_bytes(&self) -> usize {
        body_len(usize::from(self.lines_per_group)) * LINE_BYTES
    }

    /// Its length in the image: page head, tags, lines, spill.
    fn len(&self) -> u64 {
        let spill_len = (u64::from(self.spill_used) * SPILL_ENTRY_BYTES as u64).next_multiple_of(64);
        (PAGE_HEAD_BYTES + self.body_bytes()) as u64 + spill_len
    }

    /// The page's own head: the first fields of a page in memory, without an address.
    fn page_head(&self) -> [u8; PAGE_HEAD_BYTES] {
        let mut head = [0; PAGE_HEAD_BYTES];
        head[8..12].copy_from_slice(&u32::from(self.depth).to_le_bytes());
        head[16..24].copy_from_slice(&u64::from(self.lines_used).to_le_bytes());
        head[24..32].copy_from_slice(&u64::from(self.spill_used).to_le_bytes());
        head
    }
}

fn encode_page(stripe: &TableStripe<'_>, page: &Page, hash: u64, out: &mut Vec<u8>) -> PageAt {
    let at = PageAt {
        offset: 0,
        prefix: Probe::of_hash(hash).prefix(page.depth()),
        stripe: stripe.number() as u8,
        depth: page.depth() as u8,
        lines_per_group: page.lines_per_group() as u8,
        lines_used: page.lines_used() as u32,
        spill_used: page.spill_used() as u32,
        checksum: 0,
    };
    out.extend_from_slice(&at.page_head());
    page.words().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
    for (probe, location) in page.entries_of_spill() {
        out.extend_from_slice(&probe.number().to_le_bytes());
        out.extend_from_slice(&probe.word(location).to_le_bytes());
    }
    out.resize(out.len().next_multiple_of(64), 0);
    at
}

/// The table, its entries in order, back to back, and each within the image.
fn read_table(source: &dyn ImageSource, len: u64, seed: Seed) -> Result<Vec<PageAt>, &'static str> {
    let mut foot_bytes = [0; FOOT_BYTES];
    let foot_at = len - FOOT_BYTES as u64;
    if !source.read(&mut foot_bytes, foot_at) {
        return Err("the foot cannot be read");
    }
    let [page_count, entry_count, table_at, len_said] = [8, 16, 24, 32].map(|at| u64_at(&foot_bytes, at));
    let is_foot = foot_bytes.starts_with(&foot(page_count, entry_count, table_at, len_said)) && len_said == len;
    if !is_foot || foot_bytes[FOOT_CHECKED_BYTES + 4..].iter().any(|byte| *byte != 0) {
        return Err("the foot does not fit the image");
    }
    let table_len = page_count.checked_mul(TABLE_ENTRY_BYTES as u64);
    if table_len.and_then(|table_len| table_at.checked_add(table_len)) != Some(foot_at) {
        return Err("the page table is not where the foot says");
    }
    let mut read = |table: &mut [u8], at: u64| source.read(table, table_at + at);
    let mut bytes = read_dense(foot_at - table_at, &mut read).ok_or("the page table cannot be read")?;
    bytes.extend_from_slice(&foot_bytes[..FOOT_CHECKED_BYTES]);
    if seed.checksum(table_at, &bytes) != u32_at(&foot_bytes, FOOT_CHECKED_BYTES) {
        return Err("the page table fails its check");
    }
    let (table, _) = bytes.as_chunks::<TABLE_ENTRY_BYTES>();
    let table = &table[..page_count as usize];
    let mut pages = Vec::new();
    pages.try_reserve_exact(table.len()).map_err(|_| "there is no memory for the page table")?;
    let mut offset = HEAD_BYTES as u64;
    let mut entries_seen = 0u64;
    for entry in table {
        let page = PageAt::decode(entry)?;
        if page.offset != offset {
            return Err("the pages leave gaps");
        }
        offset += page.len();
        entries_seen += page.entry_count() as u64;
        pages.push(page);
        if offset > table_at {
            return Err("a page ends beyond the page table");
        }
    }
    if offset != table_at {
        return Err("the pages leave gaps");
    }
    if entries_seen != entry_count {
        return Err("the entry count does not fit the pages");
    }
    Ok(pages)
}

/// Whether these pages cover a whole stripe, in order, each hash once.
fn check_cover(pages: &[PageAt], stripe: usize) -> Result<(), &'static str> {
    let mut next = 0u64;
    for page in pages {
        let size = 1u64 << (WINDOW_BITS - u32::from(page.depth));
        if usize::from(page.stripe) != stripe || u64::from(page.prefix) * size != next {
            return Err("the pages are not in order");
        }
        next += size;
    }
    if next == 0 || next == 1 << WINDOW_BITS { Ok(()) } else { Err("the pages do not cover their stripe") }
}

/// The page, if every entry lies where it belongs, with the tags and flags that it calls for; without those that `source`
/// does not keep.
fn decode_page(
    at: &PageAt,
    bytes: &[u8],
    source: &dyn ImageSource,
    arena: &Arc<Arena>,
) -> Result<PageBox, &'static str> {
    let (page_head, rest) = bytes.split_at(PAGE_HEAD_BYTES);
    if page_head != at.page_head() {
        return Err("a page's head contradicts the page table");
    }
    let (body, spill) = rest.split_at(at.body_bytes());
    let lines_per_group = usize::from(at.lines_per_group);
    let line_count = GROUP_COUNT * lines_per_group;
    let belongs = |probe: Probe| probe.prefix(u32::from(at.depth)) == at.prefix;
    let mut tags = vec![0u64; line_count];
    let mut gone = Vec::new();

    let mut lines_used = 0;
    let (lines, _) = body[line_count * 8..].as_chunks::<LINE_BYTES>();
    for (line, words) in lines.iter().enumerate() {
        let group = line / lines_per_group;
        for (i, word) in words_of(words).enumerate().filter(|(_, word)| *word != EMPTY) {
            let Some(location) = location_of(word) else { return Err("an entry has no location") };
            let probe = Probe::of_word(group, word);
            let home = line_at(probe, 0, lines_per_group);
            if !belongs(probe) || probe.word(location) != word {
                return Err("an entry lies in a place that is not its own");
            }
            if home != line {
                let away = |distance: &usize| line_at(probe, *distance, lines_per_group) == line;
                let Some(distance) = distances(lines_per_group).find(away) else {
                    return Err("an entry lies in a place that is not its own");
                };
                tags[home] |= displaced(distance);
            }
            tags[line] |= u64::from(probe.tag()) << (i * 8);
            lines_used += 1;
            if !source.is_kept(location) {
                gone.push((probe, location));
            }
        }
    }

    let (entries, padding) = spill.split_at(at.spill_used as usize * SPILL_ENTRY_BYTES);
    let mut spilled = Vec::new();
    spilled.try_reserve_exact(at.spill_used as usize).map_err(|_| "there is no memory for a page's spill")?;
    for entry in entries.chunks_exact(SPILL_ENTRY_BYTES) {
        let (number, word) = (u64_at(entry, 0), u64_at(entry, 8));
        let probe = Probe::of_number(number);
        let Some(location) = location_of(word) else { return Err("a spilled entry has no location") };
        if probe.number() != number || probe.word(location) != word || !belongs(probe) {
            return Err("a spilled entry contradicts itself");
        }
        tags[line_at(probe, 0, lines_per_group)] |= SPILLED;
        spilled.push((probe, location));
        if !source.is_kept(location) {
            gone.push((probe, location));
        }
    }

    if !words_of(body).take(line_count).eq(tags) {
        return Err("a line's tags contradict its entries");
    }
    if lines_used != at.lines_used as usize || padding.iter().any(|byte| *byte != 0) {
        return Err("a page's counts contradict its entries");
    }
    let mut page = Page::boxed(arena, u32::from(at.depth), lines_per_group);
    page.set_words(body, lines_used);
    spilled.into_iter().for_each(|(probe, location): (Probe, Location)| page.spill_alone(probe, location));
    for (probe, location) in gone {
        page.remove(probe, location);
    }
    Ok(page)
}

fn words_of(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}
