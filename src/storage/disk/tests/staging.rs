//! Maps whose stores the file does not see before a sync.

use super::*;
use crate::storage::File;

const LEN: usize = 4 << 20;

fn staged(storage: &DiskStorage) -> (Box<dyn File>, AppendMap) {
    let file = storage.create("a").unwrap();
    file.reserve(LEN as u64).unwrap();
    file.write_zeros(LEN as u64).unwrap();
    let map = AppendMap::new(file.map_staged(LEN).unwrap(), 64, 48..64, 64);
    (file, map)
}

fn append(map: &AppendMap, byte: u8, len: usize) {
    let mut claim = map.claim(len).unwrap();
    claim.bytes().fill(byte);
    assert!(claim.publish());
}

fn bytes_of(file: &dyn File, range: std::ops::Range<usize>) -> Vec<u8> {
    let mut bytes = vec![0; range.len()];
    file.read_at(&mut bytes, range.start as u64).unwrap();
    bytes
}

#[test]
fn the_file_sees_what_is_staged_once_it_is_synced_and_words_at_once() {
    let scratch = Scratch::new();
    let (file, map) = staged(&scratch.storage());
    append(&map, 1, 100);
    assert_eq!(map.read(64..164).unwrap(), [1; 100]);
    assert_eq!(bytes_of(&*file, 64..164), [0; 100], "not yet");
    file.sync_range(&map, 64..164).unwrap();
    assert_eq!(bytes_of(&*file, 64..164), [1; 100]);
    append(&map, 2, 100);
    assert_eq!(bytes_of(&*file, 64..264), [[1; 100], [0; 100]].concat());
    map.word(48).store(7);
    assert_eq!(bytes_of(&*file, 48..56), 7_u64.to_le_bytes());
    map.write_out(164..264).unwrap();
    assert_eq!(bytes_of(&*file, 64..264), [[1; 100], [2; 100]].concat());
}

#[test]
fn what_the_file_has_seen_is_shared_with_it_and_reads_the_same() {
    let scratch = Scratch::new();
    let (file, map) = staged(&scratch.storage());
    let mut synced = 64;
    for n in 0..300_u64 {
        append(&map, n as u8, 10_000);
        let end = map.published();
        // Somebody has stored behind what is synced, perhaps in the same page.
        append(&map, 0xEE, 40);
        file.sync_range(&map, synced..end).unwrap();
        assert_eq!(map.read(end..end + 40).unwrap(), [0xEE; 40], "{n}");
        file.sync_range(&map, end..end + 40).unwrap();
        assert_eq!(bytes_of(&*file, end..end + 40), [0xEE; 40], "{n}");
        synced = end + 40;
        map.word(48).store(n);
        assert_eq!(map.read(end - 10_000..end).unwrap(), [n as u8; 10_000]);
    }
    // A change behind the map's back shows where the pages are shared, and only there.
    file.write_at(b"X", 100_000).unwrap();
    file.write_at(b"X", synced as u64 - 1).unwrap();
    assert_eq!(map.read(100_000..100_001).unwrap(), b"X");
    assert_eq!(map.read(synced - 1..synced).unwrap(), [0xEE]);
    assert_eq!(map.word(48).load(), 299);
    for n in 1..300_usize {
        let start = 64 + n * 10_040;
        let is_changed = (start..start + 10_000).contains(&100_000);
        assert!(is_changed || map.read(start..start + 10_000).unwrap().iter().all(|byte| *byte == n as u8), "{n}");
    }
    map.protect();
    map.word(48).store(1);
    assert_eq!((map.word(48).load(), map.read(synced - 1..synced).unwrap()), (299, &b"X"[..]), "the file's own pages");
    assert!(map.claim(1).is_none());
}

/// Not a test of its own, but the process that the next one starts.
#[test]
fn stager_under_a_limit() {
    let Some(path) = told_directory() else { return };
    let (file, map) = staged(&DiskStorage::open(&path, true, false).unwrap());
    append(&map, 1, 10_000);
    file.sync_range(&map, 64..5_000).unwrap();
    let limit = libc::rlimit { rlim_cur: 32, rlim_max: 32 };
    // SAFETY: a valid limit, for this process only, which is there for this test.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) }, 0);
    assert_eq!(errno(file.sync_range(&map, 5_000..10_064)), libc::EFBIG);
    assert_eq!(errno(map.write_out(5_000..10_064)), libc::EFBIG);
    map.word(48).store(7);
    assert_eq!(map.word(48).load(), 7);
}

#[test]
fn p5_a_limit_on_file_lengths_that_comes_later_is_an_error_and_no_signal() {
    let scratch = Scratch::new();
    let output = start_again("staging::stager_under_a_limit", scratch.path()).wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
