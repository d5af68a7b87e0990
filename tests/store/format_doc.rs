//! `docs/format.md` against the library: the worked example byte by byte, and whole stores through a
//! reader that was written from the document alone.

mod stranger;

use crate::files::files_of;
use larder::format::{KeyHasher, Seed};
use larder::storage::SimulatedStorage;
use larder::storage::sim::CallKind;
use larder::store::{BatchOp, Condition, SetOptions, Ttl, Tuning};
use larder::{CompactionMode, Options, Store, SyncMode};
use std::collections::BTreeMap;
use std::sync::Arc;
use stranger::Files;

const DOCUMENT: &str = include_str!("../../docs/format.md");
const NOW_MS: u64 = 1_800_000_000_000;
const DAY_MS: u64 = 86_400_000;

fn tuning() -> Tuning {
    Tuning { segment_bytes_first: 4096, has_background: false, ..Tuning::default() }
}

/// The store of the worked example, as the library writes it.
fn example_files() -> Files {
    let storage = SimulatedStorage::new(1);
    storage.set_now_ms(NOW_MS);
    let store = Store::open_in(Arc::new(storage.clone()), &Options::default(), &tuning()).unwrap();
    let options = SetOptions { ttl: Ttl::Millis(DAY_MS), condition: Condition::Always, sync: false };
    store.set_with(b"jam", b"apricot", &options).unwrap();
    store.close().unwrap();
    files_of(&storage)
}

/// The bytes of the document's dump of `name`. Each line is an offset, bytes, and what they are.
fn documented(name: &str) -> Vec<u8> {
    let fence = format!("```hex {name}\n");
    let (_, rest) = DOCUMENT.split_once(&fence).unwrap_or_else(|| panic!("no dump of {name}"));
    let (dump, _) = rest.split_once("```").unwrap();
    let mut bytes = Vec::new();
    for line in dump.lines() {
        let mut parts = line.splitn(2, "  ");
        let offset = usize::from_str_radix(parts.next().unwrap(), 16).unwrap();
        assert_eq!(offset, bytes.len(), "{name}: bytes are left out or told twice: {line}");
        let (hex, what) = parts.next().unwrap().split_once("  ").unwrap_or_else(|| panic!("not explained: {line}"));
        assert!(!what.trim().is_empty(), "{name}: not explained: {line}");
        bytes.extend(hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()));
    }
    bytes
}

#[test]
fn the_worked_example_is_what_the_library_writes() {
    let written = example_files();
    for name in ["000001.seg", "MANIFEST"] {
        let documented = documented(name);
        let (told, rest) = written[name].split_at(documented.len());
        assert_eq!(documented, told, "{name}: the left is the document's");
        assert!(rest.iter().all(|byte| *byte == 0), "{name}: there is more than the document tells");
        let len = format!("{name}`; zeros follow up to its {} bytes", written[name].len());
        let len = if name == "MANIFEST" { "zeros follow up to its 65,536 bytes".to_owned() } else { len };
        assert!(DOCUMENT.contains(&len), "{len}");
    }
    assert!(written.contains_key("INDEX-00000000000000000002") && written.contains_key("LOCK"));
    assert_eq!(written.len(), 4);
}

#[test]
fn the_checksum_of_the_document_is_the_librarys() {
    assert_eq!(stranger::crc(0, &[0; 32]), 0x8A91_36AA, "RFC 3720, B.4");
    for offset in [0_u64, 64, 4096, 1 << 33] {
        let start = stranger::crc(stranger::crc(0, &7_u64.to_le_bytes()), &9_u64.to_le_bytes());
        let start = start.wrapping_add(((offset / 8) as u32).wrapping_mul(0x9E37_79B1));
        assert_eq!(stranger::crc(start, b"some bytes"), Seed::new(7, 9).checksum(offset, b"some bytes"));
    }
}

#[test]
fn a_stranger_reads_the_worked_example() {
    let mut files = Files::new();
    files.insert("MANIFEST".into(), documented("MANIFEST"));
    files.insert("000001.seg".into(), documented("000001.seg"));
    let (manifest, segments) = stranger::segments(&files);
    assert_eq!((manifest.seqno_next, manifest.clock_ms, manifest.closed), (2, NOW_MS, Some((1, 112))));
    let only = (b"jam".to_vec(), (b"apricot".to_vec(), NOW_MS + DAY_MS));
    assert_eq!(stranger::contents(&segments), BTreeMap::from([only]));
    let segment = stranger::Reader::new(&files["000001.seg"], manifest.store_id, 1);
    assert_eq!((segment.durable(), segment.clock_ms()), ((112, false), 0));
}

/// What the store itself says that it holds, with each key's expiry.
fn contents(store: &Store) -> BTreeMap<Vec<u8>, (Vec<u8>, u64)> {
    let mut cursor = store.cursor(b"").unwrap();
    let mut found = BTreeMap::new();
    while let Some((key, value)) = cursor.next().unwrap() {
        let expires_at_ms = store.view(key).unwrap().unwrap().expires_at_ms();
        found.insert(key.to_vec(), (value.to_vec(), expires_at_ms));
    }
    found
}

/// Sets, deletes, expiries and batches in many segments, some of them compacted.
fn varied_store(storage: &SimulatedStorage, sync: SyncMode) -> Store {
    varied_store_with(storage, sync, &tuning())
}

fn varied_store_with(storage: &SimulatedStorage, sync: SyncMode, tuning: &Tuning) -> Store {
    storage.set_now_ms(NOW_MS);
    let options = Options { sync, segment_bytes: 16 << 10, compaction: CompactionMode::Manual, ..Options::default() };
    let store = Store::open_in(Arc::new(storage.clone()), &options, tuning).unwrap();
    let key = |n: u64| format!("key-{n}").into_bytes();
    for n in 0..900_u64 {
        let ttl = if n % 7 == 0 { Ttl::Millis(DAY_MS + n) } else { Ttl::Forever };
        let options = SetOptions { ttl, condition: Condition::Always, sync: false };
        store.set_with(&key(n % 300), &vec![n as u8; n as usize % 90], &options).unwrap();
        if n % 5 == 0 {
            store.del(&key((n / 2) % 300)).unwrap();
        }
        if n % 50 == 0 {
            let (one, other) = (key(n), key(n + 1));
            let ops = [
                BatchOp::Set { key: &one, value: b"in a batch", ttl: Ttl::Forever },
                BatchOp::Del { key: &other },
                BatchOp::Set { key: b"", value: b"", ttl: Ttl::Millis(DAY_MS) },
            ];
            store.write(&ops, false).unwrap();
        }
        if n == 500 {
            store.compact().unwrap();
        }
    }
    store
}

#[test]
fn segments_begin_small_and_grow_to_their_size() {
    const FULL: u64 = 64 << 10;
    // Without its background, a set makes the segment that it needs.
    for has_background in [true, false] {
        let storage = SimulatedStorage::new(6);
        let options = Options { sync: SyncMode::None, segment_bytes: FULL, ..Options::default() };
        let store = Store::open_in(Arc::new(storage.clone()), &options, &tuning()).unwrap();
        for n in 0..4_000_u32 {
            store.set(&n.to_le_bytes(), &[1; 100]).unwrap();
            if has_background {
                store.step_background().unwrap();
            }
        }
        store.close().unwrap();
        // The reserve among them is of the full size. A store that is written to as fast as this one (no time
        // passes on its clock) asks for full segments as soon as growing fourfold allows.
        let manifest = stranger::manifest(&storage.read_file("MANIFEST"));
        let lens: Vec<u64> = manifest.segments.values().map(|(file_len, _)| *file_len).collect();
        let grown: Vec<u64> = lens.iter().copied().filter(|len| *len < FULL).collect();
        assert!(grown.contains(&(4 << 10)) && grown.contains(&(16 << 10)), "{lens:?}");
        assert!(grown.len() <= 4 && lens.iter().all(|len| *len <= FULL), "{lens:?}");
        assert!(lens.iter().rev().take(4).all(|len| *len == FULL), "{lens:?}");
    }
}

#[test]
fn a_stranger_reads_a_store_that_was_closed() {
    let storage = SimulatedStorage::new(2);
    let store = varied_store(&storage, SyncMode::None);
    let expected = contents(&store);
    store.close().unwrap();
    let (manifest, segments) = stranger::segments(&files_of(&storage));
    assert!(manifest.segments.len() > 2 && manifest.closed.is_some());
    assert_eq!(stranger::contents(&segments), expected);
}

#[test]
fn a_stranger_reads_a_store_whose_process_was_killed() {
    for sync in [SyncMode::None, SyncMode::Always] {
        let storage = SimulatedStorage::new(3);
        let store = varied_store(&storage, sync);
        let expected = contents(&store);
        let killed = storage.kill();
        let (manifest, segments) = stranger::segments(&files_of(&killed));
        assert!(manifest.closed.is_none() && !expected.is_empty());
        assert_eq!(stranger::contents(&segments), expected);
        // What the next open makes of it is to be read in the same way.
        let options = Options { sync, segment_bytes: 16 << 10, ..Options::default() };
        let reopened = Store::open_in(Arc::new(killed.clone()), &options, &tuning()).unwrap();
        reopened.set(b"after", b"1").unwrap();
        let expected = contents(&reopened);
        let (_, segments) = stranger::segments(&files_of(&killed.kill()));
        assert_eq!(stranger::contents(&segments), expected);
        assert!(segments.iter().flat_map(|segment| &segment.records).any(|record| record.seqno > 1 << 20));
    }
}

#[test]
fn a_stranger_reads_a_store_that_was_opened_again_and_met_a_failed_sync() {
    let storage = SimulatedStorage::new(5);
    varied_store(&storage, SyncMode::None).close().unwrap();
    let options = Options { segment_bytes: 16 << 10, ..Options::default() };
    let store = Store::open_in(Arc::new(storage.clone()), &options, &tuning()).unwrap();
    store.set(b"after", b"durable").unwrap();
    storage.advance_ms(40 * DAY_MS as i64);
    assert_eq!(store.get(b"").unwrap(), None, "its time is over, and the clock word must say so");
    let expected = contents(&store);
    storage.fail_kind(CallKind::Sync, 1, 5);
    assert!(store.set(b"failed", b"never acknowledged").is_err());

    let (manifest, segments) = stranger::segments(&files_of(&storage.kill()));
    assert_eq!(manifest.tags, (1..=6).collect(), "a change of which the documented format was not tried");
    let cut: Vec<_> = segments.iter().filter(|segment| segment.is_cut).collect();
    assert_eq!(cut.iter().map(|segment| segment.clock_ms).collect::<Vec<_>>(), [NOW_MS + 40 * DAY_MS]);
    let mut found = stranger::contents(&segments);
    found.retain(|_, (_, expires_at_ms)| *expires_at_ms == 0 || *expires_at_ms > NOW_MS + 40 * DAY_MS);
    assert_eq!(found, expected);
}

#[test]
fn a_stranger_finds_every_live_record_through_the_checkpoint() {
    let placed = entries_at_each_distance(u64::MAX, 0);
    assert_eq!(placed.iter().sum::<usize>(), placed[0], "so few keys have room at home");
}

/// All in one stripe: its pages have several lines per group, and full ones among them.
#[test]
fn a_stranger_finds_the_entries_that_lie_away_from_home() {
    let placed = entries_at_each_distance((1 << 58) - 1, 1500);
    assert!(placed[..3].iter().all(|count| *count > 0), "{placed:?}");
}

/// Eight hashes for all keys: their lines are full, and the page too empty to grow.
#[test]
fn a_stranger_finds_the_entries_in_the_spill() {
    let placed = entries_at_each_distance(3 << 56 | 1, 0);
    assert!(placed[0] > 0 && placed[3] > placed[0], "{placed:?}");
}

/// Looks up every live record of a store with so many keys more through its checkpoint. How many of the index's entries lie at
/// home, one line further, two lines further, and in the spill.
fn entries_at_each_distance(hash_mask: u64, more_keys_count: u32) -> [usize; 4] {
    let storage = SimulatedStorage::new(4);
    let store = varied_store_with(&storage, SyncMode::None, &Tuning { hash_mask, ..tuning() });
    for n in 0..more_keys_count {
        store.set(&n.to_le_bytes(), b"").unwrap();
    }
    store.close().unwrap();
    let files = files_of(&storage);
    let (manifest, segments) = stranger::segments(&files);
    let name = format!("INDEX-{:020}", manifest.seqno_next);
    let checkpoint = stranger::checkpoint(&files[&name], manifest.store_id, manifest.seqno_next);
    let mut ends: Vec<_> = checkpoint.segments.iter().map(|placed| (placed.id, placed.end)).collect();
    ends.sort_unstable();
    assert_eq!(ends, segments.iter().map(|segment| (segment.id, segment.end)).collect::<Vec<_>>());

    let hasher = KeyHasher::new(manifest.hash_seed);
    let contents = stranger::contents(&segments);
    assert_eq!((checkpoint.live_count, checkpoint.seqno_next), (contents.len() as u64, manifest.seqno_next));
    let expiring_count = contents.values().filter(|(_, expires_at_ms)| *expires_at_ms != 0).count();
    assert_eq!(checkpoint.expiring_count, expiring_count as u64);
    let mut expected = Vec::new();
    for segment in &segments {
        let slot = checkpoint.segments.iter().find(|placed| placed.id == segment.id).unwrap().slot;
        for record in &segment.records {
            let is_newest =
                segments.iter().flat_map(|s| &s.records).all(|r| r.key != record.key || r.seqno <= record.seqno);
            if record.kind == 1 && is_newest {
                let hash = hasher.hash(&record.key) & hash_mask;
                let location = slot * (checkpoint.slot_bytes / 8) + record.offset as u64 / 8;
                expected.push((hash >> 58, hash & 63, hash >> 35 & 0x7F_FFFF, location));
            }
        }
    }
    let mut entries = checkpoint.entries;
    entries.sort_unstable();
    expected.sort_unstable();
    assert_eq!(entries, expected);
    assert_eq!(expected.len(), contents.len());
    checkpoint.placed
}
