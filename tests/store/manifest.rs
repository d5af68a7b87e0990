//! The manifest where its bytes are damaged, its writes fail, or its name is new.
//!
//! Not here: its bytes as such (in the format), cuts and failures at every call (`crash`, `failures`).

use crate::world::{small_options, small_tuning};
use larder::format::manifest::{DURABLE_WORD, ManifestHead};
use larder::format::segment::decode_durable;
use larder::storage::SimulatedStorage;
use larder::storage::sim::CallKind;
use larder::{CompactionMode, Error, Options, Status, Store, SyncMode};
use std::sync::Arc;

fn options() -> Options {
    Options { compaction: CompactionMode::Manual, ..small_options(SyncMode::None, 4096) }
}

fn open(sim: &SimulatedStorage) -> Result<Store, Error> {
    Store::open_in(Arc::new(sim.clone()), &options(), &small_tuning(u64::MAX))
}

/// A store with segments that a compaction would take, and three keys that live.
fn worn(sim: &SimulatedStorage) -> Store {
    let store = open(sim).unwrap();
    for n in 0..3 {
        store.set(&[n], &[n; 300]).unwrap();
    }
    for n in 0..12 {
        store.set(b"churn", &[n; 900]).unwrap();
    }
    while store.step_background().unwrap() {}
    store
}

fn assert_holds(store: &Store, what: &str) {
    for n in 0..3 {
        assert_eq!(store.get(&[n]).unwrap(), Some(vec![n; 300]), "key {n}, {what}");
    }
}

#[test]
fn r9_damage_of_a_durable_edit_is_corruption_and_behind_the_durable_word_there_is_nothing() {
    let sim = SimulatedStorage::new(9);
    let store = worn(&sim);
    let sim = sim.kill();
    drop(store);
    let bytes = sim.read_file("MANIFEST");
    let word = u64::from_le_bytes(bytes[DURABLE_WORD..DURABLE_WORD + 8].try_into().unwrap());
    let seed = ManifestHead::decode(&bytes).unwrap().seed();
    let end = decode_durable(seed, word).unwrap().end as usize;
    // In the last edit: without the durable word it would look like one that a power cut has torn.
    for at in [end - 12, end - 24] {
        sim.flip_bit("MANIFEST", at as u64, 3);
        let error = open(&sim).err().expect("a durable edit is missing, and nobody says so");
        assert_eq!((error.status(), error.message().contains("MANIFEST")), (Status::Corrupt, true), "{error}");
        sim.write_file("MANIFEST", &bytes);
    }
    // What a power cut has left of an edit that was not durable.
    sim.write_file("MANIFEST", &[&bytes[..end], &[7; 40], &bytes[end + 40..]].concat());
    assert_holds(&open(&sim).unwrap(), "with a torn edit");
}

/// A write of which an error is all that is known may have happened. If it was a compaction's edit, and the process is
/// killed before the next edit, the next open would look for an output that was removed with the error.
#[test]
fn r12_an_edit_whose_write_failed_counts_for_nothing_though_all_of_it_may_be_there() {
    // A compaction whose edit, written after the head of the output, does not fit; killed at its call `kill_at`.
    let fail_edit = |seed: u64, kill_at: Option<u64>| {
        let sim = SimulatedStorage::new(seed);
        let store = worn(&sim);
        let first = sim.trace().len();
        sim.fail_kind(CallKind::WriteAt, 2, libc::ENOSPC);
        kill_at.into_iter().for_each(|n| sim.crash_at_call(n));
        // Without the kill it goes on, with what leaves less to copy.
        let _ = store.compact();
        let calls = sim.trace().split_off(first);
        let next = sim.kill();
        drop(store);
        (calls, next)
    };
    let (calls, _) = fail_edit(0, None);
    let failed = calls.iter().position(|line| line.ends_with(" = errno 28")).unwrap();
    assert!(calls[failed].starts_with("write MANIFEST "), "{}", calls[failed]);
    let removed = calls[failed..].iter().position(|line| line.starts_with("remove ")).unwrap() + failed;
    for seed in 0..400 {
        let (_, sim) = fail_edit(seed, Some(removed as u64 + 2));
        assert_holds(&open(&sim).unwrap_or_else(|error| panic!("{error}, seed {seed}")), "after the next open");
    }
}

/// Until its name is durable a power cut brings the old manifest back, which knows nothing of later edits.
#[test]
fn l2_a_new_manifest_has_its_name_durably_before_anything_else_happens() {
    let sim = SimulatedStorage::new(2);
    let store = open(&sim).unwrap();
    for n in 0..3_000_u32 {
        store.set(b"churn", &[n as u8; 1_200]).unwrap();
        store.step_background().unwrap();
        if n % 20 == 0 {
            store.compact().unwrap();
        }
    }
    let trace = sim.trace();
    let renames: Vec<_> = (0..trace.len()).filter(|at| trace[*at].starts_with("rename MANIFEST.new ")).collect();
    assert!(renames.len() > 1, "no manifest was written anew");
    for at in renames {
        assert_eq!(trace.get(at + 1).map(String::as_str), Some("sync-directory"));
    }
}
