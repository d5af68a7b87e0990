//! Stores whose writes count from the next sync on (`Options::acknowledged_by_sync`): what a server keeps that answers many
//! clients after one sync.

use crate::world::{small_options, small_tuning};
use larder::storage::SimulatedStorage;
use larder::{Options, Store, SyncMode};
use std::sync::Arc;

const WRITES: u32 = 60;

fn open(sim: &SimulatedStorage) -> Store {
    let options = Options { acknowledged_by_sync: true, ..small_options(SyncMode::None, 4096) };
    Store::open_in(Arc::new(sim.clone()), &options, &small_tuning(u64::MAX)).unwrap()
}

fn value(n: u32) -> Vec<u8> {
    vec![n as u8; 150]
}

#[test]
fn what_a_sync_has_acknowledged_survives_kills_and_power_cuts_and_the_rest_is_a_prefix() {
    let mut lost_by_kills = 0;
    for seed in 0..60 {
        let sim = SimulatedStorage::new(seed);
        let store = open(&sim);
        let mut acknowledged = 0;
        for n in 0..WRITES {
            store.set(&n.to_be_bytes(), &value(n)).unwrap();
            assert_eq!(store.get(&n.to_be_bytes()).unwrap(), Some(value(n)), "a write is seen at once");
            if u64::from(n % 13) == seed % 13 {
                store.sync().unwrap();
                acknowledged = n + 1;
            }
            if u64::from(n % 5) == seed % 5 {
                store.step_background().unwrap();
            }
        }
        for (what, sim) in [("kill", sim.kill()), ("power cut", sim.crash(seed))] {
            let store = open(&sim);
            let found: Vec<_> = (0..WRITES).map(|n| store.get(&n.to_be_bytes()).unwrap()).collect();
            let kept = found.iter().take_while(|value| value.is_some()).count();
            assert!(kept >= acknowledged as usize, "seed {seed}, {what}: {kept} of {acknowledged} acknowledged");
            assert!(found[kept..].iter().all(Option::is_none), "seed {seed}, {what}: a hole");
            assert!(found[..kept].iter().zip(0..).all(|(found, n)| found.as_deref() == Some(&value(n)[..])));
            lost_by_kills += usize::from(what == "kill") * (WRITES as usize - kept);
        }
    }
    assert!(lost_by_kills > 0, "nothing is kept from the file before its sync, so syncs are not those of mode always");
}
