//! redb.

use super::{Durability, Engine, Get, locked_version};
use crate::data::{Key, VALUE_LEN};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

const PAIRS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("pairs");
/// Pages that commits without durability set free are used again after one with it.
const DURABLE_EVERY: u64 = 100_000;

pub fn about() -> String {
    format!(
        "redb {}; 4 GiB of cache, one transaction an operation; unsynced rows: Durability::None, every {DURABLE_EVERY}th Immediate so that room is used again (a kill loses what came after); durable rows and rows of opening: Durability::Immediate",
        locked_version("redb")
    )
}

pub struct Redb {
    db: Database,
    /// Without a sync a commit does not survive the process either.
    is_durable: bool,
    commits: AtomicU64,
}

impl Redb {
    pub fn open(directory: &Path, durability: Durability) -> Self {
        let db = Database::builder().set_cache_size(4 << 30).create(directory.join("pairs.redb")).unwrap();
        let this = Self { db, is_durable: durability != Durability::Unsynced, commits: AtomicU64::new(0) };
        this.write_as(redb::Durability::Immediate, |_| ());
        this
    }

    fn write<R>(&self, run: impl FnOnce(&mut redb::Table<'_, &'static [u8], &'static [u8]>) -> R) -> R {
        let count = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        let is_durable = self.is_durable || count.is_multiple_of(DURABLE_EVERY);
        self.write_as(if is_durable { redb::Durability::Immediate } else { redb::Durability::None }, run)
    }

    fn write_as<R>(
        &self,
        durability: redb::Durability,
        run: impl FnOnce(&mut redb::Table<'_, &'static [u8], &'static [u8]>) -> R,
    ) -> R {
        let mut txn = self.db.begin_write().unwrap();
        txn.set_durability(durability).unwrap();
        let result = run(&mut txn.open_table(PAIRS).unwrap());
        txn.commit().unwrap();
        result
    }
}

fn get_in(table: &impl ReadableTable<&'static [u8], &'static [u8]>, key: &[u8], out: &mut Vec<u8>) -> bool {
    match table.get(key).unwrap() {
        Some(value) => {
            out.extend_from_slice(value.value());
            true
        }
        None => false,
    }
}

impl Engine for Redb {
    fn set(&self, key: &[u8], value: &[u8]) {
        self.write(|table| {
            table.insert(key, value).unwrap();
        });
    }

    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        let txn = self.db.begin_read().unwrap();
        get_in(&txn.open_table(PAIRS).unwrap(), key, out)
    }

    fn del(&self, key: &[u8]) -> bool {
        self.write(|table| table.remove(key).unwrap().is_some())
    }

    fn batch(&self, pairs: &[(Key, [u8; VALUE_LEN])]) {
        self.write(|table| {
            for (key, value) in pairs {
                table.insert(key.as_slice(), value.as_slice()).unwrap();
            }
        });
    }

    fn get_many(&self, keys: &[Key], out: &mut Vec<u8>) -> usize {
        let txn = self.db.begin_read().unwrap();
        let table = txn.open_table(PAIRS).unwrap();
        keys.iter().filter(|key| get_in(&table, key.as_slice(), out)).count()
    }

    fn with_snapshot(&self, run: &mut dyn FnMut(&mut Get)) -> bool {
        let txn = self.db.begin_read().unwrap();
        let table = txn.open_table(PAIRS).unwrap();
        run(&mut |key, out| get_in(&table, key, out));
        true
    }

    fn close(self: Box<Self>) {
        // Makes durable what unsynced commits left.
        self.write_as(redb::Durability::Immediate, |_| ());
    }
}
