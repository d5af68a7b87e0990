//! The names of a simulated directory: as they are, as they are durably, and the changes between.
//!
//! Not here: the files behind the names (`sim::inode`), which are known here by number only.
//!
//! Invariants:
//!   N1. `live` is `durable` with all of `changes` applied in order.
//!   N2. A change that is durable or lost stays in `changes` only as long as a lost one is before it.

use super::random::Random;
use super::state::Survival;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The number of a file, whatever it is called.
pub(super) type InodeId = u64;

/// Names and what they name.
pub(super) type Names = BTreeMap<String, InodeId>;

#[derive(Clone, Default)]
pub(super) struct Directory {
    live: Names,
    durable: Names,
    changes: VecDeque<Change>,
}

/// One creation, removal or rename.
#[derive(Clone)]
struct Change {
    unlink: Option<String>,
    link: Option<(String, InodeId)>,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Not synced: may or may not survive.
    Pending,
    /// Synced without success: may or may not survive, and no later sync changes that.
    Lost,
    /// Survives.
    Durable,
}

impl Directory {
    pub(super) fn live(&self) -> &Names {
        &self.live
    }

    pub(super) fn get(&self, name: &str) -> Option<InodeId> {
        self.live.get(name).copied()
    }

    /// The name a file has now, if it has one.
    pub(super) fn name_of(&self, id: InodeId) -> Option<&str> {
        self.live.iter().find(|(_, named)| **named == id).map(|(name, _)| name.as_str())
    }

    pub(super) fn link(&mut self, name: &str, id: InodeId) {
        self.change(Change { unlink: None, link: Some((name.to_owned(), id)), fate: Fate::Pending });
    }

    pub(super) fn unlink(&mut self, name: &str) {
        self.change(Change { unlink: Some(name.to_owned()), link: None, fate: Fate::Pending });
    }

    pub(super) fn rename(&mut self, source: &str, target: &str) {
        let Some(id) = self.get(source) else { return };
        let link = Some((target.to_owned(), id));
        self.change(Change { unlink: Some(source.to_owned()), link, fate: Fate::Pending });
    }

    /// A link (or with `None` an unlink) that is durable at once: damage done by a test.
    pub(super) fn set_durably(&mut self, name: &str, id: Option<InodeId>) {
        let unlink = id.is_none().then(|| name.to_owned());
        self.change(Change { unlink, link: id.map(|id| (name.to_owned(), id)), fate: Fate::Durable });
        self.settle();
    }

    /// A sync that succeeded: what was pending is durable; what was lost is not.
    pub(super) fn sync(&mut self) {
        self.set_pending(Fate::Durable);
        self.settle();
    }

    /// A sync that failed: what was pending is lost for later ones.
    pub(super) fn fail_sync(&mut self) {
        self.set_pending(Fate::Lost);
    }

    /// Every file that has, had durably, or may get back a name.
    pub(super) fn reachable(&self) -> BTreeSet<InodeId> {
        let changed = self.changes.iter().filter_map(|change| change.link.as_ref().map(|(_, id)| *id));
        self.live.values().chain(self.durable.values()).copied().chain(changed).collect()
    }

    /// The names after a power cut.
    pub(super) fn crash(&self, random: &mut Random, survival: Survival) -> Directory {
        let style = match survival {
            Survival::Nothing => 0,
            Survival::Everything => 1,
            Survival::Mixed => random.below(8),
        };
        let prefix_count = random.below(self.changes.len() + 1);
        let keep_of_256 = 16 + random.below(224) as u32;
        let mut names = self.durable.clone();
        let mut dropped = BTreeSet::new();
        for (nth, change) in self.changes.iter().enumerate() {
            let is_chosen = match style {
                0 => false,
                1 => true,
                2..=4 => nth < prefix_count,
                _ => random.chance(keep_of_256),
            };
            // Later changes of a name never survive without the earlier ones.
            let is_kept = is_chosen && !change.names().any(|name| dropped.contains(name));
            if is_kept || change.fate == Fate::Durable {
                change.apply(&mut names);
                change.names().for_each(|name| {
                    dropped.remove(name);
                });
            } else {
                dropped.extend(change.names());
            }
        }
        Directory { live: names.clone(), durable: names, changes: VecDeque::new() }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.changes.push_back(change);
    }

    fn set_pending(&mut self, fate: Fate) {
        for change in self.changes.iter_mut().filter(|change| change.fate == Fate::Pending) {
            change.fate = fate;
        }
    }

    /// Moves durable changes into `durable`, up to the first that is not (N2).
    fn settle(&mut self) {
        while self.changes.front().is_some_and(|change| change.fate == Fate::Durable) {
            if let Some(change) = self.changes.pop_front() {
                change.apply(&mut self.durable);
            }
        }
    }
}

impl Change {
    fn names(&self) -> impl Iterator<Item = &str> {
        self.unlink.iter().map(String::as_str).chain(self.link.iter().map(|(name, _)| name.as_str()))
    }

    fn apply(&self, names: &mut Names) {
        if let Some(name) = &self.unlink {
            names.remove(name);
        }
        if let Some((name, id)) = &self.link {
            names.insert(name.clone(), *id);
        }
    }
}
