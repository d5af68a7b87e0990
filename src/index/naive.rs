//! The index as one would write it without a thought for speed: what the real one is compared with.

use super::Location;
use std::collections::HashMap;

#[derive(Default)]
pub(super) struct Naive {
    entries: HashMap<u64, Vec<Location>>,
}

impl Naive {
    pub(super) fn find(&self, hash: u64, mut is_match: impl FnMut(Location) -> bool) -> Option<Location> {
        self.entries.get(&hash)?.iter().copied().find(|location| is_match(*location))
    }

    pub(super) fn insert(&mut self, hash: u64, location: Location) {
        self.entries.entry(hash).or_default().push(location);
    }

    pub(super) fn replace(&mut self, hash: u64, old: Location, new: Location) -> bool {
        let found = self.entries.get_mut(&hash).and_then(|all| all.iter_mut().find(|location| **location == old));
        found.map(|location| *location = new).is_some()
    }

    pub(super) fn remove(&mut self, hash: u64, old: Location) -> bool {
        let Some(all) = self.entries.get_mut(&hash) else { return false };
        let Some(i) = all.iter().position(|location| *location == old) else { return false };
        all.swap_remove(i);
        true
    }

    pub(super) fn locations(&self) -> Vec<Location> {
        let mut all: Vec<_> = self.entries.values().flatten().copied().collect();
        all.sort();
        all
    }
}
