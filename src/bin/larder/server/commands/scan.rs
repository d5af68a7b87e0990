//! All keys: KEYS, SCAN, RANDOMKEY.
//!
//! A cursor is a hash: the walk goes on with the keys whose hash is that or more, in order of the hash. So it needs
//! no memory of the walk, may be used twice, and shows every key that is there throughout exactly once, also while
//! the index grows. What was read of a page of the index and not returned yet is remembered for the next call.

use super::super::Server;
use super::super::execute::{Call, Done, Failure, SYNTAX_ERROR, failure};
use super::super::glob;
use super::super::numbers;
use super::super::request::Args;
use super::{integer, is};
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

/// Walks whose present page is remembered.
const SCANS_MAX: usize = 16;

type Keys = Vec<Box<[u8]>>;

/// What is left of a page, in order of the hash, and where the next one begins.
struct Scan {
    cursor: u64,
    keys: VecDeque<(u64, Box<[u8]>)>,
    next: Option<u64>,
}

/// The walks of late, the newest last.
#[derive(Default)]
pub struct Scans {
    scans: VecDeque<Scan>,
}

impl Server {
    /// The keys with a hash from `cursor` on, `count` of them or some more, and where to go on; 0 at the end.
    fn scan(&mut self, mut cursor: u64, count: u64) -> Result<(Keys, u64), Failure> {
        let mut keys = Vec::new();
        let known = self.scans.scans.iter().position(|scan| scan.cursor == cursor && cursor != 0);
        let mut scan = known.and_then(|at| self.scans.scans.remove(at));
        loop {
            let mut page = match scan.take() {
                Some(page) => page,
                None => self.page(cursor)?,
            };
            while let Some((hash, key)) = page.keys.pop_front() {
                keys.push(key);
                let next_hash = page.keys.front().map(|(hash, _)| *hash);
                // Keys of one hash are not torn apart: the cursor could not tell them.
                if keys.len() as u64 >= count && next_hash.is_some_and(|next| next != hash) {
                    break;
                }
            }
            if let Some((hash, _)) = page.keys.front() {
                page.cursor = *hash;
                self.scans.scans.push_back(page);
                if self.scans.scans.len() > SCANS_MAX {
                    self.scans.scans.pop_front();
                }
                return Ok((keys, self.scans.scans.back().map_or(0, |scan| scan.cursor)));
            }
            let Some(next) = page.next else { return Ok((keys, 0)) };
            if keys.len() as u64 >= count {
                return Ok((keys, next));
            }
            cursor = next;
        }
    }

    fn page(&self, from: u64) -> Result<Scan, Failure> {
        let mut keys = Vec::new();
        let next = self.store.scan_page(from, &mut keys)?;
        keys.sort_unstable_by_key(|(hash, _)| *hash);
        Ok(Scan { cursor: from, keys: keys.into(), next })
    }
}

pub fn keys(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let pattern = args.get(1);
    let (mut from, mut page, mut found) = (Some(0), Vec::new(), Vec::new());
    while let Some(hash) = from {
        page.clear();
        from = call.server.store.scan_page(hash, &mut page)?;
        for (_, key) in page.drain(..) {
            if glob::matches(pattern, &key) && call.server.exists(&key)? {
                found.push(key);
            }
        }
    }
    call.reply.array(found.len());
    for key in found {
        call.reply.bulk(&key);
    }
    Ok(())
}

pub fn scan(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let cursor = numbers::parse_cursor(args.get(1)).ok_or_else(|| failure("ERR invalid cursor"))?;
    let (mut count, mut pattern, mut is_string, mut i) = (10, None, true, 2);
    while i < args.len() {
        if i + 1 == args.len() {
            return Err(SYNTAX_ERROR);
        }
        let value = args.get(i + 1);
        if is(args.get(i), "COUNT") {
            count = integer(value)?;
            if count < 1 {
                return Err(SYNTAX_ERROR);
            }
        } else if is(args.get(i), "MATCH") {
            pattern = Some(value).filter(|pattern| *pattern != b"*");
        } else if is(args.get(i), "TYPE") {
            is_string = is(value, "string");
        } else {
            return Err(SYNTAX_ERROR);
        }
        i += 2;
    }
    let (keys, next) = call.server.scan(cursor, count.unsigned_abs())?;
    let mut found = Vec::new();
    for key in keys {
        if is_string && pattern.is_none_or(|pattern| glob::matches(pattern, &key)) && call.server.exists(&key)? {
            found.push(key);
        }
    }
    call.reply.array(2);
    call.reply.bulk(next.to_string().as_bytes());
    call.reply.array(found.len());
    for key in found {
        call.reply.bulk(&key);
    }
    Ok(())
}

pub fn randomkey(call: &mut Call<'_>, _: Args<'_>) -> Done {
    // A hasher with a key of its own is a source of random numbers.
    let random = RandomState::new().hash_one(call.server.stats.commands);
    for (begin, end) in [(random, None), (0, Some(random))] {
        let (mut from, mut page) = (Some(begin), Vec::new());
        while let Some(hash) = from.filter(|hash| end.is_none_or(|end| *hash < end)) {
            page.clear();
            from = call.server.store.scan_page(hash, &mut page)?;
            let start = if page.is_empty() { 0 } else { random as usize % page.len() };
            for i in 0..page.len() {
                let (_, key) = &page[(start + i) % page.len()];
                if call.server.exists(key)? {
                    call.reply.bulk(key);
                    return Ok(());
                }
            }
        }
    }
    call.reply.null();
    Ok(())
}
