//! An image is the index again, and anything else is refused without a panic.

use super::*;

fn filled(bits: u32, key_count: u64) -> (Arc<Epochs>, Index) {
    let (epochs, index) = new_index();
    for key in 0..key_count {
        index.lock(hash_of(key, bits)).insert(hash_of(key, bits), location(key, 3));
    }
    (epochs, index)
}

fn image_of(index: &Index) -> Vec<u8> {
    let mut image = Vec::new();
    let len = index.write_image(&mut image).unwrap();
    assert_eq!(len, image.len() as u64);
    image
}

fn read(image: &[u8]) -> Result<Index, &'static str> {
    Index::from_image(image, Arc::new(Epochs::new()))
}

fn comes_back(bits: u32, key_count: u64) {
    let (_, index) = filled(bits, key_count);
    let image = image_of(&index);
    let epochs = Arc::new(Epochs::new());
    let again = Index::from_image(&image, Arc::clone(&epochs)).unwrap();
    assert_eq!(again.count(), key_count);
    assert_eq!(walk(&again), walk(&index));
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

/// A flip in an entry's location or hash bits may give another index, which then is all that the image says.
#[test]
fn a_flipped_bit_is_refused_or_changes_one_entry() {
    let (_, index) = filled(6, 1_500);
    let image = image_of(&index);
    let count = index.count();
    let mut random = Random(5);
    let (mut refused, mut other) = (0, 0);
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
        match read(&damaged) {
            Err(_) => refused += 1,
            Ok(index) => {
                assert_eq!(index.count(), count);
                assert!(image_of(&index) == damaged, "a flip in byte {at} was ignored");
                other += 1;
            }
        }
    }
    assert!(refused > 1000, "{refused} refused, {other} accepted");
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
