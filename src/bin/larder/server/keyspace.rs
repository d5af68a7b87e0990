//! Keys and values as commands see them: the store, and who has to hear of a change.
//!
//! Every change of a key goes through here, so that transactions that watch it are told, that it is counted, and that
//! the replies of this turn wait for a sync if the mode asks for one.
//!
//! Not here: what commands say (`commands`), how events are written (`pubsub`).

use super::Server;
use super::expiries::Expiries;
use larder::store::{BatchOp, Condition, Found, SetOptions, Ttl};
use larder::{Error, Result, Status};

/// Classes of keyspace events, as in `notify-keyspace-events`.
pub mod event {
    pub const KEYSPACE: u32 = 1;
    pub const KEYEVENT: u32 = 2;
    pub const GENERIC: u32 = 4;
    pub const STRING: u32 = 8;
    pub const LIST: u32 = 16;
    pub const SET: u32 = 32;
    pub const HASH: u32 = 64;
    pub const ZSET: u32 = 128;
    pub const EXPIRED: u32 = 256;
    pub const EVICTED: u32 = 512;
    pub const STREAM: u32 = 1024;
    pub const KEY_MISS: u32 = 2048;
    pub const MODULE: u32 = 8192;
    pub const NEW: u32 = 16384;
    pub const ALL: u32 = GENERIC | STRING | LIST | SET | HASH | ZSET | EXPIRED | EVICTED | STREAM | MODULE;
}

/// A live key: its value and when it expires (Unix milliseconds, 0 for never).
pub struct Held {
    pub value: Vec<u8>,
    pub expires_at_ms: u64,
}

impl Server {
    /// Hands the key's value to `read`. A key that is too long for the store is not there.
    #[inline]
    pub fn find<R>(&mut self, key: &[u8], read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        let found = absent_if_too_long(self.store.get_with(key, read))?;
        self.count_lookup(key, found.is_some());
        Ok(found)
    }

    /// As [`Server::find`] for commands that write: neither a hit nor a miss.
    pub fn peek<R>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        absent_if_too_long(self.store.get_with(key, read))
    }

    /// A copy of the key's value, and its expiry.
    pub fn held(&mut self, key: &[u8]) -> Result<Option<Held>> {
        let held = |found: Found<'_>| Held { value: found.value.to_vec(), expires_at_ms: found.expires_at_ms };
        absent_if_too_long(self.store.find_with(key, held))
    }

    /// When the key expires (0 for never); `None` if it is not there. Not counted as a lookup.
    pub fn expiry(&self, key: &[u8]) -> Result<Option<u64>> {
        absent_if_too_long(self.store.find_with(key, |found| found.expires_at_ms))
    }

    pub fn exists(&self, key: &[u8]) -> Result<bool> {
        match self.store.exists(key) {
            Err(error) if error.status() == Status::TooLarge => Ok(false),
            found => found,
        }
    }

    #[inline]
    pub fn count_lookup(&mut self, key: &[u8], is_hit: bool) {
        if is_hit {
            self.stats.hits += 1;
        } else {
            self.stats.misses += 1;
            self.notify(event::KEY_MISS, "keymiss", key);
        }
    }

    /// Stores the value.
    #[inline]
    pub fn put(&mut self, key: &[u8], value: &[u8], ttl: Ttl) -> Result<()> {
        let is_new = self.settings.events & event::NEW != 0 && !self.exists(key)?;
        self.store.set_with(key, value, &SetOptions { ttl, condition: Condition::Always, sync: false })?;
        self.changed(key)?;
        if is_new {
            self.notify(event::NEW, "new", key);
        }
        Ok(())
    }

    /// Stores all of these values, or none.
    pub fn put_all<'a>(&mut self, pairs: &[(&'a [u8], &'a [u8])]) -> Result<()> {
        let ops: Vec<_> = pairs.iter().map(|(key, value)| BatchOp::Set { key, value, ttl: Ttl::Forever }).collect();
        let mut new = Vec::new();
        if self.settings.events & event::NEW != 0 {
            for (key, _) in pairs {
                new.push(!self.exists(key)?);
            }
        }
        self.store.write(&ops, false)?;
        for (i, (key, _)) in pairs.iter().enumerate() {
            self.changed(key)?;
            if new.get(i) == Some(&true) {
                self.notify(event::NEW, "new", key);
            }
        }
        Ok(())
    }

    /// Carries out all of these operations, or none. Its caller tells who listens.
    pub fn put_whole(&mut self, ops: &[BatchOp<'_>]) -> Result<()> {
        self.store.write(ops, false)?;
        ops.iter().try_for_each(|op| match op {
            BatchOp::Set { key, .. } | BatchOp::Del { key } => self.changed(key),
        })
    }

    /// Deletes the key; false if it was not there.
    pub fn remove(&mut self, key: &[u8]) -> Result<bool> {
        if self.settings.events != 0 || !self.watches.is_empty() {
            // An expired key is not there, and not changed.
            if !self.exists(key)? {
                return Ok(false);
            }
        }
        let was_there = match self.store.del(key) {
            Err(error) if error.status() == Status::TooLarge => false,
            outcome => outcome?,
        };
        if was_there {
            self.changed(key)?;
        }
        Ok(was_there)
    }

    /// Gives a key that is there another expiry, 0 for none.
    pub fn set_expiry(&mut self, key: &[u8], expires_at_ms: u64) -> Result<()> {
        match expires_at_ms {
            0 => self.store.expire(key, None)?,
            _ => self.store.expire_until(key, expires_at_ms)?,
        };
        self.changed(key)
    }

    /// Deletes every key.
    pub fn remove_all(&mut self) -> Result<()> {
        // Also if it ends halfway with an error.
        self.is_unsynced = true;
        let keys: Vec<Vec<u8>> = self.watches.keys().cloned().collect();
        for key in keys {
            if self.exists(&key)? {
                self.watches.touch(&key, &mut self.sessions);
            }
        }
        let (mut from, mut keys) = (Some(0), Vec::new());
        while let Some(hash) = from {
            keys.clear();
            from = self.store.scan_page(hash, &mut keys)?;
            let ops: Vec<_> = keys.iter().map(|(_, key)| BatchOp::Del { key }).collect();
            self.store.write(&ops, false)?;
        }
        if let Some(expiries) = &mut self.expiries {
            *expiries = Expiries::default();
        }
        self.stats.dirty += 1;
        Ok(())
    }

    /// Moves a value from one key to another in one step.
    pub fn rename(&mut self, source: &[u8], target: &[u8], value: &[u8], ttl: Ttl) -> Result<()> {
        let is_new = self.settings.events & event::NEW != 0 && !self.exists(target)?;
        self.store.write(&[BatchOp::Set { key: target, value, ttl }, BatchOp::Del { key: source }], false)?;
        self.changed(source)?;
        self.changed(target)?;
        if is_new {
            self.notify(event::NEW, "new", target);
        }
        Ok(())
    }

    /// Somebody wrote `key`.
    #[inline]
    fn changed(&mut self, key: &[u8]) -> Result<()> {
        self.is_unsynced = true;
        self.stats.dirty += 1;
        if !self.watches.is_empty() {
            self.watches.touch(key, &mut self.sessions);
        }
        if self.expiries.is_some() {
            let expires_at_ms = self.expiry(key)?.unwrap_or(0);
            if let Some(expiries) = &mut self.expiries {
                expiries.note(key, expires_at_ms);
            }
        }
        Ok(())
    }

    /// The clock by which keys expire.
    pub fn now_ms(&self) -> Result<i64> {
        Ok(i64::try_from(self.store.now_ms()?).unwrap_or(i64::MAX))
    }
}

/// A key over the store's limit cannot have been stored, so looking for it finds nothing.
fn absent_if_too_long<R>(found: Result<Option<R>>) -> Result<Option<R>> {
    match found {
        Err(error) if is_too_long(&error) => Ok(None),
        found => found,
    }
}

fn is_too_long(error: &Error) -> bool {
    error.status() == Status::TooLarge
}
