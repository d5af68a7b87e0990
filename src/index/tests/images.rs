//! An image is the index again, and anything else is refused without a panic.

use super::*;
use crate::format::Seed;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};

fn filled(bits: u32, key_count: u64) -> (Arc<Epochs>, Index) {
    let (epochs, index) = new_index();
    for key in 0..key_count {
        index.lock(hash_of(key, bits)).insert(hash_of(key, bits), location(key, 3));
    }
    (epochs, index)
}

const STORE_ID: u64 = 7;

fn seed() -> Seed {
    Seed::new(STORE_ID, 1)
}

fn image_of(index: &Index) -> Vec<u8> {
    let (mut image, mut hashes) = (Vec::new(), Vec::new());
    let mut out = |bytes: &[u8]| {
        image.extend_from_slice(bytes);
        Ok(())
    };
    let len = index.write_image(seed(), &mut out, &mut |next| hashes.push(next)).unwrap();
    assert_eq!(len, image.len() as u64);
    assert!(hashes.pop() == Some(None) && hashes.is_sorted());
    image
}

/// An image in memory. What is to be found without it are the locations in `entries`, unless that is impossible.
struct Memory {
    image: Vec<u8>,
    entries: Option<Vec<(u64, Location)>>,
    kept_below: u64,
    rebuilds: AtomicU64,
}

impl Memory {
    fn new(image: &[u8]) -> Self {
        Memory { image: image.to_vec(), entries: None, kept_below: u64::MAX, rebuilds: AtomicU64::new(0) }
    }
}

impl ImageSource for Memory {
    fn read(&self, bytes: &mut [u8], offset: u64) -> bool {
        let from = self.image.get(offset as usize..).and_then(|rest| rest.get(..bytes.len()));
        from.inspect(|from| bytes.copy_from_slice(from)).is_some()
    }

    fn is_kept(&self, location: Location) -> bool {
        location.get() < self.kept_below
    }

    fn rebuild(&self, hashes: RangeInclusive<u64>) -> Result<Vec<(u64, Location)>, Location> {
        self.rebuilds.fetch_add(1, Ordering::Relaxed);
        let entries = self.entries.as_ref().ok_or_else(LOST)?;
        Ok(entries.iter().filter(|(hash, _)| hashes.contains(hash)).copied().collect())
    }
}

const LOST: fn() -> Location = || Location::new(1);

fn open(memory: Memory) -> Result<(Arc<Epochs>, Arc<Memory>, Index), &'static str> {
    let (epochs, memory) = (Arc::new(Epochs::new()), Arc::new(memory));
    let len = memory.image.len() as u64;
    let source: Arc<dyn ImageSource> = Arc::<Memory>::clone(&memory);
    Index::open_image(source, len, seed(), Arc::clone(&epochs)).map(|index| (epochs, memory, index))
}

/// Reads all of an image.
fn read(image: &[u8]) -> Result<Index, &'static str> {
    let (_, _, index) = open(Memory::new(image))?;
    while index.load_ahead(10) {}
    if index.has_been_damaged() { Err("a page is damaged") } else { Ok(index) }
}

fn comes_back(bits: u32, key_count: u64) {
    let (_, index) = filled(bits, key_count);
    let image = image_of(&index);
    let (_, _, again) = open(Memory::new(&image)).unwrap();
    assert_eq!(walk(&again), walk(&index));
    assert!(!again.load_ahead(usize::MAX >> 1) || key_count > 0);
    assert!(!again.has_been_damaged());
    // Once more, so that the finds are what loads.
    let (epochs, _, again) = open(Memory::new(&image)).unwrap();
    assert_eq!(again.count(), key_count);
    for key in 0..key_count {
        let found = again.find(&epochs.enter(), hash_of(key, bits), |found| key_of(found) == key);
        assert_eq!(found, Some(location(key, 3)));
    }
    assert!(image_of(&again) == image, "the image of an image differs");
    // It can be written to like any other.
    for key in 0..key_count {
        assert!(again.lock(hash_of(key, bits)).remove(hash_of(key, bits), location(key, 3)));
    }
    for key in 0..2 * key_count {
        again.lock(hash_of(key, bits)).insert(hash_of(key, bits), location(key, 4));
    }
    assert_eq!(walk(&again).len() as u64, 2 * key_count);
}

#[test]
fn an_image_comes_back_as_the_same_index() {
    comes_back(64, 0);
    comes_back(64, 1);
    comes_back(64, 20_000);
    comes_back(64, 300_000);
    comes_back(4, 2_000);
}

#[test]
fn a_truncated_image_is_refused() {
    let (_, index) = filled(64, 100);
    let image = image_of(&index);
    assert!(read(&image).is_ok());
    for len in (0..image.len()).step_by(61).chain(image.len() - 200..image.len()) {
        assert!(read(&image[..len]).is_err(), "{len} of {} bytes were accepted", image.len());
    }
    let mut longer = image.clone();
    longer.push(0);
    assert!(read(&longer).is_err());
}

#[test]
fn a_flipped_bit_is_refused() {
    let (_, index) = filled(6, 1_500);
    let image = image_of(&index);
    let mut random = Random(5);
    for round in 0..3_000 {
        let mut damaged = image.clone();
        // Anywhere, and often where the structure is.
        let near_end = random.below(4096.min(image.len() as u64));
        let at = if round % 3 == 0 {
            image.len() - 1 - near_end as usize
        } else {
            random.below(image.len() as u64) as usize
        };
        damaged[at] ^= 1 << random.below(8);
        assert!(read(&damaged).is_err(), "a flip in byte {at} was accepted");
    }
}

/// Checksums made anew around a damaged page: what a page says of itself is checked nevertheless.
#[test]
fn a_page_that_contradicts_itself_is_refused_though_its_checksum_is_right() {
    let (_, index) = filled(6, 1_500);
    let image = image_of(&index);
    let u64_at = |image: &[u8], at: usize| u64::from_le_bytes(image[at..at + 8].try_into().unwrap());
    let foot = image.len() - 64;
    let table = u64_at(&image, foot + 24) as usize;
    let mut random = Random(6);
    let (mut refused, mut other) = (0, 0);
    for _ in 0..3_000 {
        let mut damaged = image.clone();
        let entry = table + 32 * random.below((foot - table) as u64 / 32) as usize;
        let first = u64_at(&image, entry) as usize;
        let end = if entry + 32 == foot { table } else { u64_at(&image, entry + 32) as usize };
        let at = first + random.below((end - first) as u64) as usize;
        damaged[at] ^= 1 << random.below(8);
        let checksum = seed().checksum(first as u64, &damaged[first..end]);
        damaged[entry + 24..entry + 28].copy_from_slice(&checksum.to_le_bytes());
        let checksum = seed().checksum(table as u64, &damaged[table..foot + 40]);
        damaged[foot + 40..foot + 44].copy_from_slice(&checksum.to_le_bytes());
        match read(&damaged) {
            Err(_) => refused += 1,
            // In an entry's location or hash bits: another index, which then is all that the image says.
            Ok(index) => {
                assert_eq!(index.count(), 1_500);
                assert!(image_of(&index) == damaged, "a flip in byte {at} was ignored");
                other += 1;
            }
        }
    }
    assert!(refused > 500 && other > 100, "{refused} refused, {other} accepted");
}

fn entries_of(bits: u32, key_count: u64) -> Vec<(u64, Location)> {
    (0..key_count).map(|key| (hash_of(key, bits), location(key, 3))).collect()
}

#[test]
fn pages_that_cannot_be_read_are_found_again() {
    for (bits, key_count) in [(64, 60_000), (4, 2_000)] {
        let (_, index) = filled(bits, key_count);
        let image = image_of(&index);
        for (first, end) in [(64, image.len() / 2), (image.len() / 3, image.len() / 3 + 1), (64, image.len() - 9_000)] {
            let mut memory = Memory::new(&image);
            memory.image[first..end.max(first + 1)].iter_mut().for_each(|byte| *byte ^= 0xA5);
            memory.entries = Some(entries_of(bits, key_count));
            let (epochs, memory, again) = match open(memory) {
                Ok(opened) => opened,
                Err(_) if bits == 4 => continue,
                Err(what) => panic!("{what}"),
            };
            // By turns: finds, locks, the walk and the background all come upon damaged pages.
            for key in 0..key_count / 2 {
                let hash = hash_of(key, bits);
                let found = if key % 2 == 0 {
                    again.find(&epochs.enter(), hash, |found| key_of(found) == key)
                } else {
                    again.lock(hash).find(hash, |found| key_of(found) == key)
                };
                assert_eq!(found, Some(location(key, 3)));
            }
            assert_eq!(walk(&again), walk(&index));
            assert_eq!(again.count(), key_count);
            assert!(again.has_been_damaged());
            assert!(memory.rebuilds.load(Ordering::Relaxed) <= STRIPE_COUNT as u64, "each stripe once");
        }
    }
}

#[test]
fn what_cannot_be_found_again_is_reported_as_a_candidate_for_every_key() {
    let (_, index) = filled(64, 3_000);
    let image = image_of(&index);
    let mut memory = Memory::new(&image);
    memory.image[64..20_000].fill(0);
    let (epochs, _, again) = open(memory).unwrap();
    let mut lost_count = 0;
    for key in 0..3_000 {
        let hash = hash_of(key, 64);
        let mut was_shown = false;
        let found = again.find(&epochs.enter(), hash, |found| {
            was_shown |= found == LOST();
            found == location(key, 3)
        });
        assert!(found.is_some() != was_shown, "neither found nor reported: {key}");
        lost_count += u64::from(was_shown);
        assert_eq!(again.lock(hash).find(hash, |found| found == location(key, 3)), found);
        // It must not look as if the stripe had been empty.
        again.lock(hash).insert(hash, location(key, 9));
    }
    assert!(lost_count > 0 && lost_count < 3_000);
    assert!(walk_all(&again).contains(&LOST()));
    assert!(again.write_image(seed(), &mut |_| Ok(()), &mut |_| ()).is_err());
}

fn walk_all(index: &Index) -> Vec<Location> {
    let (mut all, mut from) = (Vec::new(), Some(0));
    while let Some(hash) = from {
        from = index.collect(hash, &mut all);
    }
    all
}

#[test]
fn entries_that_do_not_count_any_more_are_left_out() {
    let (_, index) = filled(64, 10_000);
    let mut memory = Memory::new(&image_of(&index));
    memory.kept_below = location(4_000, 0).get();
    let (_, _, again) = open(memory).unwrap();
    assert!(walk(&again).into_iter().map(key_of).eq(0..4_000));
    assert_eq!(again.count(), 4_000);
    assert!(!again.has_been_damaged());
}

#[test]
fn finds_writers_and_the_background_load_an_image_together() {
    const KEY_COUNT: u64 = 100_000;
    let (_, index) = filled(64, KEY_COUNT);
    let image = image_of(&index);
    for round in 0..5 {
        let (epochs, _, again) = open(Memory::new(&image)).unwrap();
        std::thread::scope(|scope| {
            for reader in 0..2 {
                let (epochs, again) = (&epochs, &again);
                scope.spawn(move || {
                    for n in 0..KEY_COUNT {
                        let key = mix(n + reader + round) % KEY_COUNT;
                        let guard = epochs.enter();
                        assert!(again.find(&guard, hash_of(key, 64), |found| key_of(found) == key).is_some());
                    }
                });
            }
            scope.spawn(|| while again.load_ahead(3) {});
            for key in KEY_COUNT..2 * KEY_COUNT {
                again.lock(hash_of(key, 64)).insert(hash_of(key, 64), location(key, 0));
            }
        });
        assert!(walk(&again).into_iter().map(key_of).eq(0..2 * KEY_COUNT));
        assert_eq!(again.count(), 2 * KEY_COUNT);
    }
}

#[test]
fn random_bytes_in_any_part_never_panic() {
    let (_, index) = filled(64, 3_000);
    let image = image_of(&index);
    let mut random = Random(6);
    for _ in 0..2_000 {
        let mut damaged = image.clone();
        for _ in 0..=random.below(4) {
            let len = 1 + random.below(64) as usize;
            let tail = random.below(2) == 0;
            let room = if tail { 2048 } else { damaged.len() - len };
            let at = if tail { damaged.len() - 2112 } else { 0 } + random.below(room as u64) as usize;
            damaged[at..(at + len).min(image.len())].fill_with(|| random.next() as u8);
        }
        let _ = read(&damaged);
    }
    let noise: Vec<u8> = (0..10_000).map(|_| random.next() as u8).collect();
    assert!(read(&noise).is_err());
    assert!(read(&[]).is_err());
}

#[test]
fn an_image_taken_while_pages_split_has_every_key_that_stays() {
    let (_epochs, index) = filled(64, 30_000);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for key in 30_000..300_000 {
                index.lock(hash_of(key, 64)).insert(hash_of(key, 64), location(key, 0));
            }
        });
        let mut images = 0;
        while !writer.is_finished() || images == 0 {
            let again = read(&image_of(&index)).unwrap();
            let seen = walk(&again).into_iter().map(key_of).filter(|key| *key < 30_000);
            assert!(seen.eq(0..30_000));
            images += 1;
        }
    });
}
