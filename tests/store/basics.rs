//! Single keys, batches, cursors, views, reopening: on a real directory.

use larder::store::{BatchOp, Condition, SetOptions, SetOutcome, Ttl, TtlState, Tuning};
use larder::{Options, Status, Store, SyncMode};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A directory of its own for one test, removed at the end.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("larder-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn options(sync: SyncMode) -> Options {
    Options { sync, ..Options::default() }
}

fn key(n: u64) -> Vec<u8> {
    format!("key-{n:08}").into_bytes()
}

fn value(n: u64) -> Vec<u8> {
    let mut value = n.to_le_bytes().to_vec();
    value.resize(8 + (n % 190) as usize, n as u8);
    value
}

#[test]
fn what_was_set_is_read_back_in_every_sync_mode_also_after_reopening() {
    for sync in [SyncMode::Always, SyncMode::Interval(std::time::Duration::from_millis(20)), SyncMode::None] {
        let scratch = Scratch::new();
        let count = if sync == SyncMode::Always { 200 } else { 30_000 };
        {
            let store = Store::open(scratch.path(), &options(sync)).unwrap();
            for n in 0..count {
                store.set(&key(n), &value(n)).unwrap();
            }
            for n in (0..count).step_by(3) {
                assert!(store.del(&key(n)).unwrap());
                assert!(!store.del(&key(n)).unwrap());
            }
            for n in (1..count).step_by(3) {
                store.set(&key(n), &value(n + 1)).unwrap();
            }
            store.close().unwrap();
            assert_eq!(store.get(b"x").unwrap_err().status(), Status::Closed);
            assert_eq!(store.close().unwrap_err().status(), Status::Closed);
        }
        for _ in 0..2 {
            let store = Store::open(scratch.path(), &options(sync)).unwrap();
            for n in 0..count {
                let expected = match n % 3 {
                    0 => None,
                    1 => Some(value(n + 1)),
                    _ => Some(value(n)),
                };
                assert_eq!(store.get(&key(n)).unwrap(), expected, "{sync:?} {n}");
            }
            assert_eq!(store.len().unwrap(), (0..count).filter(|n| n % 3 != 0).count() as u64);
            assert_eq!(store.verify().unwrap().bad_records, 0);
            store.close().unwrap();
        }
    }
}

#[test]
fn conditions_and_versions_hold() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path(), &options(SyncMode::None)).unwrap();
    let with = |condition| SetOptions { ttl: Ttl::Forever, condition, sync: false };
    assert_eq!(store.set_with(b"k", b"1", &with(Condition::IfPresent)).unwrap(), SetOutcome::NotFound);
    let SetOutcome::Stored { version: first } = store.set_with(b"k", b"1", &with(Condition::IfAbsent)).unwrap() else {
        panic!("not stored")
    };
    assert_eq!(store.set_with(b"k", b"2", &with(Condition::IfAbsent)).unwrap(), SetOutcome::Exists);
    let SetOutcome::Stored { version: second } = store.set_with(b"k", b"2", &with(Condition::IfPresent)).unwrap()
    else {
        panic!("not stored")
    };
    assert!(second > first);
    assert_eq!(store.get(b"k").unwrap().as_deref(), Some(b"2".as_slice()));
    let view = store.view(b"k").unwrap().unwrap();
    assert_eq!((view.bytes(), view.version()), (b"2".as_slice(), second));
    store.set(b"k", b"3").unwrap();
    store.close().unwrap();
    assert_eq!(view.bytes(), b"2");
}

#[test]
fn ttl_survives_reopening_and_expired_keys_are_absent_everywhere() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path(), &options(SyncMode::None)).unwrap();
    let lasting = |ttl| SetOptions { ttl, condition: Condition::Always, sync: false };
    store.set_with(b"short", b"1", &lasting(Ttl::Millis(40))).unwrap();
    store.set_with(b"long", b"1", &lasting(Ttl::Millis(3_600_000))).unwrap();
    store.set_with(b"long", b"2", &lasting(Ttl::Keep)).unwrap();
    store.set(b"forever", b"1").unwrap();
    store.close().unwrap();
    let store = Store::open(scratch.path(), &options(SyncMode::None)).unwrap();
    assert!(matches!(store.ttl(b"long").unwrap(), TtlState::Millis(1..=3_600_000)));
    assert_eq!(store.ttl(b"forever").unwrap(), TtlState::Forever);
    assert_eq!(store.ttl(b"never").unwrap(), TtlState::Absent);
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(store.get(b"short").unwrap(), None);
    assert!(!store.del(b"short").unwrap());
    assert!(store.expire(b"forever", Some(0)).unwrap());
    assert!(!store.exists(b"forever").unwrap());
    assert!(store.expire(b"long", None).unwrap());
    assert_eq!(store.ttl(b"long").unwrap(), TtlState::Forever);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    assert_eq!(store.len().unwrap(), 1);
}

#[test]
fn a_batch_is_applied_in_order_and_the_last_operation_on_a_key_wins() {
    for sync in [SyncMode::Always, SyncMode::None] {
        let scratch = Scratch::new();
        let store = Store::open(scratch.path(), &options(sync)).unwrap();
        store.set(b"gone", b"x").unwrap();
        let ops = [
            BatchOp::Set { key: b"a", value: b"1", ttl: Ttl::Millis(50_000) },
            BatchOp::Del { key: b"gone" },
            BatchOp::Del { key: b"never there" },
            BatchOp::Set { key: b"a", value: b"2", ttl: Ttl::Keep },
            BatchOp::Set { key: b"b", value: b"", ttl: Ttl::Forever },
            BatchOp::Set { key: b"c", value: b"3", ttl: Ttl::Forever },
            BatchOp::Del { key: b"c" },
        ];
        store.write(&ops, false).unwrap();
        for _ in 0..2 {
            let reopened = Store::open(scratch.path(), &options(sync));
            assert_eq!(reopened.err().map(|error| error.status()), Some(Status::Busy));
            assert_eq!(store.get(b"a").unwrap().as_deref(), Some(b"2".as_slice()));
            assert!(matches!(store.ttl(b"a").unwrap(), TtlState::Millis(_)));
            assert_eq!(store.get(b"b").unwrap().as_deref(), Some(b"".as_slice()));
            assert_eq!(store.get(b"c").unwrap(), None);
            assert_eq!(store.get(b"gone").unwrap(), None);
            assert_eq!(store.len().unwrap(), 2);
        }
    }
}

#[test]
fn a_cursor_returns_every_key_once_while_others_come_and_go() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path(), &options(SyncMode::None)).unwrap();
    for n in 0..20_000 {
        store.set(&key(n), &value(n)).unwrap();
    }
    let mut cursor = store.cursor(b"key-0").unwrap();
    let mut seen = std::collections::HashMap::new();
    let mut extra = 0_u64;
    while let Some((found, _)) = cursor.next().unwrap() {
        *seen.entry(found.to_vec()).or_insert(0) += 1;
        extra += 1;
        store.set(format!("other-{extra}").as_bytes(), b"x").unwrap();
        store.set(&key(extra % 20_000), b"changed").unwrap();
    }
    assert_eq!(seen.len(), 20_000);
    assert!(seen.values().all(|count| *count == 1));
    store.close().unwrap();
    assert_eq!(store.cursor(b"").err().map(|error| error.status()), Some(Status::Closed));
}

#[test]
fn many_keys_are_answered_in_order() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path(), &options(SyncMode::None)).unwrap();
    for n in (0..1_000).step_by(2) {
        store.set(&key(n), &value(n)).unwrap();
    }
    let keys: Vec<_> = (0..1_000).map(key).collect();
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
    let mut next = 0;
    store
        .get_many_with(&keys, |place, found| {
            assert_eq!(place, next);
            next += 1;
            let expected = (place % 2 == 0).then(|| value(place as u64));
            assert_eq!(found.unwrap().map(<[u8]>::to_vec), expected);
            true
        })
        .unwrap();
    assert_eq!(next, 1_000);
}

#[test]
fn space_is_reclaimed_without_a_call_when_everything_is_overwritten_or_deleted() {
    let scratch = Scratch::new();
    let small = Options { segment_bytes: 256 << 10, ..options(SyncMode::None) };
    let store = Store::open(scratch.path(), &small).unwrap();
    for round in 0..60_u64 {
        for n in 0..5_000 {
            store.set(&key(n), &value(n + round)).unwrap();
        }
    }
    let limit = |live: u64| live * 3 / 2 + 2 * (256 << 10) + (128 << 10);
    let wait_for = |what: &str| {
        for _ in 0..200 {
            let stats = store.stats().unwrap();
            if stats.file_bytes <= limit(stats.live_bytes) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("{what}: {:?}", store.stats().unwrap());
    };
    wait_for("after overwriting");
    for n in 0..5_000 {
        assert_eq!(store.get(&key(n)).unwrap(), Some(value(n + 59)));
        store.del(&key(n)).unwrap();
    }
    wait_for("after deleting");
    assert_eq!(store.len().unwrap(), 0);
    store.close().unwrap();
    let store = Store::open_in(
        std::sync::Arc::new(larder::storage::DiskStorage::open(scratch.path(), false, false).unwrap()),
        &small,
        &Tuning::default(),
    )
    .unwrap();
    assert_eq!(store.len().unwrap(), 0);
}

#[test]
fn a_key_expires_at_the_moment_that_was_given_in_every_sync_mode() {
    for sync in [SyncMode::Always, SyncMode::None] {
        let scratch = Scratch::new();
        let store = Store::open(scratch.path(), &options(sync)).unwrap();
        let moment = store.now_ms().unwrap() + 60_000;
        let until = SetOptions { ttl: Ttl::Until(moment), condition: Condition::Always, sync: false };
        store.set_with(b"a", b"1", &until).unwrap();
        store.set(b"b", b"2").unwrap();
        assert_eq!(
            store.find_with(b"a", |found| (found.value.to_vec(), found.expires_at_ms)).unwrap(),
            Some((vec![b'1'], moment))
        );
        assert_eq!(store.find_with(b"b", |found| found.expires_at_ms).unwrap(), Some(0));
        assert_eq!(store.find_with(b"c", |_| ()).unwrap(), None);
        assert_eq!(store.expiring_len().unwrap(), 1);
        assert!(store.expire_until(b"b", moment + 1).unwrap());
        assert!(!store.expire_until(b"c", moment).unwrap());
        assert_eq!(store.expiring_len().unwrap(), 2);
        drop(store);
        let store = Store::open(scratch.path(), &options(sync)).unwrap();
        assert_eq!(store.find_with(b"b", |found| found.expires_at_ms).unwrap(), Some(moment + 1));
        assert!(store.expire(b"b", None).unwrap());
        assert_eq!(store.find_with(b"b", |found| found.expires_at_ms).unwrap(), Some(0));
        assert!(store.expire_until(b"a", moment - 120_000).unwrap());
        assert_eq!(store.get(b"a").unwrap(), None);
        assert_eq!(store.ttl(b"a").unwrap(), TtlState::Expired);
        let error = store.expire_until(b"b", u64::MAX).unwrap_err();
        assert_eq!(error.status(), Status::InvalidArgument);
        assert_eq!(store.get(b"b").unwrap(), Some(vec![b'2']));
    }
}

#[test]
fn a_walk_without_state_shows_every_key_that_stays_once_while_others_come_and_go() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path(), &options(SyncMode::None)).unwrap();
    let kept = 20_000;
    for n in 0..kept {
        store.set(&key(n), b"kept").unwrap();
    }
    let (mut from, mut seen, mut page, mut other) = (Some(0), Vec::new(), Vec::new(), kept);
    while let Some(hash) = from {
        page.clear();
        from = store.scan_page(hash, &mut page).unwrap();
        assert!(page.iter().all(|(found, _)| *found >= hash && from.is_none_or(|next| *found < next)));
        // From the middle of the page on, the same keys come again, and no others.
        if let Some(middle) = page.get(page.len() / 2).map(|(hash, _)| *hash) {
            let mut again = Vec::new();
            assert_eq!(store.scan_page(middle, &mut again).unwrap(), from);
            let wanted = page.iter().filter(|(hash, _)| *hash >= middle).count();
            assert_eq!(again.len(), wanted);
        }
        seen.extend(page.drain(..).map(|(_, key)| key.into_vec()));
        for _ in 0..1_000 {
            store.set(&key(other), b"other").unwrap();
            other += 1;
        }
    }
    seen.retain(|found| *found < key(kept));
    seen.sort();
    assert_eq!(seen, (0..kept).map(key).collect::<Vec<_>>());
}
