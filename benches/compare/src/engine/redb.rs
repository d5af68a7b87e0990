//! redb.

use super::{Durability, Engine, Key};
use redb::{Database, ReadableTable, TableDefinition};
use std::path::Path;

const PAIRS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("pairs");

pub struct Redb {
    db: Database,
    durability: redb::Durability,
}

impl Redb {
    pub fn open(directory: &Path, durability: Durability) -> Self {
        let db = Database::builder().set_cache_size(4 << 30).create(directory.join("pairs.redb")).unwrap();
        let durability =
            if durability == Durability::Power { redb::Durability::Immediate } else { redb::Durability::None };
        let this = Self { db, durability };
        this.write(|_| ());
        this
    }

    fn write<R>(&self, run: impl FnOnce(&mut redb::Table<'_, &'static [u8], &'static [u8]>) -> R) -> R {
        let mut txn = self.db.begin_write().unwrap();
        txn.set_durability(self.durability);
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

    fn batch(&self, pairs: &[(Key, Vec<u8>)]) {
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

    fn with_snapshot(&self, run: &mut dyn FnMut(&mut dyn FnMut(&[u8], &mut Vec<u8>) -> bool)) -> bool {
        let txn = self.db.begin_read().unwrap();
        let table = txn.open_table(PAIRS).unwrap();
        run(&mut |key, out| get_in(&table, key, out));
        true
    }

    fn close(mut self: Box<Self>) {
        // Makes durable what unsynced commits left.
        self.durability = redb::Durability::Immediate;
        self.write(|_| ());
    }
}
