//! What becomes of each key that a file has: into a batch, or left out and counted.
//!
//! Invariant: a key is looked for in the store when no batch that is under way has it. So what the file has twice is a
//! conflict like any other.

use super::OnConflict;
use super::tally::Tally;
use crate::bytes::Shown;
use crate::failure::{Exit, Failure};
use crate::rdb::read::{Content, Item};
use larder::Store;
use larder::store::{BatchOp, Ttl};
use std::collections::HashSet;

/// A batch is written when it has one or the other.
const BATCH_COUNT: usize = 1000;
const BATCH_BYTES: usize = 4 << 20;

pub struct Loading<'a> {
    store: &'a Store,
    on_conflict: OnConflict,
    database: u64,
    batch: Vec<(Vec<u8>, Vec<u8>, Ttl)>,
    batch_bytes: usize,
    batch_keys: HashSet<Vec<u8>>,
}

/// The key, if it is one that a store can hold.
pub fn wanted(item: &Item, database: u64) -> Option<&[u8]> {
    let is_wanted = item.database == database && matches!(item.content, Content::Text(_));
    item.key.as_deref().filter(|_| is_wanted)
}

pub fn conflict(key: &[u8], imported_count: u64) -> Failure {
    let before = if imported_count == 0 {
        "nothing was imported".to_owned()
    } else {
        format!("{imported_count} keys before it were imported")
    };
    Failure::new(Exit::No, format!("the store has the key {} already; {before}", Shown(key)))
}

impl<'a> Loading<'a> {
    pub fn new(store: &'a Store, on_conflict: OnConflict, database: u64) -> Self {
        Self { store, on_conflict, database, batch: Vec::new(), batch_bytes: 0, batch_keys: HashSet::new() }
    }

    pub fn take(&mut self, item: Item, tally: &mut Tally) -> Result<(), Failure> {
        if item.database != self.database {
            tally.other_databases += 1;
            return Ok(());
        }
        let (key, value) = match (item.key, item.content) {
            (_, Content::Other(name)) => {
                *tally.other_types.entry(name).or_default() += 1;
                return Ok(());
            }
            (None, _) | (_, Content::TooLong) => {
                tally.too_long += 1;
                return Ok(());
            }
            (Some(key), Content::Text(value)) => (key, value),
        };
        if item.expires_at_ms != 0 && item.expires_at_ms <= self.store.now_ms()? {
            tally.expired += 1;
            return Ok(());
        }
        if self.batch_keys.contains(&key) {
            self.flush(tally)?;
        }
        if self.store.exists(&key)? {
            match self.on_conflict {
                OnConflict::Replace => tally.replaced += 1,
                OnConflict::Keep => {
                    tally.kept += 1;
                    return Ok(());
                }
                OnConflict::Fail => {
                    self.flush(tally)?;
                    return Err(conflict(&key, tally.imported));
                }
            }
        }
        let ttl = if item.expires_at_ms == 0 { Ttl::Forever } else { Ttl::Until(item.expires_at_ms) };
        self.batch_bytes += key.len() + value.len();
        self.batch_keys.insert(key.clone());
        self.batch.push((key, value, ttl));
        if self.batch.len() >= BATCH_COUNT || self.batch_bytes >= BATCH_BYTES {
            self.flush(tally)?;
        }
        Ok(())
    }

    /// Writes what has gathered.
    pub fn flush(&mut self, tally: &mut Tally) -> Result<(), Failure> {
        let sets = self.batch.iter().map(|(key, value, ttl)| BatchOp::Set { key, value, ttl: *ttl });
        let ops: Vec<BatchOp<'_>> = sets.collect();
        self.store.write(&ops, false)?;
        tally.imported += ops.len() as u64;
        self.batch.clear();
        self.batch_bytes = 0;
        self.batch_keys.clear();
        Ok(())
    }
}
