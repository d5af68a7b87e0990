//! A simulated directory as its files' bytes, and back: for tests that change bytes in between.

use larder::storage::SimulatedStorage;
use std::collections::BTreeMap;

pub type Files = BTreeMap<String, Vec<u8>>;

pub fn files_of(sim: &SimulatedStorage) -> Files {
    sim.names().into_iter().map(|name| (name.clone(), sim.read_file(&name))).collect()
}

/// A directory with exactly these files. Its clock is that of every new one.
pub fn directory(files: &Files) -> SimulatedStorage {
    let sim = SimulatedStorage::new(1);
    for (name, bytes) in files {
        sim.write_file(name, bytes);
    }
    sim
}
