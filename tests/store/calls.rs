//! Which calls of the system an operation makes: counted on the simulated directory, which sees all of them.

use larder::storage::{SimulatedStorage, Storage};
use larder::store::{BatchOp, Ttl, Tuning};
use larder::{Options, Store, SyncMode};
use std::sync::Arc;
use std::time::Duration;

fn open(sim: &SimulatedStorage, sync: SyncMode) -> Store {
    let options = Options { sync, ..Options::default() };
    let tuning = Tuning { has_background: false, ..Tuning::default() };
    Store::open_in(Arc::new(sim.clone()) as Arc<dyn Storage>, &options, &tuning).unwrap()
}

#[test]
fn operations_make_no_call_of_the_system_while_there_is_room_ahead() {
    for sync in [SyncMode::None, SyncMode::Interval(Duration::from_millis(1))] {
        let sim = SimulatedStorage::new(1);
        let store = open(&sim, sync);
        store.set(b"first", b"takes the prepared segment").unwrap();
        let before = sim.call_count();
        for n in 0..500_u64 {
            let key = n.to_le_bytes();
            store.set(&key, &[1; 100]).unwrap();
            store.set(&key, &[2; 200]).unwrap();
            assert_eq!(store.get(&key).unwrap().as_deref(), Some(&[2; 200][..]));
            assert!(store.expire(&key, Some(1_000_000)).unwrap());
            let set = BatchOp::Set { key: b"of a batch", value: &key, ttl: Ttl::Forever };
            store.write(&[set, BatchOp::Del { key: b"another" }], false).unwrap();
            assert!(store.del(&key).unwrap());
        }
        assert_eq!(sim.call_count(), before, "{sync:?}: {:?}", sim.trace().last());
    }
}

#[test]
fn a_durable_set_is_one_call_and_one_in_sixteen_writes_the_head_too() {
    let sim = SimulatedStorage::new(2);
    let store = open(&sim, SyncMode::Always);
    store.set(b"first", b"").unwrap();
    sim.clear_trace();
    for n in 0..160_u64 {
        store.set(&n.to_le_bytes(), &[1; 100]).unwrap();
    }
    let trace = sim.trace();
    let is_whole = |line: &&String| line.starts_with("sync") && line.ends_with(".seg");
    let whole_count = trace.iter().filter(is_whole).count();
    assert_eq!(whole_count, 10, "{trace:#?}");
    // The whole ones are two calls, of a file whose pages are staged.
    assert_eq!(trace.len(), 170, "{trace:#?}");
    let longest = trace.split(|line| is_whole(&line)).map(<[String]>::len).max();
    assert!(longest <= Some(16), "{trace:#?}");
}

#[test]
fn what_is_not_acknowledged_in_mode_always_is_not_in_the_file_either() {
    let sim = SimulatedStorage::new(3);
    let store = open(&sim, SyncMode::Always);
    store.set(b"key", b"acknowledged").unwrap();
    sim.fail_kind(larder::storage::sim::CallKind::Sync, 1, libc::EIO);
    assert!(store.set(b"key", b"refused").is_err());
    drop(store);
    let store = open(&sim.kill(), SyncMode::Always);
    assert_eq!(store.get(b"key").unwrap().as_deref(), Some(&b"acknowledged"[..]));
}
